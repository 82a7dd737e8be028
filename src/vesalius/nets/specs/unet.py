"""What a U-Net is, in numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from vesalius.errors import PlanError
from vesalius.nets.specs.frame import (
    Norm,
    Sizes,
    Upsample,
    check_choice,
    check_dropout,
    check_frame,
    check_groups,
    check_sizes,
    check_stages,
    freeze,
)

RESIDUAL_BLOCKS = (1, 3, 4, 6, 6, 6, 6, 6, 6, 6)
"""Residual blocks of each stage of nnU-Net's residual encoder.
Source: nnU-Net 2.8, `ResEncUNetPlanner`; Isensee et al. 2024, arXiv:2404.09556."""


@dataclass(frozen=True, kw_only=True)
class UNetSpec:
    """A U-Net: a contracting path, an expanding path and a skip connection at every resolution.

    A stage is a resolution; stage 0 is the finest. ``strides[s]`` is what the first convolution of stage s steps by,
    so ``strides[0]`` is usually all ones. A first stride of 2 makes a strided stem: the whole network works at half
    the resolution, and the head brings the logits back to full resolution.

    Args:
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        features: Channels of each stage, finest first; at least 2 stages. Multiples of 8 for ``norm="group"``.
        strides: Of each stage, one whole number an axis, at least 1.
        kernels: Of each stage, one odd whole number an axis.
        encoder_blocks: Convolutions (residual blocks when ``residual``) of each stage on the way down.
        decoder_blocks: Convolutions of each stage but the coarsest on the way up, finest first.
        residual: Whether the encoder is made of residual blocks (nnU-Net's ResEnc).
        attention: Whether each skip connection but the finest passes a gate that the coarser stage opens where it
            sees something (the attention U-Net); at least 3 stages then.
        norm: Normalisation after each convolution.
        dropout: Chance that a channel is dropped while training, 0 to less than 1.
        upsample: Transposed convolutions (kernel = stride), or linear interpolation and a 1x1 convolution.
        deep_supervision: Whether `forward` gives logits at several resolutions while training.

    Raises:
        PlanError: A field is out of range or the lengths of two fields do not fit together.

    Example:
        >>> spec = UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(16, 32, 64))
        >>> spec.strides, spec.divisor
        (((1, 1, 1), (2, 2, 2), (2, 2, 2)), (4, 4, 4))

    Source: Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28; Çiçek et al. 2016,
    doi:10.1007/978-3-319-46723-8_49 (3D); Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (strided convolutions,
    instance norm, leaky ReLU, deep supervision); Isensee et al. 2024, arXiv:2404.09556 (residual encoder); Oktay et
    al. 2018, arXiv:1804.03999 (attention gates).
    """

    architecture: Literal["unet"] = "unet"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    features: Sizes
    strides: tuple[Sizes, ...]
    kernels: tuple[Sizes, ...]
    encoder_blocks: Sizes
    decoder_blocks: Sizes
    residual: bool = False
    attention: bool = False
    norm: Norm = "instance"
    dropout: float = 0.0
    upsample: Upsample = "transposed"
    deep_supervision: bool = False

    def __post_init__(self) -> None:
        check_frame(self.ndim, self.in_channels, self.out_channels)
        freeze(self, "features", "strides", "kernels", "encoder_blocks", "decoder_blocks")
        stages = len(self.features)
        if stages < 2:
            raise PlanError(f"a U-Net needs at least 2 stages, but features has {stages}: {self.features}")
        if self.attention and stages < 3:
            raise PlanError(
                f"attention gates sit on all skip connections but the finest and need at least 3 stages, not {stages}"
            )
        check_sizes("features", self.features, stages)
        check_sizes("encoder_blocks", self.encoder_blocks, stages)
        check_sizes("decoder_blocks", self.decoder_blocks, stages - 1)
        check_stages("strides", self.strides, stages, self.ndim)
        check_stages("kernels", self.kernels, stages, self.ndim, odd=True)
        check_choice("norm", self.norm, get_args(Norm))
        check_choice("upsample", self.upsample, get_args(Upsample))
        check_groups(self.norm, self.features)
        check_dropout(self.dropout)

    @property
    def divisor(self) -> Sizes:
        """What each axis of an image must be a multiple of: the product of the strides."""
        return tuple(math.prod(steps) for steps in zip(*self.strides, strict=True))

    @classmethod
    def plain(
        cls,
        *,
        ndim: Literal[2, 3],
        in_channels: int,
        out_channels: int,
        features: Iterable[int] = (32, 64, 128, 256, 320),
        residual: bool = False,
        attention: bool = False,
        norm: Norm = "instance",
        deep_supervision: bool = False,
    ) -> UNetSpec:
        """The isotropic textbook form: kernels of 3, strides of 2 after the first stage, two convolutions a stage.

        With ``residual`` it is nnU-Net's residual encoder U-Net: `RESIDUAL_BLOCKS` on the way down, one convolution a
        stage on the way up.

        Args:
            ndim: 2 or 3 axes.
            in_channels: Channels of the image.
            out_channels: Classes, background included.
            features: Channels of each stage, finest first; at most 10 stages with ``residual``.
            residual: Whether the encoder is made of residual blocks.
            attention: Whether the skip connections are gated.
            norm: Normalisation after each convolution.
            deep_supervision: Whether `forward` gives logits at several resolutions while training.

        Raises:
            PlanError: A field is out of range.
        """
        features = tuple(features)
        stages = len(features)
        return cls(
            ndim=ndim,
            in_channels=in_channels,
            out_channels=out_channels,
            features=features,
            strides=((1,) * ndim,) + ((2,) * ndim,) * (stages - 1),
            kernels=((3,) * ndim,) * stages,
            encoder_blocks=RESIDUAL_BLOCKS[:stages] if residual else (2,) * stages,
            decoder_blocks=(1 if residual else 2,) * (stages - 1),
            residual=residual,
            attention=attention,
            norm=norm,
            deep_supervision=deep_supervision,
        )
