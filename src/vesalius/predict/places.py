"""Where the windows of a volume are, and how much each of their voxels counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vesalius.errors import PlanError
from vesalius.plan.preparation import WindowPlaces, WindowWeight

_SIGMA_SCALE = 1 / 8
_SMALLEST_SCALE = 1 / 14  # the corner of a 3D patch then still weighs more than the smallest normal float32

WeightLine = Callable[[int], Float[Tensor, " n"]]
"""How much each voxel of a window counts along one axis, positive, for an edge of n voxels; a window's weight is the
product over its axes."""

WindowStarts = Callable[..., tuple[tuple[int, ...], ...]]
"""Where the windows begin on each axis; see `window_starts`."""


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
    overlaps = _overlaps(shape, patch, overlap)
    starts = []
    for n, p, share in zip(shape, patch, overlaps, strict=True):
        room = max(0, n - p)
        steps = math.ceil(room / max(1.0, p * (1 - share)))
        step = room / max(1, steps)  # before it is multiplied, as in nnU-Net: half a voxel is rounded as it is there
        starts.append(tuple(round(step * k) for k in range(steps + 1)))
    return tuple(starts)


def regular_starts(
    shape: Sequence[int], patch: Sequence[int], *, overlap: float | Sequence[float] = 0.5
) -> tuple[tuple[int, ...], ...]:
    """Where the windows begin on each axis by another custom: whole steps from the start, the last one pushed back.

    Args:
        shape: As for `window_starts`, like all that follows.
        patch: Voxels of a window on each axis.
        overlap: How much of a window its neighbour covers, but for the last.

    Raises:
        PlanError: As for `window_starts`.

    Example:
        >>> regular_starts((100, 40), (40, 64))
        ((0, 20, 40, 60), (0,))
        >>> regular_starts((50,), (20,)), window_starts((50,), (20,))
        (((0, 10, 20, 30),), ((0, 10, 20, 30),))
        >>> regular_starts((53,), (20,)), window_starts((53,), (20,))
        (((0, 10, 20, 30, 33),), ((0, 8, 16, 25, 33),))

    Source: MONAI 1.6.1, ``dense_patch_slices`` and ``_get_scan_interval``.
    """
    overlaps = _overlaps(shape, patch, overlap)
    starts = []
    for n, p, share in zip(shape, patch, overlaps, strict=True):
        room = max(0, n - p)
        step = max(1, int(p * (1 - share)))
        starts.append(tuple(min(k * step, room) for k in range(math.ceil(room / step) + 1)))
    return tuple(starts)


def gaussian_line(n: int, *, sigma_scale: float = _SIGMA_SCALE) -> Float[Tensor, " n"]:
    """A Gaussian about the middle of an edge, 1 there: float64.

    Args:
        n: Voxels.
        sigma_scale: Standard deviation as a share of the edge.

    Raises:
        PlanError: The edge is not positive, or the share so small that weights would vanish.

    Example:
        >>> gaussian_line(5, sigma_scale=0.25).mul(100).round().tolist()
        [28.0, 73.0, 100.0, 73.0, 28.0]

    Source: nnU-Net (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z): standard deviation of an eighth of the
    patch. Theirs is centred on voxel ``n // 2``; ours on the middle, so that it does not lean to one side.
    """
    if not (n >= 1 and sigma_scale >= _SMALLEST_SCALE):
        raise PlanError(
            f"the patch must be positive and sigma_scale at least {_SMALLEST_SCALE:.3f}, not {n} and {sigma_scale}"
        )
    distance = torch.arange(n, dtype=torch.float64) - (n - 1) / 2
    return (-0.5 * (distance / (n * sigma_scale)) ** 2).exp()


def upper_gaussian_line(n: int) -> Float[Tensor, " n"]:
    """`gaussian_line` about voxel ``n // 2`` instead of the middle.

    Example:
        >>> upper_gaussian_line(4).mul(1000).round().tolist()
        [0.0, 135.0, 1000.0, 135.0]

    Source: nnU-Net v2, ``compute_gaussian`` (which rounds weights to half precision; these are not rounded).
    """
    distance = torch.arange(n, dtype=torch.float64) - n // 2
    return (-0.5 * (distance / (n * _SIGMA_SCALE)) ** 2).exp()


def constant_line(n: int) -> Float[Tensor, " n"]:
    """All voxels count the same."""
    return torch.ones(n, dtype=torch.float64)


LINES: Mapping[WindowWeight, WeightLine] = {
    "gaussian": gaussian_line,
    "gaussian_upper": upper_gaussian_line,
    "constant": constant_line,
}
"""What weighs windows, by the plan's word."""

STARTS: Mapping[WindowPlaces, WindowStarts] = {"even": window_starts, "regular": regular_starts}
"""Where windows are, by the plan's word."""


def _overlaps(shape: Sequence[int], patch: Sequence[int], overlap: float | Sequence[float]) -> tuple[float, ...]:
    if len(shape) != len(patch) or not all(n >= 1 for n in (*shape, *patch)):
        raise PlanError(f"shape and patch must be as many positive numbers, not {tuple(shape)} and {tuple(patch)}")
    overlaps = (overlap,) * len(shape) if isinstance(overlap, int | float) else tuple(overlap)
    if len(overlaps) != len(shape) or not all(0 <= share < 1 for share in overlaps):
        raise PlanError(f"overlap must be 0 to less than 1, on all axes or for each, not {overlap}")
    return overlaps
