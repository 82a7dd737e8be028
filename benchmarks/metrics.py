"""How long it takes to score a case, and how much memory: Vesalius beside its peers.

Each contender scores the same pair of label arrays, from bare arrays to numbers: Dice, HD95, average surface distance
and surface Dice at 1 mm, or what it has of them (`--only hd95`: HD95 alone). Every contender has a process of its own,
with all cores; wall time, processor time and the peak of memory above the two arrays and the loaded libraries are
measured in it, the best of the repeats. A peer that scores class by class and is not done after `--limit` seconds
of the processor is stopped: its time is what the first class took (the body, the largest) and the mean of the others
times their number. That is marked with "~", or with ">" where the first class alone was too much.

    python benchmarks/metrics.py [--pairs ct-1,ct-10,ct-100] [--contenders vesalius,monai] [--only hd95]
        [--limit 180] [--repeats 3] [--python panoptica=OTHER/bin/python]

Peers are left out where they are not installed. surface-distance and SimpleITK come with ``vesalius[dev]``, MONAI with
``vesalius[monai]``. panoptica and mikan-rs (Apache 2.0) pin other versions of numpy: give them an environment of their
own (``python -m venv .venvs/panoptica && .venvs/panoptica/bin/pip install panoptica``) and name it by `--python`. MedPy
and MISeval are under the GPL, and so no part of any extra: whoever wants the comparison installs them by hand, alike.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import numpy as np

PAIRS = {
    "picture": ((256, 256), 1, (1.0, 1.0)),
    "hippocampus": ((40, 56, 40), 2, (1.0, 1.0, 1.0)),
    "cine": ((216, 256, 10), 3, (1.4, 1.4, 10.0)),
    "mr": ((192, 192, 128), 4, (1.0, 1.0, 1.2)),
    "ct-1": ((512, 512, 300), 1, (0.8, 0.8, 2.5)),
    "ct-10": ((512, 512, 300), 10, (0.8, 0.8, 2.5)),
    "ct-100": ((512, 512, 300), 100, (0.8, 0.8, 2.5)),
}
Pair = tuple[np.ndarray, np.ndarray, int, tuple[float, ...]]
"""Reference, prediction, classes, spacing in mm."""


def anatomy(shape: tuple[int, ...], classes: int, spacing_mm: tuple[float, ...], seed: int = 1) -> list[np.ndarray]:
    """Draw a body and smooth organs in it, and a prediction whose contours wander by a millimetre or two."""
    rng = np.random.default_rng(seed)
    extent = np.multiply(shape, spacing_mm)
    pair = [np.zeros(shape, np.uint8) for _ in "rp"]
    for value in range(1, classes + 1):
        if value == 1:
            centre, radii = extent / 2, extent * np.resize([0.42, 0.30, 0.47], len(shape))
        else:
            centre = extent * rng.uniform(0.25, 0.75, len(shape))
            radii = extent.min() * rng.uniform(0.03, 0.15 if classes <= 10 else 0.08, len(shape))
            radii = np.maximum(radii, np.multiply(spacing_mm, 2))  # whatever is painted over it, some of it stays
        reach = 1.35 * radii + 10
        low = np.maximum((centre - reach) / spacing_mm, 0).astype(int)
        high = np.minimum(np.ceil((centre + reach) / spacing_mm), shape).astype(int)
        along = [(np.arange(*ends) + 0.5) * mm for *ends, mm in zip(low, high, spacing_mm, strict=True)]
        apart = [((x - c) / r) ** 2 for x, c, r in zip(along, centre, radii, strict=True)]
        radius = np.sqrt(sum(np.ix_(*apart)).astype(np.float32)) + 0.08 * waves(rng, high - low, reach)
        box = tuple(map(slice, low, high))
        pair[0][box][radius < 1] = value
        pair[1][box][radius + 1.5 / radii.min() * waves(rng, high - low, reach) < 1] = value
    return pair


def waves(rng: np.random.Generator, shape: np.ndarray, reach_mm: np.ndarray) -> np.ndarray:
    """A field of standard deviation 1 that changes over some 25 mm."""
    field = rng.normal(size=[max(4, int(2 * mm / 25) + 2) for mm in reach_mm]).astype(np.float32)
    for axis, n in enumerate(shape):
        at = np.linspace(0, field.shape[axis] - 1, n)
        low = np.minimum(at.astype(int), field.shape[axis] - 2)
        share = (at - low).astype(np.float32)
        share = (share * share * (3 - 2 * share)).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        field = field.take(low, axis) * (1 - share) + field.take(low + 1, axis) * share
    return field


def vesalius(pair: Pair, only: str) -> Iterator[dict]:
    """All classes at once; the label maps check their values, which is part of the time."""
    from vesalius.image import Grid, LabelMap, Labels
    from vesalius.metrics import evaluate

    reference, prediction, classes, spacing = pair
    grid, labels = Grid.from_spacing(reference.shape, spacing), Labels.of(range(1, classes + 1))
    metrics = ("hd95",) if only else ("dice", "hd95", "assd", "surface_dice")
    scores = evaluate(LabelMap(prediction, grid, labels), LabelMap(reference, grid, labels), metrics=metrics)
    yield from scores.values.values()


def surface_distance(pair: Pair, only: str) -> Iterator[dict]:
    """DeepMind's package, class by class: everything that is asked for."""
    import surface_distance as sd

    warnings.simplefilter("ignore", DeprecationWarning)  # version 0.1 uses old names of scipy's, and of numpy's
    np.Inf, np.NaN = np.inf, np.nan  # noqa: NPY201
    for value in range(1, pair[2] + 1):
        one, other = pair[0] == value, pair[1] == value
        found = sd.compute_surface_distances(one, other, pair[3])
        row = {"hd95": sd.compute_robust_hausdorff(found, 95)}
        if not only:
            averages = sd.compute_average_surface_distance(found)
            row["dice"] = sd.compute_dice_coefficient(one, other)
            row["assd"] = sum(averages) / 2
            row["surface_dice"] = sd.compute_surface_dice_at_tolerance(found, 1.0)
        yield row


def simpleitk(pair: Pair, only: str) -> Iterator[dict]:
    """SimpleITK: overlap of all classes, then Hausdorff with its average; it has no HD95 and no surface Dice."""
    import SimpleITK as sitk

    images = [sitk.GetImageFromArray(a.T) for a in pair[:2]]
    for image in images:
        image.SetSpacing(pair[3])
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    if not only:
        overlap.Execute(*images)
    for value in range(1, pair[2] + 1):
        distance = sitk.HausdorffDistanceImageFilter()
        distance.Execute(images[0] == value, images[1] == value)
        row = {"hausdorff": distance.GetHausdorffDistance()}
        if not only:
            row |= {"dice": overlap.GetDiceCoefficient(value), "average": distance.GetAverageHausdorffDistance()}
        yield row


def monai(pair: Pair, only: str) -> Iterator[dict]:
    """MONAI, a class at a time, for the one-hot tensors of all do not fit into memory."""
    import torch
    from monai import metrics as mm

    for value in range(1, pair[2] + 1):
        one, other = (torch.from_numpy(a == value)[None, None].float() for a in pair[:2])
        more = {"include_background": True, "spacing": pair[3]}
        row = {"hd95": float(mm.compute_hausdorff_distance(other, one, percentile=95, **more))}
        if not only:
            row["dice"] = float(mm.compute_dice(other, one, include_background=True))
            row["assd"] = float(mm.compute_average_surface_distance(other, one, symmetric=True, **more))
            row["surface_dice"] = float(mm.compute_surface_dice(other, one, [1.0], **more))
        yield row


def medpy(pair: Pair, only: str) -> Iterator[dict]:
    """MedPy, class by class; it has no surface Dice."""
    binary = import_module("medpy.metric.binary")  # no dependency of ours, as the other peers below
    for value in range(1, pair[2] + 1):
        one, other = pair[0] == value, pair[1] == value
        row = {"hd95": binary.hd95(other, one, voxelspacing=pair[3])}
        if not only:
            row |= {"dice": binary.dc(other, one), "assd": binary.assd(other, one, voxelspacing=pair[3])}
        yield row


def miseval(pair: Pair, only: str) -> Iterator[dict]:
    """MISeval, class by class: Dice, and Hausdorff in voxels, its only distance between surfaces."""
    distance = import_module("miseval.hausdorff").calc_AverageHausdorffDistance
    dice = import_module("miseval").metric_dict["DSC"]
    for value in range(1, pair[2] + 1):
        row = {"hausdorff": float(distance(*pair[:2], c=value))}
        if not only:
            row["dice"] = float(dice(*pair[:2], c=value))
        yield row


def panoptica(pair: Pair, only: str) -> Iterator[dict]:
    """The package panoptica with classes as matched instances, all at once: everything that is asked for."""
    pa = import_module("panoptica")
    pa.disable_citation_reminder()
    asked = [pa.Metric.HD95] if only else [pa.Metric.DSC, pa.Metric.HD95, pa.Metric.ASSD, pa.Metric.NSD]
    evaluator = pa.Panoptica_Evaluator(
        expected_input=pa.InputType.MATCHED_INSTANCE, instance_metrics=asked, global_metrics=[]
    )
    found = evaluator.evaluate(pair[1], pair[0], voxelspacing=pair[3])["ungrouped"]
    for _ in range(pair[2]):
        yield {"hd95": float(found.sq_hd95)}  # the mean over classes: it is made of all


def mikan(pair: Pair, only: str) -> Iterator[dict]:
    """mikan-rs, written in Rust, all classes at once; it has no surface Dice."""
    asked = ["hd95"] if only else ["dice", "hd95", "assd"]
    found = import_module("mikan").ArrayEvaluator(*pair[:2], pair[3]).labels([*range(1, pair[2] + 1)]).metrics(asked)
    yield from found.values() if pair[2] > 1 else [dict(zip(asked, np.atleast_1d(found), strict=True))]


CONTENDERS: dict[str, tuple[Callable[[Pair, str], Iterator[dict]], str]] = {
    "vesalius": (vesalius, "vesalius"),
    "surface-distance": (surface_distance, "surface_distance"),
    "SimpleITK": (simpleitk, "SimpleITK"),
    "monai": (monai, "monai"),
    "medpy": (medpy, "medpy"),
    "miseval": (miseval, "miseval"),
    "panoptica": (panoptica, "panoptica"),
    "mikan": (mikan, "mikan"),
}
AT_ONCE = ("vesalius", "panoptica", "mikan")  # these give the scores of all classes when all are done


def child(name: str, folder: Path, only: str, limit_s: float, repeats: int) -> None:
    """Run a contender in this process and print what it took as JSON."""
    score, module = CONTENDERS[name]
    if importlib.util.find_spec(module) is None:
        print(json.dumps({"missing": True}))
        return
    reference, prediction = (np.load(folder / f"{side}.npy") for side in ("reference", "prediction"))
    about = json.loads((folder / "about.json").read_text())
    classes, spacing = about["classes"], tuple(about["spacing"])
    small = np.zeros((12,) * reference.ndim, np.uint8)
    small[3:8, 3:8] = 1
    list(score((small, np.roll(small, 1, 0), 1, spacing), only))  # imports are no part of the time
    before = peak_mib(reset=True)
    best: dict = {}
    for _ in range(repeats):
        started, busy = time.perf_counter(), time.process_time()
        wall, cpu = [], []
        for _ in score((reference, prediction, classes, spacing), only):
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - busy)
            if cpu[-1] > limit_s and name not in AT_ONCE:
                break
        found = {"wall_s": whole(wall, classes), "cpu_s": whole(cpu, classes), "classes": len(wall)}
        if not best or found["wall_s"] < best["wall_s"]:
            best = found
        if cpu[-1] > limit_s / 3:
            break
    print(json.dumps(best | {"peak_mib": peak_mib() - before}, default=float))


def whole(after_s: list[float], classes: int) -> float:
    """What all classes take, by what had been taken after each of those that were scored."""
    first, rest = after_s[0], after_s[-1] - after_s[0]
    return first + rest / max(1, len(after_s) - 1) * (classes - 1) if len(after_s) < classes else after_s[-1]


def peak_mib(*, reset: bool = False) -> float:
    """The most memory that this process has had at a time; it can be told to start again from what it has now."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """Draw the pairs, run the contenders one after the other, and print a table for each pair."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", default=",".join(PAIRS), help=f"of {', '.join(PAIRS)}")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help=f"of {', '.join(CONTENDERS)}")
    parser.add_argument("--only", default="", choices=["", "hd95"], help="HD95 alone")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds of the processor, then a contender stops")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--python", action="append", default=[], help="NAME=PATH: the interpreter of a contender")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], Path(arguments.child[1]), arguments.only, arguments.limit, arguments.repeats)
        return
    pythons = dict(one.split("=", 1) for one in arguments.python)
    for name in arguments.pairs.split(","):
        with tempfile.TemporaryDirectory() as folder:
            shape, classes, spacing = PAIRS[name]
            sides = anatomy(shape, classes, spacing)
            for side, array in zip(("reference", "prediction"), sides, strict=True):
                np.save(Path(folder) / f"{side}.npy", array)
            (Path(folder) / "about.json").write_text(json.dumps({"classes": classes, "spacing": spacing}))
            run_all(name, folder, sides, arguments, pythons)


def run_all(name: str, folder: str, sides: list[np.ndarray], arguments: argparse.Namespace, pythons: dict) -> None:
    """Run the contenders on one pair and print their table."""
    voxels = " x ".join(map(str, sides[0].shape))
    size = sum(side.nbytes for side in sides) / 2**20
    load = os.getloadavg()[0]
    print(
        f"{name}: {voxels}, {PAIRS[name][1]} classes, input {size:.0f} MiB, load {load:.1f} of {os.cpu_count()} cores"
    )
    print(f"    {'':18s}{'wall, s':>10s}{'cpu, s':>10s}{'x wall':>8s}{'x cpu':>8s}{'peak, MiB':>11s}{'x input':>8s}")
    ours: dict = {}
    for contender in arguments.contenders.split(","):
        command = [pythons.get(contender, sys.executable), "-W", "ignore", __file__, "--child", contender, folder]
        command += ["--limit", str(arguments.limit), "--repeats", str(arguments.repeats)]
        command += ["--only", arguments.only] if arguments.only else []
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=10 * arguments.limit, check=False)
        except subprocess.TimeoutExpired:
            print(f"    {contender:18s} not done after {10 * arguments.limit:.0f} s: stopped")
            continue
        if ran.returncode:
            print(f"    {contender:18s} failed: {(ran.stderr.strip().splitlines() or [ran.returncode])[-1]}")
            continue
        found = json.loads(ran.stdout.strip().splitlines()[-1])
        if "missing" in found:
            print(f"    {contender:18s} not installed: left out")
            continue
        ours = ours or found
        done, mark = found["classes"], ""
        if done < PAIRS[name][1]:
            mark = f"  ~ from {done} classes" if done > 1 else "  > the first class alone"
        print(
            f"    {contender:18s}{found['wall_s']:10.4g}{found['cpu_s']:10.4g}{found['wall_s'] / ours['wall_s']:8.1f}"
            f"{found['cpu_s'] / ours['cpu_s']:8.1f}{found['peak_mib']:11.0f}{found['peak_mib'] / size:8.2f}{mark}",
            flush=True,
        )


if __name__ == "__main__":
    main()
