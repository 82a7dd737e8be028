"""Values at vertices in files: what they are called there, and what is told of them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, FormatError
from vesalius.mesh.colours import ColourScale
from vesalius.mesh.painted import Painted, paint, surface_of
from vesalius.mesh.surface import Surface

HOLD = (".ply", ".vtp", ".glb")
"""The formats that hold values at vertices."""

NO_VALUES = frozenset((
    "x", "y", "z", "nx", "ny", "nz", "red", "green", "blue", "alpha", "s", "t", "u", "v", "texture_u", "texture_v",
    "flags", "label", "colour", "points", "position", "normal",
))  # fmt: skip
"""Words that have a meaning at vertices already, in one of the formats."""


@dataclass(frozen=True, eq=False)
class Column:
    """Values of one kind at all vertices of a file.

    Args:
        values: ``(V,)``, of all surfaces one after the other; NaN where a surface has none.
        name: Of the values.
        unit: Of the values.
        scale: Their colours.
    """

    values: NDArray[np.float64]
    name: str
    unit: str
    scale: ColourScale

    @property
    def told(self) -> str:
        """What a reader needs besides the values, in one line."""
        return json.dumps(told_of(self.name, self.unit, self.scale))


def measured(surfaces: Sequence[Surface | Painted]) -> dict[str, Column]:
    """The kinds of values that surfaces have, by a word that every format takes.

    Args:
        surfaces: Of structures, painted or not.

    Raises:
        FormatError: Values of one name and unit are on different scales.

    Example:
        >>> from vesalius.image import Label
        >>> corner = paint(Surface(np.eye(3), [[0, 1, 2]], Label("a", 1)), np.arange(3.0), name="Wall", unit="mm")
        >>> {word: column.name for word, column in measured([corner]).items()}
        {'wall_mm': 'Wall'}
    """
    found: dict[tuple[str, str], Column] = {}
    before = np.cumsum([0, *(len(surface_of(one).vertices) for one in surfaces)])
    for one, at in zip(surfaces, before[:-1], strict=True):
        if not isinstance(one, Painted):
            continue
        fresh = Column(np.full(before[-1], np.nan), one.name, one.unit, one.scale)
        column = found.setdefault((one.name, one.unit), fresh)
        if column.scale != one.scale:
            raise FormatError(f"{one.name} is on several scales of colours: in one file it has one")
        column.values[at : at + len(one.values)] = one.values
    words: dict[str, Column] = {}
    for column in found.values():
        word = _word(f"{column.name} {column.unit}")
        words[word if word not in words else f"{word}_{len(words)}"] = column
    return words


def refuse_values(surfaces: Sequence[Surface | Painted], suffix: str) -> None:
    """Refuse values for a format that cannot hold them.

    Raises:
        FormatError: Surfaces have values, and files of this kind hold none.
    """
    if suffix not in HOLD and any(isinstance(one, Painted) for one in surfaces):
        raise FormatError(f"{suffix} files hold no values at vertices: write {', '.join(HOLD)}, or the surface alone")


def told_of(name: str, unit: str, scale: ColourScale) -> dict[str, Any]:
    """Name, unit and scale of values, as JSON has them."""
    return {"name": name, "unit": unit, "low": scale.low, "high": scale.high, "map": scale.colour_map}


def repainted(surface: Surface, values: NDArray[np.float64], told: Any, word: str) -> Painted:
    """A surface with the values that a file holds.

    Args:
        surface: As it was read.
        values: ``(V,)``.
        told: What `told_of` wrote; anything else is passed over, as files of others have it.
        word: What the file calls them, for the name where none is told.

    Raises:
        FormatError: A value is infinite, or what is told of them cannot be.
    """
    try:
        if isinstance(told, Mapping) and {"name", "unit", "low", "high", "map"} <= told.keys():
            scale = ColourScale(float(told["low"]), float(told["high"]), told["map"])
            return Painted(surface, values, str(told["name"]), str(told["unit"]), scale)
        return paint(surface, values, name=word[:60] or "values", unit="")
    except (DataError, TypeError, ValueError) as error:
        raise FormatError(f"the values at the vertices are damaged: {error}") from error


def _word(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    word = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    return f"value_{word}".rstrip("_") if not word or word in NO_VALUES or word[0].isdecimal() else word
