"""``vesalius models``: the segmenters that come with the package."""

from __future__ import annotations

import argparse
import json

HELP = "list the segmenters that come with the package; use one by name with `vesalius segment --bundle NAME`"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius models``: none."""


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from vesalius.bundle import Bundle, built_in

    found = {name: Bundle.load(path).card for name, path in built_in().items()}
    if args.json:
        models = [{**card.__dict__, "name": name, "scores": dict(card.scores)} for name, card in found.items()]
        print(json.dumps({"models": models}))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "segments", "Dice", "on", "licence of the data", box=None, pad_edge=False)
    for name, card in found.items():
        mean = card.scores.get("mean")
        table.add_row(name, card.description, "" if mean is None else f"{mean:.3f}", card.scores_on, card.data_licence)
    Console(highlight=False, markup=False).print(table)
    return 0
