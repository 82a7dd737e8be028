"""Look coarsely at the whole of an image first, and closely only where something was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Grid, Volume
from vesalius.plan import Plan, Prepared
from vesalius.predict.logits import windows_of
from vesalius.predict.places import STARTS
from vesalius.predict.segmenter import Segmenter
from vesalius.predict.stages import Look, flow_of, flowing_classes
from vesalius.transform import coarse_axis, label_components, resample

FACTOR = 2.0
"""How many times its own spacing the network sees an image at first. At twice the spacing an eighth of the windows are
left, and most structures still look like themselves to a network that was trained with scaling (nnU-Net's augmentation
goes down to 0.7)."""

_COARSE_OVERLAP = 0.25  # of windows of the coarse look, whose borders need not be exact

Box = tuple[tuple[int, ...], tuple[int, ...]]
"""The first point of a box of a grid, and how many points it has on each axis."""


def focus_boxes(seen: Prepared, segmenter: Segmenter, look: Look) -> list[Box] | None:
    """Where to look closely at an image: boxes of its canonical grid, which do not overlap.

    The coarse stage of a cascade has looked already. Any other network looks at the image at `FACTOR` times its
    spacing (not along the coarse axis of an anisotropic image), without mirroring. A box is made about each connected
    piece of what was found, with a margin of a quarter of a window and one coarse voxel: wherever something was found,
    a voxel then lies in the middle half of a window, as it does when windows cover the whole image with an overlap of
    a half. Boxes that overlap become one.

    Args:
        seen: What the network sees.
        segmenter: It looks.
        look: How; its progress is that of the coarse look.

    Returns:
        None to look closely at the whole image: when nothing was found, and when looking twice would save nothing.

    Raises:
        PlanError: There is too little memory.
    """
    plan, overlap = segmenter.bundle.plan, look.overlap_of(segmenter.bundle.plan)
    everywhere = count_windows(plan, seen.grid.shape, overlap) * len(look.views(plan))
    if plan.coarse_labels:
        grid, cost = seen.grid, 0
        found = (seen.array[-plan.coarse_labels :] > 0).any(axis=0)
    else:
        coarse = _coarser(seen)
        grid, cost = coarse.grid, count_windows(plan, coarse.grid.shape, min(overlap, _COARSE_OVERLAP))
        if cost >= everywhere:
            return None
        quick = replace(look, mirror=False, overlap=min(overlap, _COARSE_OVERLAP))
        flow = flow_of(coarse, segmenter, quick, target=grid)
        found = flowing_classes(flow, plan, grid) > 0
    boxes = _merged([_around(box, grid, seen, plan) for box in _boxes(np.asarray(found))])
    if not boxes:
        return None
    closely = sum(count_windows(plan, cropped(seen, box).grid.shape, overlap) for box in boxes)
    if cost + closely * len(look.views(plan)) >= everywhere:
        return None
    return boxes


def cropped(seen: Prepared, box: Box, canonical: Grid | None = None) -> Prepared:
    """What a network sees of a box.

    Args:
        seen: What it sees of the whole image.
        box: Of the canonical grid.
        canonical: That of the box, where it is not that of ``seen``.
    """
    part = (canonical or seen.canonical).crop(*box)
    ends = np.array(np.meshgrid(*([-0.5, n - 0.5] for n in part.shape), indexing="ij")).reshape(part.ndim, -1).T
    at = seen.grid.to_index(part.to_points(ends))
    low = np.clip(np.floor(at.min(axis=0) + 0.5), 0, np.array(seen.grid.shape) - 1).astype(int)
    high = np.clip(np.ceil(at.max(axis=0) - 0.5), low, np.array(seen.grid.shape) - 1).astype(int) + 1
    inside = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    grid = seen.grid.crop(low.tolist(), (high - low).tolist())
    return replace(seen, array=np.ascontiguousarray(seen.array[:, *inside]), grid=grid, canonical=part)


def count_windows(plan: Plan, shape: Sequence[int], overlap: float) -> int:
    """How many windows cover a prepared image.

    Args:
        plan: Whose windows.
        shape: Of the image.
        overlap: Of neighbouring windows.
    """
    patch, overlaps, _ = windows_of(plan, shape, overlap)
    starts = STARTS[plan.preparation.window_places](shape, patch, overlap=overlaps)
    return math.prod(len(at) for at in starts)


def _coarser(seen: Prepared) -> Prepared:
    thick = coarse_axis(seen.grid)
    spacing = [s if axis == thick else FACTOR * s for axis, s in enumerate(seen.grid.spacing_mm)]
    low = resample(Volume(seen.array, seen.grid), seen.grid.with_spacing(spacing), antialias=True)
    return Prepared(np.ascontiguousarray(low.array), low.grid, low.grid)


def _boxes(found: NDArray[np.bool_]) -> list[Box]:
    """About each connected piece."""
    from scipy import ndimage

    pieces, _ = label_components(found)
    return [
        (tuple(at.start for at in box), tuple(at.stop - at.start for at in box)) for box in ndimage.find_objects(pieces)
    ]


def _around(box: Box, grid: Grid, seen: Prepared, plan: Plan) -> Box:
    """A box of the canonical grid that holds a box of another with its margin, and at least a window."""
    start, shape = np.array(box[0]), np.array(box[1])
    window = np.array(plan.patch_size)
    # In voxels of what the network sees: half a voxel about the outermost centres, one coarse voxel, a quarter window.
    ends = np.array([start - 1.5, start + shape + 0.5])
    low, high = np.sort(seen.grid.to_index(grid.to_points(ends)), axis=0)
    low, high = low - window / 4, high + window / 4
    lacking = np.maximum(0, window - (high - low)) / 2
    at = np.sort(seen.canonical.to_index(seen.grid.to_points(np.array([low - lacking, high + lacking]))), axis=0)
    first = np.clip(np.floor(at[0]), 0, np.array(seen.canonical.shape) - 1).astype(int)
    last = np.clip(np.ceil(at[1]), first, np.array(seen.canonical.shape) - 1).astype(int)
    return tuple(first.tolist()), tuple((last - first + 1).tolist())


def _merged(boxes: list[Box]) -> list[Box]:
    """Boxes that overlap become the box that holds both, until none do."""
    done: list[Box] = []
    for box in boxes:
        now = box
        while (other := next((one for one in done if _overlap(one, now)), None)) is not None:
            done.remove(other)
            now = _union(other, now)
        done.append(now)
    return done


def _overlap(one: Box, other: Box) -> bool:
    ends = zip(*one, *other, strict=True)
    return all(a < c + d and c < a + b for a, b, c, d in ends)


def _union(one: Box, other: Box) -> Box:
    start = tuple(min(a, c) for a, c in zip(one[0], other[0], strict=True))
    stop = (max(a + b, c + d) for a, b, c, d in zip(*one, *other, strict=True))
    return start, tuple(b - a for a, b in zip(start, stop, strict=True))
