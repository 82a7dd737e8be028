"""``vesalius models [NAME]``: the segmenters that come with the package."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vesalius.bundle import Card

HELP = "list the segmenters that come with the package, or tell one's card; `vesalius segment --bundle NAME` uses one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius models``."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="tell the card of this one (the table of all)")


def run(args: argparse.Namespace) -> int:
    """Print the table, or a card."""
    from vesalius.bundle import Bundle, built_in
    from vesalius.bundle.card import card_to_json
    from vesalius.errors import BundleError, unknown_name

    places = built_in()
    if args.name is not None:
        if args.name not in places:
            raise BundleError(unknown_name("built-in segmenter", args.name, places))
        places = {args.name: places[args.name]}
    found = {name: Bundle.load(place).card for name, place in places.items()}
    sizes = {name: _size_mb(place) for name, place in places.items()}
    if args.json:
        models = [{**card_to_json(card), "name": name, "size_mb": sizes[name]} for name, card in found.items()]
        print(json.dumps({"models": models}))
    elif args.name is not None:
        _print_card(found[args.name], sizes[args.name])
    else:
        _print_table(found, sizes)
    return 0


def _size_mb(place: Path) -> float:
    return round(sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) / 1e6, 2)


def _kinds(card: Card) -> str:
    return "" if card.suited is None else ", ".join(card.suited.modalities)


def _print_table(found: dict[str, Card], sizes: dict[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "segments", "image", "MB", "Dice", "on", "licence", box=None, pad_edge=False)
    for name, card in found.items():
        mean = card.scores.get("mean")
        dice = "" if mean is None else f"{mean:.3f}"
        size = f"{sizes[name]:.1f}"
        table.add_row(name, card.description, _kinds(card), size, dice, _briefly(card.scores_on), card.data_licence)
    Console(highlight=False, markup=False).print(table)


def _briefly(words: str) -> str:
    """As far as the first bracket or full stop; the card tells the rest."""
    return words.partition(" (")[0].partition(". ")[0]


def _print_card(card: Card, size_mb: float) -> None:
    from vesalius.cli.cards import print_scores, print_words

    print_words(card)
    print(f"{'size':14} {size_mb:.1f} MB")
    if kinds := _kinds(card):
        print(f"{'images':14} {kinds}")
    print_scores(card)
