"""From contours to masks: what polygons enclose, and what lines pass through."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PAIRS = 1 << 21  # pairs of edge and row at a time
_STEP = 0.25  # pixels, between the places at which a line is looked at


def fill(polygon: NDArray[np.float64], plane: NDArray[np.bool_]) -> int:
    """Turn over the pixels whose centres a polygon encloses, by the even-odd rule.

    Turning over makes an exclusive or of several polygons, so that a hole drawn as a contour of its own is a hole.
    A centre that lies on an edge counts as inside at the lower side of the polygon, as outside at the upper.

    Args:
        polygon: ``(n, 2)`` corners in indices of the plane, closed by itself; may reach beyond the plane.
        plane: ``(i, j)``, changed in place.

    Returns:
        The number of pixels that were turned over.

    Example:
        >>> plane = np.zeros((3, 4), bool)
        >>> fill(np.array([[0.5, 0.5], [2.5, 0.5], [2.5, 2.5], [0.5, 2.5]]), plane)
        4
        >>> plane.astype(int)
        array([[0, 0, 0, 0],
               [0, 1, 1, 0],
               [0, 1, 1, 0]])
    """
    corners = np.round(polygon, 6)  # noise of the affine must not decide for a centre that lies on an edge
    ends = np.roll(corners, -1, axis=0)
    swapped = (corners[:, 1] > ends[:, 1])[:, None]
    # Always upwards: an edge that is walked there and back, as a keyhole's, crosses each row at the same place.
    low, high = np.where(swapped, ends, corners), np.where(swapped, corners, ends)
    begins = np.clip(np.ceil(low[:, 1]), 0, plane.shape[1]).astype(np.int64)
    stops = np.clip(np.ceil(high[:, 1]), 0, plane.shape[1]).astype(np.int64)
    crossing = stops > begins
    low, high, begins, stops = low[crossing], high[crossing], begins[crossing], stops[crossing]
    if not begins.size:
        return 0
    first = int(np.clip(np.floor(low[:, 0].min(initial=np.inf)), 0, plane.shape[0]))
    first = min(first, int(np.clip(np.floor(high[:, 0].min()), 0, plane.shape[0])))
    last = int(np.clip(np.ceil(max(low[:, 0].max(), high[:, 0].max())) + 1, 0, plane.shape[0]))
    top, bottom = int(begins.min()), int(stops.max())
    if last <= first:
        return 0
    turned = np.zeros((last - first + 1, bottom - top), dtype=np.int64)
    lengths = stops - begins
    blocks = np.flatnonzero(np.diff(np.cumsum(lengths) // _PAIRS, prepend=0))
    for some in np.split(np.arange(len(begins)), blocks):
        edge = np.repeat(some, lengths[some])
        row = np.arange(edge.size) - np.repeat(np.cumsum(lengths[some]) - lengths[some], lengths[some]) + begins[edge]
        slope = (high[edge, 0] - low[edge, 0]) / (high[edge, 1] - low[edge, 1])
        column = np.ceil(low[edge, 0] + (row - low[edge, 1]) * slope)
        column = np.clip(column, first, last).astype(np.int64) - first
        turned += np.bincount(column * turned.shape[1] + row - top, minlength=turned.size).reshape(turned.shape)
    inside = np.cumsum(turned, axis=0)[:-1] % 2 == 1
    plane[first:last, top:bottom] ^= inside
    return int(inside.sum())


def enclosed(polygon: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points of a plane a polygon encloses, by the even-odd rule.

    Args:
        polygon: ``(n, 2)`` corners.
        points: ``(m, 2)``, anywhere in the plane.

    Returns:
        ``(m,)``.

    Example:
        >>> square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
        >>> enclosed(square, np.array([[1.0, 1.0], [3.0, 1.0]]))
        array([ True, False])
    """
    order = np.argsort(points[:, 1], kind="stable")
    across, along = points[order].T
    found = np.zeros(len(points), dtype=np.bool_)
    ends = np.roll(polygon, -1, axis=0)
    swapped = (polygon[:, 1] > ends[:, 1])[:, None]
    low, high = np.where(swapped, ends, polygon), np.where(swapped, polygon, ends)
    begins, stops = np.searchsorted(along, low[:, 1]), np.searchsorted(along, high[:, 1])
    for edge in np.flatnonzero(stops > begins):
        some = slice(begins[edge], stops[edge])
        slope = (high[edge, 0] - low[edge, 0]) / (high[edge, 1] - low[edge, 1])
        found[some] ^= across[some] >= low[edge, 0] + (along[some] - low[edge, 1]) * slope
    answer = np.empty_like(found)
    answer[order] = found
    return answer


def passed(line: NDArray[np.float64], shape: tuple[int, ...], *, closed: bool) -> NDArray[np.intp]:
    """The voxels that a line passes through.

    Args:
        line: ``(n, axes)`` points in indices; one alone is a point. May reach beyond the image.
        shape: Of the image.
        closed: Whether the last point is joined to the first.

    Returns:
        ``(m, axes)`` indices inside the image, each once. A voxel of which the line only cuts off a corner shorter than
        a quarter of a voxel may be missing.

    Example:
        >>> passed(np.array([[0.0, 0.0], [0.0, 2.0]]), (3, 3), closed=False).tolist()
        [[0, 0], [0, 1], [0, 2]]
    """
    ends = np.roll(line, -1, axis=0) if closed else line[1:]
    starts = line if closed else line[:-1]
    if len(line) == 1:
        starts = ends = line
    low, high = np.full(len(starts), 0.0), np.full(len(starts), 1.0)
    way = ends - starts
    for axis, length in enumerate(shape):  # the part of each piece that lies in the image
        with np.errstate(divide="ignore", invalid="ignore"):
            enter, leave = ((bound - starts[:, axis]) / way[:, axis] for bound in (-0.5, length - 0.5))
        still = way[:, axis] == 0
        within = (starts[:, axis] >= -0.5) & (starts[:, axis] <= length - 0.5)
        low = np.where(still, np.where(within, low, 2.0), np.fmax(low, np.fmin(enter, leave)))
        high = np.where(still, high, np.fmin(high, np.fmax(enter, leave)))
    samples = []
    for piece in np.flatnonzero(low <= high):
        length = float(np.abs(way[piece]).max()) * (high[piece] - low[piece])
        at = np.linspace(low[piece], high[piece], int(np.ceil(length / _STEP)) + 1)
        samples.append(starts[piece] + at[:, None] * way[piece])
    if not samples:
        return np.empty((0, len(shape)), dtype=np.intp)
    places = np.floor(np.concatenate(samples) + 0.5).astype(np.intp)
    return np.unique(np.clip(places, 0, np.asarray(shape) - 1), axis=0)
