"""Patients over time: a folder a patient, in it a folder a time point, named by its date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from vesalius.errors import DataError
from vesalius.image import LeftOut, Record
from vesalius.io.layouts.files import find_images, stem, subfolders
from vesalius.io.layouts.found import Found, refuse_choice
from vesalius.io.layouts.roles import role

LOOKS_FOR = "folders of patients with folders in them that are named by a date: PATIENT/2024-03-18/flair.nii.gz"

_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_LESIONS = re.compile(r"lesions?", re.IGNORECASE)


@dataclass(frozen=True)
class Visit:
    """One time point of a patient.

    Args:
        day: Days since the patient's first one.
        images: By name: the file's, or the DICOM folder's.
        lesions: The label map of the lesions, if there is one.
    """

    day: int
    images: Mapping[str, Path]
    lesions: Path | None = field(default=None)


@dataclass(frozen=True)
class Patient:
    """A patient's time points, the first one first.

    Args:
        id: Name of the folder.
        visits: At least one.
    """

    id: str
    visits: tuple[Visit, ...]


def find_patients(folder: Path) -> tuple[tuple[Patient, ...], tuple[LeftOut, ...]]:
    """Find the patients of a folder, or the one that it is itself.

    Args:
        folder: ``PATIENT/DATE/…``, the date being 2024-03-18 or 20240318. In it ``lesions.nii.gz`` or a file that is
            named as a segmentation (``flair_seg.nii.gz``), and images: files, or folders of DICOM slices. Dates are
            turned into days since the first one, and told nowhere.

    Returns:
        The patients, and what was left out, with the reason.

    Raises:
        DataError: There is none, or two folders of a patient are of the same day.
    """
    if _dated(folder):
        places = [folder]
    else:
        places = [place for place in subfolders(folder) if _dated(place)] if folder.is_dir() else []
    if not places:
        raise DataError(f"{folder.name}: no time points; the layout is {LOOKS_FOR}")
    left_out: list[LeftOut] = []
    patients = []
    for place in places:
        visits: list[Visit] = []
        first = None
        for number, (day, path) in enumerate(sorted(_dated(place).items()), start=1):
            images, lesions, odd = _files(path)
            left_out += [LeftOut(f"{place.name}, time point {number}", reason) for reason in odd]
            if not images:
                left_out.append(LeftOut(f"{place.name}, time point {number}", "it has no image"))
                continue
            first = first or day
            visits.append(Visit((day - first).days, images, lesions))
        if visits:
            patients.append(Patient(place.name, tuple(visits)))
    if not patients:
        raise DataError(f"{folder.name}: no time point has an image")
    return tuple(patients), tuple(left_out)


def recognise(folder: Path) -> bool:
    """Whether there are folders that are named by dates."""
    return folder.is_dir() and (bool(_dated(folder)) or any(_dated(place) for place in subfolders(folder)))


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Find the time points as cases of their patients, with the images that all of them have as channels.

    Raises:
        DataError: No time point can be used, or they share no image.
    """
    refuse_choice("visits", reference)
    patients, left_out = find_patients(folder)
    visits = [(patient, number, visit) for patient in patients for number, visit in enumerate(patient.visits, start=1)]
    shared = sorted(set.intersection(*(set(visit.images) for _, _, visit in visits)))
    if not shared:
        raise DataError(
            f"{folder.name}: the time points share no image: name the files alike, for example flair.nii.gz"
        )
    records = tuple(
        Record(f"{patient.id}_{number}", tuple(visit.images[n] for n in shared), visit.lesions, patient=patient.id)
        for patient, number, visit in visits
    )
    return Found(records, channels=tuple(shared), left_out=left_out, folders={r.id: (r.patient,) for r in records})


def _dated(folder: Path) -> dict[date, Path]:
    """The folders in a folder that are named by a date.

    Raises:
        DataError: Two are of the same day.
    """
    found: dict[date, Path] = {}
    for place in subfolders(folder) if folder.is_dir() else ():
        match = _DATE.fullmatch(place.name)
        if match is None:
            continue
        try:
            day = date(int(match[1]), int(match[2]), int(match[3]))
        except ValueError:
            continue
        if day in found:
            raise DataError(f"{folder.name}: two folders are of the same day")
        found[day] = place
    return found


def _files(folder: Path) -> tuple[dict[str, Path], Path | None, list[str]]:
    """Images by name, lesions, and what is odd."""
    images: dict[str, Path] = {place.name.lower(): place for place in subfolders(folder)}
    drawn = []
    for path in find_images(folder):
        if path.parent != folder:
            continue
        name = stem(path)
        kind = role(name).kind
        if kind == "reference" or _LESIONS.fullmatch(name):
            drawn.append(path)
        elif kind == "image":
            images[name.lower()] = path
    if len(drawn) < 2:
        return images, drawn[0] if drawn else None, []
    named = [path for path in drawn if _LESIONS.fullmatch(stem(path))]
    if len(named) == 1:
        return images, named[0], []
    return images, None, [f"{len(drawn)} files could be the lesions: call one lesions.nii.gz"]
