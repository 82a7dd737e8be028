"""Open cameras, videos, DICOM cines and folders of pictures, to be watched frame by frame."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager
from pathlib import Path

from vesalius.errors import FormatError
from vesalius.io.footage.frame import Footage, Frame, to_grey

__all__ = ["Footage", "Frame", "open_footage", "to_grey"]

_DEVICE = re.compile(r"(?:/dev/video)?(\d{1,3})")


def open_footage(
    source: int | str | os.PathLike[str], *, rate_hz: float | None = None
) -> AbstractContextManager[Footage]:
    """Open something to be watched. It is closed when the context is left.

    Only the frame that is looked at is held in memory.

    Args:
        source: The number of a camera (``0``, ``"0"`` or ``"/dev/video0"``), or a path: of a video (MP4, MOV, AVI,
            Matroska, WebM, MPEG), of a multi-frame DICOM file, or of a folder of pictures, which are taken in the
            order of their names, numbers by their value.
        rate_hz: Frames a second, where the footage does not say or says something else.

    Raises:
        FormatError: There is no such file, folder or camera, or it holds nothing that can be watched.
        MissingDependencyError: Videos and cameras need OpenCV.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from vesalius.image import Grid, Volume
        >>> from vesalius.io import write
        >>> picture = Volume(np.zeros((1, 8, 6), np.uint8), Grid.from_spacing((8, 6), (1, 1)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(picture, Path(folder) / "1.png")
        ...     with open_footage(folder, rate_hz=25) as footage:
        ...         footage.shape, [frame.at_s for frame in footage.frames]
        ((8, 6), [0.0])
    """
    if rate_hz is not None and not 0 < rate_hz <= 1000:
        raise FormatError(f"rate_hz must be above 0 and at most 1000 frames a second, not {rate_hz:g}")
    named = str(source)
    if isinstance(source, int) or (_DEVICE.fullmatch(named) and not Path(named).is_file()):
        from vesalius.io.footage.camera import open_camera

        return open_camera(int(named.removeprefix("/dev/video")), rate_hz=rate_hz)
    path = Path(source)
    if path.is_dir():
        from vesalius.io.footage.pictures import open_pictures

        return open_pictures(path, rate_hz=rate_hz)
    try:
        with path.open("rb") as file:
            is_dicom = file.read(132)[128:] == b"DICM"
    except OSError as error:
        raise FormatError(f"{path.name}: the file cannot be read: {error.strerror}") from error
    if is_dicom:
        from vesalius.io.footage.cine import open_cine

        return open_cine(path, rate_hz=rate_hz)
    from vesalius.io.footage.video import open_video

    return open_video(path, rate_hz=rate_hz)
