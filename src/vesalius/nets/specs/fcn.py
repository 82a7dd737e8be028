"""What a fully convolutional network is, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from vesalius.errors import PlanError
from vesalius.nets.specs.frame import Norm, Sizes, check_choice, check_dropout, check_frame

Variant = Literal["32s", "16s", "8s"]
Encoder = Literal["vgg16", "resnet18", "resnet34", "resnet50"]

VGG_DEPTHS = (2, 2, 3, 3, 3)
"""VGG-16's convolutions before each pooling. Source: Simonyan and Zisserman 2015, arXiv:1409.1556, column D."""
VGG_WINDOW = 7
"""What VGG's first fully connected layer sees on each axis of the last pooling. Source: the same."""
RESNET_DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
"""Residual blocks of each stage. Source: He et al. 2016, doi:10.1109/CVPR.2016.90, table 1."""


@dataclass(frozen=True, kw_only=True)
class FCNSpec:
    """A fully convolutional network: a classifier's encoder, scores at strides 32, 16 and 8, fused by sums.

    Args:
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        variant: ``"32s"`` upsamples the coarsest scores at once, ``"16s"`` adds the scores at stride 16 first,
            ``"8s"`` those at stride 8 too.
        encoder: VGG-16 (its fully connected layers as convolutions) or a residual network.
        width: Multiplies every number of channels; 1 is the published size (4,096 hidden channels for VGG-16).
            VGG-16 in 3D holds ``7**3`` weights for each pair of hidden channels: use 0.25 or less there.
        norm: Normalisation after each convolution of the encoder; ``"none"`` is the original VGG-16 and is only
            allowed with it.
        dropout: Chance of dropping a channel before the scores, 0 to less than 1.

    Raises:
        PlanError: A field is out of range.

    Example:
        >>> FCNSpec(ndim=2, in_channels=3, out_channels=2, variant="8s", encoder="resnet18").channels(512)
        512

    Source: Long et al. 2015, doi:10.1109/CVPR.2015.7298965; Simonyan and Zisserman 2015, arXiv:1409.1556; He et al.
    2016, doi:10.1109/CVPR.2016.90.
    """

    architecture: Literal["fcn"] = "fcn"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    variant: Variant = "8s"
    encoder: Encoder = "vgg16"
    width: float = 1.0
    norm: Literal["instance", "batch", "group", "none"] = "batch"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_frame(self.ndim, self.in_channels, self.out_channels)
        check_choice("variant", self.variant, get_args(Variant))
        check_choice("encoder", self.encoder, get_args(Encoder))
        check_choice("norm", self.norm, (*get_args(Norm), "none"))
        if not (math.isfinite(self.width) and 0 < self.width <= 8):
            raise PlanError(f"width must be more than 0 and at most 8, not {self.width}")
        if self.norm == "none" and self.encoder != "vgg16":
            known = ", ".join(get_args(Norm))
            raise PlanError(f"norm 'none' is the original VGG-16; {self.encoder} needs one of {known}")
        check_dropout(self.dropout)

    @property
    def divisor(self) -> Sizes:
        """What each axis of an image must be a multiple of: 32, where the coarsest scores are made."""
        return (32,) * self.ndim

    @property
    def strides(self) -> Sizes:
        """Where the variant makes scores, coarsest first: at 32; at 32 and 16; at 32, 16 and 8."""
        return {"32s": (32,), "16s": (32, 16), "8s": (32, 16, 8)}[self.variant]

    def channels(self, published: int) -> int:
        """The number of channels that stands for ``published`` ones at this width: a multiple of 8, at least 8."""
        return max(8, round(published * self.width / 8) * 8)
