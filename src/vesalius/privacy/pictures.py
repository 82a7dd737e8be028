"""PNG and JPEG without their metadata: EXIF, comments, thumbnails and whatever else stands beside the pixels.

The compressed pixels of a JPEG are copied as they are, so that nothing is lost by cleaning it; those of a PNG are
packed anew, since its stream may hold more than the picture.

Source: PNG Specification (Third Edition, W3C 2025); ITU-T T.81 (JPEG), annex B; ITU-T T.871 (JFIF).
"""

from __future__ import annotations

import io
import re
import struct
import zlib

from PIL import Image, JpegImagePlugin, PngImagePlugin

from vesalius.errors import FormatError

_PNG_MARK = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = {b"PLTE": range(3, 769), b"tRNS": range(1, 257), b"gAMA": (4,), b"cHRM": (32,), b"sRGB": (1,),
             b"sBIT": range(1, 5), b"bKGD": range(1, 7), b"pHYs": (9,)}  # fmt: skip
"""Chunks beside the pixels that change how they look or how large they are, and the lengths that they may have."""
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # a pixel, by colour type
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_JPEG_KEPT = {*range(0xC0, 0xE0)} - {0xC8, 0xD8, 0xD9, *range(0xD0, 0xD8)}
"""Frames, tables, restart intervals and scans; JPEG's reserved markers and the application's own are not among them."""
_MARKER = re.compile(rb"\xff(?![\x00\xff\xd0-\xd7])")
_ORIENTATION = 0x0112  # of EXIF


def strip_png(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    r"""A PNG with nothing but its pixels and what their look and size need.

    Text, time, EXIF, colour profiles, frames of an animation, private chunks and bytes behind the end are dropped; the
    orientation of EXIF stays, since the picture would lie otherwise.

    Args:
        data: The file.

    Returns:
        The cleaned file, and what was removed; an empty tuple when there was nothing.

    Raises:
        FormatError: It is not a PNG, is cut off, or its pixels are fewer than declared.

    Example:
        >>> from PIL import Image
        >>> held, told = io.BytesIO(), PngImagePlugin.PngInfo()
        >>> told.add_text("Comment", "Jane Doe")
        >>> Image.new("L", (4, 4)).save(held, "PNG", pnginfo=told)
        >>> cleaned, removed = strip_png(held.getvalue())
        >>> b"Jane" in cleaned, removed
        (False, ('removed text of the PNG',))
    """
    if not data.startswith(_PNG_MARK):
        raise FormatError("not a PNG picture")
    header, kept, packed, removed = b"", [], [], set()
    at = len(_PNG_MARK)
    while True:
        if at + 12 > len(data):
            raise FormatError("the PNG is cut off: fetch it again")
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IEND":
            break
        if kind == b"IHDR" and length == 13:
            header = body
        elif kind == b"IDAT":
            packed.append(body)
        elif length in _PNG_KEPT.get(kind, ()):
            kept.append(_chunk(kind, body))
        else:
            removed.add(_png_kind(kind))
    if at < len(data):
        removed.add("bytes behind the end")
    if not header or not packed:
        raise FormatError("the PNG has no pixels")
    pixels, more = _inflated(b"".join(packed), _png_bytes(header))
    if more:
        removed.add("bytes behind the pixels")
    orientation = orientation_of(PngImagePlugin.PngImageFile(io.BytesIO(data)))
    if orientation:
        kept.append(_chunk(b"eXIf", orientation))
        removed -= {"EXIF"} if _chunk(b"eXIf", orientation) in data else set()
    chunks = [_chunk(b"IHDR", header), *kept, _chunk(b"IDAT", zlib.compress(pixels, 6)), _chunk(b"IEND", b"")]
    return _PNG_MARK + b"".join(chunks), _sentences(removed, "PNG")


def strip_jpeg(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    r"""A JPEG with nothing but its pixels and the tables that they need; not a bit of the pixels changes.

    EXIF, XMP, comments, thumbnails, colour profiles, further pictures and bytes behind the end are dropped; the
    orientation of EXIF and the mark of Adobe's colours stay, since the picture would look otherwise.

    Args:
        data: The file.

    Returns:
        The cleaned file, and what was removed; an empty tuple when there was nothing.

    Raises:
        FormatError: It is not a JPEG, or is cut off.

    Example:
        >>> from PIL import Image
        >>> held = io.BytesIO()
        >>> Image.new("L", (8, 8)).save(held, "JPEG", comment="Jane Doe")
        >>> cleaned, removed = strip_jpeg(held.getvalue())
        >>> b"Jane" in cleaned, removed
        (False, ('removed a comment of the JPEG',))
    """
    if not data.startswith(b"\xff\xd8"):
        raise FormatError("not a JPEG picture")
    tables, removed = [], set()
    at = 2
    while True:
        found = _MARKER.search(data, at)
        if found is None or found.start() + 2 > len(data):
            raise FormatError("the JPEG is cut off: fetch it again")
        if data[at : found.start()].strip(b"\xff"):
            removed.add("bytes between its segments")
        marker = data[found.start() + 1]
        at = found.start() + 2
        if marker == 0xD9:
            break
        if marker == 0x01:  # a mark without contents
            continue
        if at + 2 > len(data):
            raise FormatError("the JPEG is cut off: fetch it again")
        (length,) = struct.unpack(">H", data[at : at + 2])
        body = data[at + 2 : at + length]
        at += max(length, 2)
        if marker == 0xDA:
            following = _MARKER.search(data, at)
            end = len(data) if following is None else following.start()
            tables.append(_segment(marker, body) + data[at:end])
            at = end
        elif marker in _JPEG_KEPT:
            tables.append(_segment(marker, body))
        elif marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14:
            tables.append(_segment(marker, body[:12] + b"\0\0"))  # its thumbnail is 0 x 0
            removed |= {"a thumbnail"} if len(body) > 14 else set()
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            tables.append(_segment(marker, body[:12]))
            removed |= {"bytes behind Adobe's mark"} if len(body) > 12 else set()
        else:
            removed.add(_jpeg_kind(marker, body))
    if at < len(data):
        removed.add("bytes behind the end")
    orientation = orientation_of(JpegImagePlugin.JpegImageFile(io.BytesIO(data)))
    exif = [_segment(0xE1, b"Exif\0\0" + orientation)] if orientation else []
    if exif and exif[0] in data:
        removed -= {"EXIF"}
    return b"".join([b"\xff\xd8", *exif, *tables, b"\xff\xd9"]), _sentences(removed, "JPEG")


def graft_png(clean: bytes, drawn: bytes) -> bytes:
    """A PNG with the pixels of one file and all else of another, which `strip_png` has cleaned.

    Args:
        clean: Whose palette, transparency, colours, size in mm and orientation stay.
        drawn: Whose pixels are taken; it must be of the same kind.
    """
    kept = [chunk for kind, chunk in _chunks(clean) if kind not in (b"IHDR", b"IDAT", b"IEND")]
    new = _chunks(drawn)
    head = [chunk for kind, chunk in new if kind == b"IHDR"]
    pixels = [chunk for kind, chunk in new if kind == b"IDAT"]
    return b"".join([_PNG_MARK, *head, *kept, *pixels, _chunk(b"IEND", b"")])


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(_PNG_MARK)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at : at + 12 + length]))
        at += 12 + length
    return found


def _png_bytes(header: bytes) -> int:
    width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * _PNG_SAMPLES.get(colours, 4)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sizes if columns > 0 and rows > 0)


def _inflated(packed: bytes, size: int) -> tuple[bytes, bool]:
    """The pixels of a PNG, and whether its stream held more."""
    stream = zlib.decompressobj()
    try:
        pixels = stream.decompress(packed, size)
        more = bool(stream.decompress(stream.unconsumed_tail, 1)) or bool(stream.unused_data)
    except zlib.error:
        raise FormatError("the PNG is damaged: fetch it again") from None
    if len(pixels) < size:
        raise FormatError("the PNG is cut off: fetch it again")
    return pixels, more


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def orientation_of(picture: Image.Image) -> bytes:
    """EXIF that says how the picture lies and nothing else; empty where it lies as stored."""
    try:
        told = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow raises a dozen types on damaged EXIF, which then says nothing
        return b""
    if told not in range(2, 9):
        return b""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, _ORIENTATION, 3, 1, told, 0, 0)


def _png_kind(kind: bytes) -> str:
    known = {b"tEXt": "text", b"zTXt": "text", b"iTXt": "text", b"eXIf": "EXIF", b"tIME": "the time",
             b"iCCP": "a colour profile", b"acTL": "further frames", b"fcTL": "further frames",
             b"fdAT": "further frames"}  # fmt: skip
    return known.get(kind, "chunks that the picture does not need")


def _jpeg_kind(marker: int, body: bytes) -> str:
    if marker == 0xFE:
        return "a comment"
    starts = {b"Exif": "EXIF", b"http://ns.adobe.com/x": "XMP", b"ICC_PROFILE": "a colour profile",
              b"MPF": "the list of further pictures", b"Photoshop": "IPTC", b"JFXX": "a thumbnail"}  # fmt: skip
    return next((name for start, name in starts.items() if body.startswith(start)), "segments of applications")


def _sentences(removed: set[str], name: str) -> tuple[str, ...]:
    return tuple(f"removed {what} of the {name}" for what in sorted(removed))
