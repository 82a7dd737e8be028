"""The surface elements of every class of a label map, found in one pass.

An element of a class is a corner between voxels where some are of the class and some are not (see `surfels`). The whole
volume is only looked at to find the corners where voxels of any two classes meet; which classes these are is asked
there alone. So 100 classes take little longer than one, and nothing is stored but the elements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from vesalius.metrics.confusion import Box
from vesalius.metrics.threads import spread

_VOXELS = 1 << 20  # of a slab: its labels and what is compared there stay in a core's second-level cache


@dataclass(frozen=True, eq=False)
class Elements:
    """The surface elements of all classes of one label map.

    Args:
        shape: Of the lattice of corners: corner 0 lies before the first voxel of the box. Along each axis there is one
            corner more than there are voxels, and along all but the first one more that is never used, so that flat
            steps among voxels with a border and among corners are the same.
        rows: How many rows of corners, counted along the first axis, a slab has; the last may have fewer.
        slabs: For each slab in order ``(corners, codes, ends)``: the flat indices of the corners, their neighbour codes
            (`surfels.neighbour_codes`), and where the stretch of each class ends; both are grouped by class.
    """

    shape: tuple[int, ...]
    rows: int
    slabs: tuple[tuple[NDArray[np.integer], NDArray[np.uint8], NDArray[np.intp]], ...]

    def of(self, label: int, first: int = 0, stop: int | None = None) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
        """Corners (flat indices) and codes of one class, in the slabs ``first`` to ``stop``."""
        some = self.slabs[max(first, 0) : stop]
        where = [slice(int(ends[label - 1]) if label else 0, int(ends[label])) for _, _, ends in some]
        corners = [corners[at] for (corners, _, _), at in zip(some, where, strict=True)]
        codes = [codes[at] for (_, codes, _), at in zip(some, where, strict=True)]
        if not some:
            return np.empty(0, np.intp), np.empty(0, np.uint8)
        return np.concatenate(corners).astype(np.intp), np.concatenate(codes)


def find_elements(
    labels: NDArray[np.unsignedinteger],
    classes: int,
    *,
    box: Box | None = None,
    wanted: Sequence[int] | None = None,
    ignored: int | None = None,
    threads: int | None = None,
) -> Elements:
    """Find the surface elements of every class.

    Args:
        labels: Class numbers, 0 (background) to ``classes - 1``, 2D or 3D; 8 or 16 bits.
        classes: How many classes there are.
        box: The part to look at; all voxels outside count as background. None: the whole array. What touches its edge
            is closed there.
        wanted: The classes whose elements are kept; None: all but class 0.
        ignored: A class of voxels that nobody looked at: corners that touch one belong to no surface.
        threads: How many slabs are worked on at a time; None: as many as there are cores. Each holds some 20 MB.

    Returns:
        The elements, 5 bytes each (9 where the box has more than 2³¹ corners).

    Example:
        >>> found = find_elements(np.ones((1, 1), np.uint8), 2)
        >>> corners, codes = found.of(1)  # in any order
        >>> found.shape, dict(sorted(zip(corners.tolist(), codes.tolist())))
        ((2, 3), {0: 1, 1: 2, 3: 4, 4: 8})

    Source: corners and codes as in surface-distance (Nikolov et al., 2021, doi:10.2196/26151).
    """
    part = labels if box is None else labels[box]
    shape = (part.shape[0] + 1, *(n + 2 for n in part.shape[1:]))
    if not part.size:
        return Elements(shape, 1, ())
    rows = max(1, _VOXELS // math.prod(shape[1:]))
    kept = np.zeros(classes, dtype=np.bool_)
    kept[list(range(1, classes) if wanted is None else wanted)] = True
    work = partial(_slab, part, shape, kept, ignored, rows)
    return Elements(shape, rows, tuple(spread(work, range(0, shape[0], rows), threads=threads)))


def _slab(
    labels: NDArray[np.unsignedinteger],
    shape: tuple[int, ...],
    kept: NDArray[np.bool_],
    ignored: int | None,
    rows: int,
    start: int,
) -> tuple[NDArray[np.integer], NDArray[np.uint8], NDArray[np.intp]]:
    """The elements of some rows of corners, from ``start`` on."""
    rows = min(rows, shape[0] - start)
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    # Row i of corners lies between rows i - 1 and i of voxels. All else stays 0: the border, and the few zeros behind
    # the end that the last row's unused corners look at.
    voxels = np.zeros((rows + 1) * strides[0] + sum(strides[1:]), dtype=labels.dtype)
    first, stop = max(start - 1, 0), min(start + rows, len(labels))
    inner = voxels[: (rows + 1) * strides[0]].reshape(rows + 1, *shape[1:])
    inner[(slice(first - start + 1, stop - start + 1), *(slice(1, -1),) * (labels.ndim - 1))] = labels[first:stop]

    # Are two neighbours unlike, any of four, any of eight: one axis at a time, as flat steps.
    mixed: NDArray[np.bool_] | None = None
    length = voxels.size
    for step in reversed(strides):
        length -= step
        unlike = voxels[:length] != voxels[step : step + length]
        if mixed is not None:
            unlike |= mixed[:length]
            unlike |= mixed[step : step + length]
        mixed = unlike
    assert mixed is not None
    at = np.flatnonzero(mixed)
    steps = [sum(np.multiply(corner, strides)) for corner in product((0, 1), repeat=labels.ndim)]
    if ignored is not None:
        at = at[~np.logical_or.reduce([voxels.take(at + step) == ignored for step in steps])]
    around = [voxels.take(at + step) for step in steps]

    # Each class is met where its first voxel is: its code is made there, and all its voxels are done with.
    bits = [np.uint8(1 << n) for n in reversed(range(len(steps)))]
    left = np.full(at.size, sum(bits), dtype=np.uint8)
    found: list[tuple[NDArray[np.intp], NDArray[np.uint8], NDArray[np.unsignedinteger]]] = []
    for position, (label, bit) in enumerate(zip(around, bits, strict=True)):
        met = np.flatnonzero(((left & bit) != 0) & kept[label])
        mine = label[met]
        code = np.full(met.size, bit)
        for other, its_bit in zip(around[position + 1 :], bits[position + 1 :], strict=True):
            code |= (other[met] == mine) * its_bit
        left[met] ^= code
        found.append((at[met], code, mine))
    corners, codes, classes = (np.concatenate(one) for one in zip(*found, strict=True))
    order = np.argsort(classes, kind="stable")
    ends = np.cumsum(np.bincount(classes, minlength=kept.size))
    small = np.int32 if math.prod(shape) < 1 << 31 else np.int64
    return (corners[order] + start * strides[0]).astype(small), codes[order], ends
