"""Faces paired across edges, so that around every vertex of its own each surface is a disc or half of one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Faces = NDArray[np.int32]

_TURNS = 12


def paired(vertices: Points, faces: Faces) -> NDArray[np.int64]:
    """Which two sides of faces meet, ``(n, 2)``: side ``3 f + k`` of face f leads from its corner k to the next.

    Where more than two faces meet at an edge, those are paired that have the material of one body between them: bodies
    that touch there are parted. What is left over is paired in turn, and an odd one is open.

    Args:
        vertices: ``(V, 3)``.
        faces: ``(F, 3)``.

    Returns:
        The pairs.

    Example:
        >>> paired(np.zeros((4, 3)), np.array([[0, 1, 2], [0, 2, 3]], np.int32)).tolist()
        [[2, 3]]
    """
    ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2).astype(np.int64)
    keys = ends.min(axis=1) * (int(faces.max(initial=0)) + 1) + ends.max(axis=1)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(keys) else np.zeros(0, int)
    counts = np.diff(first, append=len(keys))
    two = first[counts == 2]
    found = [np.stack([order[two], order[two + 1]], axis=1)]
    forward = ends[:, 0] < ends[:, 1]
    for begin, count in zip(first[counts > 2].tolist(), counts[counts > 2].tolist(), strict=True):
        sides = order[begin : begin + count]
        # Where bodies share a wall, the one's material ends before the other's begins.
        turned = sides[np.lexsort((~forward[sides], _angles(vertices, faces, sides)))]
        found.append(np.asarray(_matched(turned.tolist(), forward[turned].tolist()), np.int64).reshape(-1, 2))
    return np.concatenate(found)


def _angles(vertices: Points, faces: Faces, sides: NDArray[np.int64]) -> NDArray[np.float64]:
    """The angle of each face around an edge, in turns, counter-clockwise seen from its end of the larger index."""
    one, other = faces[sides // 3, sides % 3], faces[sides // 3, (sides + 1) % 3]
    start, end = vertices[min(one[0], other[0])], vertices[max(one[0], other[0])]
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-300)
    third = vertices[faces[sides // 3, (sides + 2) % 3]] - start
    first = np.cross(along, np.eye(3)[int(np.argmin(np.abs(along)))])
    second = np.cross(along, first)
    turns = np.arctan2(third @ second, third @ first) / (2 * np.pi)
    # Equal where they are nearly so, also on both sides of a full turn.
    found: NDArray[np.float64] = np.round(turns % 1, 7) % 1
    return found


def _matched(sides: list[int], forward: list[bool]) -> list[tuple[int, int]]:
    """Pairs of neighbours around an edge: a backward face and the next forward one have the material between them."""
    pairs: list[tuple[int, int]] = []
    left = list(zip(sides, forward, strict=True))
    while True:
        for at, (side, ahead) in enumerate(left):
            other, other_ahead = left[(at + 1) % len(left)]
            if not ahead and other_ahead:
                pairs.append((side, other))
                left = [one for one in left if one[0] not in (side, other)]
                break
        else:
            break
        if not left:
            break
    pairs += [(left[k][0], left[k + 1][0]) for k in range(0, len(left) - 1, 2)]
    return pairs


def split(vertices: Points, faces: Faces) -> tuple[Points, Faces]:
    """Give each closed fan of faces around a vertex a vertex of its own: no edge has more than two faces then.

    Fans on the edge of a hole share theirs: what closes the hole joins or parts them. Where that is not enough, because
    the faces at both ends of an edge hang together, each pair of faces gets a vertex of its own in its middle.

    Args:
        vertices: ``(V, 3)``.
        faces: ``(F, 3)``.

    Returns:
        The vertices, with copies at their end, and the faces.
    """
    for _ in range(_TURNS):
        vertices, faces = _parted(vertices, faces)
        further = _halved(vertices, faces)
        if further is None:
            break
        vertices, faces = further
    return vertices, faces


def _parted(vertices: Points, faces: Faces) -> tuple[Points, Faces]:
    """A vertex for each fan."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(faces):
        return vertices, faces
    sides = paired(vertices, faces)
    nexts = sides // 3 * 3 + (sides + 1) % 3
    corner = faces.reshape(-1)
    same = (corner[sides[:, 0]] == corner[sides[:, 1]])[:, None]
    partner = np.where(same, np.stack([sides[:, 1], nexts[:, 1]], 1), np.stack([nexts[:, 1], sides[:, 1]], 1))
    one, other = np.concatenate([sides[:, 0], nexts[:, 0]]), partner.T.reshape(-1)
    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(len(corner), len(corner)))
    _, fan = connected_components(graph, directed=False)
    _, at, group = np.unique(fan, return_index=True, return_inverse=True)
    # Those on a hole's edge are one; the first fan of each vertex keeps it, and they come before others.
    open_ = np.ones(len(group), np.bool_)
    open_[_around(faces)] = False
    loose = np.zeros(len(at), np.bool_)
    loose[group[open_]] = True
    owner = corner[at].astype(np.int64)
    stands_for = np.arange(len(at))
    holes = np.flatnonzero(loose)
    _, first, which = np.unique(owner[holes], return_index=True, return_inverse=True)
    stands_for[holes] = holes[first[which]]
    group = stands_for[group]
    fans = np.unique(group)
    order = fans[np.lexsort((at[fans], ~loose[fans], owner[fans]))]
    further = np.concatenate([[False], owner[order][1:] == owner[order][:-1]])
    number = owner.copy()
    number[order[further]] = len(vertices) + np.arange(int(further.sum()))
    copies = vertices[owner[order[further]]]
    return np.concatenate([vertices, copies]), number[group].reshape(-1, 3).astype(np.int32)


def _around(faces: Faces) -> NDArray[np.int64]:
    """Corners at whose both sides another face lies."""
    ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1).astype(np.int64)
    _, group, counts = np.unique(
        ends[:, 0] * (int(ends.max()) + 1) + ends[:, 1], return_inverse=True, return_counts=True
    )
    alone = (counts[group] == 1).reshape(-1, 3)
    return np.flatnonzero(~(alone | np.roll(alone, 1, axis=1)).reshape(-1))


def _halved(vertices: Points, faces: Faces) -> tuple[Points, Faces] | None:
    """Vertices in the middle of edges that still have several pairs of faces; ``None`` where there are none."""
    sides = paired(vertices, faces)
    ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1).astype(np.int64)
    keys = ends[sides[:, 0], 0] * (len(vertices) + 1) + ends[sides[:, 0], 1]
    _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
    crowded = np.flatnonzero(counts[group] > 1)
    if not len(crowded):
        return None
    touched: set[int] = set()
    added: list[Points] = []
    gone: list[int] = []
    made: list[tuple[int, int, int]] = []
    for number in np.unique(group[crowded]).tolist():
        pairs = sides[crowded[group[crowded] == number]]
        if touched & {int(side) // 3 for side in pairs.reshape(-1)}:
            continue  # a face is cut once in a turn
        for pair in pairs.tolist():
            middle = len(vertices) + len(added)
            added.append(vertices[ends[pair[0]]].mean(axis=0))
            for side in pair:
                face, k = divmod(side, 3)
                a, b, c = (int(faces[face, (k + n) % 3]) for n in range(3))
                made += [(a, middle, c), (middle, b, c)]
                gone.append(face)
                touched.add(face)
    left = np.delete(faces, gone, axis=0)
    return np.concatenate([vertices, np.asarray(added)]), np.concatenate([left, np.asarray(made, np.int32)])


def oriented(faces: Faces) -> tuple[Faces, NDArray[np.int32], NDArray[np.bool_]]:
    """Turn as few faces as can be, so that within each piece all are turned alike.

    Args:
        faces: ``(F, 3)``, at most two at an edge.

    Returns:
        The faces, the piece of each, and which were turned. A piece that has only one side (as a Möbius strip) cannot
        be turned alike; what is left of it is for the caller to see.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    sides = paired(np.zeros((int(faces.max(initial=0)) + 1, 3)), faces)
    corner = faces.reshape(-1)
    wrong = corner[sides[:, 0]] == corner[sides[:, 1]]  # both run the same way along the edge
    one, other = sides[:, 0] // 3, sides[:, 1] // 3
    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(len(faces), len(faces))).tocsr()
    count, piece = connected_components(graph, directed=False)
    turned = np.zeros(len(faces), np.bool_)
    if wrong.any():
        relation = {(int(a), int(b)): bool(w) for a, b, w in zip(one, other, wrong, strict=True)}
        for number in np.unique(piece[one[wrong]]):
            root = int(np.argmax(piece == number))
            order, before = breadth_first_order(graph, root, directed=False)
            for face in order[1:].tolist():
                last = int(before[face])
                pair = relation.get((last, face), relation.get((face, last), False))
                turned[face] = turned[last] != pair
        # The smaller share of each piece is what was wrong.
        share = np.bincount(piece, turned, count) / np.maximum(np.bincount(piece, minlength=count), 1)
        turned ^= (share > 0.5)[piece]
    return np.where(turned[:, None], faces[:, ::-1], faces), piece.astype(np.int32), turned
