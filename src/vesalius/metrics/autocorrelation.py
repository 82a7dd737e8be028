"""Whether neighbours within a structure are alike: Moran's I and Geary's C."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from vesalius.image import Grid

_LARGEST = 1 << 25  # points of the lattice on which a structure is compared with itself: about 1 GiB


def autocorrelation(
    mask: NDArray[np.bool_], values: NDArray[np.generic], grid: Grid
) -> tuple[float | None, float | None]:
    """Moran's I and Geary's C of the values in a structure, each pair of voxels weighted by 1 / distance.

    All pairs count, however many: sums over pairs on a lattice are convolutions. Of a structure whose box has more than
    four million voxels only every second, third, … voxel along each axis is taken, as IBSI allows.

    Args:
        mask: 3D.
        values: Of the image, in the same box.
        grid: Of the image; where in it the box lies doesn't matter.

    Returns:
        Both; ``None`` where there are no two voxels, or all values are alike.

    Example:
        >>> values = np.arange(4.0).reshape(4, 1, 1)  # neighbours are more alike than others
        >>> i, c = autocorrelation(np.ones((4, 1, 1), bool), values, Grid.from_spacing((4, 1, 1), (1.0, 1.0, 1.0)))
        >>> round(i, 4), round(c, 4)
        (-0.0462, 0.6923)

    Source: IBSI N365 and NPT7 (arXiv:1612.07003); the sums are written as in Wiener and Khinchin's theorem.
    """
    step = 1
    while np.prod(2 * np.ceil(np.array(mask.shape) / step)) > _LARGEST:
        step += 1
    every = (slice(None, None, step),) * 3
    inside = mask[every].astype(np.float64)
    count = float(inside.sum())
    if count < 2:
        return None, None
    level = np.where(mask[every], values[every], 0).astype(np.float64)
    offset = np.where(mask[every], level - level.sum() / count, 0.0)
    spread = float((offset**2).sum())
    if spread <= 1e-12 * max(float((level**2).sum()), 1e-300):
        return None, None
    sizes = [fft.next_fast_len(2 * n - 1, real=True) for n in inside.shape]
    weight = fft.rfftn(_closeness(sizes, grid.affine[:3, :3] * step))
    linked, pulled = (_summed(part, weight, sizes) for part in (inside, offset))
    total = float((inside * linked).sum())
    product, square = float((offset * pulled).sum()), float((offset**2 * linked).sum())
    moran = count / total * product / spread
    geary = (count - 1) / total * (square - product) / spread
    return float(moran), float(geary)


def _closeness(sizes: list[int], step: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / distance for each shift of a lattice that wraps around, and 0 for none, 1/mm."""
    shifts = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in sizes), indexing="ij", sparse=True)
    squares = np.zeros(sizes)
    for row in step:
        squares += sum(length * shift for length, shift in zip(row, shifts, strict=True)) ** 2
    squares[0, 0, 0] = np.inf
    closeness: NDArray[np.float64] = 1 / np.sqrt(squares)
    return closeness


def _summed(part: NDArray[np.float64], weight: NDArray[np.complex128], sizes: list[int]) -> NDArray[np.float64]:
    """For each voxel the weighted sum of all others."""
    whole: NDArray[np.float64] = fft.irfftn(fft.rfftn(part, sizes) * weight, sizes)
    return whole[tuple(slice(n) for n in part.shape)]
