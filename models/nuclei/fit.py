"""Fit the built-in model ``nuclei`` again: ``python models/nuclei/fit.py DATA OUT [--budget 6m]``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from vesalius.bundle import Card
from vesalius.image import Case, Dataset, LabelMap, Labels, Record
from vesalius.io import read, read_labels
from vesalius.plan import Budget, fingerprint, make_plan, parse_time, with_settings
from vesalius.train import fit

LABELS = Labels.of({"nucleus": 1})
SETTINGS = (
    "patch_size=160,160",
    "batch_size=3",
    "mirror_axes=",
    "optimisation.average_decay=0.98",
    "optimisation.warm_up_steps=20",
)
"""Small steps, so that there are some hundred of them on a busy machine, and a short memory of the weights' average."""
HELD_OUT_EACH = 4
"""Of the pictures of each kind, in the order of their names, every fourth teaches nothing."""


def main() -> None:
    """Fit on all pictures but those held out, which score the bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with images and labels")
    parser.add_argument("out", type=Path, help="folder of the bundle")
    parser.add_argument("--budget", default="6m", help="time, everything included (6m)")
    parser.add_argument("--resume", action="store_true", help="go on where an earlier run ended")
    args = parser.parse_args()
    began = time.monotonic()
    dataset = nuclei(args.data)
    held_out = held_out_of(dataset)
    facts = fingerprint(dataset.select([name for name in dataset.ids if name not in held_out]))
    plan = with_settings(make_plan(facts, Budget(time_s=parse_time(args.budget))), SETTINGS)
    card = Card(**json.loads((Path(__file__).parent / "card.json").read_text(encoding="utf-8")))
    spent = time.monotonic() - began
    made = fit(dataset, plan, args.out, validation=held_out, card=card, spent_s=spent, resume=args.resume)
    sys.stdout.write(f"{made.card.recipe}\n{dict(made.card.scores)} on {made.card.scores_on}\n")


def nuclei(folder: Path) -> Dataset:
    """The pictures; the nuclei, numbered in the files, are one label."""
    records = tuple(
        Record(id=path.stem[:8], images=(path,), reference=folder / "labels" / path.name, groups={"kind": _kind(path)})
        for path in sorted((folder / "images").glob("*.png"))
    )
    return Dataset(records, LABELS, ("image",), load=_load)


def held_out_of(dataset: Dataset) -> tuple[str, ...]:
    """Every fourth picture of each kind, so that each kind is among them."""
    kinds = sorted({record.groups["kind"] for record in dataset.records})
    of_kind = [[record.id for record in dataset.records if record.groups["kind"] == kind] for kind in kinds]
    return tuple(name for names in of_kind for name in names[1::HELD_OUT_EACH])


def _kind(path: Path) -> str:
    """Fluorescence is bright on black; in bright field the light shines through."""
    return "fluorescence" if np.median(read(path).array) < 100 else "bright field"


def _load(record: Record, _: Dataset) -> Case:
    assert record.reference is not None
    image, numbered = read(record.images[0]), read_labels(record.reference)
    reference = LabelMap((numbered.array > 0).astype(np.uint8), image.grid, LABELS)
    return Case(record.id, image, reference, groups=record.groups)


if __name__ == "__main__":
    main()
