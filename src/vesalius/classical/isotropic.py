"""Images of voxels of one size, for methods that count voxels rather than millimetres, and the way back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.transform import resample

_SAME = 0.01  # of a spacing: less is as good as isotropic
_MOST = 1 << 28  # voxels of one size that are still worked on


def isotropic(
    image: Volume, region: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], tuple[float, ...]]:
    """The image and a region at the least of its spacings on every axis.

    Args:
        image: One channel.
        region: ``(*grid.shape)``.

    Returns:
        The values, the region, and the spacing of each axis, mm; as they are when the spacings are alike to 1 %. A
        volume of one slice becomes a picture.

    Raises:
        DataError: The image has several channels, or would have more than 268 million voxels.

    Example:
        >>> image = Volume(np.ones((1, 4, 3)), Grid.from_spacing((4, 3), (1.0, 2.0)))
        >>> isotropic(image, np.ones((4, 3), bool))[0].shape
        (4, 6)
    """
    thin = _thin(image.grid)
    if thin is not None:
        across, flat = thin
        picture = Volume(image.array.squeeze(across + 1), flat, image.meta)
        return isotropic(picture, region.squeeze(across))
    values, grid = only_channel(image), finest(image.grid)
    if grid is image.grid:
        return np.asarray(values, np.float64), region, grid.spacing_mm
    start = LabelMap(region, image.grid, Labels.of({"object": 1}))
    fine = resample(image, grid).array[0]
    return np.asarray(fine, np.float64), resample(start, grid).array != 0, grid.spacing_mm


def brought_back(found: NDArray[np.generic], grid: Grid, name: str) -> LabelMap:
    """A region that was found in what `isotropic` has made, on the image's own grid.

    Args:
        found: Not 0 where the region is.
        grid: The image's.
        name: What the region is called.
    """
    thin = _thin(grid)
    if thin is not None:
        across, flat = thin
        picture = brought_back(found, flat, name)
        return LabelMap(np.expand_dims(picture.array, across), grid, picture.labels)
    made = LabelMap(found != 0, finest(grid), Labels.of({name: 1}))
    return made if made.grid is grid else resample(made, grid)


def finest(grid: Grid) -> Grid:
    """The grid of the least spacing on every axis; the same when its spacings are alike.

    Args:
        grid: Any.

    Raises:
        DataError: It would have more than 268 million points.
    """
    least = min(grid.spacing_mm)
    if max(grid.spacing_mm) <= least * (1 + _SAME):
        return grid
    size = grid.size * float(np.prod(np.asarray(grid.spacing_mm) / least))
    if size > _MOST:
        raise DataError(
            f"at {least:g} mm on every axis the image would have {size:.3g} voxels, and at most {_MOST:.3g} are worked "
            "on: resample or crop it first"
        )
    return grid.with_spacing([least] * grid.ndim)


def _thin(grid: Grid) -> tuple[int, Grid] | None:
    """The axis across a volume of one slice, and the grid of that slice; nothing for others."""
    if grid.ndim == 2 or 1 not in grid.shape:
        return None
    across = grid.shape.index(1)
    shape, spacing_mm = (tuple(x for a, x in enumerate(of) if a != across) for of in (grid.shape, grid.spacing_mm))
    return across, Grid.from_spacing([int(n) for n in shape], spacing_mm)
