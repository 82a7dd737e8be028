"""What does it take to write the label map of 117 classes at 512x512x400 from logits at 1.5 mm?

    python benchmarks/export_memory.py [--slices 400] [--nnunet PYTHON] [--part 40]

Every way runs in a process of its own, which reports its time and its peak memory (maximum resident set):

- vesalius: `stream_argmax`, to which the logits come slab by slab, as windows give them;
- naive: all classes resampled at once, then the argmax;
- nnunet: nnU-Net's ``export_prediction_from_logits`` in half precision, as its predictor hands logits over (needs
  ``--nnunet``, a Python with nnunetv2);
- end to end: `vesalius.segment` with a network of 117 outputs that costs next to nothing, in windows of ``--patch``
  voxels, told to keep under ``--memory`` GiB.

The naive way and nnU-Net's do not fit into most machines: they run on ``--part`` slices, and figures for all are what
follows by proportion, marked with ~. The streamed label map is compared with the naive one, a class at a time.
The logits are made up (organs as balls): making them is not counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

CLASSES, SPACING_MM, FINE_MM = 117, 1.5, 0.75
_GIB = 1 << 30


def coarse_shape(slices: int) -> tuple[int, int, int]:
    """Of the logits: half as many columns and rows as the image, and as many slices."""
    return (256, 256, slices)


def logits_of_class(number: int, low: int, high: int) -> np.ndarray:
    """``(256, 256, high - low)`` float32: high in a ball, and never two classes alike."""
    rng = np.random.default_rng(number)
    centre, radius = rng.uniform(0, 1, 3) * (256, 256, 400), rng.uniform(8, 40)
    at = [np.arange(256), np.arange(256), np.arange(low, high)]
    squares = [((line - middle) ** 2).astype(np.float32) for line, middle in zip(at, centre, strict=True)]
    made = squares[0][:, None, None] + squares[1][None, :, None] + squares[2]
    made *= np.float32(-6 / radius**2)
    made += np.float32(6)
    return np.maximum(made, -12 - number / CLASSES, out=made) if number else np.zeros_like(made)


class Clock:
    """Adds up the time in which logits are made, to leave it out."""

    def __init__(self) -> None:
        self.start, self.making = time.perf_counter(), 0.0

    def slabs(self, slices: int, thickness: int = 48) -> Iterator[tuple[int, np.ndarray]]:
        """Finished rows, as half a window's thickness of them comes at a time."""
        for low in range(0, slices, thickness):
            before = time.perf_counter()
            high = min(low + thickness, slices)
            slab = np.empty((CLASSES, 256, 256, high - low), np.float32)
            for number, one in enumerate(slab):
                one[...] = logits_of_class(number, low, high)
            self.making += time.perf_counter() - before
            yield low, slab

    def seconds(self) -> float:
        """Without the making."""
        return time.perf_counter() - self.start - self.making


def report(seconds: float, **more: object) -> None:
    """One line for the parent."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_bytes": peak} | more))


def vesalius(slices: int, target: Path) -> None:
    """The streamed way."""
    from vesalius.image import Grid, LabelMap, Labels
    from vesalius.io import write
    from vesalius.transform import stream_argmax

    source = Grid.from_spacing(coarse_shape(slices), (SPACING_MM,) * 3)
    grid = source.with_spacing((FINE_MM, FINE_MM, SPACING_MM))
    clock = Clock()
    made = stream_argmax(clock.slabs(slices), source, grid, classes=CLASSES, axis=2)
    names = {f"organ {number}": number for number in range(1, CLASSES)}
    write(LabelMap(made, grid, Labels.of(names)), target)
    report(clock.seconds())


def naive(slices: int, target: Path) -> None:
    """All classes at once."""
    from vesalius.image import Grid, LabelMap, Labels, Volume
    from vesalius.io import write
    from vesalius.transform import resample

    source = Grid.from_spacing(coarse_shape(slices), (SPACING_MM,) * 3)
    grid = source.with_spacing((FINE_MM, FINE_MM, SPACING_MM))
    logits = np.stack([logits_of_class(number, 0, slices) for number in range(CLASSES)])
    start = time.perf_counter()
    made = resample(Volume(logits, source), grid).array.argmax(axis=0).astype(np.uint8)
    names = {f"organ {number}": number for number in range(1, CLASSES)}
    write(LabelMap(made, grid, Labels.of(names)), target)
    report(time.perf_counter() - start)


def difference(slices: int, target: Path) -> None:
    """How many voxels of a label map are not those of the naive way, which is done class by class here."""
    from vesalius.image import Grid, Volume
    from vesalius.io import read_labels
    from vesalius.transform import resample

    source = Grid.from_spacing(coarse_shape(slices), (SPACING_MM,) * 3)
    grid = source.with_spacing((FINE_MM, FINE_MM, SPACING_MM))
    best = np.full(grid.shape, -np.inf, np.float32)
    winner = np.zeros(grid.shape, np.uint8)
    for number in range(CLASSES):
        score = resample(Volume(logits_of_class(number, 0, slices)[None], source), grid).array[0]
        winner[score > best] = number
        np.maximum(best, score, out=best)
    found = read_labels(target).array
    report(0.0, differ=int((found != winner).sum()), classes=len(np.unique(winner)), voxels=winner.size)


NNUNET = """
import json, resource, sys, time
import numpy as np, torch
from nnunetv2.inference.export_prediction import export_prediction_from_logits
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
sys.path.insert(0, sys.argv[1])
from export_memory import CLASSES, logits_of_class
slices, target = int(sys.argv[2]), sys.argv[3]
how = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
plans = PlansManager({
    "plans_name": "p", "dataset_name": "d", "image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager",
    "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
    "configurations": {"3d": {
        "spacing": [1.5, 1.5, 1.5],
        "architecture": {"network_class_name": "none", "arch_kwargs": {}, "_kw_requires_import": []},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": how,
    }}})
labels = {"background": 0, **{f"organ {n}": n for n in range(1, CLASSES)}}
dataset = {"labels": labels, "channel_names": {"0": "CT"}, "numTraining": 1, "file_ending": ".nii.gz"}
shape = (slices, 512, 512)
facts = {"spacing": [1.5, 0.75, 0.75], "shape_after_cropping_and_before_resampling": shape,
         "shape_before_cropping": shape, "bbox_used_for_cropping": [[0, n] for n in shape],
         "sitk_stuff": {"spacing": (0.75, 0.75, 1.5), "origin": (0, 0, 0), "direction": tuple(np.eye(3).ravel())}}
logits = torch.empty((CLASSES, slices, 256, 256), dtype=torch.half)
for number, one in enumerate(logits):
    one.copy_(torch.from_numpy(logits_of_class(number, 0, slices).transpose(2, 1, 0).copy()))
start = time.perf_counter()
export_prediction_from_logits(logits, facts, plans.get_configuration("3d"), plans, dataset, target, False)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": time.perf_counter() - start, "peak_bytes": peak}))
"""


def end_to_end(slices: int, target: Path, patch: int, memory_gib: float) -> None:
    """From an image in memory to a label map in a file, through the windows of a network that costs nothing."""
    from dataclasses import replace

    import torch

    from vesalius.bundle import Bundle
    from vesalius.image import Grid, Labels, Volume
    from vesalius.io import write
    from vesalius.nets import UNetSpec
    from vesalius.plan import prepare
    from vesalius.predict import load_segmenter, segment
    from vesalius.transform import Normalisation, resample

    numbers = torch.arange(CLASSES, dtype=torch.float32)[:, None, None, None]
    asked = [0.0, 0]

    def network(x: torch.Tensor) -> torch.Tensor:
        """The class whose number is nearest to the value."""
        before = time.perf_counter()
        made = torch.sub(x, numbers, out=torch.empty(len(x), CLASSES, *x.shape[2:])).square_().neg_()
        asked[0] += time.perf_counter() - before
        asked[1] += len(x)
        return made

    base = Bundle.load("hippocampus")
    plan = replace(
        base.plan,
        labels=Labels.of({f"organ {number}": number for number in range(1, CLASSES)}),
        network=UNetSpec.plain(ndim=3, in_channels=1, out_channels=CLASSES, features=(16, 32, 64)),
        normalisation=(Normalisation("none"),),
        spacing_mm=(SPACING_MM,) * 3,
        patch_size=(patch,) * 3,
        batch_size=1,
        mirror_axes=(),
    )
    ready = load_segmenter(base, device="cpu", backend="torch-float32")
    ready = replace(ready, bundle=replace(ready.bundle, plan=plan))
    object.__setattr__(ready, "run", lambda *_: network)
    array = np.zeros((512, 512, slices), np.int16)
    for number in range(1, CLASSES):
        rng = np.random.default_rng(number)
        centre, radius = (rng.uniform(0, 1, 3) * (512, 512, slices)).astype(int), int(rng.uniform(16, 60))
        low = np.maximum(centre - radius, 0)
        array[tuple(slice(a, b) for a, b in zip(low, centre + radius, strict=True))] = number
    image = Volume(array[None], Grid.from_spacing(array.shape, (FINE_MM, FINE_MM, SPACING_MM)))
    start = time.perf_counter()
    found = segment(image, ready, memory_gib=memory_gib)
    write(found.labels, target)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seen = prepare(image, plan)
    best = np.full(image.grid.shape, -np.inf, np.float32)
    winner = np.zeros(image.grid.shape, np.uint8)
    for number in range(CLASSES):
        score = resample(Volume(-np.square(seen.array - number), seen.grid), seen.canonical, fill=-1e9).array[0]
        winner[score > best] = number
        np.maximum(best, score, out=best)
    report(
        seconds,
        peak_bytes=peak,
        network=asked[0],
        windows=asked[1],
        differ=int((found.labels.array != winner).sum()),
        held_as=found.provenance["logits_held_as"],
    )


def run(*command: str) -> dict[str, float]:
    """What a process reports."""
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        print(f"  failed: {made.stderr.strip().splitlines()[-1:] or made.returncode}")
        return {}
    return dict(json.loads(made.stdout.strip().splitlines()[-1]))


def line(name: str, told: dict[str, float], *, factor: float = 1.0, more: str = "") -> None:
    """One line of the table."""
    if told:
        about = "~" if factor != 1 else ""
        seconds, gib = factor * told["seconds"], factor * told["peak_bytes"] / _GIB
        print(f"{name:34} {about}{seconds:8.1f} s  {about}{gib:8.2f} GiB  {more}")


def main() -> None:
    """Run all ways, or the one that is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--part", type=int, default=40)
    parser.add_argument("--nnunet", metavar="PYTHON")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--patch", type=int, default=80)
    parser.add_argument("--memory", type=float, default=3.0)
    args = parser.parse_args()
    ways = {"vesalius": vesalius, "naive": naive, "difference": difference}
    if args.way == "end_to_end":
        end_to_end(args.slices, args.target, args.patch, args.memory)
        return
    if args.way:
        ways[args.way](args.slices, args.target)
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "labels.nii.gz"

        def here(way: str, slices: int) -> dict[str, float]:
            more = ["--patch", str(args.patch), "--memory", str(args.memory)]
            command = ["--way", way, "--slices", str(slices), "--target", str(target), *more]
            return run(sys.executable, __file__, *command)

        factor = args.slices / args.part
        line(f"vesalius, {args.slices} slices", here("vesalius", args.slices))
        same = here("difference", args.slices)
        if same:
            print(f"  {same['differ']} of {same['voxels']} voxels differ from the naive way; {same['classes']} classes")
        part = here("naive", args.part)
        line(f"naive, {args.part} slices", part)
        line(f"naive, {args.slices} slices", part, factor=factor)
        line(f"vesalius, {args.part} slices", here("vesalius", args.part))
        if args.nnunet:
            part = run(args.nnunet, "-c", NNUNET, str(Path(__file__).parent), str(args.part), f"{folder}/theirs")
            line(f"nnU-Net, {args.part} slices", part)
            line(f"nnU-Net, {args.slices} slices", part, factor=factor)
        told = here("end_to_end", args.slices)
        if told:
            more = f"{told['windows']} windows of {args.patch}³, network {told['network']:.1f} s, {told['held_as']}"
            line(f"end to end, {args.slices} slices", told, more=more)
            print(f"  {told['differ']} of {512 * 512 * args.slices} voxels differ from the naive way")


if __name__ == "__main__":
    main()
