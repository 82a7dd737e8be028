"""The volume of a structure whose border runs through voxels, from probabilities or the image, with an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from vesalius.errors import DataError
from vesalius.image import Grid

_REACH = 2  # voxels to either side of the border that hold a part of each
_BEYOND = 2  # voxels farther, where values are those of one side alone


@dataclass(frozen=True)
class PartialVolume:
    """A volume that counts parts of voxels.

    Args:
        volume_ml: The estimate.
        low_ml: Lower end of its interval.
        high_ml: Upper end.
    """

    volume_ml: float
    low_ml: float
    high_ml: float


def volume_of_probabilities(probabilities: NDArray[np.floating], grid: Grid, *, level: float = 0.95) -> PartialVolume:
    """The volume that probabilities lead to expect.

    The estimate is their sum. The interval is that of a segmenter which errs everywhere alike, at once too wide or too
    narrow: from the voxels that are almost surely inside to all that might be. Errors that are independent from voxel
    to voxel would cancel, and give an interval far too narrow. It is worth what the probabilities are: calibrate them.

    Args:
        probabilities: Of one structure, 0 … 1, 3D.
        grid: On which they lie.
        level: Of the interval, 0 … 1.

    Raises:
        DataError: A probability or the level is not 0 … 1.

    Example:
        >>> grid = Grid.from_spacing((10, 10, 10), (1.0, 1.0, 1.0))
        >>> chances = np.zeros(grid.shape)
        >>> chances[2:6], chances[6] = 1.0, 0.5
        >>> volume_of_probabilities(chances, grid)
        PartialVolume(volume_ml=0.45, low_ml=0.4, high_ml=0.5)

    Source: the sum is the expectation; for the interval, voxels are taken to be comonotone: all are inside at once
    whose probability exceeds one random number, whose quantiles are its ends.
    """
    if not 0 < level < 1:
        raise DataError(f"the level of an interval must lie between 0 and 1, not {level}")
    if not (np.isfinite(probabilities).all() and probabilities.min() >= -1e-6 and probabilities.max() <= 1 + 1e-6):
        raise DataError("probabilities must be 0 … 1")
    voxel_ml = grid.voxel_volume_mm3 / 1000
    tail = (1 - level) / 2
    return PartialVolume(
        float(probabilities.sum(dtype=np.float64)) * voxel_ml,
        int((probabilities > 1 - tail).sum()) * voxel_ml,
        int((probabilities > tail).sum()) * voxel_ml,
    )


def volume_of_image(
    mask: NDArray[np.bool_], values: NDArray[np.generic], grid: Grid, *, level: float = 0.95
) -> PartialVolume:
    """The volume of a structure that is brighter or darker than its surroundings, by the greys of its border.

    A voxel that the border runs through is a mixture. What lies deep inside and a little outside tells both pure
    values; within two voxels of the border, each voxel counts by where its value lies between them. So a mask that is
    a little too wide or too narrow has the same volume. It is right where inside and outside are even, and wrong where
    another structure lies within four voxels: look at the interval, which knows the noise (taken to be independent
    from voxel to voxel), and at the image.

    Args:
        mask: 3D; the structure, at least five voxels wide somewhere.
        values: Of the image, of the mask's shape: with at least four voxels around the structure.
        grid: On which both lie.
        level: Of the interval, 0 … 1.

    Raises:
        DataError: The structure has no inside or no outside away from its border, both are equally bright within the
            noise, shapes differ, a value is not finite, or the level is not 0 … 1.

    Example:
        >>> grid = Grid.from_spacing((24, 24, 24), (1.0, 1.0, 1.0))
        >>> far = np.linalg.norm(np.moveaxis(np.indices(grid.shape), 0, -1) - 11.6, axis=-1)
        >>> soft = 100 * np.clip(7.25 - far, 0, 1)  # a ball of 6.75 mm: 1.288 ml
        >>> round(volume_of_image(far < 6, soft, grid).volume_ml, 2), round(float((far < 6).sum() / 1000), 2)
        (1.29, 0.91)

    Source: mixtures of two tissues as in Santago et al., IEEE TMI 12:566 (1993), doi:10.1109/42.238455; the
    interval is the error of a sum of ratios to first order.
    """
    if mask.shape != values.shape or mask.ndim != 3:
        raise DataError(f"mask and values must be of one 3D shape, not {mask.shape} and {values.shape}")
    if not 0 < level < 1:
        raise DataError(f"the level of an interval must lie between 0 and 1, not {level}")
    block = np.ones((3, 3, 3))
    core = ndimage.binary_erosion(mask, block, iterations=_REACH)
    wide = ndimage.binary_dilation(mask, block, iterations=_REACH)
    around = ndimage.binary_dilation(wide, block, iterations=_BEYOND) & ~wide
    edge = wide & ~core
    if core.sum() < 2 or around.sum() < 2:
        raise DataError("there is no inside, or no outside, two voxels away from the border")
    inner, outer, middle = (np.asarray(values[part], np.float64) for part in (core, around, edge))
    if not all(np.isfinite(part).all() for part in (inner, outer, middle)):
        raise DataError("a value in or around the structure is not finite")
    contrast = inner.mean() - outer.mean()
    noise = np.sqrt((inner.var() * inner.size + outer.var() * outer.size) / (inner.size + outer.size))
    if abs(contrast) <= noise or contrast == 0:
        raise DataError("inside and outside are equally bright within the noise: the border cannot be seen")
    parts = (middle - outer.mean()) / contrast
    spread = middle.size * noise**2  # of the border's own values, then of both pure ones
    spread += (parts.sum()) ** 2 * inner.var() / inner.size + (1 - parts).sum() ** 2 * outer.var() / outer.size
    error = float(stats.norm.ppf((1 + level) / 2) * np.sqrt(spread) / abs(contrast))
    voxel_ml, count = grid.voxel_volume_mm3 / 1000, int(core.sum()) + float(parts.sum())
    return PartialVolume(count * voxel_ml, max(count - error, 0.0) * voxel_ml, (count + error) * voxel_ml)
