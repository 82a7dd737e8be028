"""How fast is resampling, beside SimpleITK, torch and scipy?

Each job is done by every library in turn, several rounds, in one process, on as many threads as this process has
cores. The table tells the median wall time and the least processor time (all threads) per target voxel, in nanoseconds,
and how many times longer than Vesalius the others took. Wall time is what a user waits; processor time says what the
work costs when the machine is shared. The answers are compared too: the difference that 99.9 % of the voxels in the
middle stay below, as a share of the image's range.

    python benchmarks/resample_speed.py [--voxels 160] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage

from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.transform import resample, resample_argmax

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
ITK = {"linear": sitk.sitkLinear, "cubic": sitk.sitkBSpline, "nearest": sitk.sitkNearestNeighbor}
Way = Callable[[], np.ndarray]


def smooth(shape: tuple[int, ...]) -> np.ndarray:
    """Noise of a few voxels' width, as images have."""
    noise = np.random.default_rng(0).normal(size=shape)
    return ndimage.gaussian_filter(noise, (0, *[2.0] * (len(shape) - 1))).astype(np.float32) * 100


def with_itk(array: np.ndarray, source: Grid, target: Grid, interpolation: str) -> Way:
    """SimpleITK's ResampleImageFilter; the image is built beforehand."""
    # SimpleITK's axes run fastest first.
    reverse = source.permute((2, 1, 0))
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(reverse.spacing_mm)
    image.SetOrigin(reverse.origin_mm)
    image.SetDirection(reverse.direction.ravel())
    wanted = target.permute((2, 1, 0))
    return lambda: sitk.GetArrayFromImage(
        sitk.Resample(
            image,
            wanted.shape,
            sitk.Transform(),
            ITK[interpolation],
            wanted.origin_mm,
            wanted.spacing_mm,
            wanted.direction.ravel(),
        )
    )


def with_scipy(array: np.ndarray, source: Grid, target: Grid, order: int) -> Way:
    """``scipy.ndimage.affine_transform``, which `zoom` comes down to as well."""
    affine = np.linalg.solve(source.affine, target.affine)
    return lambda: ndimage.affine_transform(
        array, affine[:3, :3], affine[:3, 3], target.shape, np.float32, order, mode="nearest"
    )


def with_torch(array: np.ndarray, target: Grid) -> Way:
    """``torch.nn.functional.interpolate``, which has no cubic in 3D and knows no grids."""
    tensor = torch.from_numpy(array)[None, None]

    def way() -> np.ndarray:
        return torch.nn.functional.interpolate(tensor, target.shape, mode="trilinear")[0, 0].numpy()

    return way


def jobs(edge: int) -> dict[str, tuple[int, dict[str, Way]]]:
    """The jobs: for each the number of target voxels, and how each library does it, Vesalius first."""
    found: dict[str, tuple[int, dict[str, Way]]] = {}
    source = Grid.from_spacing((edge,) * 3, (1.0,) * 3)
    turn = [[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]]
    middle = source.to_points((np.asarray(source.shape) - 1) / 2)
    oblique = Grid.from_spacing(source.shape, (1.0,) * 3, direction=turn, origin_mm=middle - np.asarray(turn) @ middle)
    targets = {
        "up x1.6": source.with_spacing((0.625,) * 3),
        "down x1.6": source.with_spacing((1.6,) * 3),
        "oblique": oblique,
    }
    array = smooth((1, *source.shape))[0]
    volume = Volume(array[None], source)
    for name, target in targets.items():
        for interpolation, order in (("linear", 1), ("cubic", 3), ("nearest", 0)):
            ways: dict[str, Way] = {
                "vesalius": lambda t=target, i=interpolation: resample(volume, t, interpolation=i).array[0],
                "SimpleITK": with_itk(array, source, target, interpolation),
                "scipy": with_scipy(array, source, target, order),
            }
            if interpolation == "linear" and name != "oblique":
                ways["torch"] = with_torch(array, target)
            found[f"{name}, {interpolation}"] = (target.size, ways)

    classes, coarse = 8, Grid.from_spacing((edge // 2,) * 3, (2.0,) * 3)
    logits = smooth((classes, *coarse.shape))
    fine = coarse.with_spacing((1.0,) * 3)
    labelmap = LabelMap(logits.argmax(axis=0).astype(np.uint8), coarse, Labels.of(range(1, classes)))
    tensor = torch.from_numpy(logits)[None]
    found[f"argmax of {classes} classes, up x2"] = (
        fine.size,
        {
            "vesalius": lambda: resample_argmax(logits, coarse, fine),
            "torch": lambda: (
                torch.nn.functional.interpolate(tensor, fine.shape, mode="trilinear")[0].argmax(dim=0).numpy()
            ),
        },
    )
    label_image = with_itk(labelmap.array, coarse, fine, "nearest")
    found["labels, up x2"] = (
        fine.size,
        {"vesalius": lambda: resample(labelmap, fine).array, "SimpleITK": label_image},
    )
    found[f"label-wise, {classes} labels, up x2"] = (
        fine.size,
        {
            "vesalius": lambda: resample(labelmap, fine, interpolation="label-wise").array,
            "SimpleITK LabelLinear": with_label_linear(labelmap.array, coarse, fine),
        },
    )
    return found


def with_label_linear(array: np.ndarray, source: Grid, target: Grid) -> Way:
    """SimpleITK's own label-wise linear interpolation."""
    image = sitk.GetImageFromArray(array)
    start, spacing = tuple(reversed(target.origin_mm)), tuple(reversed(target.spacing_mm))
    image.SetSpacing(tuple(reversed(source.spacing_mm)))
    wanted = tuple(reversed(target.shape))
    return lambda: sitk.GetArrayFromImage(
        sitk.Resample(image, wanted, sitk.Transform(), sitk.sitkLabelLinear, start, spacing)
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=160, help="edge of the source, voxels")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(CORES)
    torch.set_num_threads(CORES)
    print(f"{options.voxels}³ voxels, {CORES} cores, median of {options.rounds} rounds")
    print(f"{'job':<34}{'library':<24}{'wall':>8}{'ratio':>7}{'processor':>11}{'ratio':>7}{'apart':>9}")
    for job, (size, ways) in jobs(options.voxels).items():
        wall: dict[str, list[float]] = {library: [] for library in ways}
        work: dict[str, list[float]] = {library: [] for library in ways}
        answers = {}
        for _ in range(options.rounds):
            for library, way in ways.items():
                start, begun = time.perf_counter(), time.process_time()
                answer = way()
                wall[library].append((time.perf_counter() - start) / size * 1e9)
                work[library].append((time.process_time() - begun) / size * 1e9)
                answers[library] = answer[tuple(slice(n // 4, -n // 4) for n in answer.shape)].astype(np.float64)
        ours, ours_work = statistics.median(wall["vesalius"]), min(work["vesalius"])
        for library in ways:
            theirs, theirs_work = statistics.median(wall[library]), min(work[library])
            difference = np.quantile(np.abs(answers[library] - answers["vesalius"]), 0.999)
            print(
                f"{job:<34}{library:<24}{theirs:>8.1f}{theirs / ours:>7.1f}{theirs_work:>11.1f}"
                f"{theirs_work / ours_work:>7.1f}{difference / np.ptp(answers['vesalius']):>9.0e}"
            )


if __name__ == "__main__":
    main()
