"""LUNA16: ``subset0`` … ``subset9`` with ``SERIESUID.mhd`` and ``.raw``, and ``annotations.csv`` beside them.

The references of this layout are the challenge's lungs (``seg-lungs-LUNA16``), where they are there. Its nodules are
points with a diameter, see `vesalius.io.points`; the study ``lung-nodule`` learns from them.

Source: luna16.grand-challenge.org/Data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from vesalius.image import Labels, LeftOut, Record
from vesalius.io.layouts.files import subfolders
from vesalius.io.layouts.found import Found, refuse_choice
from vesalius.io.points import Mark, holds_marks, read_marks

LOOKS_FOR = "annotations.csv with seriesuid and coordX, and subset0/ … with SERIESUID.mhd files"

ANNOTATIONS, CANDIDATES, EXCLUDED = "annotations.csv", "candidates_V2.csv", "annotations_excluded.csv"
LUNGS = "seg-lungs-LUNA16"
_LUNG_LABELS = {"left lung": 3, "right lung": 4, "trachea": 5}


def recognise(folder: Path) -> bool:
    """Whether there are annotations in LUNA16's columns and a subset with scans."""
    return folder.is_dir() and holds_marks(folder / ANNOTATIONS) and any(True for _ in _scans(folder))


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Find the scans; the group ``subset`` of each is the number of its folder.

    A scan that stands in two subsets is used in the first. Points of series that are not there are counted in a note.

    Raises:
        FormatError: A table cannot be read.
    """
    refuse_choice("luna16", reference)
    records: dict[str, Record] = {}
    left_out: list[LeftOut] = []
    lungs = folder / LUNGS
    for subset, path in _scans(folder):
        name = path.stem
        if name in records:
            first = records[name].groups["subset"]
            left_out.append(LeftOut(f"{path.parent.name}/{name}", f"the same series stands in subset{first}"))
            continue
        lung = lungs / f"{name}.mhd"
        records[name] = Record(name, (path,), lung if lung.is_file() else None, groups={"subset": subset})
    notes = [
        note
        for table in (ANNOTATIONS, CANDIDATES)
        if (folder / table).is_file() and (note := _strangers(table, read_marks(folder / table), records))
    ]
    labels = Labels.of(_LUNG_LABELS) if any(record.reference for record in records.values()) else None
    return Found(tuple(records.values()), ("CT",), labels=labels, left_out=tuple(left_out), notes=tuple(notes))


def find_table(folder: Path, name: str) -> Path | None:
    """A table of the challenge: beside the subsets, or in a folder below, as in its evaluation script's archive.

    Args:
        folder: Of the data set.
        name: For example ``annotations_excluded.csv``.
    """
    if (folder / name).is_file():
        return folder / name
    return next(iter(sorted(path for path in folder.glob(f"*/**/{name}") if holds_marks(path))), None)


def _scans(folder: Path) -> Iterable[tuple[str, Path]]:
    for place in subfolders(folder):
        if place.name.startswith("subset") and place.name[6:].isdecimal():
            for path in sorted(place.glob("*.mhd")):
                yield place.name[6:], path


def _strangers(table: str, marks: Iterable[Mark], records: Mapping[str, Record]) -> str:
    """What is said of points whose series is not there."""
    unknown = Counter(mark.series for mark in marks if mark.series not in records)
    if not unknown:
        return ""
    return f"{table}: {unknown.total()} points lie in {len(unknown)} series that are not there, and are passed over"
