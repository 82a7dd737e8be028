"""The grid of frames of which some are left out, as segmentations leave out what is empty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError, GeometryError
from vesalius.image import Grid
from vesalius.io.dicom.frame import Frame
from vesalius.io.dicom.stack import directions

_SAME_DIRECTION = 1e-3  # as in `vesalius.io.dicom.stack`, like the two that follow
_SAME_PLACE = 0.01
_UNIFORM = 0.1
_MOST_SLICES = 1 << 14  # frames far apart beside a tiny spacing are a damaged header, not an image
_MOST_VOXELS = 1 << 33


def lattice(frames: Sequence[Frame], name: str) -> tuple[Grid, tuple[int, ...]]:
    """Find the grid that frames lie on, and the slice of each.

    Several frames may lie in one slice, and slices may have none: their spacing is the one that the header tells where
    all frames are whole steps apart by it, else the smallest step that is found.

    Args:
        frames: Of one object.
        name: Of its file, for messages.

    Returns:
        The grid, 3D, or 2D when no frame has a place in the patient; and for each frame its slice, from 0.

    Raises:
        GeometryError: The frames lie in different directions, or no regular grid holds them.
        FormatError: The grid would be larger than any image.
    """
    first = frames[0]
    pixels = first.source.pixels
    if all(frame.position is None for frame in frames):
        down, across = first.spacing_mm
        return Grid.from_spacing((pixels.columns, pixels.rows), (across, down)), (0,) * len(frames)
    for frame in frames:
        if frame.position is None or frame.orientation is None or first.orientation is None:
            raise GeometryError(f"{name}: some of its frames do not say where they lie; the header is damaged")
        if np.abs(np.subtract(frame.orientation, first.orientation)).max() > _SAME_DIRECTION or not np.allclose(
            frame.spacing_mm, first.spacing_mm, rtol=1e-3, atol=0
        ):
            raise GeometryError(f"{name}: its frames lie in different directions, which no grid can hold")
    across_row, down_column, normal = directions(first)
    points = np.array([frame.position for frame in frames], dtype=np.float64)
    offsets = points @ normal
    order = np.argsort(offsets, kind="stable")
    lowest, highest = points[order[0]], points[order[-1]]
    reach = float(offsets[order[-1]] - offsets[order[0]])
    step_mm = _step(np.sort(offsets - offsets.min()), first, name)
    count = round(reach / step_mm) + 1
    if count > _MOST_SLICES or count * pixels.rows * pixels.columns > _MOST_VOXELS:
        raise FormatError(f"{name}: its frames would span {count} slices; the header is damaged")
    step = (highest - lowest) / (count - 1) if count > 1 else normal * step_mm
    slices = np.rint((offsets - offsets.min()) / (reach / (count - 1) if count > 1 else 1)).astype(int)
    away = np.abs((points - lowest - slices[:, None] * step) @ np.stack([across_row, down_column, normal], axis=1))
    row_mm, column_mm = first.spacing_mm
    if (away > _UNIFORM * np.array([column_mm, row_mm, step_mm])).any():
        raise GeometryError(f"{name}: its frames do not lie on a regular grid; resample what it was made from first")
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2], affine[:3, 3] = (
        across_row * column_mm,
        down_column * row_mm,
        step,
        lowest,
    )
    return Grid((pixels.columns, pixels.rows, count), affine), tuple(int(at) for at in slices)


def _step(offsets: NDArray[np.float64], frame: Frame, name: str) -> float:
    """The distance between neighbouring slices, from sorted offsets that begin with 0."""
    gaps = np.diff(offsets)
    gaps = gaps[gaps > _SAME_PLACE * min(frame.spacing_mm)]
    if not gaps.size:
        return frame.step_mm or frame.thickness_mm or 1.0
    for candidate in (frame.step_mm, float(gaps.min())):
        if candidate is not None:
            steps = gaps / candidate
            if steps.min() > 0.5 and np.abs(steps - np.rint(steps)).max() <= 2 * _UNIFORM:
                return float(offsets[-1] / np.rint(offsets[-1] / candidate))
    raise GeometryError(
        f"{name}: its frames are not evenly spaced; resample what it was made from to a uniform spacing first"
    )
