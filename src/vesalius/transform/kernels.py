"""Interpolation along one axis: which source samples make a target sample, and with what weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Interpolation = Literal["nearest", "linear", "cubic"]
"""How values between samples are made: the nearest sample, a straight line, or a cubic B-spline through them all."""

Border = Literal["mirror", "edge"]
"""How a spline goes on beyond the samples: mirrored about the first and the last, or with their values for ever."""

NEAR = 1e-6
"""Distances below this, in voxels, are rounding errors of the affines, not geometry."""

_POLE = np.sqrt(3.0) - 2.0
_REACH = 14  # the prefilter's response falls by |pole| a sample: 0.268 ** 14 = 1e-8, below a float32's rounding


@dataclass(frozen=True, eq=False)
class Taps:
    """The source samples and weights that make each target sample of one axis.

    Args:
        index: ``(m, k)`` source samples of each of the m targets; repetitions add up.
        weight: ``(m, k)``; each row's sum is 1.
    """

    index: NDArray[np.intp]
    weight: NDArray[np.float64]

    @property
    def is_choice(self) -> bool:
        """Whether every target is a copy of one source sample."""
        return int(self.index.shape[1]) == 1


def nearest(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest whole index; a tie goes to the higher, as in ITK, and not to whichever the rounding errors favour."""
    return np.floor(at + (0.5 + NEAR))


def within(at: NDArray[np.float64], length: int) -> NDArray[np.bool_]:
    """Whether indices lie inside the extent of an axis, the outer half voxels and their border included."""
    inside: NDArray[np.bool_] = (at >= -0.5 - NEAR) & (at <= length - 0.5 + NEAR)
    return inside


def smoothing_sigma(step: float) -> float:
    """Standard deviation, in source voxels, of the Gaussian that keeps a coarser sampling free of aliasing.

    Args:
        step: Distance between target samples in source voxels.

    Returns:
        ``(step - 1) / 2``, or 0 when the target is not coarser.

    Example:
        >>> smoothing_sigma(3.0), smoothing_sigma(0.5)
        (1.0, 0.0)

    Source: scikit-image, ``skimage.transform.resize(anti_aliasing=True)``, its default ``anti_aliasing_sigma``.
    """
    return max(0.0, (step - 1.0) / 2.0)


def interpolation_taps(
    at: NDArray[np.float64],
    length: int,
    interpolation: Interpolation,
    sigma: float = 0.0,
    *,
    border: Border = "mirror",
) -> Taps:
    """Work out the weights of one axis.

    Args:
        at: ``(m,)`` places of the targets, in source index units. Beyond the first and the last sample their values
            go on.
        length: Number of source samples, ≥ 1.
        interpolation: ``"cubic"`` is the cubic B-spline that passes through the samples, prefilter included.
        sigma: Standard deviation, in source samples, of a Gaussian applied to the source first; 0 for none.
        border: For ``"cubic"``. With ``"edge"`` the curve passes through the first and the last sample and swings on
            for a while beyond them, and targets there lie on it.

    Returns:
        The taps; a choice where every target falls on a sample (or always, for ``"nearest"`` without smoothing).

    Example:
        >>> taps = interpolation_taps(np.array([0.25, 1.0]), 3, "linear")
        >>> taps.index.tolist(), taps.weight.tolist()
        ([[0, 1], [1, 2]], [[0.75, 0.25], [1.0, 0.0]])

    Source: Unser, IEEE Signal Processing Magazine 16(6), 1999, doi:10.1109/79.799930 (cubic B-spline). Checked
    against ``scipy.ndimage.map_coordinates(mode="mirror")``, SimpleITK and, for the edge, ``mode="nearest"``.
    """
    swings = interpolation == "cubic" and border == "edge"
    at = at if swings else np.clip(at, 0.0, length - 1.0)
    whole = np.rint(at)
    at = np.where(np.abs(at - whole) < NEAR, whole, at)
    taps: Taps
    if interpolation == "nearest" or (np.array_equal(at, whole) and np.array_equal(at, np.clip(at, 0, length - 1))):
        taps = Taps(nearest(at).astype(np.intp)[:, None], np.ones((len(at), 1)))
    elif interpolation == "linear":
        low = np.minimum(np.floor(at).astype(np.intp), length - 2)
        taps = Taps(np.stack([low, low + 1], axis=1), np.stack([1.0 - (at - low), at - low], axis=1))
    else:
        samples = np.floor(at).astype(np.intp)[:, None] + np.arange(-1, 3)
        away = np.abs(at[:, None] - samples)
        near_part = 2.0 / 3.0 - away**2 + away**3 / 2.0
        spline = np.where(away < 1.0, near_part, np.maximum(2.0 - away, 0.0) ** 3 / 6.0)
        taps = _prefiltered(Taps(samples, spline), length, border)
    return _smoothed(taps, length, sigma)


def filter_taps(length: int, *, prefiltered: bool, sigma: float) -> Taps:
    """The filters alone, sample by sample: what a source must go through before it can be interpolated point by point.

    Args:
        length: Number of samples, ≥ 1.
        prefiltered: Whether to turn values into the coefficients of the cubic B-spline through them.
        sigma: Standard deviation, in samples, of a Gaussian; 0 for none.
    """
    every = Taps(np.arange(length)[:, None], np.ones((length, 1)))
    return _smoothed(_prefiltered(every, length) if prefiltered else every, length, sigma)


def _prefiltered(taps: Taps, length: int, border: Border = "mirror") -> Taps:
    # The recursive filter 6 / (z + 4 + 1/z) written out as its two-sided response √3 · pole^|k|.
    offsets = np.arange(-_REACH, _REACH + 1)
    taps = _spread(taps, offsets, np.sqrt(3.0) * _POLE ** np.abs(offsets))
    if border == "edge":
        return Taps(np.clip(taps.index, 0, length - 1), taps.weight)
    period = max(2 * length - 2, 1)
    folded = np.abs(taps.index) % period
    return Taps(np.minimum(folded, period - folded) if length > 1 else folded, taps.weight)


def _smoothed(taps: Taps, length: int, sigma: float) -> Taps:
    if sigma == 0.0:
        return taps
    reach = int(4.0 * sigma + 0.5)  # the truncation of scipy.ndimage.gaussian_filter
    offsets = np.arange(-reach, reach + 1)
    taps = _spread(taps, offsets, np.exp(-0.5 * (offsets / sigma) ** 2))
    return Taps(np.clip(taps.index, 0, length - 1), taps.weight)


def _spread(taps: Taps, offsets: NDArray[np.intp], response: NDArray[np.float64]) -> Taps:
    rows = len(taps.index)
    index = (taps.index[:, :, None] + offsets).reshape(rows, -1)
    return Taps(index, (taps.weight[:, :, None] * (response / response.sum())).reshape(rows, -1))
