"""How well a segmenter does in parts of its unseen cases: by scanner, site, sex, kind of image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vesalius.bundle.values import Pair, as_count, as_mapping, as_numbers, as_pairs


@dataclass(frozen=True, kw_only=True)
class Subgroup:
    """The scores of some unseen cases.

    Args:
        cases: How many.
        persons: Of how many persons.
        scores: Mean Dice by label, and their ``"mean"``.
        intervals: 95 % interval of each; empty where there are too few persons for one.

    Raises:
        ValueError: There are more persons than cases.
    """

    cases: int
    persons: int
    scores: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, Pair] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.persons <= self.cases:
            raise ValueError(f"{self.cases} cases cannot be of {self.persons} persons")


Subgroups = Mapping[str, Mapping[str, Subgroup]]
"""By the name of the group (``"sex"``) and its value (``"female"``)."""


def subgroups_to_json(subgroups: Subgroups) -> dict[str, Any]:
    """Plain values."""

    def plain(one: Subgroup) -> dict[str, Any]:
        intervals = {name: list(both) for name, both in one.intervals.items()}
        return {**one.__dict__, "scores": dict(one.scores), "intervals": intervals}

    return {group: {value: plain(one) for value, one in parts.items()} for group, parts in subgroups.items()}


def subgroups_from_json(raw: Any) -> dict[str, dict[str, Subgroup]]:
    """Subgroups whose values are what they must be.

    Raises:
        TypeError, ValueError: They are not.
    """

    def one(told: Any) -> Subgroup:
        found = {"scores": {}, "intervals": {}, **as_mapping(told)}
        counts = {name: as_count(found.get(name)) for name in ("cases", "persons")}
        scores, intervals = as_numbers(found["scores"]), as_pairs(found["intervals"])
        return Subgroup(**{**found, **counts, "scores": scores, "intervals": intervals})

    return {
        group: {value: one(told) for value, told in as_mapping(parts).items()}
        for group, parts in as_mapping(raw).items()
    }
