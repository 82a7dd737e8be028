"""Bytes in and out of files: never more than a header declared, and never memory for what cannot be there.

A header is a claim. Before memory is taken for the voxels that it declares, the claim is held against the size of the
file (or, compressed, against the most that so many bytes can inflate to) and against the memory of the machine.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from isal import isal_zlib  # zlib's interface at two to four times its speed
from isal.igzip_lib import IsalError
from numpy.typing import DTypeLike, NDArray

from vesalius.errors import FormatError

Encoding = Literal["raw", "gzip", "zlib"]

_CHUNK = 1 << 20
_MAP_FROM = 1 << 20  # smaller files are read: a map costs more than it saves, and a process may hold only so many
_MOST_INFLATION = 1032  # deflate's limit: 258 bytes from 2 bits. Source: zlib.net/zlib_tech.html
_WINDOW = {"gzip": 31, "zlib": 15}


def encoding_of(path: Path) -> Encoding:
    """Whether a file is gzip or raw, by its first two bytes: suffixes lie.

    Example:
        >>> encoding_of(Path(__file__))
        'raw'
    """
    with path.open("rb") as file:
        return "gzip" if file.read(2) == b"\x1f\x8b" else "raw"


def read_start(path: Path, count: int, *, encoding: Encoding = "raw") -> bytes:
    """Read the first ``count`` bytes of a file, inflated; fewer when the file ends before.

    Example:
        >>> read_start(Path(__file__), 3)
        b'\"\"\"'
    """
    with path.open("rb") as file:
        return file.read(count) if encoding == "raw" else b"".join(_inflate(file, encoding, count))


def read_array(
    path: Path, dtype: DTypeLike, count: int, *, offset: int = 0, start: int = 0, encoding: Encoding = "raw"
) -> NDArray[Any]:
    """Read ``count`` numbers.

    Large raw files in the machine's byte order are mapped instead of read: nothing is copied, and only the parts that
    are used come from the disk. Such a file must not be shortened while the array lives (`vesalius.io.atomic`
    replaces files and is safe). What follows the last number is not looked at, but the checksum at the end of
    a compressed stream is held against its content.

    Args:
        path: The file.
        dtype: Stored type, with byte order.
        count: How many numbers the header declares.
        offset: Bytes to skip before the first number, counted in the inflated stream.
        start: Bytes of the file before the (compressed) stream begins.
        encoding: How the stream is stored.

    Returns:
        ``(count,)``, byte order native, not writeable where it is mapped.

    Raises:
        FormatError: The file holds fewer numbers than declared, is damaged, or declares more than memory can hold.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "a").write_bytes(b"head" + bytes([0, 1, 0, 2]))
        ...     read_array(Path(folder) / "a", ">i2", 2, offset=4)
        array([1, 2], dtype=int16)
    """
    stored = np.dtype(dtype)
    size = count * stored.itemsize
    held = path.stat().st_size - start
    most = (held if encoding == "raw" else held * _MOST_INFLATION) - offset
    if size > most:
        at_most = "" if encoding == "raw" else "at most "
        raise FormatError(
            f"the header declares {size:,} bytes of voxels, but the file holds {at_most}{max(most, 0):,}; "
            "it is cut off or its header is wrong: fetch it again or write it anew"
        )
    with path.open("rb") as file:
        if encoding == "raw":
            begin = start + offset
            if size >= _MAP_FROM and begin % stored.itemsize == 0 and stored.isnative:
                mapped = mmap.mmap(file.fileno(), begin + size, access=mmap.ACCESS_READ)
                return np.frombuffer(mapped, stored, count, begin)
            file.seek(begin)
            array = _allocate(count, stored)
            got = file.readinto(_bytes_of(array))
        else:
            file.seek(start)
            array = _allocate(count, stored)
            got = _fill(_bytes_of(array), _inflate(file, encoding, offset + size + 1), offset)
    if got < size:
        raise FormatError(
            f"the header declares {size:,} bytes of voxels, but the file ends after {got:,}: it is cut off; "
            "fetch it again or write it anew"
        )
    return native(array)


def beside(header: Path, name: str) -> Path:
    """The file of voxels that a detached header names: in the header's folder or below, nowhere else.

    Raises:
        FormatError: The name leads out of the folder, or there is no such file.

    Example:
        >>> beside(Path("scan.mhd"), "../secret.raw")
        Traceback (most recent call last):
        ...
        vesalius.errors.FormatError: it names a data file outside its own folder; move the file beside the header ...
    """
    named = Path(name)
    if named.is_absolute() or ".." in named.parts:
        raise FormatError("it names a data file outside its own folder; move the file beside the header and name it so")
    if not (header.parent / named).is_file():
        raise FormatError(f"its data file {named.name} is missing; put it beside the header")
    return header.parent / named


def native(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in the machine's byte order; no copy where they are so already.

    Example:
        >>> native(np.array([1, 2], ">i4")).dtype.isnative
        True
    """
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def encode(parts: Iterable[bytes | NDArray[Any]], encoding: Encoding) -> Iterator[bytes | memoryview]:
    r"""Join bytes and C-contiguous arrays to one stream, ready to be written chunk by chunk.

    Example:
        >>> import gzip
        >>> gzip.decompress(b"".join(encode([b"head", np.zeros(2, np.uint8)], "gzip")))
        b'head\x00\x00'
    """
    raw = (_bytes_of(part) if isinstance(part, np.ndarray) else memoryview(part) for part in parts)
    if encoding == "raw":
        yield from raw
        return
    # Level 2 of isal is as small as zlib's level 1, in a quarter of its time (benchmarks/io_speed.py).
    engine = isal_zlib.compressobj(2, isal_zlib.DEFLATED, _WINDOW[encoding])
    for part in raw:
        for at in range(0, len(part), _CHUNK):
            yield engine.compress(part[at : at + _CHUNK])
    yield engine.flush()


def refuse_unholdable(size: int) -> None:
    """Refuse to make an array that is larger than the machine's memory.

    Raises:
        FormatError: ``size`` bytes exceed the physical memory.

    Example:
        >>> refuse_unholdable(1 << 20)
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise FormatError(
            f"the header declares {size / 2**30:,.1f} GiB of voxels, more than this machine's memory "
            f"({memory / 2**30:,.1f} GiB); if that is true, use a larger machine or crop the image first"
        )


def _allocate(count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    refuse_unholdable(count * dtype.itemsize)
    return np.empty(count, dtype)


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _fill(out: memoryview, chunks: Iterator[bytes], skip: int) -> int:
    at = -skip
    for chunk in chunks:
        data = chunk[-at:] if at < 0 else chunk
        begin = max(at, 0)
        at += len(chunk)
        kept = min(len(data), len(out) - begin)
        if kept > 0:
            out[begin : begin + kept] = data[:kept]
    return min(max(at, 0), len(out))


def _inflate(file: BinaryIO, encoding: Encoding, limit: int) -> Iterator[bytes]:
    engine = isal_zlib.decompressobj(_WINDOW[encoding])
    waiting = b""
    while limit > 0:
        waiting = waiting or file.read(_CHUNK)
        if engine.eof:
            # A gzip file may have several members (bgzip writes many), padded with zeros at the end.
            waiting = waiting.lstrip(b"\0")
            waiting += file.read(_CHUNK) if len(waiting) == 1 else b""
            if encoding != "gzip" or not waiting.startswith(b"\x1f\x8b"):
                return
            engine = isal_zlib.decompressobj(_WINDOW[encoding])
        at_end = not waiting
        try:
            data = engine.decompress(waiting, min(limit, _CHUNK))
        except IsalError as error:  # type: ignore[misc]  # the stub calls the class an instance
            raise FormatError(f"the {encoding} stream is damaged ({error}): fetch the file again") from None
        waiting = engine.unused_data if engine.eof else engine.unconsumed_tail
        if at_end and not data:
            return
        limit -= len(data)
        if data:
            yield data
