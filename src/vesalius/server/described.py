"""What the index keeps of an object: who it is, its digest, and the answers to queries."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from vesalius.errors import FormatError
from vesalius.io.dicom.header import damage_is_a_format_error, open_dicom
from vesalius.io.dicom.quiet import quiet
from vesalius.server.identity import checked_uid

LEVELS: dict[str, tuple[str, ...]] = {
    "study": (
        *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
        *("StudyDescription", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID"),
    ),
    "series": (
        *("SeriesInstanceUID", "Modality", "SeriesDescription", "SeriesNumber", "BodyPartExamined", "ProtocolName"),
        *("Manufacturer", "ManufacturerModelName", "StationName", "PerformedProcedureStepStartDate"),
        *("PerformedProcedureStepStartTime",),
    ),
    "instance": (
        *("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"),
        *("ImageType",),
    ),
}
"""What queries can ask for, by level.

Source: PS3.18 2026c, tables 10.6.3-3 to 10.6.3-5 (QIDO-RS attributes), and what rules commonly look at.
"""

_TAGS: list[int] = [
    tag
    for keyword in ("SpecificCharacterSet", *(name for names in LEVELS.values() for name in names))
    if (tag := tag_for_keyword(keyword)) is not None
]
_LONGEST_VALUE = 1024
_PIXELS = 0x7FE00008
_CHUNK = 1 << 20
_AT_ONCE = threading.BoundedSemaphore(2)  # what is deflated grows to 1 GiB in memory, however many peers send it


@dataclass(frozen=True)
class Described:
    """An object as the index keeps it.

    Args:
        uid: SOP Instance UID.
        study, series: Their UIDs.
        storage: SOP Class UID.
        syntax: Transfer syntax.
        sha256: Of the data set as it is encoded (of a deflated one, inflated).
        headers: By level, its part of `LEVELS` as DICOM JSON.
    """

    uid: str
    study: str
    series: str
    storage: str
    syntax: str
    sha256: str
    headers: Mapping[str, str] = field(repr=False)


def describe_object(path: Path) -> Described:
    """Read what the index keeps of a file.

    Args:
        path: A file as PS3.10 has it.

    Raises:
        FormatError: It is not DICOM, a DICOMDIR, damaged, or a UID is missing or none.
    """
    with _AT_ONCE, quiet, damage_is_a_format_error(path), open_dicom(path) as opened:
        if opened is None:
            raise FormatError("the object is not DICOM")
        stream, syntax, storage = opened
        if storage == MediaStorageDirectoryStorage:
            raise FormatError("the object is a DICOMDIR, which is no object of a patient")
        start = stream.tell()
        elements = read_dataset(
            stream,
            is_implicit_VR=syntax == ImplicitVRLittleEndian,
            is_little_endian=syntax != ExplicitVRBigEndian,
            stop_when=lambda tag, _vr, _length: tag >= _PIXELS,
            specific_tags=list(_TAGS),
        )
        uids = {
            name: checked_uid(str(elements.get(keyword) or ""), what)
            for name, keyword, what in (
                ("uid", "SOPInstanceUID", "SOP Instance UID"),
                ("study", "StudyInstanceUID", "Study Instance UID"),
                ("series", "SeriesInstanceUID", "Series Instance UID"),
                ("storage", "SOPClassUID", "SOP Class UID"),
            )
        }
        digest = _digest(stream, 0 if syntax == DeflatedExplicitVRLittleEndian else start)
        headers = {level: _as_json(elements, names) for level, names in LEVELS.items()}
    return Described(**uids, syntax=checked_uid(str(syntax), "transfer syntax"), sha256=digest, headers=headers)


def _digest(stream: BinaryIO, start: int) -> str:
    stream.seek(start)
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _as_json(elements: Dataset, names: tuple[str, ...]) -> str:
    """The DICOM JSON of some elements; one that cannot be understood is left out."""
    made: dict[str, object] = {}
    for name in names:
        tag = tag_for_keyword(name)
        if tag is None or tag not in elements:
            continue
        try:
            element = elements[tag]
            if element.VR != dictionary_VR(tag) or len(str(element.value)) > _LONGEST_VALUE:
                continue
            made[f"{tag:08X}"] = element.to_json_dict(None, 0)
        except Exception:  # pydicom raises a dozen kinds; the object itself is kept as it is
            continue
    return json.dumps(made, sort_keys=True)
