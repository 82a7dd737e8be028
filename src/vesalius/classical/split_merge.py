"""Split and merge: an image is halved until its parts are even, and parts that are alike are joined again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.classical.merging import as_labels, merged
from vesalius.errors import DataError
from vesalius.image import LabelMap, Volume


def split_and_merge(
    image: Volume, *, spread: float, tolerance: float | None = None, least_mm: float = 0.0, merge: bool = True
) -> LabelMap:
    """Split an image into even blocks (a quadtree; an octree in 3D), then join neighbours with similar means.

    Args:
        image: One channel.
        spread: A block is even when the standard deviation in it is at most this, in the image's unit, ≥ 0: about
            that of the noise.
        tolerance: Neighbours whose means differ by at most this are joined, in the image's unit, ≥ 0; as ``spread``
            when left out.
        least_mm: Regions that would fit into a cube (in 2D a square) of this side join the neighbour most like them,
            mm (pixels, on a picture without a scale), ≥ 0.
        merge: Join; without it the blocks are given as they are.

    Returns:
        ``region 1`` and so on, in the order of their first voxel. An image of one grey value is one region.

    Raises:
        DataError: An argument is negative, the image has several channels, or there are more than 65,535 regions.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.array([[[5, 5, 9, 9], [5, 5, 9, 9], [9, 9, 9, 9], [9, 9, 9, 9]]])
        >>> split_and_merge(Volume(array, Grid.from_spacing((4, 4), (1.0, 1.0))), spread=0.5).array.tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2]]

    Source: Horowitz and Pavlidis, Journal of the ACM 23, 1976, doi:10.1145/321941.321956. Blocks are halved on their
    long axes in mm first, so that they become cubes also where voxels are not.
    """
    joins = spread if tolerance is None else tolerance
    if not (spread >= 0 and joins >= 0 and least_mm >= 0):
        raise DataError(
            f"to split and merge takes a spread, a tolerance and a least_mm of at least 0, not {spread}, {joins} and "
            f"{least_mm}"
        )
    values = only_channel(image).astype(np.float64)
    blocks = _blocks(values, spread, image.grid.spacing_mm)
    if not merge:
        return as_labels(merged(blocks, values[None], tolerance=-1.0), image.grid)
    least = least_mm**image.grid.ndim / image.grid.voxel_volume_mm3
    return as_labels(merged(blocks, values[None], tolerance=joins, least_voxels=least * (1 - 1e-9)), image.grid)


def _blocks(values: NDArray[np.float64], spread: float, spacing_mm: Sequence[float]) -> NDArray[np.int64]:
    """The largest even blocks, each with a number of its own, above 0."""
    # From single voxels up: which axes are doubled at each level.
    shape = np.array(values.shape)
    plan: list[tuple[int, ...]] = []
    sides, counts = np.array(spacing_mm, dtype=np.float64), shape.copy()
    while (counts > 1).any():
        growing = counts > 1
        axes = tuple(int(a) for a in np.flatnonzero(growing & (sides < 1.5 * sides[growing].min())))
        plan.append(axes)
        for axis in axes:
            sides[axis] *= 2
            counts[axis] = -(-counts[axis] // 2)
    middle = float(values.mean())
    sums = [np.ones(values.shape), values - middle, (values - middle) ** 2]
    levels = [np.zeros(values.shape, np.bool_) | True]  # a voxel is even
    for axes in plan:
        for axis in axes:
            sums = [np.add.reduceat(one, np.arange(0, one.shape[axis], 2), axis=axis) for one in sums]
        number, total, square = sums
        # The relative slack takes up the rounding of the sums.
        levels.append(square - total**2 / number <= number * spread**2 + 1e-10 * square)
    made = np.zeros(levels[-1].shape, np.int64)
    free = 1
    for level in range(len(levels) - 1, -1, -1):
        takes = levels[level] & (made == 0)
        count = int(np.count_nonzero(takes))
        made[takes] = np.arange(free, free + count)
        free += count
        if level:
            for axis in plan[level - 1]:
                made = np.repeat(made, 2, axis=axis)
            made = made[tuple(slice(0, n) for n in levels[level - 1].shape)]
    return made
