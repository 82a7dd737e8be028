"""Images without references, to be segmented."""

from __future__ import annotations

from pathlib import Path

from vesalius.io.layouts import pairs
from vesalius.io.layouts.files import find_images, stem
from vesalius.io.layouts.found import Found, refuse_choice
from vesalius.io.layouts.roles import role
from vesalius.io.layouts.suffixes import group_images

LOOKS_FOR = "images of any known format, or folders of DICOM files, none of them named as a reference"


def recognise(folder: Path) -> bool:
    """Whether there are images, and none is named as a reference."""
    if not folder.is_dir() or pairs.recognise(folder):
        return False
    found = find_images(folder)
    return bool(found) and not any(role(stem(path)).kind == "reference" for path in found if path.is_file())


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Find the images. Channels are put together by name (``x_T1``, ``x_FLAIR``; ``x_0000``, ``x_0001``)."""
    refuse_choice("images", reference)
    return group_images(folder)
