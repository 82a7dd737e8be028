"""Holes: the edges around them, and the triangles of least area that close them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_EDGES = 1_500
"""Around a hole that is closed: time grows with their third power, memory with the second."""

Points = NDArray[np.float64]
Faces = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Filled:
    """What was done about holes.

    Args:
        faces: ``(F, 3)``, those that close them at the end.
        count: How many were closed.
        largest_mm: The longest way across one of them.
        left: How many were not: too large, or with too many edges.
        largest_left_mm: The longest way across one of these.
    """

    faces: Faces
    count: int
    largest_mm: float
    left: int
    largest_left_mm: float


def fill(vertices: Points, faces: Faces, *, largest_mm: float) -> Filled:
    """Close the holes of a surface with triangles between the vertices that are there.

    Of all ways to do so, that of the least area is taken that uses no edge twice: a flat hole is closed flat.

    Args:
        vertices: ``(V, 3)``, mm.
        faces: ``(F, 3)``, turned alike, at most two at an edge; no vertex in two fans.
        largest_mm: Holes that are farther across stay open.

    Returns:
        The faces, and what was done.

    Source: G. Barequet, M. Sharir, "Filling gaps in the boundary of a polyhedron", Computer Aided Geometric Design 12
        (1995) 207, doi 10.1016/0167-8396(94)00011-G: the triangulation of a polygon in space of the least area, by
        dynamic programming.

    Example:
        >>> corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9.0]])
        >>> open_ = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2]], np.int32)
        >>> made = fill(corners, open_, largest_mm=20)
        >>> made.faces[-1].tolist(), round(made.largest_mm, 1)
        ([1, 2, 3], 12.7)
    """
    size = len(vertices)
    ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2).astype(np.int64)
    known = np.unique(ends.min(axis=1) * size + ends.max(axis=1))
    patches, largest, left, largest_left = [], 0.0, 0, 0.0
    touched, fresh = np.zeros(size, np.bool_), np.zeros(0, np.int64)
    for ring in _rings(ends, size):
        across = _across(vertices[ring])
        patch = None
        if across <= largest_mm and len(ring) <= MOST_EDGES:
            # Two holes must not make the same edge.
            patch = _least(vertices, ring, known, fresh if touched[ring].sum() > 1 else fresh[:0], size)
        if patch is None:
            left, largest_left = left + 1, max(largest_left, across)
            continue
        patches.append(patch)
        largest = max(largest, across)
        touched[ring] = True
        sides = np.stack([patch, np.roll(patch, -1, axis=1)], axis=2).reshape(-1, 2).astype(np.int64)
        fresh = np.concatenate([fresh, sides.min(axis=1) * size + sides.max(axis=1)])
    return Filled(np.concatenate([faces, *patches]), len(patches), largest, left, largest_left)


def _across(points: Points) -> float:
    """The largest distance between two points; between the corners of their box, where they are many."""
    from scipy.spatial.distance import pdist

    return float(pdist(points).max() if len(points) <= MOST_EDGES else np.linalg.norm(np.ptp(points, axis=0)))


def _rings(ends: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """The vertices around each hole, in the order in which the triangles that close it will have them."""
    keys = ends.min(axis=1) * size + ends.max(axis=1)
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    following: dict[int, list[int]] = {}
    for a, b in ends[first[counts == 1]].tolist():
        following.setdefault(b, []).append(a)  # against the faces that are there
    found = []
    while following:
        path = [next(iter(following))]
        places = {path[0]: 0}
        while path:
            left = following.get(path[-1])
            if not left:
                break  # faces that are not turned alike
            at = left.pop()
            if not left:
                del following[path[-1]]
            if at not in places:
                places[at] = len(path)
                path.append(at)
                continue
            # Back where it was: a ring, also where rings touch at a vertex.
            ring = path[places[at] :]
            path = path[: places[at] + 1]
            for vertex in ring[1:]:
                del places[vertex]
            if len(ring) >= 3:
                found.append(np.asarray(ring, np.int64))
            if len(path) == 1:
                break
    return found


def _least(
    vertices: Points, ring: NDArray[np.int64], known: NDArray[np.int64], fresh: NDArray[np.int64], size: int
) -> Faces | None:
    """The triangulation of a ring with the least area; ``None`` where each uses an edge that is there already."""
    points, count = vertices[ring], len(ring)
    i, j = np.meshgrid(np.arange(count), np.arange(count), indexing="ij")
    low, high = np.minimum(ring[i], ring[j]), np.maximum(ring[i], ring[j])
    keys = low * size + high
    taken = known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys
    if len(fresh):
        taken |= np.isin(keys, fresh)
    beside = (np.abs(i - j) == 1) | (np.abs(i - j) == count - 1)
    closed = taken & ~beside if count > 3 else np.zeros_like(taken)
    cost = np.full((count, count), np.inf)
    which = np.zeros((count, count), np.int32)
    cost[np.arange(count - 1), np.arange(1, count)] = 0.0
    for gap in range(2, count):
        start = np.arange(count - gap)
        end = start + gap
        middle = start[:, None] + np.arange(1, gap)
        a, b, c = points[start][:, None], points[middle], points[end][:, None]
        area = np.linalg.norm(np.cross(b - a, c - a), axis=2) / 2
        total = cost[start[:, None], middle] + cost[middle, end[:, None]] + area
        best = np.argmin(total, axis=1)
        cost[start, end] = total[np.arange(len(start)), best]
        cost[start[closed[start, end]], end[closed[start, end]]] = np.inf
        which[start, end] = middle[np.arange(len(start)), best]
    if not np.isfinite(cost[0, count - 1]):
        return None
    triangles = []
    parts = [(0, count - 1)]
    while parts:
        left, right = parts.pop()
        if right - left < 2:
            continue
        between = int(which[left, right])
        triangles.append((left, between, right))
        parts += [(left, between), (between, right)]
    found: Faces = ring[np.asarray(triangles)].astype(np.int32)
    return found
