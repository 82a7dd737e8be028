"""Triangles for the polygons of a net, such that none can cut another: each stays in an envelope of its own.

The line from a voxel to a neighbour, with the segment between two vertices next to it, spans a tetrahedron. As long as
each such segment passes through the face of the cell (or of the tetrahedron) that it crosses, these envelopes fill
space without overlap. A polygon that is drawn as a fan around a point of the line lies in its own envelopes, so that
no two polygons meet but where they share an edge. A quadrilateral without that point, two triangles, is used where it
lies in them too.

Source: T. Ju and T. Udeshi, "Intersection-free contouring on an octree grid", Pacific Graphics 2006; C. C. L. Wang,
"Intersection-free dual contouring on uniform grids", CUHK technical report 2009.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.lattice import STEPS, centres, rings
from vesalius.mesh.net import Net

_MARGIN = 0.02  # of a line: no point comes nearer to its ends
_LEAST = 1e-6  # volume of an envelope, in cells

Points = NDArray[np.float64]


def origins(net: Net, flat: NDArray[np.int64]) -> NDArray[np.int32]:
    """Indices ``(n, 3)`` of voxels."""
    return np.stack(np.unravel_index(flat, net.array.shape), axis=1).astype(np.int32)


def starts(net: Net) -> Points:
    """Where each vertex is before anything is smoothed: in the middle of its cell, or of its tetrahedron, ``(V, 3)``.

    The polygons are then the faces of the voxels.
    """
    owners = net.owners
    middle: Points = (origins(net, net.cells) + np.float64(0.5))[owners]
    split = net.split[owners]
    path = (np.arange(len(owners), dtype=np.int32) - net.first[owners])[split]
    middle[split] += centres()[path]
    return middle


def restored(net: Net, points: Points) -> Points:
    """Put vertices of split cells and of those beside them back to where they started, where an envelope is broken.

    Args:
        net: The net.
        points: ``(V, 3)`` in index space, each in its cell or tetrahedron.

    Returns:
        The points, of which those that broke an envelope are back. It ends, since all of them are sound at the start.
    """
    if not len(net.fans):
        return points
    points = points.copy()
    first = starts(net)
    segments, gates = _crossings(net)
    while True:
        broken = np.unique(segments[_broken(points, segments, gates)])
        moved = broken[(points[broken] != first[broken]).any(axis=1)]
        if not len(moved):
            return points
        points[moved] = first[moved]


def triangles(net: Net, points: Points) -> tuple[Points, NDArray[np.int32], NDArray[np.int32]]:
    """Cut the polygons into triangles.

    Args:
        net: The net.
        points: ``(V, 3)`` in index space, each in its cell or tetrahedron.

    Returns:
        The points and those that were added on lines between voxels, the faces ``(F, 3)``, and the labels on their two
        sides ``(F, 2)``.
    """
    faces, sides, added = [], [], []
    count = len(points)
    safe = np.zeros(len(net.quads), np.bool_)
    for step in range(3):
        chosen = np.flatnonzero(net.quad_step == step)
        quads = net.quads[chosen]
        turned, fits = _cut(points, quads, origins(net, net.quad_from[chosen]), step)
        safe[chosen] = fits
        two = turned[fits]
        faces.append(np.concatenate([two[:, [0, 1, 2]], two[:, [0, 2, 3]]]))
        told = net.sides(net.quad_from[chosen[fits]], net.quad_step[chosen[fits]])
        sides.append(np.concatenate([told, told]))
    rest = np.flatnonzero(~safe)
    for polygons, start, kind in (
        (net.quads[rest], net.quad_from[rest], net.quad_step[rest]),
        (net.fans, net.fan_from, net.fan_step),
    ):
        if not len(polygons):
            continue
        hubs = np.arange(count, count + len(polygons), dtype=np.int32)
        count += len(polygons)
        added.append(_on_line(points, polygons, origins(net, start), kind))
        following = np.roll(polygons, -1, axis=1)
        told = net.sides(start, kind)
        for k in range(polygons.shape[1]):
            real = polygons[:, k] != following[:, k]
            faces.append(np.stack([polygons[real, k], following[real, k], hubs[real]], axis=1))
            sides.append(told[real])
    return np.concatenate([points, *added]), np.concatenate(faces), np.concatenate(sides)


def _cut(
    points: Points, quads: NDArray[np.int32], start: NDArray[np.int32], step: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Quadrilaterals turned so that the diagonal from their first vertex is the better one, and whether it is sound."""
    b, c = ((1, 2), (2, 0), (0, 1))[step]
    # Seen along the line between the voxels, which runs from 0 to 1 in `height` above the origin of the plane.
    local = points[quads] - start[:, None, :]
    height, plane = local[..., step], local[..., [b, c]]
    lengths = [np.square(local[:, k] - local[:, k + 2]).sum(axis=1) for k in (0, 1)]
    straight, other = (_fits(height, plane, k) for k in (0, 1))
    turn = np.where(straight & other, lengths[1] < lengths[0], other)
    turned = np.where(turn[:, None], np.roll(quads, -1, axis=1), quads)
    return turned, straight | other


def _fits(height: Points, plane: Points, first: int) -> NDArray[np.bool_]:
    """Whether the diagonal from a vertex keeps both triangles in the envelopes."""
    one, opposite = (plane[:, (first + k) % 4] for k in (0, 2))
    low, high = (height[:, (first + k) % 4] for k in (0, 2))
    # > 0: the line is on the left of the diagonal, on the side of the last vertex.
    area = one[:, 0] * opposite[:, 1] - one[:, 1] * opposite[:, 0]
    fits = np.zeros(len(height), np.bool_)
    for side, sign in ((3, 1.0), (1, -1.0)):
        corner, top = plane[:, (first + side) % 4], height[:, (first + side) % 4]
        far, apex = plane[:, (first + 4 - side) % 4], height[:, (first + 4 - side) % 4]
        # Where the line meets the triangle of the diagonal and the vertex on its side.
        weights = np.stack([_area(opposite, corner), _area(corner, one), area], axis=1) * sign
        total = weights.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            met = (weights[:, 0] * low + weights[:, 1] * high + weights[:, 2] * top) / total
            # Where the diagonal crosses the half plane of the line and the vertex on the other side.
            share = _area(far, one) / (_area(far, one) - _area(far, opposite))
            crossing = one + share[:, None] * (opposite - one)
            reach = (crossing * far).sum(axis=1) / np.square(far).sum(axis=1)
            crossed = low + share * (high - low)
            inside = (
                (weights >= 0).all(axis=1) & (total > 0) & (met > _MARGIN) & (met < 1 - _MARGIN)
                & (share > 0) & (share < 1) & (reach >= 0) & (reach < 1)
                & (crossed >= reach * apex) & (crossed <= 1 - reach + reach * apex)
            )  # fmt: skip
        np.logical_or(fits, inside, out=fits)
    return fits


def _area(one: Points, other: Points) -> NDArray[np.float64]:
    return one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]


def _on_line(points: Points, polygons: NDArray[np.int32], start: NDArray[np.int32], step: NDArray[np.int8]) -> Points:
    """The point of each line between voxels that is nearest to the middle of its polygon's corners."""
    directions = np.asarray(STEPS, np.float64)[step]
    fresh = polygons != np.roll(polygons, 1, axis=1)
    middle = np.einsum("pk,pkx->px", fresh, points[polygons]) / fresh.sum(axis=1)[:, None]
    along = ((middle - start) * directions).sum(axis=1) / np.square(directions).sum(axis=1)
    found: Points = start + np.clip(along, 0.1, 0.9)[:, None] * directions
    return found


def _crossings(net: Net) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The segments of fans ``(n, 2)``, and the triangle of voxels ``(n, 3, 3)`` that each must pass through."""
    segments, gates = [], []
    split = net.split[net.owners]
    for step, ring in enumerate(rings()):
        chosen = np.flatnonzero(net.fan_step == step)
        start = origins(net, net.fan_from[chosen])
        for k, third in enumerate(ring.between):
            pair = np.stack([net.fans[chosen, k], net.fans[chosen, (k + 1) % len(ring.between)]], axis=1)
            # Between two cells of one vertex each the whole face is the gate, which nothing in them can miss.
            real = (pair[:, 0] != pair[:, 1]) & split[pair].any(axis=1)
            corners = np.asarray([(0, 0, 0), STEPS[step], third], np.int32)
            segments.append(pair[real])
            gates.append(start[real, None, :] + corners)
    return np.concatenate(segments), np.concatenate(gates)


def _broken(points: Points, segments: NDArray[np.int32], gates: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which segments miss their triangle."""
    one, other = points[segments[:, 0]], points[segments[:, 1]]
    volumes = np.stack([
        np.einsum("ij,ij->i", np.cross(gates[:, k] - one, gates[:, (k + 1) % 3] - one), other - one) for k in range(3)
    ])  # fmt: skip
    low, high = volumes.min(axis=0), volumes.max(axis=0)
    broken: NDArray[np.bool_] = (low <= _LEAST) & (high >= -_LEAST)
    return broken
