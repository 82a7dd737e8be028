"""Who is best, by four customs, and whether the order would be the same on other cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, unknown_name
from vesalius.metrics.paired import PairedTable, holm, signed_rank_p

Scheme = Literal["mean_then_rank", "median_then_rank", "rank_then_mean", "significance"]
"""How a table becomes an order; see `rank_methods`."""

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

_CHUNK = 250  # resamples worked on at a time


@dataclass(frozen=True)
class Ranking:
    """An order of methods.

    Args:
        scheme: How it was made.
        methods: In the order of the table.
        values: What was ranked: mean or median of the metric, mean rank, or how many methods each beats.
        ranks: 1 is best; equals share the better place, and the next is as far down as if they did not.
    """

    scheme: Scheme
    methods: tuple[str, ...]
    values: tuple[float, ...]
    ranks: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Stability:
    """What becomes of an order when cases are drawn anew.

    Args:
        scheme: How orders were made.
        methods: In the order of the table.
        ranks: On all cases.
        frequency: ``(methods, places)``: share of the resamples in which a method takes a place; rows sum to 1.
        low: 2.5th percentile of each method's rank.
        median: Median of each method's rank.
        high: 97.5th percentile.
        tau: Mean over resamples of Kendall's tau-b between the order on all cases and that of the resample: 1 is the
            same order, 0 none; NaN where the order on all cases has no winner.
        tau_low: 2.5th percentile.
        tau_high: 97.5th percentile.
        same: Share of the resamples whose order is exactly that of all cases.
    """

    scheme: Scheme
    methods: tuple[str, ...]
    ranks: tuple[int, ...]
    frequency: NDArray[np.float64]
    low: tuple[float, ...]
    median: tuple[float, ...]
    high: tuple[float, ...]
    tau: float
    tau_low: float
    tau_high: float
    same: float


def rank_methods(table: PairedTable, scheme: Scheme = "mean_then_rank", *, alpha: float = 0.05) -> Ranking:
    """Order the methods.

    Args:
        table: Of the methods.
        scheme: ``"mean_then_rank"`` and ``"median_then_rank"``: by the mean (median) over cases. ``"rank_then_mean"``:
            ranked on each case, equals sharing the mean of their places, then by the mean rank: one catastrophe costs
            no more than a last place. ``"significance"``: by how many methods each beats in Wilcoxon's test after
            Holm's adjustment: equals are those that the cases can't tell apart.
        alpha: For ``"significance"``: below which an adjusted p counts, above 0 and below 1.

    Returns:
        The order.

    Raises:
        DataError: The scheme is unknown, or alpha is out of range.

    Example:
        >>> from vesalius.metrics.paired import paired_table
        >>> from vesalius.metrics.scores import Scores
        >>> def of(*dice):
        ...     return [Scores(f"{n}", {"x": {"dice": value}}) for n, value in enumerate(dice)]
        >>> table = paired_table({"A": of(0.9, 0.9, 0.1), "B": of(0.8, 0.8, 0.8)}, "dice")
        >>> rank_methods(table).ranks, rank_methods(table, "rank_then_mean").ranks
        ((2, 1), (1, 2))

    Source: Maier-Hein et al., Nature Communications 9:5217 (2018), doi:10.1038/s41467-018-07619-7 (the customs, and how
    much the winner depends on them); Wiesenfarth et al., Sci Rep 11:2369 (2021), doi:10.1038/s41598-021-82017-6.
    """
    _check(scheme, alpha)
    if scheme == "significance":
        beaten = _beaten(table.badness[None], alpha, exact=True)[0]
        return Ranking(scheme, table.methods, tuple(beaten.tolist()), _places(-beaten[None])[0])
    values = _aggregated(table, scheme, np.arange(len(table.cases))[None])[0]
    shown = values if scheme == "rank_then_mean" or table.better != "higher" else -values
    return Ranking(scheme, table.methods, tuple(shown.tolist()), _places(values[None])[0])


def ranking_stability(
    table: PairedTable, scheme: Scheme = "mean_then_rank", *, alpha: float = 0.05, resamples: int = 1000, seed: int = 0
) -> Stability:
    """Draw the cases anew, rank again, and see what stays.

    In resamples the tests of ``"significance"`` use the normal approximation.

    Args:
        table: Of the methods.
        scheme: As for `rank_methods`.
        alpha: As for `rank_methods`.
        resamples: At least 1.
        seed: Of the resampling.

    Returns:
        How often each method takes each place, and how alike the orders are.

    Raises:
        DataError: The scheme is unknown, or a number is out of range.

    Example:
        >>> from vesalius.metrics.paired import paired_table
        >>> from vesalius.metrics.scores import Scores
        >>> def of(*dice):
        ...     return [Scores(f"{n}", {"x": {"dice": value}}) for n, value in enumerate(dice)]
        >>> found = ranking_stability(paired_table({"A": of(0.9, 0.8, 0.9), "B": of(0.7, 0.6, 0.8)}, "dice"))
        >>> found.frequency.tolist(), found.tau
        ([[1.0, 0.0], [0.0, 1.0]], 1.0)

    Source: Wiesenfarth et al. (2021): bootstrap of cases, frequencies of ranks, Kendall's tau; Kendall, Biometrika
    33:239 (1945), doi:10.1093/biomet/33.3.239 (tau-b).
    """
    _check(scheme, alpha)
    if resamples < 1:
        raise DataError(f"resamples must be at least 1, not {resamples}")
    generator = np.random.default_rng(seed)
    count = len(table.cases)
    orders = []
    for start in range(0, resamples, _CHUNK):
        drawn = generator.integers(0, count, (min(_CHUNK, resamples - start), count))
        if scheme == "significance":
            orders += _places(-_beaten(np.moveaxis(table.badness[:, drawn], 0, 1), alpha, exact=False))
        else:
            orders += _places(_aggregated(table, scheme, drawn))
    ranks = np.array(orders)
    whole = rank_methods(table, scheme, alpha=alpha).ranks
    frequency = np.stack([(ranks == place).mean(axis=0) for place in range(1, len(table.methods) + 1)], axis=1)
    taus = _tau(np.array(whole), ranks)
    known = taus[~np.isnan(taus)]
    return Stability(
        scheme=scheme,
        methods=table.methods,
        ranks=whole,
        frequency=frequency,
        low=tuple(np.percentile(ranks, 2.5, axis=0).tolist()),
        median=tuple(np.median(ranks, axis=0).tolist()),
        high=tuple(np.percentile(ranks, 97.5, axis=0).tolist()),
        tau=float(known.mean()) if known.size else float("nan"),
        tau_low=float(np.percentile(known, 2.5)) if known.size else float("nan"),
        tau_high=float(np.percentile(known, 97.5)) if known.size else float("nan"),
        same=float((ranks == whole).all(axis=1).mean()),
    )


def _check(scheme: str, alpha: float) -> None:
    if scheme not in SCHEMES:
        raise DataError(unknown_name("ranking", scheme, SCHEMES))
    if not 0 < alpha < 1:
        raise DataError(f"alpha must be above 0 and below 1, not {alpha}")


def _aggregated(table: PairedTable, scheme: Scheme, drawn: NDArray[np.intp]) -> NDArray[np.float64]:
    """What is ranked, less being better ``(resamples, methods)``, for cases drawn ``(resamples, cases)``."""
    from scipy.stats import rankdata

    if scheme == "median_then_rank":
        return np.moveaxis(np.median(table.badness[:, drawn], axis=2), 0, 1)
    values = rankdata(_rounded(table.badness), axis=0) if scheme == "rank_then_mean" else table.badness
    # Sums over cases in one order, so that a tie is a tie however cases were drawn.
    times = np.stack([np.bincount(row, minlength=len(table.cases)) for row in drawn]).astype(np.float64)
    found: NDArray[np.float64] = times @ values.T / drawn.shape[1]
    return found


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values that are one number but for rounding become one number."""
    scale = max(float(np.abs(values).max(initial=0.0)), 1e-300)
    return np.round(values / scale, 12)


def _places(values: NDArray[np.float64]) -> list[tuple[int, ...]]:
    """Ranks of each row, 1 for the least, equals sharing the better place."""
    from scipy.stats import rankdata

    ranks = rankdata(_rounded(values), method="min", axis=1).astype(int)
    return [tuple(row) for row in ranks.tolist()]


def _beaten(badness: NDArray[np.float64], alpha: float, *, exact: bool) -> NDArray[np.float64]:
    """How many others each method beats, for tables ``(tables, methods, cases)``."""
    tables, methods, _ = badness.shape
    pairs = list(combinations(range(methods), 2))
    p, lead = np.ones((len(pairs), tables)), np.zeros((len(pairs), tables))
    for n, (a, b) in enumerate(pairs):
        apart = badness[:, a] - badness[:, b]
        normal, lead[n] = _signed_ranks(apart)
        p[n] = [signed_rank_p(row) for row in apart] if exact else normal
    beaten = np.zeros((tables, methods))
    for t in range(tables):
        for (a, b), adjusted, ahead in zip(pairs, holm(p[:, t].tolist()), lead[:, t].tolist(), strict=True):
            if adjusted < alpha and ahead:
                beaten[t, a if ahead < 0 else b] += 1
    return beaten


def _signed_ranks(apart: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two-sided p by the normal approximation, and the sum of signed ranks, of each row."""
    from scipy.special import ndtr
    from scipy.stats import rankdata

    rounded = _rounded(apart)
    some = rounded != 0
    # Zeros rank lowest: taking their number off leaves the ranks of the others.
    zeros = (~some).sum(axis=1, keepdims=True)
    ranks = np.where(some, rankdata(np.abs(rounded), axis=1) - zeros, 0.0)
    total = (ranks * np.sign(rounded)).sum(axis=1)
    spread = np.sqrt((ranks**2).sum(axis=1))  # with ties' ranks shared, this is the variance corrected for ties
    p = np.where(spread > 0, 2 * ndtr(-np.abs(total) / np.maximum(spread, 1e-300)), 1.0)
    return p, total


def _tau(whole: NDArray[np.integer], ranks: NDArray[np.integer]) -> NDArray[np.float64]:
    """Kendall's tau-b of one order with each row of others."""
    pairs: Sequence[tuple[int, int]] = list(combinations(range(whole.size), 2))
    first, second = np.array(pairs).T
    ours, others = np.sign(whole[first] - whole[second]), np.sign(ranks[:, first] - ranks[:, second])
    size = np.sqrt(float((ours != 0).sum()) * (others != 0).sum(axis=1))
    return np.where(size > 0, (ours * others).sum(axis=1) / np.maximum(size, 1e-300), np.nan)
