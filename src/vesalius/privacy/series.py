"""A series is handed on whole or not at all: its files wait for each other, and what is doubtful in one holds all."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from vesalius.image import LabelMap, Volume
from vesalius.io.atomic import write_bytes
from vesalius.privacy.findings import Findings
from vesalius.privacy.objects import Cleaned, read_dicom
from vesalius.privacy.ocr import Piece
from vesalius.privacy.slices import FEWEST
from vesalius.privacy.text import black_out_series, clean_pixels

TOGETHER = "it is of a series in which something is doubtful, and which must have no gaps"


@dataclass(frozen=True)
class Waiting:
    """A file that waits for the rest of its series.

    Args:
        path: The original.
        name: Of the cleaned file below the folder of results.
        findings: What was done to it, and what is in doubt.
        place: Where a slice lies along its series, mm; ``None`` for what is no slice.
        pieces: What looks like text in it.
    """

    path: Path
    name: Path
    findings: Findings
    place: float | None = None
    pieces: tuple[Piece, ...] = ()

    @classmethod
    def of(cls, path: Path, cleaned: Cleaned) -> Waiting:
        """A file as it was cleaned."""
        return cls(path, cleaned.name, cleaned.findings, cleaned.place, cleaned.pieces)


def settle(
    staging: Path,
    files: Sequence[Waiting],
    *,
    faces: bool,
    find_brain: Callable[[Volume], LabelMap | None] | None = None,
) -> list[Waiting]:
    """Decide of one series: black out its text, take off the face, and hold all of it where anything is doubtful.

    Args:
        staging: The folder below which the cleaned files lie; those that lose text or a face are replaced.
        files: Of one series. Those in doubt need not lie there.
        faces: Whether the face is to go.
        find_brain: Asked for the brain, which is then kept; see `vesalius.privacy.heads.deface_series`.

    Returns:
        The files with all that is to be said of them; either every slice of the series is sure or none is.

    Raises:
        MissingDependencyError: RapidOCR is not installed.
    """
    settled = list(files)
    if all(one.findings.sure for one in settled):
        settled = _without_text(staging, settled)
    if faces and all(one.findings.sure for one in settled):
        from vesalius.privacy.heads import deface_series

        found = deface_series((staging / settled[0].name).parent, find_brain=find_brain)
        settled = [replace(one, findings=one.findings + found) for one in settled]
    if all(one.findings.sure for one in settled):
        return settled
    held = Findings(doubts=(TOGETHER,))
    # What is no slice leaves no gap; but a face may be in each file of a series.
    return [
        replace(one, findings=one.findings + held)
        if one.findings.sure and (faces or (one.place is not None and _has_doubtful_slice(settled)))
        else one
        for one in settled
    ]


def _has_doubtful_slice(files: Sequence[Waiting]) -> bool:
    return any(one.place is not None and not one.findings.sure for one in files)


def _without_text(staging: Path, files: list[Waiting]) -> list[Waiting]:
    slices = [number for number, one in enumerate(files) if one.place is not None]
    slices.sort(key=lambda number: (files[number].place or 0.0, files[number].name))
    if not any(files[number].pieces for number in slices):
        return files
    readers = [partial(read_dicom, staging / files[number].name) for number in slices]
    found = [files[number].pieces for number in slices]
    made, said = black_out_series(readers, found) if len(slices) >= FEWEST else _each_alone(readers, found)
    for place, number in enumerate(slices):
        if place in said:
            files[number] = replace(files[number], findings=files[number].findings + said[place])
    if all(one.findings.sure for one in files):
        for place, dataset in made.items():
            write_bytes(staging / files[slices[place]].name, _encoded(dataset))
    return files


def _each_alone(
    readers: Sequence[Callable[[], Dataset]], found: Sequence[tuple[Piece, ...]]
) -> tuple[dict[int, Dataset], dict[int, Findings]]:
    """Too few slices to tell what recurs: each is a picture of its own."""
    done = {place: clean_pixels(readers[place]()) for place, pieces in enumerate(found) if pieces}
    return {place: made for place, (made, _) in done.items()}, {place: said for place, (_, said) in done.items()}


def _encoded(dataset: Dataset) -> bytes:
    held = io.BytesIO()
    syntax = dataset.file_meta.TransferSyntaxUID
    how = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
    dcmwrite(held, dataset, **how, enforce_file_format=True)
    return held.getvalue()
