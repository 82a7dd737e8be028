"""What an encoder from the ImageNet classification challenge is, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from vesalius.errors import PlanError
from vesalius.nets.specs.frame import Norm, Sizes, check_choice, check_whole

Encoder = Literal["vgg16", "resnet18", "resnet34", "resnet50", "googlenet"]
EncoderNorm = Literal["instance", "batch", "group", "none"]
Shortcut = Literal["strided", "averaged"]

VGG_DEPTHS = (2, 2, 3, 3, 3)
"""VGG-16's convolutions before each pooling. Source: Simonyan and Zisserman 2015, arXiv:1409.1556, column D."""
VGG_CHANNELS = (64, 128, 256, 512, 512)
"""Channels of each stage. Source: the same."""
VGG_HIDDEN = 4096
"""Units of each of VGG's two hidden fully connected layers. Source: the same."""
VGG_WINDOW = 7
"""What VGG's first fully connected layer sees on each axis of the last pooling. Source: the same."""

RESNET_DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
"""Residual blocks of each stage. Source: He et al. 2016, doi:10.1109/CVPR.2016.90, table 1."""
RESNET_CHANNELS = (64, 128, 256, 512)
"""Channels of each stage. Source: the same."""
RESNET_WIDENING = {"resnet18": 1, "resnet34": 1, "resnet50": 4}
"""Channels that a block gives out for each one of its middle: 4 in blocks of three convolutions. Source: the same."""


class Branches(NamedTuple):
    """Channels of the four branches of an Inception module; their results lie side by side."""

    one: int
    """Of the 1x1 convolution."""
    narrow: int
    """Before the 3x3 convolution."""
    three: int
    """Of the 3x3 convolution."""
    narrower: int
    """Before the convolution that the paper calls 5x5."""
    five: int
    """Of the convolution that the paper calls 5x5."""
    pooled: int
    """Of the 1x1 convolution behind the pooling."""

    @property
    def total(self) -> int:
        """Channels that come out."""
        return self.one + self.three + self.five + self.pooled


GOOGLENET_STEM = (64, 64, 192)
"""Channels of the three convolutions before the first module. Source: Szegedy et al. 2015, arXiv:1409.4842, table 1."""
GOOGLENET_STAGES = (
    (Branches(64, 96, 128, 16, 32, 32), Branches(128, 128, 192, 32, 96, 64)),
    (
        Branches(192, 96, 208, 16, 48, 64),
        Branches(160, 112, 224, 24, 64, 64),
        Branches(128, 128, 256, 24, 64, 64),
        Branches(112, 144, 288, 32, 64, 64),
        Branches(256, 160, 320, 32, 128, 128),
    ),
    (Branches(256, 160, 320, 32, 128, 128), Branches(384, 192, 384, 48, 128, 128)),
)
"""The modules 3a and b, 4a to e, 5a and b. Source: the same."""
GOOGLENET_POOLS = (3, 3, 3, 2)
"""Window of the pooling before each of the stages at strides 4, 8, 16 and 32; all step by 2.
Source: the paper has 3 four times; torchvision's weights were trained with these (``torchvision.models.googlenet``)."""

_RGB = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
_CENTRED = ((0.5, 0.5), (0.5, 0.5), (0.5, 0.5))


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """A classifier without its last layers: the encoder that `FCNSpec` and `EncoderUNetSpec` are built on.

    Args:
        name: VGG-16, a residual network, or Inception v1 (GoogLeNet).
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        width: Multiplies every number of channels; 1 is the published size.
        norm: Normalisation after each convolution: ``"batch"`` is what torchvision's weights were trained with,
            ``"none"`` the original VGG-16, allowed only with it.
        shortcut: How a residual block that steps brings its input to the coarser grid: by the 1x1 convolution's own
            stride, as published, or by the mean over the window first, which throws no voxel away and costs no
            weights (ResNet-D). Only for residual networks.

    Raises:
        PlanError: A field is out of range.

    Example:
        >>> EncoderSpec(name="resnet18", ndim=2, in_channels=3, width=0.25).channels(512)
        128

    Source: Simonyan and Zisserman 2015, arXiv:1409.1556; He et al. 2016, doi:10.1109/CVPR.2016.90, with the step in
    the 3x3 convolution as in torchvision ("v1.5"); He et al. 2019, arXiv:1812.01187, section 4 (ResNet-D); Szegedy et
    al. 2015, arXiv:1409.4842, with batch norm (Ioffe and Szegedy 2015, arXiv:1502.03167).
    """

    name: Encoder
    ndim: Literal[2, 3]
    in_channels: int
    width: float = 1.0
    norm: EncoderNorm = "batch"
    shortcut: Shortcut = "strided"

    def __post_init__(self) -> None:
        check_choice("encoder", self.name, get_args(Encoder))
        check_choice("norm", self.norm, get_args(EncoderNorm))
        check_choice("shortcut", self.shortcut, get_args(Shortcut))
        if self.ndim not in (2, 3):
            raise PlanError(f"ndim must be 2 or 3, not {self.ndim}")
        check_whole("in_channels", self.in_channels)
        if not (math.isfinite(self.width) and 0 < self.width <= 8):
            raise PlanError(f"width must be more than 0 and at most 8, not {self.width}")
        if self.norm == "none" and self.name != "vgg16":
            known = ", ".join(get_args(Norm))
            raise PlanError(f"norm 'none' is the original VGG-16; {self.name} needs one of {known}")
        if self.shortcut != "strided" and self.name not in RESNET_DEPTHS:
            raise PlanError(f"shortcut {self.shortcut!r} is for {', '.join(RESNET_DEPTHS)}; {self.name} has none")

    @property
    def divisor(self) -> Sizes:
        """What each axis of an image must be a multiple of: 32, the coarsest features' stride."""
        return (32,) * self.ndim

    @property
    def strides(self) -> Sizes:
        """Of the features that the encoder gives, finest first; only VGG-16 has some of the image's own size."""
        return (1, 2, 4, 8, 16, 32) if self.name == "vgg16" else (2, 4, 8, 16, 32)

    @property
    def features(self) -> Sizes:
        """Channels of the features at each of the strides."""
        match self.name:
            case "vgg16":
                return tuple(self.channels(n) for n in (*VGG_CHANNELS, VGG_CHANNELS[-1]))
            case "googlenet":
                stages = tuple(self.branches(stage[-1]).total for stage in GOOGLENET_STAGES)
                return (self.channels(GOOGLENET_STEM[0]), self.channels(GOOGLENET_STEM[-1]), *stages)
            case _:
                widening = RESNET_WIDENING[self.name]
                return (self.channels(RESNET_CHANNELS[0]), *(self.channels(n * widening) for n in RESNET_CHANNELS))

    def channels(self, published: int) -> int:
        """The number of channels that stands for ``published`` ones at this width: a multiple of 8, at least 8."""
        return max(8, round(published * self.width / 8) * 8)

    def branches(self, published: Branches) -> Branches:
        """The channels of an Inception module at this width."""
        return Branches(*(self.channels(n) for n in published))


def input_statistics(encoder: Encoder, in_channels: int) -> tuple[tuple[float, float], ...]:
    """Mean and standard deviation by which an image's channels were brought to scale when the weights were trained.

    Values are fractions of the full range: an 8-bit image is divided by 255 first. An image that is not RGB gets the
    average over red, green and blue in each channel. Images without a fixed range (MR, CT) need none of this: with
    mean 0 and deviation 1 they are where the encoder expects them.

    Args:
        encoder: The encoder whose weights are loaded.
        in_channels: Channels of the image.

    Returns:
        A pair for each channel.

    Raises:
        PlanError: The encoder is unknown, or there is no channel.

    Example:
        >>> input_statistics("resnet50", 3)
        ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
        >>> input_statistics("vgg16", 1)
        ((0.449, 0.226),)

    Source: torchvision's documentation of its weights (mean and deviation over ImageNet's training images);
    its GoogLeNet turns them into mean 0.5 and deviation 0.5 itself (``transform_input``), which is done here at once.
    """
    check_choice("encoder", encoder, get_args(Encoder))
    check_whole("in_channels", in_channels)
    rgb = _CENTRED if encoder == "googlenet" else _RGB
    if in_channels == 3:
        return rgb
    mean, deviation = (round(sum(values) / 3, 3) for values in zip(*rgb, strict=True))
    return ((mean, deviation),) * in_channels
