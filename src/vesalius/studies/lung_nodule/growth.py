"""Nodules of one patient at several time points: which is which, and how fast it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from vesalius.errors import DataError
from vesalius.image import Volume
from vesalius.metrics.change import doubling_days
from vesalius.metrics.lung_rads import course_of, size_class
from vesalius.register import register
from vesalius.studies.lung_nodule.measuring import Nodule
from vesalius.studies.lung_nodule.scans import Scan
from vesalius.transform import resample

DAY = "day"
"""Column of the manifest (``group:day``) that says when a scan was taken: days since any date."""
_COARSE_MM = 4.0
_APART_MM = 12.0  # two scans of a nodule may lie so far apart after alignment: breath moves the lungs


def days_of(scans: Sequence[Scan]) -> dict[str, float]:
    """The day of each scan, where a manifest says it.

    Args:
        scans: Any.

    Raises:
        DataError: A day is no number.
    """
    found = {}
    for scan in scans:
        text = (scan.groups or {}).get(DAY, "")
        if text:
            try:
                found[scan.id] = float(text)
            except ValueError:
                raise DataError(f"{scan.id}: group:day must be a number of days, such as 0 or 365") from None
    return found


def follow(
    nodules: Mapping[str, Sequence[Nodule]], scans: Sequence[Scan], days: Mapping[str, float]
) -> dict[str, list[Nodule]]:
    """Say of each nodule what became of it since the scan before of the same patient.

    Args:
        nodules: Of each scan, by its name.
        scans: Which.
        days: When each was taken; scans without a day are left as they are.

    Returns:
        The nodules of each scan, those of later scans with their course, size class and doubling time.

    Raises:
        DataError: Two scans of a patient were taken on one day, or do not cover each other.
    """
    found = {name: list(some) for name, some in nodules.items()}
    for patient in {scan.patient for scan in scans}:
        course = sorted((s for s in scans if s.patient == patient and s.id in days), key=lambda s: days[s.id])
        for before, now in pairwise(course):
            gone = days[now.id] - days[before.id]
            if gone <= 0:
                raise DataError(f"{before.id} and {now.id} are of one patient and of the same day")
            found[now.id] = _since(found[now.id], nodules[before.id], before, now, gone)
    return found


def _since(nodules: Sequence[Nodule], earlier: Sequence[Nodule], before: Scan, now: Scan, days: float) -> list[Nodule]:
    alignment = register(_coarse(before), _coarse(now), kind="affine", measure="correlation", start="headers")
    free = list(earlier)
    made = []
    for nodule in nodules:
        there = np.asarray(alignment.to_moving(nodule.centre_mm))
        far = [float(np.linalg.norm(there - np.asarray(one.centre_mm))) for one in free]
        place = int(np.argmin(far)) if far else -1
        same = free.pop(place) if far and far[place] <= max(_APART_MM, nodule.long_axis_mm / 2) else None
        course = course_of(nodule.diameter_mm, None if same is None else same.diameter_mm, days=days)
        made.append(
            replace(
                nodule,
                course=course,
                size_class=size_class(nodule.diameter_mm, course),
                doubling_days=None if same is None else doubling_days(same.volume_ml, nodule.volume_ml, days),
            )
        )
    return made


def _coarse(scan: Scan) -> Volume:
    image = scan.read()
    grid = image.grid.with_spacing([max(_COARSE_MM, s) for s in image.grid.spacing_mm])
    small = resample(image, grid, antialias=True)
    return small.with_array(np.clip(small.array, -1000, 400))
