"""How well a confidence tells right from wrong: ROC AUC, average precision, and the area under precision and recall."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError, unknown_name

Interpolation = Literal["none", "all-point", "11-point"]
"""How average precision makes an area of a curve; see `average_precision`."""

IDRID_THRESHOLDS = 33
"""Equally spaced thresholds from 0 to 1 at which the IDRiD challenge evaluates probability maps."""


def roc_auc(positive: NDArray[Any], confidence: NDArray[Any]) -> float:
    """Area under the ROC curve: how often a positive is given a higher confidence than a negative, ties counting half.

    Args:
        positive: True or 1 where the reference says yes; any shape.
        confidence: Finite numbers of the same shape, higher for yes.

    Returns:
        0 … 1, 0.5 for guessing; NaN where there are no positives or no negatives, since nothing is to be told apart.

    Raises:
        GeometryError: The shapes differ.
        DataError: A confidence is not finite.

    Example:
        >>> roc_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
        0.75

    Source: Hanley and McNeil, Radiology 143:29 (1982), doi:10.1148/radiology.143.1.7063747 (the Mann-Whitney
    statistic); checked against scikit-learn.
    """
    from scipy.stats import rankdata

    yes, sure = _pair(positive, confidence)
    positives = int(yes.sum())
    negatives = yes.size - positives
    if not positives or not negatives:
        return math.nan
    above = rankdata(sure)[yes].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def average_precision(
    positive: NDArray[Any],
    confidence: NDArray[Any],
    *,
    total: int | None = None,
    interpolation: Interpolation = "none",
) -> float:
    """Average precision: the precision at each recall, averaged over recall.

    Args:
        positive: For each candidate whether it is a hit, or for each pixel whether it is in the target; any shape.
        confidence: Finite numbers of the same shape.
        total: How many there were to be found, at least the number of hits: candidates don't show what was missed.
            The number of positives when left out.
        interpolation: ``"none"``: precision at each step of recall, as scikit-learn has it. ``"all-point"``: the
            same with the best precision at this recall or above (Pascal VOC from 2010). ``"11-point"``: the mean of
            that at recalls 0, 0.1, …, 1 (Pascal VOC to 2009).

    Returns:
        0 … 1. NaN if there is nothing to be found; 0 if there is and no candidate hits.

    Raises:
        GeometryError: The shapes differ.
        DataError: A confidence is not finite, ``total`` is too small, or the interpolation is unknown.

    Example:
        >>> hits, sure = np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7])
        >>> round(average_precision(hits, sure, total=2), 4)
        0.8333

    Source: Everingham et al., IJCV 88:303 (2010), doi:10.1007/s11263-009-0275-4, section 4.2, and the VOC 2010
    development kit; "none" was checked against scikit-learn.
    """
    if interpolation not in get_args(Interpolation):
        raise DataError(unknown_name("interpolation", interpolation, get_args(Interpolation)))
    yes, sure = _pair(positive, confidence)
    hits = int(yes.sum())
    wanted = hits if total is None else total
    if wanted < hits:
        raise DataError(f"total must be at least the {hits} hits, not {total}")
    if wanted == 0:
        return math.nan
    if hits == 0:
        return 0.0
    order = np.argsort(-sure, kind="stable")
    last = np.append(np.flatnonzero(np.diff(sure[order])), sure.size - 1)
    found = np.cumsum(yes[order])[last]
    recall, precision = found / wanted, found / (last + 1)
    if interpolation == "none":
        return float(np.diff(recall, prepend=0.0) @ precision)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if interpolation == "all-point":
        return float(np.diff(recall, prepend=0.0) @ best)
    # The slack keeps 0.3 from missing a recall of 3 / 10 by a bit.
    first = np.searchsorted(recall, np.linspace(0, 1, 11) - 1e-12)
    return float(np.append(best, 0.0)[first].mean())


def aupr(
    positive: Iterable[NDArray[Any]] | NDArray[Any],
    probability: Iterable[NDArray[Any]] | NDArray[Any],
    *,
    thresholds: int | None = IDRID_THRESHOLDS,
) -> float:
    """Area under precision over recall of probability maps, the pixels of all images pooled.

    IDRiD's measure. Straight lines join the points, from the highest threshold at which something is marked to the
    lowest, and the first point's precision holds down to recall 0: the challenge's paper does not say how its points
    are joined, and `average_precision` may differ a little.

    Args:
        positive: The lesion in each image, True or 1, or one array. With a number of thresholds each image is looked at
            once, so that generators need no memory for more than one.
        probability: The same shapes, 0 … 1.
        thresholds: How many equally spaced ones from 0 to 1 (a pixel is marked at or above one); None for every value
            that occurs.

    Returns:
        0 … 1; NaN if the lesion occurs nowhere.

    Raises:
        GeometryError: Shapes or numbers of images differ.
        DataError: A probability is not 0 … 1, or there are fewer than 2 thresholds.

    Example:
        >>> aupr(np.array([1, 1, 0, 0]), np.array([0.9, 0.8, 0.2, 0.1]))
        1.0

    Source: Porwal et al., IDRiD: Diabetic Retinopathy, Medical Image Analysis 59:101561 (2020),
    doi:10.1016/j.media.2019.101561, section 6: 33 equally spaced thresholds.
    """
    if thresholds is not None and thresholds < 2:
        raise DataError(f"thresholds must be 2 or more, or None for all, not {thresholds}")
    pairs: Iterable[tuple[NDArray[np.bool_], NDArray[np.float64]]] = _pairs(positive, probability)
    if thresholds is None:
        pairs = list(pairs)
        levels = np.unique(np.concatenate([np.empty(0), *(np.unique(sure) for _, sure in pairs)]))
    else:
        levels = np.linspace(0.0, 1.0, thresholds)
    # A pixel is marked at all thresholds up to its own place: counts from the top are sums over places.
    marked, right = np.zeros((2, levels.size + 1))
    wanted = 0
    for yes, sure in pairs:
        wanted += int(yes.sum())
        place = np.searchsorted(levels, sure, side="right")
        marked += np.bincount(place, minlength=levels.size + 1)
        right += np.bincount(place, yes, minlength=levels.size + 1)
    if not wanted:
        return math.nan
    found, said_yes = np.cumsum(right[:0:-1]), np.cumsum(marked[:0:-1])
    some = said_yes > 0
    recall, precision = found[some] / wanted, found[some] / said_yes[some]
    recall, precision = np.append(0.0, recall), np.append(precision[:1], precision)
    return float(np.trapezoid(precision, recall))


def mean_aupr(areas: Mapping[str, float]) -> float:
    """mAUPR: the mean of the areas of several lesions; those that occur nowhere (NaN) are left out.

    Example:
        >>> mean_aupr({"microaneurysms": 0.5, "haemorrhages": 0.7, "soft exudates": float("nan")})
        0.6

    Source: Porwal et al. (2020), the mean over microaneurysms, haemorrhages, hard and soft exudates.
    """
    known = [value for value in areas.values() if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _pairs(
    positive: Iterable[NDArray[Any]] | NDArray[Any], probability: Iterable[NDArray[Any]] | NDArray[Any]
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float64]]]:
    drawn, said = ([one] if isinstance(one, np.ndarray) else one for one in (positive, probability))
    for reference, told in zip_longest(drawn, said):
        if reference is None or told is None:
            raise GeometryError("there are more references than probability maps, or fewer: one each")
        yes, sure = _pair(reference, told)
        if sure.size and not (sure.min() >= 0 and sure.max() <= 1):
            raise DataError("probabilities must be 0 to 1")
        yield yes, sure


def _pair(positive: NDArray[Any], confidence: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    if positive.shape != confidence.shape:
        raise GeometryError(f"shapes differ: reference {positive.shape}, confidence {confidence.shape}")
    sure = confidence.reshape(-1).astype(np.float64, copy=False)
    if not np.isfinite(sure).all():
        raise DataError("confidences must be finite numbers")
    return positive.reshape(-1).astype(np.bool_), sure
