"""What is each mirror image worth to a segmenter?

    python benchmarks/looks.py BUNDLE IMAGES LABELS

Every image is segmented as it is, with one mirror image beside it (for each combination of the axes that were mirrored
in training), and with all of them; the table tells the mean Dice over images and labels, and the median seconds of an
image. IMAGES are named like LABELS, with or without nnU-Net's _0000.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from vesalius.bundle import Bundle
from vesalius.io import read, read_labels
from vesalius.io.layouts.files import find_images, stem, suffix
from vesalius.metrics import evaluate
from vesalius.predict import load_segmenter, segment


def ways(bundle: Bundle) -> dict[str, tuple[Bundle, Any]]:
    """Name of each way to look, the bundle that allows it, and what is asked of `segment`."""
    axes = bundle.plan.augmentation.mirror_axes
    found: dict[str, tuple[Bundle, Any]] = {"as it is": (bundle, False)}
    for count in range(1, len(axes) + 1):
        for some in combinations(axes, count):
            augmentation = replace(bundle.plan.augmentation, mirror_axes=some)
            allowed = replace(bundle, plan=replace(bundle.plan, augmentation=augmentation))
            found["+ " + ", ".join(map(str, some))] = (allowed, "opposite")
    found[f"all {2 ** len(axes)}"] = (bundle, True)
    return found


def main() -> None:
    """Segment, score, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", help="a segmenter")
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("labels", type=Path, help="folder of their references")
    parser.add_argument("--backend", default="auto", help="what computes the network (auto)")
    args = parser.parse_args()
    bundle = Bundle.load(args.bundle)
    cases = [
        (path, args.labels / f"{stem(path).removesuffix('_0000')}{suffix(path)}") for path in find_images(args.images)
    ]
    print("| looks | Dice | s |\n| --- | ---: | ---: |")
    for name, (allowed, mirror) in ways(bundle).items():
        segmenter = load_segmenter(allowed, device="cpu", backend=args.backend)
        dice, seconds = [], []
        for path, place in cases:
            image, reference = read(path), read_labels(place, bundle.plan.labels)
            start = time.perf_counter()
            found = segment(image, segmenter, mirror=mirror).labels
            seconds.append(time.perf_counter() - start)
            values = evaluate(found, reference, case=path.name, metrics=("dice",)).to_dict()["values"]
            dice += [value["dice"] for value in values.values()]
        print(f"| {name} | {np.mean(dice):.4f} | {statistics.median(seconds):.3f} |", flush=True)


if __name__ == "__main__":
    main()
