"""``vesalius fit FOLDER -o BUNDLE``: train a segmenter inside a budget."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.admission import mark_withdrawals, note_begun, read_admission, warn_of_withdrawals
from vesalius.cli.arguments import add_budget, add_dataset, add_labels, age_s, read_budget, read_dataset
from vesalius.cli.plan import coarse_plan_path
from vesalius.cli.progress import counting, training

if TYPE_CHECKING:
    from vesalius.bundle import Bundle, Card
    from vesalius.image import Dataset
    from vesalius.plan import Plan
    from vesalius.train import Start, Status

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
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in BUNDLE, interrupted or, with a bigger --budget, finished",
    )
    folds = parser.add_argument_group("cross-validation")
    folds.add_argument(
        "--folds",
        type=int,
        metavar="N",
        help="train on all folds but one in turn, inside the budget together; score, choose and clean up out of fold",
    )
    folds.add_argument(
        "--combine",
        choices=("ensemble", "average"),
        default="ensemble",
        help="what to keep of the folds: all networks (default), or the mean of their weights, as fast as one network",
    )
    start = parser.add_argument_group("starting from what is known")
    start.add_argument(
        "--from", dest="start", metavar="BUNDLE", help="fine-tune a trained segmenter, labels changed or not"
    )
    start.add_argument(
        "--keep-labels",
        action="store_true",
        help="with --from: go on segmenting its labels too, though they are not drawn in the new references",
    )
    start.add_argument(
        "--encoder-weights", metavar="FILE", help="pretrained weights of the encoder (.safetensors, torchvision's .pth)"
    )
    how = parser.add_argument_group("how to work")
    how.add_argument(
        "--early-stop",
        type=int,
        nargs="?",
        const=5,
        metavar="LOOKS",
        help="cool down and end when the held-out cases get no better over so many of the 20 looks at them (5)",
    )
    how.add_argument("--cache", metavar="FOLDER", help="keep the prepared cases here, for other runs to share")
    how.add_argument("--cache-size", metavar="SIZE", help="the most that this folder may hold, for example 50GiB")
    how.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="compile the network first (on CUDA)",
    )
    how.add_argument(
        "--precision",
        choices=("auto", "bfloat16", "float32"),
        default="auto",
        help="number format of the training (what is faster here); float32 repeats a run closely on several processes",
    )
    how.add_argument("--track", metavar="URI", help="log to MLflow, too: a folder, sqlite:///FILE.db or http://SERVER")
    how.add_argument(
        "--cluster", metavar="RAY", help="train the folds on a Ray cluster: local, auto or ray://HOST:PORT"
    )


def run(args: argparse.Namespace) -> int:
    """Index, plan, train, and print the scores on the cases that were not learnt from."""
    from vesalius.train.distributed import team

    with team() as together:  # started by torchrun, there are several of us, and the first one speaks
        speaks = together.is_first
        with counting("reading", shown=speaks and not args.json) as progress:
            dataset = read_dataset(args, progress)
        if speaks and not args.json:
            for case in dataset.left_out:
                _say(f"left out: {case.id}: {case.reason}")
            for record in dataset.records:
                if record.reference is None:
                    _say(f"left out: {record.id}: it has no reference")
        # Timing the machine twice could decide twice: the first process plans for all.
        plans = _plans(args, dataset) if speaks else ()
        plans = _read_plans(together.share(_write_plans(plans)))
        start = _start(args)
        admission = read_admission(args) if speaks else None
        note_begun(admission, dataset, Path(args.output), None if start is None else start.bundle)
        try:
            with training(shown=speaks and not args.json) as status:
                bundle = _train(args, dataset, plans, start, status)
        except KeyboardInterrupt:
            if speaks and not args.json:
                _say("interrupted; the same command with --resume goes on")
            raise
        if speaks:
            _tell(args, bundle, dataset)
            if gone := mark_withdrawals(admission, Path(args.output)):
                _say(f"{gone} patients withdrew consent meanwhile: the bundle is marked")
    return 0


def _train(
    args: argparse.Namespace,
    dataset: Dataset,
    plans: Sequence[Plan],
    start: Start | None,
    status: Callable[[Status], None],
) -> Bundle:
    """One training, one for each fold, or a cascade."""
    from vesalius.plan import parse_memory
    from vesalius.train import Workshop, cross_validate, fit, fit_cascade

    how: dict[str, Any] = {
        "device": args.device,
        "seed": args.seed,
        "start": start,
        "card": _card(args.card) if args.card else None,
        "resume": args.resume,
        "spent_s": age_s(),
        "workshop": Workshop(
            cache=_cache(args),
            cache_gib=parse_memory(args.cache_size) if args.cache_size else None,
            compiled=args.compile,
            number_format=args.precision,
            track=args.track,
        ),
        "on_status": status,
    }
    if plans[-1].configuration == "3d_cascade":
        coarse, fine = plans
        return fit_cascade(
            dataset, coarse, fine, args.output, folds=args.folds, combine=args.combine, cluster=args.cluster, **how
        )
    if args.folds is not None:
        return cross_validate(
            dataset, plans, args.output, folds=args.folds, combine=args.combine, cluster=args.cluster, **how
        ).bundle
    return fit(dataset, plans[0], args.output, **how)


def _cache(args: argparse.Namespace) -> Path | None:
    """Where prepared cases are kept: those of a vault only in memory, as long as this process lives."""
    if (loan := getattr(args, "loan", None)) is not None:
        return Path(loan.folder / "prepared")
    return Path(args.cache) if args.cache else None


def _plans(args: argparse.Namespace, dataset: Dataset) -> tuple[Plan, ...]:
    """The plans of what is to be trained: one; a pair for a cascade; with folds one for each configuration."""
    from dataclasses import replace

    from vesalius.bundle import Bundle
    from vesalius.errors import PlanError
    from vesalius.plan import fingerprint, make_cascade, make_plan, parse_time, with_settings
    from vesalius.train import kept_plans
    from vesalius.train.cascade import FEWEST_FOLDS

    _refuse_what_has_no_use(args)
    kept = kept_plans(Path(args.output)) if args.resume else None
    if kept is not None:
        # The run goes on with the plan that it began with; only its budget may grow.
        if not (args.budget or args.steps):
            return kept
        if len(kept) > 1 or args.folds is not None:
            raise PlanError(
                "the budget of folds and cascades cannot be changed; only a single training can go on with more"
            )
        time_s = parse_time(args.budget) if args.budget else None
        return (replace(kept[0], budget=replace(kept[0].budget, time_s=time_s, steps=args.steps)),)
    if args.plan:
        plan = with_settings(_read_plan(Path(args.plan)), _settings(args))
        if plan.configuration != "3d_cascade":
            return (plan,)
        return (_read_plan(coarse_plan_path(Path(args.plan))), plan)
    with counting("measuring", shown=not args.json) as progress:
        facts = fingerprint(dataset, progress=progress)
    budget = read_budget(args)
    names: list[Any] = (args.configuration or "auto").split(",")
    if args.folds is not None and budget.time_s is not None:
        budget = replace(budget, time_s=budget.time_s / (args.folds * len(names)))
    if args.start:
        from vesalius.plan import adapt_plan

        base = Bundle.load(args.start).plan
        return (with_settings(adapt_plan(facts, budget, base, keep_labels=args.keep_labels), _settings(args)),)
    how: dict[str, Any] = {"network": args.network or "unet", "encoder": args.encoder}
    if names == ["3d_cascade"]:
        # With folds, the budget is that of one of them; without, the coarse stage has folds all the same.
        coarse, fine = make_cascade(facts, budget, coarse_folds=FEWEST_FOLDS if args.folds is None else 1, **how)
        return (coarse, with_settings(fine, _settings(args)))
    return tuple(with_settings(make_plan(facts, budget, configuration=name, **how), _settings(args)) for name in names)


def _refuse_what_has_no_use(args: argparse.Namespace) -> None:
    """Arguments that go with others only, or not with others."""
    from vesalius.errors import PlanError

    names = (args.configuration or "auto").split(",")
    cascade = names == ["3d_cascade"] or args.plan or args.resume  # or perhaps: their plans tell
    planning = [name for name in ("network", "configuration", "encoder") if getattr(args, name)]
    if args.plan and (planning or args.memory):
        raise PlanError(
            "--memory, --network, --encoder and --configuration say how to plan, and --plan brings a plan: "
            "leave out one or the other"
        )
    if args.start and planning:
        raise PlanError(
            f"--{planning[0]} says what is trained, and --from brings a trained network: leave out one or the other"
        )
    if len(names) > 1 and "3d_cascade" in names:
        raise PlanError("3d_cascade has two stages and cannot be compared with others in one run: name it alone")
    if args.folds is None and len(names) > 1:
        raise PlanError("several configurations are compared out of fold: give --folds, too")
    if args.folds is None and args.combine == "average":
        raise PlanError("--combine says what to keep of the folds: give --folds, too")
    if args.folds is None and args.cluster and not cascade:
        raise PlanError("--cluster is for folds, and one training is not divided: give --folds, too")


def _read_plan(path: Path) -> Plan:
    from vesalius.errors import PlanError
    from vesalius.plan import plan_from_json

    try:
        return plan_from_json(path.read_bytes())
    except OSError as error:
        raise PlanError(f"cannot read the plan {path}: {error.strerror}") from None


def _settings(args: argparse.Namespace) -> list[str]:
    early = [] if args.early_stop is None else [f"optimisation.patience={args.early_stop}"]
    return [*early, *args.set]


def _write_plans(plans: Sequence[Plan]) -> list[str]:
    from vesalius.plan import plan_to_json

    return [plan_to_json(plan) for plan in plans]


def _read_plans(texts: Sequence[str]) -> tuple[Plan, ...]:
    from vesalius.plan import plan_from_json

    return tuple(plan_from_json(text) for text in texts)


def _start(args: argparse.Namespace) -> Start | None:
    from vesalius.bundle import Bundle
    from vesalius.errors import PlanError
    from vesalius.train import Start

    if args.keep_labels and not args.start:
        raise PlanError("--keep-labels keeps the labels of a trained segmenter: name it with --from")
    if not (args.start or args.encoder_weights):
        return None
    bundle = Bundle.load(args.start) if args.start else None
    if bundle is not None:
        warn_of_withdrawals(bundle, args.start)
    return Start(
        bundle=bundle,
        keep_labels=args.keep_labels,
        encoder_weights=Path(args.encoder_weights) if args.encoder_weights else None,
    )


def _card(path: str) -> Card:
    """Read the words of a card; scores and recipe are not words but results, and are filled in."""
    from vesalius.bundle import Card
    from vesalius.errors import BundleError, unknown_name

    allowed = ("name", "description", "data", "data_licence", "limits", "suited")
    try:
        words = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BundleError(f"cannot read the card {path}: it must be a JSON object of texts") from None
    if not isinstance(words, dict) or not all(isinstance(words[name], str) for name in words if name != "suited"):
        raise BundleError(f"the card {path} must be a JSON object of texts")
    for name in words:
        if name not in allowed:
            raise BundleError(unknown_name("entry of a card", name, allowed))
    try:
        return Card(**words)
    except (TypeError, ValueError) as error:
        raise BundleError(f"the card {path}: {error}") from None


def _tell(args: argparse.Namespace, bundle: Bundle, dataset: Dataset) -> None:
    card = bundle.card
    if args.json:
        told = {"bundle": args.output, "scores": card.scores, "scores_on": card.scores_on, "recipe": card.recipe}
        print(json.dumps({**told, "provenance": bundle.provenance, "left_out": [c.id for c in dataset.left_out]}))
        return
    print(card.recipe)
    for words in bundle.postprocessing.words:
        print(f"chosen out of fold: {words}")
    scores = ", ".join(f"{name} {dice:.4f}" for name, dice in card.scores.items())
    print(f"Dice on {card.scores_on}: {scores}" if scores else f"not scored: {card.scores_on}")
    print(f"bundle: {args.output}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
