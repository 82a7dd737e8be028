"""The image files of a folder, and their names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from vesalius.errors import DataError
from vesalius.image import LeftOut
from vesalius.io import format_of

_DICOM = (".dcm", ".dicom")
_PREAMBLE = 128  # DICOM PS3.10, 7.1: 128 bytes, then "DICM"
_CHANNEL = re.compile(r"(.+)_(\d{4})")


def suffix(path: Path) -> str:
    """The image format's suffix, for example ``".nii.gz"``; empty for a file that is not an image.

    Example:
        >>> suffix(Path("liver_001.NII.GZ")), suffix(Path("README.md"))
        ('.nii.gz', '')
    """
    return format_of(path) or ""


def stem(path: Path) -> str:
    """The name without the image format's suffix; the whole name of a DICOM folder.

    Example:
        >>> stem(Path("images/liver_001.nii.gz"))
        'liver_001'
    """
    return path.name[: len(path.name) - len(suffix(path))]


def find_images(folder: Path) -> tuple[Path, ...]:
    """All images below a folder, sorted: files of a known format, and folders that hold DICOM files.

    A folder with DICOM files directly inside is one image. Hidden files and folders are not looked at.

    Raises:
        DataError: A folder cannot be listed.
    """
    found: list[Path] = []

    def refuse(error: OSError) -> None:
        raise DataError(f"a folder below {folder.name} cannot be listed: {error.strerror}") from error

    for place, inside, names in os.walk(folder, onerror=refuse):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        here = Path(place)
        visible = [here / name for name in sorted(names) if not name.startswith(".")]
        if any(_is_dicom(path) for path in visible):
            found.append(here)
        pairs = {stem(path) for path in visible if suffix(path) == ".hdr"}
        for path in visible:
            known = suffix(path)
            # Of an .hdr and .img pair, the header stands for both.
            if known not in ("", *_DICOM) and not (known == ".img" and stem(path) in pairs):
                found.append(path)
    return tuple(sorted(found))


def count_suffixes(folder: Path) -> str:
    """What kinds of files lie below a folder, in words, for a message."""
    kinds = Counter(
        suffix(Path(name)) or Path(name).suffix.lower() or "no suffix"
        for _, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".")
    )
    return ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(8)) or "no file"


def subfolders(folder: Path) -> tuple[Path, ...]:
    """The visible folders directly inside a folder, sorted."""
    return tuple(sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))


def leftovers(folder: Path, used: Iterable[Path], reason: str) -> list[LeftOut]:
    """The images below a folder that a layout made no use of, each with the same reason."""
    known = {path.resolve() for path in used}
    return [
        LeftOut(path.relative_to(folder).as_posix(), reason)
        for path in find_images(folder)
        if path.resolve() not in known
    ]


def group_channels(stems: Sequence[str]) -> dict[str, list[str]] | None:
    """Group names by nnU-Net's channel suffix ``_0000``, ``_0001`` …, if they carry it.

    Args:
        stems: Names without the format's suffix.

    Returns:
        ``{case: its names in channel order}``, or ``None`` unless every name ends in four digits and each case
        counts up from ``_0000``. So frame numbers (``_0412``) are not taken for channels.

    Example:
        >>> group_channels(["a_0000", "a_0001", "b_0000", "b_0001"])
        {'a': ['a_0000', 'a_0001'], 'b': ['b_0000', 'b_0001']}
        >>> group_channels(["seq_0411", "seq_0412"]) is None
        True
    """
    groups: dict[str, list[str]] = {}
    numbers: dict[str, list[int]] = {}
    for name in sorted(stems):
        match = _CHANNEL.fullmatch(name)
        if match is None:
            return None
        groups.setdefault(match[1], []).append(name)
        numbers.setdefault(match[1], []).append(int(match[2]))
    # One case with many numbers is a film, not an image with that many channels.
    if len(groups) == 1 and len(stems) > 16:
        return None
    counted = all(found == list(range(len(found))) for found in numbers.values())
    return groups if groups and counted else None


def case_name(folders: Sequence[str], name: str) -> str:
    """Name a case by its folders and its file, without saying the same twice.

    Args:
        folders: The folders between the data set and the file, outermost first.
        name: The file's stem; empty when the folder itself is the case.

    Example:
        >>> case_name(["seq01"], "0007"), case_name(["patient001"], "patient001_frame01"), case_name(["p1"], "")
        ('seq01_0007', 'patient001_frame01', 'p1')
    """
    if name and any(name.casefold().startswith(part.casefold()) for part in folders):
        return name
    return "_".join([*folders, name] if name else folders)


def _is_dicom(path: Path) -> bool:
    if path.suffix.lower() in _DICOM:
        return True
    if path.suffix or suffix(path):
        return False
    try:
        with path.open("rb") as file:
            return file.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"
    except OSError:
        return False
