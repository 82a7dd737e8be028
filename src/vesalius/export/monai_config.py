"""A MONAI bundle's files, and what its configuration says in plain values. No expression in it is evaluated."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vesalius.errors import BundleError

METADATA, INFERENCE = "configs/metadata.json", "configs/inference.json"
_LARGEST_TEXT = 16 << 20
_LARGEST_RATIO = 100  # what a zip may unpack to, as a multiple of its size
_DEEPEST = 32

Part = Callable[[str], bytes | None]
"""Reads a file of the bundle; None where there is none of this name."""


def open_bundle(place: Path) -> Part:
    """A function that reads the files of a MONAI bundle, from its folder or from a zip that is never unpacked.

    Raises:
        BundleError: There is no such bundle. The function raises it for what is damaged or larger than it can be.
    """
    if place.is_dir():
        return _from_folder(place)
    if not place.is_file():
        raise BundleError(f"{place.name}: there is no such folder or file")
    return _from_zip(place)


def text_of(part: Part, name: str) -> dict[str, Any]:
    """A JSON file of the bundle.

    Raises:
        BundleError: It is not there, too large or something else.
    """
    data = part(name)
    if data is None:
        raise BundleError(f"there is no {name}: a MONAI bundle is imported from its JSON configuration")
    if len(data) > _LARGEST_TEXT:
        raise BundleError(f"{name} is larger than a configuration can be")
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        raise BundleError(f"{name} is not JSON") from None
    if not isinstance(raw, dict):
        raise BundleError(f"{name} must hold an object")
    return raw


def plain(config: Mapping[str, Any], value: Any, where: str) -> Any:
    """A value with its references (``@name#part``) followed.

    Args:
        config: The whole configuration.
        value: Part of it.
        where: For messages.

    Raises:
        BundleError: It is, or refers to, an expression (``$``), another file (``%``), or nothing.

    Example:
        >>> plain({"size": [96, 96], "roi": "@size#0"}, ["@roi", 3], "inferer")
        [96, 3]
    """
    return _plain(config, value, where, 0)


def target_of(raw: Any) -> str:
    """The class that a part of a configuration asks for, without its packages; an empty text where it asks for none.

    Example:
        >>> target_of({"_target_": "monai.networks.nets.UNet"})
        'UNet'
    """
    name = raw.get("_target_") if isinstance(raw, dict) else None
    return name.rpartition(".")[2] if isinstance(name, str) else ""


def _plain(config: Mapping[str, Any], value: Any, where: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise BundleError(f"{where}: references that lead to each other")
    if isinstance(value, list):
        return [_plain(config, one, where, depth + 1) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(config, one, where, depth + 1) for name, one in value.items()}
    if not isinstance(value, str) or not value.startswith(("$", "%", "@")):
        return value
    if not value.startswith("@") or any(c in value for c in "+-*/()[] "):
        raise BundleError(f"{where}: {value[:80]!r} would have to be evaluated; write the value itself into the file")
    found: Any = config
    for step in value[1:].replace("::", "#").split("#"):
        try:
            found = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, IndexError, ValueError, TypeError):
            raise BundleError(f"{where}: {value[:80]!r} refers to nothing") from None
    return _plain(config, found, where, depth + 1)


def _from_folder(place: Path) -> Part:
    def read(name: str) -> bytes | None:
        path = place / name
        return path.read_bytes() if path.is_file() else None

    return read


def _from_zip(place: Path) -> Part:
    try:
        with zipfile.ZipFile(place) as archive:
            names = archive.namelist()
            inside = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError):
        raise BundleError(f"{place.name}: neither a folder nor an undamaged zip") from None
    roots = [name.removesuffix(METADATA) for name in names if name.endswith(METADATA) and name.count("/") <= 2]
    if len(roots) != 1 or inside > _LARGEST_RATIO * place.stat().st_size:
        raise BundleError(f"{place.name}: the zip holds {len(roots)} files {METADATA}, or more than it can")

    def read(name: str) -> bytes | None:
        if names.count(roots[0] + name) != 1:
            return None
        try:
            with zipfile.ZipFile(place) as archive:
                return archive.read(roots[0] + name)
        except Exception as error:  # a damaged zip fails in any way
            raise BundleError(f"{place.name}: cannot unpack {name} ({type(error).__name__})") from None

    return read
