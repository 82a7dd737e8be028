"""Video files: read as footage, and written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError, unknown_name
from vesalius.image import Grid
from vesalius.io.atomic import atomic_path
from vesalius.io.footage.frame import Footage, Frame
from vesalius.io.footage.opencv import captured, opencv, rate_of, shape_of, to_volume

CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "FFV1"}
"""What each kind of video file is written with: MPEG-4 part 2, motion JPEG, and FFV1, which loses nothing."""

_START = 512
_MPEG_TS, _TS_PACKET = 0x47, 188


@contextmanager
def open_video(path: Path, *, rate_hz: float | None = None) -> Iterator[Footage]:
    """Watch a video; see `vesalius.io.footage.open_footage`.

    Args:
        path: MP4, MOV, AVI, Matroska, WebM or MPEG, known by its content. Playlists and other text that would have
            FFmpeg open further files are not videos.
        rate_hz: Frames a second, in place of the times that the file tells.

    Raises:
        FormatError: It is no video, or cannot be decoded.
        MissingDependencyError: OpenCV is not installed.
    """
    with path.open("rb") as file:
        start = file.read(_START)
    if not _is_video(start):
        raise FormatError(
            f"{path.name}: is not a video (MP4, MOV, AVI, Matroska, WebM or MPEG), a DICOM file or a folder of pictures"
        )
    cv2 = opencv()
    with captured(str(path), cv2.CAP_FFMPEG, path.name) as video:
        shape = shape_of(video)
        frames = _frames(video, shape, rate_hz, path.name)
        known = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        yield Footage(path.name, shape, frames, rate_hz or rate_of(video), known if known > 0 else None)


def _frames(video: Any, shape: tuple[int, int], rate_hz: float | None, name: str) -> Iterator[Frame]:
    cv2, grid = opencv(), Grid.from_spacing(shape, (1.0, 1.0))
    first_ms = 0.0
    for index in count():
        there, picture = video.read()
        if not there:
            if index == 0:
                raise FormatError(f"{name}: no frame of it can be decoded: it is damaged, or its codec is unknown")
            return
        told_ms = float(video.get(cv2.CAP_PROP_POS_MSEC))
        first_ms = told_ms if index == 0 else first_ms
        at_s = max(0.0, told_ms - first_ms) / 1000 if rate_hz is None else index / rate_hz
        yield Frame(index, to_volume(picture, grid), at_s)


def _is_video(start: bytes) -> bool:
    """Whether a file begins like a container that FFmpeg reads by itself, without opening others."""
    return (
        start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
        or (start[:4] == b"RIFF" and start[8:12] == b"AVI ")
        or start[:4] in (b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")
        or (len(start) > _TS_PACKET and start[0] == start[_TS_PACKET] == _MPEG_TS)
    )


@contextmanager
def new_video(
    path: Path, shape: tuple[int, int], rate_hz: float, *, codec: str | None = None
) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Write a video, whole or not at all.

    Args:
        path: The suffix says the kind, one of `CODECS`.
        shape: Of a frame: columns and rows.
        rate_hz: Frames a second.
        codec: FFmpeg's four letters, in place of what `CODECS` has for the kind.

    Yields:
        The function that adds a picture ``(rows, columns, red green blue)``.

    Raises:
        FormatError: The kind is unknown, or the codec refuses this size.
        MissingDependencyError: OpenCV is not installed.
        VesaliusError: The system refused to write.
    """
    suffix = path.suffix.lower()
    if suffix not in CODECS:
        raise FormatError(f"cannot write {path.name}: {unknown_name('kind of video', suffix, CODECS)}")
    cv2 = opencv()
    with atomic_path(path) as temporary:
        writer = cv2.VideoWriter(
            str(temporary), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*(codec or CODECS[suffix])), rate_hz, shape
        )
        try:
            if not writer.isOpened():
                raise FormatError(f"cannot write {path.name}: {shape[0]} x {shape[1]} at {rate_hz:g} Hz is refused")
            yield lambda picture: writer.write(np.ascontiguousarray(picture[..., ::-1]))
        finally:
            writer.release()
