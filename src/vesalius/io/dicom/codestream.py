"""What a compressed frame says about its own size, before any decoder believes it."""

from __future__ import annotations

import struct

_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
_STANDALONE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})


def declared_size(frame: bytes) -> tuple[int, int, int] | None:
    """Read rows, columns and samples from a JPEG, JPEG-LS, JPEG 2000 or HTJ2K stream.

    Args:
        frame: The stream of one frame.

    Returns:
        Rows, columns and samples per pixel; ``None`` when it is no such stream, or ends too early.

    Source: ITU-T T.81 B.2.2 (frame header), T.87 C.2.2 (JPEG-LS), T.800 A.5.1 (SIZ).

    Example:
        >>> declared_size(bytes.fromhex("ffd8 ffc3 000b 10 0100 0080 01 00 00 00"))
        (256, 128, 1)
    """
    try:
        if frame[:4] == b"\xff\x4f\xff\x51":
            right, bottom, left, top = struct.unpack_from(">4L", frame, 8)
            return bottom - top, right - left, struct.unpack_from(">H", frame, 40)[0]
        if frame[:2] == b"\xff\xd8":
            return _jpeg_size(frame)
    except (struct.error, IndexError):
        pass
    return None


def _jpeg_size(frame: bytes) -> tuple[int, int, int]:
    at = 2
    while True:
        if frame[at] != 0xFF:
            raise IndexError
        while frame[at] == 0xFF:  # fill bytes may precede a marker
            at += 1
        marker = frame[at]
        if marker in _JPEG_FRAMES:
            rows, columns, samples = struct.unpack_from(">HHB", frame, at + 4)
            return rows, columns, samples
        at += 1 if marker in _STANDALONE else 1 + struct.unpack_from(">H", frame, at + 1)[0]


def is_complete(frame: bytes) -> bool:
    """Whether a JPEG-family stream ends with its end marker; writers pad to even length with 00 or FF."""
    return frame.rstrip(b"\0\xff").endswith(b"\xff\xd9")
