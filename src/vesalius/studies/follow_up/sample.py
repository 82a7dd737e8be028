"""Two heads over three time points, with lesions whose fate is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import write
from vesalius.io.atomic import make_folder
from vesalius.studies.phantom import paint, radius, smooth_noise

_DATES = ("2024-01-10", "2024-04-11", "2024-08-02")  # 92 and 205 days after the first
_GRID = Grid.from_spacing((72, 88, 60), (2.0, 2.0, 2.5), origin_mm=(-71.0, -87.0, -74.0))
_VALUES = (0.0, 45.0, 15.0, 70.0, 85.0, 140.0)  # air, scalp and skull, liquor, grey matter, white matter, lesion

Ball = tuple[float, float, float, float]
"""Centre x, y, z and radius, mm."""

COURSES: Mapping[str, tuple[tuple[Ball, ...], ...]] = {
    "patient-1": (
        # One grows, one stays, one goes, two merge; one is new at the last time.
        ((25, -20, 15, 6), (-28, 10, 20, 7), (5, 40, 10, 5), (-20, -40, 5, 6), (-20, -24, 5, 5)),
        ((25, -20, 15, 8), (-28, 10, 20, 7), (-20, -40, 5, 7), (-20, -24, 5, 6)),
        ((25, -20, 15, 10), (-28, 10, 20, 7), (-20, -40, 5, 8.5), (-20, -24, 5, 8.5), (20, 30, 30, 6)),
    ),
    "patient-2": (
        # All shrink; one of them falls into two.
        ((-22, -25, 18, 11), (24, 20, 12, 8), (18, 20, 12, 8)),
        ((-22, -25, 18, 9), (27, 20, 12, 6), (15, 20, 12, 6)),
        ((-22, -25, 18, 6), (29, 20, 12, 4.5), (13, 20, 12, 4.5)),
    ),
}
"""Where the lesions of each patient are at each time, in the first image's space, LPS."""

_MOVES: Sequence[tuple[tuple[float, float, float], tuple[float, float, float]]] = (
    ((0, 0, 0), (0, 0, 0)),
    ((6, -4, 9), (5, -3, 4)),
    ((-5, 3, -12), (-4, 6, -2)),
)


def write_sample(folder: Path, *, seed: int = 0) -> None:
    """Write the heads in the study's layout: ``PATIENT/DATE/flair.nii.gz`` and ``lesions.nii.gz``.

    Args:
        folder: Where to.
        seed: Of shapes and noise; sizes and fates of the lesions are always the same.
    """
    for number, (patient, course) in enumerate(COURSES.items()):
        shape = np.random.default_rng((seed, number))
        folds = smooth_noise(shape, _GRID.shape, 3.0)
        for visit, (balls, pose) in enumerate(zip(course, moves(), strict=True)):
            image, lesions = _scan(balls, pose, folds, np.random.default_rng((seed, number, visit)))
            place = make_folder(folder / patient / _DATES[visit])
            write(image, place / "flair.nii.gz")
            write(lesions, place / "lesions.nii.gz")


def moves() -> list[NDArray[np.float64]]:
    """How a patient lies at each time: from points of the first image to points of that time's, mm."""
    found = []
    for angles, shift in _MOVES:
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
        pose[:3, 3] = shift
        found.append(pose)
    return found


def _scan(
    balls: Sequence[Ball], pose: NDArray[np.float64], folds: NDArray[np.float32], random: np.random.Generator
) -> tuple[Volume, LabelMap]:
    """What the scanner sees of a head that lies in a pose: drawn where the points come from, not interpolated."""
    index = np.moveaxis(np.indices(_GRID.shape), 0, -1)
    back = np.linalg.inv(pose)
    home = _GRID.to_points(index) @ back[:3, :3].T + back[:3, 3]
    points = [np.asarray(home[..., axis], np.float32) for axis in range(3)]
    at = np.clip(np.rint(_GRID.to_index(home)).astype(int), 0, np.asarray(_GRID.shape) - 1)
    ripple = folds[tuple(at[..., axis] for axis in range(3))]  # the folds move with the head
    head = radius(points, (0, 0, 0), (62, 78, 68))
    brain = radius(points, (0, 3, 2), (52, 66, 56))
    tissues = np.zeros(_GRID.shape, np.uint8)
    tissues[head < 1] = 1
    tissues[brain < 1] = 3
    tissues[brain + 0.14 * ripple < 0.82] = 4
    for side in (-1, 1):
        tissues[radius(points, (8 * side, 5, 8), (5, 22, 9)) < 1] = 2
    tissues[radius(points, (0, -78, -12), (9, 12, 12)) < 1] = 1  # the nose
    drawn = np.zeros(_GRID.shape, np.uint8)
    for *centre, size in balls:
        drawn[radius(points, centre, (size,) * 3) < 1] = 1
    tissues[drawn > 0] = 5
    array = np.maximum(paint(tissues, _VALUES, random, blur=0.6, noise=2.5, uneven=0.04), 0)
    image = Volume(array[None], _GRID, Meta(modality="MR"))
    return image, LabelMap(drawn, _GRID, Labels.of({"lesion": 1}))
