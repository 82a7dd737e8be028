"""Write label maps as DICOM RT structure sets: contours on the slices of a series."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage
from scipy.ndimage import find_objects

from vesalius.errors import DataError, FormatError, GeometryError, unknown_name
from vesalius.image import Grid, Label, LabelMap
from vesalius.io.dicom.derived import (
    begin,
    coded,
    decimal,
    enter_frame_of_reference,
    measures,
    orientation,
    position,
    reference,
    require_grid,
    save,
)
from vesalius.io.dicom.origin import Origin
from vesalius.io.dicom.outline import Loop, join_holes, trace

Holes = Literal["keyhole", "xor"]
Algorithm = Literal["automatic", "semiautomatic", "manual"]

_CONTOUR_DATA = Tag(0x3006, 0x0050)
_LONGEST = 16  # characters of a decimal string
_SERIES = 901  # number of the new series, past those of a scanner
_FINE = 1e-4  # of a pixel: how exactly contours are written, far finer than the half pixel to the next centre


@dataclass(frozen=True)
class _Structure:
    """What becomes one ROI: its number, its values in the label map, and the box that holds it."""

    number: int
    label: Label
    values: tuple[int, ...]
    box: tuple[slice, ...] | None


def write_rtstruct(
    labels: LabelMap,
    path: str | os.PathLike[str],
    origin: Origin,
    *,
    holes: Holes = "keyhole",
    regions: bool = False,
    algorithm: Algorithm = "automatic",
    description: str = "Segmentation",
) -> None:
    """Write a label map as an RT structure set.

    Contours run along the borders of the pixels, on the slices of the series: they enclose exactly the voxels of a
    structure, at any orientation and spacing, however thin it is. Several pieces of a structure in a slice are several
    contours. `vesalius.io.dicom.contours.read_rtstruct` gives the label map back, voxel for voxel.

    Args:
        labels: On the grid of the series. Values become ROI numbers; a label without voxels becomes an ROI without
            contours. Colours and codes are written where there are any.
        path: The file, usually ``.dcm``.
        origin: The series that was segmented: see `vesalius.io.dicom.origin.read_origin`.
        holes: ``"keyhole"`` joins a hole to the border around it by a channel without width, which every system reads;
            ``"xor"`` writes it as a contour of its own, of the type that says so (DICOM of 2017 and later).
        regions: Write the regions of the labels, too, as structures that overlap.
        algorithm: Who drew it.
        description: Of the new series and the structure set.

    Raises:
        GeometryError: The labels lie on another grid than the series, or the grid is 2D.
        DataError: Voxels have the value that means that nobody looked at them: contours cannot say so.
        FormatError: The series lacks what a structure set must copy.
        VesaliusError: The system refused to write.

    Source: DICOM PS3.3 A.19 (RT Structure Set IOD), C.8.8.5, C.8.8.6, C.8.8.8.
    """
    if labels.grid.ndim != 3:
        raise GeometryError("a structure set has its contours in space: a 2D label map has no place in it")
    require_grid(labels.grid, origin, "the label map")
    if holes not in ("keyhole", "xor"):
        raise FormatError(unknown_name("way to write holes", holes, ("keyhole", "xor")))
    _refuse_ignored(labels)
    structures = list(_structures(labels, regions=regions))
    texts = [*(one.label.name for one in structures), *(c.meaning for one in structures if (c := one.label.code))]
    made = begin(
        origin, RTStructureSetStorage, modality="RTSTRUCT", description=description, series_number=_SERIES, texts=texts
    )
    # A contour may be longer than the 64 KiB that explicit encoding has room for.
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    for keyword in ("ContentDate", "ContentTime"):  # of images and reports; a structure set has a date of its own
        if keyword in made:
            del made[keyword]
    made.OperatorsName = ""
    enter_frame_of_reference(made, origin)
    made.StructureSetLabel = description[:16]
    made.StructureSetName = description[:64]
    made.StructureSetDate, made.StructureSetTime = made.InstanceCreationDate, made.InstanceCreationTime
    made.ReferencedFrameOfReferenceSequence = [_referenced(made.FrameOfReferenceUID, origin)]
    made.StructureSetROISequence = [_roi(one, made.FrameOfReferenceUID, labels, algorithm) for one in structures]
    made.ROIContourSequence = [_contours(one, labels, origin, holes) for one in structures]
    made.RTROIObservationsSequence = [_observation(one, at) for at, one in enumerate(structures, start=1)]
    made.ApprovalStatus = "UNAPPROVED"
    save(made, path)


def _refuse_ignored(labels: LabelMap) -> None:
    ignore = labels.labels.ignore
    if ignore is not None and (labels.array == ignore).any():
        raise DataError(
            f"voxels of value {ignore} are marked as looked at by nobody, which contours cannot say: give them another "
            "value, or write a label map format"
        )


def _structures(labels: LabelMap, *, regions: bool) -> Iterator[_Structure]:
    boxes = dict(enumerate(find_objects(labels.array), start=1))
    for label in labels.labels.labels:
        yield _Structure(label.value, label, (label.value,), boxes.get(label.value))
    free = max(labels.labels.values, default=0)
    for number, region in enumerate(labels.labels.regions if regions else (), start=free + 1):
        yield _Structure(number, Label(region.name, number), region.values, _around(boxes, region.values))


def _around(boxes: dict[int, tuple[slice, ...] | None], values: tuple[int, ...]) -> tuple[slice, ...] | None:
    """The box that holds several."""
    some = [box for value in values if (box := boxes.get(value)) is not None]
    if not some:
        return None
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*some, strict=True))


def _roi(structure: _Structure, frame_of_reference: str, labels: LabelMap, algorithm: Algorithm) -> Dataset:
    """Source: DICOM PS3.3 C.8.8.5 (Structure Set module)."""
    voxels = int(np.isin(labels.array[structure.box], structure.values).sum()) if structure.box else 0
    item = Dataset()
    item.ROINumber = structure.number
    item.ReferencedFrameOfReferenceUID = frame_of_reference
    item.ROIName = structure.label.name[:64]
    item.ROIVolume = decimal(voxels * labels.grid.voxel_volume_mm3 / 1000)
    item.ROIGenerationAlgorithm = algorithm.upper()
    return item


def _observation(structure: _Structure, number: int) -> Dataset:
    """Source: DICOM PS3.3 C.8.8.8 (RT ROI Observations module)."""
    item = Dataset()
    item.ObservationNumber = number
    item.ReferencedROINumber = structure.number
    if structure.label.code is not None:
        item.RTROIIdentificationCodeSequence = [coded(structure.label.code)]
    # Whether it is an organ, a target or an avoided volume is for the planner to say.
    item.RTROIInterpretedType = ""
    item.ROIInterpreter = ""
    return item


def _referenced(frame_of_reference: str, origin: Origin) -> Dataset:
    """The study, series and images that the contours refer to.

    Source: DICOM PS3.3 C.8.8.5 (Referenced Frame of Reference Sequence).
    """
    source = origin.headers[0]
    series = Dataset()
    series.SeriesInstanceUID = source.SeriesInstanceUID
    series.ContourImageSequence = [reference(header) for header in origin.headers]
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, as C.8.8.5 has it still
    study.ReferencedSOPInstanceUID = source.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    item = Dataset()
    item.FrameOfReferenceUID = frame_of_reference
    item.RTReferencedStudySequence = [study]
    return item


def _contours(structure: _Structure, labels: LabelMap, origin: Origin, holes: Holes) -> Dataset:
    """Source: DICOM PS3.3 C.8.8.6 (ROI Contour module)."""
    item = Dataset()
    if structure.label.value in labels.labels.values:
        item.ROIDisplayColor = list(labels.labels.colour(structure.label.value))
    item.ReferencedROINumber = structure.number
    item.SourcePixelPlanesCharacteristicsSequence = [_planes(labels.grid)]
    contours: list[Dataset] = []
    for loop, at in _loops(structure, labels, holes):
        place, frame = origin.frames[at]
        contour = Dataset()
        contour.ContourImageSequence = [reference(origin.headers[place], frame=frame)]
        contour.ContourGeometricType = "CLOSED_PLANAR" if holes == "keyhole" else "CLOSEDPLANAR_XOR"
        contour.NumberOfContourPoints = len(loop)
        contour.ContourNumber = len(contours) + 1
        contour[_CONTOUR_DATA] = _raw(_written(loop, at, labels.grid))
        contours.append(contour)
    if contours:
        item.ContourSequence = contours
    return item


def _loops(structure: _Structure, labels: LabelMap, holes: Holes) -> Iterator[tuple[Loop, int]]:
    """The contours of a structure, each with its slice."""
    if structure.box is None:
        return
    across, along, through = structure.box
    corner = np.array([across.start, along.start])
    for at in range(through.start, through.stop):
        loops = trace(np.isin(labels.array[across, along, at], structure.values))
        for loop in join_holes(loops) if holes == "keyhole" else loops:
            yield loop + corner, at


def _planes(grid: Grid) -> Dataset:
    """The slices that a structure was drawn on: who reads it on others knows what a contour stands for.

    Source: DICOM PS3.3 C.8.8.6 (Source Pixel Planes Characteristics Sequence).
    """
    item = measures(grid)
    del item.SliceThickness
    item.ImageOrientationPatient = orientation(grid)
    item.ImagePositionPatient = position(grid, 0)
    item.Columns, item.Rows, item.NumberOfFrames = grid.shape
    return item


def _written(loop: Loop, at: int, grid: Grid) -> bytes:
    """The corners of a loop in mm, as decimal strings of as many digits as the pixels need."""
    points = grid.to_points(np.column_stack([loop, np.full(len(loop), float(at))]))
    digits = max(2, int(np.ceil(-np.log10(_FINE * min(grid.spacing_mm)))))
    whole = len(f"{float(np.abs(points).max()):.0f}") + 2  # with sign and point
    digits = min(digits, _LONGEST - whole)
    if digits < 0 or 10.0**-digits > 0.1 * min(grid.spacing_mm):
        raise FormatError("the image lies too far from the origin of its space for contours in 16 characters a number")
    numbers = np.round(points, digits) + 0.0  # without the sign of a zero
    text = "\\".join([f"{number:.{digits}f}" for number in numbers.ravel().tolist()])
    return text.encode("ascii") + b" " * (len(text) % 2)


def _raw(value: bytes) -> RawDataElement:
    """An element that is written as it is: pydicom would make an object of each of a million numbers."""
    return RawDataElement(_CONTOUR_DATA, "DS", len(value), value, 0, is_implicit_VR=True, is_little_endian=True)
