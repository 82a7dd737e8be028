"""Thresholds that follow the neighbourhood: for uneven light, and for objects on a ground that varies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels, Volume

Mirror = Literal["reflect", "mirror"]
"""How an image goes on beyond its edges, in SciPy's words: the outermost voxel occurs twice, or once."""

_ROUNDING = 1e-12  # of the threshold: what sums in a window may differ by
_BLOCK = 1 << 16  # voxels whose means are taken at a time: they stay in the cache


def niblack(image: Volume, *, window_mm: float = 15.0, k: float = 0.2, dark: bool = False) -> LabelMap:
    """Compare each voxel with the mean around it, less ``k`` standard deviations.

    On plain ground it labels half of the noise; `sauvola` does not.

    Args:
        image: One channel.
        window_mm: Side of the window, mm (pixels, on a picture without a scale), > 0; on each axis the nearest odd
            number of voxels, 1 where the voxels are coarser.
        k: How many standard deviations; negative ones demand more than the mean.
        dark: Label what is below its threshold instead.

    Returns:
        ``foreground`` where a voxel exceeds its threshold; it may be empty.

    Raises:
        DataError: The window is not positive, or the image has several channels.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[1, 1, 9, 1, 1]]]), Grid.from_spacing((1, 5), (1.0, 1.0)))
        >>> niblack(image, window_mm=3, k=-0.5).array.tolist()
        [[0, 0, 1, 0, 0]]

    Source: Niblack, An Introduction to Digital Image Processing, 1986; checked against
    ``skimage.filters.threshold_niblack``.
    """
    values = only_channel(image)
    mean, spread = _mean_and_spread(values, _window(image.grid, window_mm))
    spread *= -k
    return _above(values, mean + spread, image.grid, dark=dark)


def sauvola(
    image: Volume, *, window_mm: float = 15.0, k: float = 0.2, spread: float | None = None, dark: bool = False
) -> LabelMap:
    """Compare each voxel with the mean around it, lowered where there is little contrast: plain ground stays empty.

    Made for dark writing on bright paper. It reckons with values from 0: an image that has lower ones is shifted until
    its least is 0.

    Args:
        image: One channel.
        window_mm: Side of the window, mm (pixels, on a picture without a scale), > 0; on each axis the nearest odd
            number of voxels, 1 where the voxels are coarser.
        k: How much contrast counts, ≥ 0.
        spread: The greatest standard deviation that is expected, in the image's unit, > 0; left out, half of what the
            image spans, and 127.5 for 8 bits.
        dark: Label what is below its threshold instead.

    Returns:
        ``foreground`` where a voxel exceeds its threshold; it may be empty.

    Raises:
        DataError: The window or the spread is not positive, or the image has several channels.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[90, 90, 9, 90, 90]]]), Grid.from_spacing((1, 5), (1.0, 1.0)))
        >>> sauvola(image, window_mm=3, dark=True).array.tolist()
        [[0, 0, 1, 0, 0]]

    Source: Sauvola and Pietikäinen, Pattern Recognition 33, 2000, doi:10.1016/S0031-3203(99)00055-2; checked against
    ``skimage.filters.threshold_sauvola``.
    """
    values = only_channel(image)
    least, most = float(values.min()), float(values.max())
    expected = spread if spread is not None else 127.5 if values.dtype == np.uint8 else (most - least) / 2
    if spread is not None and not spread > 0:
        raise DataError(f"the greatest spread must be more than 0, not {spread}")
    mean, found = _mean_and_spread(values, _window(image.grid, window_mm))
    shift = min(least, 0.0)
    if expected > 0:
        found *= k / expected
    cut = (mean - shift) * (1 - k + found) + shift
    return _above(values, cut, image.grid, dark=dark)


def phansalkar(
    image: Volume,
    *,
    window_mm: float = 31.0,
    k: float = 0.25,
    spread: float = 0.5,
    p: float = 2.0,
    q: float = 10.0,
    dark: bool = False,
) -> LabelMap:
    """Sauvola's comparison with a term for dark places: made for stained nuclei where contrast is low.

    Args:
        image: One channel; its values are brought to 0 … 1: those of 8 bits by 255, others by what the image spans.
        window_mm: Side of the window, mm (pixels, on a picture without a scale), > 0; on each axis the nearest odd
            number of voxels, 1 where the voxels are coarser.
        k: How much contrast counts, ≥ 0.
        spread: The greatest standard deviation that is expected, on the scale of 0 … 1, > 0.
        p: How much darkness counts.
        q: How soon that ends as the mean rises.
        dark: Label what is below its threshold instead.

    Returns:
        ``foreground`` where a voxel exceeds its threshold; it may be empty.

    Raises:
        DataError: The window or the spread is not positive, or the image has several channels.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[90, 90, 9, 90, 90]]], np.uint8), Grid.from_spacing((1, 5), (1.0, 1.0)))
        >>> phansalkar(image, window_mm=3, dark=True).array.tolist()
        [[0, 0, 1, 0, 0]]

    Source: Phansalkar, More, Sabale and Joshi, International Conference on Communications and Signal Processing, 2011,
    doi:10.1109/ICCSP.2011.5739305: T = m (1 + p exp(-q m) + k (s / R - 1)), with its p, q, k and R.
    """
    if not spread > 0:
        raise DataError(f"the greatest spread must be more than 0, not {spread}")
    values = only_channel(image)
    if values.dtype == np.uint8:
        scaled = values / 255.0
    else:
        least, most = float(values.min()), float(values.max())
        scaled = (values.astype(np.float64) - least) / ((most - least) or 1.0)
    mean, found = _mean_and_spread(scaled, _window(image.grid, window_mm))
    cut = mean * (1 + p * np.exp(-q * mean) + k * (found / spread - 1))
    return _above(scaled, cut, image.grid, dark=dark)


def adaptive_mean(image: Volume, *, window_mm: float = 15.0, offset: float = 0.0, dark: bool = False) -> LabelMap:
    """Compare each voxel with the mean of the window around it.

    Args:
        image: One channel.
        window_mm: Side of the window, mm (pixels, on a picture without a scale), > 0; on each axis the nearest odd
            number of voxels, 1 where the voxels are coarser.
        offset: What the threshold lies below the mean, in the image's unit; negative ones demand more than the mean.
        dark: Label what is below its threshold instead.

    Returns:
        ``foreground`` where a voxel exceeds its threshold; it may be empty.

    Raises:
        DataError: The window is not positive, or the image has several channels.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[1, 1, 9, 1, 1]]]), Grid.from_spacing((1, 5), (1.0, 1.0)))
        >>> adaptive_mean(image, window_mm=3).array.tolist()
        [[0, 0, 1, 0, 0]]

    Source: ``skimage.filters.threshold_local`` with the method ``"mean"``.
    """
    values = only_channel(image)
    window = _window(image.grid, window_mm)
    found = np.empty(values.shape, np.bool_)
    slack = _ROUNDING * (max(-float(values.min()), float(values.max())) + abs(offset))
    for rows, cut in _box_means(values, window, "reflect"):
        cut += (-slack if dark else slack) - offset
        (np.less if dark else np.greater)(values[rows], cut, out=found[rows])
    return LabelMap(found, image.grid, Labels.of({"foreground": 1}))


def adaptive_gaussian(image: Volume, *, sigma_mm: float = 2.5, offset: float = 0.0, dark: bool = False) -> LabelMap:
    """Compare each voxel with the mean around it, weighted by a Gaussian: near voxels count more.

    Args:
        image: One channel.
        sigma_mm: Of the Gaussian, mm (pixels, on a picture without a scale), > 0.
        offset: What the threshold lies below the mean, in the image's unit; negative ones demand more than the mean.
        dark: Label what is below its threshold instead.

    Returns:
        ``foreground`` where a voxel exceeds its threshold; it may be empty.

    Raises:
        DataError: The sigma is not positive, or the image has several channels.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[1, 1, 9, 1, 1]]]), Grid.from_spacing((1, 5), (1.0, 1.0)))
        >>> adaptive_gaussian(image, sigma_mm=1).array.tolist()
        [[0, 0, 1, 0, 0]]

    Source: ``skimage.filters.threshold_local`` with the method ``"gaussian"``.
    """
    from scipy import ndimage

    if not (math.isfinite(sigma_mm) and sigma_mm > 0):
        raise DataError(f"the sigma must be more than 0 mm, not {sigma_mm}")
    values = only_channel(image)
    sigma = [sigma_mm / spacing for spacing in image.grid.spacing_mm]
    mean = ndimage.gaussian_filter(_wide(values), sigma, mode="reflect") - offset
    return _above(values, mean, image.grid, dark=dark)


def _window(grid: Grid, window_mm: float) -> list[int]:
    """The odd numbers of voxels nearest to a length; no wider than what a mirrored image can fill."""
    if not (math.isfinite(window_mm) and window_mm > 0):
        raise DataError(f"the window must be more than 0 mm, not {window_mm}")
    wanted = [1 + 2 * max(0, round((window_mm / spacing - 1) / 2)) for spacing in grid.spacing_mm]
    return [min(side, 2 * size - 1) for side, size in zip(wanted, grid.shape, strict=True)]


def _wide(values: NDArray[Any]) -> NDArray[np.float64]:
    return values.astype(np.float64)


def _mean_and_spread(values: NDArray[Any], window: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation in a window around each voxel; beyond the edges the image is mirrored."""
    wide = _wide(values)
    middle = float(wide.mean())
    wide -= middle  # so that a large offset costs no digits
    mean = _box_mean(wide, window, "mirror")
    np.square(wide, out=wide)
    squares = _box_mean(wide, window, "mirror")
    squares -= mean * mean
    np.maximum(squares, 0, out=squares)
    # What is left of equal values is rounding.
    squares[squares < 1e-12 * float(wide.max(initial=0.0))] = 0
    mean += middle
    return mean, np.sqrt(squares, out=squares)


def _box_means(
    values: NDArray[Any], window: Sequence[int], mode: Mirror
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """The mean in a window around each voxel, in double precision, some layers of the first axis at a time.

    Yields:
        Which layers, and their means, which are overwritten by those of the next.

    Source: ``scipy.ndimage.uniform_filter``, whose sums these are; those along the first axis, which it takes voxel by
    voxel from places far apart, run over whole layers here.
    """
    from scipy import ndimage

    length, side = values.shape[0], window[0]
    # Their "reflect" repeats the outermost layer and their "mirror" does not.
    border: Literal["symmetric", "reflect"] = "symmetric" if mode == "reflect" else "reflect"
    layers = np.pad(np.arange(length), side // 2, mode=border)
    total = np.zeros(values.shape[1:])
    change = np.empty_like(total)
    for layer in layers[:side]:
        total += values[layer]
    rows = min(length, max(1, _BLOCK // max(1, total.size)))
    buffer = np.empty((rows, *total.shape))
    for low in range(0, length, rows):
        made = buffer[: min(rows, length - low)]
        for at, one in enumerate(made, low):
            if at:
                np.subtract(values[layers[at + side - 1]], values[layers[at - 1]], out=change, dtype=np.float64)
                total += change
            np.divide(total, side, out=one)
        for axis in range(1, values.ndim):
            if window[axis] > 1:
                ndimage.uniform_filter1d(made, window[axis], axis, made, mode)
        yield slice(low, low + len(made)), made


def _box_mean(values: NDArray[Any], window: Sequence[int], mode: Mirror) -> NDArray[np.float64]:
    """The mean in a window around each voxel, in double precision."""
    mean = np.empty(values.shape)
    for rows, some in _box_means(values, window, mode):
        mean[rows] = some
    return mean


def _above(values: NDArray[Any], cut: NDArray[np.float64], grid: Grid, *, dark: bool) -> LabelMap:
    """What differs from its threshold by rounding only is neither above nor below it. ``cut`` is used up."""
    slack = _ROUNDING * max(-float(cut.min()), float(cut.max()))
    cut += -slack if dark else slack
    return LabelMap(values < cut if dark else values > cut, grid, Labels.of({"foreground": 1}))
