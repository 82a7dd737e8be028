"""Volumes through segmenters of pictures, a slice at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError, unknown_name
from vesalius.image import Grid, LabelMap, Meta, Volume
from vesalius.plan import Plan
from vesalius.predict.segment import Prediction

Slicing = Literal["auto", "axial", "coronal", "sagittal"]
SLICINGS: tuple[Slicing, ...] = ("auto", "axial", "coronal", "sagittal")

# By the patient axis across the slices, x, y or z: those that run down and to the right of a picture, and in which
# sense. Source: the radiological convention; one looks from the feet, from the front, or from the left.
_ON_SCREEN = {2: ((1, 1), (0, 1)), 1: ((2, -1), (0, 1)), 0: ((2, -1), (1, 1))}
_NORMALS = {"sagittal": 0, "coronal": 1, "axial": 2}


def segment_slices(
    volume: Volume,
    see: Callable[[Volume], Prediction],
    *,
    slicing: Slicing = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Prediction:
    """Segment the slices of a volume one by one, as pictures.

    Each slice is laid before the segmenter as it would lie on a screen, in the radiological convention. Nothing makes
    neighbouring slices agree: `vesalius.transform.stack_slices` can.

    Args:
        volume: 3D.
        see: Segments a 2D image, for example ``functools.partial(segment, bundle=loaded)``.
        slicing: Which planes are the slices; ``"auto"`` for those across the axis with the coarsest spacing, the last
            such one.
        progress: Called with (done, total) slices.

    Returns:
        The label map and, if `see` gives them, probabilities, on the volume's grid; what it tells of the first slice.

    Raises:
        DataError: There is no such slicing. What `see` raises comes through.
        GeometryError: The image is not 3D.

    Example:
        >>> from vesalius.image import Labels
        >>> def bright(picture):
        ...     return Prediction(LabelMap(picture.array[0] > 1, picture.grid, Labels.of({"bright": 1})))
        >>> volume = Volume(np.ones((1, 2, 3, 4)) * [0, 1, 2, 3], Grid.from_spacing((2, 3, 4), (1, 1, 5)))
        >>> found = segment_slices(volume, bright)
        >>> found.labels.array[0, 0].tolist(), found.provenance["slices"]
        ([0, 0, 1, 1], 'axial')
    """
    if slicing not in SLICINGS:
        raise DataError(unknown_name("slicing", str(slicing), SLICINGS))
    if volume.grid.ndim != 3:
        raise GeometryError(f"the image is {volume.grid.ndim}D: only a volume has slices")
    order, senses, plane = _laid(volume.grid, slicing)
    shown = _turned(volume.array, order, senses)
    grid = Grid.from_spacing(shown.shape[2:], [volume.grid.spacing_mm[axis] for axis in order[1:]])
    found = []
    for number in range(shown.shape[1]):
        found.append(see(Volume(np.ascontiguousarray(shown[:, number]), grid, volume.meta)))
        if progress is not None:
            progress(number + 1, shown.shape[1])
    values = _turned_back(np.stack([one.labels.array for one in found])[None], order, senses)[0]
    labels = LabelMap(np.ascontiguousarray(values), volume.grid, found[0].labels.labels)
    told = {**found[0].provenance, "slices": plane}
    chances = [one.probabilities.array for one in found if one.probabilities is not None]
    if len(chances) < len(found):
        return Prediction(labels, None, told)
    turned = np.ascontiguousarray(_turned_back(np.stack(chances, axis=1), order, senses))
    return Prediction(labels, Volume(turned, volume.grid, Meta(calibrated=volume.meta.calibrated)), told)


def check_slicing(slicing: Slicing | None, image: Volume, plan: Plan) -> None:
    """Make sure that slices are asked for where, and only where, the segmenter is for pictures and the image is none.

    Args:
        slicing: As for `segment_slices`; ``None`` where the image is to be segmented as it is.
        image: As it was read.
        plan: Of the segmenter.

    Raises:
        DataError: It is not so.
    """
    if slicing is None and (image.grid.ndim, plan.ndim) == (3, 2):
        raise DataError(
            "the image is a volume and the segmenter is for pictures: --by-slice segments one slice after the other"
        )
    if slicing is not None and plan.ndim != 2:
        raise DataError("the segmenter is for volumes: leave --by-slice out")


def _laid(grid: Grid, slicing: Slicing) -> tuple[tuple[int, int, int], tuple[int, int, int], str]:
    """The index axes across the slices, down and to the right; the sense in which each is gone through; the plane."""
    axes, signs = grid.nearest_axes()
    if slicing == "auto":
        coarsest = max(range(3), key=lambda axis: (round(grid.spacing_mm[axis], 6), axis))
        normal = axes[coarsest]
    else:
        normal = _NORMALS[slicing]
    (down, down_sense), (right, right_sense) = _ON_SCREEN[normal]
    order = axes.index(normal), axes.index(down), axes.index(right)
    senses = 1, down_sense * signs[order[1]], right_sense * signs[order[2]]
    return order, senses, next(name for name, axis in _NORMALS.items() if axis == normal)


def _turned(array: NDArray[Any], order: tuple[int, int, int], senses: tuple[int, int, int]) -> NDArray[Any]:
    """``(channels, *grid)`` as ``(channels, slices, rows, columns)``; a view."""
    turned = array.transpose(0, *(axis + 1 for axis in order))
    return np.asarray(np.flip(turned, tuple(k + 1 for k, sense in enumerate(senses) if sense < 0)))


def _turned_back(array: NDArray[Any], order: tuple[int, int, int], senses: tuple[int, int, int]) -> NDArray[Any]:
    """What `_turned` made, as it was; a view."""
    flipped = np.asarray(np.flip(array, tuple(k + 1 for k, sense in enumerate(senses) if sense < 0)))
    return flipped.transpose(0, *(order.index(axis) + 1 for axis in range(3)))
