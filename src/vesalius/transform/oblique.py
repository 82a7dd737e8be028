"""Resampling point by point, for grids whose axes are not parallel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.transform.kernels import Interpolation, nearest, within

_ORDERS: dict[Interpolation, int] = {"linear": 1, "cubic": 3}


@dataclass(frozen=True, eq=False)
class ObliqueTile:
    """A box of the target on a grid that is turned or sheared against the source's.

    Args:
        target: Where the tile lies in the target.
        affine: ``(n, n + 1)`` map from target index to source index.
        shape: The source's shape.
        interpolation: How values are made. ``"cubic"`` takes B-spline coefficients, not values.
    """

    target: tuple[slice, ...]
    affine: NDArray[np.float64]
    shape: tuple[int, ...]
    interpolation: Interpolation

    @cached_property
    def outside(self) -> NDArray[np.bool_]:
        """Which points of the tile lie outside the source's extent."""
        inside: NDArray[np.bool_] = np.logical_and.reduce(
            [within(at, n) for at, n in zip(self._at, self.shape, strict=True)]
        )
        return ~inside

    @cached_property
    def source(self) -> tuple[slice, ...]:
        """The box of the source that the tile is made of."""
        margin = 2 if self.interpolation == "cubic" else 1
        low = [max(int(at.min()) - margin, 0) for at in self._clipped]
        high = [min(int(at.max()) + 1 + margin, n) for at, n in zip(self._clipped, self.shape, strict=True)]
        return tuple(slice(*ends) for ends in zip(low, high, strict=True))

    def interpolate(self, values: NDArray[Any]) -> NDArray[Any]:
        """Make the tile's values.

        Args:
            values: The source's values in ``source``, of any real type.

        Returns:
            An array of the shape of ``target``: float32, or for ``"nearest"`` the type of ``values``. Beyond the
            source's first and last samples their values go on.
        """
        from scipy import ndimage

        at = [c - box.start for c, box in zip(self._clipped, self.source, strict=True)]
        if self.interpolation == "nearest":
            chosen = tuple(np.minimum(nearest(c), n - 1) for c, n in zip(at, values.shape, strict=True))
            copied: NDArray[Any] = values[chosen]
            return copied
        if values.dtype == np.bool_:
            values = values.view(np.uint8)
        made: NDArray[np.float32] = ndimage.map_coordinates(
            values, at, np.float32, _ORDERS[self.interpolation], mode="mirror", prefilter=False
        )
        return made

    @cached_property
    def _at(self) -> list[NDArray[np.float64]]:
        along = np.ogrid[self.target]
        return [
            np.asarray(sum((step * n for step, n in zip(row[:-1], along, strict=True)), row[-1])) for row in self.affine
        ]

    @cached_property
    def _clipped(self) -> list[NDArray[np.float64]]:
        return [np.clip(at, 0.0, n - 1.0) for at, n in zip(self._at, self.shape, strict=True)]


def oblique_tiles(
    target_shape: Sequence[int],
    affine: NDArray[np.float64],
    source_shape: tuple[int, ...],
    interpolation: Interpolation,
    shape: Sequence[int],
) -> Iterator[ObliqueTile]:
    """Cut the target into tiles of at most ``shape`` points; for the rest see `ObliqueTile`."""
    cut = [
        [slice(n, min(n + size, whole)) for n in range(0, whole, size)]
        for whole, size in zip(target_shape, shape, strict=True)
    ]
    return (ObliqueTile(box, affine, source_shape, interpolation) for box in product(*cut))
