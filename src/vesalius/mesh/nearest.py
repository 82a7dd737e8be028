"""How far points lie from a surface, to its triangles and not only to its vertices, and on which side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from vesalius.errors import DataError
from vesalius.mesh.surface import Surface

Points = NDArray[np.float64]

_LEAF = 8  # triangles in the smallest boxes
_WIDE = 64  # boxes at most on the level with which a search begins
_AT_ONCE = 1 << 14  # points
_BITS = 20  # of each coordinate on the curve along which triangles are put in order
_SLACK = 1e-9  # of a distance: what rounding may take from a box


@dataclass(frozen=True, eq=False)
class Nearest:
    """Where a surface is nearest to points.

    Args:
        distance_mm: ``(n,)``, of each point; negative inside.
        points: ``(n, 3)``, the nearest point of the surface, mm, LPS.
    """

    distance_mm: NDArray[np.float64]
    points: Points


def nearest(surface: Surface, points: ArrayLike) -> Nearest:
    """Find the nearest point of a surface, and the signed distance to it, exactly.

    Args:
        surface: Not empty. The sign has a meaning where it is closed and looks outwards; a cavity counts as outside.
        points: ``(n, 3)``, mm, LPS.

    Returns:
        Distances and nearest points; of several at the same distance, any.

    Raises:
        DataError: The surface is empty, or the points are not ``(n, 3)`` and finite.

    Example:
        >>> from vesalius.image import Label
        >>> corners = [[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]]
        >>> tetrahedron = Surface(corners, [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], Label("tetrahedron", 1))
        >>> nearest(tetrahedron, [[1, 1, -2], [2, 2, 1]]).distance_mm.tolist()
        [2.0, -1.0]

    Source: the nearest point of a triangle: C. Ericson, Real-Time Collision Detection, 2005, 5.1.5. The sign: that of
    the normal of the face, edge or corner which is nearest, a corner's weighted by the angles of its faces:
    J. A. Bærentzen, H. Aanæs, IEEE TVCG 11:243 (2005), doi:10.1109/TVCG.2005.49. Boxes over triangles in the order of a
    Z-curve: C. Lauterbach et al., Computer Graphics Forum 28:375 (2009), doi:10.1111/j.1467-8659.2009.01377.x.
    """
    asked = np.asarray(points, np.float64)
    if surface.is_empty:
        raise DataError(f"{surface.label.name} is empty: nothing of it is near")
    if asked.ndim != 2 or asked.shape[1] != 3 or not np.isfinite(asked).all():
        raise DataError(f"points must be (n, 3) and finite, not of shape {asked.shape}")
    boxes = _Boxes(surface)
    used = surface.vertices[np.unique(surface.faces)]
    # No vertex is nearer than the surface: what is farther than the nearest one needs no look.
    most = cKDTree(used).query(asked)[0] * (1 + _SLACK) + _SLACK
    normals = _Normals(surface)
    distance, near = np.empty(len(asked)), np.empty((len(asked), 3))
    for start in range(0, len(asked), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        near[part], outwards = _search(boxes, normals, asked[part], most[part])
        away = asked[part] - near[part]
        sign = np.where(np.einsum("ij,ij->i", away, outwards) < 0, -1.0, 1.0)
        distance[part] = np.linalg.norm(away, axis=1) * sign
    return Nearest(distance, near)


class _Boxes:
    """Boxes that hold triangles, from the smallest, of `_LEAF`, in pairs up to at most `_WIDE`."""

    def __init__(self, surface: Surface) -> None:
        corners = surface.vertices[surface.faces]
        middle = corners.mean(axis=1)
        low, high = middle.min(axis=0), middle.max(axis=0)
        steps = (middle - low) / max(float((high - low).max()), 1e-12) * ((1 << _BITS) - 1)
        order = np.argsort(_interleaved(steps.astype(np.uint64)), kind="stable")
        # The last box is filled up with its last triangle.
        count = -(-len(order) // _LEAF)
        self.order = np.concatenate([order, np.repeat(order[-1:], count * _LEAF - len(order))])
        self.corners = corners[self.order]
        ends = self.corners.reshape(count, -1, 3)
        self.levels = [(ends.min(axis=1), ends.max(axis=1))]
        while len(self.levels[-1][0]) > _WIDE:
            least, most = (np.concatenate([one, one[-1:]]) if len(one) % 2 else one for one in self.levels[-1])
            self.levels.append((np.minimum(least[::2], least[1::2]), np.maximum(most[::2], most[1::2])))

    def leaves(self, points: Points, most: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs of points and smallest boxes that may be near enough; in the order of points."""
        top = len(self.levels[-1][0])
        which, box = np.repeat(np.arange(len(points)), top), np.tile(np.arange(top), len(points))
        for number, (low, high) in enumerate(reversed(self.levels)):
            if number:  # each box is halved, the last one perhaps not
                which, box = np.repeat(which, 2), (2 * np.repeat(box, 2) + np.tile([0, 1], len(box)))
                there = box < len(low)
                which, box = which[there], box[there]
            at = points[which]
            gap = np.maximum(np.maximum(low[box] - at, at - high[box]), 0.0)
            close = np.einsum("ij,ij->i", gap, gap) <= most[which] ** 2
            which, box = which[close], box[close]
        return which, box


class _Normals:
    """The directions outwards of faces, edges and corners."""

    def __init__(self, surface: Surface) -> None:
        faces, corners = surface.faces, surface.vertices[surface.faces]
        sides = np.roll(corners, -1, axis=1) - corners  # 0 → 1, 1 → 2, 2 → 0
        face = np.cross(sides[:, 0], -sides[:, 2])
        length = np.linalg.norm(face, axis=1, keepdims=True)
        self.face = np.divide(face, length, out=np.zeros_like(face), where=length > 0)
        ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1).astype(np.int64)
        _, number = np.unique(ends[:, 0] * len(surface.vertices) + ends[:, 1], return_inverse=True)
        self.edge_of = number.reshape(-1, 3)
        self.edge = _summed(number, np.repeat(self.face, 3, axis=0), int(number.max()) + 1)
        unit = sides / np.maximum(np.linalg.norm(sides, axis=2, keepdims=True), 1e-300)
        angles = np.arccos(np.clip(-np.einsum("fcx,fcx->fc", unit, np.roll(unit, 1, axis=1)), -1, 1))
        weighted = self.face[:, None, :] * angles[..., None]
        self.corner_of = faces
        self.corner = _summed(faces.reshape(-1), weighted.reshape(-1, 3), len(surface.vertices))

    def at(self, face: NDArray[np.int64], shares: Points) -> Points:
        """Of the feature of a face at which a point lies, by the shares of its corners."""
        zero = shares == 0
        found: Points = self.face[face]
        edge = zero.sum(axis=1) == 1
        # The edge from a corner to the next lies across from the one after that.
        across = (np.argmax(zero[edge], axis=1) + 1) % 3
        found[edge] = self.edge[self.edge_of[face[edge], across]]
        corner = zero.sum(axis=1) == 2
        found[corner] = self.corner[self.corner_of[face[corner], np.argmin(zero[corner], axis=1)]]
        return found


def _search(boxes: _Boxes, normals: _Normals, points: Points, most: NDArray[np.float64]) -> tuple[Points, Points]:
    """The nearest point of the surface for each point, and the direction outwards there."""
    which, box = boxes.leaves(points, most)
    best = np.full(len(points), np.inf)
    near, outwards = np.zeros_like(points), np.zeros_like(points)
    for part in _parts(which):
        triangle = (box[part, None] * _LEAF + np.arange(_LEAF)).reshape(-1)
        point = np.repeat(which[part], _LEAF)
        corners = boxes.corners[triangle]
        shares = _shares(corners, points[point])
        found = np.einsum("nc,ncx->nx", shares, corners)
        far = np.square(points[point] - found).sum(axis=1)
        starts = np.flatnonzero(np.diff(point, prepend=-1))
        owner = point[starts]
        least = np.minimum.reduceat(far, starts)
        hits = np.flatnonzero(far == np.repeat(least, np.diff(starts, append=len(far))))
        first = hits[np.flatnonzero(np.diff(point[hits], prepend=-1))]
        better = least < best[owner]
        chosen, owner = first[better], owner[better]
        best[owner], near[owner] = least[better], found[chosen]
        outwards[owner] = normals.at(boxes.order[triangle[chosen]], shares[chosen])
    return near, outwards


def _parts(which: NDArray[np.int64]) -> Iterator[slice]:
    """Pairs in pieces of a size that memory bears."""
    step = _AT_ONCE * 4
    for start in range(0, len(which), step):
        yield slice(start, start + step)


def _shares(corners: Points, points: Points) -> Points:
    """The shares of a triangle's corners in its point that is nearest to another: exactly 0 off the inside."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac = b - a, c - a
    d1, d2 = _dot(ab, points - a), _dot(ac, points - a)
    d3, d4 = _dot(ab, points - b), _dot(ac, points - b)
    d5, d6 = _dot(ab, points - c), _dot(ac, points - c)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    shares = np.zeros((len(points), 3))
    left = np.ones(len(points), np.bool_)

    def take(chosen: NDArray[np.bool_], first: int, second: int | None, top: NDArray[np.float64], rest: Points) -> None:
        chosen = left & chosen
        if second is None:
            shares[chosen, first] = 1.0
        else:
            whole = top[chosen] + rest[chosen]
            share = np.divide(top[chosen], whole, out=np.zeros(len(whole)), where=whole > 0)
            shares[chosen, first], shares[chosen, second] = 1.0 - share, share
        left[chosen] = False

    take((d1 <= 0) & (d2 <= 0), 0, None, d1, d1)
    take((d3 >= 0) & (d4 <= d3), 1, None, d1, d1)
    take((d6 >= 0) & (d5 <= d6), 2, None, d1, d1)
    take((vc <= 0) & (d1 >= 0) & (d3 <= 0), 0, 1, d1, -d3)
    take((vb <= 0) & (d2 >= 0) & (d6 <= 0), 0, 2, d2, -d6)
    take((va <= 0) & (d4 >= d3) & (d5 >= d6), 1, 2, d4 - d3, d5 - d6)
    total = va + vb + vc
    flat = left & ~(total > 0)  # without an area: its neighbours cover it
    shares[flat, 0] = 1.0
    left &= ~flat
    shares[left] = np.stack([va, vb, vc], axis=1)[left] / total[left, None]
    return shares


def _dot(one: Points, other: Points) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.einsum("ij,ij->i", one, other)
    return found


def _summed(numbers: NDArray[np.integer], vectors: Points, count: int) -> Points:
    return np.stack([np.bincount(numbers, vectors[:, axis], minlength=count) for axis in range(3)], axis=1)


def _interleaved(steps: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The bits of three coordinates in turn: places along a Z-curve."""
    found = np.zeros(len(steps), np.uint64)
    for bit in range(_BITS):
        for axis in range(3):
            found |= ((steps[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return found
