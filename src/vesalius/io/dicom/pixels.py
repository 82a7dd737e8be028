"""Decode frames to their stored values.

Decoders run one after another: those of pydicom's plugins hold the interpreter lock, so that threads gained nothing
(2 cores, 256 x 256 frames: JPEG 2000 9.5 ms alone, 9.2 ms in two threads; JPEG-LS 2.0 and 1.8; JPEG 2.4 and 2.2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from vesalius.errors import FormatError, MissingDependencyError
from vesalius.io.dicom.apart import DecoderError, decode_apart
from vesalius.io.dicom.codestream import declared_size, is_complete
from vesalius.io.dicom.frame import Frame, PixelFormat, Source
from vesalius.io.dicom.header import NATIVE, damage_is_a_format_error, open_dicom
from vesalius.io.dicom.palette import apply_palette

LARGEST_DECODED = 16 << 30
"""Bytes that compressed pixels may decode to, in one file. Native pixels need no limit: they are all in the file."""

LARGEST_FRAME = 1 << 30
"""Bytes that one compressed frame may decode to: 20,000 x 20,000 pixels of 16 bits, and more."""

_UNDEFINED = 0xFFFFFFFF
_ITEM, _END = 0xFFFEE000, 0xFFFEE0DD
_DECODERS: dict[UID, tuple[str, str]] = {  # syntax: (pydicom's name of the plugin, the package that brings it)
    RLELossless: ("pydicom", "pydicom"),
    JPEGBaseline8Bit: ("pillow", "pillow"),
    JPEGExtended12Bit: ("pillow", "pillow"),
    JPEGLossless: ("gdcm", "python-gdcm"),
    JPEGLosslessSV1: ("gdcm", "python-gdcm"),
    JPEGLSLossless: ("pyjpegls", "pyjpegls"),
    JPEGLSNearLossless: ("pyjpegls", "pyjpegls"),
    JPEG2000Lossless: ("pylibjpeg", "pylibjpeg pylibjpeg-openjpeg"),
    JPEG2000: ("pylibjpeg", "pylibjpeg pylibjpeg-openjpeg"),
    HTJ2KLossless: ("pylibjpeg", "pylibjpeg pylibjpeg-openjpeg"),
    HTJ2KLosslessRPCL: ("pylibjpeg", "pylibjpeg pylibjpeg-openjpeg"),
    HTJ2K: ("pylibjpeg", "pylibjpeg pylibjpeg-openjpeg"),
}
_DEADLY = frozenset({"gdcm"})
"""Plugins whose code can end the process, as fuzzing showed (docs/development/security.md)."""


def decode(source: Source, frames: Sequence[Frame]) -> Iterator[tuple[Frame, NDArray[Any]]]:
    """Decode frames of one file.

    Args:
        source: The file.
        frames: Those wanted, in any order.

    Yields:
        Each frame in the order of storage, with its pixels: ``(rows, columns)`` stored values, bits beside the stored
        ones (old overlays) removed, or ``(rows, columns, 3)`` RGB. The array is only valid until the next is drawn.

    Raises:
        FormatError: The pixels are cut off, or are not what the header declares, or no decoder can read them.
        MissingDependencyError: The decoder is not installed.
    """
    wanted = sorted(frames, key=lambda frame: frame.index)
    with damage_is_a_format_error(source.path), open_dicom(source.path) as opened:
        assert opened is not None  # it was when its header was read
        arrays = _arrays(source, opened[0], [frame.index for frame in wanted])
        for frame, array in zip(wanted, arrays, strict=True):
            yield frame, _coloured(source, array)


def decode_plain(source: Source, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Decode frames without looking up the colours of a palette; otherwise as `decode`.

    Args:
        source: The file.
        indices: Of the frames, from 0 and rising.
    """
    with damage_is_a_format_error(source.path), open_dicom(source.path) as opened:
        assert opened is not None
        yield from _arrays(source, opened[0], list(indices))


def _arrays(source: Source, stream: BinaryIO, indices: list[int]) -> Iterator[NDArray[Any]]:
    length = enter_value(stream, source.pixels)
    read = _native if source.pixels.syntax in NATIVE else _compressed
    return read(source, stream, length, indices)


def enter_value(stream: BinaryIO, pixels: PixelFormat) -> int:
    """Move to the value of the pixel data element; return its length."""
    assert pixels.at is not None  # a file without pixels is refused before
    stream.seek(pixels.at)
    order = ">" if pixels.syntax == ExplicitVRBigEndian else "<"
    start = stream.read(8)
    # The VR itself tells explicit from implicit, whatever the transfer syntax claims.
    if start[4:6] in (b"OB", b"OW", b"UN", b"OF", b"OD"):
        return int(struct.unpack(f"{order}L", stream.read(4))[0])
    return int(struct.unpack(f"{order}4xL", start)[0])


def _native(source: Source, stream: BinaryIO, length: int, indices: list[int]) -> Iterator[NDArray[Any]]:
    pixels, start = source.pixels, stream.tell()
    needed = -(-pixels.frame_bits * pixels.frames // 8)
    there = stream.seek(0, 2) - start
    if length == _UNDEFINED:
        raise FormatError(f"{source.path.name}: uncompressed by its transfer syntax, but its pixels are in fragments")
    if min(length, there) < needed:
        raise FormatError(
            f"{source.path.name}: the header declares {pixels.frames} x {pixels.rows} x {pixels.columns} pixels, "
            f"at least {needed} bytes, but {min(length, there)} are there: the file is cut off or its header is wrong"
        )
    size = pixels.frame_bits // 8
    for index in indices:
        if pixels.samples == 1 and pixels.allocated in (8, 16, 32, 64) and not _swapped(pixels):
            stream.seek(start + index * size)
            order = ">" if pixels.syntax == ExplicitVRBigEndian else "<"
            flat = np.frombuffer(stream.read(size), f"{order}u{pixels.allocated // 8}")
            yield _significant(flat.reshape(pixels.rows, pixels.columns), pixels)
        else:
            stream.seek(start)
            array, _ = get_decoder(pixels.syntax).as_array(stream, index=index, **_options(pixels))
            yield array if pixels.samples == 3 else _significant(array, pixels)


def _swapped(pixels: PixelFormat) -> bool:
    # Bytes in big-endian words change places in pairs; pydicom knows that case.
    return pixels.allocated == 8 and pixels.syntax == ExplicitVRBigEndian


def _compressed(source: Source, stream: BinaryIO, length: int, indices: list[int]) -> Iterator[NDArray[Any]]:
    pixels, name = source.pixels, source.path.name
    plugin = _plugin(pixels, name)
    decoded = pixels.frame_bits * pixels.frames // 8
    if decoded > LARGEST_DECODED:
        raise FormatError(
            f"{name}: would decode to {decoded / 2**30:.0f} GiB; the limit for a compressed file is "
            f"{LARGEST_DECODED >> 30} GiB: uncompress it with a tool that you trust, or split it"
        )
    if pixels.frame_bits // 8 > LARGEST_FRAME:
        raise FormatError(
            f"{name}: a frame would decode to {pixels.frame_bits / 2**33:.1f} GiB; the limit is "
            f"{LARGEST_FRAME >> 30} GiB: its header is wrong, or uncompress it with a tool that you trust"
        )
    if length != _UNDEFINED:
        raise FormatError(f"{name}: compressed by its transfer syntax, but its pixels are not in fragments")
    check_fragments(stream, name)
    decoder = get_decoder(pixels.syntax)
    wanted, found = set(indices), 0
    for index, frame in enumerate(generate_frames(stream, number_of_frames=pixels.frames)):
        if index not in wanted:
            continue
        _check_frame(frame, pixels, f"{name} (frame {index + 1})" if pixels.frames > 1 else name)
        options = _options(pixels) | {"number_of_frames": 1}
        if plugin in _DEADLY:
            try:
                array = decode_apart(str(pixels.syntax), plugin, frame, options)
            except DecoderError as error:
                raise FormatError(f"{name}: a compressed frame is damaged: {error}") from None
        else:
            array, _ = decoder.as_array(encapsulate([frame]), index=0, decoding_plugin=plugin, **options)
        found += 1
        yield _significant(array, pixels) if pixels.syntax == RLELossless and pixels.samples == 1 else array
        if found == len(wanted):
            return
    raise FormatError(f"{name}: declares {pixels.frames} frames, but holds fewer: the file is cut off")


def _plugin(pixels: PixelFormat, name: str) -> str:
    if pixels.syntax not in _DECODERS:
        kind = pixels.syntax.name if pixels.syntax.name != str(pixels.syntax) else "a private encoding"
        raise FormatError(
            f"{name}: no decoder for {kind}; Vesalius reads uncompressed, deflated, RLE, JPEG, JPEG-LS, JPEG 2000 "
            "and HTJ2K: transcode it first, for example with gdcmconv --raw"
        )
    plugin, package = _DECODERS[pixels.syntax]
    if plugin not in get_decoder(pixels.syntax).available_plugins:
        raise MissingDependencyError(f"{name}: {pixels.syntax.name} needs a decoder: pip install {package}")
    if pixels.syntax == JPEGExtended12Bit and pixels.stored != 8:
        raise FormatError(f"{name}: lossy JPEG of 12 bits has no decoder here; transcode it first, with dcmdjpeg")
    return plugin


def check_fragments(stream: BinaryIO, name: str) -> None:
    """Walk over the fragments without reading them: they must all be there."""
    start = stream.tell()
    while len(head := stream.read(8)) == 8:
        group, element, length = struct.unpack("<HHL", head)
        tag = group << 16 | element
        if tag == _END:
            stream.seek(start)
            return
        if tag != _ITEM:
            raise FormatError(f"{name}: the fragments of its compressed pixels are damaged")
        stream.seek(length, 1)
    raise FormatError(f"{name}: its compressed pixels do not end with a delimiter: the file is cut off")


def _check_frame(frame: bytes, pixels: PixelFormat, name: str) -> None:
    if pixels.syntax == RLELossless:
        _check_runs(len(frame), pixels.frame_bits // 8, name)
        return
    size = declared_size(frame)
    if size is None:
        raise FormatError(f"{name}: a compressed frame is damaged: it does not start like a JPEG or JPEG 2000 stream")
    expected = (pixels.rows, pixels.columns, pixels.samples)
    if size != expected:
        raise FormatError(
            f"{name}: the compressed frame is {size[0]} x {size[1]} x {size[2]}, the header declares "
            f"{expected[0]} x {expected[1]} x {expected[2]}: one of them is wrong"
        )
    if not is_complete(frame):
        raise FormatError(f"{name}: a compressed frame ends before its end marker: the file is cut off")


def _check_runs(held: int, decoded: int, name: str) -> None:
    """Hold the size of a run-length coded frame against what it must decode to: the decoder would not stop there.

    Source: DICOM PS3.5 G.3: a run of 2 bytes stands for 128 at most. Literal runs make at worst 2 bytes of 1.
    """
    if not decoded <= 64 * held <= 64 * (2 * decoded + 4096):
        raise FormatError(
            f"{name}: a run-length coded frame of {held} bytes cannot hold the {decoded} that the header declares: "
            "one of them is wrong"
        )


def _options(pixels: PixelFormat) -> dict[str, Any]:
    return {
        "rows": pixels.rows,
        "columns": pixels.columns,
        "number_of_frames": pixels.frames,
        "samples_per_pixel": pixels.samples,
        "bits_allocated": pixels.allocated,
        "bits_stored": pixels.stored,
        "pixel_representation": int(pixels.signed),
        "photometric_interpretation": pixels.photometric,
        "planar_configuration": int(pixels.planar),
        "pixel_keyword": "PixelData",
        "pixel_vr": "OW" if pixels.allocated > 8 else "OB",
    }


def _significant(array: NDArray[Any], pixels: PixelFormat) -> NDArray[Any]:
    """Keep the stored bits only, and give them their sign (PS3.5 8.1.1)."""
    size = array.dtype.itemsize
    bits: NDArray[Any] = array.astype(array.dtype.newbyteorder("="), copy=False).view(f"u{size}")
    spare = 8 * size - pixels.stored
    if spare:
        # Up until the highest stored bit is the top, then back: on signed numbers that repeats the sign.
        bits = bits << (8 * size - 1 - pixels.high_bit)
    numbers: NDArray[Any] = bits.view(f"{'i' if pixels.signed else 'u'}{size}")
    return numbers >> spare if spare else numbers


def _coloured(source: Source, array: NDArray[Any]) -> NDArray[Any]:
    pixels = source.pixels
    if pixels.photometric != "PALETTE COLOR":
        return array
    try:
        return apply_palette(array, Dataset() if source.tables is None else source.tables)
    except FormatError as error:
        raise FormatError(f"{source.path.name}: {error}") from None
