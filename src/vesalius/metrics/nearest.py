"""How far each element of one surface is from the nearest of another, on the lattice that both live on.

Surfaces of a prediction and its reference mostly run within a few voxels of each other. So the steps of the lattice are
tried in order of their length in mm: where a step leads to the other surface, its length is the distance, and the
element is done. One look into an array of bytes costs a few nanoseconds. What is still unmet when that has cost as much
as building a k-d tree of the other surface, is looked up in one. Both are exact, on sheared grids too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vesalius.metrics.confusion import Box
from vesalius.metrics.elements import Elements
from vesalius.metrics.threads import available_cores, spread

_STEPS = 1024  # of the lattice, the shortest ones: some 6 voxels around on a cubic grid
_LATTICE = 1 << 23  # corners of a block; each core has two arrays of so many bytes
_POINTS = 1 << 17  # elements that are walked from at a time: they stay in a core's second-level cache
_LOOK_NS, _CALL_NS, _PLANT_NS, _CLIMB_NS = (
    4,
    4000,
    250,
    3000,
)  # a look, a step's calls, a tree's point, a question to it

Measured = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Distances, mm, and the surface that lies at each, mm² (2D: mm)."""


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be measured.

    Args:
        members: The classes whose union it is.
        box: Where both maps have them, in voxels of the box that the elements were found in.
    """

    members: tuple[int, ...]
    box: Box


def measure_targets(
    reference: Elements,
    prediction: Elements,
    targets: Sequence[Target],
    *,
    step: NDArray[np.float64],
    sizes: NDArray[np.float64],
    threads: int | None = None,
) -> list[tuple[Measured, Measured]]:
    """Measure the distances between the surfaces of some targets.

    Args:
        reference: The surface elements of the reference.
        prediction: Those of the prediction, found in the same box.
        targets: What to measure.
        step: ``(n, n)``; column k is the way from a voxel to its neighbour along axis k, mm.
        sizes: The surface that each neighbour code stands for (`surfels.surfel_sizes`).
        threads: How many blocks are worked on at a time; None: as many as there are cores. Each holds some 20 MB.

    Returns:
        For each target, from the reference to the prediction and back: the distances that occur, and how much surface
        lies at each; infinite where the other has no surface, and empty where there is none to measure from.

    Source: Nikolov et al. (2021), doi:10.2196/26151, whose distance transform gives the same numbers.
    """
    shells = _shells(step.tobytes(), len(step))
    blocks = [(n, *block) for n, target in enumerate(targets) for block in _blocks(reference, target, shells)]
    work = partial(_block, reference, prediction, targets, shells, sizes)
    masses = [np.zeros((2, shells.lengths.size)) for _ in targets]
    unmet: list[list[list[tuple[NDArray[np.intp], NDArray[np.float64]]]]] = [[[], []] for _ in targets]
    for (n, *_), (mass, left) in zip(blocks, spread(work, blocks, threads=threads), strict=True):
        masses[n] += mass
        for side, corners, weights in left:
            unmet[n][side].append((corners, weights))
    sides = [(n, side) for n in range(len(targets)) for side in (0, 1)]
    free = max(1, (threads or available_cores()) // len(sides)) if sides else 1  # cores that a tree may use
    finish = partial(_finish, (reference, prediction), targets, shells, step, masses, unmet, free)
    done = list(spread(finish, sides, threads=threads))
    return list(zip(done[::2], done[1::2], strict=True))


@dataclass(frozen=True, eq=False)
class _Shells:
    """The shortest steps of a lattice, in the order of their length, mm; those of one length are a shell."""

    lengths: NDArray[np.float64]  # of each shell
    ends: tuple[int, ...]  # of each shell among the steps
    steps: NDArray[np.intp]  # (steps, n)
    reach: tuple[int, ...]  # how far any of them leads along each axis


@lru_cache(maxsize=8)
def _shells(step_bytes: bytes, n: int) -> _Shells:
    step = np.frombuffer(step_bytes).reshape(n, n)
    ball = {2: math.pi, 3: 4 / 3 * math.pi}[n]
    radius = (_STEPS * abs(np.linalg.det(step)) / ball) ** (1 / n)
    reach = [int(radius * np.linalg.norm(row)) for row in np.linalg.inv(step)]
    every = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), -1).reshape(-1, n)
    length = np.linalg.norm(every @ step.T, axis=1)
    order = np.argsort(length, kind="stable")
    order = order[length[order] <= radius]
    length = length[order]
    starts = np.flatnonzero(np.diff(length, prepend=-1.0) > 1e-9 * radius)
    return _Shells(length[starts], (*starts[1:].tolist(), length.size), every[order], tuple(reach))


def _blocks(reference: Elements, target: Target, shells: _Shells) -> list[tuple[int, int]]:
    """The stretches of slabs that a target is worked on in: few enough corners each, all of them where they fit."""
    face = math.prod(s.stop - s.start + 1 + r for s, r in zip(target.box[1:], shells.reach[1:], strict=True))
    first, stop = target.box[0].start // reference.rows, -(-(target.box[0].stop + 1) // reference.rows)
    slabs = max(1, (_LATTICE // face - 2 * shells.reach[0]) // reference.rows)
    return [(start, min(start + slabs, stop)) for start in range(first, stop, slabs)]


def _block(
    reference: Elements,
    prediction: Elements,
    targets: Sequence[Target],
    shells: _Shells,
    sizes: NDArray[np.float64],
    block: tuple[int, int, int],
) -> tuple[NDArray[np.float64], list[tuple[int, NDArray[np.intp], NDArray[np.float64]]]]:
    """Surface at each length, for both sides, and which corners were not met: ``(side, corners, sizes)``."""
    n, first, stop = block
    target, rows, reach = targets[n], reference.rows, shells.reach
    # A border behind each row is enough: what leaves a row at its start comes out at the end of the one before.
    low = [first * rows - reach[0] - 1, *(s.start for s in target.box[1:])]
    width = [s.stop - s.start + 1 + r for s, r in zip(target.box[1:], reach[1:], strict=True)]
    shape = ((stop - first) * rows + 2 * reach[0] + 2, *width)
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    own = [(reach[0] + 1) * strides[0], ((stop - first) * rows + reach[0] + 1) * strides[0]]
    sides, found = [], []
    for elements in (reference, prediction):
        codes = np.zeros(math.prod(shape), dtype=np.uint8)
        for member in target.members:
            corners, code = elements.of(member, low[0] // rows, -(-(low[0] + shape[0]) // rows))
            at = _moved(corners, elements.shape, low, strides)
            inside = (at >= 0) & (at < codes.size)
            if not inside.all():
                at, code = at[inside], code[inside]
            codes[at] += code  # a corner is in a class once, and its classes share no voxels
        if len(target.members) > 1:
            codes[codes == sizes.size - 1] = 0  # members meet here, and nothing else
            at = np.flatnonzero(codes)
        sides.append(codes)
        found.append(at[(at >= own[0]) & (at < own[1])])

    mass = np.zeros((2, shells.lengths.size))
    left: list[tuple[int, NDArray[np.intp], NDArray[np.float64]]] = []
    steps = (shells.steps @ strides).tolist()
    for side in (0, 1):
        for start in range(0, found[side].size, _POINTS):
            at = found[side][start : start + _POINTS]
            weights = sizes[sides[side].take(at)]
            trees = _PLANT_NS * found[1 - side].size * at.size // found[side].size  # its share of a tree
            at, weights = _walk(at, weights, sides[1 - side], steps, shells.ends, trees, mass[side])
            if at.size:
                back = np.unravel_index(at, shape)
                corners = np.ravel_multi_index([x + lo for x, lo in zip(back, low, strict=True)], reference.shape)
                left.append((side, corners, weights))
    return mass, left


def _moved(
    corners: NDArray[np.intp], shape: tuple[int, ...], low: Sequence[int], strides: Sequence[int]
) -> NDArray[np.intp]:
    """Flat indices of corners in a lattice that begins at ``low`` and has other strides."""
    at = corners - int(np.dot(low, strides))
    for axis in range(len(shape) - 1):
        # The index along all axes up to this one, and what a step of it is worth here and in the next axis.
        upto = corners // math.prod(shape[axis + 1 :])
        at += upto * (strides[axis] - shape[axis + 1] * strides[axis + 1])
    return at


def _walk(
    at: NDArray[np.intp],
    weights: NDArray[np.float64],
    others: NDArray[np.uint8],
    steps: list[int],
    ends: tuple[int, ...],
    trees: int,
    mass: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Take the steps in order until they lead to the other surface; gives what was not met when it no longer pays."""
    spent = start = 0
    for n, end in enumerate(ends):
        if at.size == 0 or spent > trees + _CLIMB_NS * at.size:
            break
        spent += (end - start) * (_CALL_NS + _LOOK_NS * at.size)
        met = others.take(at + steps[start]) != 0
        for step in steps[start + 1 : end]:
            met |= others.take(at + step) != 0
        start = end
        if met.any():
            mass[n] += weights.compress(met).sum()
            rest = ~met
            at, weights = at.compress(rest), weights.compress(rest)
    return at, weights


def _finish(
    pair: tuple[Elements, Elements],
    targets: Sequence[Target],
    shells: _Shells,
    step: NDArray[np.float64],
    masses: list[NDArray[np.float64]],
    unmet: list[list[list[tuple[NDArray[np.intp], NDArray[np.float64]]]]],
    threads: int,
    which: tuple[int, int],
) -> Measured:
    """Put together what was met of one side of a target, and look up what was not."""
    n, side = which
    mass, other = masses[n][side], pair[1 - side]
    distances, weights = shells.lengths[mass > 0], mass[mass > 0]
    if unmet[n][side]:
        corners, far_weights = (np.concatenate(part) for part in zip(*unmet[n][side], strict=True))
        others = _points(_corners(other, targets[n].members), other.shape)
        far = _far(_points(corners, other.shape), others, step, threads)
        distances, weights = np.concatenate([distances, far]), np.concatenate([weights, far_weights])
    return distances, weights


def _corners(elements: Elements, members: tuple[int, ...]) -> NDArray[np.intp]:
    """All corners on the surface of a union of classes."""
    found = [elements.of(member) for member in members]
    if len(found) == 1:
        return found[0][0]
    corners, which = np.unique(np.concatenate([at for at, _ in found]), return_inverse=True)
    codes = np.bincount(which, np.concatenate([code for _, code in found]), corners.size)
    return corners[codes < (1 << (1 << len(elements.shape))) - 1]


def _points(corners: NDArray[np.intp], shape: tuple[int, ...]) -> list[NDArray[np.intp]]:
    """The indices of corners along each axis."""
    along: list[NDArray[np.intp]] = []
    for n in reversed(shape[1:]):
        rest = corners // n
        along.insert(0, corners - rest * n)
        corners = rest
    return [corners, *along]


def _in_space(points: Sequence[NDArray[np.intp]], step: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(m, n)`` places, mm, of points that are given axis by axis."""
    return np.stack([sum(way * at for way, at in zip(row, points, strict=True) if way) for row in step], axis=1)


def _far(
    points: list[NDArray[np.intp]], others: list[NDArray[np.intp]], step: NDArray[np.float64], threads: int
) -> NDArray[np.float64]:
    """Distances, mm, of points to the nearest of others; infinite where there are none."""
    here = _in_space(points, step)
    if others[0].size == 0:
        return np.full(len(here), np.inf)
    # A few of the others say how far the nearest is at most: what lies farther from all points needs no place in the
    # tree.
    every = others[0].size // 1024
    if every > 4:
        limit = cKDTree(_in_space([at[::every] for at in others], step)).query(here)[0]
        for axis, row in enumerate(np.linalg.norm(np.linalg.inv(step), axis=1)):
            low, high = (points[axis] - row * limit).min() - 1e-6, (points[axis] + row * limit).max() + 1e-6
            near = (others[axis] >= low) & (others[axis] <= high)
            if np.count_nonzero(near) < 0.75 * near.size:
                others = [at.compress(near) for at in others]
    # Points of a lattice lie evenly: splitting at the middle builds faster than at the median and is as good.
    tree = cKDTree(_in_space(others, step), leafsize=32, balanced_tree=False, compact_nodes=False)
    distances: NDArray[np.float64] = tree.query(here, workers=threads)[0]
    return distances
