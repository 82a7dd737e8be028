"""A volume as a DICOM image series: what was denoised, resampled or came from NIfTI, for a PACS."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage, SecondaryCaptureImageStorage, generate_uid

from vesalius.errors import DataError, FormatError
from vesalius.image import Volume
from vesalius.io.atomic import atomic_folder
from vesalius.io.dicom.derived import (
    begin,
    copy_elements,
    decimal,
    enter_frame_of_reference,
    measures,
    orientation,
    position,
    reference,
    save,
)
from vesalius.io.dicom.origin import Origin

_TOP = (1 << 16) - 1
_PLACES = 14  # digits of a slope that 16 characters hold beside sign, point and exponent
_WINDOW_CT = (40, 400)  # level and width of soft tissue, HU: Radiopaedia, "Windowing (CT)"
_ACQUISITION = {
    CTImageStorage: {"KVP": "", "AcquisitionNumber": ""},
    # PS3.3 C.8.3.1: Type 1 and 2 of an MR image; RM is research mode, for what no scanner did
    MRImageStorage: {
        "ScanningSequence": "RM",
        "SequenceVariant": "NONE",
        "ScanOptions": "",
        "MRAcquisitionType": "",
        "RepetitionTime": "",
        "EchoTime": "",
        "EchoTrainLength": "",
    },
}
_MODALITIES = {"PT": "PT", "US": "US", "XR": "DX", "RGB": "XC", "OT": "OT", "CT": "CT", "MR": "MR"}


@dataclass(frozen=True, eq=False)
class _Stored:
    """Values as they are stored, and how to get them back."""

    array: NDArray[Any]
    slope: str
    intercept: str
    error: float


def write_series(
    image: Volume,
    folder: str | os.PathLike[str],
    *,
    origin: Origin | None = None,
    description: str = "Vesalius",
) -> float:
    """Write an image as a DICOM series, one file a slice.

    CT and MR become such images, everything else secondary captures, with their place in the patient where they have
    one. Whole numbers that 16 bits hold are kept as they are; others are stored in 65,536 steps from the lowest to the
    highest, which is all that such images allow.

    Args:
        image: One channel, or a colour picture of three. 2D or 3D, on any grid.
        folder: For the files; nothing may stand there, except an empty folder.
        origin: The series that it was made from: the new series belongs to the same patient and study, and refers to
            the images where their grid is the same; an image that does not say its modality has that of the series.
            Without it patient and study are nobody's: new and empty.
        description: Of the new series.

    Returns:
        The largest difference between a value and what was stored: 0 when nothing was lost.

    Raises:
        DataError: The image has several channels that are no colours.
        FormatError: Colours are not of 8 bits, or values too large for DICOM's decimals.
        VesaliusError: Something stands at the folder, or the system refused to write.

    Source: DICOM PS3.3 A.3 (CT), A.4 (MR), A.8 (secondary capture), C.11.1 (rescaling).
    """
    told = str(origin.headers[0].get("Modality") or "") if origin is not None else ""
    if image.meta.modality == "OT" and told in ("CT", "MR", "PT"):
        image = replace(image, meta=replace(image.meta, modality=told))  # type: ignore[arg-type]  # one of these
    colour = image.meta.modality == "RGB" and image.channels == 3
    if image.channels != 1 and not colour:
        raise DataError(f"a DICOM image has one channel; this has {image.channels}: write them as series of their own")
    stored = _coloured(image) if colour else _stored(image.array[0])
    spatial = image.grid.ndim == 3
    storage = SecondaryCaptureImageStorage
    if spatial and not colour:
        storage = {"CT": CTImageStorage, "MR": MRImageStorage}.get(image.meta.modality, storage)
    base = _describe(image, origin or _nobody(image), storage, description, stored, new=origin is None)
    count = image.grid.shape[2] if spatial else 1
    same = origin is not None and image.grid.is_close(origin.grid, tolerance_mm=0.01)
    with atomic_folder(folder) as place:
        for at in range(count):
            made = _slice(base, image, at)
            if same and origin is not None and len(origin.frames) == count:
                header, frame = origin.frames[at]
                made.SourceImageSequence = [reference(origin.headers[header], frame=frame)]
            pixels = stored.array[..., at] if spatial else stored.array
            # Index order is columns first; colours come last.
            made.PixelData = np.ascontiguousarray(pixels.T if not colour else pixels.transpose(2, 1, 0)).tobytes()
            made.PixelData += b"\0" * (len(made.PixelData) % 2)
            made["PixelData"].VR = "OW" if made.BitsAllocated == 16 else "OB"
            save(made, Path(place) / f"{at + 1:04d}.dcm")
    return stored.error


def _nobody(image: Volume) -> Origin:
    """A series of no patient, for what comes from elsewhere."""
    header = Dataset()
    header.StudyInstanceUID, header.SeriesInstanceUID = generate_uid(), generate_uid()
    return Origin((header,), (), image.grid)


def _coloured(image: Volume) -> _Stored:
    if image.array.dtype != np.uint8:
        raise FormatError("colours are written with 8 bits each; scale them to 0 to 255 as uint8 first")
    return _Stored(image.array, "1", "0", 0.0)


def _stored(array: NDArray[Any]) -> _Stored:
    """Sixteen bits for one channel; fewer bits would gain nothing that a PACS notices."""
    lowest, highest = float(array.min()), float(array.max())
    whole = array.dtype.kind in "biu" or bool((np.rint(array) == array).all())
    for dtype in (np.uint16, np.int16):
        if whole and np.iinfo(dtype).min <= lowest and highest <= np.iinfo(dtype).max:
            return _Stored(array.astype(f"<{np.dtype(dtype).str[1:]}"), "1", "0", 0.0)
    if max(abs(lowest), abs(highest)) > 1e30:
        raise FormatError("the values are too large for the decimals of a DICOM image")
    # The slope as it will be read: rounded up, so that the highest value still has a step.
    slope = f"{(highest - lowest) / _TOP * (1 + 1e-9):.{_PLACES - 5}g}" if highest > lowest else "1"
    intercept = decimal(lowest)
    steps = np.rint((array.astype(np.float64) - float(intercept)) / float(slope)).clip(0, _TOP)
    error = float(np.abs(steps * float(slope) + float(intercept) - array).max())
    return _Stored(steps.astype("<u2"), slope, intercept, error)


def _describe(image: Volume, origin: Origin, storage: Any, description: str, stored: _Stored, *, new: bool) -> Dataset:
    """What all slices share."""
    spatial, source = image.grid.ndim == 3, origin.headers[0]
    modality = _MODALITIES[image.meta.modality]
    made = begin(origin, storage, modality=modality, description=description, series_number=7200, texts=[])
    made.ImageType = ["DERIVED", "SECONDARY", "AXIAL"] if storage == CTImageStorage else ["DERIVED", "SECONDARY"]
    if storage == MRImageStorage:
        made.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    made.PatientOrientation = ""
    made.Laterality = ""
    if new:
        made.PatientName, made.PatientID = "", ""
    for keyword, value in _ACQUISITION.get(storage, {"ConversionType": "WSD"}).items():
        setattr(made, keyword, value)
    if source.get("SOPClassUID") == storage:  # how it was acquired stays true of what was made of it
        copy_elements(source, made, _ACQUISITION.get(storage, {}))
    copy_elements(source, made, ("BodyPartExamined", "PatientPosition", "BurnedInAnnotation", "LossyImageCompression"))
    copy_elements(source, made, ("LossyImageCompressionRatio", "LossyImageCompressionMethod"))
    if "BodyPartExamined" in made:
        del made.Laterality
    if spatial:
        enter_frame_of_reference(made, origin)
        made.setdefault("PatientPosition", "")
        told = measures(image.grid)
        copy_elements(told, made, ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"))
        if storage == CTImageStorage:
            del made.SpacingBetweenSlices  # no element of a CT image
        made.ImageOrientationPatient = orientation(image.grid)
    elif image.meta.calibrated:
        copy_elements(measures(image.grid), made, ("PixelSpacing",))
    made.Columns, made.Rows = image.grid.shape[:2]
    if stored.array.ndim > image.grid.ndim:
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    else:
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        if storage == CTImageStorage or (stored.slope, stored.intercept) != ("1", "0"):
            made.RescaleSlope, made.RescaleIntercept = stored.slope, stored.intercept
            made.RescaleType = "HU" if storage == CTImageStorage else "US"
        level, width = _window(image)
        made.WindowCenter, made.WindowWidth = decimal(level), decimal(width)
    made.BitsAllocated = made.BitsStored = 8 * stored.array.dtype.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(stored.array.dtype.kind == "i")
    return made


def _slice(base: Dataset, image: Volume, at: int) -> Dataset:
    made = Dataset()
    made.update(base)
    made.file_meta = type(base.file_meta)()
    made.file_meta.TransferSyntaxUID = base.file_meta.TransferSyntaxUID
    made.SOPInstanceUID = generate_uid()
    made.InstanceNumber = at + 1
    if image.grid.ndim == 3:
        made.ImagePositionPatient = position(image.grid, at)
    return made


def _window(image: Volume) -> tuple[float, float]:
    """Level and width to begin with: soft tissue for CT, else all but the darkest and the brightest hundredth."""
    if image.meta.modality == "CT":
        return _WINDOW_CT
    values = image.array.reshape(-1)
    low, high = (float(x) for x in np.percentile(values[:: max(1, values.size // 1_000_000)], (1, 99)))
    return (low + high) / 2, max(high - low, 1e-6)
