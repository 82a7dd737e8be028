"""What a fully convolutional network is, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vesalius.nets.specs.encoder import Encoder, EncoderNorm, EncoderSpec, Shortcut
from vesalius.nets.specs.frame import Sizes, check_choice, check_dropout, check_frame

Variant = Literal["32s", "16s", "8s"]


@dataclass(frozen=True, kw_only=True)
class FCNSpec:
    """A fully convolutional network: a classifier's encoder, scores at strides 32, 16 and 8, fused by sums.

    Args:
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        variant: ``"32s"`` upsamples the coarsest scores at once, ``"16s"`` adds the scores at stride 16 first,
            ``"8s"`` those at stride 8 too.
        encoder: VGG-16 (its two hidden fully connected layers as convolutions), a residual network, or GoogLeNet.
        width: Multiplies every number of channels; 1 is the published size (4,096 hidden channels for VGG-16).
            VGG-16 in 3D holds ``7**3`` weights for each pair of hidden channels: use 0.25 or less there.
        norm: Normalisation after each convolution of the encoder; ``"none"`` is the original VGG-16 and is only
            allowed with it.
        shortcut: How the input of a residual block gets to the coarser grid, see `EncoderSpec`; residual networks only.
        dropout: Chance of dropping a channel before the scores, 0 to less than 1.

    Raises:
        PlanError: A field is out of range.

    Example:
        >>> FCNSpec(ndim=2, in_channels=3, out_channels=2, variant="8s", encoder="resnet18").encoder_spec.features
        (64, 64, 128, 256, 512)

    Source: Long et al. 2015, doi:10.1109/CVPR.2015.7298965; for the encoders see `EncoderSpec`.
    """

    architecture: Literal["fcn"] = "fcn"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    variant: Variant = "8s"
    encoder: Encoder = "vgg16"
    width: float = 1.0
    norm: EncoderNorm = "batch"
    shortcut: Shortcut = "strided"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_frame(self.ndim, self.in_channels, self.out_channels)
        check_choice("variant", self.variant, get_args(Variant))
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
        """What each axis of an image must be a multiple of: 32, where the coarsest scores are made."""
        return self.encoder_spec.divisor

    @property
    def strides(self) -> Sizes:
        """Where the variant makes scores, coarsest first: at 32; at 32 and 16; at 32, 16 and 8."""
        return {"32s": (32,), "16s": (32, 16), "8s": (32, 16, 8)}[self.variant]
