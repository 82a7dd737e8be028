"""A volume as a DICOM image series: what was denoised, resampled or came from NIfTI, for a PACS."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

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
from vesalius.io.dicom.enhanced import decimal_text, is_enhanced, write_enhanced
from vesalius.io.dicom.origin import Origin
from vesalius.io.dicom.pet import enter_pet, enter_pet_slice, is_pet
from vesalius.io.dicom.stored import Stored, shown_window, store_above_zero, store_as_before, store_values

_ACQUISITION = {
    CTImageStorage: {"KVP": "", "AcquisitionNumber": ""},
    PositronEmissionTomographyImageStorage: {},
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
_STORAGES = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
_MODALITIES = {"PT": "PT", "US": "US", "XR": "DX", "RGB": "XC", "OT": "OT", "CT": "CT", "MR": "MR"}


def write_series(
    image: Volume,
    folder: str | os.PathLike[str],
    *,
    origin: Origin | None = None,
    description: str = "Vesalius",
) -> float:
    """Write an image as a DICOM series, one file a slice.

    CT, MR and PET become such images, everything else secondary captures, with their place in the patient where they
    have one. What was made of an enhanced multi-frame image, on its grid, becomes one, in a single file. Whole
    numbers that 16 bits hold are kept as they are; others are stored in 65,536 steps from the lowest to the
    highest, which is all that such images allow. Slices of a PET, whose intercept is 0, have a slope each: that of the
    source's slice where it gives every value exactly.

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

    Source: DICOM PS3.3 A.3 (CT), A.4 (MR), A.21 (PET), A.8 (secondary capture), C.11.1 (rescaling).
    """
    told = str(origin.headers[0].get("Modality") or "") if origin is not None else ""
    if image.meta.modality == "OT" and told in ("CT", "MR", "PT"):
        image = replace(image, meta=replace(image.meta, modality=told))  # type: ignore[arg-type]  # one of these
    colour = image.meta.modality == "RGB" and image.channels == 3
    if image.channels != 1 and not colour:
        raise DataError(f"a DICOM image has one channel; this has {image.channels}: write them as series of their own")
    if origin is not None and is_enhanced(image, origin):
        with atomic_folder(folder) as place:
            return write_enhanced(image, Path(place) / "0001.dcm", origin, description=description)
    spatial = image.grid.ndim == 3
    storage = _STORAGES.get(image.meta.modality) if spatial and not colour else None
    storage = storage or SecondaryCaptureImageStorage
    count = image.grid.shape[2] if spatial else 1
    same = origin is not None and image.grid.is_close(origin.grid, tolerance_mm=0.01) and len(origin.frames) == count
    sources = [origin.frames[at] for at in range(count)] if same and origin is not None else []
    if storage == PositronEmissionTomographyImageStorage:
        slices = _stored_pet(image, [origin.headers[header] for header, _ in sources] if origin is not None else [])
        stored = slices[0]
    else:
        stored = _coloured(image) if colour else store_values(image.array[0])
        slices = [_part(stored, at if spatial else None) for at in range(count)]
    base = _describe(image, origin or _nobody(image), storage, description, stored, new=origin is None)
    with atomic_folder(folder) as place:
        for at in range(count):
            made = _slice(base, image, at)
            source = None if origin is None else origin.headers[sources[at][0] if sources else 0]
            if sources and source is not None:
                made.SourceImageSequence = [reference(source, frame=sources[at][1])]
            if storage == PositronEmissionTomographyImageStorage:
                enter_pet_slice(made, source, at + 1)
                made.RescaleSlope = slices[at].slope
            pixels = slices[at].array
            # Index order is columns first; colours come last.
            made.PixelData = np.ascontiguousarray(pixels.T if not colour else pixels.transpose(2, 1, 0)).tobytes()
            made.PixelData += b"\0" * (len(made.PixelData) % 2)
            made["PixelData"].VR = "OW" if made.BitsAllocated == 16 else "OB"
            save(made, Path(place) / f"{at + 1:04d}.dcm")
    return max(one.error for one in slices)


def _part(stored: Stored, at: int | None) -> Stored:
    return replace(stored, array=stored.array[..., at]) if at is not None else stored


def _stored_pet(image: Volume, sources: list[Dataset]) -> list[Stored]:
    """Each slice by a slope of its own: that of its source, if that loses nothing."""
    signed = bool(image.array.min() < 0)
    made = []
    for at in range(image.grid.shape[2]):
        values = image.array[0, :, :, at]
        slope = decimal_text(sources[at].get("RescaleSlope")) if sources and is_pet(sources[at]) else ""
        found = store_as_before(values, slope, "0", signed=signed) if slope else None
        made.append(found or store_above_zero(values, signed=signed))
    return made


def _nobody(image: Volume) -> Origin:
    """A series of no patient, for what comes from elsewhere."""
    header = Dataset()
    header.StudyInstanceUID, header.SeriesInstanceUID = generate_uid(), generate_uid()
    return Origin((header,), (), image.grid)


def _coloured(image: Volume) -> Stored:
    if image.array.dtype != np.uint8:
        raise FormatError("colours are written with 8 bits each; scale them to 0 to 255 as uint8 first")
    return Stored(image.array, "1", "0", 0.0)


def _describe(image: Volume, origin: Origin, storage: Any, description: str, stored: Stored, *, new: bool) -> Dataset:
    """What all slices share."""
    spatial, source = image.grid.ndim == 3, origin.headers[0]
    modality = _MODALITIES[image.meta.modality]
    made = begin(origin, storage, modality=modality, description=description, series_number=7200, texts=[])
    made.ImageType = ["DERIVED", "SECONDARY", "AXIAL"] if storage == CTImageStorage else ["DERIVED", "SECONDARY"]
    if storage == MRImageStorage:
        made.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    if storage == PositronEmissionTomographyImageStorage:
        made.ImageType = ["DERIVED", "PRIMARY"]
        enter_pet(made, image, origin)
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
        if storage == PositronEmissionTomographyImageStorage:
            del made.PatientPosition  # the codes of C.8.4.6 stand in its place
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
        pet = storage == PositronEmissionTomographyImageStorage
        if pet or storage == CTImageStorage or (stored.slope, stored.intercept) != ("1", "0"):
            made.RescaleSlope, made.RescaleIntercept = stored.slope, stored.intercept
        if not pet and "RescaleSlope" in made:
            made.RescaleType = "HU" if storage == CTImageStorage else "US"
        level, width = shown_window(image)
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
