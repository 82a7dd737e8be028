"""Between thick slices: shapes that turn into each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Grid, LabelMap

_THICK = 2.0  # times the finest spacing
_MOST = 10  # slices made of one
_MARGIN = 3  # pixels around a structure


def between_slices(labels: LabelMap) -> LabelMap:
    """Interpolate shapes between thick slices, all labels together.

    Within each slice every structure has a signed distance to its outline; these are interpolated linearly from slice
    to slice, and each voxel in between goes to the structure that is deepest there, the background being one of them. A
    structure that ends with a slice goes on into the next gap, further where it is thicker, and tapers.

    Args:
        labels: 3D.

    Returns:
        The label map with as many slices in place of each as make voxels nearly as long as wide, at most 10; itself
        where no axis is twice as coarse as the finest. The first and the last slices reach as far as they did.

    Source: S. P. Raya and J. K. Udupa, "Shape-based interpolation of multidimensional objects", IEEE Transactions on
        Medical Imaging 9 (1990) 32, doi 10.1109/42.52980. That the deepest of several structures takes the voxel is the
        natural extension; for one structure both are the same.
    """
    spacing = np.asarray(labels.grid.spacing_mm)
    axis = int(np.argmax(spacing))
    count = min(_MOST, round(float(spacing[axis] / spacing.min())))
    if spacing[axis] < _THICK * spacing.min() or count < 2 or not labels.array.any():
        return labels
    stack = np.moveaxis(labels.array, axis, 0)
    fine = np.zeros((len(stack) * count, *stack.shape[1:]), stack.dtype)
    deepest = np.full(fine.shape, -np.inf, np.float32)
    flat = tuple(float(s) for k, s in enumerate(spacing) if k != axis)
    gap = float(spacing[axis])
    ignored = labels.labels.ignore
    present = [v for v in labels.counts() if v not in (0, ignored)]
    inside = np.isin(stack, present)
    _take(fine, deepest, _depths(~inside, flat, gap), count, 0)
    for value in present:
        box = _box(stack == value)
        part = (slice(box[0].start * count, box[0].stop * count), *box[1:])
        _take(fine[part], deepest[part], _depths(stack[box] == value, flat, gap), count, value)
    affine = labels.grid.affine.copy()
    affine[:3, axis] /= count
    affine[:3, 3] -= affine[:3, axis] * (count - 1) / 2
    array = np.moveaxis(fine, 0, axis)
    return LabelMap(np.ascontiguousarray(array), Grid(array.shape, affine), labels.labels)


def _box(inside: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The box of a structure, one slice and some pixels larger: only there can it be deeper than the background."""
    found = []
    for axis, margin in enumerate((1, _MARGIN, _MARGIN)):
        shown = np.flatnonzero(inside.any(axis=tuple(k for k in range(3) if k != axis)))
        found.append(slice(max(int(shown[0]) - margin, 0), min(int(shown[-1]) + 1 + margin, inside.shape[axis])))
    return tuple(found)


def _depths(inside: NDArray[np.bool_], spacing_mm: tuple[float, ...], gap_mm: float) -> NDArray[np.float32]:
    """How deep each point of each slice lies within its outline there, mm; negative outside."""
    from scipy.ndimage import distance_transform_edt

    half = min(spacing_mm) / 2  # from a pixel's centre to the outline
    depths = np.empty(inside.shape, np.float32)
    for depth, filled in zip(depths, inside, strict=True):
        if filled.all() or not filled.any():
            # Half of the gap: what is as thick as that reaches a quarter, what is much thicker nearly half way.
            depth[...] = gap_mm / 2 if filled.all() else -gap_mm / 2
            continue
        depth[...] = distance_transform_edt(filled, sampling=spacing_mm) - half
        depth[~filled] = half - distance_transform_edt(~filled, sampling=spacing_mm)[~filled]
    return depths


def _take(
    fine: NDArray[np.integer], deepest: NDArray[np.float32], depths: NDArray[np.float32], count: int, value: int
) -> None:
    """Give a structure all voxels between the slices where it is deeper than what stands there."""
    for at in range(len(fine)):
        place = min(max((at + 0.5) / count - 0.5, 0.0), len(depths) - 1.0)
        below = min(int(place), len(depths) - 2) if len(depths) > 1 else 0
        share = np.float32(place - below)
        depth = depths[below]
        if share:
            depth = depth * (1 - share) + depths[below + 1] * share
        better = depth > deepest[at]
        deepest[at][better] = depth[better]
        fine[at][better] = value
