"""How the cells between voxels join: rings of tetrahedra around each pair of neighbours, and which cells are simple.

Eight voxel centres make a cell. A cell is cut by its long diagonal into six tetrahedra, all cells alike, which is a
subdivision of space (Kuhn's) in which boundaries between labels are always manifold, however many labels meet. Where
the boundary in a cell is a single sheet for every label, the six are taken as one.

Source: the subdivision: H. W. Kuhn, "Some combinatorial lemmas in topology", IBM J. Res. Dev. 4 (1960) 518, doi
10.1147/rd.45.0518; one vertex a cell: S. F. F. Gibson, "Constrained elastic surface nets", MICCAI 1998, doi
10.1007/BFb0056277. That the six are taken as one where that is sound, and only there, is this module's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

STEPS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
"""From a voxel to the seven neighbours that follow it: three across faces, three across edges, one across a corner."""

CORNERS = tuple(product((0, 1), repeat=3))
"""The voxels of a cell, from its first one."""

PATHS = tuple(permutations(range(3)))
"""The six tetrahedra of a cell: in which order a path along the axes leads from its first voxel to its last."""


@dataclass(frozen=True)
class Ring:
    """The tetrahedra around the line between a voxel and a neighbour, counter-clockwise seen from the neighbour.

    Args:
        cells: Where the cell of each lies, from the voxel.
        paths: Which of the six each is.
        between: The third voxel of the triangle that each shares with the next, from the voxel.
    """

    cells: tuple[tuple[int, ...], ...]
    paths: tuple[int, ...]
    between: tuple[tuple[int, ...], ...]


@cache
def rings() -> tuple[Ring, ...]:
    """The ring of each step of `STEPS`: 6, 6, 6, 4, 4, 4 and 6 tetrahedra.

    Example:
        >>> [len(ring.paths) for ring in rings()]
        [6, 6, 6, 4, 4, 4, 6]
    """
    return tuple(_ring(step) for step in STEPS)


def _ring(step: tuple[int, ...]) -> Ring:
    along = np.asarray(step, np.float64)
    first = np.cross(along, (0.9, -0.5, 0.3))
    second = np.cross(along, first)
    found = []
    for cell in product((-1, 0), repeat=3):
        for number, path in enumerate(PATHS):
            points = [tuple(p) for p in np.asarray(cell) + _corners_on(path)]
            if (0, 0, 0) in points and step in points:
                middle = np.mean(points, axis=0) - along / 2
                found.append((float(np.arctan2(middle @ second, middle @ first)), cell, number, set(points)))
    found.sort(key=lambda one: one[0])
    between = []
    for one, other in zip(found, found[1:] + found[:1], strict=True):
        (third,) = (one[3] & other[3]) - {(0, 0, 0), step}
        between.append(tuple(int(x) for x in third))
    return Ring(tuple(one[1] for one in found), tuple(one[2] for one in found), tuple(between))


def _corners_on(path: tuple[int, ...]) -> NDArray[np.int64]:
    """The four voxels of a tetrahedron, ``(4, 3)``."""
    steps = np.eye(3, dtype=np.int64)[list(path)]
    return np.concatenate([np.zeros((1, 3), np.int64), np.cumsum(steps, axis=0)])


@cache
def centres() -> NDArray[np.float64]:
    """The centres of the six tetrahedra, ``(6, 3)``, from the middle of the cell."""
    return np.stack([_corners_on(path).mean(axis=0) for path in PATHS]) - 0.5


@cache
def simple() -> NDArray[np.bool_]:
    """For each way in which a label fills a cell (bit k: corner k): whether its boundary there is one sheet.

    It is, when the corners that are filled hang together along the cell's edges, and those that are not as well.

    Example:
        >>> simple()[[0b00000001, 0b00001111, 0b10000001]]
        array([ True,  True, False])
    """
    answers = [_joined(code) and _joined(255 - code) for code in range(256)]
    return np.asarray(answers, np.bool_)


def _joined(code: int) -> bool:
    left = {corner for number, corner in enumerate(CORNERS) if code >> number & 1}
    reached = [left.pop()] if left else []
    while reached:
        at = reached.pop()
        near = {corner for corner in left if sum(abs(a - b) for a, b in zip(at, corner, strict=True)) == 1}
        left -= near
        reached.extend(near)
    return not left
