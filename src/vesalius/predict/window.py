"""Run a network over a volume that is larger than its patch: overlapping windows, weighted by a Gaussian."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Float, Real
from torch import Tensor

from vesalius.errors import PlanError
from vesalius.predict.answers import Batch, answers, batches
from vesalius.predict.places import WeightLine, WindowStarts, gaussian_line, window_starts
from vesalius.predict.views import AS_IT_IS, Views


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How windows are walked through: it decides about memory and speed, and about the result in nothing but rounding.

    Args:
        axis: Along which slabs are finished. ``patch[axis]`` times the volume's cross-section is held.
        batch_size: Windows that the network sees at once.
        looks: Mirror images of each of them that it sees at the same time; where a slab has few windows, that keeps as
            much under way as it can take.
        ahead: Batches that are computed before the last one has been added.
        remember: Whether to keep what the network says of a window of a single value, for the next such window.
        held_as: Number format of what is held: ``torch.float32``, or ``torch.float16``, in which every sum is rounded
            to 11 bits, as nnU-Net does always.

    Raises:
        PlanError: A number is out of range.
    """

    axis: int = 0
    batch_size: int = 1
    looks: int = 1
    ahead: int = 1
    remember: bool = True
    held_as: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.looks < 1 or self.ahead < 0 or self.axis < 0:
            told = f"{self.batch_size}, {self.looks}, {self.ahead}, {self.axis}"
            raise PlanError(f"batch_size and looks must be at least 1, ahead and axis 0, not {told}")
        if self.held_as not in (torch.float32, torch.float16):
            raise PlanError(f"logits are held as float32 or float16, not {self.held_as}")


def sliding_window(
    image: Real[Tensor, " c *grid"],
    network: Callable[[Tensor], Tensor],
    patch_size: Sequence[int],
    classes: int,
    *,
    overlap: float | Sequence[float] = 0.5,
    views: Views = AS_IT_IS,
    line: WeightLine = gaussian_line,
    starts_of: WindowStarts = window_starts,
    walk: Walk | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Float[Tensor, " classes *grid"]:
    """Logits of a whole volume: `iterate_slabs`, joined.

    Memory: the logits themselves, ``classes`` volumes of float32, and one slab. Use `iterate_slabs` where that is too
    much and a slab can be used up (resampled, turned into labels) when it comes.

    Args:
        image: As for `iterate_slabs`, like all that follows.
        network: Maps windows to logits.
        patch_size: Voxels of a window on each axis.
        classes: Channels of the network's result.
        overlap: Of neighbouring windows.
        views: Mirror images of each that are looked at, too.
        line: What weighs the windows.
        starts_of: Where they are.
        walk: How they are walked through.
        progress: Called with the number of windows done and of all.

    Returns:
        ``(classes, *grid)`` float32.

    Raises:
        PlanError: An argument is out of range, or the network's result has another shape.

    Example:
        >>> image = torch.randn(1, 30, 9)
        >>> logits = sliding_window(image, lambda x: torch.cat([x, -x], dim=1), (16, 16), 2)
        >>> torch.allclose(logits[1], -image[0], atol=1e-5)
        True

    Source: nnU-Net v2 (``predict_sliding_window_return_logits``): overlap of a half, Gaussian weights, mirroring.
    """
    chosen = walk or Walk()
    slabs = iterate_slabs(
        image,
        network,
        patch_size,
        classes,
        overlap=overlap,
        views=views,
        line=line,
        starts_of=starts_of,
        walk=chosen,
        progress=progress,
    )
    logits = torch.empty((classes, *image.shape[1:]), device=image.device)
    for start, slab in slabs:
        logits.narrow(1 + chosen.axis, start, slab.shape[1 + chosen.axis]).copy_(slab)
    return logits


def iterate_slabs(
    image: Real[Tensor, " c *grid"],
    network: Callable[[Tensor], Tensor],
    patch_size: Sequence[int],
    classes: int,
    *,
    overlap: float | Sequence[float] = 0.5,
    views: Views = AS_IT_IS,
    line: WeightLine = gaussian_line,
    starts_of: WindowStarts = window_starts,
    walk: Walk | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Logits of a volume, piece by piece along one axis, each as soon as no later window can touch it.

    Only a window's thickness of logits is held, in a ring that turns as windows go on: ``classes * patch_size[axis] *
    (rest of the grid)`` values, however long the axis is. The weights need no memory: each axis has its own, divided
    beforehand by what all windows add up to, so that the sum of the weighted windows is the mean. A volume that is
    smaller than a window is padded with zeros on both sides, which are cut off again.

    The network runs on a thread of its own; meanwhile this one reads the next windows and adds the last ones, always
    in the same order. A window that holds one value a channel (air that was clipped, padding) is asked for only once:
    a network in evaluation mode is a function of its window, so the same window has the same logits, and such a window
    is also its own mirror image. (That holds bit for bit where an engine says the same of a window whatever else is in
    the batch.)

    Args:
        image: ``(c, *grid)``, normalised; 2 or 3 axes; any real type; may be a view of a memory-mapped file. The
            logits are gathered on its device.
        network: Maps ``(b, c, *patch)`` float32 to logits ``(b, classes, *patch)``, which it must not touch again;
            moves its input to its own device.
        patch_size: Voxels of a window on each axis.
        classes: Channels of the network's result.
        overlap: As for `window_starts`.
        views: The mirror images of a window that are looked at, see `views_of`; the logits are their mean.
        line: What weighs the windows where they overlap, along each axis.
        starts_of: Where they are.
        walk: How they are walked through.
        progress: Called with the number of windows done and of all.

    Yields:
        ``(start, logits)``: the first row on the axis, and ``(classes, *grid)`` of which there are some rows. The slabs
        follow each other without gap or overlap and hold the whole grid together. Each may be changed, and is gone when
        the next is asked for.

    Raises:
        PlanError: An argument is out of range, or the network's result has another shape.

    Example:
        >>> slabs = iterate_slabs(torch.zeros(1, 32, 8), lambda x: x, (16, 8), 1)
        >>> [(start, slab.shape[1]) for start, slab in slabs]
        [(0, 8), (8, 8), (16, 16)]
    """
    grid, patch, chosen = tuple(image.shape[1:]), tuple(patch_size), walk or Walk()
    _check(grid, classes, views, chosen)
    starts = starts_of(grid, patch, overlap=overlap)
    padded = tuple(max(n, p) for n, p in zip(grid, patch, strict=True))
    before = tuple((m - n) // 2 for m, n in zip(padded, grid, strict=True))
    inside = tuple(slice(b, b + n) for b, n in zip(before, grid, strict=True))
    shares = [_shares(line(n).double(), at).to(image.device) for n, at in zip(patch, starts, strict=True)]
    axis, thickness = chosen.axis, patch[chosen.axis]
    ring = torch.zeros(
        (classes, *padded[:axis], thickness, *padded[axis + 1 :]), dtype=chosen.held_as, device=image.device
    )
    in_row = math.prod(len(at) for a, at in enumerate(starts) if a != axis)

    def asked() -> Iterator[Batch]:
        for row in range(len(starts[axis])):
            places = product(*((row,) if a == axis else range(len(at)) for a, at in enumerate(starts)))
            seen = ((place, _read(image, _corner(starts, place), patch, before)) for place in places)
            # Windows of a batch share their row, so that a slab is finished as early as can be.
            yield from batches(seen, chosen.batch_size, remember=chosen.remember)

    def add(places: Sequence[Sequence[int]], logits: Sequence[Tensor]) -> None:
        for place, result in zip(places, logits, strict=True):
            weight = _outer([share[k] for share, k in zip(shares, place, strict=True)])
            corner = _corner(starts, place)
            across = [slice(c, c + p) for c, p in zip(corner, patch, strict=True)]
            for at, rows in _turns(corner[axis], thickness, thickness):
                across[axis] = at
                _add(ring[:, *across], result.narrow(1 + axis, *rows), weight.narrow(axis, *rows))

    done = 0
    with closing(answers(asked(), network, views, classes, ahead=chosen.ahead, looks=chosen.looks)) as answered:
        for batch, logits in answered:
            add(batch.places, logits)
            done += len(batch.places)
            del batch, logits  # with many classes an answer is large
            if progress is not None:
                progress(done, in_row * len(starts[axis]))
            if done % in_row:
                continue
            row, *later = starts[axis][done // in_row - 1 :]
            visible = list(inside)
            for at, (first, _) in _turns(row, later[0] - row if later else thickness, thickness):
                visible[axis] = at
                finished = ring[:, *visible]
                if padded[axis] > grid[axis]:  # there is but one row of windows, and the ring has not turned
                    finished = finished.narrow(1 + axis, before[axis], grid[axis])
                yield max(0, row + first - before[axis]), finished
                if later:
                    finished.zero_()


def _corner(starts: Sequence[Sequence[int]], place: Sequence[int]) -> list[int]:
    return [at[k] for at, k in zip(starts, place, strict=True)]


def _turns(row: int, rows: int, length: int) -> Iterator[tuple[slice, tuple[int, int]]]:
    """Where rows lie in a ring of some length: places in the ring, and ``(rows before them, how many)``."""
    low = row % length
    count = min(rows, length - low)
    yield slice(low, low + count), (0, count)
    if count < rows:
        yield slice(0, rows - count), (count, rows - count)


def _add(total: Tensor, logits: Tensor, weight: Tensor) -> None:
    logits = logits.to(total.device)
    if total.dtype == logits.dtype:
        total.addcmul_(logits, weight)
        return
    for held, one in zip(total, logits, strict=True):
        held.copy_(torch.addcmul(held.float(), one, weight))  # rounded once


def _check(grid: tuple[int, ...], classes: int, views: Views, walk: Walk) -> None:
    if len(grid) not in (2, 3):
        raise PlanError(f"the image must have a channel axis and 2 or 3 more, not {1 + len(grid)} axes in all")
    if classes < 1:
        raise PlanError(f"classes must be at least 1, not {classes}")
    if walk.axis >= len(grid):
        raise PlanError(f"slabs of {len(grid)} axes follow each other along 0 to {len(grid) - 1}, not {walk.axis}")
    if not views:
        raise PlanError("at least one look at each window is needed")
    for view in views:
        if len(set(view.axes)) != len(view.axes) or not all(0 <= axis < len(grid) for axis in view.axes):
            raise PlanError(f"views mirror different axes of 0 to {len(grid) - 1}, not {view.axes}")
        if view.outputs and sorted(view.outputs) != list(range(classes)):
            raise PlanError(f"a view gives each of {classes} outputs one place, not {view.outputs}")


def _shares(line: Tensor, starts: Sequence[int]) -> Tensor:
    """``(windows, edge)`` float32: each window's share of the weight that all windows of the axis put on a voxel."""
    total = line.new_zeros(starts[-1] + len(line))
    for start in starts:
        total[start : start + len(line)] += line
    return torch.stack([line / total[start : start + len(line)] for start in starts]).float()


def _outer(lines: Sequence[Tensor]) -> Tensor:
    weight = lines[0]
    for line in lines[1:]:
        weight = weight[..., None] * line
    return weight


def _read(image: Tensor, corner: Sequence[int], patch: Sequence[int], before: Sequence[int]) -> Tensor:
    """One window, float32; what lies beyond the image is 0."""
    first = [c - b for c, b in zip(corner, before, strict=True)]
    found = image[:, *(slice(max(0, f), f + p) for f, p in zip(first, patch, strict=True))].float()
    pads: list[int] = []
    for f, p, n in zip(reversed(first), reversed(patch), reversed(found.shape[1:]), strict=True):
        low = max(0, -f)
        pads += [low, p - n - low]
    return F.pad(found, pads) if any(pads) else found
