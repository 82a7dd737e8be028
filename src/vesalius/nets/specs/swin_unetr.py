"""What a SwinUNETR is, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vesalius.errors import PlanError
from vesalius.nets.specs.frame import (
    Norm,
    Sizes,
    check_choice,
    check_dropout,
    check_frame,
    check_groups,
    check_sizes,
    check_whole,
    freeze,
)

STAGES = 4
_FEATURES = {"S": 24, "M": 48}


@dataclass(frozen=True, kw_only=True)
class SwinUNETRSpec:
    """A U-Net whose encoder is a transformer that attends within windows, which shift; MONAI builds it.

    Args:
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        features: Channels of the first stage, doubled at each of the three coarser ones; a multiple of 12.
        depths: Transformer blocks of each of the four stages.
        heads: Of the attention in each stage; they must divide its channels.
        window: Tokens on each axis within which is attended; a token of the first stage is 2 voxels long.
        norm: Normalisation in the convolutions of the decoder.
        dropout: Chance that a number is dropped in the transformer while training, 0 to less than 1.
        convolutions: Whether each stage begins with a residual convolution block (SwinUNETR-V2).

    Raises:
        PlanError: A field is out of range.

    Example:
        >>> SwinUNETRSpec.sized("S", ndim=3, in_channels=1, out_channels=2).divisor
        (32, 32, 32)

    Source: Hatamizadeh et al. 2022, arXiv:2201.01266; He et al. 2023, doi:10.1007/978-3-031-43901-8_40 (V2).
    """

    architecture: Literal["swin_unetr"] = "swin_unetr"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    features: int = 24
    depths: Sizes = (2, 2, 2, 2)
    heads: Sizes = (3, 6, 12, 24)
    window: int = 7
    norm: Norm = "instance"
    dropout: float = 0.0
    convolutions: bool = False

    def __post_init__(self) -> None:
        check_frame(self.ndim, self.in_channels, self.out_channels)
        freeze(self, "depths", "heads")
        check_whole("features", self.features)
        check_whole("window", self.window, least=2)
        check_sizes("depths", self.depths, STAGES)
        check_sizes("heads", self.heads, STAGES)
        if self.features % 12:
            raise PlanError(f"features must be a multiple of 12, not {self.features}")
        for stage, heads in enumerate(self.heads):
            if self.features * 2**stage % heads:
                raise PlanError(
                    f"heads[{stage}] must divide the stage's {self.features * 2**stage} channels, but it is {heads}"
                )
        check_choice("norm", self.norm, get_args(Norm))
        check_groups(self.norm, (self.features,))
        check_dropout(self.dropout)

    @classmethod
    def sized(
        cls, size: Literal["S", "M"], *, ndim: Literal[2, 3], in_channels: int, out_channels: int
    ) -> SwinUNETRSpec:
        """24 features (S), or 48 (M), the published size.

        Args:
            size: S or M.
            ndim: 2 or 3 axes.
            in_channels: Channels of the image.
            out_channels: Classes, background included.

        Raises:
            PlanError: A field is out of range.
        """
        check_choice("size", size, tuple(_FEATURES))
        return cls(ndim=ndim, in_channels=in_channels, out_channels=out_channels, features=_FEATURES[size])

    @property
    def divisor(self) -> Sizes:
        """What each axis of an image must be a multiple of: 32, after five halvings."""
        return (32,) * self.ndim
