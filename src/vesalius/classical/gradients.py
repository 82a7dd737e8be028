"""Smoothing and slopes in millimetres, and the crests of slopes: what the methods share that look for boundaries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.histogram import equal_bins
from vesalius.errors import DataError

Operator = Literal["central", "prewitt", "sobel"]
"""How a derivative is smoothed across its direction: not, by (1, 1, 1) / 3, or by (1, 2, 1) / 4."""

_MIDDLE: dict[Operator, int] = {"prewitt": 1, "sobel": 2}  # how often the middle counts, its neighbours once
_BLOCK = 1 << 15  # voxels that are worked on at a time: what is made of them stays in the cache


def smoothed(array: NDArray[Any], spacing_mm: Sequence[float], sigma_mm: float) -> NDArray[np.float64]:
    """Smooth by a Gaussian of one width in space.

    Args:
        array: ``(*shape)``.
        spacing_mm: Of each axis.
        sigma_mm: Standard deviation, mm, ≥ 0; 0 leaves the values as they are.

    Raises:
        DataError: ``sigma_mm`` is negative or not finite.

    Example:
        >>> smoothed(np.array([0, 0, 4, 0, 0]), (2.0,), 0.0).tolist()
        [0.0, 0.0, 4.0, 0.0, 0.0]
    """
    from scipy.ndimage import gaussian_filter

    if not (math.isfinite(sigma_mm) and sigma_mm >= 0):
        raise DataError(f"sigma_mm must be at least 0 mm, not {sigma_mm}")
    values = np.asarray(array, np.float64)
    if sigma_mm == 0:
        return values
    made: NDArray[np.float64] = gaussian_filter(values, [sigma_mm / s for s in spacing_mm], mode="nearest")
    return made


def slopes(
    values: NDArray[np.float64], spacing_mm: Sequence[float], *, operator: Operator = "central"
) -> NDArray[np.float64]:
    """The derivative along each axis, by mm.

    Args:
        values: ``(*shape)``; it goes on beyond its border as it ends.
        spacing_mm: Of each axis.
        operator: How each derivative is smoothed across its direction.

    Returns:
        ``(axes, *shape)``.

    Example:
        >>> slopes(np.array([0.0, 2.0, 4.0]), (0.5,)).tolist()
        [[2.0, 4.0, 2.0]]

    Source: ``scipy.ndimage.sobel`` and ``prewitt``, divided by the sums of their weights and the distance.
    """
    made = np.empty((values.ndim, *values.shape))
    padded = np.pad(values, 1, mode="edge")
    middle = _MIDDLE.get(operator)
    total = 1.0 if middle is None else middle + 2.0
    scales = [0.5 / spacing / total ** (values.ndim - 1) for spacing in spacing_mm]
    for block in _blocks(values.shape):
        # Along one axis after the other: what has no slope yet, and the slopes along the axes before.
        plain, found = padded[block.start : block.stop + 2], dict[int, NDArray[np.float64]]()
        for axis in range(values.ndim):
            slope = _beside(plain, axis, 2) - _beside(plain, axis, 0)
            found = {before: _across(one, axis, middle) for before, one in found.items()} | {axis: slope}
            plain = _across(plain, axis, middle) if axis + 1 < values.ndim else plain
        for axis, one in found.items():
            np.multiply(one, scales[axis], out=made[axis, block])
    return made


def _blocks(shape: Sequence[int]) -> Iterator[slice]:
    """Cuts of the first axis."""
    rows = max(1, _BLOCK // max(1, math.prod(shape[1:])))
    return (slice(low, min(low + rows, shape[0])) for low in range(0, shape[0], rows))


def _beside(padded: NDArray[np.float64], axis: int, at: int) -> NDArray[np.float64]:
    """All but the two outermost layers of an axis, moved by one (0 or 2), or not (1)."""
    return padded[(slice(None),) * axis + (slice(at, padded.shape[axis] - 2 + at),)]


def _across(padded: NDArray[np.float64], axis: int, middle: int | None) -> NDArray[np.float64]:
    """The sum of a voxel's neighbours on an axis and itself, so often; or itself."""
    itself = _beside(padded, axis, 1)
    if middle is None:
        return itself
    made = _beside(padded, axis, 0) + _beside(padded, axis, 2)
    for _ in range(middle):
        made += itself
    return made


def steepness(gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    """The length of the gradient, ``(*shape)``, from ``(axes, *shape)``."""
    made = np.empty(gradient.shape[1:])
    for block in _blocks(made.shape):
        part = gradient[:, block]
        total = np.multiply(part[0], part[0], out=made[block])
        for one in part[1:]:
            total += one * one
        np.sqrt(total, out=total)
    return made


def crests(
    gradient: NDArray[np.float64], spacing_mm: Sequence[float], least: float, *, size: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Where the gradient is steepest along its own direction: non-maximum suppression, in any number of dimensions.

    A voxel is kept when it is no less steep than the two points up and down its gradient's line in space at which that
    line leaves the cube of its neighbours; between voxels steepness is interpolated linearly.

    Args:
        gradient: ``(axes, *shape)``, by mm.
        spacing_mm: Of each axis.
        least: Less steep voxels are not kept, > 0.
        size: `steepness` of the gradient.

    Returns:
        ``(*shape)``.

    Example:
        >>> ramp = slopes(np.array([0.0, 0, 1, 4, 5, 5]), (1.0,))
        >>> crests(ramp, (1.0,), 0.1, size=steepness(ramp)).tolist()
        [False, False, True, True, False, False]

    Source: Canny, IEEE Trans. PAMI 8, 1986, doi:10.1109/TPAMI.1986.4767851; interpolation as in scikit-image, which has
    it in 2D.
    """
    padded = np.pad(size, 1, mode="edge")
    made = np.zeros(size.shape, np.bool_)
    for block in _blocks(size.shape):
        at = np.flatnonzero(size[block] >= least)
        steps = [g[block].reshape(-1)[at] for g in gradient]
        if len(set(spacing_mm)) > 1:  # otherwise the direction is the same
            steps = [step / spacing for step, spacing in zip(steps, spacing_mm, strict=True)]
        made[block].reshape(-1)[at[_at_crests(steps, padded[block.start : block.stop + 2], at)]] = True
    return made


def _at_crests(
    steps: Sequence[NDArray[np.float64]], around: NDArray[np.float64], at: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Which of some voxels are no less steep than the points on either side.

    Args:
        steps: ``(n,)`` for each axis, the direction in voxels, not 0.
        around: How steep it is, with a layer more on every side.
        at: ``(n,)``, places within ``around`` without these layers, counted in one row.
    """
    axes = range(around.ndim)
    strides = [math.prod(around.shape[a + 1 :]) for a in axes]
    flat, reach = around.reshape(-1), sum(strides)
    # Sorted by the axis of the longest component, which leads to the next layer of voxels, and by the signs: all of one
    # kind look at the same neighbours.
    lengths = [np.abs(step) for step in steps]
    longest, kinds = lengths[0].copy(), np.zeros(at.size, np.uint8)
    for axis in axes[1:]:
        kinds[lengths[axis] > longest] = axis
        np.maximum(longest, lengths[axis], out=longest)
    signs = np.zeros(at.size, np.uint8)
    for axis, step in enumerate(steps):
        signs |= (step > 0).view(np.uint8) << np.uint8(axis)
    every = np.uint8((1 << around.ndim) - 1)
    # A direction and its opposite are of one kind.
    kinds = kinds << np.uint8(around.ndim) | np.minimum(signs, every - signs)
    order = np.argsort(kinds, kind="stable")
    bounds = np.searchsorted(kinds[order], np.arange(around.ndim << around.ndim))
    inner = np.arange(around.size).reshape(around.shape)[(slice(1, -1),) * around.ndim].reshape(-1)
    places, lengths = inner[at[order]] - reach, [length[order] for length in lengths]
    kept = []
    for kind, (low, high) in enumerate(zip(bounds, [*bounds[1:], at.size], strict=True)):
        if low == high:
            continue
        mine, axis = slice(low, high), kind >> around.ndim
        ways = [stride if kind >> a & 1 else -stride for a, stride in enumerate(strides)]
        others = [a for a in axes if a != axis]
        shares = [lengths[a][mine] / lengths[axis][mine] for a in others]
        some, number = places[mine], np.arange(low, high)
        there = flat[reach:].take(some) * (1 + 1e-9)  # both sides of a step that lies between two voxels
        for sign in (1, -1):
            beside = _between(flat, some, reach + sign * ways[axis], [sign * ways[a] for a in others], shares)
            stays = np.flatnonzero(beside <= there)
            some, there, number = some[stays], there[stays], number[stays]
            shares = [share[stays] for share in shares]
        kept.append(order[number])
    return np.concatenate(kept) if kept else at[:0]


def _between(
    flat: NDArray[np.float64],
    places: NDArray[np.intp],
    offset: int,
    ways: Sequence[int],
    shares: Sequence[NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Values between the corners that lie on some ways from an offset, so far along each way."""
    if not ways:
        return flat[offset:].take(places)
    near, far = (_between(flat, places, offset + step, ways[:-1], shares[:-1]) for step in (0, ways[-1]))
    far -= near
    far *= shares[-1]
    far += near
    return far


def flatness(
    values: NDArray[np.float64], spacing_mm: Sequence[float], *, sigma_mm: float, edge_slope: float | None
) -> NDArray[np.float64]:
    """How flat the image is, from near 0 on edges to 1.

    Args:
        values: ``(*shape)``.
        spacing_mm: Of each axis.
        sigma_mm: Width of the Gaussian that smooths the values first, mm, ≥ 0.
        edge_slope: The slope at which half is left, by mm, > 0; half of Otsu's threshold of the slopes when left out,
            so that what is an edge by it keeps a fifth at most.

    Returns:
        ``1 / (1 + (slope / edge_slope)²)``; 1 for an image of one value.

    Raises:
        DataError: A number is out of range.

    Example:
        >>> flatness(np.array([0.0, 0, 2, 4, 4]), (1.0,), sigma_mm=0.0, edge_slope=2.0).tolist()
        [1.0, 0.8, 0.5, 0.8, 1.0]

    Source: Perona, Malik, IEEE Trans. PAMI 12, 1990, doi:10.1109/34.56205, equation 6; as edge indicator Caselles,
    Kimmel, Sapiro, Int J Computer Vision 22, 1997, doi:10.1023/A:1007979827043.
    """
    if edge_slope is not None and not edge_slope > 0:
        raise DataError(f"edge_slope must be more than 0, not {edge_slope}")
    size = steepness(slopes(smoothed(values, spacing_mm, sigma_mm), spacing_mm))
    if edge_slope is None:
        most = float(size.max())
        edge_slope = otsu_of(size) / 2.0 if most > 0 else 1.0
        edge_slope = max(edge_slope, 1e-9 * most)
    made: NDArray[np.float64] = 1.0 / (1.0 + (size / edge_slope) ** 2)
    return made


def otsu_of(values: NDArray[np.float64]) -> float:
    """The threshold that parts values into the two groups that differ most.

    Args:
        values: Any shape, not all of them alike.

    Returns:
        The middle of the last bin of the lower group, of 256.

    Example:
        >>> otsu_of(np.array([0.0, 0.1, 0.9, 1.0])) < 0.9
        True

    Source: Otsu, IEEE Trans. SMC 9, 1979, doi:10.1109/TSMC.1979.4310076.
    """
    flat = values.reshape(-1)
    counts, edges = equal_bins(flat, flat.min(), flat.max(), 256)
    middles = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts)[:-1], counts.sum()
    sums = np.cumsum(counts * middles)
    low, high = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(total - below, 1)
    return float(middles[int(np.argmax(below * (total - below) * (low - high) ** 2))])
