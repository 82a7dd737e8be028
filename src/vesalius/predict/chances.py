"""Probabilities: of one segmenter, or the mean of several, on a grid of choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Grid, Volume
from vesalius.plan import Plan, Prepared
from vesalius.predict.scratch import slabs
from vesalius.predict.segmenter import Segmenter
from vesalius.predict.stages import Classes, Flow, Look, flow_of, painted_classes, see, walk_of
from vesalius.transform.argmax import LABEL_TILE
from vesalius.transform.rows import Rows, Slabs, each_tile_in_turn, followed_axis, slabs_first
from vesalius.transform.sampling import Sampling, Tile, sampling

_BLOCK_VALUES = 1 << 24  # of probabilities on a grid that are held at a time


def to_probabilities(logits: NDArray[np.float32], *, regions: bool) -> None:
    """Turn logits into probabilities where they are, a slab at a time.

    Args:
        logits: ``(outputs, *grid)``; changed.
        regions: Whether the outputs are independent (sigmoid) or exclude each other (softmax).

    Example:
        >>> scores = np.array([[0.0, 3.0], [0.0, 3.0]], np.float32)[..., None]
        >>> to_probabilities(scores, regions=False)
        >>> scores.ravel().tolist()
        [0.5, 0.5, 0.5, 0.5]
    """
    for rows in slabs(logits.shape):
        slab = logits[:, rows]
        if regions:
            # tanh does not overflow where exp would.
            slab[...] = 0.5 * (1 + np.tanh(0.5 * slab))
        else:
            slab -= slab.max(axis=0, keepdims=True)
            np.exp(slab, out=slab)
            slab /= slab.sum(axis=0, keepdims=True)


def add_probabilities(
    total: NDArray[np.float32],
    logits: NDArray[np.float32],
    source: Grid,
    target: Grid,
    *,
    regions: bool,
    share: float,
    thick_axis: int | None = None,
) -> None:
    """Add a segmenter's share to a mean of probabilities.

    Args:
        total: ``(outputs, *target.shape)``; changed.
        logits: ``(outputs, *source.shape)``; they become probabilities.
        source: Where the logits are.
        target: Where the probabilities are wanted. Outside the extent of ``source`` all is background.
        regions: As for `to_probabilities`.
        share: Weight of these probabilities.
        thick_axis: See `vesalius.plan.Prepared`.
    """
    to_probabilities(logits, regions=regions)
    plan = sampling(source, target, logits.strides[1:], "linear", thick_axis=thick_axis)
    rows = Rows([(0, logits)], plan.source_order, plan.lengths, len(logits))
    _add(total, rows, plan, regions=regions, share=share)


def _add(total: NDArray[np.float32], rows: Rows, plan: Sampling, *, regions: bool, share: float) -> None:
    placed = total.transpose(0, *(1 + axis for axis in plan.target_order))
    if not regions:
        placed[0] += share  # outside all is background, and inside what is not is taken away

    def work(tile: Tile, boxes: NDArray[np.float32]) -> None:
        for number, (one, box) in enumerate(zip(placed, boxes, strict=True)):
            found = tile.interpolate(box)
            if number == 0 and not regions:
                found = found - 1
            if tile.outside is not None:
                found = np.where(tile.outside, 0, found)
            one[tile.target] += share * found

    each_tile_in_turn(rows, plan.tiles(*LABEL_TILE), work, placed.size)


def mean_probabilities(
    total: NDArray[np.float32], image: Volume, segmenters: Sequence[Segmenter], grid: Grid, looks: Iterator[Look]
) -> None:
    """Fill an array with the mean of several segmenters' probabilities: `mean_blocks`, joined.

    Args:
        total: ``(outputs, *grid.shape)``; overwritten.
        image: As it was read.
        segmenters: Of plans with the same outputs; each counts the same.
        grid: Where the probabilities are wanted.
        looks: One for each network, see `Look.in_passes`.
    """
    flows = flows_of([see(image, segmenter, looks) for segmenter in segmenters], segmenters, grid, whole=True)
    for place, block in mean_blocks(flows, grid, regions=segmenters[0].bundle.plan.regions):
        total[:, *place] = block


def flows_of(
    seen: Sequence[tuple[Prepared, Look]], segmenters: Sequence[Segmenter], grid: Grid, *, whole: bool = False
) -> list[Flow]:
    """The logits of several segmenters as they come, all of them along one axis of a grid.

    Args:
        seen: What each of them sees, and how it looks; see `vesalius.predict.stages.see`.
        segmenters: Who.
        grid: Where labels are wanted.
        whole: Whether the probabilities on the whole grid are wanted at once.

    Raises:
        PlanError: There is too little memory.
    """
    flows: list[Flow] = []
    for (prepared, look), one in zip(seen, segmenters, strict=True):
        axis = None
        if flows:
            first = flows[0]
            axis = followed_axis(grid, prepared.grid, followed_axis(first.seen.grid, grid, first.axis))
        walk = walk_of(prepared, one, look, target=grid, parts=len(segmenters), axis=axis, whole=whole)
        flows.append(flow_of(prepared, one, look, target=grid, walk=walk))
    return flows


def mean_blocks(
    flows: Sequence[Flow], grid: Grid, *, regions: bool
) -> Iterator[tuple[tuple[slice, ...], NDArray[np.float32]]]:
    """The mean of several segmenters' probabilities on a grid, block by block, never holding all of them.

    The networks go through the image side by side, each as far as the next block needs it.

    Args:
        flows: The logits of each; they become probabilities. Each counts the same.
        grid: Where the probabilities are wanted. Outside the extent of what was seen all is background.
        regions: As for `to_probabilities`.

    Yields:
        Where the block lies in the grid, and ``(outputs, *block)``.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (ensembles of configurations: mean of the softmax).
    """
    orders = [slabs_first(flow.seen.grid, flow.axis) for flow in flows]
    plans = [sampling(flow.seen.grid, grid, order, "linear") for flow, order in zip(flows, orders, strict=True)]
    backwards = [plan.affine[0, 0] < 0 for plan in plans]
    sources = [
        # Where images are turned in other ways, one may come from the other end.
        Rows(
            _as_probabilities(flow.slabs, regions=regions),
            plan.source_order,
            plan.lengths,
            flow.outputs,
            keep_all=way != backwards[0],
        )
        for flow, plan, way in zip(flows, plans, backwards, strict=True)
    ]
    axis = plans[0].target_order[0]
    outputs, length = flows[0].outputs, grid.shape[axis]
    height = max(1, _BLOCK_VALUES // (outputs * grid.size // length))
    lows = range(0, length, height)
    for low in reversed(lows) if backwards[0] else lows:
        start, shape = [0] * grid.ndim, list(grid.shape)
        start[axis], shape[axis] = low, min(height, length - low)
        part = grid.crop(start, shape)
        block = np.zeros((outputs, *part.shape), np.float32)
        for flow, order, rows in zip(flows, orders, sources, strict=True):
            how = sampling(flow.seen.grid, part, order, "linear", thick_axis=flow.seen.thick_axis)
            _add(block, rows, how, regions=regions, share=1 / len(flows))
        yield tuple(slice(first, first + n) for first, n in zip(start, shape, strict=True)), block


def _as_probabilities(slabs: Slabs, *, regions: bool) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for start, slab in slabs:
        chances = slab.astype(np.float32, copy=False)
        to_probabilities(chances, regions=regions)
        yield start, chances


def likeliest_classes(probabilities: NDArray[np.float32], plan: Plan) -> Classes:
    """The class at each voxel: the likeliest (the lowest at a tie), or the topmost region that is likelier than not.

    Args:
        probabilities: ``(outputs, *grid)``.
        plan: What the outputs mean.

    Returns:
        ``(*grid)``: class numbers, 0 for background, 1 … for the plan's labels in order.
    """
    classes = np.zeros(probabilities.shape[1:], np.uint8 if len(plan.labels.values) < 256 else np.uint16)
    for rows in slabs(probabilities.shape):
        slab = probabilities[:, rows]
        if not plan.regions:
            classes[rows] = slab.argmax(axis=0)
            continue
        for one, number in zip(slab, painted_classes(plan)[1:], strict=True):
            classes[rows][one > 0.5] = number
    return classes
