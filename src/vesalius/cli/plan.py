"""``vesalius plan FOLDER``: what would be done within a budget, and why."""

from __future__ import annotations

import argparse
from dataclasses import fields
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
    """Make the plan, or the two of a cascade, and print it."""
    from vesalius.io.atomic import write_text
    from vesalius.plan import fingerprint, make_cascade, make_plan, plan_to_json, with_settings

    with counting("reading", shown=not args.json) as progress:
        dataset = read_dataset(args, progress)
    with counting("measuring", shown=not args.json) as progress:
        facts = fingerprint(dataset, progress=progress)
    how = {"network": args.network or "unet", "encoder": args.encoder}
    coarse = None
    if args.configuration == "3d_cascade":
        coarse, plan = make_cascade(facts, read_budget(args), **how)
    else:
        plan = make_plan(facts, read_budget(args), configuration=args.configuration or "auto", **how)
    plan = with_settings(plan, args.set)
    if args.output:
        place = Path(args.output)
        write_text(place, plan_to_json(plan) + "\n")
        if coarse is not None:
            write_text(coarse_plan_path(place), plan_to_json(coarse) + "\n")
    if args.json:
        told = plan_to_json(plan)
        print(told if coarse is None else f"[{plan_to_json(coarse)},\n{told}]")
    elif coarse is None:
        print_plan(plan)
    else:
        print_plan(coarse, title="the coarse stage")
        print_plan(plan, title="the fine stage")
    return 0


def coarse_plan_path(plan: Path) -> Path:
    """Where the plan of a cascade's coarse stage lies: beside that of the fine one.

    Example:
        >>> coarse_plan_path(Path("plan.json")).name
        'plan-coarse.json'
    """
    return plan.with_stem(f"{plan.stem}-coarse")


def print_plan(plan: Plan, *, title: str = "") -> None:
    """Print each decision with its reason."""
    from rich.console import Console
    from rich.table import Table

    table = Table("decision", "value", "reason", box=None, pad_edge=False, title=title or None, title_justify="left")
    values = _values(plan)
    for name, value in values.items():
        table.add_row(name, value, plan.why(name))
    console = Console(soft_wrap=False, highlight=False, markup=False)
    console.print(table)
    for reason in plan.reasons:
        if reason.field not in values:
            console.print(f"{reason.field}: {reason.why}")


def _values(plan: Plan) -> dict[str, str]:
    """Each decision in a few words."""
    from vesalius.nets import divisor, parameter_count

    network, how = plan.network, plan.optimisation
    ignored = "" if plan.labels.ignore is None else f" (nobody looked at {plan.labels.ignore})"
    values = {
        "labels": ", ".join(plan.labels.names) + ignored,
        "regions": ", ".join(output.name for output in plan.outputs) if plan.regions else "none",
        "channels": ", ".join(plan.channels),
        "configuration": plan.configuration,
        "spacing_mm": " × ".join(f"{s:g}" for s in plan.spacing_mm) if plan.calibrated else "as it is",
        "normalisation": ", ".join(dict.fromkeys(n.scheme for n in plan.normalisation)),
        "patch_size": " × ".join(map(str, plan.patch_size)),
        "batch_size": str(plan.batch_size),
        "network": f"{network.architecture}, {parameter_count(network):,} parameters, stride {_by(divisor(network))}",
        "loss": plan.loss.kind,
        "optimisation": f"{how.optimiser}, {how.schedule}, rate {how.learning_rate:g}",
        "augmentation": f"{len(plan.augmentation.mirrored_axes)} mirror axes",
        "foreground_fraction": f"{plan.foreground_fraction:.2f}",
        "mirror_axes": ", ".join(map(str, plan.mirror_axes)) or "none",
    }
    customs = [
        f"{field.name} {getattr(plan.preparation, field.name)}"
        for field in fields(plan.preparation)
        if getattr(plan.preparation, field.name) != getattr(type(plan.preparation)(), field.name)
    ]
    if customs:
        values["preparation"] = ", ".join(customs)
    if plan.coarse_labels:
        values["coarse_labels"] = str(plan.coarse_labels)
    if plan.input_scales != (1.0,):
        values["input_scales"] = ", ".join(f"{scale:g}" for scale in plan.input_scales)
    return values


def _by(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))
