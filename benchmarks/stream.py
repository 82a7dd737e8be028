"""How many frames a second are segmented, and how late each result is, at 256 x 256 and 512 x 512 on two cores.

    python benchmarks/stream.py ../shared/data/kvasir_seg --work W

Trains a small 2D U-Net on the folder's pictures first (--steps; kept in --work), unless --bundle names one. Frames are
the folder's pictures, resized, in turn, with noise of their own. Four parts, each for every size:

- in turn: the ways to segment one frame after another, as fast as they go, in blocks of --block frames that take turns
  in one process: `segment()` in a loop with torch fp32 (what one would write first), the same with the chosen backend,
  and `stream(every_frame=True)`, also with the whole frame at once. Of the time between one result and the next: median
  and p99; and how many times as fast as the first way, the median over blocks.
- live: footage of --rate frames a second watched by `stream`, results taken at once: latency from capture to result,
  frames dropped and stale.
- whole frame: Dice with the windows of `segment()`, and with the frame shown as a whole, on the cases of --unseen.
- stalled: live, but whoever takes the results stops for --stall seconds: memory of the process before and after.

Mirroring is off in all of them: it multiplies the work by four in 2D.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from vesalius.bundle import Bundle
from vesalius.image import Dataset, Grid, Meta, Volume
from vesalius.io.footage import Footage, Frame
from vesalius.io.layouts import index
from vesalius.nets import UNetSpec
from vesalius.plan import Budget, Plan, fingerprint, make_plan
from vesalius.predict import Segmenter, load_segmenter, segment
from vesalius.predict.stages import Look
from vesalius.predict.stream import FrameSegmenter, Tally, stream
from vesalius.train import fit

FEATURES = (32, 64, 128, 256)  # at half resolution: the strided stem that the planner gives small budgets
NAIVE = "torch-float32"
Way = Callable[[int], list[float]]


def plan_for(dataset: Dataset, steps: int) -> Plan:
    """A 2D U-Net that sees 256 x 256 pixels at once."""
    plan = make_plan(fingerprint(dataset), Budget(steps=steps), step_seconds=lambda *_: 0.1)
    stages = len(FEATURES)
    network = UNetSpec(
        ndim=2,
        in_channels=len(plan.channels),
        out_channels=plan.network.out_channels,
        features=FEATURES,
        strides=((2, 2),) * stages,
        kernels=((3, 3),) * stages,
        encoder_blocks=(2,) * stages,
        decoder_blocks=(1,) * (stages - 1),
        deep_supervision=True,
    )
    return replace(plan, network=network, patch_size=(256, 256), batch_size=4, mirror_axes=())


def bundle_of(args: argparse.Namespace) -> Bundle:
    """The bundle that was named, that lies in the work folder, or a new one."""
    if args.bundle is not None:
        return Bundle.load(args.bundle)
    place = args.work / "bundle"
    if not (place / "bundle.json").is_file():
        dataset = index(args.folder)
        fit(dataset, plan_for(dataset, args.steps), place, seed=0)
    return Bundle.load(place)


def pictures(folder: Path, edge: int) -> list[np.ndarray]:
    """The data set's first pictures ``(3, edge, edge)``, resized."""
    dataset = index(folder, check=False)
    cases = dataset.select(dataset.ids[:8])
    return [resized(case.image.array.transpose(2, 1, 0), edge) for case in cases]


def resized(rows: np.ndarray, edge: int) -> np.ndarray:
    """A picture ``(rows, columns, 3)`` as ``(3, edge, edge)``."""
    other = Image.fromarray(np.ascontiguousarray(rows)).resize((edge, edge))
    return np.ascontiguousarray(np.asarray(other).transpose(2, 1, 0))


def footage_of(arrays: list[np.ndarray], rate_hz: float, *, live: bool) -> Footage:
    """Frames without end; a live one keeps the clock's pace by itself, as a camera."""
    shape = (arrays[0].shape[1], arrays[0].shape[2])
    grid, rng = Grid.from_spacing(shape, (1.0, 1.0)), np.random.default_rng(0)

    def frames() -> Iterator[Frame]:
        began = time.monotonic()
        for number in count():
            noise = rng.integers(0, 4, (1, 1, shape[1]), np.uint8)
            array = np.clip(arrays[number // 10 % len(arrays)], 0, 251) + noise
            if live:
                time.sleep(max(0.0, began + number / rate_hz - time.monotonic()))
            yield Frame(number, Volume(array, grid, Meta("RGB", calibrated=False)), None)

    return Footage(f"{shape[0]} x {shape[1]}", shape, frames(), rate_hz, live=live)


def ways(arrays: list[np.ndarray], naive: Segmenter, chosen: Segmenter) -> dict[str, Way]:
    """What is compared: each segments some frames and says how long each took."""

    def loop(segmenter: Segmenter) -> Way:
        def run(count: int) -> list[float]:
            frames = footage_of(arrays, 30, live=False).frames
            return timed(lambda: segment(next(frames).image, segmenter, mirror=False), count)

        return run

    def streamed(segmenter: Segmenter, *, whole_frame: bool = False) -> Way:
        def run(count: int) -> list[float]:
            footage = footage_of(arrays, 30, live=False)
            results = stream(footage, segmenter, every_frame=True, mirror=False, whole_frame=whole_frame)
            with closing(results):
                return timed(lambda: next(results), count)

        return run

    return {
        f"segment() in a loop, {NAIVE}": loop(naive),
        f"stream, {NAIVE}": streamed(naive),
        "segment() in a loop": loop(chosen),
        "stream": streamed(chosen),
        "stream --whole-frame": streamed(chosen, whole_frame=True),
    }


def timed(step: Callable[[], object], count: int) -> list[float]:
    """Seconds of each of so many calls, after one that is not timed."""
    step()
    marks = [time.perf_counter()]
    for _ in range(count):
        step()
        marks.append(time.perf_counter())
    return np.diff(marks).tolist()


def in_turn(compared: dict[str, Way], blocks: int, block: int) -> None:
    """Time blocks of frames of each way in turn."""
    times: dict[str, list[list[float]]] = {name: [] for name in compared}
    for way in compared.values():  # engines are chosen and made ready
        way(8)
    for _ in range(blocks):
        for name, way in compared.items():
            times[name].append(way(block))
    first = np.array(next(iter(times.values()))).mean(axis=1)
    print(f"{'way':36} {'frames/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'times as fast':>14}")
    for name, found in times.items():
        taken = np.array(found)
        faster = np.median(first / taken.mean(axis=1))
        p50, p99 = 1000 * np.quantile(taken, (0.5, 0.99))
        print(f"{name:36} {1 / np.median(taken.mean(axis=1)):9.1f} {p50:8.1f} {p99:8.1f} {faster:14.2f}", flush=True)


def live(arrays: list[np.ndarray], segmenter: Segmenter, rate_hz: float, frames: int, *, whole_frame: bool) -> None:
    """Watch footage that comes at its own pace."""
    tally = Tally()
    results = stream(footage_of(arrays, rate_hz, live=True), segmenter, mirror=False, whole_frame=whole_frame)
    before = next(results).dropped  # while the engine was made ready
    with closing(results):
        for found in islice(results, frames):
            tally.add(found)
    told = tally.summary()
    for name in ("latency", "computed"):
        row = told[name]
        cells = "  ".join(f"{key.removesuffix('_ms')} {row[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms"))
        print(f"live at {rate_hz:g} Hz{', whole frame' * whole_frame}: {name} ms: {cells}")
    print(f"live at {rate_hz:g} Hz: {tally.frames} results, {tally.dropped - before} dropped, {tally.stale} stale")


def dice_of_the_whole(dataset: Dataset, edge: int, segmenter: Segmenter, most: int) -> None:
    """What it costs to show the network the frame as a whole, on resized pictures and references."""
    look = Look(mirror=False)
    eyes = {"windows": FrameSegmenter(segmenter, look), "whole frame": FrameSegmenter(segmenter, look, True)}
    scores: dict[str, list[float]] = {name: [] for name in eyes}
    same = []
    for case in islice(dataset.select(dataset.ids), most):
        assert case.reference is not None
        array = resized(case.image.array.transpose(2, 1, 0), edge)
        reference = np.asarray(Image.fromarray(case.reference.array.T).resize((edge, edge), Image.Resampling.NEAREST)).T
        image = Volume(array, Grid.from_spacing((edge, edge), (1.0, 1.0)), Meta("RGB", calibrated=False))
        found = {name: eye.labels(image).array for name, eye in eyes.items()}
        same.append(float(np.mean(found["windows"] == found["whole frame"])))
        for name, labels in found.items():
            size = (labels > 0).sum() + (reference > 0).sum()
            scores[name].append(2 * ((labels > 0) & (reference > 0)).sum() / size if size else 1.0)
    told = ", ".join(f"{name} {np.mean(dice):.4f}" for name, dice in scores.items())
    print(f"Dice of {len(same)} unseen frames: {told}; {100 * np.mean(same):.2f} % of the labels are the same")


def stalled(arrays: list[np.ndarray], segmenter: Segmenter, rate_hz: float, stall_s: float) -> None:
    """Let the taker stop."""
    memory = psutil.Process().memory_info
    results = stream(footage_of(arrays, rate_hz, live=True), segmenter, mirror=False)
    for _ in range(10):
        found = next(results)
    gc.collect()
    before = memory().rss
    time.sleep(stall_s)
    after, dropped = memory().rss, found.dropped
    found = next(results)
    waited = found.latency_s
    print(
        f"stalled for {stall_s:g} s at {rate_hz:g} Hz: memory {before / 2**20:.0f} -> {after / 2**20:.0f} MiB, "
        f"{found.dropped - dropped} frames dropped; the next result was {waited:.1f} s old and "
        f"{'flagged' if found.stale else 'not flagged'}, the one after it {next(results).latency_s:.3f} s"
    )
    results.close()


def main() -> None:
    """Train if needed, and print the three parts for every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--unseen", type=Path, help="a data set that was not trained on, for the Dice")
    parser.add_argument("--cases", type=int, default=40, help="of that set")
    parser.add_argument("--work", type=Path, default=Path("stream-work"))
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--block", type=int, default=12)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--frames", type=int, default=600, help="of the live part")
    parser.add_argument("--stall", type=float, default=10.0)
    args = parser.parse_args()
    bundle = bundle_of(args)
    naive = load_segmenter(bundle, device="cpu", backend=NAIVE)
    chosen = load_segmenter(bundle, device="cpu", backend=args.backend)
    for edge in args.sizes:
        print(f"\n{edge} x {edge}, patch {bundle.plan.patch_size}, overlap {bundle.plan.overlap}, {args.backend}")
        arrays = pictures(args.folder, edge)
        in_turn(ways(arrays, naive, chosen), args.blocks, args.block)
        for whole_frame in (False, True):
            live(arrays, chosen, args.rate, args.frames, whole_frame=whole_frame)
        if args.unseen is not None:
            dice_of_the_whole(index(args.unseen, check=False), edge, chosen, args.cases)
        stalled(arrays, chosen, args.rate, args.stall)


if __name__ == "__main__":
    main()
