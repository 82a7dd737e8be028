"""From a header to frames: classic objects, enhanced multi-frame, nuclear medicine, ultrasound."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian, ParametricMapStorage

from vesalius.errors import FormatError, GeometryError
from vesalius.io.contents import FARTHEST_MM
from vesalius.io.dicom.frame import Frame, PixelFormat, Source, Trait
from vesalius.io.dicom.header import NATIVE, TABLES, Header
from vesalius.io.dicom.suv import uptake_of

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_NOT_IMAGES = {
    "66.4": ("a segmentation (SEG)", "read its labels with read_labels, or the image series that it was drawn on"),
    "66.7": ("a label map segmentation (SEG)", "read its labels with read_labels, or the series that it was drawn on"),
    "66.5": ("a surface segmentation", "read the image series that it was drawn on"),
    "481.2": ("an RT dose", "read the planning CT of its study"),
    "481.3": ("an RT structure set (RTSTRUCT)", "read it with read_labels on the grid of its image series"),
    "481.5": ("an RT plan", "read the planning CT of its study"),
    "30": ("a parametric map", "read it by itself, or the image series that it was computed from"),
    "88.": ("a structured report (SR)", "read the image series that it reports on"),
    "11.": ("a presentation state", "read the image series that it presents"),
    "9.": ("a waveform", "it holds no image"),
    "104.": ("an encapsulated document", "it holds no image"),
    "4.2": ("MR spectroscopy", "read an image series of its study"),
    "66": ("raw data", "read an image series of its study"),
    "66.1": ("a spatial registration", "read the image series that it aligns"),
    "66.2": ("a spatial fiducials object", "read the image series that it marks"),
    "66.3": ("a deformable registration", "read the image series that it aligns"),
}
_REFUSED = {
    _STORAGE + "77.1.6": "is a whole-slide image, which is stored in tiles; convert it to TIFF first",
    _STORAGE + "6.2": "is an enhanced ultrasound volume, whose frames are placed relative to the transducer, not to "
    "the patient; export it as NRRD or NIfTI",
}
_PET_UNITS = {"BQML": "Bq/ml", "CNTS": "counts", "CPS": "counts/s", "GML": "g/ml", "PROPCNTS": "counts", "PCNT": "%"}
_SAMPLES = {"MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1} | dict.fromkeys(
    ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_RCT", "YBR_ICT"), 3
)
_CENTIMETRES = 3  # Physical Units X Direction, PS3.3 C.8.5.5.1.15


def other_object(header: Header) -> tuple[str, str] | None:
    """Say what a DICOM object is that is not an image.

    Returns:
        What it is, and what to read instead; ``None`` for an image.
    """
    storage = str(header.elements.SOPClassUID)
    if storage.startswith(_STORAGE):
        kind = storage.removeprefix(_STORAGE)
        for key, answer in _NOT_IMAGES.items():
            if kind == key or (key.endswith(".") and kind.startswith(key)):
                return answer
    name = UID(storage).name
    if name.endswith("Image Storage") or "Rows" in header.elements:
        return None
    known = name != storage  # an unknown UID is a raw value
    return (
        f"an object of the {'class ' + name if known else 'kind that only its maker knows'}",
        "read an image of its study",
    )


def describe(header: Header) -> tuple[Frame, ...]:
    """List the frames of an image file.

    Args:
        header: Of an image (`other_object` says ``None``).

    Returns:
        Its frames in the order of storage.

    Raises:
        FormatError: An element that the image cannot do without is missing or makes no sense.
        GeometryError: Position, orientation or spacing cannot be right.
    """
    elements, source = header.elements, source_of(header)
    pixels = source.pixels
    per_frame = elements.get("PerFrameFunctionalGroupsSequence")
    if per_frame is not None:
        if len(per_frame) != pixels.frames:
            raise FormatError(
                f"{header.path.name}: describes {len(per_frame)} frames, but declares {pixels.frames}: damaged"
            )
        shared = (elements.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
        return _frames(header, source, [(item, shared, elements) for item in per_frame])
    (whole,) = _frames(header, source, [(elements,)])
    if pixels.frames == 1 or source.refusal:  # a refused file may declare a million frames, and have none
        return (whole,)
    if _is_tomogram(elements):
        slices = _slices_of_tomogram(header, pixels.frames)
        return _frames(header, source, [(detector, elements) for detector in slices])
    # Frames of a cine, or of a multi-frame object that does not say where its frames lie: one position cannot be
    # that of all, so that none is used.
    return tuple(replace(whole, index=index, position=None, orientation=None) for index in range(pixels.frames))


def source_of(header: Header) -> Source:
    """What is known of a file as a whole, wherever its frames lie.

    Args:
        header: Of an object that holds pixels.

    Raises:
        FormatError: An element that pixels cannot do without is missing or makes no sense.
    """
    elements, pixels = header.elements, _pixel_format(header)
    return Source(
        path=header.path,
        series=str(elements.get("SeriesInstanceUID") or ""),
        instance=str(elements.get("SOPInstanceUID") or header.path.name),
        storage=str(elements.SOPClassUID),
        modality=str(elements.get("Modality") or "OT").strip().upper(),
        description=str(elements.get("SeriesDescription") or "").strip(),
        series_number=_integer(header, "SeriesNumber"),
        instance_number=_integer(header, "InstanceNumber"),
        pixels=pixels,
        tables=_tables(header),
        refusal=_refusal(header, pixels),
        uptake=uptake_of(elements),
        patient=_patient(elements),
    )


def _frames(header: Header, source: Source, levels: list[tuple[Dataset, ...]]) -> tuple[Frame, ...]:
    """Describe each frame from its levels: the innermost (per frame) first, the whole object last."""
    elements = header.elements
    fallback, notes, physical = _fallback_spacing(header)
    found: list[Frame] = []
    lacking, unit = False, ""
    for index, places in enumerate(levels):
        measures = _group(places, "PixelMeasuresSequence", "PixelSpacing")
        spacing = _numbers(header, measures, "PixelSpacing", 2)
        # A position of the whole object is not that of each of its frames.
        plane = _group(places[:-1] or places, "PlanePositionSequence", "ImagePositionPatient")
        position = _numbers(header, plane, "ImagePositionPatient", 3)
        orientation = _numbers(
            header, _group(places, "PlaneOrientationSequence", "ImageOrientationPatient"), "ImageOrientationPatient", 6
        )
        if position is None or orientation is None:
            position = orientation = None
        else:
            _check_orientation(header, orientation)
            if max(map(abs, position)) > FARTHEST_MM:
                raise GeometryError(f"{header.path.name}: the image position is far from any patient: a damaged header")
        if spacing is not None and not all(0 < s < 1e6 for s in spacing):
            raise GeometryError(f"{header.path.name}: the pixel spacing must be above 0 mm")
        lacking = lacking or spacing is None
        thickness = _numbers(header, measures, "SliceThickness", 1)
        gap = _numbers(header, measures, "SpacingBetweenSlices", 1)
        transform = _group(places, "PixelValueTransformationSequence", "RescaleSlope")
        unit = unit or _unit(elements, transform)
        rescale = [_numbers(header, transform, name, 1) for name in ("RescaleSlope", "RescaleIntercept")]
        found.append(
            Frame(
                source=source,
                index=index,
                position=position,
                orientation=orientation,
                spacing_mm=(spacing[0], spacing[1]) if spacing else fallback,
                thickness_mm=next((abs(v[0]) for v in (thickness, gap) if v and v[0]), None),
                slope=rescale[0][0] if rescale[0] else 1.0,
                intercept=rescale[1][0] if rescale[1] else 0.0,
                traits=_traits(places),
                step_mm=abs(gap[0]) if gap and gap[0] else None,
            )
        )
    if any(frame.slope == 0 for frame in found):
        raise FormatError(f"{header.path.name}: a rescale slope of 0 would make every voxel the same")
    source = replace(source, unit=unit, calibrated=physical or not lacking, notes=notes if lacking else ())
    return tuple(replace(frame, source=source) for frame in found)


def _group(places: tuple[Dataset, ...], sequence: str, keyword: str) -> Dataset:
    """The functional group of a frame: per frame, else shared, else (classic objects, vendors) the object itself."""
    for place in places:
        items = place.get(sequence)
        if items:
            item: Dataset = items[0]
            return item
        if keyword in place:
            return place
    return places[-1]


def _numbers(header: Header, place: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    value = place.get(keyword)
    if (
        value is None
        or (isinstance(value, str) and not value.strip())
        or (hasattr(value, "__len__") and not len(value))
    ):
        return None
    values = [value] if count == 1 and not isinstance(value, (list, tuple)) else list(value)
    try:
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not all(math.isfinite(n) for n in numbers):
        raise FormatError(f"{header.path.name}: {keyword} must hold {count} finite number{'s' * (count > 1)}")
    return numbers


def _integer(header: Header, keyword: str, default: int | None = None) -> int | None:
    number = _numbers(header, header.elements, keyword, 1)
    return default if number is None else int(number[0])


def _patient(elements: Dataset) -> str:
    identifier = str(elements.get("PatientID") or "").strip()
    return hashlib.sha256(identifier.encode("utf-8", "replace")).hexdigest() if identifier else ""


def _pixel_format(header: Header) -> PixelFormat:
    elements = header.elements
    bounds = {
        "Rows": (None, 1, 1 << 20),
        "Columns": (None, 1, 1 << 20),
        "NumberOfFrames": (1, 1, 1 << 20),
        "SamplesPerPixel": (1, 1, 3),
        "BitsAllocated": (None, 1, 64),
        "BitsStored": (_integer(header, "BitsAllocated"), 1, 64),
        "PixelRepresentation": (0, 0, 1),
        "PlanarConfiguration": (0, 0, 1),
    }
    value: dict[str, int] = {}
    for keyword, (default, low, high) in bounds.items():
        number = _integer(header, keyword, default)
        if number is None or not low <= number <= high:
            raise FormatError(f"{header.path.name}: {keyword} must be {low} to {high}; the header is damaged")
        value[keyword] = number
    photometric = str(elements.get("PhotometricInterpretation") or "MONOCHROME2").strip().upper()
    if photometric not in _SAMPLES or value["SamplesPerPixel"] != _SAMPLES[photometric]:
        raise FormatError(
            f"{header.path.name}: {value['SamplesPerPixel']} samples per pixel do not go with its photometric "
            f"interpretation, or that is none of {', '.join(_SAMPLES)}"
        )
    stored, allocated = value["BitsStored"], value["BitsAllocated"]
    high_bit = _integer(header, "HighBit", stored - 1)
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        # A wrong High Bit is a common slip; with every bit in use or none above, there is but one place for them.
        high_bit = stored - 1
    if stored > allocated:
        raise FormatError(f"{header.path.name}: stores {stored} bits in {allocated}; the header is damaged")
    return PixelFormat(
        syntax=header.syntax,
        at=header.pixels_at,
        rows=value["Rows"],
        columns=value["Columns"],
        samples=value["SamplesPerPixel"],
        photometric=photometric,
        planar=bool(value["PlanarConfiguration"]),
        allocated=allocated,
        stored=stored,
        high_bit=high_bit,
        signed=bool(value["PixelRepresentation"]),
        frames=value["NumberOfFrames"],
    )


def _tables(header: Header) -> Dataset | None:
    found, elements = Dataset(), header.elements
    for keyword in TABLES:
        if keyword in elements:
            found[keyword] = elements[keyword]
    # Tables of words are in the file's byte order.
    found.set_original_encoding(header.syntax == ImplicitVRLittleEndian, header.syntax != ExplicitVRBigEndian)
    return found if len(found) else None


def _refusal(header: Header, pixels: PixelFormat) -> str:
    if pixels.at is None:
        return "holds no pixel data: an empty or cut-off image"
    if header.floating and str(header.elements.SOPClassUID) != ParametricMapStorage:
        return "stores its pixels as floating point, which only a parametric map may"
    native = pixels.syntax in NATIVE
    least = -(-pixels.frame_bits * pixels.frames // 8) if native else 8 * pixels.frames
    if least > header.pixel_bytes:
        return (
            f"the header declares {pixels.frames} x {pixels.rows} x {pixels.columns} pixels, at least {least} bytes, "
            f"but {header.pixel_bytes} are there: the file is cut off or its header is wrong"
        )
    elements = header.elements
    kind = elements.get("ImageType") or ()
    if pixels.frames == 1 and "MOSAIC" in [str(word).upper() for word in ([kind] if isinstance(kind, str) else kind)]:
        return "is a Siemens mosaic: many slices tiled into one picture; convert it with dcm2niix and read the NIfTI"
    return _REFUSED.get(str(elements.SOPClassUID), "")


def _check_orientation(header: Header, orientation: tuple[float, ...]) -> None:
    row, column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 1e-2 or abs(row @ column) > 1e-2:
        raise GeometryError(
            f"{header.path.name}: the image orientation is not two unit vectors at right angles; the header is damaged"
        )


def _fallback_spacing(header: Header) -> tuple[tuple[float, float], tuple[str, ...], bool]:
    """Spacing between rows and columns for a picture without Pixel Spacing, with a note and whether it is physical."""
    elements = header.elements
    for keyword, note in (
        ("ImagerPixelSpacing", "the spacing is that of the detector: magnification is not corrected"),
        ("NominalScannedPixelSpacing", "the spacing is that of the scanned film"),
    ):
        spacing = _numbers(header, elements, keyword, 2)
        if spacing and all(0 < s < 1e6 for s in spacing):
            return (spacing[0], spacing[1]), (note,), True
    regions = {
        (abs(float(region.PhysicalDeltaY)) * 10, abs(float(region.PhysicalDeltaX)) * 10)
        for region in elements.get("SequenceOfUltrasoundRegions") or ()
        if region.get("PhysicalUnitsXDirection") == region.get("PhysicalUnitsYDirection") == _CENTIMETRES
        and region.get("PhysicalDeltaX")
        and region.get("PhysicalDeltaY")
    }
    if len(regions) == 1:
        return regions.pop(), ("the spacing is that of the ultrasound region",), True
    return (1.0, 1.0), ("the header gives no pixel spacing: 1 means one pixel",), False


def _unit(elements: Dataset, transform: Dataset) -> str:
    modality = elements.get("Modality")
    if modality == "PT":
        return _PET_UNITS.get(str(elements.get("Units") or ""), "")
    kind = str(transform.get("RescaleType") or "").strip().upper()
    # PS3.3 C.8.2.1.1.5: without Rescale Type, the rescaled values of a CT are Hounsfield units.
    return "HU" if modality == "CT" and kind in ("", "HU") and "RescaleSlope" in transform else ""


def _is_tomogram(elements: Dataset) -> bool:
    kind = elements.get("ImageType") or ()
    # Only when frames step through slices alone (0054,0080): gated studies step through time slots, too.
    steps = elements.get("FrameIncrementPointer")
    return elements.get("Modality") == "NM" and "RECON TOMO" in list(kind) and steps in (0x00540080, [0x00540080])


def _slices_of_tomogram(header: Header, frames: int) -> list[Dataset]:
    """Place the slices of a nuclear medicine tomogram (PS3.3 C.8.4.15: first slice, and a signed step)."""
    detector = (header.elements.get("DetectorInformationSequence") or [Dataset()])[0]
    position = _numbers(header, detector, "ImagePositionPatient", 3)
    orientation = _numbers(header, detector, "ImageOrientationPatient", 6)
    step = _numbers(header, header.elements, "SpacingBetweenSlices", 1)
    slices = _numbers(header, header.elements, "SliceVector", frames) or tuple(range(1, frames + 1))
    if position is None or orientation is None or not step:
        return [Dataset()] * frames
    normal = np.cross(orientation[:3], orientation[3:])
    found = []
    for number in slices:
        place = Dataset()
        place.ImageOrientationPatient = list(orientation)
        place.ImagePositionPatient = [round(x, 9) for x in (np.asarray(position) + normal * (number - 1) * step[0])]
        found.append(place)
    return found


def _traits(places: tuple[Dataset, ...]) -> tuple[Trait, ...]:
    """What can tell frames at one position apart, the most telling first."""

    def look(sequence: str, keyword: str) -> Any:
        return _group(places, sequence, keyword).get(keyword)

    echo = look("MREchoSequence", "EffectiveEchoTime")
    diffusion = _group(places, "MRDiffusionSequence", "DiffusionBValue")
    gradient = _group((diffusion,), "DiffusionGradientDirectionSequence", "DiffusionGradientOrientation")
    time = look("FrameContentSequence", "TemporalPositionIndex")
    kind = look("MRImageFrameTypeSequence", "FrameType") or look("CTImageFrameTypeSequence", "FrameType")
    candidates = (
        ("image type", kind or places[-1].get("ImageType")),
        ("echo time", echo if echo is not None else places[-1].get("EchoTime")),
        ("stack", look("FrameContentSequence", "StackID")),
        ("temporal position", time if time is not None else places[-1].get("TemporalPositionIdentifier")),
        ("b-value", diffusion.get("DiffusionBValue")),
        ("gradient direction", gradient.get("DiffusionGradientOrientation")),
        ("cardiac delay", look("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime")),
        ("trigger time", places[-1].get("TriggerTime")),
        (
            "acquisition number",
            places[-1].get("AcquisitionNumber") or look("FrameContentSequence", "FrameAcquisitionNumber"),
        ),
    )
    found: list[Trait] = []
    for name, value in candidates:
        if value is None or value == "":
            continue
        if name in ("image type", "stack"):
            found.append((name, value if isinstance(value, str) else "/".join(str(word) for word in value)))
        elif name == "gradient direction":
            found.append((name, tuple(float(v) for v in value)))
        else:
            found.append((name, float(value)))
    return tuple(found)
