"""How far registration is off, and how long it takes: ours beside SimpleITK set up as its own examples set it up.

    python benchmarks/register.py --poses 3

Real images of one head, of two sequences each: T1 onto FLAIR of `ms_lesion_mr` (raw, thick slices, an affine map of the
source is the truth), and FLAIR onto T1 with contrast agent of `brats2013_flair_t1c` (co-registered by the source). The
moving image's header is turned and shifted by drawn poses on top, so that the true map is known and nothing is
interpolated beforehand. Both methods run in turn in this process, on the same images. Prints; asserts nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vesalius.image import Grid, Volume
from vesalius.io import read
from vesalius.register import Alignment, Kind, read_alignment, register
from vesalius.register.itk import matrix_of, to_itk
from vesalius.register.levels import content

DATA = Path(__file__).parents[2] / "shared" / "data"
_SHIFT_MM = 15.0  # of the drawn poses, along each axis at most

Method = Callable[[Volume, Volume, Kind], Alignment]


def pairs() -> Iterator[tuple[str, Volume, Volume, Alignment]]:
    """Name, moving image, fixed image and the true map from fixed to moving points."""
    raw = DATA / "ms_lesion_mr" / "longitudinal_raw_patient01"
    truth = read_alignment(raw / "study1_T1W_intrastudy_to_FLAIR.txt")
    yield "T1 onto FLAIR, thick slices", read(raw / "study1_T1W.nii.gz"), read(raw / "study1_FLAIR.nii.gz"), truth
    for place in sorted((DATA / "brats2013_flair_t1c").glob("brats_*"))[:1]:
        images = [read(place / f"{name}_subtrMeanDivStd.nii.gz") for name in ("Flair", "T1c")]
        yield f"FLAIR onto T1c, {place.name[-9:-2]}", *images, Alignment(np.eye(4))


def lain_otherwise(moving: Volume, truth: Alignment, pose: NDArray[np.float64]) -> tuple[Volume, Alignment]:
    """The moving image with a header of another pose, and what is true then."""
    return replace(moving, grid=Grid(moving.grid.shape, pose @ moving.grid.affine)), Alignment(pose @ truth.matrix)


def drawn_pose(random: np.random.Generator, grid: Grid, degrees: float) -> NDArray[np.float64]:
    """A turn about the middle of a grid, and a shift."""
    middle = grid.to_points((np.asarray(grid.shape) - 1) / 2)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", random.uniform(-degrees, degrees, 3), degrees=True).as_matrix()
    pose[:3, 3] = middle + random.uniform(-_SHIFT_MM, _SHIFT_MM, 3) - pose[:3, :3] @ middle
    return pose


def ours(moving: Volume, fixed: Volume, kind: Kind) -> Alignment:
    """As it is without further arguments."""
    return register(moving, fixed, kind=kind)


def theirs(moving: Volume, fixed: Volume, kind: Kind) -> Alignment:
    """Source: the settings of SimpleITK's notebook 60_Registration_Introduction; its samples are seeded here."""
    one, other = (to_itk(image.array[0].astype(np.float32), image.grid) for image in (fixed, moving))
    start: Any = sitk.Euler3DTransform() if kind == "rigid" else sitk.AffineTransform(3)
    start = sitk.CenteredTransformInitializer(one, other, start, sitk.CenteredTransformInitializerFilter.GEOMETRY)
    task = sitk.ImageRegistrationMethod()
    task.SetMetricAsMattesMutualInformation(numberOfHistogramBins=50)
    task.SetMetricSamplingStrategy(task.RANDOM)
    task.SetMetricSamplingPercentage(0.01, 1)
    task.SetInterpolator(sitk.sitkLinear)
    task.SetOptimizerAsGradientDescent(
        learningRate=1.0, numberOfIterations=100, convergenceMinimumValue=1e-6, convergenceWindowSize=10
    )
    task.SetOptimizerScalesFromPhysicalShift()
    task.SetShrinkFactorsPerLevel([4, 2, 1])
    task.SetSmoothingSigmasPerLevel([2, 1, 0])
    task.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    task.SetInitialTransform(start, inPlace=False)
    return Alignment(matrix_of(task.Execute(one, other)))


METHODS: dict[str, Method] = {"vesalius": ours, "SimpleITK": theirs}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=int, default=3, help="of each pair (3)")
    parser.add_argument("--degrees", type=float, default=15.0, help="the most about each axis (15)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print("| pair | kind | method | mean error, mm | worst | off by more than 2 mm | processor time, s | wall, s |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name, moving, fixed, truth in pairs():
        points = fixed.grid.to_points(np.argwhere(content(fixed))[::997])
        random = np.random.default_rng(args.seed)
        poses = [drawn_pose(random, moving.grid, args.degrees) for _ in range(args.poses)]
        kinds: tuple[Kind, ...] = ("rigid", "affine")
        for kind in kinds:
            found: dict[str, list[tuple[float, float, float]]] = {method: [] for method in METHODS}
            for pose in poses:
                laid, true = lain_otherwise(moving, truth, pose)
                for method, run in METHODS.items():
                    wall, spent = time.perf_counter(), time.process_time()
                    alignment = run(laid, fixed, kind)
                    spent, wall = time.process_time() - spent, time.perf_counter() - wall
                    off = np.linalg.norm(alignment.to_moving(points) - true.to_moving(points), axis=1)
                    found[method].append((float(off.mean()), spent, wall))
            for method, rows in found.items():
                error, spent, wall = np.median(rows, axis=0)
                worst = max(row[0] for row in rows)
                failed = sum(row[0] > 2 for row in rows)
                print(
                    f"| {name} | {kind} | {method} | {error:.2f} | {worst:.2f} | {failed} of {len(rows)} "
                    f"| {spent:.1f} | {wall:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
