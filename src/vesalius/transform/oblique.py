"""Resampling point by point, for grids whose axes are not parallel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.transform.kernels import NEAR, Interpolation, nearest, within

_TILE = (8, 64, 64)  # targets of a tile on the slowest … fastest axis: what is worked out for each stays in the cache
_PAD = (1, 2)  # samples that a cubic reaches beyond the first and the last


def padded(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mirror a cubic's coefficients beyond their borders, as far as it reaches."""
    for axis, length in enumerate(coefficients.shape):
        widths = [(0, 0)] * coefficients.ndim
        widths[axis] = _PAD
        coefficients = np.pad(coefficients, widths, "reflect" if length > 1 else "edge")
    return coefficients


@dataclass(frozen=True, eq=False)
class ObliqueTile:
    """A box of the target on a grid that is turned or sheared against the source's.

    Args:
        target: Where the tile lies in the target.
        affine: ``(n, n + 1)`` map from target index to source index.
        shape: The source's shape.
        interpolation: How values are made. ``"cubic"`` takes `padded` B-spline coefficients, not values.
    """

    target: tuple[slice, ...]
    affine: NDArray[np.float64]
    shape: tuple[int, ...]
    interpolation: Interpolation

    @cached_property
    def source(self) -> tuple[slice, ...]:
        """The box of the source that the tile is made of."""
        taps = {"nearest": 2, "linear": 2, "cubic": 4}[self.interpolation]
        more = sum(_PAD) if self.interpolation == "cubic" else 0
        low, high = self._reach
        return tuple(
            slice(min(max(int(first), 0), max(n - 2, 0)), min(max(int(last), 0) + taps, n + more))
            for first, last, n in zip(np.floor(low - NEAR), np.floor(high + NEAR), self.shape, strict=True)
        )

    @cached_property
    def outside(self) -> NDArray[np.bool_] | None:
        """Which points of the tile lie outside the source's extent; ``None`` for none of them."""
        if self._is_inside:
            return None
        inside: NDArray[np.bool_] = np.logical_and.reduce(
            [within(at, n) for at, n in zip(self._at, self.shape, strict=True)]
        )
        return ~inside

    def interpolate(self, values: NDArray[Any]) -> NDArray[Any]:
        """Make the tile's values.

        Args:
            values: The source's values in ``source``, of any real type.

        Returns:
            An array of the shape of ``target``: float32, or for ``"nearest"`` the type of ``values``. Beyond the
            source's first and last samples their values go on.
        """
        dtype = values.dtype if self.interpolation == "nearest" else np.dtype(np.float32)
        flat = np.ascontiguousarray(values, dtype).reshape(-1)
        strides = [int(np.prod(values.shape[axis + 1 :])) for axis in range(values.ndim)]
        origin = sum(box.start * stride for box, stride in zip(self.source, strides, strict=True))
        # All the points' first samples at once; the other samples are the same places in a shifted view.
        places = sum((first * stride for first, stride in zip(self._first, strides, strict=True)), -origin)
        chosen = np.asarray(places).astype(np.intp, copy=False)

        def along(axis: int, offset: int) -> NDArray[Any]:
            if axis == len(strides):
                return flat[offset:].take(chosen, mode="clip")
            total: NDArray[Any] | None = None
            for tap, weight in enumerate(self._taps[axis]):
                part = along(axis + 1, offset + tap * strides[axis])
                if weight is not None:
                    part *= weight
                total = part if total is None else np.add(total, part, out=total)
            assert total is not None
            return total

        return along(0, 0)

    @cached_property
    def _at(self) -> list[NDArray[np.float64]]:
        along = np.ogrid[self.target]
        return [
            np.asarray(sum((step * n for step, n in zip(row[:-1], along, strict=True)), row[-1])) for row in self.affine
        ]

    @cached_property
    def _reach(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The least and the greatest of the places on each axis; they belong to corners of the tile."""
        ends = self.affine[:, :-1, None] * np.array([[box.start, box.stop - 1] for box in self.target])
        offset = self.affine[:, -1]
        return ends.min(axis=2).sum(axis=1) + offset, ends.max(axis=2).sum(axis=1) + offset

    @cached_property
    def _is_inside(self) -> bool:
        """Whether all points lie between the source's first and last samples."""
        low, high = self._reach
        return bool((low >= 0).all() and (high <= np.asarray(self.shape) - 1).all())

    @cached_property
    def _clipped(self) -> list[NDArray[np.float64]]:
        if self._is_inside:
            return self._at
        return [np.clip(at, 0.0, n - 1.0) for at, n in zip(self._at, self.shape, strict=True)]

    @cached_property
    def _first(self) -> list[NDArray[np.float64]]:
        """The first sample that each point is made of, on each axis."""
        if self.interpolation == "nearest":
            return [nearest(at) for at in self._clipped]
        floors = [np.floor(at) for at in self._clipped]
        if self.interpolation == "cubic":
            return floors
        # The last sample is the second of its pair.
        return [np.minimum(low, max(n - 2, 0), out=low) for low, n in zip(floors, self.shape, strict=True)]

    @cached_property
    def _taps(self) -> list[list[NDArray[np.float32] | None]]:
        """The weights of the samples from the first on, on each axis; ``None`` for a weight of 1."""
        if self.interpolation == "nearest":
            return [[None] for _ in self.shape]
        found: list[list[NDArray[np.float32] | None]] = []
        for at, first, length in zip(self._clipped, self._first, self.shape, strict=True):
            t = (at - first).astype(np.float32)
            if self.interpolation == "cubic":
                found.append(_cubic_b_spline(t))
            else:
                found.append([1 - t, t] if length > 1 else [None])
        return found


def _cubic_b_spline(t: NDArray[np.float32]) -> list[NDArray[np.float32] | None]:
    u = 1 - t
    weights = (u * u * u / 6, 2 / 3 - t * t * (1 + u) / 2, 2 / 3 - u * u * (1 + t) / 2, t * t * t / 6)
    return [weight.astype(np.float32, copy=False) for weight in weights]


def oblique_tiles(
    target_shape: Sequence[int],
    affine: NDArray[np.float64],
    source_shape: tuple[int, ...],
    interpolation: Interpolation,
) -> Iterator[ObliqueTile]:
    """Cut the target into tiles; for the rest see `ObliqueTile`."""
    cut = [
        [slice(n, min(n + size, whole)) for n in range(0, whole, size)]
        for whole, size in zip(target_shape, _TILE[-len(target_shape) :], strict=True)
    ]
    return (ObliqueTile(box, affine, source_shape, interpolation) for box in product(*cut))
