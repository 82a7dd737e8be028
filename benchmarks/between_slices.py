"""What is between thick slices: slices are left out of real label maps, interpolated, and held against the real ones.

Beside Vesalius: the nearest slice; the likeliest label of a linear mixture; plain signed distances, each label by
itself, the deepest first (Raya and Udupa 1990); ITK's morphological contour interpolation (Zukić et al. 2016; the extra
`benchmarks`, left out where it is not installed). ``--heart`` counts pieces and handles of interpolated hearts instead.

    python benchmarks/between_slices.py ../shared/data
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Grid, LabelMap, Labels
from vesalius.io import read_labels
from vesalius.mesh import extract
from vesalius.mesh.slices import between_slices
from vesalius.metrics import evaluate
from vesalius.transform.between_slices import interpolate_slices
from vesalius.transform.outlines import depth

SETS = {
    "vertebra, parts": ("spine_samples/vertebra_ct/sub-ct_seg-subreg_label-22_msk.nii.gz", 4),
    "spleen": ("msd_spleen_crop/seg.nii.gz", 2),
    "hippocampus": ("msd_hippocampus/labels/hippocampus_[02][4-6]?.nii.gz", 4),
    "brain": ("synthseg_labelmaps/training_seg_0[1-2].nii.gz", 4),
    "body, CT": ("totalsegmentator_samples/ct_seg.nii.gz", 3),
    "lobes of the lung": ("lung_proton_mr/*_lobes.nii.gz", 3),
}
"""Files, and how many slices are left out of so many and one."""

Method = Callable[[NDArray[np.integer], int, tuple[float, ...]], NDArray[np.integer]]


def ours(kept: NDArray[np.integer], step: int, spacing_mm: tuple[float, ...]) -> NDArray[np.integer]:
    """Vesalius."""
    at = np.arange(len(kept)) * step * spacing_mm[0]
    wanted = np.arange((len(kept) - 1) * step + 1) * spacing_mm[0]
    values = [int(value) for value in np.unique(kept) if value]
    return interpolate_slices(kept, at, wanted, spacing_mm=(spacing_mm[1], spacing_mm[2]), values=values)


def nearest(kept: NDArray[np.integer], step: int, _: tuple[float, ...]) -> NDArray[np.integer]:
    """The slice that is nearer; half way the lower one."""
    return kept[[(k + (step - 1) // 2) // step for k in range((len(kept) - 1) * step + 1)]]


def linear(kept: NDArray[np.integer], step: int, _: tuple[float, ...]) -> NDArray[np.integer]:
    """The label with the largest share of a mixture of both slices: the nearer slice, but for ties."""
    return _deepest(kept, step, lambda one: one.astype(np.float32))


def distances(kept: NDArray[np.integer], step: int, spacing_mm: tuple[float, ...]) -> NDArray[np.integer]:
    """Signed distances, mixed in a straight line."""
    plane = (spacing_mm[1], spacing_mm[2])
    half = step * spacing_mm[0] / 2

    def within(one: NDArray[np.bool_]) -> NDArray[np.float32]:
        whole = [
            np.full(a.shape, half if a.all() else -half) if a.all() or not a.any() else depth(a, plane) for a in one
        ]
        return np.stack(whole).astype(np.float32)

    return _deepest(kept, step, within)


def _deepest(
    kept: NDArray[np.integer], step: int, form: Callable[[NDArray[np.bool_]], NDArray[np.float32]]
) -> NDArray[np.integer]:
    made = np.zeros(((len(kept) - 1) * step + 1, *kept.shape[1:]), kept.dtype)
    best = np.full(made.shape, -np.inf, np.float32)
    for value in np.unique(kept):
        there = form(kept == value)
        for k in range(len(made)):
            low, share = min(k // step, len(kept) - 2), np.float32(k / step - min(k // step, len(kept) - 2))
            found = there[low] * (1 - share) + there[low + 1] * share
            better = found > best[k]
            best[k][better], made[k][better] = found[better], value
    return made


def morphological(kept: NDArray[np.integer], step: int, _: tuple[float, ...]) -> NDArray[np.integer]:
    """ITK's, as it is set up by itself."""
    import itk

    thin = np.zeros(((len(kept) - 1) * step + 1, *kept.shape[1:]), np.uint8 if kept.max() < 256 else np.uint16)
    thin[::step] = kept
    task = itk.MorphologicalContourInterpolator.New(itk.image_from_array(thin))
    task.SetAxis(2)  # ITK counts from the fastest
    task.Update()
    return itk.array_from_image(task.GetOutput())


METHODS: dict[str, Method] = {
    "Vesalius": ours,
    "signed distances": distances,
    "linear": linear,
    "nearest": nearest,
    "ITK, morphological": morphological,
}


def left_out(data: Path, names: list[str], methods: list[str]) -> Iterator[str]:
    """A line of the table for each set and method."""
    for name in names:
        pattern, step = SETS[name]
        scores: dict[str, list[tuple[float, float, float]]] = {method: [] for method in methods}
        for path in sorted(data.glob(pattern)):
            found = read_labels(path)
            shown = [np.flatnonzero(found.array.any(axis=tuple(k for k in range(3) if k != a))) for a in range(3)]
            box = tuple(slice(max(int(s[0]) - 4, 0), int(s[-1]) + 5) for s in shown)
            whole = np.ascontiguousarray(np.moveaxis(found.array[box], 2, 0))
            whole = whole[: (len(whole) - 1) // step * step + 1]
            spacing = tuple(found.grid.spacing_mm[k] for k in (2, 0, 1))
            for method in methods:
                begun = time.process_time()
                made = METHODS[method](whole[::step].copy(), step, spacing)
                scores[method].append((*score(made, whole, step, spacing, found.labels), time.process_time() - begun))
        for method in methods:
            dice, hd95, seconds = np.nanmean(scores[method], axis=0)
            yield f"| {name} | {method} | {dice:.4f} | {hd95:.2f} | {seconds:.1f} |"


def score(
    made: NDArray[np.integer],
    whole: NDArray[np.integer],
    step: int,
    spacing_mm: tuple[float, ...],
    labels: Labels,
) -> tuple[float, float]:
    """The mean over labels: Dice in the slices that were left out, and the 95th percentile of surface distances, mm."""
    gone = np.arange(len(whole)) % step > 0

    def on_grid(array: NDArray[np.integer], chosen: NDArray[np.bool_] | slice) -> LabelMap:
        part = array[chosen]
        return LabelMap(part, Grid.from_spacing(part.shape, spacing_mm), labels)

    dice = evaluate(on_grid(made, gone), on_grid(whole, gone), metrics=("dice",)).values
    both = slice(None)
    hd95 = evaluate(on_grid(made, both), on_grid(whole, both), metrics=("hd95",)).values
    there = [n for n, v in zip(labels.names, labels.values, strict=True) if (whole[gone] == v).sum() >= 20]
    lost = float(np.linalg.norm(np.asarray(whole.shape) * spacing_mm))
    far = [hd95[n]["hd95"] for n in there]
    return float(np.mean([dice[n]["dice"] for n in there])), float(
        np.mean([d if np.isfinite(d) else lost for d in far])
    )


def hearts(data: Path) -> Iterator[str]:
    """Pieces and handles of each heart, with steps kept and interpolated."""
    names = Labels.of({"right ventricle": 1, "myocardium": 2, "left ventricle": 3})
    for path in sorted(data.glob("acdc_cine_mr/*/*_gt.nii.gz")):
        labels = read_labels(path, names)
        row = []
        for made in (labels, by_distances(labels), between_slices(labels)):
            found = extract(made, slices="keep")
            row += [f"{one.pieces}, {one.genus}" for one in map(found.of, names.names)]
        yield f"| {path.name.partition('_gt')[0].replace('_', ', ')} | " + " | ".join(row) + " |"


def by_distances(labels: LabelMap) -> LabelMap:
    """Signed distances at the places of `between_slices`."""
    count = max(1, min(10, round(labels.grid.spacing_mm[2] / min(labels.grid.spacing_mm))))
    stack = np.moveaxis(labels.array, 2, 0)
    fine = distances(stack, 2 * count, tuple(labels.grid.spacing_mm[k] for k in (2, 0, 1)))
    places = np.clip((np.arange(len(stack) * count) * 2 + 1 - count), 0, len(fine) - 1)
    return LabelMap(np.moveaxis(fine[places], 0, 2), between_slices(labels).grid, labels.labels)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", action="append", choices=tuple(SETS))
    parser.add_argument("--method", action="append", choices=tuple(METHODS))
    parser.add_argument("--heart", action="store_true")
    args = parser.parse_args()
    if args.heart:
        print(
            "| heart | "
            + " | ".join(f"{n}, {m}" for m in ("kept", "distances", "Vesalius") for n in ("RV", "MYO", "LV"))
        )
        lines = hearts(args.data)
    else:
        print("| set | method | Dice | HD95, mm | CPU s |\n| --- | --- | ---: | ---: | ---: |")
        lines = left_out(args.data, args.set or list(SETS), args.method or list(METHODS))
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    main()
