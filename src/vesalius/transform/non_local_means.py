"""Non-local means: average voxels whose surroundings look alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import Volume
from vesalius.transform.boxes import Box, each_box, halo, offsets_within, per_channel, positive
from vesalius.transform.denoise import noise_level

_POINTS = 1 << 17  # larger boxes than for other filters: the patches around them have to be worked out, too


def non_local_means(
    volume: Volume,
    *,
    patch_mm: float | None = None,
    search_mm: float | None = None,
    strength: float = 0.8,
    noise: float | None = None,
) -> Volume:
    """Average every voxel with those nearby whose surroundings look alike: fine structures that recur stay.

    It is the strongest of the denoisers here and the slowest. Beyond the image it is mirrored.

    Args:
        volume: 2D or 3D; each channel by itself.
        patch_mm: Half the edge of the cube that is compared, mm, ≥ 0. Left out, the finest spacing: 3 voxels an edge.
        search_mm: Radius of the ball in which is searched, mm, > 0. Left out, 5 times the finest spacing in 2D and 3
            times in 3D.
        strength: How alike surroundings must be: the filter's h in units of the noise, > 0; more smooths more.
        noise: Standard deviation of the noise, in the image's unit, > 0. Left out, it is estimated, see
            `vesalius.transform.denoise.noise_level`.

    Returns:
        The image as float32.

    Raises:
        DataError: A setting is out of range.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.tile(np.array([0, 100], np.float32), (1, 16, 8))
        >>> array[0, 8, 8] = 4
        >>> made = non_local_means(Volume(array, Grid.from_spacing((16, 16), (1.0, 1.0))), noise=5)
        >>> float(made.array[0, 8, 8]) < 1 and float(made.array[0, 8, 9]) > 99
        True

    Source: Buades, Coll and Morel, CVPR 2005, doi:10.1109/CVPR.2005.38; the noise's own distance, 2σ², is taken off, as
    in IPOL 1, 2011, doi:10.5201/ipol.2011.bcm_nlm; patches are summed box by box for each shift (Darbon et al.,
    ISBI 2008, doi:10.1109/ISBI.2008.4541250). Checked against the formula written out.
    """
    positive(strength=strength)
    finest = min(volume.grid.spacing_mm)
    patch = finest if patch_mm is None else patch_mm
    search = finest * (5 if volume.grid.ndim == 2 else 3) if search_mm is None else search_mm
    positive(search_mm=search)
    if not (np.isfinite(patch) and patch >= 0):
        raise DataError(f"patch_mm must be 0 or more, not {patch}")
    if noise is not None:
        positive(noise=noise)

    def work(array: NDArray[Any], spacing: tuple[float, ...]) -> NDArray[Any]:
        values = array.astype(np.float32)
        sigma = noise_level(values) if noise is None else noise
        if sigma == 0:
            return values
        offsets = [o for o in offsets_within(search, spacing) if any(o)]
        reach = [max((o[a] for o in offsets), default=0) for a in range(values.ndim)]
        half = [int(patch / s + 1e-6) for s in spacing]
        rim = [r + h for r, h in zip(reach, half, strict=True)]
        source, made = halo(values, rim, "symmetric"), np.empty_like(values)

        def average(box: Box) -> None:
            made[box] = _averaged(source, box, rim, half, offsets, sigma, strength * sigma)

        each_box(values.shape, average, points=_POINTS)
        return made

    return per_channel(volume, work)


def _averaged(
    source: NDArray[np.float32],
    box: Box,
    rim: Sequence[int],
    half: Sequence[int],
    offsets: Sequence[tuple[int, ...]],
    sigma: float,
    width: float,
) -> NDArray[np.float32]:
    inner = tuple(slice(s.start + r, s.stop + r) for s, r in zip(box, rim, strict=True))
    wide = tuple(slice(s.start - h, s.stop + h) for s, h in zip(inner, half, strict=True))
    centre, around = source[inner], source[wide]
    total, weights = np.zeros_like(centre), np.ones_like(centre)
    squares = np.empty_like(around)
    voxels = int(np.prod([2 * h + 1 for h in half]))
    for offset in offsets:
        there = tuple(slice(s.start + o, s.stop + o) for s, o in zip(wide, offset, strict=True))
        np.subtract(source[there], around, out=squares)
        np.multiply(squares, squares, out=squares)
        weight = _summed(squares, half)
        weight *= np.float32(1 / voxels)
        weight -= np.float32(2 * sigma**2)
        np.maximum(weight, 0, out=weight)
        weight *= np.float32(-1 / width**2)
        np.exp(weight, out=weight)
        weights += weight
        weight *= source[tuple(slice(s.start + o, s.stop + o) for s, o in zip(inner, offset, strict=True))] - centre
        total += weight
    total /= weights
    total += centre
    return total


def _summed(array: NDArray[np.float32], half: Sequence[int]) -> NDArray[np.float32]:
    """Sums over boxes of ``2 half + 1`` voxels, where they lie inside."""
    # The fastest axis last, when least is left of the others: added up are whole rows.
    for axis, reach in enumerate(half):
        length = array.shape[axis] - 2 * reach
        parts = [array[(slice(None),) * axis + (slice(n, n + length),)] for n in range(2 * reach + 1)]
        if reach == 0:
            array = parts[0].copy() if axis == 0 else array
            continue
        added = parts[0] + parts[1]
        for part in parts[2:]:
            added += part
        array = added
    return array
