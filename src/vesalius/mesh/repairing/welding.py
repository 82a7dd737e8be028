"""Vertices at one place made one, and faces that are none left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.files.content import welded as placed
from vesalius.mesh.surface import compacted

_FLAT = 1e-9  # twice the area over the square of the longest side
_TURNS = 8
_HAIR = 0.01  # of the edges around it: how far a copy of a vertex is drawn into its own body

Points = NDArray[np.float64]
Faces = NDArray[np.int32]


def welded(vertices: Points, faces: Faces, weld_mm: float) -> tuple[Points, Faces, int]:
    """Join vertices at the same place, and those on the edges of holes that are nearly there.

    Args:
        vertices: ``(V, 3)``, mm.
        faces: ``(F, 3)``.
        weld_mm: How near.

    Returns:
        Vertices in use, faces that still have three, and how many vertices became one with another.

    Example:
        >>> corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1e-5], [0, 1, 0], [1, 1, 0]])
        >>> _, faces, count = welded(corners, np.array([[0, 1, 2], [3, 5, 4]], np.int32), 1e-3)
        >>> faces.tolist(), count
        ([[0, 1, 2], [1, 3, 2]], 2)
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    places, which = placed(vertices)
    points = np.asarray(places, np.float64)
    count = len(vertices) - len(points)
    faces = _real(which[faces])
    loose = np.unique(_open(faces))
    if weld_mm > 0 and len(loose):
        pairs = cKDTree(points[loose]).query_pairs(weld_mm, output_type="ndarray")
        graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(loose), len(loose)))
        groups, together = connected_components(graph, directed=False)
        _, least = np.unique(together, return_index=True)
        near = np.arange(len(points), dtype=np.int32)
        near[loose] = loose[least[together]]
        count += len(loose) - groups
        faces = _real(near[faces])
    points, faces = compacted(points, faces)
    return points, faces, count


def unrepeated(faces: Faces) -> tuple[Faces, int]:
    """Leave out faces that stand there twice; of those that look both ways, as many as look one way more.

    Args:
        faces: ``(F, 3)``.

    Returns:
        The faces, and how many went.

    Example:
        >>> faces = np.array([[0, 1, 2], [1, 2, 0], [3, 4, 5], [5, 4, 3]], np.int32)
        >>> [part.tolist() if n == 0 else part for n, part in enumerate(unrepeated(faces))]
        [[[0, 1, 2]], 3]
    """
    if not len(faces):
        return faces, 0
    rows = np.arange(len(faces))
    start = np.argmin(faces, axis=1)
    ahead = faces[rows, (start + 1) % 3] < faces[rows, (start + 2) % 3]
    _, group = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True)
    group = group.reshape(-1)
    balance = np.bincount(group, np.where(ahead, 1, -1))
    # The first of those that look the way that most do.
    fits = np.flatnonzero(np.sign(balance)[group] == np.where(ahead, 1, -1))
    _, first = np.unique(group[fits], return_index=True)
    kept = np.sort(fits[first])
    return faces[kept], len(faces) - len(kept)


def unflattened(vertices: Points, faces: Faces) -> tuple[Points, Faces, int]:
    """Do away with triangles whose corners lie on a line: the face beyond the longest side is cut at the third corner.

    Args:
        vertices: ``(V, 3)``.
        faces: ``(F, 3)``.

    Returns:
        The vertices, the faces, and how many of these went.
    """
    gone = 0
    for _ in range(_TURNS):
        corners = vertices[faces]
        squares = np.square(corners - np.roll(corners, -1, axis=1)).sum(axis=2)
        twice = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        flat = np.flatnonzero(twice <= _FLAT * squares.max(axis=1)) if len(faces) else np.zeros(0, int)
        if not len(flat):
            break
        faces, count = _without(faces, flat, squares.argmax(axis=1))
        gone += count
        faces, again = unrepeated(faces)
        gone += again
        if not count:
            break
    return vertices, faces, gone


def _without(faces: Faces, flat: NDArray[np.int64], longest: NDArray[np.int64]) -> tuple[Faces, int]:
    beyond: dict[tuple[int, int], list[int]] = {}
    wanted = {tuple(sorted((int(faces[f, longest[f]]), int(faces[f, (longest[f] + 1) % 3])))) for f in flat}
    ends = np.unique(np.asarray(sorted(wanted)).reshape(-1))
    for face in np.flatnonzero(np.isin(faces, ends).sum(axis=1) >= 2).tolist():
        for k in range(3):
            key = (int(faces[face, k]), int(faces[face, (k + 1) % 3]))
            beyond.setdefault((min(key), max(key)), []).append(face)
    gone: set[int] = set()
    made: list[tuple[int, int, int]] = []
    count = 0
    for face in flat.tolist():
        k = int(longest[face])
        a, b, c = (int(faces[face, (k + n) % 3]) for n in range(3))
        others = [other for other in beyond[min(a, b), max(a, b)] if other != face]
        if face in gone or any(other in gone for other in others) or len(others) > 1:
            continue
        gone.add(face)
        count += 1
        if others:
            (other,) = others
            (d,) = set(faces[other].tolist()) - {a, b}
            at = faces[other].tolist().index(a)
            # As it was turned: from a to b or from b to a.
            ahead = int(faces[other, (at + 1) % 3]) == b
            made += [(a, c, d), (c, b, d)] if ahead else [(c, a, d), (b, c, d)]
            gone.add(other)
    left = np.delete(faces, sorted(gone), axis=0)
    fresh = np.asarray(made, np.int32).reshape(-1, 3)
    return _real(np.concatenate([left, fresh])), count


def apart(vertices: Points, faces: Faces) -> Points:
    """Draw copies of a vertex, which several sheets have at one place, into their own bodies by a hair.

    Args:
        vertices: ``(V, 3)``.
        faces: ``(F, 3)``, turned outwards.

    Returns:
        The vertices; those that share their place with another lie a hundredth of their edges' length below it.
    """
    used = np.unique(faces)
    _, group, counts = np.unique(vertices[used] + 0.0, axis=0, return_inverse=True, return_counts=True)
    doubled = np.zeros(len(vertices), np.bool_)
    doubled[used] = counts[group.reshape(-1)] > 1
    around = np.flatnonzero(doubled[faces].any(axis=1))
    if not len(around):
        return vertices
    corners = vertices[faces[around]]
    ways = np.roll(corners, -1, axis=1) - corners
    lengths = np.linalg.norm(ways, axis=2)
    ways = np.divide(ways, lengths[..., None], out=np.zeros_like(ways), where=lengths[..., None] > 0)
    normals = np.cross(ways[:, 0], -ways[:, 2])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    total, size, number = np.zeros_like(vertices), np.zeros(len(vertices)), np.zeros(len(vertices))
    for k in range(3):
        at = faces[around, k]
        # By the angle at the corner: how a side of a box is cut into triangles does not matter.
        angle = np.arccos(np.clip(-np.einsum("ij,ij->i", ways[:, k], ways[:, k - 1]), -1, 1))
        np.add.at(total, at, normals * angle[:, None])
        np.add.at(size, at, lengths.mean(axis=1))
        np.add.at(number, at, 1.0)
    steep = np.linalg.norm(total, axis=1, keepdims=True)
    inwards = -np.divide(total, steep, out=np.zeros_like(total), where=steep > 0)
    shift = _HAIR * inwards * (size / np.maximum(number, 1))[:, None]
    return np.where(doubled[:, None], vertices + shift, vertices)


def _real(faces: Faces) -> Faces:
    a, b, c = faces.T
    real: Faces = faces[(a != b) & (b != c) & (c != a)]
    return real


def _open(faces: Faces) -> NDArray[np.int64]:
    """The ends of edges with one face."""
    ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1).astype(np.int64)
    if not len(ends):
        return ends
    _, first, counts = np.unique(ends[:, 0] * (int(ends.max()) + 1) + ends[:, 1], return_index=True, return_counts=True)
    found: NDArray[np.int64] = ends[first[counts == 1]]
    return found
