"""Where a contour starts: drawn by a person, or a ball."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.seeds import BACKGROUND, seed_values, seeds_at
from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap


def starting_region(
    grid: Grid, seeds: LabelMap | None, centre_mm: Sequence[float] | None, radius_mm: float | None
) -> tuple[NDArray[np.bool_], str]:
    """The region that a contour starts from, and what it is called.

    Args:
        grid: The image's.
        seeds: The region, drawn: one name, besides ``"background"``, which is not looked at. Or:
        centre_mm: The centre of a ball (a circle in 2D), mm, LPS; with ``radius_mm``.
        radius_mm: Its radius, mm, > 0.

    Returns:
        ``(*grid.shape)``, with at least one voxel, and the name: ``"object"`` for a ball.

    Raises:
        DataError: Not exactly one of both is given, the centre lies outside, or several names are marked.
        GeometryError: The seeds lie on another grid.

    Example:
        >>> region, name = starting_region(Grid.from_spacing((5, 5), (1.0, 1.0)), None, (2.0, 2.0), 1.0)
        >>> int(region.sum()), name
        (5, 'object')
    """
    if (seeds is None) == (centre_mm is None) or (centre_mm is None) != (radius_mm is None):
        raise DataError("a contour starts from seeds, or from a ball: give seeds, or centre_mm and radius_mm")
    if seeds is None:
        assert centre_mm is not None  # checked above
        assert radius_mm is not None
        if not radius_mm > 0:
            raise DataError(f"radius_mm must be more than 0, not {radius_mm}")
        return seeds_at(grid, {"object": [tuple(centre_mm)]}, radius_mm=radius_mm).array != 0, "object"
    values = seed_values(grid, seeds)
    names = {label.value: label.name for label in seeds.labels.labels if label.name != BACKGROUND}
    marked = [value for value in values if value in names]
    if len(marked) != 1:
        shown = ", ".join(names[value] for value in marked) or "none"
        raise DataError(f"a contour starts from one name, and the seeds mark {shown}: do one object after the other")
    return seeds.array == marked[0], names[marked[0]]


def unlike(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The image from 0 to 1.

    Args:
        values: Any shape.

    Raises:
        DataError: It is of one grey value, which holds no contour.

    Example:
        >>> unlike(np.array([2.0, 4.0, 3.0])).tolist()
        [0.0, 1.0, 0.5]
    """
    least, most = float(values.min()), float(values.max())
    if least == most:
        raise DataError(f"the image is {least:g} everywhere: there is nothing that could hold a contour")
    return (values - least) / (most - least)
