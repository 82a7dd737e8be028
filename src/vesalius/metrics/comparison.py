"""Several methods by one metric: differences, orders by each custom, and how firm they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vesalius.metrics.paired import Difference, Missing, PairedTable, differences, paired_table
from vesalius.metrics.ranking import SCHEMES, Ranking, Scheme, Stability, rank_methods, ranking_stability
from vesalius.metrics.scores import Scores


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a metric says of several methods.

    Args:
        table: The scores that were compared, and which cases were left out or filled in.
        differences: Of every two methods.
        rankings: By each custom.
        stability: Of each order; empty where nobody asked.
        alpha: Below which an adjusted p counts.
    """

    table: PairedTable
    differences: tuple[Difference, ...]
    rankings: Mapping[Scheme, Ranking]
    stability: Mapping[Scheme, Stability]
    alpha: float

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON has it; NaN becomes None."""
        table = self.table
        return {
            "metric": table.metric,
            "target": table.target or None,
            "better": table.better,
            "alpha": self.alpha,
            "methods": list(table.methods),
            "cases": len(table.cases),
            "left_out": list(table.left_out),
            "filled_with_worst": {method: list(cases) for method, cases in table.filled.items() if cases},
            "differences": [_plain(asdict(one)) for one in self.differences],
            "rankings": {scheme: _plain(asdict(one)) for scheme, one in self.rankings.items()},
            "stability": {
                scheme: _plain({**vars(one), "frequency": one.frequency.tolist()})
                for scheme, one in self.stability.items()
            },
        }


def compare(
    scores: Mapping[str, Sequence[Scores]],
    metric: str = "dice",
    *,
    target: str = "",
    missing: Missing = "worst",
    alpha: float = 0.05,
    resamples: int = 1000,
    seed: int = 0,
    stability: bool = True,
) -> Comparison:
    """Compare methods that were scored on the same cases.

    Args:
        scores: Of each method, one entry a case, as `evaluate` gives them.
        metric: A name of `METRICS` that says what is good.
        target: A label or region; the mean over targets when left out.
        missing: What becomes of cases that a method has no score for, see `paired_table`.
        alpha: Below which an adjusted p counts, above 0 and below 1.
        resamples: Of the bootstraps, at least 1.
        seed: Of the resampling: the same scores give the same answer.
        stability: Whether to rank resamples, too, which takes most of the time.

    Returns:
        Differences, orders and their stability.

    Raises:
        DataError: The scores cannot be compared, see `paired_table`, or a number is out of range.

    Example:
        >>> def of(*dice):
        ...     return [Scores(f"case {n}", {"liver": {"dice": value}}) for n, value in enumerate(dice)]
        >>> found = compare({"A": of(0.9, 0.8, 0.85), "B": of(0.7, 0.6, 0.8)})
        >>> found.rankings["mean_then_rank"].ranks, round(found.differences[0].mean, 2)
        ((1, 2), 0.15)

    Source: Wiesenfarth et al., Sci Rep 11:2369 (2021), doi:10.1038/s41598-021-82017-6.
    """
    table = paired_table(scores, metric, target=target, missing=missing)
    return Comparison(
        table=table,
        differences=differences(table, resamples=resamples, seed=seed),
        rankings={scheme: rank_methods(table, scheme, alpha=alpha) for scheme in SCHEMES},
        stability={
            scheme: ranking_stability(table, scheme, alpha=alpha, resamples=resamples, seed=seed)
            for scheme in (SCHEMES if stability else ())
        },
        alpha=alpha,
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    def one(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return [one(part) for part in value]
        if isinstance(value, np.generic):
            value = value.item()
        return None if isinstance(value, float) and math.isnan(value) else value

    return {name: one(value) for name, value in values.items()}
