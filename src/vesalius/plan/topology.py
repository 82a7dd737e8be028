"""The shape of a patch, and of the U-Net that suits it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ANISOTROPY = 3.0
"""An axis this much coarser than the others is resampled by itself (Source: nnU-Net)."""
SMALLEST_EDGE = 4
"""Voxels that must remain on a pooled axis at the bottleneck (Source: nnU-Net)."""
_MOST_STAGES = {2: 8, 3: 6}
_MOST_FEATURES = {2: 512, 3: 320}  # Source: nnU-Net


def coarse_axis(spacing_mm: Sequence[float]) -> int | None:
    """The axis that is more than three times coarser than the finest, if there is one."""
    axis = int(np.argmax(spacing_mm))
    return axis if spacing_mm[axis] > ANISOTROPY * min(spacing_mm) else None


def topology(
    patch_size: Sequence[int], spacing_mm: Sequence[float], *, strided_stem: bool
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Kernels and strides of each stage of a U-Net for a patch.

    An axis is halved while at least 4 voxels remain and its spacing is within a factor two of the finest axis that
    can be halved; its kernel is 1 until its spacing is within a factor two of the finest, then 3.

    Args:
        patch_size: Voxels on each axis.
        spacing_mm: Of each axis.
        strided_stem: Leave out the finest stage: the first convolution steps by what the first halving would.

    Returns:
        ``(kernels, strides)``, finest stage first; at least two stages.

    Example:
        >>> kernels, strides = topology((40, 56, 40), (1.0, 1.0, 1.0), strided_stem=False)
        >>> strides
        ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))

    Source: nnU-Net v2 ``get_pool_and_conv_props``.
    """
    n = len(patch_size)
    size, spacing = [float(v) for v in patch_size], [float(s) for s in spacing_mm]
    kernels: list[tuple[int, ...]] = []
    strides: list[tuple[int, ...]] = [(1,) * n]
    kernel = [1] * n
    while len(strides) < _MOST_STAGES[n]:
        can = [a for a in range(n) if size[a] >= 2 * SMALLEST_EDGE]
        if not can:
            break
        finest = min(spacing[a] for a in can)
        halved = [a for a in can if spacing[a] / finest < 2]
        if len(halved) == 1 and size[halved[0]] < 3 * SMALLEST_EDGE:
            break
        kernel = [3 if k == 3 or s / min(spacing) < 2 else 1 for k, s in zip(kernel, spacing, strict=True)]
        kernels.append(tuple(kernel))
        strides.append(tuple(2 if a in halved else 1 for a in range(n)))
        for a in halved:
            size[a] /= 2
            spacing[a] *= 2
    kernels.append((3,) * n)
    if len(strides) == 1:  # too small to be halved: two stages at one resolution
        return ((3,) * n,) * 2, ((1,) * n,) * 2
    if strided_stem and len(strides) > 2:
        return tuple(kernels[1:]), (strides[1], *strides[2:])
    return tuple(kernels), tuple(strides)


def features(base: int, stages: int, ndim: int) -> tuple[int, ...]:
    """Channels of each stage: doubled at each, up to 320 in 3D and 512 in 2D. Source: nnU-Net."""
    return tuple(min(base * 2**s, _MOST_FEATURES[ndim]) for s in range(stages))


def patch_for(
    median_shape: Sequence[int], spacing_mm: Sequence[float], *, most_voxels: int, smallest_edge: int = 32
) -> tuple[int, ...]:
    """The largest patch within a number of voxels whose proportions in mm follow the images.

    It starts as a cube in millimetres, is clipped to the median shape, and its axis that is largest relative to the
    median shape is shrunk until it fits; every edge is a multiple of what the network halves it by.

    Args:
        median_shape: Of the cases at the target spacing, voxels.
        spacing_mm: Of each axis.
        most_voxels: Upper bound on the patch's voxels (the rounding up to a multiple may exceed it slightly).
        smallest_edge: No axis is shrunk below this (or below the median shape).

    Returns:
        Voxels on each axis.

    Example:
        >>> patch_for((35, 50, 36), (1.0, 1.0, 1.0), most_voxels=128**3)
        (40, 56, 40)

    Source: nnU-Net v2 ``ExperimentPlanner.get_plans_for_configuration``.
    """
    n = len(median_shape)
    inverse = 1 / np.asarray(spacing_mm, dtype=np.float64)
    cube = inverse / inverse.prod() ** (1 / n) * (256.0**3 if n == 3 else 2048.0**2) ** (1 / n)
    patch = np.maximum(1, np.minimum(np.round(cube), np.asarray(median_shape))).astype(np.int64)
    patch = _to_multiple(patch, spacing_mm)
    floor = np.minimum(patch, smallest_edge)
    while int(patch.prod()) > most_voxels and (patch > floor).any():
        ratio = np.where(patch > floor, patch / np.asarray(median_shape), -1.0)
        axis = int(np.argmax(ratio))
        step = _multiple(patch, spacing_mm)[axis]
        smaller = patch.copy()
        smaller[axis] = max(int(floor[axis]), patch[axis] - step)
        smaller = _to_multiple(smaller, spacing_mm)
        if int(smaller.prod()) >= int(patch.prod()):  # rounding would undo the step
            floor[axis] = patch[axis]
            continue
        patch = smaller
    return tuple(int(v) for v in patch)


def _multiple(patch: NDArray[np.int64], spacing_mm: Sequence[float]) -> NDArray[np.int64]:
    _, strides = topology([int(v) for v in patch], spacing_mm, strided_stem=False)
    return np.asarray(np.prod(np.asarray(strides), axis=0), dtype=np.int64)


def _to_multiple(patch: NDArray[np.int64], spacing_mm: Sequence[float]) -> NDArray[np.int64]:
    multiple = _multiple(patch, spacing_mm)
    return np.asarray(np.ceil(patch / multiple) * multiple, dtype=np.int64)
