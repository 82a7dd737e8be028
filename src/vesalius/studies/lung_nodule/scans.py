"""The scans of LUNA16 or LIDC-IDRI with their nodules, checked; or new scans of any kind, without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vesalius.errors import DataError
from vesalius.image import Dataset, Record, Volume
from vesalius.io import read
from vesalius.io.layouts import index
from vesalius.io.layouts.files import stem
from vesalius.io.layouts.luna16 import ANNOTATIONS, CANDIDATES, EXCLUDED, find_table
from vesalius.io.points import Mark, read_marks
from vesalius.metrics.froc import Finding, findings_of


@dataclass(frozen=True)
class Scan:
    """A scan and what is known of it.

    Args:
        id: Its name: in LUNA16 the series instance UID.
        path: A file, or a folder of DICOM files.
        subset: The part of the data set that is held out as a whole; empty where there are none.
        findings: What readers marked, those that need not be found included.
        said: Points that others called candidates, with a class: 1 a nodule, 0 none.
        reference: Where the nodules' shapes are, if anywhere.
        patient: Whose scan it is.
        groups: Further columns of a manifest.
    """

    id: str
    path: Path
    subset: str = ""
    findings: tuple[Finding, ...] = ()
    said: tuple[Mark, ...] = ()
    reference: Path | None = None
    patient: str = ""
    groups: Mapping[str, str] | None = None

    def read(self) -> Volume:
        """Read the image, a CT in HU.

        Raises:
            VesaliusError: It cannot be read.
            DataError: It is no 3D image of one channel.
        """
        image = read(self.path)
        if image.grid.ndim != 3 or image.channels != 1:
            raise DataError(f"{self.path.name}: a CT of the chest is 3D and has one channel")
        return image


def read_scans(data: Path, *, references: bool = True) -> tuple[tuple[Scan, ...], tuple[str, ...], str]:
    """Find the scans of a data set.

    Args:
        data: LUNA16, LIDC-IDRI, or anything that `vesalius.io.layouts.index` takes; one scan where no references are
            wanted: a file or a DICOM folder.
        references: Whether nodules are wanted, and a data set without them is refused.

    Returns:
        The scans, what was left out and why (in sentences), and the layout.

    Raises:
        DataError: There is nothing to use, or nodules are wanted and none are there.
        FormatError: A table cannot be read.
    """
    if not data.exists():
        raise DataError(f"{data.name}: there is no such file or folder")
    if data.is_file() and data.suffix.lower() not in (".csv", ".tsv"):
        return (Scan(stem(data), data),), (), "file"
    dataset = index(data, check=False)
    repairs = [f"{case.id}: {case.reason}; it was left out" for case in dataset.left_out]
    repairs += [note for note in dataset.notes if "series that are not there" in note]
    if dataset.layout == "luna16":
        scans, more = _luna16(data, dataset)
        return scans, (*repairs, *more), "luna16"
    plain = tuple(
        Scan(r.id, r.images[0], reference=r.reference, patient=r.patient or r.id, groups=r.groups)
        for r in dataset.records
    )
    if not references:
        return plain, tuple(repairs), dataset.layout
    if dataset.layout != "lidc":
        raise DataError(
            f"{data.name}: nodules are learnt from LUNA16 (annotations.csv, subset0 …) or LIDC-IDRI (DICOM with XML); "
            f"this is of layout {dataset.layout}. To find nodules in it, give the results of an earlier run (--trained)"
        )
    from vesalius.io.lidc import consensus_nodules

    found = []
    for scan in plain:
        assert scan.reference is not None
        nodules, ignored = consensus_nodules(scan.reference)
        findings = [Finding(scan.id, n.centre_mm, n.diameter_mm) for n in nodules]
        findings += [Finding(scan.id, n.centre_mm, n.diameter_mm, irrelevant=True) for n in ignored]
        found.append(replace(scan, findings=tuple(findings)))
    return _dealt(found), tuple(repairs), "lidc"


def _luna16(data: Path, dataset: Dataset) -> tuple[tuple[Scan, ...], list[str]]:
    repairs: list[str] = []
    tables = {name: find_table(data, name) for name in (ANNOTATIONS, EXCLUDED, CANDIDATES)}
    marks = {name: () if path is None else read_marks(path) for name, path in tables.items()}
    unclassed = sum(mark.kind is None for mark in marks[CANDIDATES])
    if unclassed:
        repairs.append(f"{CANDIDATES}: {unclassed} candidates have no class; they were left out")
    by_scan: dict[str, tuple[list[Finding], list[Mark]]] = {record.id: ([], []) for record in dataset.records}
    try:
        findings = (*findings_of(marks[ANNOTATIONS]), *findings_of(marks[EXCLUDED], irrelevant=True))
    except DataError as error:
        raise DataError(f"{ANNOTATIONS}: {error}") from None
    for finding in findings:
        if finding.scan in by_scan:
            by_scan[finding.scan][0].append(finding)
    for mark in marks[CANDIDATES]:
        if mark.series in by_scan and mark.kind is not None:
            by_scan[mark.series][1].append(mark)
    if not any(not f.irrelevant for marked, _ in by_scan.values() for f in marked):
        raise DataError(f"{ANNOTATIONS}: none of its nodules lies in a series that is there")
    return tuple(_scan(record, *by_scan[record.id]) for record in dataset.records), repairs


def _scan(record: Record, findings: Sequence[Finding], said: Sequence[Mark]) -> Scan:
    return Scan(record.id, record.images[0], record.groups["subset"], tuple(findings), tuple(said))


def _dealt(scans: Sequence[Scan]) -> tuple[Scan, ...]:
    """Scans that come in no subsets are dealt into five by patient, or as many as there are patients."""
    patients = sorted({scan.patient for scan in scans})
    order = np.random.default_rng(12345).permutation(len(patients))
    subset = {patients[int(n)]: str(place % 5) for place, n in enumerate(order)}
    return tuple(replace(scan, subset=subset[scan.patient]) for scan in scans)
