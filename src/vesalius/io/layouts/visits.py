"""Patients over time: a folder a patient, in it a folder a time point, named by its date or holding DICOM that is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from vesalius.errors import DataError
from vesalius.image import LeftOut, Record
from vesalius.io.dicom.study import Study, study_of
from vesalius.io.layouts.files import find_images, stem, subfolders
from vesalius.io.layouts.found import Found, refuse_choice
from vesalius.io.layouts.roles import role

LOOKS_FOR = "folders of patients with folders in them that are named by a date: PATIENT/2024-03-18/flair.nii.gz"

_OR_STUDIES = "or that hold DICOM series with study dates: PATIENT/STUDY/SERIES/…"
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
            named as a segmentation (``flair_seg.nii.gz``), and images: files, or folders of DICOM slices. Or
            ``PATIENT/STUDY/SERIES/…``, whatever the folders are called: DICOM, the date of each study from its headers.
            Dates are turned into days since the first one, and told nowhere.

    Returns:
        The patients, and what was left out or is odd, with the reason. Where folders are named by dates and all images
        of a patient are DICOM with study dates, the headers count, and it is said where the intervals differ.

    Raises:
        DataError: There is none, two time points of a patient are of the same day, or a study has no date.
        FormatError: A DICOM file is damaged.
    """
    if not folder.is_dir():
        raise DataError(f"{folder.name}: no time points; the layout is {LOOKS_FOR}, {_OR_STUDIES}")
    places = [folder] if _dated(folder) else [place for place in subfolders(folder) if _dated(place)]
    places = places or _with_studies(folder)
    if not places:
        raise DataError(f"{folder.name}: no time points; the layout is {LOOKS_FOR}, {_OR_STUDIES}")
    left_out: list[LeftOut] = []
    patients = []
    for patient, place in enumerate(places, start=1):
        visits: list[Visit] = []
        first = None
        days, odd = _days(place, f"patient {patient} of {len(places)}, in the order of the folders' names")
        left_out += odd
        for number, (day, path) in enumerate(sorted(days.items()), start=1):
            images, lesions, said = _files(path)
            left_out += [LeftOut(f"{place.name}, time point {number}", reason) for reason in said]
            if not images:
                left_out.append(LeftOut(f"{place.name}, time point {number}", "it has no image"))
                continue
            first = first or day
            visits.append(Visit((day - first).days, images, lesions))
        if visits:
            patients.append(Patient(place.name, _named_alike(visits)))
    if not patients:
        raise DataError(f"{folder.name}: no time point has an image")
    return tuple(patients), tuple(left_out)


def recognise(folder: Path) -> bool:
    """Whether there are folders that are named by dates."""
    return folder.is_dir() and (bool(_dated(folder)) or any(_dated(place) for place in subfolders(folder)))


def fits(folder: Path) -> bool:
    """Whether there are folders that are named by dates, or DICOM series of which some folder may be a patient's.

    Files are looked into, so this is for who asks for the layout: not every folder of DICOM is one of time points.
    """
    return recognise(folder) or (folder.is_dir() and bool(_with_studies(folder)))


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


def _days(folder: Path, called: str) -> tuple[dict[date, Path], list[LeftOut]]:
    """The time points of a patient by their day, and what is odd about it.

    Args:
        folder: Of the patient.
        called: What errors call the patient: folders of DICOM often bear the name or number that the headers have.

    Raises:
        DataError: Two are of the same day, or a study has no date and its folder is not named by one.
    """
    named = _dated(folder)
    places = list(named.values()) or [place for place in subfolders(folder) if _studies(place)]
    told = [_day_of(place, called) for place in places]
    if named and not all(told):
        return named, []
    found: dict[date, Path] = {}
    for day, place in zip(told, places, strict=True):
        if day is None:
            raise DataError(
                f"{called}: {told.count(None)} of {len(told)} studies have no study date in their DICOM headers, "
                "so that the time between them is not known: call the folders of its time points by their dates, or by "
                "others that are as far apart: PATIENT/2024-03-18/SERIES"
            )
        if day in found:
            raise DataError(f"{called}: two time points are of the same day by their DICOM headers")
        found[day] = place
    if named and _intervals(found) != _intervals(named):
        reason = "its folders' names and the study dates of its DICOM headers are not as far apart: the headers count"
        return found, [LeftOut(folder.name, reason)]
    return found, []


def _intervals(days: Mapping[date, Path]) -> dict[Path, int]:
    first = min(days)
    return {path: (day - first).days for day, path in days.items()}


def _day_of(place: Path, patient: str) -> date | None:
    """The day of a time point by its headers; ``None`` where an image is no DICOM, or has no date."""
    if any(path.is_file() for path in _files(place)[0].values()):
        return None
    days = {study.day for study in _studies(place)}
    if len(days) > 1:
        raise DataError(f"{patient}: the series of one time point are of different days: give each day a folder")
    return next(iter(days), None)


def _studies(place: Path) -> list[Study]:
    """Of the series in a folder and in the folders in it."""
    found = (study_of(one) for one in (place, *subfolders(place)))
    return [study for study in found if study is not None]


def _with_studies(folder: Path) -> list[Path]:
    """The patients below a folder, or the one that it is itself, by the DICOM series in it."""
    below = {place: _studies(place) for place in subfolders(folder)}
    once = [{study.uid for study in studies} for studies in below.values() if studies]
    whose = {study.patient for studies in below.values() for study in studies}
    # Folders of one study each, of one patient: time points.
    if len(once) > 1 and all(len(uids) == 1 for uids in once) and len(whose) == 1:
        return [folder]
    return [place for place in below if any(_studies(inner) for inner in subfolders(place))]


def _named_alike(visits: list[Visit]) -> tuple[Visit, ...]:
    """A de-identified series has another name at every time: where there is but one, it is called by its modality."""
    if len(visits) < 2 or set.intersection(*(set(visit.images) for visit in visits)):
        return tuple(visits)
    kinds = set()
    for visit in visits:
        only = next(iter(visit.images.values()))
        study = study_of(only) if len(visit.images) == 1 and only.is_dir() else None
        kinds.add(study and study.modality)
    name = kinds.pop() if len(kinds) == 1 else None
    if not name:
        return tuple(visits)
    return tuple(replace(visit, images={name.lower(): next(iter(visit.images.values()))}) for visit in visits)


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
    if not images and study_of(folder) is not None:
        images["dicom"] = folder
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
