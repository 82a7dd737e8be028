"""Lesions of a patient over time: registered, matched, measured, and what the changes mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vesalius.bundle import Bundle
from vesalius.errors import DataError, VesaliusError
from vesalius.image import LabelMap, Volume
from vesalius.io import read, read_labels, write
from vesalius.io.atomic import make_folder
from vesalius.io.layouts.visits import Patient, Visit, find_patients
from vesalius.predict import Segmenter, load_segmenter, segment
from vesalius.report import Section
from vesalius.studies.follow_up.following import Followed, Point, follow
from vesalius.studies.follow_up.sample import write_sample
from vesalius.studies.follow_up.telling import sections, write_tables
from vesalius.studies.study import Outcome, Setting, write_study
from vesalius.transform import grey

__all__ = ["DATA", "TITLE", "follow", "run", "write_sample"]

TITLE = "Follow-up: lesions over time"
DATA = (
    "a folder a patient, a folder a time point named by its date (PATIENT/2024-03-18/…) or of DICOM with a study date, "
    "images and lesions in it"
)

_RULES = (
    "Later time points are registered rigidly to the first, where lesions are matched by overlap, else by the distance "
    "of their borders (3 mm). Each lesion is measured on its own image.",
    "It has grown or shrunk where its volume changed by a quarter or more, and by more than 1.96 standard errors; "
    "these are the error of counting voxels, not of drawing. A new lesion raises an alert, and one that has grown.",
    "Response by diameters is RECIST 1.1's rule on up to five lesions of 10 mm or more, whatever organ they lie in; "
    "response by volume is that of RANO 2.0 (-65 %, +40 %). A response is called not sure where the error of "
    "measurement would change it.",
)


def run(data: Path, out: Path, setting: Setting) -> Outcome:
    """Follow every patient's lesions, and write the report.

    Writes ``report.html``, ``lesions.csv``, ``time-points.csv``, and for each patient the images and lesions of all
    time points on the grid of the first.

    Args:
        data: The patients; see `vesalius.io.layouts.visits`.
        out: Folder of the results.
        setting: What may be used. With ``trained``, time points without lesions are segmented by the one bundle there.

    Returns:
        Counts: patients, lesions, new, gone, grown and shrunk ones, and time points with an alert.

    Raises:
        DataError: There is no patient with two time points that have an image in common, or lesions are missing.
    """
    patients, left_out = find_patients(data)
    repairs = [f"{one.id}: {one.reason}" for one in left_out]
    segmenter = None if setting.trained is None else _segmenter(setting.trained, setting.device)
    followed: dict[str, Followed] = {}
    for patient in patients:
        if len(patient.visits) < 2:
            repairs.append(f"{patient.id}: a single time point has no course, and was left out")
            continue
        setting.note(f"{patient.id}: {len(patient.visits)} time points")
        points, said = _points(patient, segmenter)
        followed[patient.id] = follow(points, seed=setting.seed)
        repairs += [f"{patient.id}, {note}" for note in (*said, *followed[patient.id].notes)]
        _write_aligned(followed[patient.id], make_folder(out / "aligned" / patient.id))
    if not followed:
        raise DataError(f"{data.name}: no patient has two time points with images")
    write_tables(followed, out)
    pages = [part for patient, found in followed.items() for part in sections(patient, found)]
    return write_study(
        out,
        title=TITLE,
        data=DATA,
        lead=f"{len(followed)} patients, {sum(len(found.days) for found in followed.values())} time points.",
        sections=[Section("How this was found", _RULES), *pages],
        scores=_counts(followed),
        repairs=repairs,
        provenance={} if segmenter is None else {"lesions": f"segmented by {segmenter.bundle.card.name}"},
    )


def _segmenter(trained: Path, device: str) -> Segmenter:
    """The one bundle of an earlier run's results."""
    places = sorted(p for p in (trained / "bundles").glob("*") if p.is_dir()) if (trained / "bundles").is_dir() else []
    if len(places) != 1:
        raise DataError(
            f"{trained.name}: lesions are segmented by the one bundle in its folder bundles, which holds {len(places)}"
        )
    return load_segmenter(Bundle.load(places[0]), device=device)


def _points(patient: Patient, segmenter: Segmenter | None) -> tuple[list[Point], list[str]]:
    """What is registered and measured of each time point."""
    shared = sorted(set.intersection(*(set(visit.images) for visit in patient.visits)))
    if not shared:
        raise DataError(
            f"{patient.id}: its time points have no image in common: name the files alike, for example flair.nii.gz"
        )
    points, said = [], []
    if len(shared) > 1:
        said.append(f"registered by {shared[0]}, of {', '.join(shared)}")
    for number, visit in enumerate(patient.visits, start=1):
        try:
            image = _channel(read(visit.images[shared[0]]))
            lesions = _lesions(visit, image, segmenter)
        except VesaliusError as error:
            raise DataError(f"{patient.id}, time point {number}: {error}") from error
        points.append(Point(visit.day, image, lesions))
    return points, said


def _lesions(visit: Visit, image: Volume, segmenter: Segmenter | None) -> LabelMap:
    if visit.lesions is not None:
        lesions = read_labels(visit.lesions)
        if not lesions.grid.is_close(image.grid, tolerance_mm=0.1):
            raise DataError("image and lesions lie on different grids: were the lesions drawn on another image?")
        return lesions
    if segmenter is None:
        raise DataError(
            "there are no lesions: call the label map lesions.nii.gz, or name the results of a study that trained a "
            "segmenter with --trained"
        )
    wanted = segmenter.bundle.plan.channels
    whole = image
    if len(wanted) > 1:
        missing = [name for name in wanted if name.lower() not in visit.images]
        if missing:
            raise DataError(f"the segmenter wants {', '.join(wanted)}, and there is no file {missing[0].lower()}")
        channels = [_channel(read(visit.images[name.lower()])) for name in wanted]
        if not all(one.grid.is_close(image.grid, tolerance_mm=0.1) for one in channels):
            raise DataError("the images of a time point lie on different grids: register them first")
        whole = image.with_array(np.concatenate([one.array for one in channels]))
    return segment(whole, segmenter).labels


def _channel(image: Volume) -> Volume:
    return grey(image) if image.channels > 1 else image


def _write_aligned(found: Followed, folder: Path) -> None:
    for number, (image, lesions) in enumerate(found.aligned, start=1):
        write(image, folder / f"{number}.nii.gz")
        write(lesions, folder / f"{number}-lesions.nii.gz")


def _counts(followed: dict[str, Followed]) -> dict[str, float]:
    seen = [one for found in followed.values() for course in found.lesions.values() for one in course]

    def said(word: str) -> float:
        return float(sum(one.verdict == word for one in seen))

    alerts: Sequence[bool] = [bool(said) for found in followed.values() for said in found.alerts]
    return {
        "patients": float(len(followed)),
        "lesions": float(sum(len(found.lesions) for found in followed.values())),
        **{word: said(word) for word in ("new", "gone", "grown", "shrunk", "unchanged")},
        "time points with an alert": float(sum(alerts)),
    }
