"""How much two images on one grid tell of each other: by this a registration is chosen and judged."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Measure = Literal["mutual-information", "correlation"]
"""What is to be made large: for images of any two kinds, or for those whose brightness goes together in a line."""

_BINS = 32


def similarity(fixed: NDArray[Any], moving: NDArray[Any], measure: Measure = "mutual-information") -> float:
    """Tell how alike the values at the same places are.

    Args:
        fixed: Values, any shape.
        moving: Those of the other image at the same places, of the same shape.
        measure: ``"mutual-information"``: normalised, (H(A) + H(B)) / H(A, B) over a table of 32 × 32 equal bins; 1
            for values that have nothing to do with each other, 2 where each tells the other. It does not fall merely
            because images overlap less. ``"correlation"``: Pearson's coefficient squared, 0 … 1.

    Returns:
        The measure; that of nothing alike (1 or 0) where there are fewer than two places or one image is flat.

    Example:
        >>> values = np.arange(8.0)
        >>> similarity(values, -values), similarity(values, values * 0), similarity(values, -values, "correlation")
        (2.0, 1.0, 1.0)

    Source: Studholme, Hill and Hawkes, Pattern Recognition 32:71 (1999), doi:10.1016/S0031-3203(98)00091-0.
    """
    one, other = np.asarray(fixed).ravel(), np.asarray(moving).ravel()
    if one.size < 2 or one.min() == one.max() or other.min() == other.max():
        return 1.0 if measure == "mutual-information" else 0.0
    if measure == "correlation":
        one, other = (side - side.mean(dtype=np.float64) for side in (one, other))
        return float(np.dot(one, other) ** 2 / (np.dot(one, one) * np.dot(other, other)))
    joint = np.bincount(_binned(one) * _BINS + _binned(other), minlength=_BINS**2).reshape(_BINS, _BINS)
    share = joint / joint.sum()
    together = _entropy(share)
    return float((_entropy(share.sum(axis=0)) + _entropy(share.sum(axis=1))) / together) if together else 1.0


def _binned(values: NDArray[Any]) -> NDArray[np.int64]:
    low, high = float(values.min()), float(values.max())
    scaled = (values.astype(np.float64) - low) * (_BINS / (high - low))
    return np.minimum(scaled.astype(np.int64), _BINS - 1)


def _entropy(share: NDArray[np.float64]) -> float:
    there = share[share > 0]
    return float(-(there * np.log(there)).sum())
