"""Of which examination a series is: what puts a patient's time points in order, and is told nowhere."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from vesalius.io.dicom.header import damage_is_a_format_error, read_header
from vesalius.io.dicom.quiet import quiet

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")  # Source: DICOM PS3.5, 6.2: DA, with points in ACR-NEMA
_NO_DATE = date(1900, 1, 1)  # what stands for a date that was taken out where an object needs one


@dataclass(frozen=True)
class Study:
    """What the first object of a series says of its study.

    Args:
        day: When it was; ``None`` where the header has no date, or only one that stands for none.
        uid: Of the study.
        patient: Whose it is.
        modality: Of the series.
        frame: Its frame of reference: series of one frame lie in one space.
    """

    day: date | None = field(repr=False)
    uid: str = field(repr=False)
    patient: str = field(repr=False)
    modality: str
    frame: str = field(default="", repr=False)


def study_of(folder: Path) -> Study | None:
    """Look at the first DICOM file directly inside a folder.

    Args:
        folder: Of a series; or one of its files.

    Returns:
        Its study; ``None`` where no file is DICOM. Nothing of it is to be shown: not even in a message.

    Raises:
        FormatError: The first DICOM file is damaged.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else [folder]:
        if not path.is_file() or path.name.startswith("."):
            continue
        with quiet, damage_is_a_format_error(path):
            header = read_header(path, whole=True)
            if header is None:
                continue
            said = {name: str(header.elements.get(name) or "") for name in _SAID}
        study, patient, modality, frame = (said[name] for name in _SAID[1:])
        return Study(_day(said["StudyDate"]), study, patient, modality, frame)
    return None


_SAID = ("StudyDate", "StudyInstanceUID", "PatientID", "Modality", "FrameOfReferenceUID")


def _day(text: str) -> date | None:
    found = _DATE.fullmatch(text.strip())
    try:
        day = None if found is None else date(*(int(part) for part in found.groups()))
    except ValueError:
        return None
    return None if day == _NO_DATE else day
