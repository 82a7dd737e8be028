"""Triangles of a mesh that cut one another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1 << 20  # pairs that are looked at together
_FLAT = 1e-10  # of the size of a pair: nearer to a plane than that is in it
_THIN = 1e-6  # of the same: where seen from above they lie beside each other, they do not cut

Points = NDArray[np.float64]
Faces = NDArray[np.int32]


def crossings(vertices: Points, faces: Faces, *, among: NDArray[np.bool_] | None = None) -> NDArray[np.int32]:
    """Find all pairs of triangles that share more than the vertices and edges that they have in common.

    Boxes are sorted into cells, of a size for each power of two of the triangles' sizes; pairs whose boxes meet are
    tested by the signs of volumes, in float64. Triangles in one plane are tested in it.

    Args:
        vertices: ``(V, 3)``.
        faces: ``(F, 3)``.
        among: ``(F,)``: only pairs with at least one of these; all, if left out.

    Returns:
        ``(n, 2)``: pairs of faces, each once, the smaller number first.

    Example:
        >>> points = [[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, -1], [1, 1, 1], [2, 1, 1]]
        >>> crossings(np.asarray(points, float), np.asarray([[0, 1, 2], [3, 4, 5]], np.int32)).tolist()
        [[0, 1]]
    """
    found = [np.zeros((0, 2), np.int32)]
    for pairs in _neighbours(vertices, faces, among):
        for begin in range(0, len(pairs), _AT_ONCE):
            some = pairs[begin : begin + _AT_ONCE]
            found.append(some[_cut(vertices, faces[some[:, 0]], faces[some[:, 1]])])
    return np.concatenate(found)


def _neighbours(vertices: Points, faces: Faces, among: NDArray[np.bool_] | None) -> Iterator[Faces]:
    """Pairs of faces whose boxes meet, each once."""
    if not len(faces):
        return
    corners = vertices[faces]
    low, high = corners.min(axis=1), corners.max(axis=1)
    extent = (high - low).max(axis=1)
    least = max(float(np.median(extent)), float(extent.max()) * 2.0**-20, 1e-12)
    levels = np.maximum(np.ceil(np.log2(np.maximum(extent, least) / least)), 0).astype(np.int8)
    origin = low.min(axis=0)
    for level in np.unique(levels):
        size = least * 2.0**level
        own = np.flatnonzero(levels == level)
        mine = _cells(low[own], high[own], origin, size)
        held, cells = own[mine[0]], mine[1]
        finer = np.flatnonzero(levels < level)
        theirs = _cells(low[finer], high[finer], origin, size)
        guests = np.concatenate([held, finer[theirs[0]]])
        places = np.concatenate([cells, theirs[1]])
        order = np.argsort(cells, kind="stable")
        held, cells = held[order], cells[order]
        for begin in range(0, len(guests), _AT_ONCE):
            some = slice(begin, begin + _AT_ONCE)
            start = np.searchsorted(cells, places[some], "left")
            count = np.searchsorted(cells, places[some], "right") - start
            one = np.repeat(guests[some], count)
            at = np.repeat(start - np.cumsum(count) + count, count) + np.arange(int(count.sum()))
            other = held[at]
            where = np.repeat(places[some], count)
            kept = (levels[one] < level) | (one < other)
            if among is not None:
                kept &= among[one] | among[other]
            one, other, where = one[kept], other[kept], where[kept]
            corner = np.maximum(low[one], low[other])
            kept = (corner <= np.minimum(high[one], high[other])).all(axis=1)
            # Boxes meet in several cells; the one that holds the first corner of what they share tells.
            kept &= _key(np.floor((corner - origin) / size).astype(np.int64)) == where
            yield np.sort(np.stack([one[kept], other[kept]], axis=1), axis=1).astype(np.int32)


def _cells(low: Points, high: Points, origin: Points, size: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cells that boxes touch: the number of the box, and the cell."""
    first = np.floor((low - origin) / size).astype(np.int64)
    spans = np.floor((high - origin) / size).astype(np.int64) - first + 1
    count = spans.prod(axis=1)
    box = np.repeat(np.arange(len(low)), count)
    place = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    spans = spans[box]
    steps = np.stack([place // (spans[:, 1] * spans[:, 2]), place // spans[:, 2] % spans[:, 1], place % spans[:, 2]], 1)
    return box, _key(first[box] + steps)


def _key(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    # 21 bits an axis: the finest cells are at least a 2²⁰th of the largest triangle, and wrapping does no harm.
    found: NDArray[np.int64] = ((cells[:, 0] << 42) ^ (cells[:, 1] << 21)) ^ cells[:, 2]
    return found


def _cut(vertices: Points, one: Faces, other: Faces) -> NDArray[np.bool_]:
    """Which pairs of triangles cut each other."""
    same = one[:, :, None] == other[:, None, :]
    mine, theirs = same.any(axis=2), same.any(axis=1)
    shared = mine.sum(axis=1)
    cut = np.zeros(len(one), np.bool_)
    edge = np.flatnonzero(shared >= 2)
    cut[edge] = _folded(vertices, one[edge], other[edge])
    rest = np.flatnonzero(shared < 2)
    # From a corner of the pair, so that nothing cancels far from the origin.
    base = vertices[one[rest, :1]]
    a, b = vertices[one[rest]] - base, vertices[other[rest]] - base
    size = np.maximum(np.abs(a).max(axis=(1, 2)), np.abs(b).max(axis=(1, 2)))
    above, flat, apart = _heights(a, b, size, theirs[rest])
    left = np.flatnonzero(~apart)
    below, level, apart = _heights(b[left], a[left], size[left], mine[rest[left]])
    level |= flat[left]
    near = left[~apart & ~level]
    crossed = _pierced(a[near], b[near], above[near], theirs[rest[near]])
    crossed |= _pierced(b[near], a[near], below[~apart & ~level], mine[rest[near]])
    # In nearly one plane, a corner that counts as in it may stand for a line that goes through elsewhere.
    thin = np.flatnonzero(crossed & (np.abs(above[near]).max(axis=1) <= _THIN * size[near] ** 3))
    crossed[thin] = _overlap(a[near[thin]], b[near[thin]])
    cut[rest[near]] = crossed
    planar = left[level]
    cut[rest[planar]] = _overlap(a[planar], b[planar])
    return cut


def _folded(vertices: Points, one: Faces, other: Faces) -> NDArray[np.bool_]:
    """Whether triangles with a common edge lie on each other."""
    a, b = vertices[one], vertices[other]
    normals = [np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]) for t in (a, b)]
    lengths = np.linalg.norm(normals[0], axis=1) * np.linalg.norm(normals[1], axis=1)
    level = np.flatnonzero(np.abs(np.einsum("ij,ij->i", *normals)) >= (1 - _FLAT) * lengths)
    found = np.zeros(len(one), np.bool_)
    found[level] = _overlap(a[level], b[level])
    return found


def _heights(
    triangle: Points, points: Points, size: NDArray[np.float64], shared: NDArray[np.bool_]
) -> tuple[Points, NDArray[np.bool_], NDArray[np.bool_]]:
    """Six times the volumes between a triangle and points; whether all lie in its plane; whether all on one side."""
    normal = np.cross(triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0])
    heights: Points = np.einsum("nkx,nx->nk", points - triangle[:, :1], normal)
    heights[np.abs(heights) <= _FLAT * size[:, None] ** 3] = 0
    # A corner that both have touches, and does not cut.
    above, below = np.where(shared, 1.0, heights).min(axis=1), np.where(shared, -1.0, heights).max(axis=1)
    flat: NDArray[np.bool_] = np.logical_not(heights.any(axis=1))
    apart: NDArray[np.bool_] = np.logical_or(above > 0, below < 0)
    return heights, flat, apart


def _pierced(triangle: Points, other: Points, heights: Points, shared: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a side of the other triangle goes through the triangle; not a side that starts at a shared corner."""
    found = np.zeros(len(triangle), np.bool_)
    for k in range(3):
        m = (k + 1) % 3
        crossing = (heights[:, k] * heights[:, m] <= 0) & (heights[:, k] != heights[:, m])
        at = np.flatnonzero(crossing & ~shared[:, k] & ~shared[:, m])
        if not len(at):
            continue
        start, along = other[at, k], other[at, m] - other[at, k]
        volumes = np.stack([
            np.einsum("ij,ij->i", np.cross(triangle[at, n] - start, triangle[at, (n + 1) % 3] - start), along)
            for n in range(3)
        ])  # fmt: skip
        found[at] |= (volumes >= 0).all(axis=0) | (volumes <= 0).all(axis=0)
    return found


def _overlap(one: Points, other: Points) -> NDArray[np.bool_]:
    """Whether triangles in one plane share an area: no side of either has the two on different sides."""
    normal = np.cross(one[:, 1] - one[:, 0], one[:, 2] - one[:, 0])
    separated = np.zeros(len(one), np.bool_)
    for triangle in (one, other):
        for k in range(3):
            across = np.cross(normal, triangle[:, (k + 1) % 3] - triangle[:, k])
            mine = np.einsum("nkx,nx->nk", one, across)
            theirs = np.einsum("nkx,nx->nk", other, across)
            room = 1e-9 * np.maximum(np.abs(mine).max(axis=1), np.abs(theirs).max(axis=1))
            separated |= mine.max(axis=1) <= theirs.min(axis=1) + room
            separated |= theirs.max(axis=1) <= mine.min(axis=1) + room
    return ~separated
