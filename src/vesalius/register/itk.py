"""Between our values and those of SimpleITK, which shares our space: LPS, mm, index to point by an affine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import MissingDependencyError
from vesalius.image import Grid, Volume


def needed() -> Any:
    """SimpleITK.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import SimpleITK as sitk
    except ImportError as error:
        raise MissingDependencyError("registration needs SimpleITK: pip install 'vesalius[classical]'") from error
    return sitk


def to_itk(array: NDArray[Any], grid: Grid) -> Any:
    """An image of SimpleITK.

    Args:
        array: ``(*grid.shape)``, or ``(n, *grid.shape)`` for one vector a voxel.
        grid: Where each voxel is.
    """
    vectors = array.ndim > grid.ndim
    # ITK's axes run the other way in memory.
    turned = np.moveaxis(array, 0, -1).transpose(*reversed(range(grid.ndim)), grid.ndim) if vectors else array.T
    made = needed().GetImageFromArray(np.ascontiguousarray(turned), isVector=vectors)
    made.SetSpacing(grid.spacing_mm)
    made.SetOrigin(grid.origin_mm)
    made.SetDirection(grid.direction.ravel().tolist())
    return made


def grid_of(image: Any) -> Grid:
    """Where an image of SimpleITK lies."""
    n = image.GetDimension()
    direction = np.asarray(image.GetDirection()).reshape(n, n)
    return Grid.from_spacing(image.GetSize(), image.GetSpacing(), origin_mm=image.GetOrigin(), direction=direction)


def vectors_of(image: Any) -> Volume:
    """A displacement field of SimpleITK, mm."""
    grid = grid_of(image)
    array = needed().GetArrayFromImage(image)
    return Volume(np.moveaxis(array.transpose(*reversed(range(grid.ndim)), grid.ndim), -1, 0).astype(np.float32), grid)


def linear(matrix: NDArray[np.float64]) -> Any:
    """An affine transform of SimpleITK from a homogeneous matrix."""
    n = len(matrix) - 1
    made = needed().AffineTransform(n)
    made.SetMatrix(matrix[:-1, :-1].ravel().tolist())
    made.SetTranslation(matrix[:-1, -1].tolist())
    return made


def matrix_of(transform: Any) -> NDArray[np.float64]:
    """The homogeneous matrix of a linear transform of SimpleITK: read off from where it takes the unit points."""
    n = transform.GetDimension()
    corner = np.asarray(transform.TransformPoint((0.0,) * n))
    matrix = np.eye(n + 1)
    matrix[:-1, -1] = corner
    for axis, unit in enumerate(np.eye(n)):
        matrix[:-1, axis] = np.asarray(transform.TransformPoint(unit.tolist())) - corner
    return matrix
