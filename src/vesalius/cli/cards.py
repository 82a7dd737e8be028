"""What verbs print of a segmenter's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vesalius.bundle import Card
    from vesalius.bundle.calibration import Calibration
    from vesalius.bundle.values import Pair

_NAMED = 6  # structures that are told one by one


def print_words(card: Card) -> None:
    """The words of a card, a line each."""
    from vesalius.bundle.card import WORDS

    for name in WORDS:
        if getattr(card, name):
            print(f"{name:14} {getattr(card, name)}")


def print_scores(card: Card) -> None:
    """The scores of a card with their intervals, then those of subgroups, then what is promised."""
    _print_dice(card.scores, card.intervals)
    for group, parts in card.subgroups.items():
        for value, part in parts.items():
            people = "" if part.persons == part.cases else f" of {part.persons} persons"
            print(f"{group:14} {value}: {part.cases} case{'' if part.cases == 1 else 's'}{people}")
            _print_dice(part.scores, part.intervals, indented=True)
    if card.calibration is not None:
        _print_calibration(card.calibration)


def _print_dice(scores: Mapping[str, float], intervals: Mapping[str, Pair], *, indented: bool = False) -> None:
    for name, dice in scores.items():
        span = " (95 % interval {:.4f} to {:.4f})".format(*intervals[name]) if name in intervals else ""
        print(f"{'' if indented else 'Dice':14} {'  ' * indented}{name} {dice:.4f}{span}")


def _print_calibration(found: Calibration) -> None:
    print(f"{'calibrated on' if found.factors or found.outer else 'not calibrated':14} {found.on}")
    for name, (low, high) in found.factors.items():
        print(f"{'size':14} {name}: true size {low:.3g} to {high:.3g} times what is found ({100 * found.level:.3g} %)")
    for share, thresholds in found.outer.items():
        of = _named(list(thresholds))
        print(f"{'outer region':14} misses {100 * share:.3g} % on average (--outer {share:g}): {of}")
    for why in dict.fromkeys(found.lacking.values()):
        of = _named([name for name, reason in found.lacking.items() if reason == why])
        print(f"{'not promised':14} {of}: {why}")


def _named(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} structures"
