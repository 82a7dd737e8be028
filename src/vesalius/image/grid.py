"""A lattice of points in patient space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vesalius.errors import GeometryError

_LARGEST_AXIS = 1 << 20  # a longer axis is a lying header, not an image
_NAMES = {2: ("LR", "PA"), 3: ("LR", "PA", "SI")}  # (positive, negative) end of each LPS axis


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular lattice: index (i, j[, k]) to point in millimetres, LPS.

    A grid has no pixels. LPS (x to the patient's left, y to the back, z to the head) is the convention of DICOM and
    ITK, so that their affines are taken as they are and only NIfTI's (RAS) are converted.

    An index names the centre of a voxel. The affine may be oblique, flipped, anisotropic or sheared (gantry tilt); it
    must be finite and invertible. A picture without a physical size has spacing 1 and says so in its `Meta`.

    Args:
        shape: Number of points on each axis, 2 or 3 of them, each at least 1.
        affine: ``(n + 1, n + 1)`` homogeneous matrix from index to point, mm.

    Raises:
        GeometryError: The shape is not 2 or 3 positive whole numbers, or the affine has another size, holds NaN or
            infinity, is singular, or its last row is not ``0 … 0 1``.

    Example:
        >>> grid = Grid.from_spacing((4, 5, 6), (1.0, 1.0, 3.0), origin_mm=(10.0, 0.0, 0.0))
        >>> grid.to_points([1, 0, 2])
        array([11.,  0.,  6.])
        >>> grid.axis_codes
        'LPS'

    Source: DICOM PS3.3 C.7.6.2.1.1 (index to patient coordinates); checked against SimpleITK and nibabel.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        try:
            shape = tuple(int(n) for n in self.shape)
        except (TypeError, ValueError):
            raise GeometryError(f"a grid's shape must be whole numbers, not {self.shape!r}") from None
        if len(shape) not in (2, 3) or any(n != m for n, m in zip(shape, self.shape, strict=True)):
            raise GeometryError(f"a grid's shape must be 2 or 3 whole numbers, not {tuple(self.shape)!r}")
        if not all(1 <= n <= _LARGEST_AXIS for n in shape):
            raise GeometryError(f"a grid's axes must have 1 to {_LARGEST_AXIS} points, not {shape}")
        affine = np.array(self.affine, dtype=np.float64)
        n = len(shape)
        if affine.shape != (n + 1, n + 1):
            raise GeometryError(f"the affine of a {n}D grid must be {n + 1}x{n + 1}, not {affine.shape}")
        if not np.isfinite(affine).all():
            raise GeometryError("the affine holds NaN or infinity")
        if not np.allclose(affine[-1], [0.0] * n + [1.0], rtol=0, atol=1e-9):
            raise GeometryError(f"the affine's last row must be 0 … 0 1, not {affine[-1].tolist()}")
        spacing = np.linalg.norm(affine[:n, :n], axis=0)
        # Relative to the spacing, so that nanometre pixels are as good as metre ones.
        if (spacing == 0).any() or abs(np.linalg.det(affine[:n, :n] / spacing)) < 1e-6:
            raise GeometryError("the affine is singular: its axes do not span the space")
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @classmethod
    def from_spacing(
        cls,
        shape: Sequence[int],
        spacing_mm: Sequence[float],
        *,
        origin_mm: Sequence[float] | None = None,
        direction: ArrayLike | None = None,
    ) -> Grid:
        """Build a grid from spacing, origin and direction cosines.

        Args:
            shape: Points on each axis.
            spacing_mm: Distance between neighbours on each axis, mm, > 0.
            origin_mm: The point of index 0, LPS; the origin of space when left out.
            direction: ``(n, n)``; column k is the unit vector of axis k. Identity when left out.

        Raises:
            GeometryError: A spacing is not positive and finite, or the parts do not fit together.
        """
        n = len(shape)
        spacing = np.asarray(spacing_mm, dtype=np.float64)
        if spacing.shape != (n,) or not (np.isfinite(spacing).all() and (spacing > 0).all()):
            raise GeometryError(f"the spacing must be {n} positive numbers, not {list(spacing_mm)}")
        turn = np.eye(n) if direction is None else np.asarray(direction, dtype=np.float64)
        if turn.shape != (n, n):
            raise GeometryError(f"the direction of a {n}D grid must be {n}x{n}, not {turn.shape}")
        affine = np.eye(n + 1)
        affine[:n, :n] = turn * spacing
        if origin_mm is not None:
            affine[:n, n] = origin_mm
        return cls(tuple(shape), affine)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self.shape == other.shape and bool(np.array_equal(self.affine, other.affine))

    def __hash__(self) -> int:
        return hash((self.shape, self.affine.tobytes()))

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of points."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Distance between neighbours on each axis, mm."""
        return tuple(float(s) for s in np.linalg.norm(self.affine[:-1, :-1], axis=0))

    @property
    def origin_mm(self) -> tuple[float, ...]:
        """The point of index 0, LPS."""
        return tuple(float(x) for x in self.affine[:-1, -1])

    @property
    def direction(self) -> NDArray[np.float64]:
        """``(n, n)``; column k is the unit vector of axis k."""
        matrix: NDArray[np.float64] = self.affine[:-1, :-1] / np.asarray(self.spacing_mm)
        return matrix

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of a voxel in mm³ (area of a pixel in mm² on a 2D grid)."""
        return float(abs(np.linalg.det(self.affine[:-1, :-1])))

    @property
    def is_orthogonal(self) -> bool:
        """Whether the axes are at right angles (a gantry tilt makes them not so), to 1e-3 of a radian."""
        turn = self.direction
        return bool(np.allclose(turn.T @ turn, np.eye(self.ndim), rtol=0, atol=1e-3))

    @property
    def axis_codes(self) -> str:
        """The anatomical end that each axis points to, for example ``"LPS"`` or ``"RAS"``.

        On oblique grids each axis gets the anatomical direction that fits best, each direction once.
        """
        order, signs = self.nearest_axes()
        return "".join(_NAMES[self.ndim][a][0 if s > 0 else 1] for a, s in zip(order, signs, strict=True))

    def nearest_axes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Which patient axis (0 x, 1 y, 2 z) each index axis follows best, and in which sense (1 or -1).

        Returns:
            ``(order, signs)``: index axis k follows patient axis ``order[k]`` with sense ``signs[k]``; ``order`` is
            a permutation. All permutations are weighed, so that a 45° oblique grid has an answer that is unique.
        """
        from itertools import permutations

        turn = self.direction
        n = self.ndim
        best = max(permutations(range(n)), key=lambda p: round(sum(abs(turn[p[k], k]) for k in range(n)), 9))
        return best, tuple(1 if turn[best[k], k] >= 0 else -1 for k in range(n))

    def to_points(self, index: ArrayLike) -> NDArray[np.float64]:
        """Map indices ``(..., n)`` (fractions allowed) to points ``(..., n)``, mm."""
        at = np.asarray(index, dtype=np.float64)
        points: NDArray[np.float64] = at @ self.affine[:-1, :-1].T + self.affine[:-1, -1]
        return points

    def to_index(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map points ``(..., n)``, mm, to fractional indices ``(..., n)``."""
        inverse = np.linalg.inv(self.affine)
        at: NDArray[np.float64] = np.asarray(points, dtype=np.float64) @ inverse[:-1, :-1].T + inverse[:-1, -1]
        return at

    def crop(self, start: Sequence[int], shape: Sequence[int]) -> Grid:
        """Take the box of ``shape`` points whose first point is index ``start``.

        ``start`` may be negative and the box may reach beyond the grid: that is a pad.
        """
        affine = self.affine.copy()
        affine[:-1, -1] = self.to_points(np.asarray(start, dtype=np.float64))
        return Grid(tuple(shape), affine)

    def permute(self, order: Sequence[int]) -> Grid:
        """Reorder the index axes: the new axis k is the old axis ``order[k]``."""
        if sorted(order) != list(range(self.ndim)):
            raise GeometryError(f"an axis order of a {self.ndim}D grid must be a permutation, not {tuple(order)}")
        affine = self.affine.copy()
        affine[:-1, :-1] = self.affine[:-1, list(order)]
        return Grid(tuple(self.shape[k] for k in order), affine)

    def flip(self, axes: Sequence[int]) -> Grid:
        """Reverse the named index axes; every point keeps its place in space."""
        affine = self.affine.copy()
        for axis in axes:
            affine[:-1, -1] += affine[:-1, axis] * (self.shape[axis] - 1)
            affine[:-1, axis] = -affine[:-1, axis]
        return Grid(self.shape, affine)

    def with_spacing(self, spacing_mm: Sequence[float]) -> Grid:
        """The grid of another spacing that covers the same extent in space.

        The number of points is ``max(1, round(shape * old spacing / new spacing))``, and the grid is centred on the
        old one, so that the half-voxel borders meet as well as whole numbers allow.

        Source: nnU-Net's ``compute_new_shape`` for the number of points; the centring is that of
        ``torch.nn.functional.interpolate(align_corners=False)``.
        """
        old = np.asarray(self.spacing_mm)
        new = np.asarray(spacing_mm, dtype=np.float64)
        if new.shape != old.shape or not (np.isfinite(new).all() and (new > 0).all()):
            raise GeometryError(f"the spacing must be {self.ndim} positive numbers, not {list(spacing_mm)}")
        shape = np.maximum(1, np.round(np.asarray(self.shape) * old / new)).astype(int)
        affine = self.affine.copy()
        affine[:-1, :-1] = self.direction * new
        centre = self.to_points((np.asarray(self.shape) - 1) / 2)
        affine[:-1, -1] = centre - affine[:-1, :-1] @ ((shape - 1) / 2)
        return Grid(tuple(int(n) for n in shape), affine)

    def is_close(self, other: Grid, *, tolerance_mm: float = 1e-3) -> bool:
        """Whether ``other`` has the same shape and every corner within ``tolerance_mm`` of this grid's."""
        return self.shape == other.shape and self.corner_distance_mm(other) <= tolerance_mm

    def corner_distance_mm(self, other: Grid) -> float:
        """The largest distance between corresponding corners, mm; infinity when the dimensions differ."""
        if self.ndim != other.ndim:
            return float("inf")
        corners: Any = np.stack(np.meshgrid(*[(0, 1)] * self.ndim, indexing="ij"), -1).reshape(-1, self.ndim)
        mine = self.to_points(corners * (np.asarray(self.shape) - 1))
        theirs = other.to_points(corners * (np.asarray(other.shape) - 1))
        return float(np.linalg.norm(mine - theirs, axis=-1).max())
