"""Fit a recipe and score what it held out: ``python models/fit.py NAME DATA OUT [--budget 8m | --steps N] [--resume]``.

The bundle goes to OUT, with the scores on its card; all scores, case by case, go to OUT/scores.json, or where --scores
says.
Cases that are held out have no part in the training: neither in watching it nor in choosing a clean-up.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recipes import RECIPES, Recipe, Seen

from vesalius import __version__
from vesalius.bundle import Bundle, Card
from vesalius.bundle.card import card_to_json
from vesalius.cli.progress import training
from vesalius.errors import DataError, VesaliusError
from vesalius.image import Dataset
from vesalius.io.atomic import write_text
from vesalius.metrics import Scores, evaluate
from vesalius.nets import SlicesSpec, UNetSpec
from vesalius.plan import Budget, Plan, fingerprint, make_plan, parse_time, with_settings
from vesalius.plan.plan import Reason
from vesalius.predict import load_segmenter, segment
from vesalius.predict.unseen import Unseen, scored_card
from vesalius.train import fit, kept_plans

HERE = Path(__file__).parent
_SET = ("configuration", "network", "patch_size", "batch_size", "optimisation")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, split, plan, fit, score."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=sorted(RECIPES), metavar="NAME", help=", ".join(sorted(RECIPES)))
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the data set")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the bundle")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--budget", default="8m", help="time of the training (8m)")
    how.add_argument("--steps", type=int, help="of the training, instead of a time")
    parser.add_argument("--resume", action="store_true", help="go on where an earlier run ended")
    parser.add_argument("--scores", type=Path, metavar="FILE", help="where the scores go (OUT/scores.json)")
    parser.add_argument("--device", default="auto", help="where to compute (auto)")
    args = parser.parse_args(arguments)
    try:
        told = run(args)
    except VesaliusError as error:
        sys.stderr.write(f"{args.name}: {error}\n")
        return 1
    write_text(args.scores or args.out / "scores.json", json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    sys.stdout.write(f"{told['training']}\n{told['scores']} on {told['scores_on']}\n")
    return 0


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Fit and score; the bundle is written, the scores are returned."""
    began = time.monotonic()
    recipe = RECIPES[args.name]
    dataset = recipe.read(args.data).with_reference()
    for case in dataset.left_out:
        sys.stderr.write(f"left out: {case.id}: {case.reason}\n")
    teaching, held_out = split(dataset, recipe)
    budget = Budget(steps=args.steps) if args.steps else Budget(time_s=parse_time(args.budget))
    kept = kept_plans(args.out) if args.resume else None
    # A run goes on with the plan that it began with; only its budget may grow.
    plan = replace(kept[0], budget=budget) if kept else planned(teaching, recipe, budget)
    with training(shown=True) as status:
        fit(
            teaching,
            plan,
            args.out,
            validation=(),
            device=args.device,
            card=card_of(args.name),
            spent_s=0.0 if kept else time.monotonic() - began,
            resume=args.resume,
            on_status=status,
        )
    return score(args.name, args.out, args.data, held_out, device=args.device)


def split(dataset: Dataset, recipe: Recipe) -> tuple[Dataset, Dataset]:
    """Who teaches and who is held out.

    Raises:
        DataError: A part is empty.
    """
    held_out = recipe.held_out(dataset)
    teaching = tuple(name for name in dataset.ids if name not in held_out)
    if not held_out or not teaching:
        raise DataError(f"{len(dataset)} cases are too few to teach with some and hold others out")
    return dataset.select(teaching), dataset.select(held_out)


def planned(dataset: Dataset, recipe: Recipe, budget: Budget) -> Plan:
    """What the data decide by the planner's rules; network, patch and batch by the recipe. The machine is not timed."""
    facts = fingerprint(dataset)
    configuration: Any = recipe.configuration
    made = make_plan(facts, budget, configuration=configuration, step_seconds=lambda *_: 1.0)
    slabs = made.network if isinstance(made.network, SlicesSpec) else None
    inner = UNetSpec.plain(
        ndim=made.ndim if slabs is None else 2,
        in_channels=made.network.in_channels if slabs is None else slabs.inner.in_channels,
        out_channels=made.network.out_channels,
        features=recipe.features,
        deep_supervision=True,
    )
    reasons = tuple(reason for reason in made.reasons if reason.field.partition(".")[0] not in _SET)
    words = f"a U-Net of {recipe.features[0]} to {max(recipe.features)} features, set by the recipe"
    made = replace(
        made,
        network=inner if slabs is None else replace(slabs, inner=inner),
        patch_size=recipe.patch_size,
        batch_size=recipe.batch_size,
        reasons=(*reasons, *(Reason(name, words) for name in ("network", "patch_size", "batch_size"))),
    )
    return with_settings(made, recipe.settings)


def card_of(name: str) -> Card:
    """The words of a recipe's card."""
    return Card(**json.loads((HERE / name / "card.json").read_text(encoding="utf-8")))


def score(name: str, out: Path, data: Path, held_out: Dataset, *, device: str = "auto") -> dict[str, Any]:
    """Score the cases that were held out, and put what a card tells of them on the bundle's.

    Args:
        name: Of the recipe.
        out: The bundle's folder.
        data: Folder of the data set.
        held_out: Cases that taught nothing.
        device: Where to compute.

    Returns:
        All scores, as JSON has them.
    """
    recipe, bundle = RECIPES[name], Bundle.load(out)
    segmenter = load_segmenter(bundle, device=device)
    seen, scores, unseen = [], [], []
    for case in held_out:
        assert case.reference is not None
        said = segment(case.image, segmenter).labels
        found = evaluate(said, case.reference, case=case.id, metrics=recipe.metrics)
        seen.append(Seen(case, said))
        scores.append(found)
        dice = {label: row["dice"] for label, row in found.values.items()}
        unseen.append(Unseen(case.patient or case.id, dice, case.groups))
    persons = len({one.person for one in unseen})
    words = recipe.unseen.format(cases=len(unseen), persons=persons)
    card = scored_card(bundle.card, unseen, bundle.plan.labels.names, on=words)
    replace(bundle, card=card).save(out, precision=bundle.exact_precision)
    told = card_to_json(card)
    return {
        "recipe": name,
        "made_by": f"vesalius {__version__}",
        "training": card.recipe,
        "cases": len(unseen),
        "persons": persons,
        **{key: told.get(key, {}) for key in ("scores_on", "scores", "intervals", "subgroups")},
        "metrics": _means(scores, [one.person for one in unseen]),
        "measures": recipe.measures(data, seen) if recipe.measures else {},
        "each": {
            case.id: {"person": one.person, "groups": dict(one.groups), **found.to_dict()["values"]}
            for case, one, found in zip((one.case for one in seen), unseen, scores, strict=True)
        },
    }


def _means(scores: Sequence[Scores], persons: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """The mean of each label and metric; a person counts once, and NaN, a score that does not exist, not at all."""
    means: dict[str, dict[str, float | None]] = {}
    for label, row in scores[0].values.items():
        means[label] = {}
        for metric in row:
            of: dict[str, list[float]] = {}
            for who, one in zip(persons, scores, strict=True):
                if not math.isnan(value := one.values[label][metric]):
                    of.setdefault(who, []).append(value)
            each = [sum(values) / len(values) for values in of.values()]
            means[label][metric] = round(sum(each) / len(each), 4) if each else None
    return means


if __name__ == "__main__":
    sys.exit(main())
