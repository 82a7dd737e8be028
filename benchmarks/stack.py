"""How well slices that lie askew are put right: real stacks are jittered by known shifts and turns, and aligned.

*Off* is how far a slice's content lies from where it was, apart from a shift of the stack as a whole; *steps* is the
same from slice to slice, which a slow drift hardly changes. Without jitter, all that is moved is wrong.

    python benchmarks/stack.py ../shared/data
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.io import read, read_labels
from vesalius.transform.align_slices import (
    Jitter,
    chosen_values,
    find_jitter,
    image_channels,
    move_image,
    move_labels,
    outline_channels,
)

SETS = {
    "vertebrae, 1.5 mm": ("spine_samples/vertebra_ct/sub-ct_seg-vert_label-22_msk.nii.gz", 2, ()),
    "liver, 3 mm": ("totalsegmentator_samples/ct_seg.nii.gz", 2, (5,)),
    "spleen, 5 mm": ("msd_spleen_crop/seg.nii.gz", 2, ()),
    "heart, 5 and 10 mm": ("acdc_cine_mr/*/*_gt.nii.gz", 2, ()),
    "brain, 3 mm": ("synthseg_labelmaps/training_seg_01.nii.gz", 2, ()),
}
"""Files, the axis across slices, and the structures (all)."""


def stacks(data: Path, name: str) -> Iterator[tuple[NDArray[np.integer], float]]:
    """Label slices around what they show, and the side of a pixel, mm."""
    pattern, axis, wanted = SETS[name]
    for path in sorted(data.glob(pattern)):
        found = read_labels(path)
        stack = np.moveaxis(found.array, axis, 0)[:: 3 if name.startswith("brain") else 1]
        stack = np.where(np.isin(stack, wanted), stack, 0).astype(stack.dtype) if wanted else stack
        shown = [np.flatnonzero(stack.any(axis=tuple(k for k in range(3) if k != a))) for a in range(3)]
        stack = stack[shown[0][0] : shown[0][-1] + 1, shown[1][0] : shown[1][-1] + 1, shown[2][0] : shown[2][-1] + 1]
        yield np.pad(stack, ((0, 0), (20, 20), (20, 20))), float(found.grid.spacing_mm[0])


def applied(count: int, shift_px: float, turn_deg: float, middle: tuple[float, float], seed: int) -> Jitter:
    """Random shifts and turns, each by itself."""
    random = np.random.default_rng(seed)
    shifts, turns = random.normal(0, shift_px, (count, 2)), np.radians(random.normal(0, turn_deg, count))
    return Jitter(shifts, turns, middle)


def inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The way back."""
    back = np.linalg.inv(matrix[:, :2])
    return np.column_stack([back, -back @ matrix[:, 2]])


def measured(points: NDArray[np.float64]) -> tuple[float, float]:
    """Root mean squares: apart from their mean, and from one to the next."""
    off = points - points.mean(axis=0)
    return (
        float(np.sqrt(np.square(off).sum(axis=1).mean())),
        float(np.sqrt(np.square(np.diff(points, axis=0)).sum(axis=1).mean())),
    )


def row(
    made: Jitter, found: Jitter, centres: NDArray[np.float64], pixel_mm: float
) -> tuple[float, float, float, float, float, float]:
    """Off and steps before and after, mm, and turns before and after, degrees."""
    before, after = [], []
    for k, centre in enumerate(centres):
        there = inverse(made.matrix(k)) @ [*centre, 1]  # where the jitter put the point
        back = inverse(found.matrix(k)) @ [*there, 1]
        before.append(there - centre)
        after.append(back - centre)
    turns = np.degrees([np.std(made.turns), np.std(made.turns + found.turns)])
    return (*(pixel_mm * x for both in (before, after) for x in measured(np.asarray(both))), *map(float, turns))


def rows(data: Path, names: list[str], shift_mm: float, turn_deg: float, seeds: int) -> Iterator[str]:
    """A line of the table for each set."""
    for name in names:
        found = []
        for number, (stack, pixel) in enumerate(stacks(data, name)):
            values = chosen_values(stack, [int(value) for value in np.unique(stack) if value])
            middle = ((stack.shape[1] - 1) / 2, (stack.shape[2] - 1) / 2)
            centres = np.asarray([np.argwhere(one).mean(axis=0) if one.any() else middle for one in stack])
            for seed in range(seeds):
                jitter = applied(len(stack), shift_mm / pixel, turn_deg, middle, 100 * number + seed)
                moved = [move_labels(one, jitter.matrix(k)) for k, one in enumerate(stack)]
                told = find_jitter(
                    [outline_channels(one, values) for one in moved], range(len(moved)), turned=turn_deg > 0
                )
                found.append(row(jitter, told, centres, pixel))
        numbers = np.mean(found, axis=0)
        yield f"| {name} | {shift_mm:g}, {turn_deg:g}° | " + " | ".join(f"{x:.2f}" for x in numbers) + " |"


def membranes(data: Path, shift_px: float, turn_deg: float) -> str:
    """Serial sections in the electron microscope, by their images; in pixels."""
    images = [read(path).array.astype(np.float32) for path in sorted(data.glob("isbi2012_em/images/*.png"))]
    middle = ((images[0].shape[1] - 1) / 2, (images[0].shape[2] - 1) / 2)
    jitter = applied(len(images), shift_px, turn_deg, middle, 7)
    moved = [move_image(one, jitter.matrix(k))[:, 40:-40, 40:-40] for k, one in enumerate(images)]
    told = find_jitter([image_channels(one) for one in moved], range(len(moved)), turned=turn_deg > 0)
    told = Jitter(told.shifts, told.turns, (told.middle[0] + 40, told.middle[1] + 40))
    numbers = row(jitter, told, np.tile(middle, (len(images), 1)), 1.0)
    shown = " | ".join(f"{x:.2f}" for x in numbers)
    return f"| nerve cord, EM, in pixels | {shift_px:g}, {turn_deg:g}° | {shown} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", action="append", choices=tuple(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    print("| stack | jitter, mm | off before | steps before | off after | steps after | turn before | turn after |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for shift, turn in ((0, 0), (3, 0), (3, 4)):
        for line in rows(args.data, args.set or list(SETS), shift, turn, args.seeds if shift else 1):
            print(line, flush=True)
        if not args.set:
            print(membranes(args.data, 4 * shift, turn), flush=True)


if __name__ == "__main__":
    main()
