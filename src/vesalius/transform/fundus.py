"""Photographs of the retina: their field of view, even illumination, and contrast."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import LabelMap, Labels, Volume
from vesalius.transform.components import keep_largest
from vesalius.transform.contrast import clahe

FUNDUS_CHANNELS = ("red", "green", "blue", "contrast")
"""What `fundus` makes of a photograph."""

_DARK = 0.12  # of the brightest channel's 99th percentile: the surround is darker, and so is no retina
_BACKGROUND = 1 / 12  # standard deviation of the local statistics, of the field's diameter
_TYPICAL = 1.0  # how many local deviations from the local mean still count as background
_FAINTEST = 0.02  # a local deviation is never taken for less, of the channel's range
_SAMPLES = 192  # the local statistics vary slowly: they are worked out on so many pixels across


def field_of_view(photograph: Volume) -> LabelMap:
    """Find the round field in which a fundus camera shows the retina.

    Args:
        photograph: 2D, red, green and blue.

    Returns:
        The label ``field``: one piece without holes. All of the picture when nothing in it is dark.

    Raises:
        DataError: It is no colour picture.

    Example:
        >>> from vesalius.image import Grid
        >>> picture = np.zeros((3, 40, 40), np.uint8)
        >>> picture[:, 5:35, 5:35] = 120  # the corners are rounded off
        >>> field_of_view(Volume(picture, Grid.from_spacing((40, 40), (1.0, 1.0)))).counts()
        {0: 712, 1: 888}

    Source: a threshold, since DRIVE's masks come from one, too (Staal et al., IEEE TMI 23:501, 2004,
    doi:10.1109/TMI.2004.825627); here it follows the picture's own brightness.
    """
    from scipy import ndimage

    _refuse_others(photograph)
    brightest = photograph.array.max(axis=0).astype(np.float32)
    bright = ndimage.median_filter(brightest, 5) > _DARK * np.percentile(brightest, 99)
    labels = Labels.of({"field": 1})
    if bright.all() or not bright.any():
        return LabelMap(np.ones(photograph.grid.shape, np.uint8), photograph.grid, labels)
    found = keep_largest(LabelMap(bright, photograph.grid, labels)).array
    return LabelMap(ndimage.binary_fill_holes(found).astype(np.uint8), photograph.grid, labels)


def fundus(photograph: Volume, *, clip: float = 0.01) -> Volume:
    """Prepare a photograph of the retina: even out its illumination, and add the green channel's contrast.

    The mean and the spread of the *background* around each pixel, without vessels, lesions and the optic disc, are
    taken from each channel. A photograph that is bright in the middle and dark at the edge, or of a darkly pigmented
    eye, then looks like others.

    Args:
        photograph: 2D, red, green and blue.
        clip: Of the contrast's equalisation, see `vesalius.transform.clahe`.

    Returns:
        Float32, the channels of `FUNDUS_CHANNELS`: red, green and blue in deviations from the local background, -5 to
        5, and the contrast-limited equalised green, 0 to 1. All are 0 outside the field.

    Raises:
        DataError: It is no colour picture.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> ramp = np.broadcast_to(np.linspace(90, 110, 64), (3, 64, 64)).copy()
        >>> ramp[:, 30:33, 30:33] -= 30  # something dark
        >>> made = fundus(Volume(ramp, Grid.from_spacing((64, 64), (1.0, 1.0))))
        >>> made.channels, bool(made.array[1, 31, 31] < -3)
        (4, True)

    Source: Foracchia et al., Medical Image Analysis 9:179 (2005), doi:10.1016/j.media.2004.07.001: the background are
    the pixels within one standard deviation of their surroundings' mean. The statistics here are Gaussian-weighted.
    """
    inside = field_of_view(photograph).array > 0
    sigma = _BACKGROUND * math.sqrt(4 * inside.sum() / math.pi)
    made = np.zeros((len(FUNDUS_CHANNELS), *photograph.grid.shape), np.float32)
    for channel, target in zip(photograph.array, made, strict=False):
        values = channel.astype(np.float32)
        mean, deviation = _background(values, inside, sigma)
        target[inside] = np.clip((values[inside] - mean[inside]) / deviation[inside], -5, 5)
    green = replace(photograph, array=_filled(photograph.array[1], inside)[None])
    made[3][inside] = clahe(green, clip=clip).array[0][inside]
    return replace(photograph, array=made, meta=replace(photograph.meta, modality="OT", unit=""))


def _refuse_others(photograph: Volume) -> None:
    if photograph.grid.ndim != 2 or photograph.channels != 3:
        raise DataError(
            f"a photograph of the retina is 2D with red, green and blue, not {photograph.grid.ndim}D with "
            f"{photograph.channels} channels"
        )


def _background(
    values: NDArray[np.float32], inside: NDArray[np.bool_], sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation of the background around each pixel."""
    step = max(1, min(values.shape) // _SAMPLES)
    few, where = values[::step, ::step], inside[::step, ::step]
    wide = sigma / step
    mean, deviation = _around(few, where.astype(np.float32), wide)
    typical = where & (np.abs(few - mean) <= _TYPICAL * deviation)
    mean, deviation = _around(few, typical.astype(np.float32), wide)
    chosen = values[inside]
    span = float(chosen.max() - chosen.min()) if chosen.size else 0.0
    deviation = np.maximum(deviation, max(_FAINTEST * span, 1e-6))
    return _finer(mean, step, values.shape), _finer(deviation, step, values.shape)


def _around(
    values: NDArray[np.float32], weight: NDArray[np.float32], sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weighted mean and deviation of the neighbourhood; of all, where nothing near has a weight."""
    from scipy import ndimage

    total = max(float(weight.sum()), 1e-6)
    whole = float((values * weight).sum()) / total
    shifted = values - whole  # squares of small numbers keep their digits
    spread = float((shifted * shifted * weight).sum()) / total
    near = ndimage.gaussian_filter(weight, sigma)
    faint = 1e-3  # of a neighbourhood full of background
    mean = (ndimage.gaussian_filter(shifted * weight, sigma)) / (near + faint)
    square = (ndimage.gaussian_filter(shifted * shifted * weight, sigma) + faint * spread) / (near + faint)
    return mean + whole, np.sqrt(np.maximum(square - mean * mean, 0))


def _finer(values: NDArray[np.float32], step: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    from scipy import ndimage

    if step == 1:
        return values
    at = np.meshgrid(*(np.arange(n, dtype=np.float32) / step for n in shape), indexing="ij", sparse=False)
    return np.asarray(ndimage.map_coordinates(values, at, order=1, mode="nearest"), np.float32)


def _filled(channel: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What lies outside becomes the nearest value inside: a black surround would take part in the histograms."""
    from scipy import ndimage

    values = channel.astype(np.float32)
    if inside.all():
        return values
    rows, columns = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return np.asarray(values[rows, columns], np.float32)
