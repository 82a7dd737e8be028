"""The series that an object is made from: what a segmentation, a structure set or a report copies and refers to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from vesalius.image import Grid
from vesalius.io.dicom.header import damage_is_a_format_error
from vesalius.io.dicom.quiet import quiet
from vesalius.io.dicom.series import find_stack
from vesalius.io.dicom.stack import arrange


@dataclass(frozen=True, eq=False)
class Origin:
    """An image series as objects derived from it need it.

    Args:
        headers: One for each file, in the order of `frames`: every element, the patient's included, but for the pixels.
            Never shown.
        frames: For each slice along the grid's last axis the place of its file in ``headers`` and the number of its
            frame there, from 1, as DICOM counts. Of images that share a position (echoes, time points) the first
            channel's; for pictures without a place in the patient, one for each picture.
        grid: That of `read_series`.
    """

    headers: tuple[Dataset, ...] = field(repr=False)
    frames: tuple[tuple[int, int], ...]
    grid: Grid


def read_origin(path: str | Path, *, series: str | None = None) -> Origin:
    """Read the headers of one image series, and where each of its slices lies.

    Args:
        path: A folder, any one file of a series of single images, or a multi-frame file.
        series: Which, if there are several, as `read_series` takes it.

    Returns:
        The headers and the grid that `read_series` gives for the same arguments.

    Raises:
        FormatError: As `read_series`; copies of an object are not compared here.
        GeometryError: Slices are missing, unevenly spaced or shifted.

    Example:
        >>> import tempfile
        >>> read_origin(tempfile.mkdtemp())
        Traceback (most recent call last):
        vesalius.errors.FormatError: ...: holds no DICOM image
    """
    path = Path(path)
    with quiet:
        stack, _ = find_stack(path, series)
        arrangement = arrange(stack.frames, path.resolve().name)
        # Stacks have their slices in the first channel; pictures without a place have a channel each.
        flat = arrangement.grid.ndim == 2
        frames = [channel[0] for channel in arrangement.frames] if flat else list(arrangement.frames[0])
        files = list(dict.fromkeys(frame.source.path for frame in frames))
        headers = tuple(_read(file) for file in files)
    places = tuple((files.index(frame.source.path), frame.index + 1) for frame in frames)
    return Origin(headers, places, arrangement.grid)


def _read(file: Path) -> Dataset:
    # Bombs and cut files were refused when the stack was found.
    with damage_is_a_format_error(file):
        return dcmread(file, stop_before_pixels=True, force=True)
