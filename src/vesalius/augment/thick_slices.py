"""Simulated thick slices."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from vesalius.augment.blur import blur
from vesalius.augment.low_resolution import lower_resolution

_SIGMA = 0.7329  # of a slice's profile, in slice thicknesses: 2 ln(10) / 2 pi


def thicken_slices(channels: Float[Tensor, " r *patch"], thickness: Float[Tensor, "r n"]) -> Float[Tensor, " r *patch"]:
    """Make each channel look as if it had been acquired in slices that are thicker than its voxels.

    Unlike `lower_resolution` alone, what lies within a slice is averaged, as a scanner does.

    Args:
        channels: ``(r, *patch)``, float32.
        thickness: Of the slices across each axis, in voxels; 1 leaves an axis as it is.

    Returns:
        Copies on the same grid.

    Example:
        >>> import torch
        >>> edge = torch.tensor([[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]])
        >>> thicken_slices(edge, torch.tensor([[2.0]])).round(decimals=1)
        tensor([[0.0000, 0.1000, 0.3000, 0.5000, 0.7000, 0.9000, 1.0000, 1.0000]])

    Source: Billot et al. 2023, doi:10.1016/j.media.2023.102789 (a Gaussian whose power is a tenth at the cut-off
    frequency of the coarse grid; then the coarse grid, then back by linear interpolation).
    """
    sigma = (_SIGMA * thickness).where(thickness > 1, 0.0)
    return lower_resolution(blur(channels, sigma), 1 / thickness)
