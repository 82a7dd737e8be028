"""Where an image's voxels lie, as steps of a pipeline: isotropic spacing, orientation."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Volume
from vesalius.transform.boxes import positive
from vesalius.transform.kernels import Interpolation
from vesalius.transform.reorient import reorient
from vesalius.transform.resample import respace

Picture = TypeVar("Picture", Volume, LabelMap)
"""An image or a label map; what comes out is what went in."""


def isotropic(
    volume: Volume,
    *,
    spacing_mm: float | None = None,
    interpolation: Interpolation = "linear",
    antialias: bool = True,
) -> Volume:
    """Resample to the same spacing on every axis, over the same extent in space.

    Args:
        volume: 2D or 3D.
        spacing_mm: Distance between neighbours, mm, > 0. Left out, the finest that the image has.
        interpolation: ``"linear"``, ``"cubic"`` or ``"nearest"``.
        antialias: Whether to smooth first along axes that become coarser; not with ``"nearest"``.

    Returns:
        The image as float32, with its own type after ``"nearest"``.

    Raises:
        DataError: The spacing is not above 0.

    Example:
        >>> import numpy as np
        >>> from vesalius.image import Grid
        >>> thick = Volume(np.ones((1, 8, 8, 2)), Grid.from_spacing((8, 8, 2), (1.0, 1.0, 4.0)))
        >>> isotropic(thick).grid.shape
        (8, 8, 8)

    Source: `vesalius.transform.resample`.
    """
    spacing = min(volume.grid.spacing_mm) if spacing_mm is None else spacing_mm
    positive(spacing_mm=spacing)
    return respace(
        volume,
        (spacing,) * volume.grid.ndim,
        interpolation=interpolation,
        through_plane=None,
        antialias=antialias and interpolation != "nearest",
    )


def orient(volume: Volume, *, codes: str = "LPS") -> Volume:
    """Permute and flip the axes so that they follow the named anatomical directions as well as they can.

    Args:
        volume: 3D; a 2D picture stays as it is.
        codes: The end that each axis shall point to: one letter of each pair L/R, P/A, S/I, for example LPS or RAS.

    Returns:
        The same image: nothing is interpolated, every voxel keeps its place in space.

    Raises:
        GeometryError: ``codes`` is not such a triple.

    Example:
        >>> import numpy as np
        >>> from vesalius.image import Grid
        >>> volume = Volume(np.ones((1, 2, 3, 4)), Grid.from_spacing((2, 3, 4), (1.0, 1.0, 1.0)))
        >>> orient(volume, codes="SAR").grid.axis_codes
        'SAR'
    """
    return reorient(volume, codes)


def with_pixel_size(picture: Picture, pixel_mm: float) -> Picture:
    """Give a picture a scale that its format could not hold, such as a PNG of an ultrasound whose pixel size is known.

    Args:
        picture: 2D and without a scale.
        pixel_mm: Side of a pixel, mm, > 0.

    Returns:
        The same pixels on a grid in mm. Its corner is at 0, so that pixels of 1 mm are told from pixels without a size.

    Raises:
        DataError: It is not 2D, has a scale already, or the size is not above 0.

    Example:
        >>> import numpy as np
        >>> from vesalius.image import Labels
        >>> picture = LabelMap(np.eye(3, dtype=int), Grid((3, 3), np.eye(3)), Labels.of({"head": 1}))
        >>> with_pixel_size(picture, 0.25).grid.spacing_mm
        (0.25, 0.25)
    """
    positive(pixel_mm=pixel_mm)
    if picture.grid.ndim != 2:
        raise DataError(f"a pixel size is given to pictures; this is a {picture.grid.ndim}D image, which has its own")
    if not np.array_equal(picture.grid.affine, np.eye(3)):
        raise DataError(f"the picture has a scale already: its pixels are {picture.grid.spacing_mm} mm")
    grid = Grid.from_spacing(picture.grid.shape, (pixel_mm, pixel_mm), origin_mm=(pixel_mm / 2, pixel_mm / 2))
    if isinstance(picture, LabelMap):
        return replace(picture, grid=grid)
    return replace(picture, grid=grid, meta=replace(picture.meta, calibrated=True))
