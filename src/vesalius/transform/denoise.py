"""Denoise with filters that look at a neighbourhood: Gaussian, median, bilateral."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import Volume
from vesalius.transform.boxes import Box, each_box, halo, moved, offsets_within, per_channel, positive
from vesalius.transform.sampling import Tile, each_tile, sampling

_LARGEST = 2000  # neighbours of a median: beyond, sorting takes minutes and the radius is a slip
_CUTOFF = 2.5  # standard deviations at which the bilateral filter's Gaussian in space ends, as ITK's
_TILE = (256, 1 << 19)  # (edge, points), as for resampling


def gaussian(volume: Volume, *, sigma_mm: float = 1.0) -> Volume:
    """Smooth with a Gaussian of the same width in every direction of space, whatever the spacing.

    Use it against noise where edges may blur. Beyond the image its outer values go on.

    Args:
        volume: 2D or 3D; each channel by itself.
        sigma_mm: Standard deviation, mm, > 0. The kernel ends at 4 of them.

    Returns:
        The image as float32. An axis whose spacing is more than 8 times ``sigma_mm`` stays as it is.

    Raises:
        DataError: ``sigma_mm`` is not above 0.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.zeros((1, 9, 9), np.float32)
        >>> array[0, 4, 4] = 1
        >>> made = gaussian(Volume(array, Grid.from_spacing((9, 9), (1.0, 0.5))), sigma_mm=0.5).array[0]
        >>> bool(made[4, 5] > made[5, 4])  # nearer in mm
        True

    Source: sampled Gaussian, truncated and normalised as by ``scipy.ndimage.gaussian_filter(mode="nearest")``, against
    which it is checked.
    """
    positive(sigma_mm=sigma_mm)
    plan = sampling(volume.grid, volume.grid, volume.array.strides[1:], "nearest")
    spacing = [volume.grid.spacing_mm[a] for a in plan.source_order]
    plan = replace(plan, sigma=tuple(sigma_mm / s for s in spacing))
    made = plan.blank(volume.channels, 0, np.dtype(np.float32))
    for source, target in zip(volume.array, made, strict=True):
        prepared = plan.prepare(source)

        def work(tile: Tile, source: NDArray[Any] = prepared, target: NDArray[Any] = target) -> None:
            target[tile.target] = tile.interpolate(source[tile.source])

        each_tile(plan.tiles(*_TILE), work, target.size)
    return volume.with_array(plan.restore(made))


def median(volume: Volume, *, radius_mm: float | None = None) -> Volume:
    """Replace every value by the median of the ball around it.

    Use it against single wrong voxels: edges stay sharp, structures thinner than the radius go. Beyond the image its
    outer values go on.

    Args:
        volume: 2D or 3D; each channel by itself.
        radius_mm: Of the ball, mm: neighbours whose centres lie within it count. Left out, the finest spacing: in an
            isotropic 3D image the 6 nearest neighbours and the voxel itself.

    Returns:
        The image with the values' own type.

    Raises:
        DataError: ``radius_mm`` is not above 0, or more than 2000 voxels lie within it.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.array([[[1, 1, 1], [1, 90, 1], [1, 1, 1]]], np.int16)
        >>> median(Volume(array, Grid.from_spacing((3, 3), (1.0, 1.0)))).array[0, 1, 1]
        np.int16(1)

    Source: sorted with Batcher's odd-even merge network, AFIPS 32, 1968, doi:10.1145/1468075.1468121, without the
    comparisons that the median does not need; checked against ``scipy.ndimage.median_filter``.
    """
    radius = min(volume.grid.spacing_mm) if radius_mm is None else radius_mm
    positive(radius_mm=radius)

    def work(array: NDArray[Any], spacing: tuple[float, ...]) -> NDArray[Any]:
        volume_of_ball = 4.2 * np.prod([max(radius / s, 0.5) for s in spacing])
        offsets = offsets_within(radius, spacing) if volume_of_ball < 4 * _LARGEST else []
        if not 0 < len(offsets) <= _LARGEST:
            raise DataError(f"more than {_LARGEST} voxels lie within radius_mm={radius:g}: choose a smaller one")
        reach = [max(o[a] for o in offsets) for a in range(array.ndim)]
        source, made = halo(array, reach), np.empty(array.shape, array.dtype)
        network = _median_network(len(offsets))
        around = [tuple(o + r for o, r in zip(offset, reach, strict=True)) for offset in offsets]

        def sort(box: Box) -> None:
            made[box] = _run(network, [source[moved(box, offset)] for offset in around])

        each_box(array.shape, sort)
        return made

    return per_channel(volume, work)


def bilateral(volume: Volume, *, sigma_mm: float = 1.0, sigma_value: float | None = None) -> Volume:
    """Average neighbours that are near both in space and in value: noise goes, edges stay.

    Args:
        volume: 2D or 3D; each channel by itself.
        sigma_mm: Standard deviation of the Gaussian in space, mm, > 0. Neighbours within 2.5 of them count.
        sigma_value: Standard deviation of the Gaussian over differences of value, in the image's unit, > 0. Left out,
            twice the noise (see `noise_level`).

    Returns:
        The image as float32; a neighbourhood that lies partly outside the image is averaged over what is inside.

    Raises:
        DataError: A setting is not above 0.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.array([[[0, 1, 0, 100, 101, 100]]], np.float32)
        >>> made = bilateral(Volume(array, Grid.from_spacing((1, 6), (1.0, 1.0))), sigma_value=5).array
        >>> float(made[0, 0, 2]) < 1 and float(made[0, 0, 3]) > 99
        True

    Source: Tomasi and Manduchi, ICCV 1998, doi:10.1109/ICCV.1998.710815; checked against OpenCV.
    """
    positive(sigma_mm=sigma_mm)
    if sigma_value is not None:
        positive(sigma_value=sigma_value)

    def work(array: NDArray[Any], spacing: tuple[float, ...]) -> NDArray[Any]:
        values = array.astype(np.float32)
        width = sigma_value or 2 * noise_level(values)
        if width == 0:
            return values
        offsets = [o for o in offsets_within(_CUTOFF * sigma_mm, spacing) if any(o)]
        reach = [max((o[a] for o in offsets), default=0) for a in range(array.ndim)]
        # Outside lies infinity: its distance in value is infinite and its weight 0.
        source = np.ascontiguousarray(np.pad(values, [(n, n) for n in reach], constant_values=np.inf))
        made = np.empty(array.shape, np.float32)
        places = [
            (tuple(n + r for n, r in zip(o, reach, strict=True)), _nearness(o, spacing, sigma_mm)) for o in offsets
        ]

        def average(box: Box) -> None:
            centre = values[box]
            total, weights = np.zeros_like(centre), np.ones_like(centre)
            away, weight = np.empty_like(centre), np.empty_like(centre)
            for offset, nearness in places:
                # Added up are differences, which are small, so that float32 suffices.
                np.subtract(source[moved(box, offset)], centre, out=away)
                np.multiply(away, away, out=weight)
                weight *= np.float32(-0.5 / width**2)
                weight += np.float32(nearness)
                np.exp(weight, out=weight)
                weights += weight
                away[weight == 0] = 0  # infinity times 0 is no number
                away *= weight
                total += away
            made[box] = centre + total / weights

        each_box(array.shape, average)
        return made

    return per_channel(volume, work)


def noise_level(array: NDArray[Any]) -> float:
    """Estimate the standard deviation of an image's noise from differences of neighbours of neighbours.

    Args:
        array: One channel, 1D to 3D.

    Returns:
        1.4826 times the median of the absolute second differences, by √6, along the axis on which it is the least:
        there the image itself changes least. Differences of 0 are left out, so that an empty background has no say.
        0 for a flat image, and for one without three values in a row.

    Source: the median absolute deviation of a normal distribution is its standard deviation by 1.4826; a second
    difference 1, -2, 1 has 6 times the variance.
    """
    values, found = array.astype(np.float32), []
    for axis in (a for a in range(array.ndim) if array.shape[a] >= 3):
        second = np.diff(values, n=2, axis=axis)
        changes = np.abs(second[second != 0])
        if changes.size:
            found.append(float(1.4826 * np.median(changes) / np.sqrt(6.0)))
    return min(found, default=0.0)


def _nearness(offset: Sequence[int], spacing: Sequence[float], sigma_mm: float) -> float:
    squares = sum((n * s) ** 2 for n, s in zip(offset, spacing, strict=True))
    return -0.5 * squares / sigma_mm**2


Comparison = tuple[int, int, bool, bool]
"""Two wires, and whether the smaller (which stays on the first) and the larger are looked at again."""


@lru_cache(maxsize=8)
def _median_network(count: int) -> tuple[Comparison, ...]:
    """Comparisons after which wire ``count // 2`` of an odd count of wires holds the median."""
    pairs, size = [], 1 << max(0, count - 1).bit_length()
    p = 1
    while p < size:
        k = p
        while k >= 1:
            for j in range(k % p, size - k, 2 * k):
                pairs += [(i + j, i + j + k) for i in range(k) if (i + j) // (2 * p) == (i + j + k) // (2 * p)]
            k //= 2
        p *= 2
    needed, kept = {count // 2}, []
    # Wires beyond the count would hold infinity, which never moves.
    for low, high in reversed([pair for pair in pairs if pair[1] < count]):
        if low in needed or high in needed:
            kept.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(kept))


def _run(network: tuple[Comparison, ...], wires: list[NDArray[Any]]) -> NDArray[Any]:
    middle = len(wires) // 2
    own: list[NDArray[Any] | None] = [None] * len(wires)  # buffers that may be written to; the wires begin as views
    spare: list[NDArray[Any]] = []

    def fresh() -> NDArray[Any]:
        return spare.pop() if spare else np.empty(wires[0].shape, wires[0].dtype)

    for low, high, smaller, larger in network:
        one, other = wires[low], wires[high]
        before = [buffer for buffer in (own[low], own[high]) if buffer is not None]
        own[low] = own[high] = None
        if smaller and larger:
            wires[low] = own[low] = np.minimum(one, other, out=fresh())
            target = before.pop() if before else fresh()
            wires[high] = own[high] = np.maximum(one, other, out=target)
        else:
            wire, act = (low, np.minimum) if smaller else (high, np.maximum)
            target = before.pop() if before else fresh()
            wires[wire] = own[wire] = act(one, other, out=target)
        spare += before
    return wires[middle]
