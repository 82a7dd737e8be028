"""Fewer triangles, within a bound in millimetres, for all structures together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.mesh.crossings import crossings
from vesalius.mesh.surface import Interfaces, compacted

_LEAST_TURN = 0.5  # cosine of the angle by which a triangle's normal may turn at once
_LEAST_SHAPE = 0.12  # twice the area by the square of the longest side: 0.87 is equilateral, 0 a needle
_FEW = 0.004  # of the vertices: a round that removes fewer is the last but two
_ROUNDS = 80
_NEAR = 3  # how many times only what cuts itself is left as it was, before its surroundings are, further and further


def simplify(interfaces: Interfaces, *, max_error_mm: float, seed: int = 0) -> Interfaces:
    """Leave out vertices where the surface is nearly flat; neighbours still share what is left.

    A vertex is drawn into a neighbour, many at a time, far enough from each other not to interfere. A vertex on a line
    where several structures meet only moves along that line, and one where such lines meet stays. Each time, the
    largest distance of the vertex from the planes of the triangles that replace those around it is added to the largest
    sum that these carry, and no sum exceeds the bound. Errors seldom add up, so that the surface is mostly several
    times nearer than that. No piece is lost, joined or pierced. Where triangles come to cut each other, their
    surroundings are left as they were.

    Args:
        interfaces: The surfaces.
        max_error_mm: ≥ 0; a quarter of a voxel's width leaves about half of the triangles of smooth structures.
        seed: Of the order in which vertices are tried.

    Returns:
        The surfaces with fewer vertices; those that are left have not moved.

    Raises:
        DataError: The bound is not 0 or more.

    Source: the collapse of edges: H. Hoppe et al., "Mesh optimization", SIGGRAPH 1993, doi 10.1145/166117.166119; when
        it keeps the topology: T. K. Dey et al., "Topology preserving edge contraction", Publications de l'Institut
        Mathématique 66 (1999) 23.

    Example:
        >>> from vesalius.image import Grid, LabelMap, Labels
        >>> from vesalius.mesh import extract
        >>> cube = LabelMap(np.ones((9, 9, 9), np.uint8), Grid.from_spacing((9, 9, 9), (1, 1, 1)), Labels.of([1]))
        >>> fine = extract(cube, smoothing_steps=0)
        >>> coarse = simplify(fine, max_error_mm=0.01)
        >>> len(fine.faces), len(coarse.faces) < 100, round(coarse.of("label 1").volume_ml, 6)
        (972, True, 0.729)
    """
    if not (np.isfinite(max_error_mm) and max_error_mm >= 0):
        raise DataError(f"max_error_mm must be 0 or more, not {max_error_mm}")
    if not len(interfaces.faces):
        return interfaces
    locked = np.zeros(len(interfaces.vertices), np.bool_)
    for attempt in count():
        faces, sides, parents = _collapsed(interfaces, max_error_mm, locked, seed)
        # All that was drawn into the corners of triangles that cut each other stays where it was, from the beginning.
        bad = np.zeros(len(locked), np.bool_)
        bad[faces[crossings(interfaces.vertices, faces)]] = True
        bad = bad[parents] & ~locked
        if not bad.any():
            break  # what still cuts itself did so before
        for _ in range(2 ** (attempt - _NEAR) if attempt >= _NEAR else 0):
            bad[interfaces.faces[bad[interfaces.faces].any(axis=1)]] = True
        locked |= bad
    vertices, faces = compacted(interfaces.vertices, faces)
    return Interfaces(vertices, faces, sides, interfaces.labels)


@dataclass(eq=False)
class _Mesh:
    """What is left: faces, their sides, and the sum of errors that each carries."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    sides: NDArray[np.int32]
    sums: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Edges:
    """Every edge once: its key, its ends, and whether several structures meet along it."""

    keys: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    joint: NDArray[np.bool_]

    def find(self, one: NDArray[np.int64], other: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        """The numbers of edges between vertices; -1 where there is none."""
        keys = np.minimum(one, other) * size + np.maximum(one, other)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1)


def _collapsed(
    interfaces: Interfaces, bound: float, locked: NDArray[np.bool_], seed: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Faces and sides that are left, and the vertex that each vertex ended in."""
    size = len(interfaces.vertices)
    mesh = _Mesh(interfaces.vertices, interfaces.faces, interfaces.sides, np.zeros(len(interfaces.faces), np.float32))
    parents = np.arange(size, dtype=np.int32)
    idle = 0
    for number in range(_ROUNDS):
        edges = _edges(mesh, size)
        targets = _targets(mesh, edges, locked, seed * _ROUNDS + number)
        removed = _round(mesh, edges, targets, bound)
        parents[removed] = targets[removed]
        idle = idle + 1 if len(removed) <= _FEW * len(mesh.faces) / 2 else 0
        if idle == 3:
            break
    while True:
        further = parents[parents]
        if (further == parents).all():
            return mesh.faces, mesh.sides, parents
        parents = further


def _edges(mesh: _Mesh, size: int) -> _Edges:
    ends = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]).astype(np.int64)
    low, high = ends.min(axis=1), ends.max(axis=1)
    keys = low * size + high
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    counts = np.diff(first, append=len(keys))
    pair = np.sort(mesh.sides, axis=1).astype(np.int64)
    kinds = (pair[:, 0] * 65_536 + pair[:, 1])[order % len(mesh.faces)]
    joint = (counts != 2) | (kinds[first] != kinds[np.minimum(first + 1, len(kinds) - 1)])
    return _Edges(keys[first], keys[first] // size, keys[first] % size, joint)


def _targets(mesh: _Mesh, edges: _Edges, locked: NDArray[np.bool_], draw: int) -> NDArray[np.int32]:
    """For each vertex that is tried in this round the neighbour that it is drawn into; -1 for all others.

    What is drawn by chance hangs on the vertices alone: where a few are locked, all that is far from them stays as it
    was, and what did not cut itself does not do so now.
    """
    size = len(locked)
    joints = np.bincount(edges.low[edges.joint], minlength=size) + np.bincount(edges.high[edges.joint], minlength=size)
    lengths = np.linalg.norm(mesh.vertices[edges.low] - mesh.vertices[edges.high], axis=1)
    start, end = np.concatenate([edges.low, edges.high]), np.concatenate([edges.high, edges.low])
    allowed = ~locked[start] & ((joints[start] == 0) | ((joints[start] == 2) & np.tile(edges.joint, 2)))
    # Mostly the nearest neighbour; now and then another, so that what failed is tried in another way.
    cost = (np.tile(lengths, 2) * (1.0 + _chance(start * size + end, 2 * draw)))[allowed]
    start, end = start[allowed], end[allowed]
    order = np.argsort(-cost, kind="stable")
    targets = np.full(size, -1, np.int32)
    targets[start[order]] = end[order]  # the last one, which is the cheapest, stays
    # Of two neighbours only one is tried.
    rank = _chance(np.arange(size), 2 * draw + 1)
    rank[targets < 0] = 1.0
    later = rank[edges.low] > rank[edges.high]
    targets[np.where(later, edges.low, edges.high)] = -1
    return targets


def _chance(keys: NDArray[np.int64], draw: int) -> NDArray[np.float64]:
    """A number of 0 to less than 1 for each key, as if drawn by chance: the same for the same key and draw.

    Source: the finaliser of SplitMix64, G. L. Steele et al., "Fast splittable pseudorandom number generators", 2014,
        doi 10.1145/2660193.2660195.
    """
    mixed = keys.astype(np.uint64) + np.uint64((draw * 0x9E3779B97F4A7C15) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _round(mesh: _Mesh, edges: _Edges, targets: NDArray[np.int32], bound: float) -> NDArray[np.int64]:
    """Draw vertices into their targets where nothing speaks against it; which were drawn."""
    size = len(targets)
    chosen = targets[mesh.faces] >= 0
    star = np.flatnonzero(chosen.any(axis=1))  # no two vertices that are tried share a face
    old = mesh.faces[star]
    owner = old[chosen[star]]
    into = targets[owner]
    dying = (old == into[:, None]).any(axis=1)
    new = np.where(chosen[star], into[:, None], old)
    kept = ~dying

    good = targets >= 0
    error, largest = np.zeros(size, np.float32), np.zeros(size, np.float32)
    before, after = _normals(mesh.vertices, old[kept]), _normals(mesh.vertices, new[kept])
    lengths = np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1)
    turn = np.einsum("ij,ij->i", before, after)
    bad = turn < _LEAST_TURN * lengths[0] * lengths[1]
    corners = mesh.vertices[new[kept]]
    longest = np.square(corners - np.roll(corners, -1, axis=1)).sum(axis=2).max(axis=1)
    bad |= lengths[1] <= _LEAST_SHAPE * longest  # those without an area as well
    shift = mesh.vertices[owner[kept]] - mesh.vertices[into[kept]]
    distance = np.abs(np.einsum("ij,ij->i", shift, after)) / np.where(bad, 1.0, lengths[1])
    good[owner[kept][bad]] = False
    np.maximum.at(error, owner[kept], distance.astype(np.float32))
    np.maximum.at(largest, owner, mesh.sums[star])
    good &= largest + error <= bound

    good[_tangled(mesh, edges, targets, good, np.bincount(owner[dying], minlength=size))] = False
    drawn = good[owner]
    renewed = star[drawn & kept]
    mesh.faces = mesh.faces.copy()
    mesh.faces[renewed] = new[drawn & kept]
    mesh.sums[renewed] = (largest + error)[owner[drawn & kept]]
    left = np.ones(len(mesh.faces), np.bool_)
    left[star[drawn & dying]] = False
    mesh.faces, mesh.sides, mesh.sums = mesh.faces[left], mesh.sides[left], mesh.sums[left]
    return np.flatnonzero(good)


def _tangled(
    mesh: _Mesh, edges: _Edges, targets: NDArray[np.int32], good: NDArray[np.bool_], dying: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Which vertices must not be drawn because the surface would change how it hangs together."""
    size = len(targets)
    start = np.concatenate([edges.low, edges.high])
    at = np.flatnonzero(good[start])
    number = at % len(edges.low)
    start = start[at]
    end = np.concatenate([edges.high, edges.low])[at]
    into = targets[start].astype(np.int64)
    other = end != into
    start, end, into, number = start[other], end[other], into[other], number[other]
    across = edges.find(into, end, size)
    joined = across >= 0
    # The two ends may have no neighbours in common but those in the faces between them.
    common = np.bincount(start[joined], minlength=size)
    tangled = common != dying
    # Nor may a line where structures meet be closed to nothing.
    tangled[start[joined & edges.joint[number] & edges.joint[across]]] = True
    # A triangle all of whose sides would be there already would be there twice.
    star = np.flatnonzero(good[mesh.faces].any(axis=1))
    faces = mesh.faces[star].astype(np.int64)
    place = np.argmax(good[faces], axis=1)
    rows = np.arange(len(faces))
    target = targets[faces[rows, place]].astype(np.int64)
    a, b = faces[rows, (place + 1) % 3], faces[rows, (place + 2) % 3]
    alive = (a != target) & (b != target)
    twice = (edges.find(target, a, size) >= 0) & (edges.find(target, b, size) >= 0) & alive
    tangled[faces[rows, place][twice]] = True
    # Two vertices that are drawn at once may not make the same edge.
    fresh = ~joined & ~tangled[start]
    keys = np.minimum(into, end)[fresh] * size + np.maximum(into, end)[fresh]
    _, first = np.unique(keys, return_index=True)
    again = np.ones(len(keys), np.bool_)
    again[first] = False
    tangled[start[fresh][again]] = True
    return np.flatnonzero(tangled & good)


def _normals(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals: NDArray[np.float64] = np.cross(b - a, c - a)
    return normals
