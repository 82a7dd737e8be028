"""What a U-Net on a classifier's encoder is, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vesalius.nets.specs.encoder import Encoder, EncoderNorm, EncoderSpec, Shortcut
from vesalius.nets.specs.frame import (
    Sizes,
    Upsample,
    check_choice,
    check_dropout,
    check_frame,
    check_groups,
    check_sizes,
    check_whole,
    freeze,
)

LEVELS = 5
"""Of the decoder: strides 1, 2, 4, 8 and 16, above the encoder's 32."""


@dataclass(frozen=True, kw_only=True)
class EncoderUNetSpec:
    """A U-Net whose way down is a classifier's encoder, with weights from ImageNet where there are some to load.

    The way up has a level at each stride from 16 to 1. A level doubles the grid, takes in what the encoder saw there
    and convolves. At the image's own size VGG-16 has features; the others begin with a step, so there the image goes
    through one convolution of its own, for sharp edges.

    Args:
        ndim: 2 or 3 axes; the weights of ImageNet are for 2.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        encoder: VGG-16, a residual network, or GoogLeNet.
        width: Multiplies every number of channels of the encoder; 1 is the published size.
        norm: Normalisation after each convolution. The weights of ImageNet are for ``"batch"`` and, with VGG-16 only,
            ``"none"``.
        shortcut: How the input of a residual block gets to the coarser grid, see `EncoderSpec`; residual networks only.
        features: Channels of the decoder's levels, finest first, one for each stride 1, 2, 4, 8 and 16; multiples of 8
            for ``norm="group"``.
        decoder_blocks: Convolutions of each level, at least 1.
        dropout: Chance that a channel of the decoder is dropped while training, 0 to less than 1.
        upsample: Transposed convolutions (kernel = stride), or linear interpolation and a 1x1 convolution.
        deep_supervision: Whether `forward` gives logits at strides 1, 2, 4 and 8 while training.

    Raises:
        PlanError: A field is out of range.

    Example:
        >>> EncoderUNetSpec(ndim=2, in_channels=3, out_channels=2, encoder="resnet34").divisor
        (32, 32)

    Source: Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28; Iglovikov and Shvets 2018, arXiv:1801.05746
    (a U-Net on a pretrained VGG); for the encoders see `EncoderSpec`.
    """

    architecture: Literal["encoder_unet"] = "encoder_unet"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    encoder: Encoder = "resnet34"
    width: float = 1.0
    norm: EncoderNorm = "batch"
    shortcut: Shortcut = "strided"
    features: Sizes = (16, 32, 64, 128, 256)
    decoder_blocks: int = 2
    dropout: float = 0.0
    upsample: Upsample = "interpolate"
    deep_supervision: bool = False

    def __post_init__(self) -> None:
        check_frame(self.ndim, self.in_channels, self.out_channels)
        freeze(self, "features")
        check_sizes("features", self.features, LEVELS)
        check_groups(self.norm, self.features)
        check_whole("decoder_blocks", self.decoder_blocks)
        check_choice("upsample", self.upsample, get_args(Upsample))
        check_dropout(self.dropout)
        _ = self.encoder_spec  # it checks itself

    @property
    def encoder_spec(self) -> EncoderSpec:
        """The encoder."""
        return EncoderSpec(
            name=self.encoder,
            ndim=self.ndim,
            in_channels=self.in_channels,
            width=self.width,
            norm=self.norm,
            shortcut=self.shortcut,
        )

    @property
    def divisor(self) -> Sizes:
        """What each axis of an image must be a multiple of: 32, the encoder's coarsest stride."""
        return self.encoder_spec.divisor
