"""A multi-frame DICOM file as footage."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vesalius.io.dicom.cine import copy_video, describe_cine, play
from vesalius.io.footage.frame import Footage, Frame
from vesalius.io.footage.video import open_video


@contextmanager
def open_cine(path: Path, *, rate_hz: float | None = None) -> Iterator[Footage]:
    """Watch a multi-frame DICOM file; see `vesalius.io.footage.open_footage`.

    A file that holds a video as a whole (MPEG-2, H.264, HEVC: endoscopy) is copied to a temporary file without its
    header, for OpenCV to decode.

    Args:
        path: The file.
        rate_hz: Frames a second, in place of the times that the file tells.

    Raises:
        FormatError: It is damaged, no image, or its frames are the slices of a volume.
        MissingDependencyError: A decoder is not installed.
    """
    cine = describe_cine(path)
    if cine.is_video:
        with tempfile.TemporaryDirectory(prefix="vesalius-") as folder:
            copied = copy_video(cine, Path(folder) / path.name)
            with open_video(copied, rate_hz=rate_hz) as footage:
                yield replace(footage, rate_hz=rate_hz or footage.rate_hz or cine.rate_hz)
        return
    times = cine.times_s if rate_hz is None else None

    def frames() -> Iterator[Frame]:
        for index, image in enumerate(play(cine)):
            at_s = times[index] if times is not None else None if rate_hz is None else index / rate_hz
            yield Frame(index, image, at_s)

    shape = (cine.grid.shape[0], cine.grid.shape[1])
    yield Footage(path.name, shape, frames(), rate_hz or cine.rate_hz, cine.count)
