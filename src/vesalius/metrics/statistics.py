"""What the scores of many cases say together: mean, spread, a bootstrap interval, and the worst cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.metrics.scores import METRICS, Scores

_CHUNK = 250  # resamples drawn at a time, so that memory doesn't grow with their number


@dataclass(frozen=True)
class Statistic:
    """One metric of one target over the cases.

    Args:
        n: Cases with a value.
        undefined: Cases of this target whose value is NaN: left out of everything here, and counted.
        mean: Arithmetic mean; NaN when there is no case.
        median: Of the values.
        std: Standard deviation of the sample (n - 1); NaN below two cases.
        low: Lower end of the 95 % interval of the mean; NaN below two cases.
        high: Upper end.
        min: The smallest value.
        max: The largest value.
        worst: Up to five cases, the worst first; empty for a metric that only describes.
    """

    n: int
    undefined: int
    mean: float
    median: float
    std: float
    low: float
    high: float
    min: float
    max: float
    worst: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """Statistics of every target and metric.

    Args:
        values: ``{target: {metric: Statistic}}``, targets in the order in which they first occur.
        foreground: ``{metric: Statistic}`` of each case's mean over its targets.
        cases: Number of cases.
        tolerance_mm: The tolerance of the surface Dice.
    """

    values: Mapping[str, Mapping[str, Statistic]]
    foreground: Mapping[str, Statistic]
    cases: int
    tolerance_mm: float

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON has it; NaN becomes None."""
        return {
            "cases": self.cases,
            "tolerance_mm": self.tolerance_mm,
            "foreground": {metric: _plain(found) for metric, found in self.foreground.items()},
            "values": {
                target: {metric: _plain(found) for metric, found in row.items()} for target, row in self.values.items()
            },
        }


def summarise(scores: Sequence[Scores], *, resamples: int = 2000, seed: int = 0) -> Summary:
    """Condense the scores of many cases.

    The interval is the percentile bootstrap of the mean: cases are drawn with replacement, all metrics of a case
    together, and the interval runs from the 2.5th to the 97.5th percentile of the resampled means. It speaks of
    cases; where a patient has several, it is too narrow.

    Args:
        scores: One entry a case, of one tolerance.
        resamples: Number of bootstrap resamples, at least 1.
        seed: Of the resampling: the same scores give the same interval.

    Returns:
        Statistics of every target and metric, and of each case's mean over targets. The latter is NaN-free: a target
        without a value is left out of its case's mean.

    Raises:
        DataError: There are no scores, a case occurs twice, tolerances differ, or ``resamples`` is below 1.

    Example:
        >>> both = summarise([Scores("a", {"liver": {"dice": 0.9}}), Scores("b", {"liver": {"dice": 0.7}})])
        >>> found = both.values["liver"]["dice"]
        >>> round(found.mean, 3), found.worst, round(found.low, 3), round(found.high, 3)
        (0.8, ('b', 'a'), 0.7, 0.9)

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), ch. 13; 2000 resamples as they advise for
    intervals; resampling of cases as Metrics Reloaded and challengeR (Wiesenfarth et al., Sci Rep 11:2369,
    2021, doi:10.1038/s41598-021-82017-6) do.
    """
    if not scores:
        raise DataError("there are no scores to summarise")
    if resamples < 1:
        raise DataError(f"resamples must be at least 1, not {resamples}")
    cases = [one.case for one in scores]
    twice = sorted({case for case in cases if cases.count(case) > 1}) if len(set(cases)) < len(cases) else []
    if twice:
        raise DataError(f"cases occur twice: {', '.join(twice[:5])}")
    tolerances = sorted({one.tolerance_mm for one in scores})
    if len(tolerances) > 1:
        raise DataError(f"the scores were made at different tolerances: {tolerances} mm")

    targets = list(dict.fromkeys(target for one in scores for target in one.values))
    metrics = list(dict.fromkeys(name for one in scores for row in one.values.values() for name in row))
    # (target, metric, case): NaN where a metric has no value, and where a case has no such target.
    table = np.full((len(targets), len(metrics), len(scores)), np.nan)
    present: NDArray[np.bool_] = np.zeros(table.shape, dtype=bool)
    for c, one in enumerate(scores):
        for target, found in one.values.items():
            for name, value in found.items():
                at = targets.index(target), metrics.index(name), c
                table[at], present[at] = value, True
    known = ~np.isnan(table)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        foreground = np.where(known, table, 0).sum(axis=0) / count
    stacked = np.concatenate([table, foreground[None]])
    low, high = _intervals(stacked.reshape(-1, len(scores)), resamples, seed)
    shape = stacked.shape[:2]
    low, high = low.reshape(shape), high.reshape(shape)
    mentioned = np.concatenate([present, np.any(present, axis=0, keepdims=True)])

    def row(t: int) -> dict[str, Statistic]:
        return {
            name: _statistic(name, stacked[t, m], mentioned[t, m], cases, float(low[t, m]), float(high[t, m]))
            for m, name in enumerate(metrics)
            if mentioned[t, m].any()
        }

    values = {target: row(t) for t, target in enumerate(targets)}
    return Summary(values, row(len(targets)), len(scores), tolerances[0])


def bootstrap_means(table: NDArray[np.float64], *, resamples: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """Means of rows when the columns are drawn anew, all rows together.

    Args:
        table: ``(rows, cases)``; NaN is left out of a row's mean.
        resamples: How often to draw, at least 1.
        seed: Of the drawing.

    Returns:
        ``(resamples, rows)``; NaN where a draw holds no value of a row.

    Example:
        >>> bootstrap_means(np.array([[2.0, 2.0, np.nan]]), resamples=3, seed=1).ravel().tolist()
        [2.0, 2.0, 2.0]

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), ch. 6.
    """
    cases = table.shape[1]
    known = ~np.isnan(table)
    filled = np.where(known, table, 0)
    generator = np.random.default_rng(seed)
    means = np.empty((resamples, len(table)))
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        # How often each case is drawn: a product of matrices then gives the sums of all rows at once.
        drawn = generator.multinomial(cases, np.full(cases, 1 / cases), size=size).astype(np.float64)
        with np.errstate(invalid="ignore"):
            means[start : start + size] = (drawn @ filled.T) / (drawn @ known.T)
    return means


def _intervals(
    table: NDArray[np.float64], resamples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 95 % percentile interval of the mean of each row ``(rows, cases)``, NaN left out."""
    means = bootstrap_means(table, resamples=resamples, seed=seed)
    known = ~np.isnan(table)
    low, high = np.full(len(table), np.nan), np.full(len(table), np.nan)
    for r in np.flatnonzero(known.sum(axis=1) >= 2):
        drawn_means = means[:, r][~np.isnan(means[:, r])]
        low[r], high[r] = np.percentile(drawn_means, (2.5, 97.5))
    return low, high


def _statistic(
    metric: str,
    values: NDArray[np.float64],
    mentioned: NDArray[np.bool_],
    cases: Sequence[str],
    low: float,
    high: float,
) -> Statistic:
    known = np.flatnonzero(mentioned & ~np.isnan(values))
    undefined = int(mentioned.sum()) - known.size
    if known.size == 0:
        nan = math.nan
        return Statistic(0, undefined, nan, nan, nan, nan, nan, nan, nan, ())
    chosen = values[known]
    better = METRICS[metric].better if metric in METRICS else "neither"
    badness = {"higher": -chosen, "lower": chosen, "zero": np.abs(chosen), "neither": None}[better]
    order = [] if badness is None else np.argsort(-badness, kind="stable")[:5].tolist()
    return Statistic(
        n=int(known.size),
        undefined=undefined,
        mean=float(chosen.mean()),
        median=float(np.median(chosen)),
        std=float(chosen.std(ddof=1)) if known.size > 1 else math.nan,
        low=low,
        high=high,
        min=float(chosen.min()),
        max=float(chosen.max()),
        worst=tuple(cases[known[i]] for i in order),
    )


def _plain(found: Statistic) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else list(value) if name == "worst" else value
        for name, value in asdict(found).items()
    }
