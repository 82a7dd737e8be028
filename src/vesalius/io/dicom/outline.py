"""From a mask to polygons: the borders of its pixels, and holes joined to the outside by a channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Loop = NDArray[np.float64]
"""``(n, 2)`` corners of a closed polygon in indices; the last is joined to the first, and no three lie on a line."""

# Of a pixel, from its centre: off the centres of pixels that others may read on, also of halved or quartered ones, so
# that no sample falls onto a channel.
_BESIDE = 0.3


def trace(mask: NDArray[np.bool_]) -> tuple[Loop, ...]:
    """Trace the borders of the pixels of a mask.

    The polygons lie between pixels, half a pixel from their centres. So they enclose exactly the area of the mask, a
    structure one pixel thin keeps its width, and filling them gives the mask back. Pixels that touch by a corner only
    are apart; holes that do so are one.

    Args:
        mask: ``(i, j)``.

    Returns:
        One loop for each outer border, with a positive signed area (`area`), and one for each hole, with a negative
        one. Empty for an empty mask.

    Example:
        >>> trace(np.array([[True, True]]))
        (array([[-0.5, -0.5],
               [ 0.5, -0.5],
               [ 0.5,  1.5],
               [-0.5,  1.5]]),)
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return ()
    first = np.array([rows[0], columns[0]])
    inside = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    # Around corner (a, b) lie the pixels (a - 1, b - 1), (a, b - 1), (a - 1, b) and (a, b). From there a border runs in
    # direction 0 (+i), 1 (+j), 2 (-i) or 3 (-j) where inside is at its left and outside at its right.
    before, along_i, along_j, here = inside[:-1, :-1], inside[1:, :-1], inside[:-1, 1:], inside[1:, 1:]
    leaves = np.stack([here & ~along_i, along_j & ~here, before & ~along_j, along_i & ~before], -1)
    width = here.shape[1]
    edges = np.flatnonzero(leaves)
    corner, direction = np.divmod(edges, 4)
    end = corner + np.array([width, 1, -width, -1])[direction]
    there = leaves.reshape(-1)
    # Where two borders meet at a corner, each turns left, round its own pixel.
    follows = end * 4 + (direction + 3) % 4
    for turn in (0, 1):
        wanted = end * 4 + (direction + turn) % 4
        follows = np.where(there[wanted], wanted, follows)
    number = np.empty(there.size, dtype=np.intp)
    number[edges] = np.arange(edges.size)
    after = number[follows]
    turns = np.empty(edges.size, dtype=np.bool_)
    turns[after] = direction[after] != direction
    points = np.stack(np.divmod(corner, width), -1) + first - 0.5
    return tuple(points[some[turns[some]]] for some in _cycles(after))


def area(loop: Loop) -> float:
    """Signed area in pixels: positive for an outer border, negative for that of a hole.

    Example:
        >>> area(trace(np.ones((2, 3), bool))[0])
        6.0

    Source: the shoelace formula.
    """
    x, y = (loop - loop[0]).T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def join_holes(loops: tuple[Loop, ...]) -> tuple[Loop, ...]:
    """Join each hole to the border around it by a channel without width: polygons without holes that enclose the same.

    A channel runs along the first index from the hole to the nearest border, a little beside the centres of pixels.

    Args:
        loops: Of one plane, as `trace` gives them.

    Returns:
        One polygon for each outer border.

    Example:
        >>> ring = np.ones((3, 3), bool)
        >>> ring[1, 1] = False
        >>> (one,) = join_holes(trace(ring))
        >>> len(one), area(one)
        (12, 8.0)

    Source: DICOM PS3.3 C.8.8.6.3 (the "keyhole" technique for inner and outer contours).
    """
    joined = [loop for loop in loops if area(loop) > 0]
    holes = [loop for loop in loops if area(loop) < 0]
    # What lies next to the left of a hole reaches further to the left: if it is a hole, it has been joined before.
    for hole in sorted(holes, key=lambda one: float(one[:, 0].min())):
        left = float(hole[:, 0].min())
        here = next(at for at in range(len(hole)) if hole[at, 0] == left == hole[(at + 1) % len(hole), 0])
        at_j = float(min(hole[here, 1], hole[(here + 1) % len(hole), 1])) + 0.5 + _BESIDE
        place, edge, reach = _left_of(joined, left, at_j)
        gate, door = np.array([[reach, at_j]]), np.array([[left, at_j]])
        around = np.roll(hole, -(here + 1), axis=0)
        whole = joined[place]
        joined[place] = np.concatenate([whole[: edge + 1], gate, door, around, door, gate, whole[edge + 1 :]])
    return tuple(joined)


def _left_of(loops: list[Loop], left: float, at_j: float) -> tuple[int, int, float]:
    """The nearest border at the left of a point: which loop, which of its edges, and where."""
    found = (-1, -1, -np.inf)
    for place, loop in enumerate(loops):
        after = np.roll(loop, -1, axis=0)
        across = (loop[:, 0] == after[:, 0]) & (loop[:, 0] < left)
        across &= (np.minimum(loop[:, 1], after[:, 1]) < at_j) & (at_j < np.maximum(loop[:, 1], after[:, 1]))
        candidates = np.flatnonzero(across)
        if candidates.size:
            edge = int(candidates[np.argmax(loop[candidates, 0])])
            if loop[edge, 0] > found[2]:
                found = (place, edge, float(loop[edge, 0]))
    assert found[0] >= 0  # a hole lies in something
    return found


def _cycles(after: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """The cycles of a permutation."""
    following = after.tolist()
    seen = bytearray(len(following))
    found = []
    for start in range(len(following)):
        if seen[start]:
            continue
        cycle = []
        at = start
        while not seen[at]:
            seen[at] = 1
            cycle.append(at)
            at = following[at]
        found.append(np.array(cycle, dtype=np.intp))
    return found
