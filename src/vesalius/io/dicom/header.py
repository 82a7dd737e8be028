"""Open a DICOM file: is it one, how is it encoded, and what does its header say?"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from vesalius.errors import FormatError, VesaliusError
from vesalius.io.dicom import suv

LARGEST_INFLATED = 1 << 30
"""Bytes that a deflated file may grow to: the syntax is meant for reports and masks; an image needs far less."""

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
"""Transfer syntaxes whose pixels are not compressed."""

_SMALL = 1 << 16  # bytes that are read without asking whether the file holds them

_PIXELS = 0x7FE00008  # (float) pixel data; the offset tables before it are skipped like any other element
_NUMBERS = {0x0008: "float32", 0x0009: "float64", 0x0010: ""}  # element of group 7FE0: type, if not whole numbers
TABLES = (
    "ModalityLUTSequence",
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
    *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
)
"""Elements of palettes and of non-linear rescaling."""

_KEYWORDS = [
    *("ImageType", "SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "SeriesDescription", "SeriesInstanceUID"),
    *("SeriesNumber", "InstanceNumber", "AcquisitionNumber", "SliceThickness", "SpacingBetweenSlices", "EchoTime"),
    *("TriggerTime", "TemporalPositionIdentifier", "DiffusionBValue", "DiffusionGradientOrientation"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing"),
    *("NominalScannedPixelSpacing", "SequenceOfUltrasoundRegions", "SamplesPerPixel", "PhotometricInterpretation"),
    *("PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType", "Units"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DetectorInformationSequence"),
    *("SliceVector", "FrameIncrementPointer", "FrameTime", "FrameTimeVector", "CineRate"),
    *("RecommendedDisplayFrameRate", *TABLES, *suv.KEYWORDS),
]
_TAGS: list[int] = [*(tag for tag in map(tag_for_keyword, _KEYWORDS) if tag is not None), *suv.PRIVATE_TAGS]


@dataclass(frozen=True)
class Header:
    """The elements of a file that the reader needs, and where its pixels start.

    Args:
        path: The file.
        elements: Those elements before the pixel data that have to do with the image; of the patient nothing but
            the weight, by which a PET is scaled, and the identifier, so that patients are not mixed; all elements,
            where they were asked for. Never shown.
        syntax: How the file is encoded.
        pixels_at: Byte at which the pixel data element starts (in the inflated stream of a deflated file); ``None``
            when there is none.
        pixel_bytes: Bytes from there to the end.
        floating: ``"float32"`` or ``"float64"`` when the pixels are such numbers, as in parametric maps.
    """

    path: Path
    elements: Dataset = field(repr=False)
    syntax: UID
    pixels_at: int | None
    pixel_bytes: int
    floating: str = ""


@contextmanager
def damage_is_a_format_error(path: Path) -> Iterator[None]:
    """Turn whatever a parser throws at a damaged file into a `FormatError` that tells nothing of the contents.

    pydicom raises a dozen kinds of errors on hostile input, and their texts can hold raw values.
    """
    try:
        yield
    except VesaliusError:
        raise
    except RecursionError:
        raise FormatError(f"{path.name}: sequences are nested too deeply for a real DICOM header") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise FormatError(f"{path.name}: cannot be read ({error.strerror})") from None
        raise FormatError(
            f"{path.name}: a damaged DICOM file: an element cannot be understood; export or transfer it anew"
        ) from None


class _Bounded(io.BufferedReader):
    """A file that takes no memory for what cannot be there: lengths in a header are claims, of up to 4 GiB."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _SMALL:
            size = min(size, max(0, self._size - self.tell()))
        return super().read(size)


@contextmanager
def open_dicom(path: Path) -> Iterator[tuple[BinaryIO, UID, UID | None] | None]:
    """Open a file at the start of its data set.

    Args:
        path: Any file.

    Yields:
        Stream, transfer syntax, and storage class as the file meta group names it; ``None`` when the file is plainly
        not DICOM: neither the magic ``DICM`` nor a beginning that could be a data set without one.

    Raises:
        FormatError: A deflated file is damaged or grows beyond `LARGEST_INFLATED` bytes.
    """
    if path.exists() and not path.is_file():  # to open a named pipe would wait for ever
        yield None
        return
    with _Bounded(path) as file:
        head = file.read(132)
        magic = head[128:] == b"DICM"
        # Without the preamble, a file starts with group 2, or with group 8 of the data set (either byte order).
        if not magic and head[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
            yield None
            return
        file.seek(132 if magic else 0)
        meta = _read_meta(file)
        storage = meta.get(0x0002)
        syntax = meta.get(0x0010) or _guess_syntax(file)
        if syntax == DeflatedExplicitVRLittleEndian:
            inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            data = inflate.decompress(file.read(), LARGEST_INFLATED)
            if inflate.unconsumed_tail:
                raise FormatError(
                    f"{path.name}: inflates to more than {LARGEST_INFLATED >> 20} MiB, which no deflated image needs"
                )
            yield io.BytesIO(data), syntax, storage
        else:
            yield file, syntax, storage


def read_header(path: Path, *, whole: bool = False) -> Header | None:
    """Read the header of a file, without its pixels and without the patient.

    Args:
        path: Any file.
        whole: Read every element before the pixels, of whatever meaning.

    Returns:
        The header; ``None`` when the file is plainly not DICOM, or is a DICOMDIR.

    Raises:
        FormatError: The file is DICOM, but damaged.
    """
    with damage_is_a_format_error(path), open_dicom(path) as opened:
        if opened is None:
            return None
        stream, syntax, storage = opened
        if storage == MediaStorageDirectoryStorage:
            return None
        magic = stream.tell() >= 132 or syntax == DeflatedExplicitVRLittleEndian
        try:
            elements = read_dataset(
                stream,
                is_implicit_VR=syntax == ImplicitVRLittleEndian,
                is_little_endian=syntax != ExplicitVRBigEndian,
                stop_when=_at_pixels,
                specific_tags=None if whole else list(_TAGS),
            )
            if "SOPClassUID" not in elements and storage is not None:
                elements.SOPClassUID = storage
            uid = elements.get("SOPClassUID")
        except Exception:
            if magic:
                raise
            return None  # it only happened to start like a data set
        if not uid:
            if magic:
                raise FormatError(f"{path.name}: a DICOM file without SOP Class UID: its header is cut off or damaged")
            return None
        at = stream.tell()
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        start = stream.read(4)
        group, element = struct.unpack(f"{order}HH", start) if len(start) == 4 else (0, 0)
        has_pixels = group == 0x7FE0 and element in _NUMBERS
        floating = _NUMBERS[element] if has_pixels else ""
        return Header(path, elements, syntax, at if has_pixels else None, stream.seek(0, 2) - at, floating)


def _read_meta(file: BinaryIO) -> dict[int, UID]:
    """The UIDs of the file meta group, which is always explicit little endian; stop where the data set starts."""
    found: dict[int, UID] = {}
    while len(start := file.read(8)) == 8 and start[:2] == b"\x02\x00":
        element, vr, length = struct.unpack("<2xH2sH", start)
        if vr in (b"OB", b"UN", b"OW", b"UT", b"SQ"):
            length = struct.unpack("<L", file.read(4))[0]
        value = file.read(length)
        if vr == b"UI":
            found[element] = UID(value.rstrip(b"\0 ").decode("ascii"))
    file.seek(-len(start), 1)
    return found


def _guess_syntax(file: BinaryIO) -> UID:
    """The encoding of a data set without a meta group, by its first element."""
    start = file.read(6)
    file.seek(-len(start), 1)
    if not (start[4:6].isalpha() and start[4:6].isupper()):
        return ImplicitVRLittleEndian
    return ExplicitVRBigEndian if start[:1] == b"\0" else ExplicitVRLittleEndian


def _at_pixels(tag: int, _vr: str | None, _length: int) -> bool:
    return tag >= _PIXELS
