"""What is each ingredient of the recipe worth? One is changed at a time, at a fixed budget, over several seeds.

    python benchmarks/ablation.py ../shared/data/msd_hippocampus --work WORK --steps 400
    python benchmarks/ablation.py ../shared/data/msd_hippocampus --work WORK --budget 5m --only base bf16 width
    python benchmarks/ablation.py ../shared/data/msd_hippocampus --work WORK --steps 400 --report

The plan is made once and kept in WORK; each variant changes one thing in it. Seed n learns with seed n from all folds
but the n-th (by patient) and is scored on that one, so that variants are paired: what the table shows is the mean over
the seeds of (variant - base), and ± the standard deviation of these differences. With --steps every variant takes
equally many steps, and what a step costs is told beside; with --budget each has the same wall time, and what is slow
takes fewer steps (only on a machine that nothing else uses). Seeds are the outer loop: a table can be had after the
first. Every result is a file in WORK; the same command again does what is missing.

Two processes with a core each learn more in an hour than one with both, and are as fair as long as both run:

    taskset -c 0 python benchmarks/ablation.py ../shared/data/msd_hippocampus --work WORK --budget 5m --share 1/2
    taskset -c 1 python benchmarks/ablation.py ../shared/data/msd_hippocampus --work WORK --budget 5m --share 2/2
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vesalius.augment import Augmentation
from vesalius.image import Dataset
from vesalius.io.atomic import make_folder, write_text
from vesalius.io.layouts import index
from vesalius.metrics import evaluate
from vesalius.nets import UNetSpec
from vesalius.nets.specs.unet import RESIDUAL_BLOCKS
from vesalius.plan import (
    Budget,
    Optimisation,
    Plan,
    fingerprint,
    make_plan,
    parse_time,
    plan_from_json,
    plan_to_json,
    with_settings,
)
from vesalius.plan.recipe import OptimiserKind
from vesalius.predict import segment
from vesalius.train import fit
from vesalius.train.fit import Workshop

BASE = "base"
FOLDS = 5

Change = Callable[[Plan], Plan]


@dataclass(frozen=True)
class Variant:
    """One thing that differs from the base.

    Args:
        ingredient: What it belongs to.
        words: What is different.
        change: Of the plan.
        workshop: Of what the training may use of the machine.
    """

    ingredient: str
    words: str
    change: Change = lambda plan: plan
    workshop: dict[str, Any] = field(default_factory=dict)


def _settings(*settings: str) -> Change:
    return lambda plan: with_settings(plan, settings)


def _wider(factor: float) -> Change:
    def change(plan: Plan) -> Plan:
        spec = _unet(plan)
        features = tuple(max(8, round(n * factor / 8) * 8) for n in spec.features)
        return replace(plan, network=replace(spec, features=features))

    return change


def _residual(plan: Plan) -> Plan:
    spec = _unet(plan)
    stages = len(spec.features)
    spec = replace(spec, residual=True, encoder_blocks=RESIDUAL_BLOCKS[:stages], decoder_blocks=(1,) * (stages - 1))
    return replace(plan, network=spec)


def _optimiser(kind: OptimiserKind) -> Change:
    def change(plan: Plan) -> Plan:
        # Warm-up and average follow from the number of steps, which stays the same.
        mine, suited = plan.optimisation, Optimisation.for_optimiser(kind, 1000)
        suited = replace(suited, warm_up_steps=mine.warm_up_steps, average_decay=mine.average_decay)
        return replace(plan, optimisation=suited)

    return change


def _augmented(*chances: str, keep: bool) -> Change:
    """Only the named transforms, or all but them."""

    def change(plan: Plan) -> Plan:
        known = [name for name in Augmentation.__dataclass_fields__ if name.endswith("_p")]
        off = [name for name in known if (name in chances) != keep and not name.endswith("_channel_p")]
        changed = replace(plan, augmentation=replace(plan.augmentation, **dict.fromkeys(off, 0.0)))
        # What was not mirrored in training is not when segmenting.
        return replace(changed, mirror_axes=()) if "mirror_p" in off else changed

    return change


def _unet(plan: Plan) -> UNetSpec:
    if not isinstance(plan.network, UNetSpec):
        raise SystemExit(f"the plan's network is {plan.network.architecture!r}: only a U-Net is taken apart here")
    return plan.network


_SPATIAL = ("rotation_p", "scale_p", "mirror_p")
VARIANTS: dict[str, Variant] = {
    BASE: Variant("", "the plan as it was made"),
    "fp32": Variant("bf16", "single precision", workshop={"number_format": "float32"}),
    "channels-first": Variant("channels-last", "channels first in memory", workshop={"channels_last": False}),
    "no-average": Variant("EMA", "the last weights, not their average", _settings("optimisation.average_decay=0")),
    "constant": Variant("schedule", "constant rate", _settings("optimisation.schedule=constant")),
    "linear": Variant("schedule", "falling from the start", _settings("optimisation.schedule=linear")),
    "cosine": Variant("schedule", "cosine", _settings("optimisation.schedule=cosine")),
    "poly": Variant("schedule", "polynomial, 0.9", _settings("optimisation.schedule=poly")),
    "no-warm-up": Variant("schedule", "no warm-up", _settings("optimisation.warm_up_steps=0")),
    "unaugmented": Variant("augmentation", "none", _augmented(keep=True)),
    "spatial": Variant("augmentation", "rotation, scale, mirror", _augmented(*_SPATIAL, keep=True)),
    "unmirrored": Variant("augmentation", "all but mirroring", _augmented("mirror_p", keep=False)),
    "shallow": Variant("deep supervision", "off", _settings("network.deep_supervision=false")),
    "half-width": Variant("width", "half the features", _wider(0.5)),
    "double-width": Variant("width", "twice the features", _wider(2)),
    "residual": Variant("residual encoder", "nnU-Net's ResEnc blocks", _residual),
    "attention": Variant("attention", "gates on the skips", _settings("network.attention=true")),
    "adamw": Variant("optimiser", "AdamW", _optimiser("adamw")),
    "adam": Variant("optimiser", "Adam", _optimiser("adam")),
    "sgd": Variant("optimiser", "SGD, Nesterov, as nnU-Net", _optimiser("sgd")),
    "cross-entropy": Variant("loss", "cross-entropy", _settings("loss.kind=cross_entropy")),
    "dice": Variant("loss", "soft Dice", _settings("loss.kind=dice")),
    "focal": Variant("loss", "Dice and focal", _settings("loss.kind=dice_focal")),
    "anywhere": Variant("sampling", "patches anywhere", _settings("foreground_fraction=0")),
}


def run(variant: Variant, plan: Plan, dataset: Dataset, seed: int, work: Path) -> dict[str, Any]:
    """Train a variant with a seed and score it on the cases of its fold."""
    held_out = dataset.folds(FOLDS)[seed]
    teaching = dataset.select([i for i in dataset.ids if i not in set(held_out)])
    shop = Workshop(cache=work / "cache", **variant.workshop)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        before = time.process_time()
        bundle = fit(teaching, variant.change(plan), Path(folder) / "bundle", seed=seed, validation=(), workshop=shop)
        processor_s = time.process_time() - before
        scores = [
            evaluate(segment(case.image, bundle).labels, case.reference, case=case.id, metrics=("dice",))
            for case in dataset.select(held_out)
            if case.reference is not None
        ]
    done = bundle.provenance
    rows = [[row["dice"] for row in score.values.values()] for score in scores]
    return {
        "dice": float(np.mean([np.nanmean(row) for row in rows if not np.isnan(row).all()])),
        "steps": done["steps"],
        "trained_s": done["trained_s"],
        "processor_s": round(processor_s, 2),
        "parameters": int(sum(np.prod(tensor.shape) for tensor in bundle.weights.values())),
        "cases": {score.case: score.to_dict()["values"] for score in scores},
    }


def fill_cache(plan: Plan, dataset: Dataset, work: Path) -> None:
    """Prepare all cases, so that no variant pays for it: a training of one step does."""
    if not (work / "cache").exists():
        with tempfile.TemporaryDirectory(dir=work) as folder:
            once = replace(plan, budget=Budget(steps=1))
            fit(dataset, once, Path(folder) / "bundle", validation=(), workshop=Workshop(cache=work / "cache"))


def tell(work: Path, seeds: range) -> None:
    """Print what is there, the base first."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for name in VARIANTS:
        files = {seed: work / name / f"{seed}.json" for seed in seeds}
        found[name] = {seed: json.loads(file.read_text()) for seed, file in files.items() if file.is_file()}
    base = found[BASE]
    print(
        f"\n{'ingredient':17} {'instead':35} {'seeds':>5} {'Dice':>7} {'difference':>17} "
        f"{'steps':>6} {'core-ms/step':>12} {'M weights':>9}"
    )
    for name, results in found.items():
        if not results:
            continue
        variant, rows = VARIANTS[name], results.values()
        apart = [results[seed]["dice"] - base[seed]["dice"] for seed in results if seed in base]
        spread = float(np.std(apart, ddof=1)) if len(apart) > 1 else math.nan
        difference = f"{np.mean(apart):+.4f} ± {spread:.4f}" if apart and name != BASE else ""
        pace = np.mean([1000 * row["processor_s"] / row["steps"] for row in rows])
        print(
            f"{variant.ingredient:17} {variant.words:35} {len(results):>5} "
            f"{np.mean([row['dice'] for row in rows]):>7.4f} {difference:>17} "
            f"{np.mean([row['steps'] for row in rows]):>6.0f} {pace:>12.0f} "
            f"{np.mean([row['parameters'] for row in rows]) / 1e6:>9.2f}"
        )


def _plan(dataset: Dataset, work: Path, args: argparse.Namespace) -> Plan:
    """The plan that all variants start from: the one in ``work``, or a new one."""
    kept = work / "plan.json"
    if not kept.is_file():
        plan = make_plan(fingerprint(dataset), Budget(time_s=args.budget, steps=args.steps))
        write_text(kept, plan_to_json(with_settings(plan, args.set)))
    plan = plan_from_json(kept.read_bytes())
    if (plan.budget.time_s, plan.budget.steps) != (args.budget, args.steps):
        raise SystemExit(f"{kept} was made for another budget ({plan.budget}): choose another --work")
    return plan


def _share(text: str) -> tuple[int, int]:
    """The first job, and the stride."""
    number, _, of = text.partition("/")
    if not 1 <= int(number) <= int(of):
        raise ValueError
    return int(number) - 1, int(of)


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a data set that Vesalius can index")
    parser.add_argument("--work", type=Path, required=True, help="folder of the plan and the results")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int, help="of each run")
    length.add_argument("--budget", type=parse_time, metavar="TIME", help="of each run")
    parser.add_argument("--seeds", type=int, default=3, choices=range(1, FOLDS + 1), help="(3)")
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=VARIANTS, metavar="VARIANT", help="(all)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="of the base plan")
    parser.add_argument(
        "--share", type=_share, default=(0, 1), metavar="K/N", help="each N-th run, from the K-th (1/1)"
    )
    parser.add_argument("--report", action="store_true", help="run nothing: the table of what is there")
    parser.epilog = "variants: " + ", ".join(VARIANTS)
    args = parser.parse_args()
    work = make_folder(args.work)
    if not args.report:
        dataset = index(args.folder).with_reference()
        plan = _plan(dataset, work, args)
        fill_cache(plan, dataset, work)
        first, stride = args.share
        jobs = [(seed, name) for seed in range(args.seeds) for name in dict.fromkeys([BASE, *args.only])]
        for seed, name in jobs[first::stride]:
            result = make_folder(work / name) / f"{seed}.json"
            if not result.is_file():
                found = run(VARIANTS[name], plan, dataset, seed, work)
                write_text(result, json.dumps(found, indent=1))
                print(f"{name:16} seed {seed}: Dice {found['dice']:.4f} in {found['steps']} steps", flush=True)
    tell(work, range(args.seeds))


if __name__ == "__main__":
    main()
