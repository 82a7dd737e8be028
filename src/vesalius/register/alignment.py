"""What a registration found: where each point of the fixed image lies in the moving one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from vesalius.errors import GeometryError
from vesalius.image import Grid, Volume
from vesalius.register.likeness import Measure

Kind = Literal["rigid", "affine", "deformable"]
"""Turned and shifted; scaled and sheared as well; or bent smoothly on top of that."""


@dataclass(frozen=True)
class Fitness:
    """How well a registration worked.

    Args:
        measure: What was made large; its values are those of `vesalius.register.similarity`.
        before: Where the headers place the images; NaN if they share no place.
        after: Where the alignment does.
        overlap: Share of the fixed image's content that lies inside the moving image afterwards, 0 … 1.
        folded: Share of the fixed image's voxels at which the deformation turns space inside out; 0 for a linear one.
        doubts: Why the result may be wrong, a sentence each; none is a good sign and no proof.
    """

    measure: Measure
    before: float
    after: float
    overlap: float
    folded: float = 0.0
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Alignment:
    """A map of points: from the fixed image's space to the moving image's, LPS mm.

    A point ``x`` goes to ``matrix · (x + displacement(x))``. That is the way in which images are resampled: each point
    of the fixed grid looks up its value in the moving image. Points that are marked on the moving image go the other
    way: through `inverse`.

    Args:
        matrix: ``(n + 1, n + 1)`` homogeneous, n being 2 or 3.
        displacement: ``(n, *grid.shape)`` on the fixed image's grid, mm, applied before the matrix and 0 beyond the
            grid; ``None`` for a linear map.
        fitness: How well it worked; ``None`` for an alignment that was read from a file or made by hand.

    Raises:
        GeometryError: The matrix is not square of 3 or 4, not finite, singular or no affine one, or the displacement
            does not fit it.

    Example:
        >>> shift = Alignment([[1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        >>> shift.to_moving([1.0, 2.0, 3.0]).tolist()
        [6.0, 2.0, 3.0]
        >>> shift.inverse().to_moving([6.0, 2.0, 3.0]).tolist()
        [1.0, 2.0, 3.0]
    """

    matrix: NDArray[np.float64]
    displacement: Volume | None = None
    fitness: Fitness | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        n = len(matrix) - 1
        if matrix.shape not in ((3, 3), (4, 4)) or not np.isfinite(matrix).all():
            raise GeometryError(
                f"the matrix of an alignment must be 3x3 or 4x4 and finite; its shape is {matrix.shape}"
            )
        if not np.allclose(matrix[-1], [0.0] * n + [1.0], rtol=0, atol=1e-9) or abs(np.linalg.det(matrix)) < 1e-9:
            raise GeometryError("the matrix of an alignment must be affine, with a last row of 0 … 0 1, and invertible")
        if self.displacement is not None and not self.displacement.channels == self.displacement.grid.ndim == n:
            raise GeometryError(f"the displacement of a {n}D alignment must have {n} channels on a {n}D grid")
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return len(self.matrix) - 1

    def to_moving(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map points ``(..., n)`` of the fixed image's space, mm."""
        at = np.asarray(points, dtype=np.float64)
        if self.displacement is not None:
            at = at + _look_up(self.displacement, at)
        moved: NDArray[np.float64] = at @ self.matrix[:-1, :-1].T + self.matrix[:-1, -1]
        return moved

    def inverse(self, grid: Grid | None = None) -> Alignment:
        """The map from the moving image's space to the fixed image's.

        Args:
            grid: Of the moving image: where the deformation back is wanted. Not needed for a linear map.

        Returns:
            The inverse, without a fitness. That of a deformation is found by iteration, to a hundredth of a voxel where
            it does not fold.

        Raises:
            GeometryError: The map deforms, and no grid was given.
        """
        back = np.asarray(np.linalg.inv(self.matrix), np.float64)
        if self.displacement is None:
            return Alignment(back)
        if grid is None:
            raise GeometryError("the inverse of a deformation needs the grid of the moving image")
        field = self.displacement
        # Where the matrix alone leads back to; from there the deformation is undone.
        points = grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1))
        start = points @ back[:-1, :-1].T + back[:-1, -1]
        undone = -_look_up(field, start)
        tolerance = 0.01 * min(field.grid.spacing_mm)
        for _ in range(50):
            better = -_look_up(field, start + undone)
            change = float(np.abs(better - undone).max())
            undone = better
            if change < tolerance:
                break
        # In the order of this class the displacement comes first and the matrix second.
        moved = undone @ self.matrix[:-1, :-1].T
        return Alignment(back, Volume(np.moveaxis(moved, -1, 0).astype(np.float32), grid))


def jacobian(displacement: Volume) -> NDArray[np.float64]:
    """By how much each voxel's volume grows under ``x + displacement(x)``; 0 and less where space folds.

    Args:
        displacement: ``(n, *grid.shape)``, mm.

    Returns:
        ``(*grid.shape)``: the determinant of the Jacobian.

    Raises:
        GeometryError: An axis of the grid has a single point.

    Example:
        >>> grid = Grid.from_spacing((4, 5), (2.0, 1.0))
        >>> x, y = np.meshgrid(np.arange(4) * 2.0, np.arange(5.0), indexing="ij")
        >>> twice_as_wide = Volume(np.stack([x, 0 * y]), grid)
        >>> jacobian(twice_as_wide).tolist()[0]
        [2.0, 2.0, 2.0, 2.0, 2.0]
    """
    grid = displacement.grid
    if min(grid.shape) < 2:
        raise GeometryError(f"a deformation changes along each axis; an axis of {grid.shape} has one point")
    # Derivatives along the axes of the grid, turned into those along x, y and z.
    along = np.stack([np.stack(np.gradient(c.astype(np.float64)), axis=-1) for c in displacement.array], axis=-2)
    change = along @ np.linalg.inv(grid.affine[:-1, :-1])
    found: NDArray[np.float64] = np.linalg.det(np.eye(grid.ndim) + change)
    return found


def _look_up(displacement: Volume, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The displacement at points ``(..., n)``: linear between voxels, level in the outer half voxel, 0 beyond."""
    index = displacement.grid.to_index(points.reshape(-1, points.shape[-1])).T
    ends = np.reshape(displacement.grid.shape, (-1, 1)) - 0.5
    inside = np.asarray(((index >= -0.5) & (index <= ends)).all(axis=0))
    found = [ndimage.map_coordinates(c, index, order=1, mode="nearest", prefilter=False) for c in displacement.array]
    return np.where(inside[:, None], np.stack(found, axis=-1).astype(np.float64), 0.0).reshape(points.shape)
