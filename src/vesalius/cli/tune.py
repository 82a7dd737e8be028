"""``vesalius tune FOLDER -o OUT``: search the recipe by short trainings."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.cli.arguments import add_budget, add_dataset, add_labels, age_s, read_budget, read_dataset
from vesalius.cli.progress import counting, training

if TYPE_CHECKING:
    from vesalius.image import Dataset
    from vesalius.plan import Budget, Plan
    from vesalius.train.findings import Tuned

HELP = "search the recipe by short trainings on held-out cases, and write the best one as a plan"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius tune``."""
    add_dataset(parser)
    add_labels(parser)
    parser.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="folder of plan.json, trials.csv and report.html"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="how many of full length (20)")
    add_budget(parser)
    parser.add_argument(
        "--plan", metavar="PLAN.json", help="the plan to tune; else one is made for the time or steps given here"
    )
    parser.add_argument("--space", metavar="SPACE.json", help="what to vary, instead of the parts that usually matter")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    parser.add_argument("--resume", action="store_true", help="go on with the search in OUT, perhaps with more trials")
    parser.add_argument("--cache", metavar="FOLDER", help="keep the prepared cases here, for other runs to share")
    parser.add_argument("--cache-size", metavar="SIZE", help="the most that this folder may hold, for example 50GiB")
    parser.add_argument("--track", metavar="URI", help="log every trial to MLflow, see `vesalius fit`")
    parser.add_argument("--cluster", metavar="RAY", help="train trials side by side: local, auto or ray://HOST:PORT")


def run(args: argparse.Namespace) -> int:
    """Index, plan, search, and print what was found."""
    from vesalius.plan import parse_memory
    from vesalius.train import Workshop, tune
    from vesalius.train.space import read_space

    with counting("reading", shown=not args.json) as progress:
        dataset = read_dataset(args, progress)
    plan, budget = _plan(args, dataset)
    with training(shown=not args.json) as status:
        tuned = tune(
            dataset,
            plan,
            args.output,
            trials=args.trials,
            budget=budget,
            space=read_space(Path(args.space), plan) if args.space else None,
            device=args.device,
            seed=args.seed,
            resume=args.resume,
            spent_s=age_s(),
            workshop=Workshop(
                cache=Path(args.cache) if args.cache else None,
                cache_gib=parse_memory(args.cache_size) if args.cache_size else None,
                track=args.track,
            ),
            cluster=args.cluster,
            on_status=status,
        )
    _tell(args, tuned)
    return 0


def _plan(args: argparse.Namespace, dataset: Dataset) -> tuple[Plan, Budget | None]:
    """The plan to be tuned, and what the search may take; None for what it was begun with."""
    from vesalius.errors import PlanError
    from vesalius.plan import fingerprint, make_plan, plan_from_json, with_settings
    from vesalius.train import kept_search

    budget = read_budget(args)
    kept = kept_search(Path(args.output)) if args.resume else None
    if kept is not None:
        return kept.plan, budget if args.budget or args.steps else None
    if args.plan:
        if args.memory or args.network or args.configuration:
            raise PlanError(
                "--memory, --network and --configuration say how to plan, and --plan brings a plan: "
                "leave out one or the other"
            )
        try:
            return with_settings(plan_from_json(Path(args.plan).read_bytes()), args.set), budget
        except OSError as error:
            raise PlanError(f"cannot read the plan {args.plan}: {error.strerror}") from None
    with counting("measuring", shown=not args.json) as progress:
        facts = fingerprint(dataset, progress=progress)
    plan = make_plan(
        facts, budget, network=args.network or "unet", configuration=args.configuration or "auto", encoder=args.encoder
    )
    return with_settings(plan, args.set), budget


def _tell(args: argparse.Namespace, tuned: Tuned) -> None:
    from vesalius.train.space import changes

    changed = changes(tuned.before, tuned.plan, tuned.best.values)
    place = Path(args.output)
    if args.json:
        told = {
            "plan": str(place / "plan.json"),
            "report": str(place / "report.html"),
            "trials": len(tuned.trials),
            "dice": tuned.best.dice,
            "dice_before": None if tuned.baseline is None else tuned.baseline.dice,
            "changed": {name: now for name, (_, now) in changed.items()},
            "mattered": dict(tuned.mattered),
            "mattered_by": tuned.method,
        }
        print(json.dumps(told))
        return
    before = "" if tuned.baseline is None else f"; {tuned.baseline.dice:.3f} as it was"
    print(f"best of {len(tuned.trials)} trials: Dice {tuned.best.dice:.3f} on {tuned.cases}{before}")
    print("that is optimistic: the search chose by just these")
    for name, (was, now) in changed.items():
        print(f"{name:32} {was} -> {now}")
    print(f"plan: {place / 'plan.json'}   report: {place / 'report.html'}")
