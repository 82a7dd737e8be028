"""What a person must know about a segmenter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vesalius.bundle.suited import Suited, suited_from_json, suited_to_json


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
        scores_on: What these cases were.
        limits: What it must not be used for.
        suited: The images that it is for, in facts; plain values are taken, too. Without them it is never proposed.
    """

    name: str = ""
    description: str = ""
    data: str = ""
    data_licence: str = ""
    recipe: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    scores_on: str = ""
    limits: str = "For research use only; not a medical device."
    suited: Suited | None = None

    def __post_init__(self) -> None:
        if self.suited is not None and not isinstance(self.suited, Suited):
            object.__setattr__(self, "suited", suited_from_json(self.suited))


def card_to_json(card: Card) -> dict[str, Any]:
    """The card as plain values."""
    plain = {name: value for name, value in card.__dict__.items() if name != "suited"}
    suited = {} if card.suited is None else {"suited": suited_to_json(card.suited)}
    return {**plain, "scores": dict(card.scores), **suited}


def card_from_json(raw: Any) -> Card:
    """A card whose values are what they must be.

    Raises:
        TypeError, ValueError: They are not.
    """
    card = Card(**raw)
    scores = card.scores
    if not isinstance(scores, dict) or not all(isinstance(s, float | int) for s in scores.values()):
        raise TypeError("the card's scores must be numbers by name")
    if not all(isinstance(text, str) for name, text in raw.items() if name not in ("scores", "suited")):
        raise TypeError("the card must be written in words")
    return card
