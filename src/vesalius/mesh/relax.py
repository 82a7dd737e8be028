"""Smoothing within the lattice: steps between voxels go, volumes stay, and no vertex leaves its cell.

Any surface that tells the same voxels inside from the same voxels outside passes through the same cells. To keep each
vertex in its cell therefore costs no smoothness that the labels allow, and bounds what smoothing may do: nothing thin
is lost, nothing moves further than half a voxel on each axis.

Source: G. Taubin, "A signal processing approach to fair surface design", SIGGRAPH 1995, doi 10.1145/218380.218473 (a
step forward, a step back); Gibson 1998 (see `vesalius.mesh.lattice`) for vertices that stay in their cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.envelope import Points, origins, restored, starts, triangles
from vesalius.mesh.lattice import CORNERS, STEPS, centres
from vesalius.mesh.net import Net, corner_labels
from vesalius.mesh.volumes import Walls, sheets

_ROOM = 0.48  # of a cell, to each side: vertices of neighbouring cells never meet
_LAMBDA, _PASS = 0.63, 0.02  # the first: below 0.66 the highest frequency does not grow; the second is kept
_ROUNDS = 3
_SHRUNK = 0.6  # of the volume


def relaxed(net: Net, *, steps: int, held: NDArray[np.bool_], start: Points | None = None) -> Points:
    """Smooth a net; the volume of each piece of each structure stays what its voxels have.

    Args:
        net: The net.
        steps: How often it is smoothed.
        held: ``(V, 3)``: axes on which a vertex stays in the middle of its cell, such as those of the image's border.
        start: ``(V, 3)``: where vertices are before, in index space; the middles of their cells, if left out. The
            volumes that are kept are those of this surface.

    Returns:
        The vertices in index space; each is in its cell or tetrahedron, and no envelope is broken.
    """
    first = starts(net)
    start = first if start is None else restored(net, start)
    if not steps or not len(first):
        return start
    points, faces, sides = triangles(net, start)
    pieces = sheets(net, faces, sides)
    wanted = Walls(pieces, faces, sides).volumes(points)
    smoothing = _Smoothing(net, first, held)
    offsets = smoothing.run(smoothing.within(start - first), steps)
    points, faces, sides = triangles(net, restored(net, first + offsets))
    volumes = Walls(pieces, faces, sides).volumes(points)
    # A few voxels may have shrunk to a point: there is no way back by small steps.
    lost = pieces.at(np.abs(volumes) < _SHRUNK * np.abs(wanted))
    offsets[lost] = (start - first)[lost]
    for _ in range(_ROUNDS):
        points, faces, sides = triangles(net, restored(net, first + offsets))
        offsets = smoothing.within(offsets + Walls(pieces, faces, sides).correction(points, wanted))
    return restored(net, first + offsets)


def neighbours(net: Net) -> Any:
    """Which vertices are joined by a segment: a symmetric sparse matrix of ones, ``(V, V)``."""
    from scipy.sparse import coo_array, csr_array

    corners = corner_labels(net.array, net.cells)
    ends = []
    for step, stride in enumerate(net.strides(STEPS[:3])):
        # The face between a cell and the next on this axis is crossed where its four voxels differ.
        far = [k for k, corner in enumerate(CORNERS) if corner[step]]
        crossed = np.zeros(len(net.cells), np.bool_)
        for k in far[1:]:
            crossed |= corners[k] != corners[far[0]]
        one = np.flatnonzero(crossed)
        other = np.searchsorted(net.cells, net.cells[one] + stride)
        whole = ~(net.split[one] | net.split[other])
        ends.append(np.stack([net.first[one[whole]], net.first[other[whole]]], axis=1))
    split = net.split[net.owners]
    segments = np.stack([net.fans, np.roll(net.fans, -1, axis=1)], axis=2).reshape(-1, 2)
    segments = segments[(segments[:, 0] != segments[:, 1]) & split[segments].any(axis=1)]
    if len(segments):
        ends.append(np.unique(np.sort(segments, axis=1), axis=0))
    pairs = np.concatenate(ends)
    ones = np.ones(len(pairs), np.float32)
    half = csr_array(coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(net.size, net.size)))
    return half + half.T


class _Smoothing:
    """What stays the same from step to step: who is whose neighbour, and how far each vertex may go."""

    def __init__(self, net: Net, first: Points, held: NDArray[np.bool_]) -> None:
        links = neighbours(net).astype(np.float64)
        counts = np.diff(links.indptr)
        links.data /= np.repeat(np.maximum(counts, 1), counts)
        # In float64: these are differences of large numbers; what is left to float32 is less than a cell.
        self._pull = (links @ first - first * (counts > 0)[:, None]).astype(np.float32)
        self._links = links.astype(np.float32)
        self._room = np.where(held, np.float32(0), np.float32(_ROOM))
        owners = net.owners
        self._split = np.flatnonzero(net.split[owners])
        path = self._split - net.first[owners[self._split]]
        self._centres = centres()[path]
        self._first = first

    def run(self, offsets: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
        back = 1 / (_PASS - 1 / _LAMBDA)
        for step in range(2 * steps):
            moved = self._links @ offsets
            moved -= offsets
            moved += self._pull
            moved *= np.float32(back if step % 2 else _LAMBDA)
            offsets = self.within(offsets + moved)
        return offsets

    def within(self, offsets: NDArray[Any]) -> NDArray[np.float32]:
        """The nearest offsets for which every vertex is in its cell, and in its tetrahedron if it has one."""
        kept: NDArray[np.float32] = np.clip(offsets.astype(np.float32, copy=False), -self._room, self._room)
        if len(self._split):
            kept[self._split] = _in_tetrahedra(kept[self._split], self._centres)
        return kept


def _in_tetrahedra(offsets: NDArray[np.float32], centre: Points) -> NDArray[np.float32]:
    """Shorten offsets from the centres of tetrahedra until they end inside."""
    # A tetrahedron is where 1 ≥ a ≥ b ≥ c ≥ 0 for the axes in the order of its path; its centre is at 3, 2, 1 quarters.
    order = np.argsort(-centre, axis=1)
    along = np.take_along_axis(offsets, order, axis=1)
    zero = np.zeros(len(along), np.float32)
    gains = np.diff(np.stack([zero, *along.T, zero]), axis=0)  # how far each of the four bounds comes nearer
    nearest = gains.max(axis=0)
    with np.errstate(divide="ignore"):
        share = np.minimum(1.0, 0.25 * 0.9 / np.maximum(nearest, 1e-9))
    inside: NDArray[np.float32] = (offsets * share[:, None]).astype(np.float32)
    return inside


def at_border(net: Net, *, open_low: NDArray[np.bool_], open_high: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which vertices lie where the image ends, on each axis: there structures are cut flat, ``(V, 3)``.

    Args:
        net: Its array has a rim.
        open_low: Whether the array's first voxels on each axis are the image's, so that structures may go on beyond.
        open_high: The same of the last voxels.
    """
    places = origins(net, net.cells)
    last = np.asarray(net.array.shape) - 2
    held: NDArray[np.bool_] = (((places == 0) & open_low) | ((places == last) & open_high))[net.owners]
    return held
