"""OpenCV, which decodes and encodes videos: asked for when it is needed, and kept from talking.

Its wheels are under the Apache licence and hold FFmpeg's libraries under the LGPL, without x264 and x265. Those of
PyAV, the other way to FFmpeg, hold both, which are under the GPL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError, MissingDependencyError
from vesalius.image import Grid, Meta, Volume
from vesalius.io.stream import refuse_unholdable


def opencv() -> Any:
    """The module ``cv2``.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import cv2
    except ImportError:
        raise MissingDependencyError(
            "videos and cameras need OpenCV: pip install 'vesalius[stream]'. Folders of pictures and DICOM cines do not"
        ) from None
    return cv2


@contextmanager
def captured(source: str | int, api: int, name: str) -> Iterator[Any]:
    """Lend an open ``cv2.VideoCapture``.

    Raises:
        FormatError: It cannot be opened, or its frames have no size that memory can hold.
    """
    cv2 = opencv()
    with _quiet(cv2):
        capture = cv2.VideoCapture(source, api)
    try:
        if not capture.isOpened():
            raise FormatError(f"{name}: cannot be opened: there is no such thing, or it is damaged or in use")
        columns, rows = shape_of(capture)
        if columns < 1 or rows < 1:
            raise FormatError(f"{name}: its frames have no size: it holds no pictures, or its header is damaged")
        refuse_unholdable(3 * columns * rows)
        yield capture
    finally:
        capture.release()


def shape_of(capture: Any) -> tuple[int, int]:
    """Columns and rows of a frame."""
    cv2 = opencv()
    return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))


def rate_of(capture: Any) -> float | None:
    """Frames a second; None where it does not say."""
    rate = float(capture.get(opencv().CAP_PROP_FPS))
    return rate if 0 < rate <= 1000 else None


def to_volume(picture: NDArray[np.uint8], grid: Grid) -> Volume:
    """OpenCV's picture ``(rows, columns, blue green red)`` as an image: a view."""
    return Volume(picture[..., ::-1].transpose(2, 1, 0), grid, Meta("RGB", calibrated=False))


@contextmanager
def _quiet(cv2: Any) -> Iterator[None]:
    """What cannot be opened is told by us: OpenCV's own words may name a patient's file."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
