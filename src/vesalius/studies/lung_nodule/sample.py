"""A small synthetic data set in exactly LUNA16's layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vesalius.image import LabelMap, Labels
from vesalius.io import write
from vesalius.io.atomic import make_folder
from vesalius.io.layouts.luna16 import ANNOTATIONS, CANDIDATES, EXCLUDED, LUNGS
from vesalius.io.points import Mark, write_marks
from vesalius.studies.lung_nodule.phantom import make_chest

_ROOT = "1.3.6.1.4.1.14519.5.2.1.6279.6001"  # of the series of LIDC-IDRI
_SPACINGS_MM = ((1.5, 1.5, 2.5), (1.4, 1.4, 2.0), (1.6, 1.6, 3.0))


def write_luna16(
    folder: Path,
    *,
    scans: int = 9,
    subsets: int = 3,
    spacings_mm: Sequence[tuple[float, float, float]] = _SPACINGS_MM,
    seed: int = 0,
) -> None:
    """Write synthetic chests as LUNA16 would be.

    Args:
        folder: Where; it exists.
        scans: How many.
        subsets: Over how many they are dealt.
        spacings_mm: Of the scans, in turn.
        seed: Of everything random.
    """
    random = np.random.default_rng(seed)
    nodules: list[Mark] = []
    excluded: list[Mark] = []
    candidates: list[Mark] = []
    lungs = make_folder(folder / LUNGS)
    for number in range(scans):
        series = f"{_ROOT}.{random.integers(10**14, 10**15)}{random.integers(10**14, 10**15)}"
        spacing = spacings_mm[number % len(spacings_mm)]
        chest = make_chest(random, spacing_mm=spacing, nodules=int(random.integers(3, 7)))
        place = make_folder(folder / f"subset{number % subsets}")
        write(chest.image, place / f"{series}.mhd")
        fields = LabelMap(chest.lungs, chest.image.grid, Labels.of({"left": 3, "right": 4, "trachea": 5}))
        write(fields, lungs / f"{series}.mhd")
        for nodule in chest.nodules:
            nodules.append(Mark(series, nodule.centre_mm, nodule.diameter_mm))
            x, y, z = (c + random.normal(0, 1) for c in nodule.centre_mm)
            candidates.append(Mark(series, (float(x), float(y), float(z)), kind=1))
        for at in random.permutation(len(chest.forks))[:40]:
            x, y, z = (float(v) for v in chest.forks[int(at)])
            if all(np.linalg.norm(np.subtract((x, y, z), n.centre_mm)) > n.diameter_mm for n in chest.nodules):
                candidates.append(Mark(series, (x, y, z), kind=0))
        excluded.append(Mark(series, candidates[-1].centre_mm, -1.0))  # a non-nodule that readers marked
    write_marks(nodules, folder / ANNOTATIONS)
    write_marks(excluded, folder / EXCLUDED)
    write_marks(candidates, folder / CANDIDATES)
