"""What does a segmenter lose when channels are missing, trained with and without channel dropout?

Each patient is held out in turn. Two networks learn from the others by the same plan, one with
``augmentation.channel_dropout_p`` 0, the other with ``--dropout``, and segment the held-out patient with every subset
of the channels. A bundle that was trained without channel dropout refuses to segment without a channel; here that is
got round, to see what it would say.

    python benchmarks/missing_channel.py ../shared/data/brats2013_flair_t1c --work WORK
        --labels necrosis=1,oedema=2,non-enhancing=3,enhancing=4 --regions whole=1+2+3+4,core=1+3+4

Every result is a file in WORK; the same command again does what is missing. The table shows the mean Dice over the
held-out patients. Needs few patients and steps to show the difference, not to segment well.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from vesalius.bundle import Bundle
from vesalius.cli.arguments import add_dataset, add_labels, read_dataset
from vesalius.image import Dataset, Volume
from vesalius.io.atomic import make_folder, write_text
from vesalius.metrics import evaluate
from vesalius.nets import UNetSpec, divisor
from vesalius.plan import Budget, Plan, fingerprint, make_plan
from vesalius.predict import load_segmenter, segment
from vesalius.train import Workshop, fit

Table = dict[str, dict[str, float]]
"""Dice of each label and region, for each subset of the channels."""


def subsets(channels: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """All channels, then ever fewer, down to each alone."""
    for count in range(len(channels), 0, -1):
        yield from combinations(channels, count)


def plan_for(dataset: Dataset, args: argparse.Namespace) -> Plan:
    """A plan with a small network at a coarse spacing, so that it is trained in minutes."""
    plan = make_plan(fingerprint(dataset), Budget(steps=args.steps), step_seconds=lambda *_: 0.1)
    network = UNetSpec.plain(
        ndim=plan.ndim,
        in_channels=len(plan.channels),
        out_channels=plan.network.out_channels,
        features=args.features,
    )
    patch = tuple(max(1, args.patch // step) * step for step in divisor(network))
    spacing = tuple(max(args.spacing, mm) for mm in plan.spacing_mm) if plan.calibrated else plan.spacing_mm
    return replace(plan, network=network, patch_size=patch, batch_size=2, spacing_mm=spacing)


def run(dataset: Dataset, plan: Plan, held_out: str, work: Path) -> Table:
    """Train without a patient, and segment this one with every subset of the channels."""
    unseen = [r.id for r in dataset.records if (r.patient or r.id) == held_out]
    teaching = dataset.select([i for i in dataset.ids if i not in unseen])
    with tempfile.TemporaryDirectory(dir=work) as folder:
        shop = Workshop(cache=work / "cache")
        bundle = fit(teaching, plan, Path(folder) / "bundle", validation=(), workshop=shop)
    segmenter = load_segmenter(_willing(bundle))
    table: Table = {}
    for held in subsets(plan.channels):
        places = [plan.channels.index(name) for name in held]
        found: dict[str, list[float]] = {}
        for case in dataset.select(unseen):
            assert case.reference is not None
            image = Volume(case.image.array[places], case.image.grid, case.image.meta)
            labels = segment(image, segmenter, channels=held, mirror=False).labels
            for target, values in evaluate(labels, case.reference, case=case.id, metrics=("dice",)).values.items():
                found.setdefault(target, []).append(values["dice"])
        table[" + ".join(held)] = {target: round(float(np.nanmean(dices)), 4) for target, dices in found.items()}
    return table


def _willing(bundle: Bundle) -> Bundle:
    """The bundle, which segments incomplete images whatever it was trained for."""
    augmentation = replace(bundle.plan.augmentation, channel_dropout_p=0.01)
    return replace(bundle, plan=replace(bundle.plan, augmentation=augmentation))


def tell(tables: dict[str, list[Table]]) -> None:
    """Print the means of what is there."""
    targets = list(dict.fromkeys(t for many in tables.values() for one in many for row in one.values() for t in row))
    print(f"\n{'trained':26} {'channels':24} {'patients':>8} " + " ".join(f"{target:>13}" for target in targets))
    for words, many in tables.items():
        for held in many[0] if many else ():
            means = [float(np.nanmean([one[held].get(target, np.nan) for one in many])) for target in targets]
            print(f"{words:26} {held:24} {len(many):>8} " + " ".join(f"{dice:13.3f}" for dice in means))


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_dataset(parser)
    add_labels(parser)
    parser.add_argument("--work", type=Path, required=True, help="folder of the results")
    parser.add_argument("--dropout", type=float, default=0.25, help="chance that a channel is dropped (0.25)")
    parser.add_argument("--steps", type=int, default=300, help="of each training (300)")
    parser.add_argument("--patients", type=int, default=3, help="that are held out, one at a time (3)")
    parser.add_argument("--features", type=int, nargs="+", default=[8, 16, 32], help="of the U-Net (8 16 32)")
    parser.add_argument("--patch", type=int, default=32, help="side of the patch, in voxels (32)")
    parser.add_argument("--spacing", type=float, default=3.0, help="millimetres, where the images are finer (3)")
    args = parser.parse_args()
    dataset = read_dataset(args).with_reference()
    make_folder(args.work)
    plan = plan_for(dataset, args)
    tables: dict[str, list[Table]] = {}
    for dropout in (0.0, args.dropout):
        words = f"with channel dropout {dropout:g}" if dropout else "without channel dropout"
        for patient in dataset.patients[: args.patients]:
            result = args.work / f"{dropout:g}-{patient}.json"
            if not result.is_file():
                how = replace(plan, augmentation=replace(plan.augmentation, channel_dropout_p=dropout))
                write_text(result, json.dumps(run(dataset, how, patient, args.work), indent=1))
                print(f"{words}, {patient}: {result.read_text()}", flush=True)
            tables.setdefault(words, []).append(json.loads(result.read_text()))
    tell(tables)


if __name__ == "__main__":
    main()
