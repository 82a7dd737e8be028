"""The net of a label map: vertices in the cells between voxels, polygons between voxels that differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.lattice import CORNERS, STEPS, rings, simple

_PATHS = 6
_RING = 6  # vertices of the longest polygon


@dataclass(frozen=True, eq=False)
class Net:
    """Where structures meet, before anything has a place in space.

    Args:
        array: ``(x, y, z)``, the labels, with a rim of background one voxel wide.
        cells: ``(C,)``, the flat index of the first voxel of each cell in which labels meet, rising.
        split: ``(C,)``, the cells that have a vertex for each of their six tetrahedra.
        first: ``(C,)``, the (first) vertex of each cell.
        quads: ``(Q, 4)``, vertices around the line between two voxels, counter-clockwise seen from the second.
        quad_from: ``(Q,)``, flat index of the first voxel; the second follows on axis ``quad_step``.
        quad_step: ``(Q,)``, 0 to 2.
        fans: ``(P, 6)``, the same where a split cell takes part; a vertex may stand there several times in turn.
        fan_from: ``(P,)``, flat index of the first voxel.
        fan_step: ``(P,)``, 0 to 6, a step of `vesalius.mesh.lattice.STEPS`.
    """

    array: NDArray[np.integer]
    cells: NDArray[np.int64]
    split: NDArray[np.bool_]
    first: NDArray[np.int32]
    quads: NDArray[np.int32]
    quad_from: NDArray[np.int64]
    quad_step: NDArray[np.int8]
    fans: NDArray[np.int32]
    fan_from: NDArray[np.int64]
    fan_step: NDArray[np.int8]

    @property
    def size(self) -> int:
        """How many vertices there are; some of split cells are in no polygon."""
        return len(self.cells) + (_PATHS - 1) * int(self.split.sum())

    @property
    def owners(self) -> NDArray[np.int32]:
        """``(V,)``: the number of the cell of each vertex."""
        return np.repeat(np.arange(len(self.cells), dtype=np.int32), np.where(self.split, _PATHS, 1))

    def strides(self, steps: Iterable[tuple[int, ...]] = STEPS) -> NDArray[np.int64]:
        """How far each step leads in the flat array."""
        return strides_of(self.array, steps)

    def sides(self, start: NDArray[np.int64], step: NDArray[np.int8]) -> NDArray[np.int32]:
        """``(n, 2)``: the labels of voxels and of the neighbours that a step leads to."""
        flat = self.array.reshape(-1)
        return np.stack([flat[start], flat[start + self.strides()[step]]], axis=1).astype(np.int32)


def strides_of(array: NDArray[np.integer], steps: Iterable[tuple[int, ...]]) -> NDArray[np.int64]:
    """How far steps lead in a flat array."""
    _, rows, columns = array.shape
    return np.asarray(list(steps), np.int64) @ np.asarray([rows * columns, columns, 1], np.int64)


def net(array: NDArray[np.integer], unions: Iterable[tuple[int, ...]] = ()) -> Net:
    """Find the cells in which labels meet and the polygons between them.

    Args:
        array: ``(x, y, z)``, labels in C order, with a rim of background (0) on all sides.
        unions: Labels that are to have a sound surface together.

    Returns:
        The net. Every label and every union has a boundary that is manifold.
    """
    flat = array.reshape(-1)
    axes = strides_of(array, STEPS[:3])
    # The rim is background, so that rows can be compared as if each went on into the next.
    pairs = [np.flatnonzero(flat[:-stride] != flat[stride:]) for stride in axes]
    cells = _active(flat.size, pairs, axes)
    split = _split(array, cells, unions)
    slots = np.where(split, _PATHS, 1)
    first = (np.cumsum(slots) - slots).astype(np.int32)

    quads, quad_from, quad_step, lines, kinds = [], [], [], [], []
    for step, start in enumerate(pairs):
        b, c = (axes[k] for k in range(3) if k != step)
        # Counter-clockwise seen from the tip of the axis: x: y then z, y: z then x, z: x then y.
        corners = (-b - c, -c, np.int64(0), -b) if step != 1 else (-b - c, -b, np.int64(0), -c)
        found = np.stack([np.searchsorted(cells, start + corner) for corner in corners], axis=1)
        whole = ~split[found].any(axis=1) if split.any() else np.ones(len(start), np.bool_)
        quads.append(first[found[whole]])
        quad_from.append(start[whole])
        quad_step.append(np.full(int(whole.sum()), step, np.int8))
        lines.append(start[~whole])
        kinds.append(np.full(int((~whole).sum()), step, np.int8))
    for step, start in _diagonals(array, cells[split]):
        lines.append(start)
        kinds.append(np.full(len(start), step, np.int8))
    fans, fan_from, fan_step = _fans(array, cells, split, first, np.concatenate(lines), np.concatenate(kinds))
    return Net(
        array, cells, split, first, np.concatenate(quads), np.concatenate(quad_from), np.concatenate(quad_step),
        fans, fan_from, fan_step,
    )  # fmt: skip


def corner_labels(array: NDArray[np.integer], cells: NDArray[np.int64]) -> NDArray[np.integer]:
    """The labels of the eight voxels of cells, ``(8, n)``."""
    flat = array.reshape(-1)
    return np.stack([flat[cells + stride] for stride in strides_of(array, CORNERS)])


def _active(size: int, pairs: list[NDArray[np.int64]], axes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The four cells around the line between each two voxels that differ."""
    touched = np.zeros(size, np.bool_)
    for step, start in enumerate(pairs):
        b, c = (axes[k] for k in range(3) if k != step)
        for back in (np.int64(0), b, c, b + c):
            touched[start - back] = True
    return np.flatnonzero(touched)


def _split(
    array: NDArray[np.integer], cells: NDArray[np.int64], unions: Iterable[tuple[int, ...]]
) -> NDArray[np.bool_]:
    """Which cells hold more than one sheet of the boundary of some label or union."""
    corners = corner_labels(array, cells)
    table = simple()
    sound = np.ones(len(cells), np.bool_)
    for one in range(len(CORNERS)):
        code = np.zeros(len(cells), np.uint8)
        for number in range(len(CORNERS)):
            code |= (corners[number] == corners[one]).astype(np.uint8) << np.uint8(number)
        sound &= table[code]
    for members in unions:
        inside = np.zeros(int(array.max(initial=0)) + 1, np.bool_)
        inside[[m for m in members if m < len(inside)]] = True
        code = np.zeros(len(cells), np.uint8)
        for number in range(len(CORNERS)):
            code |= inside[corners[number]].astype(np.uint8) << np.uint8(number)
        sound &= table[code]
    return ~sound


def _diagonals(array: NDArray[np.integer], split: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
    """The lines across faces and through split cells whose ends differ: the step, and where each line begins."""
    flat = array.reshape(-1)
    found = []
    for step in range(3, len(STEPS)):
        (stride,) = strides_of(array, STEPS[step : step + 1])
        # A face belongs to the cell and to the one after it on the axis that the diagonal does not follow.
        beside = [k for k in range(3) if not STEPS[step][k]]
        starts = [split] + [split + strides_of(array, STEPS[k : k + 1])[0] for k in beside]
        start = np.unique(np.concatenate(starts))
        found.append((step, start[flat[start] != flat[start + stride]]))
    return found


def _fans(
    array: NDArray[np.integer],
    cells: NDArray[np.int64],
    split: NDArray[np.bool_],
    first: NDArray[np.int32],
    start: NDArray[np.int64],
    kind: NDArray[np.int8],
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int8]]:
    fans = np.zeros((len(start), _RING), np.int32)
    for step, ring in enumerate(rings()):
        chosen = np.flatnonzero(kind == step)
        for k in range(_RING):
            # Rings of four end with their last vertex thrice.
            at = min(k, len(ring.paths) - 1)
            places = start[chosen] + strides_of(array, ring.cells[at : at + 1])[0]
            number = np.searchsorted(cells, places)
            fans[chosen, k] = first[number] + np.where(split[number], ring.paths[at], 0)
    turns = (fans != np.roll(fans, -1, axis=1)).sum(axis=1)
    kept = turns >= 3  # the others are lines: their cells have a vertex each
    return fans[kept], start[kept], kind[kept]
