"""Write and read measurements as DICOM structured reports (TID 1500, Measurement Report)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as Concept
from pydicom.uid import Comprehensive3DSRStorage, generate_uid

from vesalius.errors import DataError, FormatError
from vesalius.image import Code, Label, Quantity, Size
from vesalius.io.dicom.codes import ANATOMY, meaning_of
from vesalius.io.dicom.derived import MAKER, begin, reference, save
from vesalius.io.dicom.header import damage_is_a_format_error, read_header
from vesalius.io.dicom.origin import Origin
from vesalius.io.dicom.quantity import code_of, concept, measurement, quantity_of
from vesalius.io.dicom.quiet import quiet

_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_SERIES = 7500  # number of the new series, past those of a scanner

_SIZES: dict[
    str, tuple[Concept, str, dict[str, float]]
] = {  # field of a `Size`: what it is, its unit, and how many of it another unit is
    "volume_ml": (Concept("118565006", "SCT", "Volume"), "cm3", {"cm3": 1, "ml": 1, "mL": 1, "mm3": 1e-3, "dm3": 1e3}),
    "area_mm2": (Concept("42798000", "SCT", "Area"), "mm2", {"mm2": 1, "cm2": 100}),
    "long_axis_mm": (Concept("103339001", "SCT", "Long axis"), "mm", {"mm": 1, "cm": 10}),
    "short_axis_mm": (Concept("103340004", "SCT", "Short axis"), "mm", {"mm": 1, "cm": 10}),
    "circumference_mm": (Concept("74551000", "SCT", "Circumference"), "mm", {"mm": 1, "cm": 10}),
}
_DERIVED = {
    "mean": Concept("373098007", "SCT", "Mean"),
    "sd": Concept("386136009", "SCT", "Standard Deviation"),
    "minimum": Concept("255605001", "SCT", "Minimum"),
    "maximum": Concept("56851009", "SCT", "Maximum"),
}
_BRIGHTNESS = (  # modality, unit of a `Volume`, what it is, unit by UCUM; the first that fits
    ("CT", "HU", Concept("112031", "DCM", "Attenuation Coefficient"), "[hnsf'U]"),
    ("PT", "g/ml", Concept("126401", "DCM", "SUVbw"), "g/ml{SUVbw}"),
    ("PT", "Bq/ml", Concept("110821", "DCM", "Nuclear Medicine Tomographic Activity"), "Bq/ml"),
    ("PT", "counts", Concept("110821", "DCM", "Nuclear Medicine Tomographic Activity"), "{counts}"),
    ("PT", "counts/s", Concept("110821", "DCM", "Nuclear Medicine Tomographic Activity"), "{counts}/s"),
    ("MR", "", Concept("110852", "DCM", "MR signal intensity"), "1"),
    ("OT", "", Concept("INTENSITY", "99VESALIUS", "Image intensity"), "1"),
)


def write_report(
    sizes: Sequence[Size],
    path: str | os.PathLike[str],
    origin: Origin,
    *,
    segmentation: str | os.PathLike[str] | None = None,
    description: str = "Measurements",
) -> None:
    """Write what was measured of structures as a structured report.

    Each structure is a measurement group with its name, its code, and as far as they are known volume (or area), long
    and short axis, and mean, standard deviation, minimum and maximum of the image's values with their unit. A structure
    that the segmentation has a segment of refers to it (TID 1411); any other is a group without a region (TID 1501).

    Args:
        sizes: From `vesalius.metrics.size.measure`; those without a voxel are left out.
        path: The file, usually ``.dcm``.
        origin: The series that was measured: see `vesalius.io.dicom.read_origin`.
        segmentation: A DICOM SEG of the same study that holds the structures as segments of the same names.
        description: Of the new series.

    Raises:
        DataError: Nothing was measured, or the segmentation belongs to another study.
        FormatError: The segmentation is none, or the series lacks what a report must copy.
        VesaliusError: The system refused to write.

    Source: DICOM PS3.16 TID 1500, 1411, 1501, CID 7469, 7464; PS3.3 A.35.13 (Comprehensive 3D SR IOD).
    """
    measured = [size for size in sizes if size.voxels != 0 and list(_quantities(size))]
    if not measured:
        raise DataError("there is no structure with a voxel: a report needs at least one measurement")
    segments = None if segmentation is None else _segments(Path(segmentation), origin)
    texts = [*(size.name for size in measured), *(size.code.meaning for size in measured if size.code)]
    made = begin(
        origin,
        Comprehensive3DSRStorage,
        modality="SR",
        description=description,
        series_number=_SERIES,
        texts=texts,
    )
    made.update(_tree(measured, origin, segments))
    made.CompletionFlag, made.VerificationFlag, made.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    made.PerformedProcedureCodeSequence = []
    made.ReferencedPerformedProcedureStepSequence = []
    made.CurrentRequestedProcedureEvidenceSequence = [_evidence(origin, segments)]
    save(made, path)


def read_report(path: str | os.PathLike[str]) -> tuple[Size, ...]:
    """Read the measurements of a structured report that follows TID 1500, of any maker.

    Args:
        path: The file.

    Returns:
        A `Size` for each measurement group: volume, area, axes and brightness in their fields, in our units, whatever
        the report's; all else in ``others``. ``name`` is the tracking identifier, else what was found, and ``value``
        the number of the segment, where there is one.

    Raises:
        FormatError: The file is no structured report, holds no measurements, or is damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        ...     read_report(file.name)
        Traceback (most recent call last):
        vesalius.errors.FormatError: ...: is no structured report (SR)

    Source: DICOM PS3.16 TID 1500, 1410, 1411, 1501, 300.
    """
    where = Path(path)
    try:
        with quiet:
            header = read_header(where)  # refuses bombs
            if header is None or not str(header.elements.SOPClassUID).startswith(_REPORTS):
                raise FormatError(f"{where.name}: is no structured report (SR)")
            with damage_is_a_format_error(where):
                dataset = dcmread(where, force=True)
                if not list(_containers(dataset, "126010")):  # Imaging Measurements
                    raise FormatError(f"{where.name}: holds no measurements of images (it does not follow TID 1500)")
                groups = list(_containers(dataset, "125007"))  # Measurement Group
                return tuple(_size(group, number) for number, group in enumerate(groups, start=1))
    except OSError as error:
        raise FormatError(f"{where.name}: the file cannot be read: {error.strerror}") from error


def brightness(size: Size, value: float, *, derivation: Code) -> Quantity:
    """A value of an image as a report holds it, for example a structure's median HU.

    Args:
        size: Of the structure: its modality and unit say what the value is.
        value: In this unit.
        derivation: How it was derived from the voxels' values.

    Example:
        >>> liver, median = Size("liver", modality="CT", unit="HU"), Code("SCT", "373099004", "Median")
        >>> brightness(liver, 55.0, derivation=median).unit
        "[hnsf'U]"
    """
    known, unit = _brightness(size.modality, size.unit)
    return Quantity(_code(known), value, unit, derivation)


# --- writing ----------------------------------------------------------------------------------------------------------


def _quantities(size: Size) -> Iterator[Quantity]:
    """What is known of a structure."""
    for field, (known, unit, _) in _SIZES.items():
        value = getattr(size, field)
        if value is not None:
            yield Quantity(_code(known), value, unit)
    for field, derivation in _DERIVED.items():
        value = getattr(size, field)
        if value is not None:
            yield brightness(size, value, derivation=_code(derivation))
    yield from size.others


def _brightness(modality: str, unit: str) -> tuple[Concept, str]:
    """What an image's values are, and their unit by UCUM."""
    return next(
        ((row[2], row[3]) for row in _BRIGHTNESS if (row[0], row[1]) == (modality, unit)),
        # MR has no unit; where another image has one that is not listed, its numbers are just that.
        next(((row[2], row[3]) for row in _BRIGHTNESS if row[0] == modality == "MR"), _BRIGHTNESS[-1][2:]),
    )


def _tree(sizes: Sequence[Size], origin: Origin, segments: tuple[Dataset, dict[str, int]] | None) -> Dataset:
    """The content of the report as its root."""
    import highdicom.sr as hd
    from pydicom.sr.codedict import codes

    groups: list[Any] = []
    space = origin.headers[0].get("FrameOfReferenceUID")
    for size in sizes:
        how: dict[str, Any] = {
            "tracking_identifier": hd.TrackingIdentifier(uid=generate_uid(), identifier=size.name),
            "finding_type": concept(meaning_of(Label(size.name, 1, code=size.code)).type),
            "algorithm_id": hd.AlgorithmIdentification(name=MAKER, version=version("vesalius")),
            "measurements": [measurement(one, frame_of_reference=space) for one in _quantities(size)],
        }
        number = segments[1].get(size.name[:64]) if segments else None
        if segments and number is not None:
            how["referenced_segment"] = hd.ReferencedSegment(
                sop_class_uid=segments[0].SOPClassUID,
                sop_instance_uid=segments[0].SOPInstanceUID,
                segment_number=number,
                source_series=hd.SourceSeriesForSegmentation(origin.headers[0].SeriesInstanceUID),
            )
            groups.append(hd.VolumetricROIMeasurementsAndQualitativeEvaluations(**how))
        else:
            groups.append(hd.MeasurementsAndQualitativeEvaluations(**how))
    device = hd.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(), name=MAKER, manufacturer_name=MAKER, model_name=MAKER, serial_number=version("vesalius")
    )
    context = hd.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    report = hd.MeasurementReport(
        observation_context=hd.ObservationContext(observer_device_context=context),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    root: Dataset = report[0]
    return root


def _segments(path: Path, origin: Origin) -> tuple[Dataset, dict[str, int]]:
    """A segmentation without its pixels, and the numbers of its segments by name."""
    with quiet:
        header = read_header(path)
        if header is None or str(header.elements.SOPClassUID) not in _SEGMENTATIONS:
            raise FormatError(f"{path.name}: is no DICOM segmentation (SEG), to which a report could refer")
        with damage_is_a_format_error(path):
            dataset = dcmread(path, stop_before_pixels=True, force=True)
            numbers = {str(item.SegmentLabel): int(item.SegmentNumber) for item in dataset.SegmentSequence}
    if dataset.get("StudyInstanceUID") != origin.headers[0].StudyInstanceUID:
        raise DataError(f"{path.name}: belongs to another study than the series that was measured")
    return dataset, numbers


def _evidence(origin: Origin, segments: tuple[Dataset, dict[str, int]] | None) -> Dataset:
    """The objects that the report was made from.

    Source: DICOM PS3.3 C.17.2 (Current Requested Procedure Evidence Sequence).
    """
    item = Dataset()
    item.StudyInstanceUID = origin.headers[0].StudyInstanceUID
    item.ReferencedSeriesSequence = []
    for objects in (origin.headers, (segments[0],) if segments else ()):
        if objects:
            series = Dataset()
            series.SeriesInstanceUID = objects[0].SeriesInstanceUID
            series.ReferencedSOPSequence = [reference(one) for one in objects]
            item.ReferencedSeriesSequence.append(series)
    return item


def _code(known: Concept) -> Code:
    return Code(known.scheme_designator, known.value, known.meaning)


# --- reading ----------------------------------------------------------------------------------------------------------


def _containers(item: Dataset, value: str) -> Iterator[Dataset]:
    """The containers of a name (in DICOM's own scheme) below an item, at any depth."""
    for child in item.get("ContentSequence") or ():
        if child.get("ValueType") == "CONTAINER" and _is(child, value):
            yield child
        else:
            yield from _containers(child, value)


def _is(item: Dataset, value: str) -> bool:
    name = code_of(item.get("ConceptNameCodeSequence"))
    return name is not None and (name.scheme, name.value) == ("DCM", value)


def _size(group: Dataset, number: int) -> Size:
    children = list(group.get("ContentSequence") or ())
    name, code, segment = "", None, None
    quantities = []
    for child in children:
        if _is(child, "112039"):  # Tracking Identifier
            name = str(child.get("TextValue") or "").strip()
        elif _is(child, "121071"):  # Finding
            code = code_of(child.get("ConceptCodeSequence"))
        elif _is(child, "121191"):  # Referenced Segment
            referred = (child.get("ReferencedSOPSequence") or [Dataset()])[0].get("ReferencedSegmentNumber")
            segment = None if referred is None or hasattr(referred, "__len__") else int(referred)
        elif child.get("ValueType") == "NUM" and (quantity := quantity_of(child)) is not None:
            quantities.append(quantity)
    size = Size(name or (code.meaning if code else "") or f"group {number}", segment, code=code)
    if code == ANATOMY:  # that it is a structure goes without saying
        size = replace(size, code=None)
    for quantity in quantities:
        size = _entered(size, quantity)
    return size


def _entered(size: Size, quantity: Quantity) -> Size:
    """The size with one more quantity: in its field where it has one that is free, and else among the others.

    What says more than a field can hold, such as an interval, is among the others too; what we measured in another than
    the usual way is there alone.
    """
    name = concept(quantity.concept)  # which also knows the codes of SNOMED RT that older reports have.
    derivation = None if quantity.derivation is None else concept(quantity.derivation)
    more = replace(size, others=(*size.others, quantity))
    if quantity.method is not None and quantity.method.scheme == "99VESALIUS":
        return more
    rest = more if quantity.method or quantity.points_mm or quantity.low is not None else size
    for field, (known, _, factors) in _SIZES.items():
        if name == known and derivation is None and quantity.unit in factors and getattr(size, field) is None:
            own: dict[str, Any] = {field: quantity.value * factors[quantity.unit]}
            return replace(rest, **own)
    field = next((one for one, known in _DERIVED.items() if derivation is not None and derivation == known), "")
    for modality, unit, known, ucum in _BRIGHTNESS:
        if name == known and quantity.unit == ucum and field and getattr(size, field) is None:
            free = all(getattr(size, one) is None for one in _DERIVED)
            if free or (size.modality, size.unit) == (modality, unit):
                found: dict[str, Any] = {field: quantity.value}
                return replace(rest, modality=modality, unit=unit, **found)
    return more
