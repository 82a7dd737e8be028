"""Which file and folder names a bundle takes when it is written over another, so that one of both always stands.

A description names its parts. New parts go to names that the standing description does not use; then the new
description replaces the old one in one rename; then the old parts go. Whenever that ends, the folder holds the old
bundle or the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vesalius.bundle.parts import DESCRIPTION

WEIGHTS_NAME = re.compile(r"weights(-[1-9]\d{0,4})?\.safetensors")
FOLDER_NAME = re.compile(r"(coarse(-[1-9]\d{0,4})?|partner-[1-9]\d{0,4})")


def weights_names() -> Iterator[str]:
    """The names of weights: ``weights.safetensors``, ``weights-2.safetensors`` and so on."""
    return itertools.chain(["weights.safetensors"], (f"weights-{n}.safetensors" for n in itertools.count(2)))


def coarse_names() -> Iterator[str]:
    """The names of the coarse stage's folder: ``coarse``, ``coarse-2`` and so on."""
    return itertools.chain(["coarse"], (f"coarse-{n}" for n in itertools.count(2)))


def partner_names() -> Iterator[str]:
    """The names of partners' folders: ``partner-1``, ``partner-2`` and so on."""
    return (f"partner-{n}" for n in itertools.count(1))


class Slots:
    """The names in a bundle's folder that are taken, by the bundle that stands there and by the one being written."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._standing = _named(place)
        self._taken: list[str] = []

    def for_weights(self, sha256: str) -> tuple[str, bool]:
        """A name for weights, and whether they are there already."""
        for name in sorted(self._standing - set(self._taken)):
            if WEIGHTS_NAME.fullmatch(name) and _file_digest(self._place / name) == sha256:
                self._taken.append(name)
                return name, True
        return self.free(weights_names()), False

    def free(self, names: Iterator[str]) -> str:
        """The first of some names that nobody uses."""
        name = next(name for name in names if name not in self._standing and name not in self._taken)
        self._taken.append(name)
        return name

    def clear(self) -> None:
        """Remove what the bundle that stood here before had, and what an interrupted writer left."""
        left = {path.name for path in self._place.iterdir() if WEIGHTS_NAME.fullmatch(path.name)}
        for name in (self._standing | left) - set(self._taken):
            _remove(self._place / name)


def _named(place: Path) -> frozenset[str]:
    """The parts that the description standing in a folder names; none where it cannot be read."""
    try:
        raw = json.loads((place / DESCRIPTION).read_bytes())
        parts: list[Any] = [raw.get("weights"), *raw.get("members", ()), raw.get("coarse"), *raw.get("partners", ())]
        names = [str(part.get("file", part.get("folder"))) for part in parts if part is not None]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return frozenset()
    return frozenset(name for name in names if WEIGHTS_NAME.fullmatch(name) or FOLDER_NAME.fullmatch(name))


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _remove(part: Path) -> None:
    """Remove weights, or a folder's bundle and, if it held nothing else, the folder. What resists stays: it is idle."""
    with contextlib.suppress(OSError):
        if not part.is_dir():
            part.unlink(missing_ok=True)
            return
        named = _named(part)
        (part / DESCRIPTION).unlink(missing_ok=True)
        for name in named:
            _remove(part / name)
        part.rmdir()
