"""Single frames as bytes, as they are stored or uncompressed: what DICOMweb gives out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRBigEndian

from vesalius.errors import FormatError
from vesalius.io.dicom.describe import source_of
from vesalius.io.dicom.frame import PixelFormat, Source
from vesalius.io.dicom.header import NATIVE, damage_is_a_format_error, open_dicom, read_header
from vesalius.io.dicom.pixels import LARGEST_DECODED, check_fragments, decode_plain, enter_value
from vesalius.io.dicom.quiet import quiet

_FRACTIONS = ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420")  # decoders give RGB for them


@dataclass(frozen=True)
class Picture:
    """An object that holds frames.

    Args:
        source: What is known of its file.
        little: Whether it is stored in little-endian words, as all compressed ones are.
    """

    source: Source
    little: bool

    @property
    def pixels(self) -> PixelFormat:
        """How its pixels are stored."""
        return self.source.pixels

    @property
    def is_native(self) -> bool:
        """Whether it is not compressed."""
        return self.pixels.syntax in NATIVE

    @property
    def frame_bytes(self) -> int:
        """Of a frame once it is uncompressed."""
        return -(-self.pixels.frame_bits // 8)

    @property
    def decodes(self) -> bool:
        """Whether uncompressed frames are what the header says of them: not where the decoder changes colours."""
        return self.is_native or self.pixels.photometric not in _FRACTIONS


def open_picture(path: Path) -> Picture:
    """Read what a file says of its frames.

    Args:
        path: A DICOM file.

    Raises:
        FormatError: It holds none, or a header that cannot be right.
    """
    with quiet:
        header = read_header(path)
        if header is None or header.pixels_at is None:
            raise FormatError("the object holds no pixels")
        with damage_is_a_format_error(path):
            source = source_of(header)
    if source.refusal and "cut off" in source.refusal:
        raise FormatError(f"{path.name}: {source.refusal}")
    return Picture(source, header.syntax != ExplicitVRBigEndian)


def frames_as_kept(picture: Picture, indices: Sequence[int]) -> Iterator[bytes]:
    """Frames as they are stored: compressed ones as their codestreams, others as `frames_uncompressed`.

    Args:
        picture: From `open_picture`.
        indices: From 0, in any order, also several times.

    Raises:
        FormatError: The pixels are damaged, or fewer than the header declares.
    """
    if picture.is_native:
        yield from frames_uncompressed(picture, indices)
        return
    source = picture.source
    order = sorted(set(indices))
    held: dict[int, bytes] = {}
    rising = list(indices) == order
    with quiet, damage_is_a_format_error(source.path), open_dicom(source.path) as opened:
        assert opened is not None  # it was when its header was read
        stream = opened[0]
        enter_value(stream, source.pixels)
        check_fragments(stream, source.path.name)
        found = 0
        for index, frame in enumerate(generate_frames(stream, number_of_frames=source.pixels.frames)):
            if found == len(order):
                break
            if index != order[found]:
                continue
            found += 1
            if rising:
                yield frame
            else:
                held[index] = frame
    if found < len(order):
        raise FormatError(f"{source.path.name}: holds fewer frames than it declares: the file is cut off")
    if not rising:
        yield from (held[index] for index in indices)


def frames_uncompressed(picture: Picture, indices: Sequence[int]) -> Iterator[bytes]:
    """Frames as explicit little endian has them, each beginning at a byte of its own.

    Args:
        picture: From `open_picture`; of those that `decodes`.
        indices: From 0, in any order, also several times.

    Raises:
        FormatError: The pixels are damaged, or fewer than the header declares; or would be too large.
        MissingDependencyError: Their decoder is not installed.

    Source: PS3.5 8.1.1 and 8.2 (order of bits and bytes); PS3.18 8.7.3.4 (uncompressed bulk data).
    """
    if picture.frame_bytes * len(indices) > LARGEST_DECODED:
        raise FormatError(f"these frames would be more than {LARGEST_DECODED >> 30} GiB: ask for fewer")
    if picture.is_native:
        yield from (_native(picture, index) for index in indices)
        return
    rising = all(one < other for one, other in itertools.pairwise(indices))
    with quiet:
        # Fragments can only be walked from the first on.
        for array in decode_plain(picture.source, indices) if rising else _one_by_one(picture.source, indices):
            turned = np.moveaxis(array, -1, 0) if array.ndim == 3 and picture.pixels.planar else array
            yield np.ascontiguousarray(turned).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _native(picture: Picture, index: int) -> bytes:
    """The bits of a frame, cut out of the file."""
    source, bits = picture.source, picture.pixels.frame_bits
    start, end = index * bits, (index + 1) * bits
    with damage_is_a_format_error(source.path), open_dicom(source.path) as opened:
        assert opened is not None
        stream = opened[0]
        enter_value(stream, picture.pixels)
        stream.seek(start // 8, 1)
        wanted = -(-end // 8) - start // 8
        data = stream.read(wanted)
    if len(data) < wanted:
        raise FormatError(f"{source.path.name}: holds fewer pixels than it declares: the file is cut off")
    if start % 8 or end % 8:  # bits of neighbours in the first and last byte
        found = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[start % 8 :][:bits]
        return np.packbits(found, bitorder="little").tobytes()
    if not picture.little:
        return np.frombuffer(data, f">u{max(picture.pixels.allocated // 8, 2)}").byteswap().tobytes()
    return data


def _one_by_one(source: Source, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    for index in indices:
        yield from decode_plain(source, [index])
