"""What a UNETR is, in numbers."""

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

TOKEN = 16
"""Voxels of a token on each axis. Source: Hatamizadeh et al. 2022, arXiv:2103.10504, section 4.2."""
_TRANSFORMERS = {"S": (384, 1536, 6), "M": (768, 3072, 12)}


@dataclass(frozen=True, kw_only=True)
class UNETRSpec:
    """A vision transformer over blocks of 16 voxels, all attending to all, with a convolutional way up; by MONAI.

    The transformer knows a block by its place in the image, so it takes images of one size alone: the patch.

    Args:
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        image_size: The only size of image that it takes, multiples of 16: the plan's patch size.
        features: Channels of the finest stage of the way up.
        hidden: Width of the transformer, a multiple of ``heads``.
        mlp: Width of the layer inside each of its blocks.
        heads: Of its attention.
        norm: Normalisation in the convolutions.
        dropout: Chance that a number is dropped in the transformer while training, 0 to less than 1.

    Raises:
        PlanError: A field is out of range.

    Example:
        >>> UNETRSpec.sized("S", image_size=(96, 96, 96), in_channels=1, out_channels=2).divisor
        (96, 96, 96)

    Source: Hatamizadeh et al. 2022, arXiv:2103.10504.
    """

    architecture: Literal["unetr"] = "unetr"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    image_size: Sizes
    features: int = 16
    hidden: int = 768
    mlp: int = 3072
    heads: int = 12
    norm: Norm = "instance"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_frame(self.ndim, self.in_channels, self.out_channels)
        freeze(self, "image_size")
        check_sizes("image_size", self.image_size, self.ndim)
        if any(size % TOKEN for size in self.image_size):
            raise PlanError(f"image_size must be multiples of {TOKEN}, not {self.image_size}")
        for name in ("features", "hidden", "mlp", "heads"):
            check_whole(name, getattr(self, name))
        if self.hidden % self.heads:
            raise PlanError(f"heads must divide hidden, but {self.hidden} is not a multiple of {self.heads}")
        check_choice("norm", self.norm, get_args(Norm))
        check_groups(self.norm, (self.features,))
        check_dropout(self.dropout)

    @classmethod
    def sized(cls, size: Literal["S", "M"], *, image_size: Sizes, in_channels: int, out_channels: int) -> UNETRSpec:
        """A transformer that is 384 wide (S), or 768 (M), the published size.

        Args:
            size: S or M.
            image_size: The patch size, multiples of 16; 2 or 3 axes.
            in_channels: Channels of the image.
            out_channels: Classes, background included.

        Raises:
            PlanError: A field is out of range.

        Source: ViT-S of Touvron et al. 2021, arXiv:2012.12877, and ViT-B of Dosovitskiy et al. 2021, arXiv:2010.11929.
        """
        check_choice("size", size, tuple(_TRANSFORMERS))
        hidden, mlp, heads = _TRANSFORMERS[size]
        return cls(
            ndim=3 if len(image_size) == 3 else 2,
            in_channels=in_channels,
            out_channels=out_channels,
            image_size=image_size,
            hidden=hidden,
            mlp=mlp,
            heads=heads,
        )

    @property
    def divisor(self) -> Sizes:
        """What each axis of an image must be a multiple of: the one size that it takes."""
        return self.image_size
