"""Write a segmentation as a DICOM SEG; `vesalius.io.dicom.segments` reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, SegmentationStorage

from vesalius.errors import DataError, FormatError, unknown_name
from vesalius.image import Code, Label, LabelMap, Labels, Volume, count_values
from vesalius.io.contents import labels_to_json
from vesalius.io.dicom.codes import meaning_of, to_lab
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
from vesalius.io.dicom.origin import Origin

LabelMapSegmentationStorage = UID("1.2.840.10008.5.1.4.1.1.66.7")
"""Supplement 243; younger than many a validator and archive."""

PRIVATE_GROUP, PRIVATE_CREATOR = 0x0063, "VESALIUS"
"""Where a SEG keeps what DICOM has no element for: values and regions, as JSON in element 01 of our block."""

Kind = Literal["binary", "fractional", "labelmap"]
"""One bit for each voxel and segment; a share of 255; the values themselves."""

Algorithm = Literal["automatic", "semiautomatic", "manual"]
"""Who drew the outline: software, software that a person led, a person."""

_FULL = 255  # a share of 1 (Maximum Fractional Value)
_BACKGROUND = Code("DCM", "125040", "Background")


@dataclass(frozen=True)
class _Segment:
    """A segment, and the values of the label map that it is made of."""

    number: int
    label: Label
    values: tuple[int, ...]


def write_seg(
    labels: LabelMap,
    path: str | os.PathLike[str],
    origin: Origin,
    *,
    kind: Kind = "binary",
    probabilities: Volume | None = None,
    regions: bool = False,
    algorithm: Algorithm = "automatic",
    algorithm_name: str = "Vesalius",
    description: str = "Segmentation",
) -> None:
    """Write a label map as a DICOM segmentation that refers to the series it was made from.

    Slices in which a segment does not occur are left out of it; the first and the last slice of the grid are always
    there, so that every reader finds the whole grid again. Codes and colours are those of the labels; where a label has
    no code, its name is looked up (`vesalius.io.dicom.codes.meaning_of`).

    Args:
        labels: On the grid of the series.
        path: The file, by custom ``.dcm``.
        origin: The series, from `vesalius.io.dicom.read_origin`.
        kind: ``"binary"``, which every viewer reads; ``"fractional"`` for probabilities; ``"labelmap"``, small and
            young: many archives refuse it still.
        probabilities: Of ``"fractional"``: one channel for each segment, or one more whose first is the background; 0
            to 1, kept to 1/255. Without them each voxel belongs to its label altogether.
        regions: Write the regions of the labels as segments, which may overlap, and of the labels only those that
            are in no region. Not for ``"labelmap"``.
        algorithm: Who drew it.
        algorithm_name: With what; not written for ``"manual"``.
        description: Of the new series.

    Raises:
        GeometryError: The label map lies on another grid than the series.
        DataError: There is no label; regions are to become a label map; voxels are marked as ignored, which a SEG
            cannot say; probabilities do not fit the labels; or the series holds several pictures without a place in the
            patient.
        FormatError: The series does not say its study, or the object would be larger than DICOM allows.
        VesaliusError: The system refused to write.

    Source: DICOM PS3.3 A.51 and C.8.20 (Segmentation IOD); checked with dciodvfy, dcentvfy, dcmqi and highdicom.
    """
    require_grid(labels.grid, origin, "the label map")
    if kind not in ("binary", "fractional", "labelmap"):
        raise FormatError(unknown_name("kind of segmentation", kind, ("binary", "fractional", "labelmap")))
    if labels.labels.ignore is not None and labels.counts().get(labels.labels.ignore):
        raise DataError("the label map has voxels that are marked as ignored, which DICOM cannot say: relabel them")
    if labels.grid.ndim == 2 and len(origin.frames) != 1:
        raise DataError(f"the series holds {len(origin.frames)} pictures: a segmentation is of one, name its file")
    if regions and kind == "labelmap":
        raise DataError("regions may overlap, which a label map cannot hold: write kind='binary'")
    segments = _segments(labels.labels, kind, regions=regions)
    shares = None if probabilities is None else _shares(probabilities, labels, len(segments), kind)
    frames = list(_places(labels, segments, kind, shares))
    made = _describe(labels, origin, segments, kind, description, shares is not None)
    for segment, item in zip(segments, made.SegmentSequence[-len(segments) :], strict=True):
        _enter_algorithm(item, algorithm, algorithm_name)
        assert item.SegmentNumber == segment.number
    if kind == "labelmap":
        _enter_algorithm(made.SegmentSequence[0], algorithm, algorithm_name)
    _enter_frames(made, labels, origin, segments, kind, frames)
    pictures = (_picture(labels, segments, kind, shares, *place) for place in frames)
    made.PixelData = _packed(pictures) if kind == "binary" else _joined(pictures)
    if len(made.PixelData) > LARGEST_ELEMENT:
        raise FormatError("the segmentation would be larger than the 4 GiB that DICOM allows: write kind='labelmap'")
    made["PixelData"].VR = "OW" if made.BitsAllocated == 16 else "OB"
    save(made, path)


def _segments(labels: Labels, kind: Kind, *, regions: bool) -> tuple[_Segment, ...]:
    if not labels.labels:
        raise DataError("there is no label to be written as a segment; a label map needs at least one")
    parts: list[tuple[Label, tuple[int, ...]]] = []
    if regions:
        inside = {value for region in labels.regions for value in region.values}
        parts += [(Label(region.name, region.values[0]), region.values) for region in labels.regions]
    else:
        inside = set()
    parts += [
        (Label(label.name, label.value, labels.colour(label.value), label.code), (label.value,))
        for label in labels.labels
        if label.value not in inside
    ]
    # Numbers count from 1 without gaps (PS3.3 C.8.20.2.4); only label maps keep the values.
    return tuple(
        _Segment(label.value if kind == "labelmap" else number, label, values)
        for number, (label, values) in enumerate(parts, start=1)
    )


def _shares(probabilities: Volume, labels: LabelMap, count: int, kind: Kind) -> NDArray[Any]:
    """The probabilities of the segments, ``(segments, *grid.shape)``."""
    if kind != "fractional":
        raise DataError(f"probabilities are for kind='fractional', not {kind!r}")
    if not probabilities.grid.is_close(labels.grid, tolerance_mm=0.01):
        raise DataError("the probabilities lie on another grid than the label map")
    if probabilities.channels not in (count, count + 1):
        raise DataError(
            f"there are {count} segments, and probabilities of {probabilities.channels} channels: "
            f"give {count}, or {count + 1} with the background first"
        )
    array = probabilities.array[-count:]
    if array.min() < 0 or array.max() > 1 + 1e-6:
        raise DataError(f"probabilities must be 0 to 1, not {array.min():g} to {array.max():g}")
    return array


def _places(
    labels: LabelMap, segments: Sequence[_Segment], kind: Kind, shares: NDArray[Any] | None
) -> Iterator[tuple[int, int]]:
    """Segment (its place in the list) and slice of each frame, in the order of storage."""
    slices = labels.grid.shape[2] if labels.grid.ndim == 3 else 1
    if kind == "labelmap":
        yield from ((0, at) for at in range(slices))
        return
    if shares is None:
        present = [set(count_values(_slice(labels.array, at))) for at in range(slices)]
    else:
        present = [
            {segments[n].values[0] for n in range(len(segments)) if (_slice(shares[n], at) * _FULL >= 0.5).any()}
            for at in range(slices)
        ]
    ends = {at for at in (0, slices - 1) if not present[at] & {v for segment in segments for v in segment.values}}
    for place, segment in enumerate(segments):
        for at in range(slices):
            if present[at] & set(segment.values) or (place == 0 and at in ends):
                yield place, at


def _picture(
    labels: LabelMap, segments: Sequence[_Segment], kind: Kind, shares: NDArray[Any] | None, place: int, at: int
) -> NDArray[Any]:
    """A frame as it is stored, ``(rows, columns)``; bits as bool."""
    if shares is not None:
        return np.rint(_slice(shares[place], at) * np.float32(_FULL)).clip(0, _FULL).astype(np.uint8)
    values = _slice(labels.array, at)
    if kind == "labelmap":
        return values.astype(_stored_type(segments, kind))
    members = segments[place].values
    found = values == members[0] if len(members) == 1 else np.isin(values, members)
    return found if kind == "binary" else found.view(np.uint8) * np.uint8(_FULL)


def _stored_type(segments: Sequence[_Segment], kind: Kind) -> np.dtype[Any]:
    """Of what is not bits: shares are a byte, and so are labels while they fit."""
    wide = kind == "labelmap" and max(segment.number for segment in segments) > np.iinfo(np.uint8).max
    return np.dtype("<u2" if wide else np.uint8)


def _slice(array: NDArray[Any], at: int) -> NDArray[Any]:
    """A slice with rows downwards: index order is columns first."""
    return array[:, :, at].T if array.ndim == 3 else array.T


def _joined(pictures: Iterator[NDArray[Any]]) -> bytes:
    data = b"".join(np.ascontiguousarray(picture).tobytes() for picture in pictures)
    return data + b"\0" * (len(data) % 2)


def _packed(pictures: Iterator[NDArray[Any]]) -> bytes:
    """One bit a voxel, the first in the lowest bit; a frame begins where the last one ended (PS3.5 8.1.1, 8.2)."""
    whole, rest = [], np.zeros(0, np.bool_)
    for picture in pictures:
        bits = np.concatenate([rest, picture.ravel()]) if len(rest) else picture.ravel()
        end = len(bits) // 8 * 8
        whole.append(np.packbits(bits[:end], bitorder="little").tobytes())
        rest = bits[end:].copy()
    data = b"".join([*whole, np.packbits(rest, bitorder="little").tobytes()])
    return data + b"\0" * (len(data) % 2)


# --- the header -------------------------------------------------------------------------------------------------------


def _describe(
    labels: LabelMap, origin: Origin, segments: Sequence[_Segment], kind: Kind, description: str, likely: bool
) -> Dataset:
    """Everything of the object but its frames."""
    storage = LabelMapSegmentationStorage if kind == "labelmap" else SegmentationStorage
    names = [segment.label.name for segment in segments]
    texts = [*names, labels_to_json(labels.labels)]
    made = begin(origin, storage, modality="SEG", description=description, series_number=7000, texts=texts)
    if labels.grid.ndim == 3:
        enter_frame_of_reference(made, origin)
    refer(made, origin)
    made.ImageType = ["DERIVED", "PRIMARY"]
    made.ContentLabel = "SEGMENTATION"
    made.ContentDescription = description[:64]
    made.ContentCreatorName = ""
    made.Columns, made.Rows = labels.grid.shape[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated = 8 * _stored_type(segments, kind).itemsize if kind != "binary" else 1
    if kind == "labelmap":
        made.PixelPaddingValue = 0
    made.BitsStored, made.HighBit = made.BitsAllocated, made.BitsAllocated - 1
    made.LossyImageCompression = str(origin.headers[0].get("LossyImageCompression") or "00")
    copy_elements(origin.headers[0], made, ("LossyImageCompressionRatio", "LossyImageCompressionMethod"))
    made.SegmentationType = kind.upper()
    if kind == "fractional":
        made.SegmentationFractionalType = "PROBABILITY" if likely else "OCCUPANCY"
        made.MaximumFractionalValue = _FULL
    shared = {value for one in segments for value in one.values}
    overlap = "YES" if sum(len(one.values) for one in segments) > len(shared) else "NO"
    made.SegmentsOverlap = "UNDEFINED" if likely else overlap
    made.SegmentSequence = [_item(segment) for segment in segments]
    if kind == "labelmap":
        made.SegmentSequence.insert(0, _background())
    block = made.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    block.add_new(0x01, "UT", labels_to_json(labels.labels))
    return made


def _item(segment: _Segment) -> Dataset:
    item, meaning = Dataset(), meaning_of(segment.label)
    item.SegmentNumber = segment.number
    item.SegmentLabel = segment.label.name[:64]
    item.SegmentedPropertyCategoryCodeSequence = [coded(meaning.category)]
    item.SegmentedPropertyTypeCodeSequence = [coded(meaning.type)]
    if meaning.side is not None:
        item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [coded(meaning.side)]
    if segment.label.colour is not None:
        item.RecommendedDisplayCIELabValue = to_lab(segment.label.colour)
    return item


def _background() -> Dataset:
    """Of label maps: what 0 means."""
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = 0, "Background"
    item.SegmentedPropertyCategoryCodeSequence = [coded(_BACKGROUND)]
    item.SegmentedPropertyTypeCodeSequence = [coded(_BACKGROUND)]
    return item


def _enter_algorithm(item: Dataset, algorithm: Algorithm, name: str) -> None:
    item.SegmentAlgorithmType = algorithm.upper()
    if algorithm != "manual":
        item.SegmentAlgorithmName = name[:64]


def _enter_frames(
    made: Dataset,
    labels: LabelMap,
    origin: Origin,
    segments: Sequence[_Segment],
    kind: Kind,
    frames: Sequence[tuple[int, int]],
) -> None:
    """Where each frame lies, what it shows and which image it was drawn on.

    Source: DICOM PS3.3 C.7.6.16 (functional groups), C.7.6.17 (dimensions), C.8.20.3.
    """
    spatial = labels.grid.ndim == 3
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures(labels.grid)]
    if spatial:
        plane = Dataset()
        plane.ImageOrientationPatient = orientation(labels.grid)
        shared.PlaneOrientationSequence = [plane]
    made.SharedFunctionalGroupsSequence = [shared]
    pointers = [] if kind == "labelmap" else [("ReferencedSegmentNumber", "SegmentIdentificationSequence")]
    pointers += [("ImagePositionPatient", "PlanePositionSequence")] if spatial else []
    enter_dimensions(made, pointers)
    slices = {at: _slice_groups(labels, origin, at) for at in {at for _, at in frames}}
    items = []
    for place, at in frames:
        item, content = Dataset(), Dataset()
        numbers = [] if kind == "labelmap" else [segments[place].number]
        content.DimensionIndexValues = [*numbers, *([at + 1] if spatial else [])] or [1]
        item.FrameContentSequence = [content]
        item.update(slices[at])
        if kind != "labelmap":
            number = Dataset()
            number.ReferencedSegmentNumber = segments[place].number
            item.SegmentIdentificationSequence = [number]
        items.append(item)
    made.NumberOfFrames = len(items)
    made.PerFrameFunctionalGroupsSequence = items


def _slice_groups(labels: LabelMap, origin: Origin, at: int) -> Dataset:
    """The functional groups that the frames of a slice share: position, and the image behind it."""
    groups = Dataset()
    if labels.grid.ndim == 3:
        plane = Dataset()
        plane.ImagePositionPatient = position(labels.grid, at)
        groups.PlanePositionSequence = [plane]
    groups.DerivationImageSequence = [derivation(origin, at)]
    return groups
