"""What a SegResNet is, in numbers."""

from __future__ import annotations

import math
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

_FEATURES = {"S": 16, "M": 32}


@dataclass(frozen=True, kw_only=True)
class SegResNetSpec:
    """A residual encoder that does most of the work and a small decoder; MONAI builds it.

    Without deep supervision it is MONAI's `SegResNet` (linear interpolation on the way up), with it its `SegResNetDS`
    (transposed convolutions, a score at each resolution, and coarse axes left alone until the others have caught up).

    Args:
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        features: Channels of the finest level, doubled at each coarser one; a multiple of 8 for ``norm="group"``.
        encoder_blocks: Residual blocks of each level on the way down; at least 2 levels.
        decoder_blocks: Residual blocks of each level but the coarsest on the way up, coarsest first.
        norm: Normalisation before each convolution.
        dropout: Chance that a channel is dropped after the first convolution while training, 0 to less than 1; only
            without deep supervision.
        deep_supervision: Whether `forward` gives logits at all resolutions of the decoder while training.
        spacing_mm: Of the images on each axis; only with deep supervision. Empty if all axes are alike.

    Raises:
        PlanError: A field is out of range or the lengths of two fields do not fit together.

    Example:
        >>> SegResNetSpec.sized("S", ndim=3, in_channels=1, out_channels=2).divisor
        (8, 8, 8)

    Source: Myronenko 2018, arXiv:1810.11654 (without its autoencoder; 32 features are its size), as in MONAI 1.6.1.
    """

    architecture: Literal["segresnet"] = "segresnet"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    features: int = 32
    encoder_blocks: Sizes = (1, 2, 2, 4)
    decoder_blocks: Sizes = (1, 1, 1)
    norm: Norm = "group"
    dropout: float = 0.0
    deep_supervision: bool = False
    spacing_mm: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_frame(self.ndim, self.in_channels, self.out_channels)
        freeze(self, "encoder_blocks", "decoder_blocks", "spacing_mm")
        check_whole("features", self.features)
        levels = len(self.encoder_blocks)
        if levels < 2:
            raise PlanError(f"a SegResNet needs at least 2 levels, but encoder_blocks has {levels}")
        check_sizes("encoder_blocks", self.encoder_blocks, levels)
        check_sizes("decoder_blocks", self.decoder_blocks, levels - 1)
        check_choice("norm", self.norm, get_args(Norm))
        check_groups(self.norm, (self.features,))
        check_dropout(self.dropout)
        if self.dropout and self.deep_supervision:
            raise PlanError(f"a SegResNet with deep supervision has no dropout, so it must be 0, not {self.dropout}")
        if self.spacing_mm and not self.deep_supervision:
            raise PlanError("a SegResNet minds spacing_mm only with deep supervision; leave it empty or ask for both")
        if self.spacing_mm and (len(self.spacing_mm) != self.ndim or not all(s > 0 for s in self.spacing_mm)):
            raise PlanError(f"spacing_mm must be {self.ndim} positive numbers or empty, not {self.spacing_mm}")

    @classmethod
    def sized(
        cls,
        size: Literal["S", "M"],
        *,
        ndim: Literal[2, 3],
        in_channels: int,
        out_channels: int,
        deep_supervision: bool = False,
        spacing_mm: tuple[float, ...] = (),
    ) -> SegResNetSpec:
        """16 features (S) or the published 32 (M).

        Args:
            size: S or M.
            ndim: 2 or 3 axes.
            in_channels: Channels of the image.
            out_channels: Classes, background included.
            deep_supervision: Whether `forward` gives logits at all resolutions while training.
            spacing_mm: Of the images; only with deep supervision.

        Raises:
            PlanError: A field is out of range.
        """
        check_choice("size", size, tuple(_FEATURES))
        return cls(
            ndim=ndim,
            in_channels=in_channels,
            out_channels=out_channels,
            features=_FEATURES[size],
            deep_supervision=deep_supervision,
            spacing_mm=spacing_mm,
        )

    @property
    def kernels(self) -> tuple[Sizes, ...]:
        """Of each level, finest first: 1 on an axis that is left alone, because its voxels are twice as long or more.

        Source: MONAI 1.6.1, `scales_for_resolution` and `aniso_kernel`.
        """
        spacing = self.spacing_mm or (1.0,) * self.ndim
        waits = [math.floor(math.log2(max(spacing) / s)) for s in spacing]
        levels = range(len(self.encoder_blocks))
        return tuple(tuple(1 if wait <= level < max(waits) else 3 for wait in waits) for level in levels)

    @property
    def strides(self) -> tuple[Sizes, ...]:
        """From each level to the next, finest first: 2, and 1 on an axis that is left alone."""
        return tuple(tuple(1 if size == 1 else 2 for size in kernel) for kernel in self.kernels[:-1])

    @property
    def divisor(self) -> Sizes:
        """What each axis of an image must be a multiple of: the product of the strides."""
        return tuple(math.prod(steps) for steps in zip(*self.strides, strict=True))
