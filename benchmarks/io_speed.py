"""How fast are volumes read and written, beside nibabel and SimpleITK?

Each job is done by all in turn, so that a busy machine is busy for all; medians and ratios are printed. Reading ends
with a sum over the voxels, so that nobody wins by mapping a file and never looking at it. The peers deliver what they
are asked for in practice: the stored type, in memory. Our writing waits until the disk has the file (fsync), theirs
does not.

    python benchmarks/io_speed.py --mb 200 --rounds 5
    python benchmarks/io_speed.py --clock cpu    # on a machine that others use too
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import read, read_labels, write

Job = Callable[[], Any]


def phantom(megabytes: int, dtype: str) -> Volume:
    """A body-like volume: smooth structures, air around them, and noise of scanners inside."""
    rng = np.random.default_rng(0)
    side = int((megabytes * 1e6 / np.dtype(dtype).itemsize) ** (1 / 3)) // 8 * 8
    coarse = rng.standard_normal((8, 8, 8)).astype(np.float32)
    for axis in range(3):
        coarse = np.repeat(coarse, side // 8, axis)
    x = np.linspace(-1, 1, side, dtype=np.float32)
    inside = x[:, None, None] ** 2 + x[None, :, None] ** 2 < 0.8
    array = np.where(inside, coarse * 200 + rng.standard_normal(coarse.shape, dtype=np.float32) * 15, -1000)
    grid = Grid.from_spacing(array.shape, (0.8, 0.8, 1.0), origin_mm=(-200, -200, 50))
    # In the files' own order, as an image that was read has it.
    return Volume(np.asfortranarray(array.astype(dtype))[None], grid)


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def race(title: str, jobs: dict[str, Job], asked: argparse.Namespace, rounds: int | None = None) -> None:
    """Run the jobs in turn and print medians, and how many times longer than ours each took."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    now = CLOCKS[asked.clock]
    for _ in range(rounds or asked.rounds):
        for name, job in jobs.items():
            start = now()
            job()
            times[name].append(now() - start)
    ours = statistics.median(times["vesalius"])
    told = [f"{name} {statistics.median(t):.3f} s (x{statistics.median(t) / ours:.2f})" for name, t in times.items()]
    print(f"{title:34} " + " | ".join(told), flush=True)


def _itk_array(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def main() -> None:
    """Parse, make the files, race."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=200, help="size of the volume in megabytes")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each job")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="what is measured")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("int16", "float32"):
            volume = phantom(asked.mb, dtype)
            print(f"{dtype}, {volume.array.nbytes / 1e6:.0f} MB, shape {volume.grid.shape}")
            for suffix in (".nii", ".nii.gz", ".nrrd", ".mha"):
                race_format(Path(folder), suffix, volume, asked)
        labels = LabelMap((volume.array[0] > 100).astype(np.uint8), volume.grid, Labels.of({"bright": 1}))
        path = Path(folder) / "labels.nii.gz"
        write(labels, path)
        race(
            "labels .nii.gz read",
            {
                "vesalius": lambda: read_labels(path),
                "nibabel": lambda: np.unique(np.asarray(nib.load(path).dataobj)),
                "SimpleITK": lambda: np.unique(_itk_array(path)),
            },
            asked,
        )


def race_format(folder: Path, suffix: str, volume: Volume, asked: argparse.Namespace) -> None:
    """Write and read one format."""
    ours, peers, itks = (folder / f"{who}{suffix}" for who in ("ours", "nibabel", "itk"))
    is_nifti = suffix.startswith(".nii")
    affine = np.diag([-1, -1, 1, 1]) @ volume.grid.affine
    image = sitk.GetImageFromArray(volume.array[0].T)
    compressed = suffix != ".nii"
    writers: dict[str, Job] = {
        "vesalius": lambda: write(volume, ours),
        "SimpleITK": lambda: sitk.WriteImage(image, str(itks), compressed, 1 if compressed else -1),
    }
    if is_nifti:
        writers["nibabel"] = lambda: nib.save(nib.Nifti1Image(volume.array[0], affine), peers)
    race(f"{suffix} write", writers, asked, 1)
    sizes = {path.stem: path.stat().st_size / 1e6 for path in (ours, itks, peers) if path.exists()}
    print(" " * 34, ", ".join(f"{name.split('.')[0]} {size:.0f} MB" for name, size in sizes.items()))
    for source in (ours, itks):
        # Read as a sum that touches every voxel, in each library's natural way.
        readers: dict[str, Job] = {
            "vesalius": lambda path=source: read(path).array.sum(),
            "SimpleITK": lambda path=source: _itk_array(path).sum(),
        }
        if is_nifti:
            readers["nibabel"] = lambda path=source: np.asarray(nib.load(path).dataobj).sum()
        race(f"{suffix} read (of {source.name.split('.')[0]})", readers, asked)


if __name__ == "__main__":
    main()
