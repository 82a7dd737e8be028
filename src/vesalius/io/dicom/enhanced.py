"""A volume as an enhanced multi-frame image: what was made of one goes back as one."""

from __future__ import annotations

import os
from copy import deepcopy
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
)

from vesalius.errors import DataError, FormatError
from vesalius.image import Code, Volume
from vesalius.io.dicom.derived import (
    LARGEST_ELEMENT,
    begin,
    coded,
    decimal,
    enter_dimensions,
    enter_frame_of_reference,
    refer,
    reference,
    require_grid,
    save,
)
from vesalius.io.dicom.origin import Origin
from vesalius.io.dicom.quiet import quiet
from vesalius.io.dicom.stored import Stored, shown_window, store_as_before, store_values

MODALITIES = {
    EnhancedCTImageStorage: "CT",
    LegacyConvertedEnhancedCTImageStorage: "CT",
    EnhancedMRImageStorage: "MR",
    LegacyConvertedEnhancedMRImageStorage: "MR",
    EnhancedPETImageStorage: "PT",
    LegacyConvertedEnhancedPETImageStorage: "PT",
}
"""Classes of enhanced images, and their modality."""

_FRAME_TYPES = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence")
_STALE = (
    # of the series and the object, which are new ones
    *("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "SeriesDescriptionCodeSequence", "SeriesDate"),
    *("SeriesTime", "InstanceCreatorUID", "IconImageSequence", "DigitalSignaturesSequence", "MACParametersSequence"),
    *("OriginalAttributesSequence", "EncryptedAttributesSequence", "ReferencedSeriesSequence", "SourceImageSequence"),
    *("StudiesContainingOtherReferencedInstancesSequence", "ReferencedImageEvidenceSequence", "NumberOfFrames"),
    *("SourceImageEvidenceSequence", "UnassignedSharedConvertedAttributesSequence", "ImageComments"),
    *("UnassignedPerFrameConvertedAttributesSequence", "ConversionSourceAttributesSequence"),
    # of values that are other ones
    *("SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelDataProviderURL"),
    # what stands elsewhere now
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DimensionIndexSequence"),
    *("DimensionOrganizationSequence", "DimensionOrganizationType", "ConcatenationUID", "InConcatenationNumber"),
    *("InConcatenationTotalNumber", "ConcatenationFrameOffsetNumber", "SOPInstanceUIDOfConcatenationSource"),
)
_UNASSIGNED = (  # what of classic headers has no place in functional groups; of legacy-converted images
    "UnassignedSharedConvertedAttributesSequence",
    "UnassignedPerFrameConvertedAttributesSequence",
)
_STALE_GROUPS = (
    *("PixelValueTransformationSequence", "RealWorldValueMappingSequence", "FrameVOILUTSequence"),
    *("ReferencedImageSequence", "DerivationImageSequence", "ConversionSourceAttributesSequence"),
    "FrameContentSequence",
)
_PROCESSED = Code("99VESALIUS", "processed", "Processed, voxel by voxel")
_SOURCE = Code("DCM", "121322", "Source image for image processing operation")


def is_enhanced(image: Volume, origin: Origin) -> bool:
    """Whether an image goes back as an enhanced one: it was made of one, on its grid, and is of its modality."""
    storage = origin.headers[0].get("SOPClassUID")
    return (
        MODALITIES.get(storage) == image.meta.modality
        and image.channels == 1
        and len(origin.headers) == 1
        and image.grid.ndim == 3
        and len(origin.frames) == image.grid.shape[2]
        and image.grid.is_close(origin.grid, tolerance_mm=0.01)
    )


def write_enhanced(
    image: Volume, path: str | os.PathLike[str], origin: Origin, *, description: str = "Vesalius"
) -> float:
    """Write an image as an enhanced multi-frame object of the class of its source: CT, MR or PET, legacy-converted too.

    How frames were acquired is taken over from the frames of the source; private elements, and what was true of the
    source's values alone, are not. Values that the source's own slopes give exactly are stored with them; else as
    `vesalius.io.dicom.stored.store_values` does.

    Args:
        image: One channel, see `is_enhanced`.
        path: The file, by custom ``.dcm``.
        origin: The source: one multi-frame file.
        description: Of the new series.

    Returns:
        The largest difference between a value and what was stored: 0 when nothing was lost.

    Raises:
        DataError: The image is none that can be written so.
        GeometryError: It lies on another grid.
        FormatError: It would be larger than DICOM allows, or values too large for its decimals.
        VesaliusError: The system refused to write.

    Source: DICOM PS3.3 A.38 (Enhanced CT), A.36 (Enhanced MR), A.56 (Enhanced PET), A.70 to A.72 (legacy converted);
    C.7.6.16 (functional groups).
    """
    require_grid(image.grid, origin, "the image")
    if not is_enhanced(image, origin):
        raise DataError("an enhanced image is made of an enhanced image of the same modality, in one channel")
    source = origin.headers[0]
    with quiet:
        shared = deepcopy((source.get("SharedFunctionalGroupsSequence") or [Dataset()])[0])
        frames = [deepcopy(source.PerFrameFunctionalGroupsSequence[frame - 1]) for _, frame in origin.frames]
        stored = _stored(image, shared, frames)
        made = _begun(image, origin, description)
        _enter_groups(made, image, origin, shared, frames, stored)
    first = stored[0].array
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, int(first.dtype.kind == "i")
    if 2 * image.array.size > LARGEST_ELEMENT:
        raise FormatError("the image would be larger than the 4 GiB that DICOM allows: write it as a classic series")
    made.PixelData = b"".join(np.ascontiguousarray(one.array.T).tobytes() for one in stored)
    made["PixelData"].VR = "OW"
    save(made, path)
    return max(one.error for one in stored)


def _begun(image: Volume, origin: Origin, description: str) -> Dataset:
    source = origin.headers[0]
    made = begin(origin, source.SOPClassUID, modality=image.meta.modality, description=description, series_number=7200)
    for element in source:
        known = element.tag in made or element.tag.is_private or element.tag.group in (0x0002, 0x7FE0)
        if not known and element.keyword not in _STALE and element.tag.group & 0xFF00 != 0x6000:
            made[element.tag] = deepcopy(element)
    made.remove_private_tags()
    if made.SOPClassUID == EnhancedMRImageStorage and "MRAcquisitionType" in made:
        del made.MRAcquisitionType  # needed of original images alone, and dciodvfy wants none of others (C.8.13.4)
    made.ImageType = _derived(made.get("ImageType"))
    made.NumberOfFrames = image.grid.shape[2]
    made.Columns, made.Rows = image.grid.shape[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    enter_frame_of_reference(made, origin)
    refer(made, origin)
    made.SourceImageEvidenceSequence = [_evidence(source)]
    enter_dimensions(made, [("InStackPositionNumber", "FrameContentSequence")])
    return made


def _evidence(source: Dataset) -> Dataset:
    """The source by its study and series. Source: DICOM PS3.3 table C.17-3 (Hierarchical SOP Instance Reference)."""
    study, series = Dataset(), Dataset()
    series.SeriesInstanceUID = source.SeriesInstanceUID
    series.ReferencedSOPSequence = [reference(source)]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = source.StudyInstanceUID, [series]
    return study


def _enter_groups(
    made: Dataset, image: Volume, origin: Origin, shared: Dataset, frames: list[Dataset], stored: list[Stored]
) -> None:
    times = [(frame.get("FrameContentSequence") or [Dataset()])[0] for frame in frames]
    centre, width = shown_window(image)
    for group in (shared, *frames):
        for keyword in _STALE_GROUPS:
            if keyword in group:
                del group[keyword]
        for keyword in _FRAME_TYPES:
            for item in group.get(keyword) or ():
                item.FrameType = _derived(item.get("FrameType"))
        for keyword in _UNASSIGNED:
            for item in group.get(keyword) or ():
                for stale in [one.tag for one in item if one.keyword in _STALE]:
                    del item[stale]
        group.remove_private_tags()
    kind = "HU" if image.meta.modality == "CT" else "US"
    for at, (frame, time, one) in enumerate(zip(frames, times, stored, strict=True)):
        content, transform, window = time, Dataset(), Dataset()
        for keyword in ("DimensionIndexValues", "StackID", "InStackPositionNumber"):
            if keyword in content:
                del content[keyword]
        content.remove_private_tags()
        content.StackID, content.InStackPositionNumber = "1", at + 1
        content.DimensionIndexValues = [at + 1]
        transform.RescaleIntercept, transform.RescaleSlope, transform.RescaleType = one.intercept, one.slope, kind
        window.WindowCenter, window.WindowWidth = decimal(centre), decimal(width)
        header, number = origin.frames[at]
        named = reference(origin.headers[header], frame=number)
        named.PurposeOfReferenceCodeSequence = [coded(_SOURCE)]
        derivation = Dataset()
        derivation.DerivationCodeSequence, derivation.SourceImageSequence = [coded(_PROCESSED)], [named]
        frame.FrameContentSequence, frame.PixelValueTransformationSequence = [content], [transform]
        frame.FrameVOILUTSequence, frame.DerivationImageSequence = [window], [derivation]
    made.SharedFunctionalGroupsSequence = [shared]
    made.PerFrameFunctionalGroupsSequence = frames


def _stored(image: Volume, shared: Dataset, frames: list[Dataset]) -> list[Stored]:
    """A slope for each frame as the source has it, if that loses nothing; else one for all."""
    slices = [image.array[0, :, :, at] for at in range(image.grid.shape[2])]
    known = [_transform(frame, shared) for frame in frames]
    for signed in (False, True):
        found = [store_as_before(one, *told, signed=signed) for one, told in zip(slices, known, strict=True)]
        if all(one is not None for one in found):
            return [one for one in found if one is not None]
    whole = store_values(image.array[0])
    return [Stored(whole.array[:, :, at], whole.slope, whole.intercept, whole.error) for at in range(len(slices))]


def _transform(frame: Dataset, shared: Dataset) -> tuple[str, str]:
    for group in (frame, shared):
        items = group.get("PixelValueTransformationSequence")
        if items:
            slope, intercept = items[0].get("RescaleSlope"), items[0].get("RescaleIntercept")
            return (decimal_text(slope) or "1", decimal_text(intercept) or "0")
    return "1", "0"


def decimal_text(value: object) -> str:
    """A decimal as it stood in a header."""
    return "" if value is None else str(getattr(value, "original_string", None) or value).strip()


def _derived(kind: Any) -> list[str]:
    """An image or frame type with four values, of what was made of another image."""
    words = [kind] if isinstance(kind, str) else [str(word) for word in kind or ()]
    usual = ("DERIVED", "PRIMARY", "OTHER", "NONE")
    return ["DERIVED", *words[1:], *usual[max(len(words), 1) :]]
