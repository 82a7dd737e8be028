"""``vesalius demo``: the whole way in three minutes, with nothing but what is installed."""

from __future__ import annotations

import argparse
import json

from vesalius.cli.arguments import add_device
from vesalius.cli.progress import training

HELP = "segment the MNI152 brain and its hippocampi, then train a small segmenter; takes about three minutes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius demo``."""
    parser.add_argument("-o", "--output", metavar="FOLDER", default="demo", help="folder of the results (demo)")
    parser.add_argument("--budget", metavar="TIME", default="75s", help="for the training, everything included (75s)")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Run the demo and print where its report is."""
    from vesalius.plan import parse_time
    from vesalius.studies.demo import demo

    with training(shown=not args.json) as status:
        made = demo(args.output, budget_s=parse_time(args.budget), device=args.device, on_status=status)
    if args.json:
        print(
            json.dumps(
                {
                    "report": str(made.report),
                    "structures_ml": dict(made.structures_ml),
                    "volumes_ml": dict(made.volumes_ml),
                    "dice": dict(made.dice),
                    "steps": made.trained_steps,
                }
            )
        )
        return 0
    for name, ml in made.structures_ml.items():
        print(f"{name:28} {ml:7.2f} ml")
    for name, ml in made.volumes_ml.items():
        print(f"{name:28} {ml:7.2f} ml")
    scores = ", ".join(f"{name} {dice:.3f}" for name, dice in made.dice.items()) or "not scored, the time was up"
    print(f"trained {made.trained_steps} steps; Dice on the other half of the brain: {scores}")
    print(f"report: {made.report}")
    return 0
