"""How fast each engine computes a network, and how far it stays from PyTorch in float32.

Networks of nnU-Net's size with fresh weights, all engines in turn in one process, so that other work on the machine
disturbs all of them alike: median of the wall time a batch, of the processor time (all threads), both as ratios to
torch-float32, and what it takes to make the engine ready. Then label agreement where it means something: a trained
bundle on windows of real images. (Of fresh weights the scores are nearly ties everywhere.)

    python benchmarks/engines.py [--cases 96,128,512] [--batch 1] [--repeats 7] [--engines NAME,…]
    python benchmarks/engines.py --cases '' --bundle hippocampus --images ../shared/data/msd_hippocampus/images
    pip install 'vesalius[export]'    # ONNX Runtime, optional
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from vesalius.errors import VesaliusError
from vesalius.io import read
from vesalius.nets import NetworkSpec, UNetSpec, build
from vesalius.nets.norm import channels_last
from vesalius.plan import prepare
from vesalius.predict import load_segmenter
from vesalius.predict.backends import BACKENDS, Run
from vesalius.predict.backends.choice import labels_of
from vesalius.predict.places import window_starts

REFERENCE = "torch-float32"
CPU = torch.device("cpu")
# nnU-Net's own choices for such patches: stages until 4 voxels are left, at most 320 features in 3D and 512 in 2D.
CASES: dict[str, tuple[NetworkSpec, tuple[int, ...]]] = {
    "96": (UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(32, 64, 128, 256, 320)), (96, 96, 96)),
    "128": (
        UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(32, 64, 128, 256, 320, 320)),
        (128, 128, 128),
    ),
    "512": (
        UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(32, 64, 128, 256, 512, 512, 512, 512)),
        (512, 512),
    ),
}


def main() -> None:
    """Print one table a case, then one of the trained bundle."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", default="96,128,512", help=f"of {', '.join(CASES)}")
    parser.add_argument("--engines", default=",".join(BACKENDS))
    parser.add_argument("--batch", type=int, default=1, help="windows at once")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--bundle", help="a trained bundle, to see what becomes of its labels")
    parser.add_argument("--images", type=Path, help="a folder of images for it")
    parser.add_argument("--most", type=int, default=20, help="of these images")
    args = parser.parse_args()
    names = [REFERENCE, *(name for name in args.engines.split(",") if name != REFERENCE)]
    for name in filter(None, args.cases.split(",")):
        spec, patch = CASES[name]
        speed("x".join(str(n) for n in patch), spec, (args.batch, spec.in_channels, *patch), names, args.repeats)
    if args.bundle is not None and args.images is not None:
        agreement(args.bundle, sorted(args.images.glob("*.nii*"))[: args.most], names)


def speed(title: str, spec: NetworkSpec, window: tuple[int, ...], names: list[str], repeats: int) -> None:
    """Time the engines in turn."""
    torch.manual_seed(0)
    network = build(spec).to(memory_format=channels_last(spec.ndim)).eval()
    windows = torch.randn(window)
    runs, ready_s = ready(names, spec, [network], window)
    wall: dict[str, list[float]] = {name: [] for name in runs}
    busy: dict[str, list[float]] = {name: [] for name in runs}
    logits = {}
    for _ in range(repeats + 1):  # the first time, memory is taken
        for name, run in runs.items():
            began, computed = time.perf_counter(), time.process_time()
            logits[name] = run(windows)
            wall[name].append(time.perf_counter() - began)
            busy[name].append(time.process_time() - computed)
    print(f"\n{title}, {window[0]} at once, {sum(p.numel() for p in network.parameters()) / 1e6:.1f} M parameters")
    print("| engine | ready in, s | wall, ms | × | processor, ms | × | largest difference of a logit, % |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    middle = {name: (statistics.median(wall[name][1:]), statistics.median(busy[name][1:])) for name in runs}
    right = logits[REFERENCE]
    for name, (waited, worked) in middle.items():
        off = float((logits[name] - right).abs().max() / right.abs().max())
        print(
            f"| {name} | {ready_s[name]:.1f} | {waited * 1e3:.0f} | {middle[REFERENCE][0] / waited:.2f} "
            f"| {worked * 1e3:.0f} | {middle[REFERENCE][1] / worked:.2f} | {100 * off:.2g} |",
            flush=True,
        )


def agreement(bundle: str, paths: list[Path], names: list[str]) -> None:
    """Compare labels, voxel by voxel, in every window of some images, without mirroring or blending."""
    segmenter = load_segmenter(bundle, device="cpu")
    plan = segmenter.bundle.plan
    window = (1, len(plan.channels), *plan.patch_size)
    runs, _ = ready(names, plan.network, list(segmenter.networks), window)
    same = dict.fromkeys(runs, 0)
    both, either, mine, voxels, found = dict(same), dict(same), dict(same), 0, 0
    for path in paths:
        for x in cut(torch.from_numpy(prepare(read(path), plan).array.copy()), plan.patch_size):
            right = labels_of(runs[REFERENCE](x), regions=plan.regions)
            voxels, found = voxels + right.numel(), found + int(right.count_nonzero())
            for name, run in runs.items():
                labels = labels_of(run(x), regions=plan.regions)
                equal, inside = labels == right, (labels != 0) | (right != 0)
                same[name] += int(equal.sum())
                either[name] += int(inside.sum())
                both[name] += int((equal & inside).sum())
                mine[name] += int(labels.count_nonzero())
    print(f"\n{bundle}: {len(paths)} images, {voxels:,} voxels in windows, {100 * found / voxels:.1f} % foreground")
    print("| engine | labels alike, % | of foreground, % | Dice with torch-float32 |")
    print("| --- | ---: | ---: | ---: |")
    for name in runs:
        dice = 2 * both[name] / max(1, found + mine[name])
        share = 100 * both[name] / max(1, either[name])
        print(f"| {name} | {100 * same[name] / voxels:.4f} | {share:.3f} | {dice:.5f} |")


def cut(image: torch.Tensor, patch: tuple[int, ...]) -> list[torch.Tensor]:
    """The windows that cover an image; one that is smaller than a window is padded with zeros."""
    short = [max(0, p - n) for n, p in zip(image.shape[1:], patch, strict=True)]
    padded = nn.functional.pad(image, [m for n in reversed(short) for m in (n // 2, n - n // 2)])
    corners = window_starts(padded.shape[1:], patch, overlap=0.5)
    places = torch.cartesian_prod(*(torch.tensor(at) for at in corners)).reshape(-1, len(patch))
    return [
        padded[(slice(None), *(slice(c, c + p) for c, p in zip(place.tolist(), patch, strict=True)))][None]
        for place in places
    ]


def ready(
    names: list[str], spec: NetworkSpec, networks: list[nn.Module], window: tuple[int, ...]
) -> tuple[dict[str, Run], dict[str, float]]:
    """The engines that can be used here, and the seconds it took to make them ready."""
    runs, seconds = {}, {}
    for name in names:
        began = time.perf_counter()
        why = BACKENDS[name].refuses(spec, CPU)
        try:
            if why is None:
                runs[name] = BACKENDS[name].load(networks, window)
                runs[name](torch.zeros(window))
        except VesaliusError as error:
            why = str(error)
        if why is not None:
            print(f"{name}: {why}")
        seconds[name] = time.perf_counter() - began
    return runs, seconds


if __name__ == "__main__":
    main()
