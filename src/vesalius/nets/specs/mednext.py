"""What a MedNeXt is, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vesalius.errors import PlanError
from vesalius.nets.specs.frame import Sizes, check_choice, check_frame, check_whole

MEDNEXT_BLOCKS = {
    "S": (2, 2, 2, 2, 2, 2, 2, 2, 2),
    "B": (2, 2, 2, 2, 2, 2, 2, 2, 2),
    "M": (3, 4, 4, 4, 4, 4, 4, 4, 3),
    "L": (3, 4, 8, 8, 8, 8, 8, 4, 3),
}
MEDNEXT_WIDENING = {
    "S": (2, 2, 2, 2, 2, 2, 2, 2, 2),
    "B": (2, 3, 4, 4, 4, 4, 4, 3, 2),
    "M": (2, 3, 4, 4, 4, 4, 4, 3, 2),
    "L": (3, 4, 8, 8, 8, 8, 8, 4, 3),
}
"""Blocks of each stage, and how many times wider a block is inside: four stages down, the middle, four up.
Source: Roy et al. 2023, arXiv:2303.09975, table 1 (the same as MONAI 1.6.1's, which the tests compare)."""


@dataclass(frozen=True, kw_only=True)
class MedNeXtSpec:
    """A U-Net of ConvNeXt blocks: a large kernel in each channel by itself, then a wide layer in each voxel; by MONAI.

    Args:
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        size: One of the published four; S and B, and M and L, have the same blocks or nearly, the later ones wider.
        features: Channels of the finest stage, doubled at each of the four coarser ones; 32 as published.
        kernel: Odd size of the large kernels, at least 3; 3 and 5 as published.
        deep_supervision: Whether `forward` gives logits at all five resolutions while training.

    Raises:
        PlanError: A field is out of range.

    Example:
        >>> MedNeXtSpec(ndim=3, in_channels=1, out_channels=2, size="B").divisor
        (16, 16, 16)

    Source: Roy et al. 2023, arXiv:2303.09975.
    """

    architecture: Literal["mednext"] = "mednext"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    size: Literal["S", "B", "M", "L"] = "S"
    features: int = 32
    kernel: int = 3
    deep_supervision: bool = False

    def __post_init__(self) -> None:
        check_frame(self.ndim, self.in_channels, self.out_channels)
        check_choice("size", self.size, tuple(MEDNEXT_BLOCKS))
        check_whole("features", self.features)
        check_whole("kernel", self.kernel, least=3)
        if self.kernel % 2 == 0:
            raise PlanError(f"kernel must be odd, not {self.kernel}")

    @property
    def divisor(self) -> Sizes:
        """What each axis of an image must be a multiple of: 16, after four halvings."""
        return (16,) * self.ndim
