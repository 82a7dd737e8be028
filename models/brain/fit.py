"""Fit the built-in model ``brain`` again: ``python models/brain/fit.py MAPS OUT [--budget 75m]``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vesalius.bundle import Bundle, Card
from vesalius.cli.progress import training
from vesalius.plan import Budget, parse_time
from vesalius.synth.brain import brain_dataset, brain_plan
from vesalius.train import Start, fit

HELD_OUT = ("training_seg_08", "training_seg_13")
"""Maps that teach nothing: the images painted from them tell how well others are segmented."""


def main() -> None:
    """Fit on all maps of a folder but those held out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("maps", type=Path, help="folder of SynthSeg's training label maps")
    parser.add_argument("out", type=Path, help="folder of the bundle")
    parser.add_argument("--budget", default="75m", help="time, everything included (75m)")
    parser.add_argument("--steps", type=int, default=4000, help="that are expected to fit (4000)")
    parser.add_argument("--resume", action="store_true", help="go on where an earlier run ended")
    parser.add_argument("--start", help="a bundle whose weights are what training starts from")
    args = parser.parse_args()
    paths = [path for path in sorted(args.maps.glob("*.nii.gz")) if path.name.partition(".")[0] not in HELD_OUT]
    plan = brain_plan(Budget(time_s=parse_time(args.budget)), steps=args.steps)
    card = Card(**json.loads((Path(__file__).parent / "card.json").read_text(encoding="utf-8")))
    start = None if args.start is None else Start(bundle=Bundle.load(args.start))
    with training(shown=True) as status:
        fit(brain_dataset(paths), plan, args.out, seed=0, start=start, card=card, resume=args.resume, on_status=status)


if __name__ == "__main__":
    main()
