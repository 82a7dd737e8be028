"""Frames of segmentations: single bits, and frames that are deflated one by one, which no plugin of pydicom decodes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.uid import UID, ExplicitVRBigEndian, RLELossless

from vesalius.errors import FormatError
from vesalius.io.dicom.frame import PixelFormat
from vesalius.io.dicom.header import NATIVE, open_dicom
from vesalius.io.dicom.pixels import check_fragments, enter_value

DEFLATED_FRAMES = UID("1.2.840.10008.1.2.8.1")
"""Deflated Image Frame Compression, of 2024."""

_RLE_HEADER = 64  # bytes


def is_own(pixels: PixelFormat) -> bool:
    """Whether frames are decoded here rather than by `vesalius.io.dicom.pixels.decode`."""
    if pixels.allocated == 1:
        return pixels.syntax in (*NATIVE, RLELossless, DEFLATED_FRAMES) and pixels.syntax != ExplicitVRBigEndian
    return pixels.syntax == DEFLATED_FRAMES and pixels.allocated in (8, 16)


def pictures(path: Path, pixels: PixelFormat) -> Iterator[NDArray[Any]]:
    """Decode the frames of a file, in the order of storage.

    Native frames of single bits follow one another without a gap: a frame need not begin with a byte. Compressed ones
    begin anew.

    Args:
        path: The file.
        pixels: How they are stored; `is_own` says yes.

    Yields:
        ``(rows, columns)``: bits as 0 and 1, uint8; others as they are stored.

    Raises:
        FormatError: The pixels are cut off or damaged.

    Source: DICOM PS3.5 8.1.1 and 8.2 (single bits, the first in the lowest), G.3 (RLE), A.4.13 (deflated frames).
    """
    size = pixels.rows * pixels.columns
    with open_dicom(path) as opened:
        assert opened is not None  # it was when its header was read
        stream = opened[0]
        length = enter_value(stream, pixels)
        if pixels.syntax in NATIVE:
            start, there = stream.tell(), stream.seek(0, 2)
            if min(length, there - start) < -(-size * pixels.frames // 8):
                raise FormatError(f"{path.name}: its pixels are cut off")
            for number in range(pixels.frames):
                first = number * size
                stream.seek(start + first // 8)
                yield _bits(stream.read(-(-(first % 8 + size) // 8)), pixels, first % 8)
            return
        check_fragments(stream, path.name)
        count = 0
        for frame in generate_frames(stream, number_of_frames=pixels.frames):
            count += 1
            yield _compressed(frame, pixels, path.name)
        if count < pixels.frames:
            raise FormatError(f"{path.name}: declares {pixels.frames} frames, but holds fewer: the file is cut off")


def _compressed(frame: bytes, pixels: PixelFormat, name: str) -> NDArray[Any]:
    needed = -(-pixels.rows * pixels.columns * pixels.allocated // 8)
    if pixels.syntax == RLELossless:
        data = _from_rle(frame, needed)
    else:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame, needed + 1)
        except zlib.error:
            data = b""
    if len(data) < needed:
        raise FormatError(f"{name}: a compressed frame is damaged")
    if pixels.allocated == 1:
        return _bits(data, pixels, 0)
    flat = np.frombuffer(data, f"<u{pixels.allocated // 8}", pixels.rows * pixels.columns)
    return flat.reshape(pixels.rows, pixels.columns)


def _bits(data: bytes, pixels: PixelFormat, skipped: int) -> NDArray[np.uint8]:
    size = pixels.rows * pixels.columns
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little", count=skipped + size)[skipped:]
    return bits.reshape(pixels.rows, pixels.columns)


def _from_rle(frame: bytes, needed: int) -> bytes:
    """Undo run lengths; nothing when there are several segments, which bits have no use for."""
    if len(frame) < _RLE_HEADER or struct.unpack_from("<L", frame)[0] != 1:
        return b""
    made, at = bytearray(), struct.unpack_from("<L", frame, 4)[0]
    while at < len(frame) and len(made) < needed:
        run = frame[at]
        if run < 128:
            made += frame[at + 1 : at + 2 + run]
            at += 2 + run
        elif run > 128:
            made += frame[at + 1 : at + 2] * (257 - run)
            at += 2
        else:
            at += 1
    return bytes(made)
