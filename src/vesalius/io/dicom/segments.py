"""Read a DICOM SEG: binary, fractional or label map, of any maker; `vesalius.io.dicom.segmentation` writes it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from vesalius.errors import DataError, FormatError, GeometryError, unknown_name
from vesalius.image import Code, Grid, Label, LabelMap, Labels, Meta, Volume, count_values
from vesalius.io.contents import labels_from_json
from vesalius.io.dicom.bits import is_own, pictures
from vesalius.io.dicom.codes import from_lab
from vesalius.io.dicom.describe import describe
from vesalius.io.dicom.frame import Frame
from vesalius.io.dicom.header import Header, damage_is_a_format_error, read_header
from vesalius.io.dicom.lattice import lattice
from vesalius.io.dicom.layers import name_parts
from vesalius.io.dicom.pixels import decode
from vesalius.io.dicom.quiet import quiet
from vesalius.io.dicom.segmentation import PRIVATE_CREATOR, PRIVATE_GROUP, LabelMapSegmentationStorage

STORAGES = (SegmentationStorage, LabelMapSegmentationStorage)
"""SOP classes that `read_seg` reads."""

_LEAST_SHARE = 0.5  # of a fractional segment, from which a voxel counts as inside
_LARGEST_VALUE = 65_535


@dataclass(frozen=True, eq=False)
class _Object:
    """A SEG whose header makes sense: its frames, each with its segment and its slice."""

    header: Header
    kind: str
    full: int
    segments: dict[int, Label]
    own: Labels | None
    grid: Grid
    frames: tuple[Frame, ...]
    numbers: tuple[int, ...]
    slices: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.header.path.name


def read_seg(path: str | os.PathLike[str], *, segments: Sequence[str] | None = None) -> LabelMap:
    """Read a DICOM segmentation as a label map.

    Segments may overlap, the values of a label map may not. Nothing is dropped for that: what lies in exactly the same
    segments gets a label of its own (``"liver + lesion"``, ``"liver alone"``), and a segment that is made of several
    becomes a region that joins them, as `vesalius.io.dicom.layers.flatten` does. A fractional segment has the voxels
    of which it holds the largest share, if that is half or more.

    The grid is that of the frames: what another program wrote may begin and end with the first and the last slice of
    something. ``vesalius.transform.resample(labels, image.grid)`` puts it on the image.

    Args:
        path: The file.
        segments: Names of those wanted; all, when left out.

    Returns:
        The label map, with the segments' names, codes and colours. Values are the segment numbers; in a file that
        Vesalius wrote they are those of the label map that was written, and its regions are there again.

    Raises:
        FormatError: The file is no segmentation, damaged, or of a whole-slide image.
        GeometryError: The frames do not lie on a regular grid.
        DataError: There is no segment of a name, or there are more combinations than 16 bits can tell apart.

    Source: DICOM PS3.3 C.8.20.
    """
    with quiet:
        found = _open(Path(path))
        chosen = _chosen(found, segments)
        with damage_is_a_format_error(found.header.path):
            ids, combinations = _painted(found, chosen)
    try:
        counts = count_values(ids)
        lookup, labels = _labels(found, combinations, [counts.get(n, 0) for n in range(len(combinations))])
        array = lookup[ids].transpose(2, 1, 0)
        return LabelMap(array if found.grid.ndim == 3 else array[..., 0], found.grid, labels)
    except (DataError, GeometryError) as error:
        raise type(error)(f"{found.name}: {error}") from None


def read_fractions(path: str | os.PathLike[str]) -> Volume:
    """Read the segments of a DICOM SEG as an image, a channel each, in the order of their numbers.

    Args:
        path: The file.

    Returns:
        Shares of 0 to 1, float32; the channels are named in ``meta.notes``.

    Raises:
        FormatError: As `read_seg`.
        GeometryError: As `read_seg`.
    """
    with quiet:
        found = _open(Path(path))
        numbers = sorted(found.segments)
        columns, rows = found.grid.shape[:2]
        deep = found.grid.shape[2] if found.grid.ndim == 3 else 1
        with damage_is_a_format_error(found.header.path):
            made = np.zeros((len(numbers), deep, rows, columns), np.float32)
            for segment, at, picture in _pictures(found):
                if found.kind == "LABELMAP":
                    for channel, number in enumerate(numbers):
                        made[channel, at][picture == number] = 1
                elif segment in numbers:
                    here = made[numbers.index(segment), at]
                    np.maximum(here, picture.astype(np.float32) / found.full, out=here)
    array = made.transpose(0, 3, 2, 1)
    names = ", ".join(found.segments[number].name for number in numbers)
    meta = Meta(notes=(f"segments, a channel each: {names}",))
    return Volume(array if found.grid.ndim == 3 else array[..., 0], found.grid, meta)


def is_fractional(path: str | os.PathLike[str]) -> bool:
    """Whether a SEG holds shares rather than labels.

    Raises:
        FormatError: The file cannot be read.
    """
    with quiet:
        header = read_header(Path(path), whole=True)
    return header is not None and str(header.elements.get("SegmentationType") or "").upper() == "FRACTIONAL"


# --- the header -------------------------------------------------------------------------------------------------------


def _open(path: Path) -> _Object:
    header = read_header(path, whole=True)
    if header is None or str(header.elements.SOPClassUID) not in STORAGES:
        raise FormatError(f"{path.name}: is no DICOM segmentation (SEG)")
    with damage_is_a_format_error(path):
        elements = header.elements
        kind = str(elements.get("SegmentationType") or "").strip().upper()
        if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
            raise FormatError(f"{path.name}: its segmentation type must be BINARY, FRACTIONAL or LABELMAP")
        if "PerFrameFunctionalGroupsSequence" not in elements:
            raise FormatError(f"{path.name}: does not describe its frames, which a segmentation must")
        frames = describe(header)
        source = frames[0].source
        if source.refusal:
            raise FormatError(f"{path.name}: {source.refusal}")
        if source.pixels.samples != 1 or (kind == "BINARY") != (source.pixels.allocated == 1):
            raise FormatError(f"{path.name}: its pixels are not those of a {kind.lower()} segmentation")
        segments = _segments(header)
        grid, slices = lattice(frames, path.name)
        numbers = tuple(_number(item, elements, segments, path.name) for item in _groups(elements, kind))
        if grid.ndim == 2 and kind != "LABELMAP" and len(set(numbers)) < len(numbers):
            raise FormatError(
                f"{path.name}: its frames do not say where in the patient they lie; segmentations of whole-slide "
                "images, which are stored in tiles, cannot be read"
            )
        full = int(elements.get("MaximumFractionalValue") or 255) if kind == "FRACTIONAL" else 1
        numbers = numbers or (0,) * len(frames)
        return _Object(header, kind, full, segments, _own(elements), grid, frames, numbers, slices)


def _groups(elements: Dataset, kind: str) -> Sequence[Dataset]:
    return () if kind == "LABELMAP" else elements.PerFrameFunctionalGroupsSequence


def _segments(header: Header) -> dict[int, Label]:
    """Number and label of each segment, names made to differ."""
    found: dict[int, Label] = {}
    taken: set[str] = set()
    for item in header.elements.get("SegmentSequence") or ():
        number = int(item.SegmentNumber)
        if number == 0:  # the background of label maps
            continue
        if not 1 <= number <= _LARGEST_VALUE or number in found:
            raise FormatError(f"{header.path.name}: segment numbers must be 1 to {_LARGEST_VALUE} and differ")
        name = str(item.get("SegmentLabel") or item.get("SegmentDescription") or f"label {number}").strip()
        name = name or f"label {number}"
        name = name if name not in taken else f"{name} ({number})"
        taken.add(name)
        colour = item.get("RecommendedDisplayCIELabValue")
        rgb = from_lab([int(x) for x in colour]) if colour is not None and len(colour) == 3 else None
        found[number] = Label(name, number, rgb, _code(item))
    if not found:
        raise FormatError(f"{header.path.name}: describes no segment")
    return found


def _code(item: Dataset) -> Code | None:
    for code in item.get("SegmentedPropertyTypeCodeSequence") or ():
        value = code.get("CodeValue") or code.get("LongCodeValue")
        if value:
            return Code(str(code.get("CodingSchemeDesignator") or ""), str(value), str(code.get("CodeMeaning") or ""))
    return None


def _own(elements: Dataset) -> Labels | None:
    """What Vesalius left in a file that it wrote; words of others are not believed."""
    try:
        return labels_from_json(str(elements.private_block(PRIVATE_GROUP, PRIVATE_CREATOR)[0x01].value))
    except (KeyError, FormatError, ValueError):
        return None


def _number(item: Dataset, elements: Dataset, segments: dict[int, Label], name: str) -> int:
    """The segment that a frame belongs to."""
    shared = (elements.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for place in (item, shared):
        for one in place.get("SegmentIdentificationSequence") or ():
            number = int(one.ReferencedSegmentNumber)
            if number not in segments:
                raise FormatError(f"{name}: a frame belongs to a segment that is not described")
            return number
    if len(segments) == 1:
        return next(iter(segments))
    raise FormatError(f"{name}: a frame does not say which segment it belongs to")


def _chosen(found: _Object, names: Sequence[str] | None) -> set[int]:
    if names is None:
        return set(found.segments)
    numbers = {label.name: number for number, label in found.segments.items()}
    for name in names:
        if name not in numbers:
            raise DataError(f"{found.name}: {unknown_name('segment', name, numbers)}")
    return {numbers[name] for name in names}


# --- the pixels -------------------------------------------------------------------------------------------------------


def _painted(found: _Object, chosen: set[int]) -> tuple[NDArray[np.uint16], list[frozenset[int]]]:
    """Which combination of segments each voxel belongs to: ``(slices, rows, columns)``, and the combinations."""
    columns, rows = found.grid.shape[:2]
    deep = found.grid.shape[2] if found.grid.ndim == 3 else 1
    ids = np.zeros((deep, rows, columns), np.uint16)
    known: dict[frozenset[int], int] = {frozenset(): 0}

    def place_of(combination: frozenset[int]) -> int:
        if combination not in known:
            if len(known) > _LARGEST_VALUE:
                raise DataError(f"{found.name}: its segments overlap in more than {_LARGEST_VALUE} ways")
            known[combination] = len(known)
        return known[combination]

    best = np.zeros((deep, rows, columns), np.uint16) if found.kind == "FRACTIONAL" else None
    for segment, at, picture in _pictures(found):
        if found.kind == "LABELMAP":
            values = list(count_values(picture))
            if any(value and value not in found.segments for value in values):
                raise FormatError(f"{found.name}: holds values of segments that are not described")
            lookup = np.zeros(values[-1] + 1, np.uint16)
            for value in chosen & set(values):
                lookup[value] = place_of(frozenset((value,)))
            ids[at] = lookup[picture]
            continue
        filled = np.flatnonzero(picture.any(axis=1))
        if segment not in chosen or not len(filled):
            continue
        part = slice(filled[0], filled[-1] + 1)  # most structures are small
        here, picture = ids[at, part], picture[part]
        if best is not None:
            inside = (picture > best[at, part]) & (picture >= _LEAST_SHARE * found.full)
            best[at, part][inside] = picture[inside]
            here[inside] = place_of(frozenset((segment,)))
            continue
        inside = picture != 0
        beneath = here[inside]
        members = list(known)
        lookup = np.zeros(len(members), np.uint16)
        for old in np.flatnonzero(np.bincount(beneath)):
            lookup[old] = place_of(members[old] | {segment})
        here[inside] = lookup[beneath]
    return ids, list(known)


def _pictures(found: _Object) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Segment, slice and stored values of each frame; for binary ones 0 and 1."""
    pixels = found.frames[0].source.pixels
    if is_own(pixels):
        decoded = pictures(found.header.path, pixels)
    else:
        decoded = (picture for _, picture in decode(found.frames[0].source, found.frames))
    yield from zip(found.numbers, found.slices, decoded, strict=True)


# --- the labels -------------------------------------------------------------------------------------------------------


def _labels(
    found: _Object, combinations: Sequence[frozenset[int]], counts: Sequence[int]
) -> tuple[NDArray[Any], Labels]:
    """The value of each combination, and what the values mean."""
    occurring = [one for one, count in zip(combinations, counts, strict=True) if one and count]
    names = {number: label.name for number, label in found.segments.items()}
    restored = _restored(found.own, [frozenset(names[n] for n in one) for one in occurring])
    if restored is not None and found.own is not None:
        values, labels = dict(zip(occurring, restored, strict=True)), found.own
    else:
        values, labels = _named(found, occurring)
    wide = max(values.values(), default=0) > np.iinfo(np.uint8).max
    lookup: NDArray[Any] = np.zeros(len(combinations), np.uint16 if wide else np.uint8)
    for place, one in enumerate(combinations):
        lookup[place] = values.get(one, 0)
    return lookup, labels


def _restored(own: Labels | None, found: Sequence[frozenset[str]]) -> list[int] | None:
    """The values that were written, when what is found are those labels and no others."""
    if own is None:
        return None
    # A label was written as its segment, or as the segments of the regions that it is in.
    plain = {frozenset((label.name[:64],)): label.value for label in own.labels}
    inside: dict[frozenset[str], int] = {}
    for label in own.labels:
        regions = frozenset(region.name[:64] for region in own.regions if label.value in region.values)
        inside.setdefault(regions or frozenset((label.name[:64],)), label.value)
    for table in (plain, inside):
        if len(table) == len(own.labels) and all(one in table for one in found):
            return [table[one] for one in found]
    return None


def _named(found: _Object, occurring: Sequence[frozenset[int]]) -> tuple[dict[frozenset[int], int], Labels]:
    """Values and names where segments overlap, or where another program wrote them."""
    before = {} if found.own is None else {label.name[:64]: label.value for label in found.own.labels}
    numbers = list(found.segments)
    drawn = list(found.segments.values())
    told = [before.get(label.name, number) for number, label in found.segments.items()]
    if len(set(told)) == len(told):  # somebody may have added a segment of a number that is one of our values
        drawn = [replace(label, value=value) for label, value in zip(drawn, told, strict=True)]
    labels, values = name_parts(drawn, [frozenset(numbers.index(n) for n in one) for one in occurring])
    if max(labels.values) > _LARGEST_VALUE:
        raise DataError(f"its segments overlap in more than {_LARGEST_VALUE:,} ways: read some of them at a time")
    return dict(zip(occurring, values, strict=True)), labels
