"""What do overlap, mirroring and focus cost, and what are they worth?

    python benchmarks/dials.py ../shared/data/SET --bundle BUNDLE [--cases 12] [--backend torch-bfloat16]

Segments the labelled cases with each setting in turn and prints the mean Dice over labels and cases, the processor's
time of all threads (which a busy machine changes less than the clock's), and how many windows the network saw.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from vesalius import index
from vesalius.image import Case, LabelMap
from vesalius.predict import Segmenter, load_segmenter, segment
from vesalius.predict.backends import Run

SETTINGS: list[dict[str, Any]] = [
    *({"overlap": overlap, "mirror": mirror} for mirror in (False, "opposite", True) for overlap in (0.0, 0.25, 0.5)),
    {"overlap": 0.5, "mirror": False, "focus": True},
    {"overlap": 0.5, "mirror": True, "focus": True},
]


class Windows:
    """Counts the windows that a segmenter's networks see."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.count = 0
        right = segmenter.run

        def counted(window: tuple[int, ...], count: int) -> Run:
            run = right(window, count)

            def one(windows: torch.Tensor) -> torch.Tensor:
                self.count += len(windows)
                return run(windows)

            return one

        object.__setattr__(segmenter, "run", counted)


def dice(prediction: LabelMap, reference: LabelMap) -> float:
    """Mean over the labels that either shows."""
    found = []
    for label in reference.labels.labels:
        ours, theirs = prediction.array == label.value, reference.array == label.value
        if ours.any() or theirs.any():
            found.append(2 * int((ours & theirs).sum()) / int(ours.sum() + theirs.sum()))
    return statistics.mean(found)


def measured(
    cases: list[Case], segmenter: Segmenter, windows: Windows, setting: dict[str, Any]
) -> tuple[float, float, float, float]:
    """Mean Dice, processor's seconds a case, windows a case, and the share that was looked at closely."""
    scores, shares = [], []
    windows.count, start = 0, time.process_time()
    for case in cases:
        assert case.reference is not None
        found = segment(case.image, segmenter, **setting)
        scores.append(dice(found.labels, case.reference))
        focus = found.provenance["focus"]
        shares.append(1.0 if focus is None else focus["share"])
    seconds = (time.process_time() - start) / len(cases)
    return statistics.mean(scores), seconds, windows.count / len(cases), statistics.mean(shares)


def labelled(folder: Path, most: int) -> Iterator[Case]:
    """The cases with a reference."""
    dataset = index(folder, check=False)
    yield from (case for case in list(dataset)[:most] if case.reference is not None)


def main() -> None:
    """Print a row for each setting."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bundle", default="hippocampus")
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--backend", default="auto")
    args = parser.parse_args()
    ready = load_segmenter(args.bundle, device="cpu", backend=args.backend)
    windows = Windows(ready)
    cases = list(labelled(args.folder, args.cases))
    segment(cases[0].image, ready)  # makes the engine ready
    print(f"{len(cases)} cases, {args.bundle}, {args.backend}")
    print("| mirror | overlap | focus | Dice | processor, s | windows | looked at |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: |")
    for setting in SETTINGS:
        score, seconds, seen, share = measured(cases, ready, windows, setting)
        mirror, focus = (
            {False: "no", True: "all"}.get(setting["mirror"], setting["mirror"]),
            ("on" if setting.get("focus") else "off"),
        )
        figures = f"{score:.4f} | {seconds:.1f} | {seen:.0f} | {share:.0%}"
        print(f"| {mirror} | {setting['overlap']:g} | {focus} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
