"""A folder of pictures as footage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vesalius.errors import FormatError
from vesalius.image import Volume
from vesalius.io import format_of, read
from vesalius.io.footage.frame import Footage, Frame

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


@contextmanager
def open_pictures(folder: Path, *, rate_hz: float | None = None) -> Iterator[Footage]:
    """Watch the pictures of a folder, in the order of their names; see `vesalius.io.footage.open_footage`.

    Args:
        folder: Files of other kinds, hidden files and sub-folders are passed over.
        rate_hz: Frames a second; unknown when left out.

    Raises:
        FormatError: There is no picture, or (from the frames) one is damaged or of another size than the first.
    """
    found = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    paths = sorted((path for path in found if format_of(path) in _SUFFIXES), key=_by_number)
    if not paths:
        raise FormatError(f"{folder.resolve().name}: holds no picture ({', '.join(_SUFFIXES)}) directly inside")
    first = _picture(paths[0])
    shape = (first.grid.shape[0], first.grid.shape[1])

    def frames() -> Iterator[Frame]:
        for index, path in enumerate(paths):
            image = _picture(path)
            if image.array.shape != first.array.shape:
                raise FormatError(
                    f"{path.name}: has {_size(image)}, and the first picture {_size(first)}; frames are of one size"
                )
            yield Frame(index, image, None if rate_hz is None else index / rate_hz)

    yield Footage(folder.resolve().name, shape, frames(), rate_hz, len(paths))


def _picture(path: Path) -> Volume:
    image = read(path)
    if image.grid.ndim != 2:
        raise FormatError(f"{path.name}: is a volume, not a picture; `vesalius segment` is for volumes")
    return image


def _size(image: Volume) -> str:
    return f"{image.channels} x {image.grid.shape[0]} x {image.grid.shape[1]}"


def _by_number(path: Path) -> tuple[list[tuple[bool, int, str]], str]:
    """Frame 10 comes after frame 9."""
    parts = re.findall(r"\d+|\D+", path.name.casefold())
    return [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts], path.name
