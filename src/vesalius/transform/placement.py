"""Where an image's voxels lie, as steps of a pipeline: isotropic spacing, orientation."""

from __future__ import annotations

from vesalius.image import Volume
from vesalius.transform.boxes import positive
from vesalius.transform.kernels import Interpolation
from vesalius.transform.reorient import reorient
from vesalius.transform.resample import respace


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
