"""From a mask to polygons: the borders of its pixels, and holes joined to the outside by a channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
    holes = [place for place, loop in enumerate(loops) if area(loop) < 0]
    if not holes:
        return loops
    doors = {hole: _door(loops[hole]) for hole in holes}
    channels = _channels(loops, doors)
    return tuple(_joined(loops, doors, channels, place) for place in range(len(loops)) if place not in doors)


@dataclass(frozen=True)
class _Door:
    """Where the channel of a hole ends: at which of its edges, the first index there, the pixel's second, and where."""

    edge: int
    left: float
    row: int
    at: NDArray[np.float64]


@dataclass(frozen=True)
class _Channel:
    """Where the channel of a hole begins: at a border at the left of it."""

    hole: int
    at: NDArray[np.float64]


def _door(hole: Loop) -> _Door:
    """One of the leftmost edges of a hole. At its left lies the structure, and no other channel ends there."""
    after = np.roll(hole, -1, axis=0)
    left = float(hole[:, 0].min())
    edge = int(np.argmax((hole[:, 0] == left) & (after[:, 0] == left)))
    row = round(float(min(hole[edge, 1], after[edge, 1])) + 0.5)
    return _Door(edge, left, row, np.array([left, row + _BESIDE]))


def _channels(loops: tuple[Loop, ...], doors: dict[int, _Door]) -> dict[tuple[int, int], list[_Channel]]:
    """By loop and edge the channels that begin there, in the order in which they are met."""
    corners = np.concatenate(loops)
    after = np.concatenate([np.roll(loop, -1, axis=0) for loop in loops])
    edge = np.concatenate([np.arange(len(loop)) for loop in loops])
    owner = np.repeat(np.arange(len(loops)), [len(loop) for loop in loops])
    across = np.flatnonzero(corners[:, 0] == after[:, 0])
    # Every border that a row of pixels crosses: those of a row stand together, from left to right.
    low, high = (
        np.rint(f(corners[across, 1], after[across, 1]) + 0.5).astype(np.int64) for f in (np.minimum, np.maximum)
    )
    lengths = high - low
    of = np.repeat(across, lengths)
    row = np.arange(of.size) - np.repeat(np.cumsum(lengths) - lengths, lengths) + np.repeat(low, lengths)
    order = np.lexsort((corners[of, 0], row))
    row, of = row[order], of[order]
    found: dict[tuple[int, int], list[_Channel]] = {}
    for hole, door in doors.items():
        first, stop = np.searchsorted(row, [door.row, door.row + 1])
        nearest = of[first + np.searchsorted(corners[of[first:stop], 0], door.left) - 1]
        channel = _Channel(hole, np.array([corners[nearest, 0], door.at[1]]))
        found.setdefault((int(owner[nearest]), int(edge[nearest])), []).append(channel)
    for (loop, at), channels in found.items():
        upwards = loops[loop][(at + 1) % len(loops[loop]), 1] > loops[loop][at, 1]
        channels.sort(key=lambda one: float(one.at[1]), reverse=not upwards)
    return found


def _joined(
    loops: tuple[Loop, ...], doors: dict[int, _Door], channels: dict[tuple[int, int], list[_Channel]], outer: int
) -> Loop:
    """Walk along a border, and through every channel that begins there round the hole at its end."""
    points: list[NDArray[np.float64]] = []
    # Holes hang on holes, more of them than Python's calls may be nested.
    walks = [_walk(loops[outer], 0, channels, outer)]
    while walks:
        step = next(walks[-1], None)
        if step is None:
            walks.pop()
        elif isinstance(step, _Channel):
            door = doors[step.hole]
            points += [step.at, door.at]
            walks.append(_there_and_back(loops, channels, step, door))
        else:
            points.append(step)
    return np.array(points)


def _walk(
    loop: Loop, start: int, channels: dict[tuple[int, int], list[_Channel]], name: int
) -> Iterator[NDArray[np.float64] | _Channel]:
    """The corners of a loop from one of them on, and after each the channels that begin at the edge behind it."""
    for step in range(len(loop)):
        at = (start + step) % len(loop)
        yield loop[at]
        yield from channels.get((name, at), ())


def _there_and_back(
    loops: tuple[Loop, ...], channels: dict[tuple[int, int], list[_Channel]], channel: _Channel, door: _Door
) -> Iterator[NDArray[np.float64] | _Channel]:
    """Round a hole from its door, and back through the channel."""
    yield from _walk(loops[channel.hole], door.edge + 1, channels, channel.hole)
    yield door.at
    yield channel.at


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
