"""``vesalius plan FOLDER``: what would be done within a budget, and why."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.cli.arguments import add_budget, add_dataset, add_labels, read_budget, read_dataset
from vesalius.cli.progress import counting

if TYPE_CHECKING:
    from vesalius.plan import Plan

HELP = "say how a segmenter would be trained within a budget, with a reason for every decision"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius plan``."""
    add_dataset(parser)
    add_labels(parser)
    add_budget(parser)
    parser.add_argument("-o", "--output", metavar="PLAN.json", help="write the plan, for `vesalius fit --plan`")


def run(args: argparse.Namespace) -> int:
    """Make the plan and print it."""
    from vesalius.io.atomic import write_text
    from vesalius.plan import fingerprint, make_plan, plan_to_json, with_settings

    with counting("reading", shown=not args.json) as progress:
        dataset = read_dataset(args, progress)
    with counting("measuring", shown=not args.json) as progress:
        facts = fingerprint(dataset, progress=progress)
    plan = with_settings(make_plan(facts, read_budget(args), network=args.network or "unet"), args.set)
    if args.output:
        write_text(Path(args.output), plan_to_json(plan) + "\n")
    if args.json:
        print(plan_to_json(plan))
    else:
        print_plan(plan)
    return 0


def print_plan(plan: Plan) -> None:
    """Print each decision with its reason."""
    from rich.console import Console
    from rich.table import Table

    from vesalius.nets import divisor, parameter_count

    table = Table("decision", "value", "reason", box=None, pad_edge=False)
    network = plan.network
    values = {
        "labels": ", ".join(plan.labels.names),
        "channels": ", ".join(plan.channels),
        "spacing_mm": " × ".join(f"{s:g}" for s in plan.spacing_mm) if plan.calibrated else "as it is",
        "normalisation": ", ".join(dict.fromkeys(n.scheme for n in plan.normalisation)),
        "patch_size": " × ".join(map(str, plan.patch_size)),
        "batch_size": str(plan.batch_size),
        "network": f"{network.architecture}, {parameter_count(network):,} parameters, stride {_by(divisor(network))}",
        "optimisation": f"{plan.optimisation.optimiser}, rate {plan.optimisation.learning_rate:g}",
        "augmentation": f"{len(plan.augmentation.mirror_axes)} mirror axes",
        "mirror_axes": ", ".join(map(str, plan.mirror_axes)) or "none",
    }
    for name, value in values.items():
        table.add_row(name, value, plan.why(name))
    console = Console(soft_wrap=False, highlight=False, markup=False)
    console.print(table)
    for reason in plan.reasons:
        if reason.field not in values:
            console.print(f"{reason.field}: {reason.why}")


def _by(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))
