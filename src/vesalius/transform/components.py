"""Connected components of a segmentation, and the clean-up that rests on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import GeometryError
from vesalius.image import LabelMap

_SLAB = 1 << 20  # voxels looked at at a time
_FEW = 16  # values that are compared one by one sooner than looked up


def label_components(
    binary: NDArray[Any], *, connectivity: int | None = None
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Number the connected pieces of a picture of yes and no.

    Args:
        binary: ``(*grid.shape)``; what is not zero is foreground.
        connectivity: Which voxels touch: those whose indices differ on at most this many axes, by one. In 3D 1 is
            the 6 neighbours across a face, 3 all 26; in 2D 1 is 4 and 2 is 8. All neighbours when left out.

    Returns:
        ``(pieces, sizes)``: the number of the piece at each voxel, from 1 (0 is background), and the voxels of each
        piece, ``sizes[0]`` being piece 1's. No pieces in an empty picture.

    Raises:
        GeometryError: ``connectivity`` is not 1 to the number of axes.

    Example:
        >>> pieces, sizes = label_components(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]]))
        >>> sizes.tolist()
        [2, 1]

    Source: ``scipy.ndimage.label``; the word and its numbers are scikit-image's.
    """
    numbers, count, box = _labelled(binary, connectivity)
    sizes = np.bincount(numbers.reshape(-1), minlength=count + 1)[1:]
    if numbers.shape == binary.shape:
        return numbers, sizes
    pieces = np.zeros(binary.shape, np.int32)
    pieces[box] = numbers
    return pieces, sizes


def connected_to(
    binary: NDArray[Any], marked: NDArray[np.bool_], *, connectivity: int | None = None
) -> NDArray[np.bool_]:
    """The connected pieces of a picture of yes and no that hold something that is marked.

    Args:
        binary: ``(*grid.shape)``; what is not zero is foreground.
        marked: ``(*grid.shape)``; what is marked outside the foreground does not count.
        connectivity: As for `label_components`.

    Returns:
        ``(*grid.shape)``; nothing where nothing is marked.

    Raises:
        GeometryError: ``connectivity`` is not 1 to the number of axes.

    Example:
        >>> connected_to(np.array([1, 1, 0, 1]), np.array([False, True, False, False])).tolist()
        [True, True, False, False]
    """
    found = np.zeros(binary.shape, np.bool_)
    pieces, count, box = _labelled(binary, connectivity)
    if count == 0:
        return found
    stays = np.zeros(count + 1, np.bool_)
    stays[pieces[marked[box]]] = True
    stays[0] = False
    wanted = np.flatnonzero(stays)
    if wanted.size == 1:
        np.equal(pieces, wanted[0], out=found[box])
    elif wanted.size:
        at = np.flatnonzero(pieces)
        kept = np.zeros(pieces.size, np.bool_)
        kept[at] = stays.take(pieces.reshape(-1).take(at))
        found[box] = kept.reshape(pieces.shape)
    return found


def keep_largest(
    labelmap: LabelMap, *, names: Sequence[str] | None = None, connectivity: int | None = None
) -> LabelMap:
    """Remove all but the largest connected piece.

    Args:
        labelmap: The segmentation.
        names: The labels or regions to clean, each by itself and in this order; voxels of its smaller pieces become
            background. Left out, all labels together count as one structure. ``labelmap.labels.names`` cleans every
            label.
        connectivity: As for `label_components`.

    Returns:
        The cleaned segmentation; voxels to ignore stay as they are. Of pieces of equal size the one that comes first
        in index order stays.

    Raises:
        DataError: A name is not known.
        GeometryError: ``connectivity`` is not 1 to the number of axes.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> array = np.array([[1, 0, 1], [1, 0, 0]])
        >>> labelmap = LabelMap(array, Grid.from_spacing((2, 3), (1.0, 1.0)), Labels.of({"lesion": 1}))
        >>> keep_largest(labelmap).array.tolist()
        [[1, 0, 0], [1, 0, 0]]

    Source: nnU-Net's post-processing, for all foreground classes at once and then for each.
    """

    def smaller(sizes: NDArray[np.intp]) -> NDArray[np.bool_]:
        others: NDArray[np.bool_] = np.arange(sizes.size) != np.argmax(sizes)
        return others

    return _cleaned(labelmap, names, connectivity, smaller)


def remove_small(
    labelmap: LabelMap,
    min_volume_ml: float | None = None,
    *,
    min_area_mm2: float | None = None,
    names: Sequence[str] | None = None,
    connectivity: int | None = None,
) -> LabelMap:
    """Remove connected pieces below a size.

    Args:
        labelmap: The segmentation.
        min_volume_ml: The least volume of a piece that stays, ml, ≥ 0; for 3D.
        min_area_mm2: The least area of a piece that stays, mm² (pixels, on a picture without a scale), ≥ 0; for 2D.
        names: As for `keep_largest`: each by itself, or all labels as one structure.
        connectivity: As for `label_components`.

    Returns:
        The cleaned segmentation; it may be empty. Voxels to ignore stay as they are.

    Raises:
        GeometryError: Not exactly the size that fits the number of dimensions is given, or it is negative.
        DataError: A name is not known.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> array = np.array([[1, 0, 1], [1, 0, 0]])
        >>> labelmap = LabelMap(array, Grid.from_spacing((2, 3), (1.0, 1.0)), Labels.of({"lesion": 1}))
        >>> remove_small(labelmap, min_area_mm2=2.0).array.tolist()
        [[1, 0, 0], [1, 0, 0]]
    """
    flat = labelmap.grid.ndim == 2
    least, other = (min_area_mm2, min_volume_ml) if flat else (min_volume_ml, min_area_mm2)
    if least is None or other is not None or not least >= 0:
        wanted = "min_area_mm2" if flat else "min_volume_ml"
        raise GeometryError(
            f"to remove small pieces of a {labelmap.grid.ndim}D segmentation give {wanted} alone, at least 0; "
            f"min_volume_ml is {min_volume_ml} and min_area_mm2 is {min_area_mm2}"
        )
    voxel = labelmap.grid.voxel_volume_mm3 / (1.0 if flat else 1000.0)
    # A piece of exactly the least size stays, whatever the rounding of the voxel's size.
    return _cleaned(labelmap, names, connectivity, lambda sizes: sizes * voxel < least * (1 - 1e-9))


def _cleaned(
    labelmap: LabelMap,
    names: Sequence[str] | None,
    connectivity: int | None,
    unwanted: Callable[[NDArray[np.intp]], NDArray[np.bool_]],
) -> LabelMap:
    """Only the box that holds the structure is looked at, and only where something goes is the array copied."""
    targets = [labelmap.labels.members(name) for name in names] if names is not None else [labelmap.labels.values]
    array, copied = labelmap.array, False
    for members in targets:
        box = _box_of(array, members)
        if box is None:
            continue
        pieces, sizes = label_components(_members(array[box], members), connectivity=connectivity)
        goes = np.concatenate(([False], unwanted(sizes)))
        if not goes.any():
            continue
        if not copied:
            array, copied = array.copy(order="K"), True
        array[box][goes[pieces]] = 0
    return replace(labelmap, array=array) if copied else labelmap


def _labelled(binary: NDArray[Any], connectivity: int | None) -> tuple[NDArray[np.int32], int, tuple[slice, ...]]:
    """The pieces within the box that holds them, how many they are, and that box."""
    from scipy import ndimage

    reach = binary.ndim if connectivity is None else connectivity
    if not 1 <= reach <= binary.ndim:
        raise GeometryError(f"the connectivity of {binary.ndim} axes must be 1 to {binary.ndim}, not {connectivity}")
    box = _box(binary)
    if box is None:
        return np.zeros((0,) * binary.ndim, np.int32), 0, (slice(0, 0),) * binary.ndim
    pieces, count = ndimage.label(
        np.ascontiguousarray(binary[box]), ndimage.generate_binary_structure(binary.ndim, reach)
    )
    return pieces, int(count), box


def _members(array: NDArray[Any], members: Sequence[int]) -> NDArray[np.bool_]:
    if len(members) <= _FEW:
        inside = np.zeros(array.shape, np.bool_)
        for value in members:
            inside |= array == value
        return inside
    table = np.zeros(max(int(array.max(initial=0)), *members) + 1, np.bool_)
    table[list(members)] = True
    return table.take(array)


def _box_of(array: NDArray[Any], members: Sequence[int]) -> tuple[slice, ...] | None:
    """The box that holds some values, found a slab at a time."""
    order = np.argsort([-abs(step) for step in array.strides], kind="stable")
    laid = array.transpose(order)
    seen = [np.zeros(n, np.bool_) for n in laid.shape]
    rows = max(1, _SLAB // max(1, laid[:1].size))
    for low in range(0, len(laid), rows):
        inside = _members(laid[low : low + rows], members)
        for axis in range(laid.ndim):
            found = inside.any(axis=tuple(a for a in range(laid.ndim) if a != axis))
            where = slice(low, low + rows) if axis == 0 else slice(None)
            seen[axis][where] |= found
    spans = [np.flatnonzero(one) for one in seen]
    if spans[0].size == 0:
        return None
    box = [slice(int(at[0]), int(at[-1]) + 1) for at in spans]
    return tuple(box[int(place)] for place in np.argsort(order))


def _box(binary: NDArray[Any]) -> tuple[slice, ...] | None:
    axes = range(binary.ndim)
    occupied = [np.flatnonzero(binary.any(axis=tuple(a for a in axes if a != axis))) for axis in axes]
    if occupied[0].size == 0:
        return None
    return tuple(slice(int(at[0]), int(at[-1]) + 1) for at in occupied)
