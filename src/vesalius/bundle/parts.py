"""The named parts of a bundle, read from a folder or from a zip that is never unpacked."""

from __future__ import annotations

import hashlib
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from vesalius.errors import BundleError

DESCRIPTION = "bundle.json"
LARGEST_DESCRIPTION = 16 << 20
LARGEST_RATIO = 100
"""What all parts of an archive may unpack to, as a multiple of its size."""

Read = Callable[[str, int | None], bytes]
"""Reads a part by its path within the bundle, of no more than some bytes."""


def open_parts(place: Path, name: str) -> Read:
    """A function that reads the parts of a bundle.

    Args:
        place: A folder or a zip that exists.
        name: Of the bundle, for messages.

    Raises:
        BundleError: There is no description, so that it is not a bundle. The function raises it, too, for a part that
            is not there, is damaged, or is larger than it can be.
    """
    return _from_folder(place, name) if place.is_dir() else _from_zip(place, name)


def digest(data: bytes) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _from_folder(place: Path, name: str) -> Read:
    if not (place / DESCRIPTION).is_file():
        raise BundleError(f"{name}: there is no {DESCRIPTION} in this folder, so it is not a bundle")

    def read(part: str, most: int | None) -> bytes:
        try:
            about = (place / part).stat()
            if not stat.S_ISREG(about.st_mode):  # a pipe or a device would never end
                raise BundleError(f"{name}: {part} is not a file")
            if most is not None and about.st_size > most:
                raise BundleError(f"{name}: {part} is larger than a description can be")
            return (place / part).read_bytes()
        except OSError as error:
            raise BundleError(f"{name}: cannot read {part}: {error.strerror}") from None

    return read


def _from_zip(place: Path, name: str) -> Read:
    left = LARGEST_RATIO * place.stat().st_size

    def read(part: str, most: int | None) -> bytes:
        nonlocal left
        try:
            with zipfile.ZipFile(place) as archive:
                # Read by name and never unpacked: no member can land anywhere.
                names = archive.namelist()
                _refuse_escapes(names, name)
                path = _root(names, name) + part
                if names.count(path) != 1:
                    raise BundleError(f"{name}: the archive holds {names.count(path)} files {part}; it must hold one")
                size = archive.getinfo(path).file_size
                if size > left or (most is not None and size > most):
                    raise BundleError(f"{name}: {part} unpacks to more than it can be")
                left -= size
                with archive.open(path) as stream:
                    return stream.read(size)
        except BundleError:
            raise
        except zipfile.BadZipFile:
            raise BundleError(f"{name}: neither a bundle's folder nor an undamaged zip of one") from None
        except (OSError, EOFError, RuntimeError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise BundleError(f"{name}: cannot unpack {part} ({type(error).__name__})") from None

    return read


def _refuse_escapes(names: list[str], name: str) -> None:
    """A member whose name leads out of the archive would do no harm here, and shows what the archive was made for."""
    for member in names:
        parts = re.split(r"[/\\]", member)
        if member.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", member):
            raise BundleError(f"{name}: the archive holds a file whose name leads out of it; nothing of it was read")


def _root(names: list[str], name: str) -> str:
    """Where the bundle begins in an archive: at its top, or in the one folder that the archive holds."""
    if DESCRIPTION in names:
        return ""
    roots = [n.removesuffix(DESCRIPTION) for n in names if n.endswith(f"/{DESCRIPTION}") and n.count("/") == 1]
    if len(roots) != 1:
        raise BundleError(f"{name}: the archive holds {len(roots)} files {DESCRIPTION}; it must hold one")
    return roots[0]
