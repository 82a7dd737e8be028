"""The frames of a multi-frame file one after another, never all at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments
from pydicom.uid import UID, MPEGTransferSyntaxes

from vesalius.errors import FormatError
from vesalius.image import Grid, Meta, Volume
from vesalius.io.atomic import explained
from vesalius.io.dicom.describe import describe, other_object
from vesalius.io.dicom.frame import Frame
from vesalius.io.dicom.header import damage_is_a_format_error, open_dicom, read_header
from vesalius.io.dicom.pixels import decode, enter_value
from vesalius.io.dicom.quiet import quiet
from vesalius.io.dicom.series import modality_of
from vesalius.io.dicom.values import to_values

_VIDEO = {UID(syntax) for syntax in MPEGTransferSyntaxes}
_FASTEST_HZ = 1000.0


@dataclass(frozen=True, eq=False)
class Cine:
    """A multi-frame file whose frames follow one another in time.

    Args:
        path: The file.
        frames: In the order of storage, which is that of time.
        grid: 2D, of each frame.
        meta: What the numbers mean.
        times_s: When each frame is to be seen, after the first; None when the file does not say.
        rate_hz: Frames a second: what the file says, or the mean of its times; None when it does not say.
    """

    path: Path
    frames: tuple[Frame, ...]
    grid: Grid
    meta: Meta
    times_s: tuple[float, ...] | None
    rate_hz: float | None

    @property
    def count(self) -> int:
        """How many frames there are."""
        return len(self.frames)

    @property
    def is_video(self) -> bool:
        """Whether its pixels are a video as a whole, for a decoder of videos."""
        return self.frames[0].source.pixels.syntax in _VIDEO


def describe_cine(path: Path) -> Cine:
    """Read the header of a multi-frame file; a single frame is a short cine.

    Args:
        path: The file.

    Raises:
        FormatError: It is not DICOM, damaged, not an image, or its frames lie at several places: a volume.
    """
    with quiet, damage_is_a_format_error(path):
        header = read_header(path)
        if header is None:
            raise FormatError(f"{path.name}: is not a DICOM image")
        if (other := other_object(header)) is not None:
            raise FormatError(f"{path.name}: is {other[0]}, not an image; {other[1]}")
        frames = describe(header)
        first, source = frames[0], frames[0].source
        if source.refusal:
            raise FormatError(f"{path.name}: {source.refusal}")
        if len({frame.position for frame in frames}) > 1:
            raise FormatError(
                f"{path.name}: its frames are the slices of a volume, not pictures in time; use `vesalius segment`"
            )
        times, rate = _times(header.elements, len(frames))
    row_mm, column_mm = first.spacing_mm
    grid = Grid.from_spacing((source.pixels.columns, source.pixels.rows), (column_mm, row_mm))
    meta = Meta(modality_of(source), source.unit, calibrated=source.calibrated, notes=source.notes)
    return Cine(path, frames, grid, meta, times, rate)


def play(cine: Cine) -> Iterator[Volume]:
    """Decode a cine, one frame at a time.

    Args:
        cine: Not a video.

    Yields:
        Each frame, with the values that `vesalius.io.dicom.read_series` gives it.

    Raises:
        FormatError: The pixels are cut off or damaged, or no decoder can read them.
        MissingDependencyError: The decoder is not installed.
    """
    decoded = decode(cine.frames[0].source, cine.frames)
    while True:
        with quiet:  # not while somebody looks at the frame: it is the whole process that is silenced
            found = next(decoded, None)
        if found is None:
            return
        values = to_values(*found)
        array = values.transpose(2, 1, 0) if values.ndim == 3 else values.T[None]
        yield Volume(np.array(array), cine.grid, cine.meta)


def copy_video(cine: Cine, target: Path) -> Path:
    """Copy the video that a file holds, without the header, fragment by fragment.

    Args:
        cine: A video.
        target: A new file.

    Returns:
        The new file.

    Raises:
        FormatError: The pixels are damaged.
        VesaliusError: The system refused to write.
    """
    with damage_is_a_format_error(cine.path), open_dicom(cine.path) as opened:
        assert opened is not None  # it was when its header was read
        enter_value(opened[0], cine.frames[0].source.pixels)
        fragments = generate_fragments(opened[0])
        next(fragments, b"")  # the offset table
        with explained("the video to the temporary folder"), target.open("xb") as file:
            for fragment in fragments:
                file.write(fragment)
    return target


def _times(elements: Dataset, count: int) -> tuple[tuple[float, ...] | None, float | None]:
    """When each frame is to be seen, and how many a second.

    Source: DICOM PS3.3 C.7.6.5 (Frame Time and Frame Time Vector in ms, the vector's first is 0; Cine Rate).
    """
    steps = elements.get("FrameTimeVector")
    if steps is not None and not isinstance(steps, (str, float, int)) and len(steps) == count > 1:
        times = tuple(itertools.accumulate(float(step) / 1000 for step in (0, *steps[1:])))
        if all(math.isfinite(time) for time in times) and times[-1] > 0 and min(map(float, steps[1:])) >= 0:
            return times, _sound((count - 1) / times[-1])
    spacing_ms = _number(elements, "FrameTime")
    rate = _sound(1000 / spacing_ms) if spacing_ms else None
    rate = rate or _number(elements, "CineRate") or _number(elements, "RecommendedDisplayFrameRate")
    rate = None if rate is None else _sound(rate)
    return (None if rate is None else tuple(index / rate for index in range(count))), rate


def _number(elements: Dataset, keyword: str) -> float | None:
    try:
        number = float(elements.get(keyword) or 0)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _sound(rate: float) -> float | None:
    return rate if 0 < rate <= _FASTEST_HZ else None
