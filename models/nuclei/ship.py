"""Score a fitted bundle and put it into the package: ``python models/nuclei/ship.py BUNDLE DATA``.

All pictures that were held out are scored, by kind.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from fit import held_out_of, nuclei

from vesalius.bundle import Bundle
from vesalius.metrics import evaluate
from vesalius.metrics.statistics import bootstrap_means
from vesalius.predict import load_segmenter, segment

PLACE = Path(__file__).parents[2] / "src" / "vesalius" / "models" / "nuclei"


def main() -> None:
    """Score, then write the bundle, its card and its log."""
    source, dataset = Path(sys.argv[1]), nuclei(Path(sys.argv[2]))
    segmenter = load_segmenter(source, device="cpu")
    dice: dict[str, list[float]] = {}
    for case in dataset.select(held_out_of(dataset)):
        assert case.reference is not None
        said = segment(case.image, segmenter).labels
        one = evaluate(said, case.reference, metrics=("dice",)).values["nucleus"]["dice"]
        dice.setdefault(case.groups["kind"], []).append(one)
        sys.stdout.write(f"{case.id} {case.groups['kind']} {one:.3f}\n")
    every = np.concatenate([*dice.values()])
    low, high = np.percentile(bootstrap_means(np.array([dice["fluorescence"]])), (2.5, 97.5))
    bright, shining = (np.array(dice[kind]) for kind in ("fluorescence", "bright field"))
    words = (
        f"{len(every)} pictures never trained on (fluorescence, {len(bright)}: {bright.mean():.3f}, 95 % interval over "
        f"the pictures {low:.3f} to {high:.3f}; bright field, {len(shining)}: {shining.mean():.3f})"
    )
    card = json.loads((Path(__file__).parent / "card.json").read_text(encoding="utf-8"))
    mean = round(float(every.mean()), 4)
    shutil.rmtree(PLACE, ignore_errors=True)
    Bundle.load(source).with_card(**card, scores={"nucleus": mean, "mean": mean}, scores_on=words).save(PLACE)
    for name in ("history.csv", "curves.png"):
        shutil.copyfile(source / name, PLACE / name)
    sys.stdout.write(f"{words}\n{sum(path.stat().st_size for path in PLACE.iterdir()) / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
