"""What MONAI's U-Net is, in numbers."""

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
    check_stages,
    check_whole,
    freeze,
)

Activation = Literal["prelu", "relu", "leaky_relu"]


@dataclass(frozen=True, kw_only=True)
class MonaiUNetSpec:
    """The U-Net that many of MONAI's bundles hold; MONAI builds it. For training, `UNetSpec` is the better choice.

    Each level is one residual unit, or one convolution, on the way down and one transposed convolution with a unit
    behind it on the way up.

    Args:
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        features: Channels of each level, finest first; at least 2 levels.
        strides: By which the first convolution of each level but the coarsest steps, one whole number an axis.
        kernel: Of the convolutions, one odd whole number an axis.
        up_kernel: Of the transposed convolutions.
        residual_units: Convolutions of a unit on the way down; 0 for a single one without a shortcut.
        activation: After each norm; that of ``"prelu"`` is learned.
        norm: After each convolution; the instance norm learns no scale.
        bias: Whether convolutions add a learned constant.
        dropout: Chance that a number is dropped while training, 0 to less than 1.

    Raises:
        PlanError: A field is out of range or the lengths of two fields do not fit together.

    Example:
        >>> spec = MonaiUNetSpec(ndim=2, in_channels=1, out_channels=2, features=(8, 16, 32), strides=((2, 2),) * 2)
        >>> spec.divisor
        (4, 4)

    Source: Kerfoot et al. 2019, doi:10.1007/978-3-030-12029-0_40, as in MONAI 1.6.1 (``UNet``).
    """

    architecture: Literal["monai_unet"] = "monai_unet"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    features: Sizes
    strides: tuple[Sizes, ...]
    kernel: Sizes = ()
    up_kernel: Sizes = ()
    residual_units: int = 0
    activation: Activation = "prelu"
    norm: Norm = "instance"
    bias: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_frame(self.ndim, self.in_channels, self.out_channels)
        for name in ("kernel", "up_kernel"):
            object.__setattr__(self, name, getattr(self, name) or (3,) * self.ndim)
        freeze(self, "features", "strides", "kernel", "up_kernel")
        levels = len(self.features)
        if levels < 2:
            raise PlanError(f"a U-Net needs at least 2 levels, but features has {levels}: {self.features}")
        check_sizes("features", self.features, levels)
        check_stages("strides", self.strides, levels - 1, self.ndim)
        check_sizes("kernel", self.kernel, self.ndim, odd=True)
        check_sizes("up_kernel", self.up_kernel, self.ndim, odd=True)
        check_whole("residual_units", self.residual_units, least=0)
        check_choice("activation", self.activation, get_args(Activation))
        check_choice("norm", self.norm, get_args(Norm))
        check_groups(self.norm, self.features)
        check_dropout(self.dropout)

    @property
    def divisor(self) -> Sizes:
        """What each axis of an image must be a multiple of: the product of the strides."""
        return tuple(math.prod(steps) for steps in zip(*self.strides, strict=True))
