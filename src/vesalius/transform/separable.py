"""Resampling axis by axis, for grids whose axes are parallel.

Interpolation along one axis is linear in the values, so an axis *is* a matrix, and a cubic spline with its prefilter, a
smoothing kernel or a flip take no more code than a straight line. The matrices have their weights near the diagonal;
they are cut into small dense bands and applied by matrix products, tile after tile of the target, so that a tile's
intermediate results stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.transform.kernels import Taps

_BAND, _LAST_BAND = 16, 32  # targets of a band; the fastest axis in memory gains from more
# OpenBLAS runs a product of at most 2 ** 18 multiplications on the calling thread. The tiles already use every
# core; its own threads on top would wait for each other.
_PRODUCT = 200_000


@dataclass(frozen=True, eq=False)
class Band:
    """A dense piece of an axis' matrix: ``target[rows] = matrix @ source[columns]``."""

    rows: slice
    columns: slice
    matrix: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Span:
    """A stretch of one target axis, and the stretch of the source that it is made of.

    Args:
        target: The stretch of the target.
        source: The stretch of the source.
        copied: The source samples, counted from the start of the stretch, that are copied; ``None`` when there is
            anything to add up.
        bands: What is added up, counted from the start of both stretches.
    """

    target: slice
    source: slice
    copied: NDArray[np.intp] | None
    bands: tuple[Band, ...]


@dataclass(frozen=True, eq=False)
class ParallelTile:
    """A box of the target on a grid that is parallel to the source's."""

    spans: tuple[Span, ...]
    outside: None = None

    @property
    def target(self) -> tuple[slice, ...]:
        """Where the tile lies in the target."""
        return tuple(span.target for span in self.spans)

    @property
    def source(self) -> tuple[slice, ...]:
        """The box of the source that the tile is made of."""
        return tuple(span.source for span in self.spans)

    def interpolate(self, values: NDArray[Any]) -> NDArray[Any]:
        """Make the tile's values.

        Args:
            values: The source's values in ``source``, of any real type.

        Returns:
            An array of the shape of ``target``: float32, or the type of ``values`` when they are only copied. It may
            share memory with ``values``.
        """
        sizes = [(_length(span.target), _length(span.source)) for span in self.spans]
        axes = range(len(sizes))
        # Axes that lose samples go first, the slowest in memory before the others (its product is the cheapest); of
        # those that gain samples the fastest goes first, because its product is the dearest.
        shrinking = [a for a in axes if sizes[a][0] <= sizes[a][1]]
        for axis in shrinking + [a for a in reversed(axes) if a not in shrinking]:
            span = self.spans[axis]
            if span.copied is None:
                values = _multiplied(values, axis, span)
            elif not np.array_equal(span.copied, np.arange(values.shape[axis])):
                values = values.take(span.copied, axis)
        return values


def parallel_tiles(axes: Sequence[Taps], starts: Sequence[int], shape: Sequence[int]) -> Iterator[ParallelTile]:
    """Cut the target into tiles.

    Args:
        axes: The taps of each axis, slowest in memory first.
        starts: The target index of each axis' first taps.
        shape: The largest shape of a tile.

    Returns:
        The tiles, together the box from ``starts`` of as many targets as there are taps.
    """
    bands = [_BAND] * (len(axes) - 1) + [_LAST_BAND]
    cut = [
        [_span(taps, start, low, min(low + size, len(taps.index)), band) for low in range(0, len(taps.index), size)]
        for taps, start, size, band in zip(axes, starts, shape, bands, strict=True)
    ]
    return map(ParallelTile, product(*cut))


def _span(taps: Taps, start: int, low: int, high: int, band: int) -> Span:
    index, weight = taps.index[low:high], taps.weight[low:high]
    first, last = int(index.min()), int(index.max())
    target, source = slice(start + low, start + high), slice(first, last + 1)
    if taps.is_choice:
        return Span(target, source, index[:, 0] - first, ())
    bands = []
    for at in range(0, high - low, band):
        rows = slice(at, min(at + band, high - low))
        near = int(index[rows].min())
        height, width = rows.stop - rows.start, int(index[rows].max()) + 1 - near
        entry = np.arange(height)[:, None] * width + index[rows] - near
        matrix = np.bincount(entry.ravel(), weight[rows].ravel(), height * width).reshape(height, width)
        bands.append(Band(rows, slice(near - first, near - first + width), matrix.astype(np.float32)))
    return Span(target, source, None, tuple(bands))


def _multiplied(values: NDArray[Any], axis: int, span: Span) -> NDArray[np.float32]:
    values = np.ascontiguousarray(values, dtype=np.float32)
    before, after = values.shape[:axis], values.shape[axis + 1 :]
    length, inner = _length(span.target), int(np.prod(after))
    if inner > 1:
        planes = values.reshape(-1, values.shape[axis], inner)
        made = np.empty((len(planes), length, inner), np.float32)
        for band in span.bands:
            for part in _parts(inner, band):
                np.matmul(band.matrix, planes[:, band.columns, part], out=made[:, band.rows, part])
    else:
        rows = values.reshape(-1, values.shape[axis])
        made = np.empty((len(rows), length), np.float32)
        for band in span.bands:
            for part in _parts(len(rows), band):
                np.matmul(rows[part, band.columns], band.matrix.T, out=made[part, band.rows])
    return made.reshape(*before, length, *after)


def _parts(length: int, band: Band) -> Iterator[slice]:
    step = max(1, _PRODUCT // band.matrix.size)
    return (slice(low, low + step) for low in range(0, length, step))


def _length(stretch: slice) -> int:
    return int(stretch.stop - stretch.start)
