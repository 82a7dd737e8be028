"""LIDC-IDRI: a folder for each patient, in it studies and series of DICOM files, with the readers' XML beside a CT.

Source: wiki.cancerimagingarchive.net, LIDC-IDRI: ``LIDC-IDRI-0001/STUDY/SERIES/*.dcm`` and ``NNN.xml``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vesalius.image import Labels, LeftOut, Record
from vesalius.io.layouts.found import Found, refuse_choice
from vesalius.io.lidc import ROOT

LOOKS_FOR = "folders of DICOM files with the readers' XML (LidcReadMessage) beside them"

_HEAD = 4096  # bytes, in which the first element stands
_CHEST_FILM = b"IdriReadMessage"


def recognise(folder: Path) -> bool:
    """Whether a reading of a CT lies somewhere below."""
    return folder.is_dir() and any(ROOT.encode() in head for _, head in _readings(folder))


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Find the series with a reading; those of chest films are left out."""
    refuse_choice("lidc", reference)
    records: dict[str, Record] = {}
    left_out: list[LeftOut] = []
    for path, head in _readings(folder):
        place = path.parent.relative_to(folder)
        patient = place.parts[0] if place.parts else folder.name
        if ROOT.encode() not in head:
            if _CHEST_FILM in head:
                name = path.relative_to(folder).as_posix()
                left_out.append(LeftOut(name, "the reading of a chest film, not of a CT"))
            continue
        if any(record.images[0] == path.parent for record in records.values()):
            left_out.append(LeftOut(path.relative_to(folder).as_posix(), "a second reading beside the same series"))
            continue
        name, number = patient, 2
        while name in records:
            name, number = f"{patient}-{number}", number + 1
        records[name] = Record(name, (path.parent,), path, patient)
    folders = {name: record.images[0].relative_to(folder).parts for name, record in records.items()}
    return Found(
        tuple(records.values()), ("CT",), labels=Labels.of({"nodule": 1}), left_out=tuple(left_out), folders=folders
    )


def _readings(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """XML files that lie beside others, and how they begin."""
    for path in sorted(folder.glob("**/*.xml")):
        with path.open("rb") as file:
            yield path, file.read(_HEAD)
