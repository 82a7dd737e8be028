"""The rules that turn facts into decisions: pure functions, each with its source and its reason in words.

They follow nnU-Net's recipe where it is about the data (spacing, normalisation, pooling, kernels, patch proportions)
and depart from it where it takes nine GPU hours for granted: how large the network and the patch may be is decided by
the budget, in `vesalius.plan.planner`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.plan.fingerprint import Fingerprint
from vesalius.transform import Normalisation

ANISOTROPY = 3.0
"""An axis this much coarser than the others is resampled by itself (Source: nnU-Net)."""
_SMALLEST_EDGE = 4  # voxels that must remain on a pooled axis at the bottleneck (Source: nnU-Net)
_MOST_STAGES = {2: 8, 3: 6}
_MOST_FEATURES = {2: 512, 3: 320}  # Source: nnU-Net
_HOUNSFIELD_AIR = -900.0  # no calibrated image but CT has air near -1000


def target_spacing(facts: Fingerprint) -> tuple[tuple[float, ...], str]:
    """The spacing that every case is brought to, mm.

    The median of each axis; where one axis is more than three times coarser than the others and also has three
    times fewer voxels, its 10th percentile, so that thick slices don't decide for thin ones.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, supplementary note 2 ("target spacing").
    """
    if not facts.calibrated:
        return (1.0,) * facts.ndim, "the images have no physical spacing: pixels are taken as they are"
    spacing = list(facts.median_spacing_mm)
    coarsest = int(np.argmax(spacing))
    others = [s for a, s in enumerate(spacing) if a != coarsest]
    voxels = [n for a, n in enumerate(facts.median_shape) if a != coarsest]
    if spacing[coarsest] > ANISOTROPY * max(others) and facts.median_shape[coarsest] * ANISOTROPY < min(voxels):
        along = np.asarray(facts.spacings_mm)[:, coarsest]
        spacing[coarsest] = max(float(np.percentile(along, 10)), *others)
        words = f"median of each axis; 10th percentile along the coarse axis {coarsest}"
    else:
        words = "median of each axis over the cases"
    # Headers carry float32 noise; a micrometre is far below any scanner's accuracy.
    return tuple(round(float(s), 6) or float(s) for s in spacing), words


def normalisations(facts: Fingerprint) -> tuple[tuple[Normalisation, ...], str]:
    """How the intensities of each channel are brought to a common scale.

    CT: clip to the foreground's 0.5 and 99.5 percentiles, subtract its mean, divide by its deviation. Colour: divide
    by 255. Everything else: z-score of each image, within its content where the crop took away over a quarter.

    Source: Isensee et al. 2021, supplementary note 2 ("intensity normalisation").
    """
    schemes, words = [], []
    for channel in facts.channels:
        looks_like_ct = (
            channel.modality == "OT"
            and facts.ndim == 3
            and facts.calibrated
            and -2100 < channel.lowest <= _HOUNSFIELD_AIR
            and channel.highest > 300
        )
        if channel.modality == "CT" or looks_like_ct:
            schemes.append(
                Normalisation("ct", mean=channel.mean, std=channel.std, lower=channel.p00_5, upper=channel.p99_5)
            )
            why = "its values look like Hounsfield units" if looks_like_ct else "CT"
            words.append(f"{channel.name}: clip to {channel.p00_5:.4g} … {channel.p99_5:.4g}, then z-score ({why})")
        elif channel.modality == "RGB":
            schemes.append(Normalisation("rgb"))
            words.append(f"{channel.name}: divide by 255 (colour)")
        elif facts.content_fraction < 0.75:
            schemes.append(Normalisation("z_score_nonzero"))
            words.append(f"{channel.name}: z-score within the content, which fills {facts.content_fraction:.0%}")
        else:
            schemes.append(Normalisation("z_score"))
            words.append(f"{channel.name}: z-score of each image (no absolute scale)")
    return tuple(schemes), "; ".join(words)


def resampled_shape(facts: Fingerprint, spacing_mm: Sequence[float]) -> tuple[int, ...]:
    """The median shape of the cases at the target spacing, voxels."""
    shapes = np.asarray(facts.shapes) * np.asarray(facts.spacings_mm) / np.asarray(spacing_mm)
    return tuple(max(1, round(float(n))) for n in np.median(shapes, axis=0))


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
        can = [a for a in range(n) if size[a] >= 2 * _SMALLEST_EDGE]
        if not can:
            break
        finest = min(spacing[a] for a in can)
        halved = [a for a in can if spacing[a] / finest < 2]
        if len(halved) == 1 and size[halved[0]] < 3 * _SMALLEST_EDGE:
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


def mirror_axes(facts: Fingerprint) -> tuple[tuple[int, ...], str]:
    """The axes along which patches may be mirrored: not across left and right where labels tell them apart.

    Source: the harm that nnU-Net's users met with paired organs (TotalSegmentator trains without mirroring).
    """
    words = [set(re.split(r"[^a-z]+", name.lower())) for name in facts.labels.names]
    sided = any(w & {"left", "right", "l", "r", "lh", "rh"} for w in words)
    if not sided:
        return tuple(range(facts.ndim)), "mirrored along all axes"
    if facts.ndim == 3:
        return (1, 2), "not mirrored across left and right, which the labels tell apart"
    return (), "not mirrored: the labels tell left from right, and a picture does not say which axis that is"
