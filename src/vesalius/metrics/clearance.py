"""How near two structures come: the smallest distance, and between which points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vesalius.errors import DataError
from vesalius.image import LabelMap
from vesalius.metrics.size import border_points


@dataclass(frozen=True)
class Clearance:
    """The smallest distance between two structures.

    Args:
        one: Name of the first.
        other: Name of the second.
        distance_mm: Between their borders; 0 where they touch or overlap.
        point_mm: The nearest point of the first, LPS.
        other_point_mm: The nearest point of the second.
    """

    one: str
    other: str
    distance_mm: float
    point_mm: tuple[float, ...]
    other_point_mm: tuple[float, ...]


def clearance(labels: LabelMap, one: str, other: str) -> Clearance:
    """Find where two structures come nearest to each other, for example a tumour and a vessel.

    Borders are the points half-way between voxels inside and outside, so that structures whose voxels share a face have
    none between them. Of several equal distances any is given.

    Args:
        labels: 2D or 3D, any grid.
        one: A label or region.
        other: Another; regions may overlap.

    Raises:
        DataError: Nothing has this name, or one of them has no voxel.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> grid = Grid.from_spacing((10, 10, 10), (1.0, 1.0, 2.5))
        >>> array = np.zeros(grid.shape, int)
        >>> array[2:4, 2, 2], array[2, 2, 7:9] = 1, 2
        >>> labels = LabelMap(array, grid, Labels.of({"tumour": 1, "portal vein": 2}))
        >>> found = clearance(labels, "tumour", "portal vein")
        >>> found.distance_mm, found.point_mm, found.other_point_mm
        (10.0, (2.0, 2.0, 6.25), (2.0, 2.0, 16.25))
    """
    masks = [np.isin(labels.array, labels.labels.members(name)) for name in (one, other)]
    for name, mask in zip((one, other), masks, strict=True):
        if not mask.any():
            raise DataError(f"{name!r} has no voxel: it is no distance away from anything")
    both = masks[0] & masks[1]
    if both.any():
        shared = _point(labels.grid.to_points(np.argwhere(both)[0]))
        return Clearance(one, other, 0.0, shared, shared)
    borders = [labels.grid.to_points(border_points(mask)) for mask in masks]
    few, many = (0, 1) if len(borders[0]) <= len(borders[1]) else (1, 0)
    apart, nearest = cKDTree(borders[many]).query(borders[few])
    k = int(apart.argmin())
    ends = {few: borders[few][k], many: borders[many][nearest[k]]}
    return Clearance(one, other, float(apart[k]), _point(ends[0]), _point(ends[1]))


def _point(point: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(x) for x in point)
