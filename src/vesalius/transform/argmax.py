"""From scores on a coarse grid to the winning class, or the topmost region, on a fine one, never holding all there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import GeometryError
from vesalius.image import Grid
from vesalius.transform.rows import Rows, Slabs, each_tile_in_turn, slabs_first
from vesalius.transform.sampling import Sampling, Tile, sampling

LABEL_TILE = (64, 1 << 16)  # (edge, points): small tiles, in which few labels meet
_MOST_CLASSES = 1 << 16
_MOST_REGIONS = _MOST_CLASSES - 1  # and what is none of them


def resample_argmax(
    scores: NDArray[Any],
    source: Grid,
    target: Grid,
    *,
    through_plane: Literal["nearest"] | None = None,
    thick_axis: int | None = None,
) -> NDArray[Any]:
    """Interpolate the scores of every class linearly, and tell which class is the highest at each point.

    The answer is that of resampling all classes and taking the argmax, the lowest class at a tie. But the classes
    come one after another, box by box, with a running maximum: besides the scores and the answer there is only a few
    MB, whatever the number of classes. In a box where one class is above another at every voxel it is so between them
    too, and the other need not be interpolated at all: most boxes have one or two classes left.

    Args:
        scores: ``(k, *source.shape)`` logits or probabilities, finite, of any real type; k is 1 to 65,536.
        source: Where the scores are.
        target: Where the answer is wanted.
        through_plane: ``"nearest"`` to not interpolate along the coarse axis of an anisotropic grid (see `respace`).
        thick_axis: The axis of the scores not to interpolate along, whatever the spacings.

    Returns:
        ``(*target.shape)`` uint8 (uint16 for more than 256 classes): the index of the class, 0 outside the extent of
        ``source``. Its axes lie in memory in the order of the scores'.

    Raises:
        GeometryError: The scores do not fit the grid, or the grids have different dimensions.

    Example:
        >>> grid = Grid.from_spacing((2, 1), (2.0, 1.0))
        >>> scores = np.array([[[3.0], [0.0]], [[0.0], [1.0]]])
        >>> resample_argmax(scores, grid, grid.with_spacing((0.5, 1.0))).ravel().tolist()
        [0, 0, 0, 0, 0, 1, 1, 1]

    Source: linear scores as in nnU-Net's export (order 1); the streamed form follows from the interpolation's weights
    being positive and adding up to 1.
    """
    _check_scores(scores, source, _MOST_CLASSES, "classes")
    plan = sampling(source, target, scores.strides[1:], "linear", through_plane=through_plane, thick_axis=thick_axis)
    return _argmax([(0, scores)], plan, len(scores))


def stream_argmax(
    slabs: Slabs,
    source: Grid,
    target: Grid,
    *,
    classes: int,
    axis: int = 0,
    thick_axis: int | None = None,
) -> NDArray[Any]:
    """`resample_argmax` of scores that come slab by slab, of which only those rows are held that are still needed.

    The same tiles are made of the same voxels by the same sums, each as soon as its voxels have come: the answer is
    that for the whole array (one whose axes lie in memory with ``axis`` first), bit for bit. Besides the slab and the
    answer there are as many rows as a tile is made of, at most.

    Args:
        slabs: ``(start, scores)``: the first row, and ``(classes, *source.shape)`` of which there are some rows of
            ``axis``. They follow each other from row 0 to the last one; none need outlive the next one's coming.
        source: Where the scores are.
        target: Where the answer is wanted.
        classes: How many there are.
        axis: Along which the slabs follow each other.
        thick_axis: As for `resample_argmax`.

    Returns:
        As `resample_argmax`.

    Raises:
        GeometryError: The slabs do not fit the grid or each other, or the grids have different dimensions.

    Example:
        >>> grid = Grid.from_spacing((2, 1), (2.0, 1.0))
        >>> slabs = [(0, np.array([[[3.0]], [[0.0]]])), (1, np.array([[[0.0]], [[1.0]]]))]
        >>> stream_argmax(slabs, grid, grid.with_spacing((0.5, 1.0)), classes=2).ravel().tolist()
        [0, 0, 0, 0, 0, 1, 1, 1]
    """
    _check_count(classes, _MOST_CLASSES, "classes")
    plan = sampling(source, target, slabs_first(source, axis), "linear", thick_axis=thick_axis)
    return _argmax(slabs, plan, classes)


def _argmax(slabs: Slabs, plan: Sampling, count: int) -> NDArray[Any]:
    made = plan.blank(1, 0, np.dtype(np.uint8 if count <= 256 else np.uint16))[0]

    def work(tile: Tile, classes: NDArray[Any]) -> None:
        left = _contenders(classes)
        if left.size == 1:
            put(made, tile, np.broadcast_to(left.astype(made.dtype), shape_of(tile)), 0)
            return
        wins = running_argmax(tile.interpolate(classes[c]) for c in left)
        put(made, tile, left.astype(made.dtype)[wins], 0)

    rows = Rows(slabs, plan.source_order, plan.lengths, count)
    each_tile_in_turn(rows, plan.tiles(*LABEL_TILE), work, made.size * count)
    return plan.restore(made)


def resample_painted(
    scores: NDArray[Any],
    source: Grid,
    target: Grid,
    *,
    through_plane: Literal["nearest"] | None = None,
    thick_axis: int | None = None,
) -> NDArray[Any]:
    """Interpolate the scores of overlapping regions linearly, and tell which is on top where they are painted in order.

    A region is on where its score is above 0 (for logits: its probability is above a half), and each region is painted
    over those before it. The answer is that of resampling all scores and painting. But they come one after another, box
    by box and the topmost first: besides the scores and the answer there is only a few MB, whatever the number of
    regions, and a box in which a region is on, or off, at every voxel need not be interpolated for it.

    Args:
        scores: ``(k, *source.shape)`` logits, finite, of any real type, in the order of painting; k is 1 to 65,535.
        source: Where the scores are.
        target: Where the answer is wanted.
        through_plane: As for `resample_argmax`.
        thick_axis: As for `resample_argmax`.

    Returns:
        ``(*target.shape)`` uint8 (uint16 for more than 255 regions): 0 where no region is on and outside the extent of
        ``source``, else 1 for the first region, and so on. Its axes lie in memory in the order of the scores'.

    Raises:
        GeometryError: The scores do not fit the grid, or the grids have different dimensions.

    Example:
        >>> grid = Grid.from_spacing((4, 1), (1.0, 1.0))
        >>> whole, core = [[-1.0], [1.0], [1.0], [1.0]], [[-1.0], [-1.0], [1.0], [-1.0]]
        >>> resample_painted(np.array([whole, core]), grid, grid).ravel().tolist()
        [0, 1, 2, 1]

    Source: linear logits and nnU-Net's ``regions_class_order``; the streamed form follows from the interpolation's
    weights being positive, so that it keeps a common sign.
    """
    _check_scores(scores, source, _MOST_REGIONS, "regions")
    plan = sampling(source, target, scores.strides[1:], "linear", through_plane=through_plane, thick_axis=thick_axis)
    return _painted([(0, scores)], plan, len(scores))


def stream_painted(
    slabs: Slabs,
    source: Grid,
    target: Grid,
    *,
    regions: int,
    axis: int = 0,
    thick_axis: int | None = None,
) -> NDArray[Any]:
    """`resample_painted` of scores that come slab by slab, as `stream_argmax` is that of `resample_argmax`.

    Args:
        slabs: ``(start, scores)``, as for `stream_argmax`.
        source: Where the scores are.
        target: Where the answer is wanted.
        regions: How many there are.
        axis: Along which the slabs follow each other.
        thick_axis: As for `resample_argmax`.

    Raises:
        GeometryError: The slabs do not fit the grid or each other, or the grids have different dimensions.
    """
    _check_count(regions, _MOST_REGIONS, "regions")
    plan = sampling(source, target, slabs_first(source, axis), "linear", thick_axis=thick_axis)
    return _painted(slabs, plan, regions)


def _painted(slabs: Slabs, plan: Sampling, count: int) -> NDArray[Any]:
    made = plan.blank(1, 0, np.dtype(np.uint8 if count < 256 else np.uint16))[0]

    def work(tile: Tile, regions: NDArray[Any]) -> None:
        top = np.zeros(shape_of(tile), made.dtype)
        for number in range(count, 0, -1):
            box = regions[number - 1]
            if box.max() <= 0:
                continue
            if box.min() > 0:
                top[top == 0] = number
                break
            top[(top == 0) & (tile.interpolate(box) > 0)] = number
        put(made, tile, top, 0)

    rows = Rows(slabs, plan.source_order, plan.lengths, count)
    each_tile_in_turn(rows, plan.tiles(*LABEL_TILE), work, made.size * count)
    return plan.restore(made)


def running_argmax(scores: Iterable[NDArray[Any]]) -> NDArray[np.intp]:
    """Tell which of several arrays is the highest at each place, the first at a tie, looking at one at a time.

    Example:
        >>> running_argmax([np.array([1.0, 5.0, 2.0]), np.array([1.0, 6.0, 1.0])]).tolist()
        [0, 1, 0]
    """
    rest = iter(scores)
    best = np.array(next(rest))
    winner = np.zeros(best.shape, np.intp)
    for number, score in enumerate(rest, start=1):
        winner[score > best] = number
        np.maximum(best, score, out=best)
    return winner


def put(made: NDArray[Any], tile: Tile, values: NDArray[Any], fill: Any) -> None:
    """Write a tile's values to its place, and ``fill`` where it lies outside the source's extent."""
    if tile.outside is None:
        made[tile.target] = values
    else:
        made[tile.target] = np.where(tile.outside, fill, values)


def shape_of(tile: Tile) -> tuple[int, ...]:
    """The number of points of a tile on each axis."""
    return tuple(part.stop - part.start for part in tile.target)


def _check_scores(scores: NDArray[Any], source: Grid, most: int, what: str) -> None:
    if scores.ndim != source.ndim + 1 or scores.shape[1:] != source.shape or not 1 <= len(scores) <= most:
        raise GeometryError(f"scores of shape {scores.shape} do not fit (1 to {most} {what}, *{source.shape})")


def _check_count(count: int, most: int, what: str) -> None:
    if not 1 <= count <= most:
        raise GeometryError(f"there must be 1 to {most} {what}, not {count}")


def _contenders(classes: NDArray[Any]) -> NDArray[np.intp]:
    """The classes that may win somewhere in a box: those that no other is above at every voxel."""
    if classes.dtype == np.float16:  # which numpy computes number by number
        classes = classes.astype(np.float32)
    sparse = classes[:, *(slice(None, None, 4),) * (classes.ndim - 1)]
    leader = int(np.argmax(sparse.mean(axis=tuple(range(1, classes.ndim)), dtype=np.float64)))
    high = classes[leader].astype(np.float32)
    # Beyond what float32 products may err, so that leaving a class out never changes the answer.
    margin = 1e-5 * float(np.abs(high).max())
    return np.array([c for c, one in enumerate(classes) if c == leader or (one - high).max() >= -margin])
