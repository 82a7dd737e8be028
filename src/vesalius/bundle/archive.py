"""Zips of bundles and of exports: whether one is there, what its description says, and how that is written anew."""

from __future__ import annotations

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

from vesalius.bundle.parts import DESCRIPTION, LARGEST_DESCRIPTION, LARGEST_RATIO
from vesalius.errors import BundleError
from vesalius.io.atomic import atomic_path

EXPORTED = "vesalius.json"
"""As `vesalius.export.describe` names what stands beside an exported network."""
DESCRIPTIONS = (DESCRIPTION, EXPORTED)


def is_archive(place: Path) -> bool:
    """Whether a file is a zip of a bundle or of an export."""
    try:
        with _opened(place) as archive:
            return bool(_name(archive))
    except BundleError:
        return False


def described_in_archive(place: Path) -> tuple[str, bytes]:
    """The name of the description within a zip, and its text.

    Raises:
        BundleError: It is no zip of a bundle or an export, or damaged.
    """
    with _opened(place) as archive:
        name = _name(archive)
        if not name or archive.getinfo(name).file_size > LARGEST_DESCRIPTION:
            raise BundleError(f"{place.name}: the archive holds no description of a bundle, or one that is too large")
        return name, archive.read(name)


def replace_in_archive(place: Path, name: str, data: bytes) -> None:
    """Write a zip anew with another text for one member, whole or not at all; the others are what they were.

    Args:
        place: The zip.
        name: Of the member.
        data: What it is to hold.

    Raises:
        BundleError: It is damaged, or unpacks to more than it can.
        VesaliusError: It cannot be written.
    """
    with _opened(place) as archive, atomic_path(place) as temporary:
        members = archive.infolist()
        if sum(one.file_size for one in members) > LARGEST_RATIO * place.stat().st_size:
            raise BundleError(f"{place.name}: the archive unpacks to more than it can")
        with zipfile.ZipFile(temporary, "w") as made:
            for one in members:
                written = copy(one)  # writing changes it
                if one.filename == name:
                    made.writestr(written, data)
                    continue
                with archive.open(one) as old, made.open(written, "w") as new:
                    shutil.copyfileobj(old, new, 1 << 20)


@contextmanager
def _opened(place: Path) -> Iterator[zipfile.ZipFile]:
    """A zip, whose damage is told in our words."""
    try:
        with zipfile.ZipFile(place) as archive:
            yield archive
    except BundleError:
        raise
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, KeyError, zlib.error, lzma.LZMAError):
        raise BundleError(f"{place.name}: not an undamaged zip of a bundle or an export") from None
    except (OSError, NotImplementedError) as error:
        raise BundleError(f"{place.name}: the archive cannot be read: {getattr(error, 'strerror', error)}") from None


def _name(archive: zipfile.ZipFile) -> str:
    """Where the one description is: at the top, or in the one folder that the archive holds; empty if there is none."""
    names = archive.namelist()
    for wanted in DESCRIPTIONS:
        found = [n for n in names if n == wanted or (n.endswith(f"/{wanted}") and n.count("/") == 1)]
        if len(found) == 1 and names.count(found[0]) == 1:
            return found[0]
        if wanted in found and names.count(wanted) == 1:
            return wanted
    return ""
