"""What decides the surface of some structures in a label map of many: those that they touch, near them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.image import LabelMap

_MARGIN = 16  # voxels around the box


def surroundings(labels: LabelMap, names: Sequence[str]) -> tuple[LabelMap, tuple[slice, ...]]:
    """Leave out what does not matter to the surfaces of some structures.

    What is parted from them by background has no influence at all and goes (voxels that touch at a corner are not
    parted): surfaces are then the same within 1e-6 mm. What is left is cut to their box and 16 voxels around. Where
    that cuts something, it reaches them only through smoothing and the volumes of their neighbours: nearly all
    vertices lie within a twentieth of a voxel of where they were, mostly within a thousandth. A few, where a structure
    touches itself at an edge or a corner, may lie elsewhere in the same cell. All stays sound, and what is not
    smoothed is the same.

    Args:
        labels: 3D.
        names: Of labels or regions that are wanted.

    Returns:
        The smaller label map, and the box of the image that it covers. Empty structures have the whole image's.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> array = np.zeros((60, 9, 9), np.uint8)
        >>> array[2:5, 2:5, 2:5], array[5:40, 2:5, 2:5], array[42:50] = 1, 2, 3
        >>> drawn = LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 1)), Labels.of([1, 2, 3]))
        >>> small, box = surroundings(drawn, ["label 1"])
        >>> small.grid.shape, box[0], sorted(small.counts())
        ((20, 5, 5), slice(1, 21, None), [0, 1, 2])
    """
    members = sorted({value for name in names for value in labels.labels.members(name)})
    wanted = np.isin(labels.array, members)
    box = _box(wanted)
    if box is None:
        return labels, tuple(slice(0, n) for n in labels.grid.shape)
    joined = _joined(np.logical_and(labels.array != 0, labels.array != (labels.labels.ignore or 0)), wanted)
    around = _box(joined)
    assert around is not None
    cut = []
    for own, all_, size in zip(box, around, labels.grid.shape, strict=True):
        # A layer of background tells what ends there from what is cut.
        first = all_.start - 1 if all_.start >= own.start - _MARGIN else own.start - _MARGIN
        last = all_.stop + 1 if all_.stop <= own.stop + _MARGIN else own.stop + _MARGIN
        cut.append(slice(max(first, 0), min(last, size)))
    part = tuple(cut)
    array = np.where(joined[part], labels.array[part], labels.array.dtype.type(0))
    return LabelMap(array, labels.grid.crop([s.start for s in part], array.shape), labels.labels), part


def _joined(filled: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The parts of what is filled that hold something wanted."""
    from scipy import ndimage

    box = _box(filled)
    found = np.zeros(filled.shape, np.bool_)
    if box is not None:
        parts, count = ndimage.label(filled[box], structure=np.ones((3, 3, 3), np.bool_))
        chosen = np.zeros(count + 1, np.bool_)
        chosen[parts[wanted[box]]] = True
        found[box] = chosen[parts]
    return found


def _box(inside: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    found = []
    for axis in range(inside.ndim):
        shown = np.flatnonzero(inside.any(axis=tuple(k for k in range(inside.ndim) if k != axis)))
        if not len(shown):
            return None
        found.append(slice(int(shown[0]), int(shown[-1]) + 1))
    return tuple(found)
