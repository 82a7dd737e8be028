"""What cases that taught nothing say of a segmenter, on its card: means, intervals, subgroups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vesalius.bundle import Card
from vesalius.bundle.subgroups import Subgroup
from vesalius.bundle.values import Pair
from vesalius.metrics.statistics import bootstrap_means

FEWEST_PERSONS = 5
"""For an interval. With fewer than about 20 it is still too narrow. Source: DiCiccio and Efron, Statistical Science
11:189 (1996), doi:10.1214/ss/1032280214, on the percentile method in small samples; the figure is ours."""


@dataclass(frozen=True)
class Unseen:
    """The Dice of a case that taught nothing.

    Args:
        person: Whose case it is.
        dice: By label and region.
        groups: What else is known of it: scanner, site, sex …
    """

    person: str
    dice: Mapping[str, float]
    groups: Mapping[str, str] = field(default_factory=dict)


def scored_card(card: Card, cases: Sequence[Unseen], labels: Sequence[str], *, on: str) -> Card:
    """A card that tells how well a segmenter does on unseen cases, and on parts of them.

    A person counts once, however many cases are of them. Subgroups are told where a group has several values, and for
    those cases that have one.

    Args:
        card: Of the segmenter.
        cases: Their scores, with the same names in each; at least one.
        labels: Of which ``"mean"`` is the mean: labels without regions.
        on: What the cases are.

    Example:
        >>> cases = [Unseen("a", {"x": 0.5}, {"site": "1"}), Unseen("b", {"x": 0.7}, {"site": "2"})]
        >>> told = scored_card(Card(), cases, ["x"], on="two")
        >>> told.scores, told.intervals, told.subgroups["site"]["2"].scores
        ({'x': 0.6, 'mean': 0.6}, {}, {'x': 0.7, 'mean': 0.7})
    """
    whole, subgroups = _subgroup(cases, labels), {}
    for group in sorted({name for one in cases for name in one.groups}):
        values = sorted({one.groups[group] for one in cases if one.groups.get(group)})
        if len(values) > 1:
            parts = {value: [one for one in cases if one.groups.get(group) == value] for value in values}
            subgroups[group] = {value: _subgroup(some, labels) for value, some in parts.items()}
    return replace(card, scores=whole.scores, intervals=whole.intervals, subgroups=subgroups, scores_on=on)


def _subgroup(cases: Sequence[Unseen], labels: Sequence[str]) -> Subgroup:
    scores, intervals = _means(cases, labels)
    return Subgroup(cases=len(cases), persons=len(_persons(cases)), scores=scores, intervals=intervals)


def _persons(cases: Iterable[Unseen]) -> list[str]:
    return list(dict.fromkeys(one.person for one in cases))


def _means(cases: Sequence[Unseen], labels: Sequence[str]) -> tuple[dict[str, float], dict[str, Pair]]:
    """Means and 95 % intervals over persons; NaN, a score that does not exist, is left out."""
    names = list(dict.fromkeys(name for one in cases for name in one.dice))
    rows = [
        [_mean([one.dice.get(n, np.nan) for one in cases if one.person == who]) for n in names]
        for who in _persons(cases)
    ]
    table = np.array(rows, np.float64).T
    table = np.vstack([table, [_mean(person[[names.index(n) for n in labels]]) for person in table.T]])
    scores = {name: round(_mean(row), 4) for name, row in zip((*names, "mean"), table, strict=True)}
    scores = {name: score for name, score in scores.items() if not np.isnan(score)}
    intervals: dict[str, Pair] = {}
    drawn = bootstrap_means(table)
    for name, row, means in zip((*names, "mean"), table, drawn.T, strict=True):
        if np.count_nonzero(~np.isnan(row)) >= FEWEST_PERSONS:
            low, high = np.nanpercentile(means, (2.5, 97.5))
            intervals[name] = (round(float(low), 4), round(float(high), 4))
    return scores, intervals


def _mean(values: Any) -> float:
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")
