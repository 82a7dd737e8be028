"""Make what a rule promises of a series: read, segment, write; all of it appears, or nothing."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from vesalius.errors import DataError
from vesalius.image import LabelMap, Volume
from vesalius.io.atomic import atomic_folder
from vesalius.io.dicom import read_origin, read_series
from vesalius.io.dicom.header import damage_is_a_format_error
from vesalius.io.dicom.quiet import quiet
from vesalius.server.queue import Result, Work
from vesalius.server.rules import RESULTS, Promising, Rule, Segment

if TYPE_CHECKING:
    from vesalius.bundle.calibration import Calibration
    from vesalius.image import Size
    from vesalius.io.dicom.origin import Origin


def make_results(work: Work, rule: Rule, series: Path, folder: Path, segment: Segment) -> tuple[Result, ...]:
    """Carry out a rule on a series.

    The UIDs are those of the work, not drawn: made again, the objects have the same. And once they are there they are
    not made again, so that one UID never stands for two contents. A report comes with the segmentation it measures, and
    has the intervals that a calibrated bundle promises.

    Args:
        work: Which.
        rule: What is to be made.
        series: Folder of the images.
        folder: Where the folder of the results goes, named `Work.name`.
        segment: The step in the middle.

    Returns:
        The objects in the order in which they are to be sent.

    Raises:
        VesaliusError: The series cannot be read (slices missing …), segmented or described.
    """
    place = folder / work.name
    if not place.is_dir():
        with atomic_folder(place) as temporary:
            image = read_series(series)
            labels = segment(image)
            if not any(labels.counts().get(label.value) for label in labels.labels.labels):
                raise DataError("nothing was found in the series, so that there is nothing to send")
            promised = segment.calibration if isinstance(segment, Promising) else None
            _write_all(work, rule, temporary, Made(labels, image, read_origin(series), promised))
    return tuple(
        _described(path, kind)
        for number, kind in enumerate(RESULTS)
        if (path := path_of(folder, work.name, number, kind)).is_file()
    )


def path_of(folder: Path, work: str, number: int, kind: str) -> Path:
    """The file of a result.

    Args:
        folder: Of all results.
        work: `Work.name`.
        number: Its place in `vesalius.server.rules.RESULTS`.
        kind: Its name there.
    """
    return folder / work / f"{number}-{kind}.dcm"


@dataclass(frozen=True, eq=False)
class Made:
    """What results are written from.

    Args:
        labels: That were found.
        image: In which they were.
        origin: Its series.
        promised: How wrong their sizes may be, where that is known.
    """

    labels: LabelMap
    image: Volume
    origin: Origin
    promised: Calibration | None = None


def _write_all(work: Work, rule: Rule, folder: Path, made: Made) -> None:
    def path(kind: str) -> Path:
        return path_of(folder.parent, folder.name, RESULTS.index(kind), kind)

    for kind in RESULTS:
        # A report measures segments and refers to them.
        if kind in rule.results or (kind == "segmentation" and "report" in rule.results):
            _WRITERS[kind](path, made)
            _rename(path(kind), work.uid(kind), work.uid(f"series of {kind}"))


def _segmentation(path: Callable[[str], Path], made: Made) -> None:
    from vesalius.io.dicom.segmentation import write_seg

    write_seg(made.labels, path("segmentation"), made.origin)


def _report(path: Callable[[str], Path], made: Made) -> None:
    from vesalius.io.dicom.report import write_report
    from vesalius.metrics.size import measure

    sizes = measure(made.labels, made.image)
    if made.promised is not None:
        sizes = tuple(_with_interval(size, made.promised) for size in sizes)
    write_report(sizes, path("report"), made.origin, segmentation=path("segmentation"))


def _with_interval(size: Size, promised: Calibration) -> Size:
    from vesalius.report.quantities import promised_quantity

    found = size.volume_ml if size.area_mm2 is None else size.area_mm2
    both = None if found is None else promised.interval(size.name, found)
    quantity = None if both is None else promised_quantity(size, *both, promised.level)
    return size if quantity is None else replace(size, others=(*size.others, quantity))


def _contours(path: Callable[[str], Path], made: Made) -> None:
    from vesalius.io.dicom.structures import write_rtstruct

    write_rtstruct(made.labels, path("contours"), made.origin)


_WRITERS: dict[str, Callable[..., None]] = {
    "segmentation": _segmentation,
    "report": _report,
    "contours": _contours,
}


def _rename(path: Path, uid: str, series: str) -> None:
    """Give an object the UIDs that it has to have; in a folder that is not there yet for others."""
    with quiet, damage_is_a_format_error(path):
        made = dcmread(path)
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = UID(uid)
        made.SeriesInstanceUID = series
        made.save_as(path, enforce_file_format=True)


def _described(path: Path, kind: str) -> Result:
    with quiet, damage_is_a_format_error(path):
        made: Dataset = dcmread(path, stop_before_pixels=True)
        uids: list[Any] = [made.SOPInstanceUID, made.SOPClassUID, made.StudyInstanceUID, made.SeriesInstanceUID]
    uid, storage, study, series = map(str, uids)
    return Result(uid, kind, storage, study, series)


def clean_up(folder: Path) -> None:
    """Remove what a crash left half made.

    Args:
        folder: Of all results; nobody may be at work in it.
    """
    for left in folder.glob(".part-*"):
        with contextlib.suppress(OSError):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
