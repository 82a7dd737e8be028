"""Parametric maps: probabilities and other numbers that were computed from a series, as floating point."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ParametricMapStorage

from vesalius.errors import DataError, FormatError, GeometryError
from vesalius.image import Code, Meta, Volume
from vesalius.io.contents import Contents
from vesalius.io.dicom.derived import (
    LARGEST_ELEMENT,
    begin,
    coded,
    copy_elements,
    derivation,
    enter_dimensions,
    enter_frame_of_reference,
    measures,
    orientation,
    position,
    refer,
    require_grid,
    save,
)
from vesalius.io.dicom.describe import describe
from vesalius.io.dicom.header import damage_is_a_format_error, read_header
from vesalius.io.dicom.lattice import lattice
from vesalius.io.dicom.origin import Origin
from vesalius.io.dicom.pixels import decode
from vesalius.io.dicom.quiet import quiet

_UNITS = {  # of `Meta.unit`; what is not listed has none
    "HU": Code("UCUM", "[hnsf'U]", "Hounsfield unit"),
    "Bq/ml": Code("UCUM", "Bq/ml", "Becquerels/milliliter"),
    "g/ml": Code("UCUM", "g/ml", "gram per milliliter"),
    "%": Code("UCUM", "%", "Percent"),
}
_NO_UNIT = Code("UCUM", "1", "no units")
PROBABILITY = Code("DCM", "122157", "Probability")
"""What the numbers of most maps are."""

_QUANTITY = Code("SCT", "246205007", "Quantity")


def write_parametric_map(
    image: Volume,
    path: str | os.PathLike[str],
    origin: Origin,
    *,
    names: Sequence[str] | None = None,
    quantity: Code = PROBABILITY,
    description: str = "Parametric map",
) -> None:
    """Write numbers that were computed from a series, as a DICOM Parametric Map: probabilities, uncertainty, a filter.

    The values are kept as float32, slice by slice and channel by channel.

    Args:
        image: On the grid of the series; 3D. Not more than float32 can tell apart.
        path: The file, by custom ``.dcm``.
        origin: The series, from `vesalius.io.dicom.read_origin`.
        names: Of the channels, ``"channel 1"`` and so on when left out. Their first 16 characters are kept; where those
            are the same, the number of the channel goes in front.
        quantity: What the numbers are, in coded terms.
        description: Of the new series.

    Raises:
        GeometryError: The image lies on another grid than the series, or is 2D.
        DataError: There are more or fewer names than channels.
        FormatError: float32 cannot hold the values, or the object would be larger than DICOM allows.
        VesaliusError: The system refused to write.

    Source: DICOM PS3.3 A.75 and C.8.23 (Parametric Map IOD), C.7.6.24 (floating point pixels), C.7.6.16.2.11 (real
    world values); checked with dciodvfy, dcentvfy, dcmqi and highdicom.
    """
    if image.grid.ndim != 3:
        raise GeometryError("a parametric map lies in the patient, which a picture does not: write .tif or .npz")
    require_grid(image.grid, origin, "the image")
    titles = [f"channel {n + 1}" for n in range(image.channels)] if names is None else [name[:16] for name in names]
    if len(titles) != image.channels:
        raise DataError(f"there are {image.channels} channels, and names for {len(titles)}")
    if len(set(titles)) < len(titles):
        titles = [f"{number} {title}"[:16] for number, title in enumerate(titles, start=1)]
    with np.errstate(over="ignore"):  # infinity is refused below
        values = image.array.astype(np.float32)
    if image.array.dtype.kind != "f" and not np.array_equal(values, image.array):
        raise FormatError("a parametric map holds float32, which cannot tell these numbers apart")
    if not np.isfinite(values).all():
        raise FormatError("a parametric map holds float32, which is too small for these numbers")
    if values.nbytes > LARGEST_ELEMENT:
        raise FormatError("the parametric map would be larger than the 4 GiB that DICOM allows")
    made = _describe(image, origin, titles, description)
    _enter_frames(made, image, origin, titles, quantity)
    made.FloatPixelData = np.ascontiguousarray(values.transpose(0, 3, 2, 1)).astype("<f4", copy=False).tobytes()
    save(made, path)


def read_parametric_map(path: str | os.PathLike[str]) -> Volume:
    """Read a DICOM Parametric Map, its numbers as real world values.

    Args:
        path: The file.

    Returns:
        One channel for each quantity; their names are in ``meta.notes``.

    Raises:
        FormatError: The file is no parametric map, or damaged.
        GeometryError: The frames do not lie on a regular grid, or slices are missing.
        DataError: It holds NaN or infinity.
    """
    found = read_contents(Path(path))
    return Volume(found.array, found.grid, found.meta)


def read_contents(path: Path) -> Contents:
    """What a parametric map holds, NaN included; see `read_parametric_map`."""
    with quiet:
        header = read_header(path, whole=True)
        if header is None or str(header.elements.SOPClassUID) != ParametricMapStorage:
            raise FormatError(f"{path.name}: is no DICOM parametric map")
        with damage_is_a_format_error(path):
            elements = header.elements
            if "PerFrameFunctionalGroupsSequence" not in elements:
                raise FormatError(f"{path.name}: does not describe its frames, which a parametric map must")
            frames = describe(header)
            source = frames[0].source
            if source.refusal:
                raise FormatError(f"{path.name}: {source.refusal}")
            grid, slices = lattice(frames, path.name)
            shared = (elements.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
            mappings = [_mapping(item, shared) for item in elements.PerFrameFunctionalGroupsSequence]
            counted: dict[tuple[str, int], int] = {}
            keys = []
            for (title, _, _, _), at in zip(mappings, slices, strict=True):
                counted[title, at] = counted.get((title, at), 0) + 1
                keys.append((title, counted[title, at]))
            channels = list(dict.fromkeys(keys))
            deep = grid.shape[2] if grid.ndim == 3 else 1
            if len(frames) != len(channels) * deep:
                raise GeometryError(f"{path.name}: slices are missing: {len(frames)} frames do not fill {deep} slices")
            dtype = np.dtype(header.floating or np.float32)
            array = np.empty((len(channels), deep, *reversed(grid.shape[:2])), dtype)
            for number, (_, picture) in enumerate(decode(source, frames)):
                _, slope, intercept, _ = mappings[number]
                values = picture.view(dtype) if header.floating else picture.astype(np.float64)
                if (slope, intercept) != (1.0, 0.0):
                    values = values * slope + intercept
                array[channels.index(keys[number]), slices[number]] = values
    stacked = array.transpose(0, 3, 2, 1)
    units = {unit for _, _, _, unit in mappings}
    unit = units.pop() if len(units) == 1 else ""
    named = next((name for name, code in _UNITS.items() if code.value == unit), "")
    note = f"a parametric map: {', '.join(dict.fromkeys(title for title, _ in channels))}"
    return Contents(stacked if grid.ndim == 3 else stacked[..., 0], grid, Meta(unit=named, notes=(note,)))


def _mapping(item: Dataset, shared: Dataset) -> tuple[str, float, float, str]:
    """Of a frame: the name of its quantity, slope and intercept to real world values, and the unit's code."""
    for place in (item, shared):
        for one in place.get("RealWorldValueMappingSequence") or ():
            if "RealWorldValueLUTData" in one:
                raise FormatError("its values are given by a table, which cannot be read")
            unit = (one.get("MeasurementUnitsCodeSequence") or [Dataset()])[0].get("CodeValue") or ""
            slope, intercept = one.get("RealWorldValueSlope"), one.get("RealWorldValueIntercept")
            return (
                str(one.get("LUTLabel") or ""),
                1.0 if slope is None else float(slope),
                0.0 if intercept is None else float(intercept),
                str(unit),
            )
    return "", 1.0, 0.0, ""


def _describe(image: Volume, origin: Origin, titles: Sequence[str], description: str) -> Dataset:
    source = origin.headers[0]
    modality = str(source.get("Modality") or "OT")
    made = begin(
        origin, ParametricMapStorage, modality=modality, description=description, series_number=7100, texts=titles
    )
    enter_frame_of_reference(made, origin)
    refer(made, origin)
    made.Laterality = ""  # Type 2C: nobody asked
    made.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    made.ContentQualification = "RESEARCH"
    made.ContentLabel = "PARAMETRIC_MAP"
    made.ContentDescription = description[:64]
    made.ContentCreatorName = ""
    made.AcquisitionContextSequence = []
    made.BurnedInAnnotation = "NO"
    made.RecognizableVisualFeatures = "NO"
    made.LossyImageCompression = str(source.get("LossyImageCompression") or "00")
    copy_elements(source, made, ("LossyImageCompressionRatio", "LossyImageCompressionMethod"))
    made.PresentationLUTShape = "IDENTITY"
    made.SamplesPerPixel, made.PhotometricInterpretation, made.BitsAllocated = 1, "MONOCHROME2", 32
    made.Columns, made.Rows = image.grid.shape[:2]
    return made


def _enter_frames(made: Dataset, image: Volume, origin: Origin, titles: Sequence[str], quantity: Code) -> None:
    shared, plane, kind, identity = Dataset(), Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = orientation(image.grid)
    kind.FrameType = list(made.ImageType)
    shared.PixelMeasuresSequence = [measures(image.grid)]
    shared.PlaneOrientationSequence = [plane]
    shared.ParametricMapFrameTypeSequence = [kind]
    identity.RescaleSlope, identity.RescaleIntercept, identity.RescaleType = 1, 0, "US"
    shared.PixelValueTransformationSequence = [identity]
    made.SharedFunctionalGroupsSequence = [shared]
    enter_dimensions(
        made, [("LUTLabel", "RealWorldValueMappingSequence"), ("ImagePositionPatient", "PlanePositionSequence")]
    )
    unit = _UNITS.get(image.meta.unit, _NO_UNIT)
    definition = Dataset()
    definition.ValueType = "CODE"
    definition.ConceptNameCodeSequence, definition.ConceptCodeSequence = [coded(_QUANTITY)], [coded(quantity)]
    items = []
    for channel, title in enumerate(titles):
        mapping = Dataset()
        lowest, highest = (float(x) for x in (image.array[channel].min(), image.array[channel].max()))
        mapping.DoubleFloatRealWorldValueFirstValueMapped = lowest
        mapping.DoubleFloatRealWorldValueLastValueMapped = highest
        mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 1.0, 0.0
        mapping.LUTExplanation, mapping.LUTLabel = title, title
        mapping.MeasurementUnitsCodeSequence = [coded(unit)]
        mapping.QuantityDefinitionSequence = [definition]
        for at in range(image.grid.shape[2]):
            item, content, place = Dataset(), Dataset(), Dataset()
            content.DimensionIndexValues = [channel + 1, at + 1]
            item.FrameContentSequence = [content]
            place.ImagePositionPatient = position(image.grid, at)
            item.PlanePositionSequence = [place]
            item.DerivationImageSequence = [derivation(origin, at)]
            item.RealWorldValueMappingSequence = [mapping]
            items.append(item)
    made.NumberOfFrames = len(items)
    made.PerFrameFunctionalGroupsSequence = items
