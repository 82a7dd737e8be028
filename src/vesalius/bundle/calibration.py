"""What is promised of a segmenter's sizes and regions, and from which cases: its conformal calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vesalius.bundle.values import Pair, as_count, as_mapping, as_number, as_numbers, as_pairs, as_text


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What is promised of new cases that are exchangeable with those of the calibration.

    Where too few persons allow no promise there is none: a structure is then missing in what follows, and ``lacking``
    says why. `vesalius.predict.calibrate.calibrate` makes it.

    Args:
        on: What the cases were.
        cases: How many.
        persons: Of how many persons; the cases of one count as one.
        level: Share of persons whose true sizes lie within the intervals.
        factors: By label or region, the lowest and the highest multiple of the size that was found.
        outer: By the share of a structure that may be missed on average, and then by label or region: the probability
            from which voxels belong to the outer region, beside those that were found.
        lacking: By label or region, why something of this is not there.

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> found = Calibration(on="20 cases", cases=20, persons=20, level=0.9, factors={"liver": (0.5, 2.0)})
        >>> found.interval("liver", 10.0), found.interval("spleen", 10.0), found.interval("liver", 0)
        ((5.0, 20.0), None, None)
    """

    on: str
    cases: int
    persons: int
    level: float
    factors: Mapping[str, Pair] = field(default_factory=dict)
    outer: Mapping[float, Mapping[str, float]] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"the level of a calibration must be above 0 and below 1, not {self.level}")
        if not 0 <= self.persons <= self.cases:
            raise ValueError(f"{self.cases} cases cannot be of {self.persons} persons")
        if not all(0 < low <= 1 <= high for low, high in self.factors.values()):
            raise ValueError("multiples of a size must be two, one of at most 1 and one of at least 1")
        thresholds = [one for by_name in self.outer.values() for one in by_name.values()]
        if not all(0 < one < 1 for one in (*self.outer, *thresholds)):
            raise ValueError("shares that are missed and thresholds must be above 0 and below 1")

    def interval(self, name: str, size: float) -> Pair | None:
        """Between which sizes a structure's true one is promised to lie.

        Args:
            name: Of the label or region.
            size: That was found, in any unit.

        Returns:
            Both; ``None`` where nothing is promised: not calibrated, or nothing was found.
        """
        if name not in self.factors or size <= 0:
            return None
        low, high = self.factors[name]
        return low * size, high * size


def calibration_to_json(calibration: Calibration) -> dict[str, Any]:
    """Plain values."""
    return {
        **calibration.__dict__,
        "factors": {name: list(both) for name, both in calibration.factors.items()},
        "outer": {repr(share): dict(thresholds) for share, thresholds in calibration.outer.items()},
        "lacking": dict(calibration.lacking),
    }


def calibration_from_json(raw: Any) -> Calibration:
    """A calibration whose values are what they must be.

    Raises:
        TypeError, ValueError: They are not.
    """
    told = {"factors": {}, "outer": {}, "lacking": {}, **as_mapping(raw)}
    return Calibration(
        **{
            **told,
            "on": as_text(told.get("on")),
            "cases": as_count(told.get("cases")),
            "persons": as_count(told.get("persons")),
            "level": as_number(told.get("level")),
            "factors": as_pairs(told["factors"]),
            "outer": {float(share): as_numbers(one) for share, one in as_mapping(told["outer"]).items()},
            "lacking": {name: as_text(why) for name, why in as_mapping(told["lacking"]).items()},
        }
    )
