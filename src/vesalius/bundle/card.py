"""What a person must know about a segmenter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from vesalius.bundle.calibration import Calibration, calibration_from_json, calibration_to_json
from vesalius.bundle.subgroups import Subgroups, subgroups_from_json, subgroups_to_json
from vesalius.bundle.suited import Suited, suited_from_json, suited_to_json
from vesalius.bundle.values import Pair, as_mapping, as_pairs

WORDS = ("name", "description", "data", "data_licence", "recipe", "scores_on", "limits")
"""Fields of a `Card` that are texts, in the order in which they are told."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a person must know before using the segmenter.

    Args:
        name: Of the segmenter.
        description: What it segments, in what kind of image.
        data: What it was trained on.
        data_licence: Licence of these data.
        recipe: How it was trained, in words and numbers.
        scores: Mean Dice on cases it was not trained on, by label; empty when there were none.
        intervals: 95 % interval of each mean, by bootstrap over persons; empty where there are too few.
        subgroups: The same for parts of these cases.
        scores_on: What these cases were.
        limits: What it must not be used for.
        suited: The images that it is for, in facts; plain values are taken, too. Without them it is never proposed.
        calibration: What is promised of the sizes and regions that it finds; nothing where it was never calibrated.
    """

    name: str = ""
    description: str = ""
    data: str = ""
    data_licence: str = ""
    recipe: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, Pair] = field(default_factory=dict)
    subgroups: Subgroups = field(default_factory=dict)
    scores_on: str = ""
    limits: str = "For research use only; not a medical device."
    suited: Suited | None = None
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        if self.suited is not None and not isinstance(self.suited, Suited):
            object.__setattr__(self, "suited", suited_from_json(self.suited))


def card_to_json(card: Card) -> dict[str, Any]:
    """The card as plain values; what it does not tell is left out, so that earlier releases read it as well."""
    told: dict[str, Any] = {one.name: getattr(card, one.name) for one in fields(card)}
    told |= {
        "scores": dict(card.scores),
        "intervals": {name: list(both) for name, both in card.intervals.items()},
        "subgroups": subgroups_to_json(card.subgroups),
        "suited": card.suited and suited_to_json(card.suited),
        "calibration": card.calibration and calibration_to_json(card.calibration),
    }
    return {name: value for name, value in told.items() if value or name in (*WORDS, "scores")}


def card_from_json(raw: Any) -> Card:
    """A card whose values are what they must be.

    Raises:
        TypeError, ValueError: They are not.
    """
    told = dict(as_mapping(raw))
    if not all(isinstance(told[name], str) for name in WORDS if name in told):
        raise TypeError("the card must be written in words")
    scores = told.get("scores", {})
    if not isinstance(scores, dict) or not all(isinstance(score, float | int) for score in scores.values()):
        raise TypeError("the card's scores must be numbers by name")
    readers = {"intervals": as_pairs, "subgroups": subgroups_from_json, "calibration": calibration_from_json}
    return Card(**told | {name: read(told[name]) for name, read in readers.items() if name in told})
