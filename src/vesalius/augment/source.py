"""The window that has to be read for an augmented patch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vesalius.augment.spec import Augmentation, check_patch
from vesalius.errors import PlanError


def source_size(spec: Augmentation, patch_size: Sequence[int], *, limit: float = 1.5) -> tuple[int, ...]:
    """How large a window to read, so that rotated and scaled patches seldom look beyond it.

    Args:
        spec: What may be done to the patch.
        patch_size: Voxels on each axis of the patch that the network sees.
        limit: The most that an axis may grow by, as a factor. What then lies outside is filled.

    Returns:
        Voxels on each axis, at least those of the patch: the extent of the patch with the largest displacement added,
        turned about each axis in turn by the worst angle of its range, times the largest scale, up to the limit.

    Raises:
        PlanError: The patch does not have the spec's number of axes, or the limit is below 1.

    Example:
        >>> source_size(Augmentation(), (40, 56, 40))
        (60, 84, 60)
        >>> source_size(Augmentation(rotation_p=0.0, scale=(0.8, 1.1)), (40, 56, 40))
        (44, 62, 44)

    Source: nnU-Net v2 ``get_patch_size`` for turning about each axis in turn; the limit is ours and keeps reading
    cheap.
    """
    size = check_patch(patch_size, ndim=spec.ndim)
    if not 1 <= limit < math.inf:
        raise PlanError(f"limit must be at least 1, not {limit!r}")
    displaced = 2 * spec.elastic_displacement[1] / (spec.elastic_control_points - 3) if spec.elastic_p > 0 else 0.0
    wide = [n if axis == spec.through_plane else n * (1 + displaced) for axis, n in enumerate(size)]
    extent = [float(n) for n in wide]
    if spec.rotation_p > 0:
        planes = ((0, 1),) if spec.ndim == 2 else ((1, 2), (0, 2), (0, 1))
        for (a, b), (low, high) in zip(planes, spec.rotation_degrees, strict=True):
            # The extremes of |cos| a + |sin| b lie at the ends of the range or where its diagonal is upright.
            worst = [math.degrees(math.atan2(wide[b], wide[a])), math.degrees(math.atan2(wide[a], wide[b]))]
            angles = [low, high, *(t for w in worst for t in (w, -w, 180 - w, w - 180) if low <= t <= high)]
            for t in map(math.radians, angles):
                extent[a] = max(extent[a], abs(math.cos(t)) * wide[a] + abs(math.sin(t)) * wide[b])
                extent[b] = max(extent[b], abs(math.sin(t)) * wide[a] + abs(math.cos(t)) * wide[b])
    scale = max(1.0, spec.scale[1]) if spec.scale_p > 0 else 1.0
    factors = [1.0 if axis == spec.through_plane else scale for axis in range(spec.ndim)]
    return tuple(
        max(n, min(math.ceil(round(e * f, 6)), math.floor(n * limit)))
        for n, e, f in zip(size, extent, factors, strict=True)
    )
