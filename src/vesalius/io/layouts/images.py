"""Images without references, to be segmented."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vesalius.errors import VesaliusError
from vesalius.io.layouts import pairs, visits
from vesalius.io.layouts.files import find_images, stem
from vesalius.io.layouts.found import Found, refuse_choice
from vesalius.io.layouts.roles import role
from vesalius.io.layouts.suffixes import group_images

LOOKS_FOR = "images of any known format, or folders of DICOM files, none of them named as a reference"


def recognise(folder: Path) -> bool:
    """Whether there are images, and none is named as a reference."""
    if not folder.is_dir() or pairs.recognise(folder):
        return False
    found = find_images(folder)
    return bool(found) and not any(role(stem(path)).kind == "reference" for path in found if path.is_file())


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Find the images. Channels are put together by name (``x_T1``, ``x_FLAIR``; ``x_0000``, ``x_0001``)."""
    refuse_choice("images", reference)
    found = group_images(folder)
    scanned = all(path.is_dir() for record in found.records for path in record.images)
    followed = _followed(folder) if scanned and not visits.recognise(folder) else 0
    if not followed:
        return found
    whose = "a patient" if followed == 1 else f"{followed} patients"
    note = (
        f"of {whose} there are DICOM studies of several days: the layout visits puts them in the order of their dates"
    )
    return replace(found, notes=(*found.notes, note))


def _followed(folder: Path) -> int:
    """Of how many patients there are several time points, by the dates of their studies."""
    try:
        patients, _ = visits.find_patients(folder)
    except VesaliusError:  # no dates, or no folders of patients: then there is no order
        return 0
    return sum(len(patient.visits) > 1 for patient in patients)
