"""How long scoring a case takes, beside SimpleITK, surface-distance and (where installed) MONAI.

Each contender makes the same scores of the same pair in turn, one thread each: Dice, Hausdorff, HD95, average surface
distance, and surface Dice where it has one (SimpleITK: Dice and Hausdorff with its average). `vesalius` makes every
metric of its table. Each gets its own containers ready made. Times are medians.

    python benchmarks/metrics_speed.py [--repeats 5] [--large]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import time
import warnings
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch load

import numpy as np
from scipy import ndimage

from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics import evaluate

Contender = Callable[[np.ndarray, np.ndarray, int, tuple[float, ...]], Callable[[], None]]
"""Puts a pair into its own containers, and returns what is to be timed: everything from label arrays to scores."""


def organs(shape: tuple[int, ...], classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw smooth organs, and a prediction whose contour wanders by a voxel or two."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij", sparse=True)
    reference, prediction = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for value in range(1, classes + 1):
        centre = rng.uniform(-0.5, 0.5, len(shape))
        size = rng.uniform(0.15, 0.35)
        radius = sum((x - c) ** 2 for x, c in zip(axes, centre, strict=True)) ** 0.5
        wander = [ndimage.zoom(rng.normal(size=(8,) * len(shape)), [n / 8 for n in shape], order=1) for _ in "rp"]
        reference[radius + 0.03 * wander[0] < size] = value
        prediction[radius + 0.03 * wander[0] + 0.01 * wander[1] < size] = value
    return reference, prediction


def vesalius(
    reference: np.ndarray, prediction: np.ndarray, classes: int, spacing: tuple[float, ...]
) -> Callable[[], None]:
    """Every metric, every class."""
    grid = Grid.from_spacing(reference.shape, spacing)
    labels = Labels.of(range(1, classes + 1))
    pair = LabelMap(prediction, grid, labels), LabelMap(reference, grid, labels)

    def score() -> None:
        evaluate(*pair)

    return score


def surface_distance(
    reference: np.ndarray, prediction: np.ndarray, classes: int, spacing: tuple[float, ...]
) -> Callable[[], None]:
    """DeepMind's package: Dice, Hausdorff, HD95, average distances, surface Dice."""
    import surface_distance as sd

    def score() -> None:
        for value in range(1, classes + 1):
            one, other = reference == value, prediction == value
            sd.compute_dice_coefficient(one, other)
            found = sd.compute_surface_distances(one, other, spacing)
            sd.compute_robust_hausdorff(found, 100)
            sd.compute_robust_hausdorff(found, 95)
            sd.compute_average_surface_distance(found)
            sd.compute_surface_dice_at_tolerance(found, 1.0)

    return score


def simpleitk(
    reference: np.ndarray, prediction: np.ndarray, classes: int, spacing: tuple[float, ...]
) -> Callable[[], None]:
    """SimpleITK: LabelOverlapMeasures for all classes, HausdorffDistance (with its average) for each."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    images = [sitk.GetImageFromArray(a.T) for a in (reference, prediction)]
    for image in images:
        image.SetSpacing(spacing)

    def score() -> None:
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(*images)
        for value in range(1, classes + 1):
            overlap.GetDiceCoefficient(value)
            distance = sitk.HausdorffDistanceImageFilter()
            distance.Execute(images[0] == value, images[1] == value)

    return score


def monai(
    reference: np.ndarray, prediction: np.ndarray, classes: int, spacing: tuple[float, ...]
) -> Callable[[], None]:
    """MONAI: Dice, Hausdorff, HD95, average symmetric distance, surface Dice, on one-hot tensors."""
    import torch
    from monai import metrics as mm

    torch.set_num_threads(1)

    def score() -> None:
        pair = [
            torch.nn.functional.one_hot(torch.from_numpy(a.astype(np.int64)), classes + 1).movedim(-1, 0)[None]
            for a in (prediction, reference)
        ]
        mm.compute_dice(*pair, include_background=False)
        mm.compute_hausdorff_distance(*pair, spacing=spacing)
        mm.compute_hausdorff_distance(*pair, percentile=95, spacing=spacing)
        mm.compute_average_surface_distance(*pair, symmetric=True, spacing=spacing)
        mm.compute_surface_dice(*pair, [1.0] * classes, spacing=spacing)

    return score


def main() -> None:
    """Time the contenders in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="add a CT of 512 x 512 x 200 voxels")
    arguments = parser.parse_args()
    contenders: dict[str, Contender] = {"vesalius": vesalius}
    for name, module, run in (
        ("surface-distance", "surface_distance", surface_distance),
        ("SimpleITK", "SimpleITK", simpleitk),
        ("MONAI", "monai", monai),
    ):
        if importlib.util.find_spec(module):
            contenders[name] = run
        else:
            print(f"{name} is not installed: left out")
    patch_numpy_for_surface_distance()
    sizes = {
        "picture 256x256, 1 class": ((256, 256), 1, (1.0, 1.0)),
        "hippocampus 40x56x40, 2 classes": ((40, 56, 40), 2, (1.0, 1.0, 1.0)),
        "cine MR 216x256x10, 3 classes": ((216, 256, 10), 3, (1.4, 1.4, 10.0)),
        "MR 192x192x128, 4 classes": ((192, 192, 128), 4, (1.0, 1.0, 1.2)),
    }
    if arguments.large:
        sizes["CT 512x512x200, 8 classes"] = ((512, 512, 200), 8, (0.8, 0.8, 2.0))
    for title, (shape, classes, spacing) in sizes.items():
        reference, prediction = organs(shape, classes, seed=1)
        ready = {name: prepare(reference, prediction, classes, spacing) for name, prepare in contenders.items()}
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(arguments.repeats):
            for name, score in ready.items():
                started = time.perf_counter()
                score()
                times[name].append(1000 * (time.perf_counter() - started))
        ours = statistics.median(times["vesalius"])
        print(title)
        for name, taken in times.items():
            median = statistics.median(taken)
            print(f"    {name:18s} {median:9.1f} ms   {median / ours:6.1f} x")


def patch_numpy_for_surface_distance() -> None:
    """Give surface-distance 0.1 the spellings that numpy 2 took away, and silence its use of old scipy names."""
    warnings.simplefilter("ignore", DeprecationWarning)
    for name, value in (("Inf", np.inf), ("NaN", np.nan)):
        if not hasattr(np, name):
            setattr(np, name, value)


if __name__ == "__main__":
    main()
