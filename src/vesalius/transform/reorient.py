"""Permute and flip the axes of an image so that they point where the caller wants them."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from vesalius.errors import GeometryError
from vesalius.image import LabelMap, Volume

Image = TypeVar("Image", Volume, LabelMap)

_PAIRS = ("LR", "PA", "SI")


def reorient(x: Image, codes: str = "LPS") -> Image:
    """Permute and flip the index axes so that they follow the named anatomical directions as well as they can.

    Nothing is interpolated: every voxel keeps its value and its place in space. An oblique image stays oblique; its
    axes are put in the order and sense that fit best. A 2D picture has no anatomical axes and is returned unchanged.

    Args:
        x: A volume or a label map.
        codes: The end that each index axis shall point to: one letter of each pair L/R, P/A, S/I, in the order
            wanted, for example ``"LPS"`` or ``"RAS"``.

    Returns:
        The same image, its array a view (strides may be negative) and its grid changed to match.

    Raises:
        GeometryError: ``codes`` is not such a triple.

    Example:
        >>> from vesalius.image import Grid
        >>> grid = Grid.from_spacing((2, 3, 4), (1.0, 1.0, 2.5))
        >>> turned = reorient(Volume(np.zeros((1, 2, 3, 4), np.int16), grid), "SAR")
        >>> turned.grid.axis_codes, turned.grid.shape, turned.grid.spacing_mm
        ('SAR', (4, 3, 2), (2.5, 1.0, 1.0))
    """
    pairs = tuple(next((n for n, pair in enumerate(_PAIRS) if code in pair), -1) for code in codes)
    if sorted(pairs) != [0, 1, 2]:
        raise GeometryError(f"codes must hold one letter of each of L/R, P/A and S/I, such as 'LPS', not {codes!r}")
    if x.grid.ndim == 2:
        return x
    anatomical, _ = x.grid.nearest_axes()
    order = tuple(anatomical.index(pair) for pair in pairs)
    grid = x.grid.permute(order)
    flipped = tuple(axis for axis in range(3) if grid.axis_codes[axis] != codes[axis])
    grid = grid.flip(flipped)
    leading = range(x.array.ndim - 3)
    array = x.array.transpose(*leading, *(axis - 3 for axis in order))
    return replace(x, array=np.flip(array, tuple(axis - 3 for axis in flipped)), grid=grid)
