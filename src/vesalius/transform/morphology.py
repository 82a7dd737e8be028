"""Grow and shrink pictures of yes and no by millimetres: exact Euclidean distances, whatever the spacing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def eroded(inside: NDArray[np.bool_], spacing_mm: Sequence[float], radius_mm: float) -> NDArray[np.bool_]:
    """What lies farther than a radius from everything that is not inside; beyond the image, it goes on.

    Args:
        inside: ``(*grid.shape)``.
        spacing_mm: Of each axis.
        radius_mm: ≥ 0.

    Example:
        >>> eroded(np.array([0, 1, 1, 1, 1, 0], bool), (2.0,), 3.0).astype(int).tolist()
        [0, 0, 1, 1, 0, 0]
    """
    from scipy.ndimage import distance_transform_edt

    if radius_mm == 0 or inside.all():
        return inside
    return np.asarray(distance_transform_edt(inside, sampling=spacing_mm) > radius_mm, np.bool_)


def dilated(inside: NDArray[np.bool_], spacing_mm: Sequence[float], radius_mm: float) -> NDArray[np.bool_]:
    """What lies within a radius of what is inside.

    Args:
        inside: ``(*grid.shape)``.
        spacing_mm: Of each axis.
        radius_mm: ≥ 0.

    Example:
        >>> dilated(np.array([0, 0, 1, 0, 0], bool), (2.0,), 3.0).astype(int).tolist()
        [0, 1, 1, 1, 0]
    """
    from scipy.ndimage import distance_transform_edt

    if radius_mm == 0 or not inside.any():
        return inside
    return np.asarray(distance_transform_edt(~inside, sampling=spacing_mm) <= radius_mm, np.bool_)


def closed(inside: NDArray[np.bool_], spacing_mm: Sequence[float], radius_mm: float) -> NDArray[np.bool_]:
    """Fill the bays and gaps that a ball of a radius does not fit into; nothing is lost.

    Args:
        inside: ``(*grid.shape)``.
        spacing_mm: Of each axis.
        radius_mm: ≥ 0.

    Example:
        >>> closed(np.array([1, 1, 0, 1, 1], bool), (1.0,), 1.0).astype(int).tolist()
        [1, 1, 1, 1, 1]
    """
    if radius_mm == 0 or not inside.any():
        return inside
    # A rim of what is not inside: what is grown beyond the image's edge must come back.
    rim = [int(np.ceil(radius_mm / s)) + 1 for s in spacing_mm]
    padded = np.pad(inside, [(n, n) for n in rim])
    grown = dilated(padded, spacing_mm, radius_mm)
    back = eroded(grown, spacing_mm, radius_mm)[tuple(slice(n, -n) for n in rim)]
    return np.asarray(back | inside, np.bool_)
