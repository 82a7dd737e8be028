"""Does it pay to go on from a trained segmenter when the labels change? And what is forgotten on the way?

Three groups of patients for each seed. From the first, a base learns the old label. The second has references with the
old and a new label: a fine-tuned network at a tenth of the budget stands against one from scratch at a tenth, and one
from scratch at the whole budget. Then the same group with references in which the old label was not drawn: it is kept
(``keep_labels``) or not. All are scored on the third group.

    python benchmarks/finetune.py ../shared/data/msd_hippocampus --old anterior=1 --new posterior=2 --work WORK

Budgets are steps, so that a busy machine changes nothing. Every result is a file in WORK; the same command again does
what is missing. The table shows medians over the seeds of the mean Dice.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from vesalius.bundle import Bundle
from vesalius.image import Case, Dataset, Label, LabelMap, Labels, Record
from vesalius.io.atomic import make_folder, write_text
from vesalius.io.layouts import index
from vesalius.metrics import evaluate
from vesalius.nets import UNetSpec, divisor
from vesalius.plan import Budget, Plan, adapt_plan, fingerprint, make_plan
from vesalius.predict import load_segmenter, segment
from vesalius.train import Start, Workshop, fit

RUNS = {
    "base": "old label only, whole budget (other patients)",
    "scratch": "both labels, from scratch, whole budget",
    "scratch-tenth": "both labels, from scratch, a tenth",
    "tuned-tenth": "both labels, fine-tuned, a tenth",
    "forgetful-tenth": "new label only, fine-tuned, a tenth",
    "kept-tenth": "new label only, fine-tuned, old one kept, a tenth",
}


def showing(dataset: Dataset, shown: Labels) -> Dataset:
    """The same cases, in whose references only some labels are drawn."""

    def load(record: Record, _: Dataset) -> Case:
        case = dataset.load(record, dataset)
        assert case.reference is not None
        array = np.where(np.isin(case.reference.array, shown.values), case.reference.array, 0)
        return replace(case, reference=LabelMap(array, case.reference.grid, shown))

    return replace(dataset, labels=shown, load=load)


def small(plan: Plan, features: tuple[int, ...], patch: int) -> Plan:
    """A plan with a small network and patch, so that a step is short."""
    network = UNetSpec.plain(
        ndim=plan.ndim, in_channels=len(plan.channels), out_channels=len(plan.labels) + 1, features=features
    )
    step = divisor(network)
    sizes = tuple(max(d, min(patch, p) // d * d) for p, d in zip(plan.patch_size, step, strict=True))
    return replace(plan, network=network, patch_size=sizes, batch_size=2)


def run(name: str, seed: int, dataset: Dataset, old: Label, new: Label, args: argparse.Namespace) -> dict[str, float]:
    """Train one of `RUNS` and score it on the unseen patients; the base's bundle is kept for the others."""
    both, only_old, only_new = Labels((old, new)), Labels((old,)), Labels((new,))
    ids = list(dataset.ids)
    random.Random(seed).shuffle(ids)
    before, now, unseen = (ids[: args.cases], ids[args.cases : 2 * args.cases], ids[2 * args.cases :][: args.unseen])
    work = make_folder(args.work / f"seed-{seed}")
    budget = Budget(steps=args.steps)
    tenth = Budget(steps=max(1, args.steps // 10))
    shown = {"base": only_old, "forgetful-tenth": only_new, "kept-tenth": only_new}.get(name, both)
    teaching = showing(dataset.select(before if name == "base" else now), shown)
    facts = fingerprint(teaching)
    start = None
    if name in ("base", "scratch", "scratch-tenth"):
        made = make_plan(facts, tenth if name.endswith("tenth") else budget, step_seconds=lambda *_: 0.1)
        plan = small(made, tuple(args.features), args.patch)
    else:
        base = Bundle.load(work / "base")
        only = name != "tuned-tenth"
        plan = adapt_plan(facts, tenth, base.plan, keep_labels=only, step_seconds=lambda *_: 0.1)
        start = Start(bundle=base, keep_labels=name == "kept-tenth")
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        out = work / "base" if name == "base" else Path(folder) / "bundle"
        shop = Workshop(cache=args.work / "cache")
        bundle = fit(teaching, plan, out, seed=seed, validation=(), start=start, workshop=shop, resume=True)
    segmenter = load_segmenter(bundle)
    found: dict[str, list[float]] = {label: [] for label in bundle.plan.labels.names}
    for case in showing(dataset.select(unseen), replace(both, labels=bundle.plan.labels.labels)):
        assert case.reference is not None
        values = evaluate(
            segment(case.image, segmenter, mirror=False).labels, case.reference, case=case.id, metrics=("dice",)
        ).values
        for label, dices in found.items():
            dices.append(values[label]["dice"])
    return {label: round(float(np.nanmean(dices)), 4) for label, dices in found.items()}


def tell(args: argparse.Namespace, old: Label, new: Label) -> None:
    """Print the medians of what is there."""
    print(f"\n{'':52} {'seeds':>5} {old.name:>12} {new.name:>12} {'mean':>8}")
    for name, words in RUNS.items():
        files = [args.work / f"seed-{seed}" / f"{name}.json" for seed in range(args.seeds)]
        rows = [json.loads(file.read_text()) for file in files if file.is_file()]
        if not rows:
            continue
        told = []
        for label in (old.name, new.name):
            values = [row[label] for row in rows if label in row]
            told.append(f"{statistics.median(values):12.3f}" if values else f"{'–':>12}")
        means = [statistics.fmean(row.values()) for row in rows]
        mean = f"{statistics.median(means):8.3f}" if new.name in rows[0] else f"{'–':>8}"
        print(f"{words:52} {len(rows):>5} {' '.join(told)} {mean}")


def _label(text: str) -> Label:
    name, _, value = text.partition("=")
    return Label(name, int(value))


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a data set with two labels or more")
    parser.add_argument("--work", type=Path, required=True, help="folder of the results")
    parser.add_argument("--old", type=_label, required=True, metavar="NAME=VALUE", help="the label known before")
    parser.add_argument("--new", type=_label, required=True, metavar="NAME=VALUE", help="the label that is new")
    parser.add_argument("--steps", type=int, default=400, help="the whole budget (400)")
    parser.add_argument("--seeds", type=int, default=3, help="(3)")
    parser.add_argument("--cases", type=int, default=60, help="of the base, and as many of the new data (60)")
    parser.add_argument("--unseen", type=int, default=30, help="to be scored on (30)")
    parser.add_argument("--features", type=int, nargs="+", default=[8, 16, 32], help="of the U-Net (8 16 32)")
    parser.add_argument("--patch", type=int, default=32, help="longest side of the patch, in voxels (32)")
    args = parser.parse_args()
    dataset = index(args.folder).with_reference()
    make_folder(args.work)
    for seed in range(args.seeds):
        for name in RUNS:
            result = args.work / f"seed-{seed}" / f"{name}.json"
            if not result.is_file():
                found = run(name, seed, dataset, args.old, args.new, args)
                write_text(result, json.dumps(found, indent=1))
                print(f"seed {seed} {name:16} {found}", flush=True)
    tell(args, args.old, args.new)


if __name__ == "__main__":
    main()
