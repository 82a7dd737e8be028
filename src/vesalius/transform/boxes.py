"""Filters that look at neighbours: an image worked on box by box, side by side on every core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import Grid, Volume
from vesalius.jobs import cores

Box = tuple[slice, ...]
"""A box of an image: a stretch of each axis."""

_POINTS = 1 << 15  # of a box: some float32 copies of it fit into a core's cache


def per_channel(volume: Volume, work: Callable[[NDArray[Any], tuple[float, ...]], NDArray[Any]]) -> Volume:
    """Apply a filter to each channel by itself, the way its values lie in memory.

    Args:
        volume: The image.
        work: Takes a channel, its slowest axis in memory first, and the spacing of its axes, mm; returns as many
            values in the same order.

    Returns:
        The image with new values, which lie in memory in the order of the old ones.
    """
    strides = volume.array.strides[1:]
    order = [int(a) for a in np.argsort([-abs(s) for s in strides], kind="stable")]
    back = [int(a) for a in np.argsort(order)]
    spacing = tuple(volume.grid.spacing_mm[a] for a in order)
    made = np.stack([work(channel.transpose(order), spacing) for channel in volume.array])
    return volume.with_array(made.transpose(0, *(1 + a for a in back)))


def each_box(shape: Sequence[int], work: Callable[[Box], None], *, points: int = _POINTS) -> None:
    """Do the work of every box of an image, on as many threads as this process has cores.

    Args:
        shape: Of the image, its slowest axis first.
        work: What to do; it must write to places of its own only. What a box holds must not depend on how the image
            is cut: then the result has the same bytes on every machine.
        points: About as many voxels has a box.
    """
    boxes = list(_boxes(tuple(shape), points))
    threads = min(cores(), len(boxes))
    if threads == 1:
        for box in boxes:
            work(box)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, boxes):
            pass


def offsets_within(radius_mm: float, spacing_mm: Sequence[float]) -> list[tuple[int, ...]]:
    """The neighbours whose centres lie within a radius of a voxel's, itself included, in index order.

    Args:
        radius_mm: ≥ 0.
        spacing_mm: Of each axis.

    Example:
        >>> offsets_within(1.0, (1.0, 2.0))
        [(-1, 0), (0, 0), (1, 0)]
    """
    spacing = np.asarray(spacing_mm)
    reach = [int(n) for n in np.floor(radius_mm / spacing + 1e-6)]
    every = product(*(range(-n, n + 1) for n in reach))
    return [o for o in every if float(np.sum((np.asarray(o) * spacing) ** 2)) <= radius_mm**2 * (1 + 1e-6)]


def halo(array: NDArray[Any], reach: Sequence[int], mode: Any = "edge") -> NDArray[Any]:
    """The image with a rim around it, as wide on each axis as its filter reaches; contiguous."""
    return np.ascontiguousarray(np.pad(array, [(n, n) for n in reach], mode=mode))


def moved(box: Box, offset: Sequence[int]) -> Box:
    """The box that lies an offset away; the image's rim shifts indices, so that they are never negative."""
    return tuple(slice(s.start + o, s.stop + o) for s, o in zip(box, offset, strict=True))


def positive(**values: float) -> None:
    """Refuse settings that are not above 0.

    Raises:
        DataError: One is not; it is named.
    """
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise DataError(f"{name} must be a number above 0, not {value}")


def finest_mm(grid: Grid) -> float:
    """The distance of the nearest neighbours, mm."""
    return min(grid.spacing_mm)


def _boxes(shape: tuple[int, ...], points: int) -> Iterator[Box]:
    # The fastest axis stays whole: numpy's inner loops run along it.
    left, edges = max(1, points // shape[-1]), [shape[-1]]
    for length in reversed(shape[:-1]):
        edges.insert(0, min(length, left))
        left = max(1, left // length)
    starts = [range(0, n, edge) for n, edge in zip(shape, edges, strict=True)]
    for corner in product(*starts):
        yield tuple(slice(c, min(c + e, n)) for c, e, n in zip(corner, edges, shape, strict=True))
