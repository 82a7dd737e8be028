"""Several methods on the same cases: the table of their scores, and how far any two of them are apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, unknown_name
from vesalius.metrics.scores import METRICS, Better, Scores
from vesalius.metrics.statistics import bootstrap_means

Missing = Literal["worst", "common"]
"""What is done with a case that a method has no score for; see `paired_table`."""

_EXACT = 50  # cases up to which Wilcoxon's test counts all choices of signs, as scipy does where there are no ties


@dataclass(frozen=True, eq=False)
class PairedTable:
    """What every method scored on every case.

    Args:
        metric: Name of the metric.
        target: A label or region; empty for the mean over targets.
        better: Which values are good ones; for ``"zero"`` the values here are without their sign.
        methods: Names, in order of the rows.
        cases: Names, in order of the columns.
        values: ``(methods, cases)``, finite.
        filled: Cases of each method that had no score and were given the worst value.
        left_out: Cases that don't take part: without a score of some method, or without a value that means anything.
    """

    metric: str
    target: str
    better: Better
    methods: tuple[str, ...]
    cases: tuple[str, ...]
    values: NDArray[np.float64]
    filled: Mapping[str, tuple[str, ...]]
    left_out: tuple[str, ...]

    @property
    def badness(self) -> NDArray[np.float64]:
        """The values turned so that less is better."""
        return -self.values if self.better == "higher" else self.values


@dataclass(frozen=True)
class Difference:
    """How far two methods are apart over the cases.

    Args:
        first: A method.
        second: Another.
        n: Cases that both have.
        mean: Mean of first minus second, in the metric's unit (for a metric that is best at zero, of its size).
        low: Lower end of the mean's 95 % bootstrap interval; NaN below two cases.
        high: Upper end.
        first_better: Cases on which the first is better.
        second_better: Cases on which the second is.
        p: Of Wilcoxon's signed-rank test, two-sided; 1 where all cases are equal.
        p_holm: The same, adjusted by Holm for all pairs of methods.
    """

    first: str
    second: str
    n: int
    mean: float
    low: float
    high: float
    first_better: int
    second_better: int
    p: float
    p_holm: float


def paired_table(
    scores: Mapping[str, Sequence[Scores]],
    metric: str,
    *,
    target: str = "",
    missing: Missing = "worst",
) -> PairedTable:
    """Line up the scores of several methods.

    Only targets that every method was scored on take part in a mean over targets: a label that one method alone
    declares would give it another mean.

    Args:
        scores: Of each method, one entry a case.
        metric: A name of `METRICS` that says what is good: not a volume.
        target: A label or region; the mean over targets when left out, targets without a value left out of it.
        missing: Of a case that some method has no entry for. ``"worst"``: that method gets the worst value, so that
            nobody gains by silence: 0 (or the lowest value in the table, if that is below 0) where higher is better,
            else the highest value that any method has in any case. ``"common"``: the case is left out for all.

    Returns:
        The table. A case where some method's value is NaN is left out for all: the metric has no meaning there.

    Raises:
        DataError: There are fewer than two methods, a case occurs twice, tolerances differ, the metric or target was
            not scored or cannot be ranked, or no case is left.

    Example:
        >>> def of(*dice):
        ...     return [Scores(f"case {n}", {"liver": {"dice": value}}) for n, value in enumerate(dice)]
        >>> table = paired_table({"A": of(0.9, 0.8), "B": of(0.7)}, "dice")
        >>> table.values.tolist(), table.filled["B"]
        ([[0.9, 0.8], [0.7, 0.0]], ('case 1',))

    Source: the worst value for what is missing: Maier-Hein et al., Nature Methods 21:195 (2024),
    doi:10.1038/s41592-023-02151-z, and challengeR (Wiesenfarth et al., Sci Rep 11:2369, 2021,
    doi:10.1038/s41598-021-82017-6).
    """
    if missing not in get_args(Missing):
        raise DataError(unknown_name("rule for missing cases", missing, get_args(Missing)))
    if metric not in METRICS:
        raise DataError(unknown_name("metric", metric, METRICS))
    better = METRICS[metric].better
    if better == "neither":
        raise DataError(f"{metric} only describes: no value of it is better than another, so methods can't be compared")
    _check(scores)
    targets = [target] if target else common_targets(scores)
    entries = {method: {one.case: one for one in rows} for method, rows in scores.items()}
    cases = list(dict.fromkeys(case for rows in entries.values() for case in rows))
    values = np.full((len(entries), len(cases)), np.nan)
    for m, rows in enumerate(entries.values()):
        for c, case in enumerate(cases):
            if case in rows:
                values[m, c] = _value(rows[case], metric, targets)
    absent = np.array([[case not in rows for case in cases] for rows in entries.values()])
    if better == "zero":
        values = np.abs(values)
    if np.isnan(values).all():
        raise DataError(f"no method has a value of {metric}{f' of {target!r}' if target else ''} in any case")
    undefined = (np.isnan(values) & ~absent).any(axis=0)
    kept = ~undefined if missing == "worst" else ~undefined & ~absent.any(axis=0)
    if not kept.any():
        raise DataError(f"no case is left on which all {len(entries)} methods have a value of {metric}")
    worst = min(0.0, float(np.nanmin(values))) if better == "higher" else float(np.nanmax(values))
    filled = {
        method: tuple(cases[c] for c in np.flatnonzero(row & kept)) for method, row in zip(entries, absent, strict=True)
    }
    return PairedTable(
        metric=metric,
        target=target,
        better=better,
        methods=tuple(entries),
        cases=tuple(case for case, use in zip(cases, kept, strict=True) if use),
        values=np.where(absent, worst, values)[:, kept],
        filled=filled,
        left_out=tuple(case for case, use in zip(cases, kept, strict=True) if not use),
    )


def common_targets(scores: Mapping[str, Sequence[Scores]]) -> list[str]:
    """The targets that every method was scored on, in the order of the first method.

    Example:
        >>> common_targets({"A": [Scores("a", {"x": {}, "y": {}})], "B": [Scores("a", {"y": {}, "z": {}})]})
        ['y']
    """
    found = [dict.fromkeys(target for one in rows for target in one.values) for rows in scores.values()]
    return [target for target in found[0] if all(target in others for others in found)] if found else []


def differences(table: PairedTable, *, resamples: int = 2000, seed: int = 0) -> tuple[Difference, ...]:
    """Compare every two methods: mean difference with its interval, and Wilcoxon's test with Holm's adjustment.

    The cases are drawn together for both methods, so the interval is that of the paired difference, which is narrower
    than those of the two means suggest. Below six cases no difference of two methods can be significant at 0.05, and of
    more methods it takes more. Cases are taken as independent: where a patient has several, intervals are too narrow
    and p too small.

    Args:
        table: Of two methods or more.
        resamples: Of the bootstrap, at least 1.
        seed: Of the resampling.

    Returns:
        One entry a pair, in the order of the methods.

    Raises:
        DataError: ``resamples`` is below 1.

    Example:
        >>> dice = [0.8, 0.7, 0.9, 0.6, 0.75, 0.85]
        >>> def of(add):
        ...     return [Scores(f"{n}", {"x": {"dice": d + add * (n + 1)}}) for n, d in enumerate(dice)]
        >>> found = differences(paired_table({"A": of(0.01), "B": of(0.0)}, "dice"))[0]
        >>> round(found.mean, 3), found.first_better, found.p
        (0.035, 6, 0.03125)

    Source: Wilcoxon, Biometrics Bulletin 1:80 (1945), doi:10.2307/3001968 (ties at zero left out);
    Holm, Scand J Statist 6:65 (1979); Efron and Tibshirani, An Introduction to the Bootstrap (1993), ch. 13.
    """
    if resamples < 1:
        raise DataError(f"resamples must be at least 1, not {resamples}")
    pairs = list(combinations(range(len(table.methods)), 2))
    apart = np.array([table.values[a] - table.values[b] for a, b in pairs])
    turned = -apart if table.better == "higher" else apart
    means = bootstrap_means(apart, resamples=resamples, seed=seed)
    several = len(table.cases) > 1
    p = [signed_rank_p(row) for row in apart]
    found = []
    for n, ((a, b), adjusted) in enumerate(zip(pairs, holm(p), strict=True)):
        low, high = np.percentile(means[:, n], (2.5, 97.5)) if several else (math.nan, math.nan)
        found.append(
            Difference(
                first=table.methods[a],
                second=table.methods[b],
                n=len(table.cases),
                mean=float(apart[n].mean()),
                low=float(low),
                high=float(high),
                first_better=int((turned[n] < 0).sum()),
                second_better=int((turned[n] > 0).sum()),
                p=p[n],
                p_holm=adjusted,
            )
        )
    return tuple(found)


def signed_rank_p(apart: NDArray[np.float64]) -> float:
    """Wilcoxon's signed-rank test of differences against zero: the two-sided p.

    Differences of zero (to 1e-12 of the largest) are left out; if there is no other, p is 1. Up to 50 cases it is
    exact, ties included, and above the normal approximation.

    Example:
        >>> signed_rank_p(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])), signed_rank_p(np.zeros(9))
        (0.03125, 1.0)

    Source: Wilcoxon (1945); the exact distribution with ties: Pratt and Gibbons, Concepts of Nonparametric Theory
    (1981), ch. 3. Checked against ``scipy.stats.wilcoxon``.
    """
    from scipy.special import ndtr
    from scipy.stats import rankdata

    # Values that are the same number but for rounding must be ties, whatever machine computed them.
    rounded = np.round(apart / max(float(np.abs(apart).max(initial=0.0)), 1e-300), 12)
    rounded = rounded[rounded != 0]
    if not rounded.size:
        return 1.0
    ranks = np.rint(2 * rankdata(np.abs(rounded))).astype(int)  # twice the ranks: shared ones are whole numbers too
    total = int(ranks.sum())
    lead = abs(2 * int(ranks[rounded > 0].sum()) - total)
    if rounded.size > _EXACT:
        return float(2 * ndtr(-lead / math.sqrt(float((ranks.astype(np.float64) ** 2).sum()))))
    # How many of all choices of signs give each sum of positive ranks, a case at a time; below 2^53 this is exact.
    ways = np.zeros(total + 1)
    ways[0] = 1
    for rank in ranks.tolist():
        ways[rank:] += ways[:-rank].copy()
    extreme = np.abs(2 * np.arange(total + 1) - total) >= lead
    return float(ways[extreme].sum() / 2.0**rounded.size)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjustment for several tests: each at most 1, in the order given.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]

    Source: Holm, Scand J Statist 6:65 (1979).
    """
    order = sorted(range(len(p)), key=lambda n: p[n])
    adjusted, highest = [0.0] * len(p), 0.0
    for place, n in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - place) * p[n]))
        adjusted[n] = highest
    return adjusted


def _check(scores: Mapping[str, Sequence[Scores]]) -> None:
    if len(scores) < 2:
        raise DataError(f"a comparison needs two methods or more, not {len(scores)}")
    for method, rows in scores.items():
        if not rows:
            raise DataError(f"{method} has no scores")
        if len({one.case for one in rows}) < len(rows):
            raise DataError(f"a case of {method} occurs twice")
    tolerances = sorted({one.tolerance_mm for rows in scores.values() for one in rows})
    if len(tolerances) > 1:
        raise DataError(f"the scores were made at different tolerances: {tolerances} mm")


def _value(one: Scores, metric: str, targets: Sequence[str]) -> float:
    rows: list[Mapping[str, Any]] = [one.values[target] for target in targets if target in one.values]
    known = [row[metric] for row in rows if not math.isnan(row.get(metric, math.nan))]
    return sum(known) / len(known) if known else math.nan
