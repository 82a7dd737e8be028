"""Between thick slices: shapes that turn into each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesalius.image import Grid, LabelMap
from vesalius.transform.between_slices import interpolate_slices

_THICK = 2.0  # times the finest spacing
_MOST = 10  # slices made of one


def between_slices(labels: LabelMap) -> LabelMap:
    """Interpolate shapes between thick slices, all labels together.

    See `vesalius.transform.between_slices` for how: a ring stays a ring though it moves by more than its wall from
    slice to slice, and a structure that ends with a slice goes on into the next gap as its last slices let expect.

    Args:
        labels: 3D.

    Returns:
        The label map with as many slices in place of each as make voxels nearly as long as wide, at most 10; itself
        where no axis is twice as coarse as the finest. The first and the last slices reach as far as they did. No piece
        of a slice is lost: a lone voxel is there in the middle of its slice, where it would end at once.
    """
    spacing = np.asarray(labels.grid.spacing_mm)
    axis = int(np.argmax(spacing))
    count = min(_MOST, round(float(spacing[axis] / spacing.min())))
    if spacing[axis] < _THICK * spacing.min() or count < 2 or not labels.array.any():
        return labels
    stack = np.moveaxis(labels.array, axis, 0)
    gap = float(spacing[axis])
    flat = tuple(float(s) for k, s in enumerate(spacing) if k != axis)
    ignored = labels.labels.ignore
    fine = interpolate_slices(
        stack,
        (np.arange(len(stack)) * gap).tolist(),
        (((np.arange(len(stack) * count) + 0.5) / count - 0.5) * gap).tolist(),
        spacing_mm=(flat[0], flat[1]),
        values=[value for value in labels.counts() if value not in (0, ignored)],
    )
    if count % 2 == 0:  # else one of those that were made is the slice itself
        for k, own in enumerate(stack):
            _keep(own, fine[k * count + count // 2 - 1], fine[k * count + count // 2])
    affine = labels.grid.affine.copy()
    affine[:3, axis] /= count
    affine[:3, 3] -= affine[:3, axis] * (count - 1) / 2
    array = np.moveaxis(fine, 0, axis)
    return LabelMap(np.ascontiguousarray(array), Grid(array.shape, affine), labels.labels)


def _keep(own: NDArray[np.integer], low: NDArray[np.integer], high: NDArray[np.integer]) -> None:
    """Give a slice's two middle ones the pieces that are in neither of them."""
    gone = (own != 0) & (low != own) & (high != own)
    if not gone.any():
        return
    for value in np.unique(own[gone]).tolist():
        pieces, count = ndimage.label(own == value, structure=np.ones((3, 3)))
        kept = np.unique(pieces[~gone])
        lost = np.isin(pieces, np.setdiff1d(np.arange(1, count + 1), kept))
        low[lost] = high[lost] = value
