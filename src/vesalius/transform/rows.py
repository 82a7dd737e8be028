"""Work on tiles while their source is still coming in, keeping of it only what is still needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import GeometryError
from vesalius.image import Grid
from vesalius.transform.sampling import Tile, each_tile, sampling

Slabs = Iterable[tuple[int, NDArray[Any]]]
"""``(start, values)``, one after the other: the first row, and ``(channels, *shape)`` with some rows of one axis. None
need outlive the next one's coming."""


class Rows:
    """A stream of slabs, of which the rows are there that have come and have not been forgotten.

    Args:
        slabs: They follow each other without a gap, from row 0 on.
        order: The source axis at each place of the work order; slabs follow each other along the first of them.
        lengths: The source's shape in work order.
        channels: Of each slab.
        keep_all: Whether to forget none, for rows that are not needed in their order.

    Raises:
        GeometryError: When a slab comes that has another shape or leaves a gap, or too few have come.
    """

    def __init__(
        self, slabs: Slabs, order: Sequence[int], lengths: Sequence[int], channels: int, *, keep_all: bool = False
    ) -> None:
        self._slabs = iter(slabs)
        self._order = (0, *(1 + axis for axis in order))
        self._lengths, self._channels = tuple(lengths), channels
        self._pieces: list[tuple[int, NDArray[Any]]] = []
        self._low, self._keep_all = 0, keep_all
        self.high = 0
        """The first row that has not come yet."""

    def wait_for(self, stop: int) -> None:
        """Take slabs until the rows below ``stop`` are there."""
        while self.high < stop:
            self._keep()
            start, slab = next(self._slabs, (self.high, None))
            if slab is None:
                raise GeometryError(f"the slabs ended at row {self.high} of {self._lengths[0]}")
            values = slab.transpose(self._order)
            fits = values.shape[0] == self._channels and values.shape[2:] == self._lengths[1:]
            if not fits or start != self.high or start + values.shape[1] > self._lengths[0]:
                raise GeometryError(
                    f"a slab of shape {slab.shape} from row {start} does not follow row {self.high} of "
                    f"({self._channels}, *{self._lengths})"
                )
            self._pieces.append((start, values))
            self.high += values.shape[1]

    def forget(self, below: int) -> None:
        """Rows below this one are not needed any more."""
        if not self._keep_all:
            self._low = max(self._low, below)

    def box(self, box: tuple[slice, ...]) -> NDArray[Any]:
        """``(channels, *box)``: a view where the rows came in one slab, else a copy."""
        rows, rest = box[0], box[1:]
        parts = [
            values[:, max(0, rows.start - start) : rows.stop - start, *rest]
            for start, values in self._pieces
            if start < rows.stop and rows.start < start + values.shape[1]
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _keep(self) -> None:
        """Copy what is still needed of the slab that is about to go."""
        kept = []
        for start, values in self._pieces:
            skip = max(0, self._low - start)
            if skip < values.shape[1]:
                last = values is self._pieces[-1][1]
                kept.append((start + skip, values[:, skip:].copy() if last or skip else values))
        self._pieces = kept


def slabs_first(source: Grid, axis: int) -> tuple[int, ...]:
    """Strides of an array whose slabs along an axis lie one after the other in memory."""
    if not 0 <= axis < source.ndim:
        raise GeometryError(f"slabs of a {source.ndim}D grid follow each other along axis 0 to {source.ndim - 1}")
    return tuple(source.ndim + 1 if a == axis else source.ndim - a for a in range(source.ndim))


def followed_axis(source: Grid, target: Grid, axis: int) -> int:
    """The axis of one grid that runs along an axis of another, as well as any does.

    Example:
        >>> grid = Grid.from_spacing((4, 5, 6), (1.0, 1.0, 1.0))
        >>> followed_axis(grid, grid.permute((2, 0, 1)), 0)
        1
    """
    plan = sampling(source, target, slabs_first(source, axis), "linear")
    return plan.target_order[0]


def each_tile_in_turn(rows: Rows, tiles: Iterator[Tile], work: Callable[[Tile, NDArray[Any]], None], size: int) -> None:
    """Do the work of every tile as soon as the rows that it is made of have come; see `each_tile`.

    Args:
        rows: The source.
        tiles: In any order.
        work: Takes a tile, and ``(channels, *box)`` of the source.
        size: Points of the whole target.
    """
    waiting = deque(sorted(tiles, key=lambda tile: tile.source[0].stop))
    # Row by row from the end: the first row that this tile or any later one is made of.
    starts = np.array([tile.source[0].start for tile in reversed(waiting)], np.intp)
    firsts = np.minimum.accumulate(starts)[::-1]
    done = 0

    def ready() -> Iterator[Tile]:
        # A tile is let go when it is taken: on turned grids it is heavy once it has been worked on.
        while waiting and waiting[0].source[0].stop <= rows.high:
            yield waiting.popleft()

    while waiting:
        rows.forget(int(firsts[done]))
        rows.wait_for(waiting[0].source[0].stop)
        before = len(waiting)
        each_tile(ready(), lambda tile: work(tile, rows.box(tile.source)), size)
        done += before - len(waiting)
