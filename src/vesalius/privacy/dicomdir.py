"""A DICOMDIR for what was de-identified, where the files that came had one."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import generate_uid

from vesalius.io.atomic import make_folder, write_bytes
from vesalius.io.dicom.quiet import quiet
from vesalius.privacy.dates import NO_DATE, NO_TIME

NAME = "DICOMDIR"
_KEYS = {
    "StudyDate": NO_DATE,
    "StudyTime": NO_TIME,
    "StudyID": "1",
    "SeriesNumber": 0,
    "InstanceNumber": 0,
    "ContentDate": NO_DATE,
    "ContentTime": NO_TIME,
}
"""What a directory must say of each file, and what it says where the file does not any more.

Source: DICOM PS3.3, tables F.5-1 to F.5-4 and on: keys of Type 1."""
_LISTED = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def rebuild(folder: Path) -> tuple[dict[Path, Path], int]:
    """List the DICOM files of a folder in a DICOMDIR, under names as short as it allows.

    Files move to ``PT000000/ST000000/SE000000/IM000000`` and so on, numbered in the order of their pseudonyms, and keep
    every bit. A file that is there twice, from an earlier run and from this, is kept once.

    Args:
        folder: Holds de-identified DICOM and nothing else that is; an older DICOMDIR is replaced.

    Returns:
        New path by the old, both below the folder, and how many files could not be listed and stayed where they were.

    Raises:
        VesaliusError: The system refused to write.

    Source:
        DICOM PS3.10, section 8.2 and 8.6: names of eight capitals and digits, in at most eight folders.
    """
    with quiet:
        headers = {path: _header(path) for path in sorted(folder.rglob("*")) if _may_be_listed(path, folder)}
        known: dict[str, Path] = {}
        # A later run's file, under its long name, goes before what an earlier one has left.
        for path in sorted(headers, key=lambda one: (one.suffix == ".dcm", one)):
            known[str(headers[path].SOPInstanceUID)] = path
        for path in set(headers) - set(known.values()):
            path.unlink()
        listed, left = FileSet(), 0
        for path in sorted(known.values(), key=lambda one: [str(headers[one].get(key, "")) for key in _LISTED]):
            try:
                listed.add(_filled(headers[path]))
            except (ValueError, AttributeError, NotImplementedError):
                left += 1
        listed.UID = generate_uid(entropy_srcs=sorted(known))
        with tempfile.TemporaryDirectory() as apart:
            listed.write(apart)
            moves = {known[str(one.SOPInstanceUID)]: folder / Path(one.path).relative_to(apart) for one in listed}
            directory = (Path(apart) / NAME).read_bytes()
        listed._stage["t"].cleanup()  # pydicom would leave it to the garbage collector, which warns
    _move(moves, folder)
    write_bytes(folder / NAME, directory)
    return {old.relative_to(folder): new.relative_to(folder) for old, new in moves.items()}, left


def _may_be_listed(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    # What a run that was killed has set aside is a whole file.
    if not path.is_file() or path.name == NAME or (hidden and not re.fullmatch(r"\.part-\d+", path.name)):
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _header(path: Path) -> Dataset:
    return dcmread(path, stop_before_pixels=True)


def _filled(header: Dataset) -> Dataset:
    for keyword, value in _KEYS.items():
        if header.get(keyword) in (None, ""):
            setattr(header, keyword, value)
    return header


def _move(moves: dict[Path, Path], folder: Path) -> None:
    """All at once in two steps: a new name may be another file's old one."""
    waiting = []
    for number, (old, new) in enumerate(sorted(moves.items())):
        if old != new:
            aside = folder / f".part-{number}"
            old.replace(aside)
            waiting.append((aside, new))
    for aside, new in waiting:
        make_folder(new.parent)
        aside.replace(new)
    for place, _, _ in os.walk(folder, topdown=False):
        if Path(place) != folder and not any(Path(place).iterdir()):
            Path(place).rmdir()
