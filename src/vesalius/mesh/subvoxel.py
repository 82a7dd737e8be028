"""Where, between voxels, one structure becomes likelier than another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Volume
from vesalius.mesh.envelope import Points, origins, starts
from vesalius.mesh.lattice import CORNERS
from vesalius.mesh.net import Net, corner_labels
from vesalius.mesh.relax import neighbours

_ROOM = 0.48  # of a cell, to each side: as in smoothing
_NEAREST = 0.02  # to a voxel, as a share of the way to the next
_TURNS = 3
_CUT = 1.0
_BROAD = 2


def placed(net: Net, probabilities: Volume, low: NDArray[np.int64], border: NDArray[np.bool_]) -> Points:
    """Put each vertex where the two structures at it are equally likely.

    In cells of two structures: on the surface where the interpolated probabilities are equal, by Newton's method from
    the mean of the points where the cell's edges cross it. In cells of more: at that mean. Split cells keep theirs.

    Args:
        net: The net.
        probabilities: ``1 + labels`` channels, in the order of the net's numbers.
        low: ``(3,)``: where the net's array, without its rim, begins in the image.
        border: ``(V, 3)``: axes that are to be kept.

    Returns:
        ``(V, 3)`` in index space; each vertex in its cell.
    """
    points = starts(net)
    whole = np.flatnonzero(~net.split)
    corners = corner_labels(net.array, net.cells[whole]).astype(np.int64)
    one, other = corners.min(axis=0), corners.max(axis=0)
    two = ((corners == one) | (corners == other)).all(axis=0)
    places = origins(net, net.cells[whole])
    values = _Values(probabilities, low)
    at = np.asarray(CORNERS)
    # Edges of the cell: from each corner along each axis on which it is low.
    total, crossings = np.zeros((len(whole), 3)), np.zeros(len(whole))
    for corner in range(len(CORNERS)):
        for axis in range(3):
            if at[corner, axis]:
                continue
            far = corner | (4 >> axis)
            found = np.flatnonzero(corners[corner] != corners[far])
            ours, theirs = corners[corner][found], corners[far][found]
            begin = values.of(places[found] + at[corner], ours, theirs)
            end = values.of(places[found] + at[far], ours, theirs)
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.where((begin > 0) & (end < 0), begin / (begin - end), 0.5)
            point = np.tile(at[corner].astype(np.float64), (len(found), 1))
            point[:, axis] = np.clip(share, _NEAREST, 1 - _NEAREST)
            # Where the image ends nothing is known of the far end: such an edge only counts where there is no other.
            weight = np.where(values.has(places[found] + at[corner]) & values.has(places[found] + at[far]), 1.0, 1e-9)
            total[found] += weight[:, None] * point
            crossings[found] += weight
    local = total / np.where(crossings > 0, crossings, 1)[:, None]
    vertex = net.first[whole]
    free = two & ~border[vertex].any(axis=1)
    gaps = np.stack([values.of(places[free] + corner, other[free], one[free]) for corner in at], axis=1)
    local[free] = _onto(local[free], gaps)
    local = np.clip(local, 0.5 - _ROOM, 0.5 + _ROOM)
    points[vertex] = np.where(border[vertex], points[vertex], places + local)
    return points


class _Values:
    """By how much a structure is likelier than another at voxels of a net; its rim is as the voxels beside it."""

    def __init__(self, probabilities: Volume, low: NDArray[np.int64]) -> None:
        self._array = probabilities.array
        self._low = low - 1
        self._last = np.asarray(probabilities.grid.shape) - 1

    def has(self, places: NDArray[np.integer]) -> NDArray[np.bool_]:
        at = places + self._low
        return np.logical_and.reduce([(at >= 0), (at <= self._last)]).all(axis=1)  # type: ignore[no-any-return]

    def of(self, places: NDArray[np.integer], one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
        x, y, z = np.clip(places + self._low, 0, self._last).T
        found: NDArray[np.float64] = self._array[one, x, y, z].astype(np.float64) - self._array[other, x, y, z]
        return found


def _onto(local: Points, gaps: NDArray[np.float64]) -> Points:
    """Move points of unit cells onto the zero of what is interpolated from the corners, along its gradient."""
    start = local
    for _ in range(_TURNS):
        value, slope = _interpolated(local, gaps)
        steep = np.square(slope).sum(axis=1)
        step = -value / np.where(steep > 0, steep, 1)
        moved = local + step[:, None] * slope
        local = np.clip(np.where((steep > 0)[:, None], moved, local), 0.5 - _ROOM, 0.5 + _ROOM)
    better = np.abs(_interpolated(local, gaps)[0]) < np.abs(_interpolated(start, gaps)[0])
    return np.where(better[:, None], local, start)


def _interpolated(local: Points, gaps: NDArray[np.float64]) -> tuple[NDArray[np.float64], Points]:
    """Trilinear interpolation and its gradient."""
    weights = np.stack([1 - local, local], axis=1)  # (n, low or high, axis)
    value, slope = np.zeros(len(local)), np.zeros_like(local)
    for number, (i, j, k) in enumerate(CORNERS):
        x, y, z = weights[:, i, 0], weights[:, j, 1], weights[:, k, 2]
        gap = gaps[:, number]
        value += gap * x * y * z
        slope[:, 0] += gap * (2 * i - 1) * y * z
        slope[:, 1] += gap * (2 * j - 1) * x * z
        slope[:, 2] += gap * (2 * k - 1) * x * y
    return value, slope


def uncut(net: Net, points: Points, spacing_mm: tuple[float, ...], border: NDArray[np.bool_]) -> Points:
    """Give back what is taken from what is round by interpolation between voxels, flat triangles and voxels themselves.

    On a sphere of radius R each of the first two takes h²/6R on average from a net of width h, two thirds together of
    how far a vertex stands out of its neighbours, h²/2R; and where probabilities are means over voxels, half lies
    h²/12R too deep, a sixth of it. On balls of 10 to 20 mm in slices of 1 to 3 mm the whole of it was nearest to the
    closed form, for means over voxels (volumes within 0.9 %) and for values at their centres. It is taken as the mean
    of some neighbourhood, along the normal.

    Args:
        net: The net.
        points: ``(V, 3)`` in index space, on the surface of equal probabilities.
        spacing_mm: Of the axes.
        border: ``(V, 3)``: where structures are cut; such vertices stay.

    Returns:
        The points; those that would leave their cell stop there.

    Source: for a triangle with corners on a sphere, R² - |x|² is the sum of λᵢλⱼ|vᵢ - vⱼ|², whose mean is a twelfth of
        the sum of squared sides; along a line of length h, what is interpolated linearly errs by h²/12R on average, on
        on two axes; over a segment of length h, a parabola of curvature 1/R deviates by h²/24R on average.
    """
    links = neighbours(net)
    counts = np.maximum(np.diff(links.indptr), 1)
    scaled = points * spacing_mm
    normals = _normals(net, scaled)
    normals[border.any(axis=1)] = 0  # the edge of a cut is meant to be sharp
    out = np.einsum("ij,ij->i", scaled - (links @ scaled) / counts[:, None], normals)
    for _ in range(_BROAD):
        out = (out + (links @ out) / counts) / 2
    moved = points + _CUT * out[:, None] * normals / spacing_mm
    middle = starts(net)
    inside = np.clip(moved, middle - _ROOM, middle + _ROOM)
    return np.where(net.split[net.owners][:, None], points, inside)


def _normals(net: Net, scaled: Points) -> Points:
    """Unit normals from the first to the second of two labels, 0 where more meet or a cell is split."""
    total = np.zeros_like(scaled)
    a, b, c, d = (scaled[net.quads[:, k]] for k in range(4))
    across = np.cross(c - a, d - b)
    sides = net.sides(net.quad_from, net.quad_step)
    across[sides[:, 0] > sides[:, 1]] *= -1
    for k in range(4):
        for axis in range(3):
            total[:, axis] += np.bincount(net.quads[:, k], across[:, axis], len(total))
    corners = corner_labels(net.array, net.cells)
    two = np.logical_or(corners == corners.min(axis=0), corners == corners.max(axis=0)).all(axis=0)
    total[~(two & ~net.split)[net.owners]] = 0
    length = np.linalg.norm(total, axis=1)
    normals: Points = total / np.where(length > 0, length, 1)[:, None]
    return normals
