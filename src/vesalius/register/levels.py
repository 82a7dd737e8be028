"""What a registration looks at: both images from coarse to fine, in steps of mm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Volume
from vesalius.transform import resample

_FEWEST = {2: 1024, 3: 4096}  # voxels of the coarsest level: 32², 16³
_FEWEST_ALONG = 4  # voxels of an axis
_MOST = 1 << 21  # voxels of the finest level: beyond them time grows and the answer does not change
_CLIPPED = (0.1, 99.9)  # percentiles beyond which brightness says nothing of shape: metal, noise, a hot spot
_CONTENT = 0.1  # of the clipped range: what is brighter than this is content, not air


@dataclass(frozen=True, eq=False)
class Level:
    """Both images at one coarseness.

    Args:
        spacing_mm: Distance of neighbours, larger where the image is coarser itself.
        fixed: The fixed image, one channel, float32.
        moving: The moving image, alike.
        chosen: Where the fixed image takes part ``(*fixed.grid.shape)``; ``None`` for everywhere.
    """

    spacing_mm: float
    fixed: Volume
    moving: Volume
    chosen: NDArray[np.bool_] | None


def levels(
    moving: Volume, fixed: Volume, *, within: LabelMap | None = None, leave_out: LabelMap | None = None
) -> Iterator[Level]:
    """Both images, from the coarsest level to the finest.

    Each level halves the spacing, on the axes that are not coarser anyway; its images are smoothed to it.

    Args:
        moving: One channel.
        fixed: One channel.
        within: In the fixed image's space: only labelled voxels take part.
        leave_out: In the same space: labelled voxels do not.
    """
    one, other = _clipped(fixed, _chosen(fixed.grid, within, leave_out)), _clipped(moving, None)
    for spacing_mm in steps_mm(fixed.grid):
        grid = _coarser(fixed.grid, spacing_mm)
        yield Level(
            spacing_mm,
            resample(one, grid, antialias=True),
            resample(other, _coarser(moving.grid, spacing_mm), antialias=True),
            _chosen(grid, within, leave_out),
        )


def steps_mm(grid: Grid) -> list[float]:
    """The spacings of the levels for a fixed image, the coarsest first.

    Example:
        >>> steps_mm(Grid.from_spacing((200, 200, 200), (1.0, 1.0, 1.0)))
        [8.0, 4.0, 2.0]
    """
    finest = min(grid.spacing_mm)
    while _coarser(grid, finest).size > _MOST:
        finest *= 2
    found = [finest]
    while _coarser(grid, 2 * found[0]).size >= _FEWEST[grid.ndim] and 2 * found[0] < max(
        s * n for s, n in zip(grid.spacing_mm, grid.shape, strict=True)
    ):
        found.insert(0, 2 * found[0])
    return found


def content(volume: Volume) -> NDArray[np.bool_]:
    """Where there is something rather than air: above a tenth of the range of a clipped image.

    Source: a rule of thumb, for telling how much of an image's content another one covers and no more.
    """
    values = volume.array[0]
    low, high = float(values.min()), float(values.max())
    found: NDArray[np.bool_] = values > low + _CONTENT * (high - low)
    return found


def _clipped(image: Volume, chosen: NDArray[np.bool_] | None) -> Volume:
    """The image without extremes; what takes no part has no say, and is clipped so that it cannot outshine the rest."""
    values = image.array[0]
    counted = values if chosen is None else values[chosen]
    if counted.size == 0:
        raise DataError("nothing of the fixed image is left to take part: are within and leave_out in its space?")
    low, high = np.percentile(counted, _CLIPPED)
    if low == high:
        low, high = counted.min(), counted.max()
    if low == high:
        raise DataError("an image of a single grey value cannot be registered: nothing in it has a place")
    return Volume(np.clip(values, low, high).astype(np.float32)[None], image.grid, image.meta)


def _coarser(grid: Grid, spacing_mm: float) -> Grid:
    # A thin slab keeps a few slices at every level.
    most = [own * n / _FEWEST_ALONG for own, n in zip(grid.spacing_mm, grid.shape, strict=True)]
    return grid.with_spacing(
        [max(own, min(spacing_mm, limit)) for own, limit in zip(grid.spacing_mm, most, strict=True)]
    )


def _chosen(grid: Grid, within: LabelMap | None, leave_out: LabelMap | None) -> NDArray[np.bool_] | None:
    if within is None and leave_out is None:
        return None
    found = np.ones(grid.shape, np.bool_)
    if within is not None:
        found &= resample(within, grid).array > 0
    if leave_out is not None:
        found &= resample(leave_out, grid).array == 0
    return found
