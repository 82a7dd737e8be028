"""Conformal calibration: what cases that taught nothing say about the next one, without a model of the errors.

All that is needed is that the next person is *exchangeable* with those of the calibration: drawn from the same people,
scanners and readers, in no order that matters. Then the promises hold for any segmenter, however wrong it is, from few
persons; and they are about persons in the mean, not about each one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vesalius.errors import DataError

THRESHOLDS = np.array([float(f"{1 / (1 + math.exp(step / 10)):.4g}") for step in range(101)])
"""Of probabilities, falling from 0.5 to 0.00005 in even steps of the log odds. Where even the last misses too much,
there is no region that would be of use."""
_SLACK = 1e-9  # so that (9 + 1) * 0.9 is 9 whatever the last binary digit says


def least_persons(level: float) -> int:
    """The fewest persons from which an interval of a level can be told.

    Args:
        level: Share of persons whose value lies within, above 0 and below 1.

    Raises:
        DataError: The level is something else.

    Example:
        >>> least_persons(0.9), least_persons(0.95), least_persons(0.5)
        (9, 19, 1)

    Source: ceil((n + 1) level) <= n; Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005), ch. 2.
    """
    _require_share("level", level)
    return math.ceil(level / (1 - level) - _SLACK)


def conformal_quantile(scores: ArrayLike, level: float) -> float | None:
    """What a new score stays below or at, with a probability of at least ``level``.

    It is the ``ceil((n + 1) level)``-th smallest of n scores.

    Args:
        scores: One for each person, the larger the worse; may be infinite.
        level: Probability, above 0 and below 1.

    Returns:
        The score; ``None`` where there are too few: then nothing can be promised.

    Raises:
        DataError: A score is not a number, or the level none of a probability.

    Example:
        >>> conformal_quantile([5, 1, 4, 2, 3, 9, 7, 8, 6], 0.9), conformal_quantile([1, 2, 3], 0.5)
        (9.0, 2.0)
        >>> conformal_quantile([1, 2, 3], 0.9) is None
        True

    Source: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, JASA 113:1094 (2018), doi:10.1080/01621459.2017.1307116,
    theorem 2.2.
    """
    _require_share("level", level)
    found = np.sort(np.asarray(scores, np.float64).ravel())
    if np.isnan(found).any():
        raise DataError("scores must be numbers")
    place = math.ceil((found.size + 1) * level - _SLACK)
    return float(found[place - 1]) if place <= found.size else None


def size_factor(
    references: Sequence[float], predictions: Sequence[float], persons: Sequence[str], *, level: float
) -> float | None:
    """By what factor the size of a structure may be wrong: f, so that it lies within size / f to size · f.

    The score of a case is the absolute logarithm of reference / prediction: errors of size grow with it, and half the
    true size is as wrong as twice that. It looks at both sides at once: an interval with a promise for each side
    needs twice as many persons. A segmenter that always says too much gets a wider interval, not a false one.

    Only cases where the structure was found count (prediction above 0), and the promise is about such: of nothing there
    is no multiple. Where one was found that is not there, the score is infinite.

    All cases of a person count as one, the worst: so that they lie within together.

    Args:
        references: Size in each case, in any unit.
        predictions: The same as predicted.
        persons: Whose case it is.
        level: Share of persons for whom the true size lies within, above 0 and below 1.

    Returns:
        The factor, 1 or more; ``None`` where nothing can be promised: too few persons, or structures too often found
        that are not there.

    Raises:
        DataError: The lengths differ, or the level is out of range.

    Example:
        >>> size_factor([1, 2, 3], [2, 2, 3], ["a", "b", "c"], level=0.75)
        2.0
        >>> size_factor([1, 2, 3], [2, 2, 3], ["a", "b", "b"], level=0.75) is None
        True

    Source: split conformal prediction, see `conformal_quantile`; why a person's cases must not count one by one: Dunn,
    Wasserman and Ramdas, JASA 118:2491 (2023), arXiv:1809.07441; Lee, Barber and Willett, arXiv:2306.06342. The score
    and the worst case of a person are ours.
    """
    _require_alike(references, predictions, persons)
    worst: dict[str, float] = {}
    for true, said, person in zip(references, predictions, persons, strict=True):
        if said > 0:
            score = abs(math.log(true / said)) if true > 0 else math.inf
            worst[person] = max(score, worst.get(person, 0.0))
    found = conformal_quantile(list(worst.values()), level)
    return None if found is None or math.isinf(found) else math.exp(found)


def missed_shares(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Which share of a structure lies below each of `THRESHOLDS`.

    Args:
        probabilities: That the segmenter gave to the structure's voxels, 0 to 1; 1 for those that it found.

    Returns:
        ``(len(THRESHOLDS),)``, falling.

    Raises:
        DataError: The structure has no voxels: there is nothing to miss.

    Example:
        >>> missed_shares(np.array([0.2, 1.0], np.float32))[[0, -1]].tolist()
        [0.5, 0.0]
    """
    if probabilities.size == 0:
        raise DataError("a structure without voxels has no share that is missed")
    below = np.searchsorted(np.sort(probabilities.ravel()), THRESHOLDS.astype(np.float32), side="left")
    return below / probabilities.size


def risk_threshold(shares: Sequence[ArrayLike], persons: Sequence[str], *, missed: float) -> float | None:
    """The highest probability from which voxels must be taken in, so that the share that is missed is small on average.

    It is the first of `THRESHOLDS` for which (n · mean + 1) / (n + 1) <= ``missed``: the new person may miss all.
    A person's cases count as one, by their mean, since the promise is about a mean.

    Args:
        shares: Of each case that shows the structure, from `missed_shares`.
        persons: Whose case it is.
        missed: The share that may be missed on average over persons who have the structure, above 0 and below 1.

    Returns:
        The threshold; ``None`` where nothing can be promised: fewer than 1 / missed - 1 persons, or a segmenter that
        misses too much at every threshold.

    Raises:
        DataError: The lengths differ, or the share is out of range.

    Example:
        >>> none, half = np.zeros(len(THRESHOLDS)), np.where(THRESHOLDS > 0.3, 0.5, 0.0)
        >>> risk_threshold([none, none, none], ["a", "b", "c"], missed=0.25)
        0.5
        >>> risk_threshold([none, none, half], ["a", "b", "c"], missed=0.25)
        0.2891
        >>> risk_threshold([none, none], ["a", "b"], missed=0.25) is None
        True

    Source: Angelopoulos, Bates, Fisch, Lei and Schuster, Conformal Risk Control (2022), arXiv:2208.02814, theorem 1,
    with B = 1; for the mean over a person's cases see `size_factor`.
    """
    _require_share("missed", missed)
    _require_alike(shares, persons)
    of_person: dict[str, list[NDArray[np.float64]]] = {}
    for row, person in zip(shares, persons, strict=True):
        of_person.setdefault(person, []).append(np.asarray(row, np.float64))
    if not of_person:
        return None
    risk = np.mean([np.mean(rows, axis=0) for rows in of_person.values()], axis=0)
    n = len(of_person)
    enough = np.flatnonzero((n * risk + 1) / (n + 1) <= missed + _SLACK)
    return float(THRESHOLDS[enough[0]]) if enough.size else None


def _require_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise DataError(f"{name} must be above 0 and below 1, not {value}")


def _require_alike(*columns: Sequence[object]) -> None:
    if any(len(one) != len(other) for one, other in pairwise(columns)):
        raise DataError(f"there must be one entry for each case, not {', '.join(str(len(c)) for c in columns)}")
