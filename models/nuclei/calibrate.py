"""Calibrate the built-in model ``nuclei``: ``python models/nuclei/calibrate.py DATA``, after ``ship.py``.

The scores, with intervals and by kind, are those of all pictures that were held out. What is promised rests on those in
fluorescence, which the model is for: four, from which 80 % is the most that can be promised.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from fit import held_out_of, nuclei
from ship import PLACE

from vesalius.bundle import Bundle
from vesalius.bundle.calibration import calibration_to_json
from vesalius.predict import load_segmenter
from vesalius.predict.calibrate import MISSED, calibration_of, compare_case
from vesalius.predict.unseen import scored_card

LEVEL = 0.8


def main() -> None:
    """Segment what was held out, and write the card anew, words included; the weights stay."""
    words = json.loads((Path(__file__).parent / "card.json").read_text(encoding="utf-8"))
    dataset, bundle = nuclei(Path(sys.argv[1])), Bundle.load(PLACE).with_card(**words)
    segmenter = load_segmenter(bundle, device="cpu")
    held_out = dataset.select(held_out_of(dataset))
    found = [compare_case(case, segmenter, ("nucleus",), person=case.id) for case in held_out]
    bright = [one for one in found if one.unseen.groups["kind"] == "fluorescence"]
    on = f"{len(bright)} pictures in fluorescence that were held out; of which slides is not known: each counts as one"
    promised = calibration_of(bright, level=LEVEL, missed=MISSED, on=on)
    card = scored_card(bundle.card, [one.unseen for one in found], ("nucleus",), on=bundle.card.scores_on)
    replace(bundle, card=replace(card, calibration=promised)).save(PLACE, precision=bundle.exact_precision)
    sys.stdout.write(json.dumps(calibration_to_json(promised), indent=2) + "\n")


if __name__ == "__main__":
    main()
