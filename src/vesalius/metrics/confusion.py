"""The confusion table of all classes and the box of each, in one pass over a pair of label maps.

Anatomy comes in long runs of equal voxels. Only the places where either map changes along its last axis are looked at:
they say which classes a run has and how long it is, and hence every count; the ends of the runs say where each class
lies. The work on whole volumes is a few comparisons of bytes, whatever the number of classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vesalius.metrics.threads import spread

Box = tuple[slice, ...]

_VOXELS = 1 << 19  # of a slab: both maps and where they change stay in a core's second-level cache
_DENSE = 1 << 16  # cells of a table that are worth to be counted in full for every slab


@dataclass(frozen=True, eq=False)
class Confusion:
    """What a pair of label maps holds, counted.

    Args:
        table: ``(classes, classes)``; row = class in the reference, column = class in the prediction, in voxels.
        reference_boxes: Where each class lies in the reference; None for one that is not there, and for class 0.
        prediction_boxes: The same of the prediction.
    """

    table: NDArray[np.int64]
    reference_boxes: tuple[Box | None, ...]
    prediction_boxes: tuple[Box | None, ...]

    def box(self, *classes: int) -> Box | None:
        """The smallest box that holds some classes in both maps; None where neither has them."""
        found = [box for boxes in (self.reference_boxes, self.prediction_boxes) for c in classes if (box := boxes[c])]
        if not found:
            return None
        return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*found, strict=True))


def confusion(
    reference: NDArray[np.integer], prediction: NDArray[np.integer], classes: int, *, threads: int | None = None
) -> Confusion:
    """Count every pair of classes, and find the box of each class, in one pass.

    Args:
        reference: Class numbers, 0 (background) to ``classes - 1``; one axis or more. Best in C order.
        prediction: Class numbers of the same shape.
        classes: How many classes there are, at least 1.
        threads: How many slabs are worked on at a time; None: as many as there are cores. Each holds some 10 MB.

    Returns:
        The table and the boxes; no voxels at all give a table of zeros.

    Example:
        >>> found = confusion(np.array([[0, 1, 1]]), np.array([[0, 0, 1]]), 2)
        >>> found.table
        array([[1, 0],
               [1, 1]])
        >>> found.reference_boxes[1], found.box(1)
        ((slice(0, 1, None), slice(1, 3, None)), (slice(0, 1, None), slice(1, 3, None)))

    Source: Stehman, Remote Sensing of Environment 62:77 (1997), the error matrix.
    """
    shape = reference.shape
    seen = [[np.zeros((classes, n), dtype=np.bool_) for n in shape] for _ in "rp"]
    table = np.zeros(classes * classes, dtype=np.int64)
    if reference.size:
        rows = max(1, _VOXELS // math.prod(shape[1:]))
        slabs = [slice(start, min(start + rows, shape[0])) for start in range(0, shape[0], rows)]
        for cells, voxels in spread(partial(_count, reference, prediction, classes, seen), slabs, threads=threads):
            if cells is None:
                table += voxels
            else:
                table[cells] += voxels
    boxes = [tuple(_box([axis[c] for axis in side]) if c else None for c in range(classes)) for side in seen]
    return Confusion(table.reshape(classes, classes), boxes[0], boxes[1])


def _count(
    reference: NDArray[np.integer],
    prediction: NDArray[np.integer],
    classes: int,
    seen: list[list[NDArray[np.bool_]]],
    slab: slice,
) -> tuple[NDArray[np.intp] | None, NDArray[np.int64]]:
    """Counts of a slab: of every cell of the table (None), or of those that are named. Marks what was seen where."""
    shape = reference[slab].shape
    pair = [np.ascontiguousarray(side[slab]).reshape(-1) for side in (reference, prediction)]
    change = np.empty(pair[0].size, dtype=np.bool_)
    np.not_equal(pair[0][1:], pair[0][:-1], out=change[1:])
    change[1:] |= pair[1][1:] != pair[1][:-1]
    change[:: shape[-1]] = True  # a run stays within its row, so that its ends bound the class along the last axis
    starts = np.flatnonzero(change)
    lengths = np.diff(starts, append=change.size)
    ours, theirs = (side[starts].astype(np.intp) for side in pair)
    joint = ours * classes + theirs

    some = np.flatnonzero(joint)
    last, lengths_there = starts[some], lengths[some]
    where: list[NDArray[np.intp]] = []
    for n in reversed(shape):
        rest = last // n
        where.insert(0, last - rest * n)
        last = rest
    for side, labels in zip(seen, (ours[some], theirs[some]), strict=True):
        for axis, at in enumerate(where):
            width = side[axis].shape[1]
            flat = side[axis].reshape(-1)
            first = labels * width + at
            if axis == 0:
                first += slab.start
            flat[first] = True
            if axis == len(shape) - 1:
                flat[first + lengths_there - 1] = True

    if classes * classes <= _DENSE:
        return None, np.bincount(joint, lengths, classes * classes).astype(np.int64)
    cells, which = np.unique(joint, return_inverse=True)
    return cells, np.bincount(which, lengths).astype(np.int64)


def _box(seen: list[NDArray[np.bool_]]) -> Box | None:
    found = [np.flatnonzero(axis) for axis in seen]
    return tuple(slice(int(at[0]), int(at[-1]) + 1) for at in found) if found[0].size else None
