"""``vesalius fit FOLDER -o BUNDLE``: train a segmenter inside a budget."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.cli.arguments import add_budget, add_dataset, add_labels, age_s, read_budget, read_dataset
from vesalius.cli.progress import counting, training

if TYPE_CHECKING:
    from vesalius.bundle import Card
    from vesalius.image import Dataset
    from vesalius.plan import Plan

HELP = "train a segmenter within a budget of time and memory, everything included"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius fit``."""
    add_dataset(parser)
    add_labels(parser)
    parser.add_argument("-o", "--output", metavar="BUNDLE", required=True, help="folder of the trained segmenter")
    add_budget(parser).add_argument(
        "--plan",
        metavar="PLAN.json",
        help="a plan written by `vesalius plan -o`, budget included, instead of a new one",
    )
    parser.add_argument("--card", metavar="CARD.json", help="words for the card: name, description, data …")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run in BUNDLE")


def run(args: argparse.Namespace) -> int:
    """Index, plan, train, and print the scores on the held-out cases."""
    from vesalius.train import fit

    with counting("reading", shown=not args.json) as progress:
        dataset = read_dataset(args, progress)
    plan = _plan(args, dataset)
    for case in dataset.left_out:
        _say(args, f"left out: {case.id}: {case.reason}")
    for record in dataset.records:
        if record.reference is None:
            _say(args, f"left out: {record.id}: it has no reference")
    try:
        with training(shown=not args.json) as status:
            bundle = fit(
                dataset,
                plan,
                args.output,
                device=args.device,
                card=_card(args.card) if args.card else None,
                seed=args.seed,
                resume=args.resume,
                spent_s=age_s(),
                on_status=status,
            )
    except KeyboardInterrupt:
        _say(args, "interrupted; the same command with --resume goes on")
        raise
    card = bundle.card
    if args.json:
        told = {"bundle": args.output, "scores": card.scores, "scores_on": card.scores_on, "recipe": card.recipe}
        print(json.dumps({**told, "provenance": bundle.provenance, "left_out": [c.id for c in dataset.left_out]}))
    else:
        print(card.recipe)
        scores = ", ".join(f"{name} {dice:.4f}" for name, dice in card.scores.items())
        print(f"Dice on {card.scores_on}: {scores}" if scores else f"not scored: {card.scores_on}")
        print(f"bundle: {args.output}")
    return 0


def _plan(args: argparse.Namespace, dataset: Dataset) -> Plan:
    from vesalius.errors import PlanError
    from vesalius.plan import fingerprint, make_plan, plan_from_json, with_settings

    kept = Path(args.output) / ".fit" / "run.json"
    if args.resume and kept.is_file():
        # The run goes on with the plan that it began with: timing the machine again could decide otherwise.
        return plan_from_json(json.dumps(json.loads(kept.read_text())["plan"]))
    if args.plan:
        if args.memory or args.network:
            raise PlanError(
                "--memory and --network say how to plan, and --plan brings a plan: leave out one or the other"
            )
        try:
            return with_settings(plan_from_json(Path(args.plan).read_bytes()), args.set)
        except OSError as error:
            raise PlanError(f"cannot read the plan {args.plan}: {error.strerror}") from None
    with counting("measuring", shown=not args.json) as progress:
        facts = fingerprint(dataset, progress=progress)
    return with_settings(make_plan(facts, read_budget(args), network=args.network or "unet"), args.set)


def _card(path: str) -> Card:
    """Read the words of a card; scores and recipe are not words but results, and are filled in."""
    from vesalius.bundle import Card
    from vesalius.errors import BundleError, unknown_name

    allowed = ("name", "description", "data", "data_licence", "limits")
    try:
        words = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BundleError(f"cannot read the card {path}: it must be a JSON object of texts") from None
    if not isinstance(words, dict) or not all(isinstance(text, str) for text in words.values()):
        raise BundleError(f"the card {path} must be a JSON object of texts")
    for name in words:
        if name not in allowed:
            raise BundleError(unknown_name("entry of a card", name, allowed))
    return Card(**words)


def _say(args: argparse.Namespace, text: str) -> None:
    import sys

    if not args.json:
        print(text, file=sys.stderr)
