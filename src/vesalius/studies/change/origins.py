"""What the headers of two DICOM scans say about comparing them; nothing of what they hold is told."""

from __future__ import annotations

from pathlib import Path

from vesalius.io.dicom.study import Study, study_of


def compare_origins(before: Path, after: Path, *, aligned: bool) -> tuple[list[str], int | None]:
    """Say what the headers make doubtful, and how many days lie between the scans.

    Args:
        before: The first scan: a DICOM folder or file; anything else tells nothing.
        after: The second scan.
        aligned: Whether their coordinates are taken as they are.

    Returns:
        Doubts, a sentence each, and the days from the first scan to the second; ``None`` where a header has no date.

    Raises:
        FormatError: A DICOM file is damaged.
    """
    first, second = _study(before), _study(after)
    if first is None or second is None:
        return [], None
    said = []
    if first.patient and second.patient and first.patient != second.patient:
        said.append("the headers say that the scans are of different patients")
    if aligned and first.frame and second.frame and first.frame != second.frame:
        said.append(
            "the scans are in different frames of reference: their coordinates mean different places unless they were "
            "registered outside the headers"
        )
    if first.modality != second.modality:
        said.append("the scans are of different modalities: borders may lie elsewhere in each")
    days = None if first.day is None or second.day is None else (second.day - first.day).days
    if days is not None and days < 0:
        said.append("the headers say that the second scan was taken before the first: are they the wrong way round?")
    return said, days


def _study(place: Path) -> Study | None:
    if not place.exists():
        return None
    return study_of(place)
