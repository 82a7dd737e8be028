"""Volumes through segmenters of pictures, a slice at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from vesalius.errors import DataError, GeometryError, unknown_name
from vesalius.image import Grid, LabelMap, Meta, Volume
from vesalius.plan import Plan
from vesalius.predict.segment import Prediction, turned_back
from vesalius.transform import reorient
from vesalius.transform.sampling import coarsest_axis
from vesalius.transform.screen import AXIS, CODES, Direction

Slicing = Literal["auto"] | Direction
_SLICINGS = ("auto", *get_args(Direction))


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
    if slicing not in _SLICINGS:
        raise DataError(unknown_name("slicing", str(slicing), _SLICINGS))
    if volume.grid.ndim != 3:
        raise GeometryError(f"the image is {volume.grid.ndim}D: only a volume has slices")
    direction = _coarsest(volume.grid) if slicing == "auto" else slicing
    right_down_away = CODES["radiological"][direction]
    shown = reorient(volume, right_down_away[1] + right_down_away[0] + right_down_away[2])  # rows, columns, slices
    grid = Grid.from_spacing(shown.grid.shape[:2], shown.grid.spacing_mm[:2])
    found, count = [], shown.grid.shape[2]
    for number in range(count):
        found.append(see(Volume(np.ascontiguousarray(shown.array[..., number]), grid, volume.meta)))
        if progress is not None:
            progress(number + 1, count)
    values = turned_back(np.stack([one.labels.array for one in found], axis=-1), shown.grid, volume.grid)
    labels = LabelMap(np.ascontiguousarray(values), volume.grid, found[0].labels.labels)
    told = {**found[0].provenance, "slices": direction}
    chances = [one.probabilities.array for one in found if one.probabilities is not None]
    if len(chances) < len(found):
        return Prediction(labels, None, told)
    turned = turned_back(np.stack(chances, axis=-1), shown.grid, volume.grid)
    meta = Meta(calibrated=volume.meta.calibrated)
    return Prediction(labels, Volume(np.ascontiguousarray(turned), volume.grid, meta), told)


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


def _coarsest(grid: Grid) -> Direction:
    across = grid.nearest_axes()[0][coarsest_axis(grid)]
    return next(direction for direction, axis in AXIS.items() if axis == across)
