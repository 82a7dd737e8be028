"""Run a network over a volume that is larger than its patch: overlapping windows, weighted by a Gaussian."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product

import torch
import torch.nn.functional as F
from jaxtyping import Float, Real
from torch import Tensor

from vesalius.errors import PlanError

_SIGMA_SCALE = 1 / 8
_SMALLEST_SCALE = 1 / 14  # the corner of a 3D patch then still weighs more than the smallest normal float32


def window_starts(
    shape: Sequence[int], patch: Sequence[int], *, overlap: float | Sequence[float] = 0.5
) -> tuple[tuple[int, ...], ...]:
    """Where the windows begin on each axis: spaced evenly, the first at the start and the last at the end.

    Args:
        shape: Voxels of the volume on each axis.
        patch: Voxels of a window on each axis. An axis that is shorter than its window has one start, 0.
        overlap: How much of a window its neighbour covers at least (to whole voxels), 0 to less than 1; on all axes,
            or a number for each.

    Returns:
        For each axis the starts, ascending. Windows at their product cover every voxel.

    Raises:
        PlanError: Shape and patch do not have the same number of axes, or a value is out of range.

    Example:
        >>> window_starts((100, 40), (40, 64))
        ((0, 20, 40, 60), (0,))

    Source: nnU-Net v2, ``compute_steps_for_sliding_window``.
    """
    if len(shape) != len(patch) or not all(n >= 1 for n in (*shape, *patch)):
        raise PlanError(f"shape and patch must be as many positive numbers, not {tuple(shape)} and {tuple(patch)}")
    overlaps = (overlap,) * len(shape) if isinstance(overlap, int | float) else tuple(overlap)
    if len(overlaps) != len(shape) or not all(0 <= share < 1 for share in overlaps):
        raise PlanError(f"overlap must be 0 to less than 1, on all axes or for each, not {overlap}")
    starts = []
    for n, p, share in zip(shape, patch, overlaps, strict=True):
        room = max(0, n - p)
        steps = math.ceil(room / max(1.0, p * (1 - share)))
        starts.append(tuple(round(room * k / max(1, steps)) for k in range(steps + 1)))
    return tuple(starts)


def gaussian_weight(patch: Sequence[int], *, sigma_scale: float = _SIGMA_SCALE) -> Float[Tensor, " *patch"]:
    """How much each voxel of a window counts: most in the centre, where the network sees the most around it.

    Args:
        patch: Voxels on each axis.
        sigma_scale: Standard deviation of the Gaussian as a share of the patch's edge.

    Returns:
        ``(*patch,)`` float32, the product of one Gaussian an axis about the middle, positive everywhere.

    Raises:
        PlanError: The share is not positive, or so small that weights would vanish.

    Example:
        >>> gaussian_weight((5,), sigma_scale=0.25).mul(100).round()
        tensor([ 28.,  73., 100.,  73.,  28.])

    Source: nnU-Net (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z): standard deviation of an eighth of the
    patch. Theirs is centred on voxel ``n // 2``; ours on the middle, so that it does not lean to one side.
    """
    if not (all(n >= 1 for n in patch) and sigma_scale >= _SMALLEST_SCALE):
        raise PlanError(
            f"the patch must be positive and sigma_scale at least {_SMALLEST_SCALE:.3f}, "
            f"not {tuple(patch)} and {sigma_scale}"
        )
    return _outer(_lines(patch, sigma_scale)).float()


def sliding_window(
    image: Real[Tensor, " c *grid"],
    network: Callable[[Tensor], Tensor],
    patch_size: Sequence[int],
    classes: int,
    *,
    overlap: float | Sequence[float] = 0.5,
    mirror_axes: Sequence[int] = (),
    batch_size: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Float[Tensor, " classes *grid"]:
    """Logits of a whole volume: `iterate_slabs`, joined.

    Memory: the logits themselves, ``classes`` volumes of float32, and one slab. Use `iterate_slabs` where that is too
    much and a slab can be used up (resampled, turned into labels) when it comes.

    Args:
        image: ``(c, *grid)``, normalised; 2 or 3 axes; any real type. The logits are gathered on its device.
        network: Maps ``(b, c, *patch)`` float32 to logits ``(b, classes, *patch)``; moves its input to its own device.
        patch_size: Voxels of a window on each axis.
        classes: Channels of the network's result.
        overlap: As for `window_starts`.
        mirror_axes: Axes of the grid; the logits are the mean over all combinations of mirroring them.
        batch_size: Windows that the network sees at once.
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
    slabs = iterate_slabs(
        image,
        network,
        patch_size,
        classes,
        overlap=overlap,
        mirror_axes=mirror_axes,
        batch_size=batch_size,
        progress=progress,
    )
    logits = torch.empty((classes, *image.shape[1:]), device=image.device)
    for start, slab in slabs:
        logits[:, start : start + slab.shape[1]] = slab
    return logits


def iterate_slabs(
    image: Real[Tensor, " c *grid"],
    network: Callable[[Tensor], Tensor],
    patch_size: Sequence[int],
    classes: int,
    *,
    overlap: float | Sequence[float] = 0.5,
    mirror_axes: Sequence[int] = (),
    batch_size: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Logits of a volume, piece by piece along the first axis, each as soon as no later window can touch it.

    Only a window's thickness of logits is held at a time: ``classes * patch_size[0] * (rest of the grid)`` float32
    values, however long the first axis is; put the longest axis first. The weights need no memory: each axis has its
    own, divided beforehand by what all windows add up to, so that the sum of the weighted windows is the mean.
    A volume that is smaller than a window is padded with zeros on both sides, which are cut off again.

    Args:
        image: As for `sliding_window`; may be a view of a memory-mapped file.
        network: As for `sliding_window`.
        patch_size: Voxels of a window on each axis.
        classes: Channels of the network's result.
        overlap: As for `sliding_window`.
        mirror_axes: As for `sliding_window`.
        batch_size: Windows that the network sees at once; they share their place on the first axis.
        progress: Called with the number of windows done and of all.

    Yields:
        ``(start, logits)``: the first row on the first axis, and ``(classes, rows, *rest)`` float32. The slabs follow
        each other without gap or overlap and hold the whole grid together.

    Raises:
        PlanError: An argument is out of range, or the network's result has another shape.

    Example:
        >>> slabs = iterate_slabs(torch.zeros(1, 40, 8), lambda x: x, (16, 8), 1)
        >>> [(start, slab.shape[1]) for start, slab in slabs]
        [(0, 8), (8, 8), (16, 8), (24, 16)]
    """
    grid, patch = tuple(image.shape[1:]), tuple(patch_size)
    _check(grid, classes, mirror_axes, batch_size)
    starts = window_starts(grid, patch, overlap=overlap)
    padded = tuple(max(n, p) for n, p in zip(grid, patch, strict=True))
    before = tuple((m - n) // 2 for m, n in zip(padded, grid, strict=True))
    inside = tuple(slice(b, b + n) for b, n in zip(before, grid, strict=True))
    shares = [_shares(line, at).to(image.device) for line, at in zip(_lines(patch), starts, strict=True)]
    places = list(product(*(range(len(at)) for at in starts[1:])))
    held = torch.zeros((classes, patch[0], *padded[1:]), device=image.device)
    for first, row in enumerate(starts[0]):
        for done in range(0, len(places), batch_size):
            now = [(first, *rest) for rest in places[done : done + batch_size]]
            corners = [[at[k] for at, k in zip(starts, place, strict=True)] for place in now]
            windows = torch.stack([_read(image, corner, patch, before) for corner in corners])
            logits = _mirrored(network, windows, mirror_axes, classes).to(image.device)
            for place, corner, result in zip(now, corners, logits, strict=True):
                weight = _outer([share[k] for share, k in zip(shares, place, strict=True)])
                across = [slice(c, c + p) for c, p in zip(corner[1:], patch[1:], strict=True)]
                held[:, :, *across].addcmul_(result, weight)
            if progress is not None:
                progress(first * len(places) + done + len(now), len(starts[0]) * len(places))
        if first + 1 == len(starts[0]):
            rest = held[:, inside[0]] if padded[0] > grid[0] else held
            yield row, rest[:, :, *inside[1:]].contiguous()
            return
        rows = starts[0][first + 1] - row
        yield row, held[:, :rows, *inside[1:]].clone()
        held = torch.cat([held[:, rows:], torch.zeros_like(held[:, :rows])], dim=1)


def _check(grid: tuple[int, ...], classes: int, mirror_axes: Sequence[int], batch_size: int) -> None:
    if len(grid) not in (2, 3):
        raise PlanError(f"the image must have a channel axis and 2 or 3 more, not {1 + len(grid)} axes in all")
    if classes < 1 or batch_size < 1:
        raise PlanError(f"classes and batch_size must be at least 1, not {classes} and {batch_size}")
    if len(set(mirror_axes)) != len(mirror_axes) or not all(0 <= a < len(grid) for a in mirror_axes):
        raise PlanError(f"mirror_axes must be different axes of 0 to {len(grid) - 1}, not {tuple(mirror_axes)}")


def _lines(patch: Sequence[int], sigma_scale: float = _SIGMA_SCALE) -> list[Tensor]:
    """One Gaussian an axis, float64, 1 in the middle."""
    lines = []
    for n in patch:
        distance = torch.arange(n, dtype=torch.float64) - (n - 1) / 2
        lines.append((-0.5 * (distance / (n * sigma_scale)) ** 2).exp())
    return lines


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


def _mirrored(network: Callable[[Tensor], Tensor], windows: Tensor, mirror_axes: Sequence[int], classes: int) -> Tensor:
    """Mean of the logits over every combination of mirrored axes, each turned back, float32."""
    axes = [axis + 2 for axis in mirror_axes]
    turns = [turn for count in range(len(axes) + 1) for turn in combinations(axes, count)]
    expected = (len(windows), classes, *windows.shape[2:])
    total: Tensor | None = None
    for turn in turns:
        with torch.no_grad():
            logits = network(windows.flip(turn) if turn else windows)
        if tuple(logits.shape) != expected:
            raise PlanError(f"the network must give logits of shape {expected}, not {tuple(logits.shape)}")
        logits = logits.float().flip(turn) if turn else logits.float()
        total = logits if total is None else total + logits
    assert total is not None  # there is always the turn of no axis
    return total / len(turns)
