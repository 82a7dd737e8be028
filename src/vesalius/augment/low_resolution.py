"""Simulated low resolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def lower_resolution(
    channels: Float[Tensor, " r *patch"], resolution: Float[Tensor, "r n"]
) -> Float[Tensor, " r *patch"]:
    """Make each channel look as if it had been acquired with fewer, larger voxels.

    Args:
        channels: ``(r, *patch)``, float32.
        resolution: On each axis, relative to what it is, more than 0 and at most 1.

    Returns:
        Copies that were taken down by the nearest neighbour and up again by linear interpolation, on the same grid;
        1 leaves an axis as it is.

    Example:
        >>> lower_resolution(torch.tensor([[0.0, 1, 2, 3]]), torch.tensor([[0.5]]))
        tensor([[1.0000, 1.5000, 2.5000, 3.0000]])

    Source: nnU-Net v2 (``SimulateLowResolutionTransform``): ``nearest-exact`` down, linear up.
    """
    size = channels.shape[1:]
    lowered = torch.empty_like(channels)
    for row, factors in enumerate(resolution.tolist()):  # each has another size: they cannot share a call
        coarse = [max(1, round(n * f)) for n, f in zip(size, factors, strict=True)]
        small = F.interpolate(channels[None, row, None].contiguous(), size=coarse, mode="nearest-exact")
        lowered[row] = F.interpolate(small, size=size, mode=_LINEAR[len(size)])[0, 0]
    return lowered
