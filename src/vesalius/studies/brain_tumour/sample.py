"""Synthetic brains with tumours, laid out as BraTS lays out its cases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Grid, Volume
from vesalius.io import write
from vesalius.io.atomic import make_folder, write_text
from vesalius.io.layouts.brats import CONVENTIONS
from vesalius.studies.phantom import Field, paint, radius, smooth_noise

Form = Literal["2020", "2023"]

_SHAPE = (50, 62, 44)
_SPACING_MM = 3.0  # the original has 240 x 240 x 155 voxels of 1 mm
_BRAIN_MM = (66.0, 83.0, 60.0)  # half axes; an adult's brain is about 140 x 170 x 130 mm
_TISSUES = ("outside", "CSF", "grey", "white", "necrotic core", "oedema", "enhancing tumour")
_OUTSIDE, _CSF, _GREY, _WHITE, _CORE, _OEDEMA, _RIM = range(7)
_VALUES = {
    "T1": (0, 250, 550, 750, 330, 480, 570),
    "T1CE": (0, 250, 570, 770, 330, 490, 1100),
    "T2": (0, 1000, 600, 430, 880, 850, 650),
    "FLAIR": (0, 150, 560, 480, 420, 900, 720),
}
"""Of each tissue. Source: which is bright and which dark as described by Menze et al., IEEE TMI 34:1993 (2015)."""

_NAMES: dict[Form, dict[str, str]] = {
    "2020": {"T1": "_t1", "T1CE": "_t1ce", "T2": "_t2", "FLAIR": "_flair", "reference": "_seg"},
    "2023": {"T1": "-t1n", "T1CE": "-t1c", "T2": "-t2w", "FLAIR": "-t2f", "reference": "-seg"},
}


@dataclass(frozen=True)
class Patient:
    """A synthetic patient.

    Args:
        images: One array for each sequence, int16; 0 outside the brain.
        compartments: 0, 1 (necrotic core), 2 (oedema), 4 (enhancing).
        grid: Where the voxels are.
        pushed_mm: How far the middle of the brain was pushed towards the left, mm.
    """

    images: dict[str, NDArray[np.int16]]
    compartments: NDArray[np.uint8]
    grid: Grid
    pushed_mm: float


def write_brats(folder: Path, *, cases: int = 10, seed: int = 0, form: Form = "2020") -> None:
    """Write cases as the challenge of a year names them.

    Args:
        folder: Where the folders of the patients go.
        cases: How many patients.
        seed: Of everything random.
        form: ``"2020"`` with the labels 1, 2, 4 and two tables, or ``"2023"`` with 1, 2, 3.
    """
    labels = CONVENTIONS["1/2/4" if form == "2020" else "1/2/3"]
    for number in range(1, cases + 1):
        case = f"BraTS20_Training_{number:03d}" if form == "2020" else f"BraTS-GLI-{number:05d}-000"
        made = draw_patient(np.random.default_rng([seed, number]), number=number)
        place = make_folder(folder / case)
        for name, array in made.images.items():
            write(Volume(array[None], made.grid), place / f"{case}{_NAMES[form][name]}.nii.gz")
        values = np.where(made.compartments == 4, labels["enhancing tumour"].value, made.compartments).astype(np.uint8)
        # As the originals: a plain image, without names for its values.
        write(Volume(values[None], made.grid), place / f"{case}{_NAMES[form]['reference']}.nii.gz")
    if form == "2020":
        _write_tables(folder, cases)


def draw_patient(random: np.random.Generator, *, number: int) -> Patient:
    """Draw a brain with a tumour on one side; every fifth has none that enhances.

    Args:
        random: Where it comes from.
        number: Decides the side: odd ones on the left.
    """
    grid = Grid.from_spacing(_SHAPE, (_SPACING_MM,) * 3, origin_mm=(0.0, -(_SHAPE[1] - 1) * _SPACING_MM, 0.0))
    middle = (np.asarray(_SHAPE) - 1) / 2
    points = [
        ((axis - c) * _SPACING_MM).astype(np.float32)
        for axis, c in zip(np.indices(_SHAPE, np.float32), middle, strict=True)
    ]
    side = 1.0 if number % 2 else -1.0
    size_mm = float(random.uniform(15, 22))
    centre = [side * random.uniform(30, 38), random.uniform(-38, 32), random.uniform(-12, 20)]
    # The tumour pushes what is around it away, most of all what is near.
    off = [p - c for p, c in zip(points, centre, strict=True)]
    far = np.sqrt(sum(o**2 for o in off)) + 1e-3
    push = 0.35 * size_mm * np.exp(-((far / (2.2 * size_mm)) ** 2))
    rested = [p - push * o / far for p, o in zip(points, off, strict=True)]
    tissues = _tissues(random, rested, points)
    shape = far * (1 + 0.13 * smooth_noise(random, _SHAPE, 3.5)) / size_mm
    inside = tissues != _OUTSIDE
    soft = inside & (tissues != _CSF)
    reach = 1.45 + 0.2 * smooth_noise(random, _SHAPE, 4.0)
    tissues[(shape < reach) & (tissues == _WHITE)] = _OEDEMA
    tissues[(shape < 1.0) & soft] = _OEDEMA
    enhances = number % 5 != 0
    tissues[(shape < 0.85) & soft] = _RIM if enhances else _CORE
    tissues[(shape < 0.58) & soft] = _CORE
    values = np.array([0, 0, 0, 0, 1, 2, 4], np.uint8)
    images = {}
    for name, levels in _VALUES.items():
        gain = float(random.uniform(0.7, 1.5))
        picture = paint(tissues, levels, random, blur=0.45, noise=22.0, uneven=0.06) * gain
        images[name] = np.where(inside, np.clip(np.round(picture), 1, 4000), 0).astype(np.int16)
    return Patient(images, values[tissues], grid, float(-side * _push_at_middle(size_mm, centre)))


def _tissues(random: np.random.Generator, rested: list[Field], points: list[Field]) -> NDArray[np.uint8]:
    """Outside, CSF, grey and white matter of a brain at rest, looked up where each point was before it was pushed."""
    x, y, z = rested
    folds = smooth_noise(random, _SHAPE, 1.5)
    fine = smooth_noise(random, _SHAPE, 3.5)
    out = radius(points, (0, 0, 0), _BRAIN_MM)  # the skull does not give way
    base = np.clip(-(z + 25) / 60, 0, 1) * 0.35  # flatter below
    depth_mm = (1 - out * (1 + base) + 0.012 * fine) * 62
    tissues = np.where(depth_mm > 0, _WHITE, _OUTSIDE).astype(np.uint8)
    brain = depth_mm > 0
    tissues[brain & (depth_mm < 9.5 + 5.0 * folds)] = _GREY
    tissues[brain & ((depth_mm < 1.6) | ((depth_mm < 13) & (folds > 1.15)))] = _CSF
    fissure = (np.abs(x) < 1.8) & ((z > 26) | (np.abs(y) > 48))
    tissues[brain & (np.abs(x) < 6) & ((z > 26) | (np.abs(y) > 48)) & (tissues == _WHITE)] = _GREY
    tissues[brain & fissure] = _CSF
    for sign in (-1.0, 1.0):
        tissues[radius(rested, (sign * 11, 6, -2), (9, 14, 9)) < 1] = _GREY  # thalamus
        tissues[radius(rested, (sign * 24, -8, -2), (6, 15, 9)) < 1] = _GREY  # lentiform nucleus
        bent = [x - sign * 0.004 * (y + 5) ** 2, y, z - 10 + 0.004 * (y + 5) ** 2]
        wide = 1 + 0.1 * fine
        tissues[radius(bent, (sign * 7, 2, 0), (5.0, 34, 6.5)) < wide] = _CSF  # lateral ventricle
    tissues[radius(rested, (0, 6, -4), (2.4, 13, 9)) < 1] = _CSF  # third ventricle
    tissues[~brain] = _OUTSIDE
    return tissues


def _push_at_middle(size_mm: float, centre: list[float]) -> float:
    """How far the tumour pushes what lies in the middle plane across from it, mm."""
    far = abs(centre[0])
    return 0.35 * size_mm * float(np.exp(-((far / (2.2 * size_mm)) ** 2)))


def _write_tables(folder: Path, cases: int) -> None:
    years = ("BraTS_2017_subject_ID", "BraTS_2018_subject_ID", "TCGA_TCIA_subject_ID", "BraTS_2019_subject_ID")
    names = [",".join(("Grade", *years, "BraTS_2020_subject_ID"))]
    lives = ["Brats20ID,Age,Survival_days,Extent_of_Resection"]
    for number in range(1, cases + 1):
        case = f"BraTS20_Training_{number:03d}"
        names.append(f"{'HGG' if number % 5 else 'LGG'},NA,NA,NA,NA,{case}")
        lives.append(f"{case},{50 + number},{200 + 10 * number},GTR")
    write_text(folder / "name_mapping.csv", "\n".join(names) + "\n")
    write_text(folder / "survival_info.csv", "\n".join(lives) + "\n")
