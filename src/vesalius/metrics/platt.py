"""Platt's scaling: from a score to a probability that can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError

_STEPS = 100
_FLAT = 1e-12  # of the curvature, so that equal scores leave something to divide by


@dataclass(frozen=True)
class Platt:
    """A probability that rises or falls with a score: 1 / (1 + exp(-(slope · score + intercept))).

    Args:
        slope: Of the score.
        intercept: The log odds at a score of 0.
    """

    slope: float
    intercept: float

    def __call__(self, score: float) -> float:
        """The probability of a score.

        Example:
            >>> Platt(2.0, 0.0)(0.0)
            0.5
        """
        odds = np.clip(self.slope * score + self.intercept, -500.0, 500.0)
        return float(1 / (1 + np.exp(-odds)))


def fit_platt(scores: Sequence[float], outcomes: Sequence[bool]) -> Platt:
    """Fit Platt's scaling, on cases that the scores were not learnt from.

    The targets are not 1 and 0 but (n + 1) / (n + 2) and 1 / (n + 2), n being the number of cases of either kind: so
    that a few cases, all told apart, do not make a certainty.

    Args:
        scores: One for each case, finite.
        outcomes: Whether it was so.

    Returns:
        The scaling. It is monotone: the order of the cases stays.

    Raises:
        DataError: The lengths differ, a score is not finite, or the outcomes are all alike.

    Example:
        >>> scaled = fit_platt([-2.0, -1.0, 1.0, 2.0], [False, False, True, True])
        >>> round(scaled(0.0), 3), scaled(2.0) < 1
        (0.5, True)

    Source: Platt, Advances in Large Margin Classifiers (1999), p. 61; Newton's method with halved steps as Lin, Lin and
    Weng, Machine Learning 68:267 (2007), doi:10.1007/s10994-007-5018-6.
    """
    x, true = np.asarray(scores, np.float64), np.asarray(outcomes, np.bool_)
    if x.ndim != 1 or x.shape != true.shape or not np.isfinite(x).all():
        raise DataError(f"scores must be {true.size} finite numbers, one for each outcome")
    positive = int(true.sum())
    negative = true.size - positive
    if positive == 0 or negative == 0:
        raise DataError(f"both outcomes must occur; here {positive} are so and {negative} are not")
    target = np.where(true, (positive + 1) / (positive + 2), 1 / (negative + 2))
    # Centred and scaled, so that the two parameters are of one size whatever the scores are.
    centre, scale = float(x.mean()), float(x.std()) or 1.0
    rows = np.stack([(x - centre) / scale, np.ones_like(x)])
    at = np.array([0.0, np.log((positive + 1) / (negative + 1))])
    cost = _cost(at, rows, target)
    for _ in range(_STEPS):
        said = 1 / (1 + np.exp(-(at @ rows)))
        slope = rows @ (said - target)
        curvature = (rows * (said * (1 - said))) @ rows.T + _FLAT * np.eye(2)
        way = np.linalg.solve(curvature, slope)
        step = 1.0
        while step > 1e-10 and _cost(at - step * way, rows, target) > cost:
            step /= 2
        at = at - step * way
        found = _cost(at, rows, target)
        if cost - found < 1e-12:
            break
        cost = found
    return Platt(float(at[0] / scale), float(at[1] - at[0] * centre / scale))


def _cost(at: NDArray[np.float64], rows: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """Cross entropy; written so that large log odds do not overflow."""
    odds = at @ rows
    return float((np.logaddexp(0, odds) - target * odds).sum())
