"""Tables of points in space, as LUNA16 has them: ``seriesuid,coordX,coordY,coordZ`` and a diameter or a class.

Coordinates are world coordinates in mm, LPS, as in the headers of MetaImage.

Source: the tables ``annotations.csv``, ``candidates_V2.csv`` and ``annotations_excluded.csv`` of the LUNA16 challenge
(luna16.grand-challenge.org/Data), Setio et al., Medical Image Analysis 42:1, 2017, doi:10.1016/j.media.2017.06.015.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vesalius.errors import FormatError
from vesalius.io.atomic import write_text

_PLACE = ("seriesuid", "coordX", "coordY", "coordZ")
_MEASURES = {"diameter_mm": "diameter_mm", "class": "kind", "probability": "probability"}
_LARGEST_BYTES = 1 << 30


@dataclass(frozen=True)
class Mark:
    """A point that someone or something marked in a scan.

    Args:
        series: The scan's series instance UID.
        centre_mm: Where, mm, LPS.
        diameter_mm: How large; ``None`` where the table does not say. Below 0 in LUNA16's table of excluded findings:
            nobody measured it.
        kind: Class of a candidate: 1 a nodule, 0 none.
        probability: Of a candidate, in a table of results.
    """

    series: str
    centre_mm: tuple[float, float, float]
    diameter_mm: float | None = None
    kind: int | None = None
    probability: float | None = None


def holds_marks(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a table of points: its first line names a series and three coordinates.

    Args:
        path: Any file.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.readline(1 << 16).decode("utf-8-sig", "replace")
    except OSError:
        return False
    return set(_PLACE) <= {name.strip() for name in head.split(",")}


def read_marks(path: str | os.PathLike[str]) -> tuple[Mark, ...]:
    """Read a table of points.

    Args:
        path: A CSV file with the columns ``seriesuid``, ``coordX``, ``coordY``, ``coordZ`` and perhaps
            ``diameter_mm``, ``class`` and ``probability``, in any order; other columns are passed over.

    Returns:
        The points, in the table's order.

    Raises:
        FormatError: The file cannot be read, lacks a column, or a line holds something that is not a finite number; the
            message names the line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_marks([Mark("1.2", (1.5, 2.0, -3.0), diameter_mm=6.0)], folder + "/annotations.csv")
        ...     read_marks(folder + "/annotations.csv")[0].centre_mm
        (1.5, 2.0, -3.0)
    """
    where = Path(path)
    try:
        if where.stat().st_size > _LARGEST_BYTES:
            raise FormatError(f"{where.name}: larger than a table of points can be")
        text = where.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise FormatError(f"{where.name}: the table cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise FormatError(f"{where.name}: not a text table (CSV) in UTF-8") from None
    rows = csv.reader(io.StringIO(text))
    header = [name.strip() for name in next(rows, [])]
    missing = [name for name in _PLACE if name not in header]
    if missing:
        raise FormatError(f"{where.name}: a table of points has the columns {', '.join(_PLACE)}; missing: {missing}")
    marks = []
    try:
        for number, row in enumerate(rows, start=2):
            if any(cell.strip() for cell in row):
                marks.append(_mark(where.name, number, header, row))
    except csv.Error as error:
        raise FormatError(f"{where.name}: the table is damaged: {error}") from None
    return tuple(marks)


def write_marks(marks: Sequence[Mark], path: str | os.PathLike[str]) -> None:
    """Write a table of points in LUNA16's columns; those that no point has a value for are left out.

    Args:
        marks: What to write.
        path: The CSV file.

    Raises:
        VesaliusError: The file cannot be written.
    """
    measures = {name: field for name, field in _MEASURES.items() if any(getattr(m, field) is not None for m in marks)}
    lines = [",".join([*_PLACE, *measures])]
    for mark in marks:
        numbers = [*mark.centre_mm, *(getattr(mark, field) for field in measures.values())]
        lines.append(",".join([mark.series, *("" if n is None else f"{n:.10g}" for n in numbers)]))
    write_text(path, "\n".join(lines) + "\n")


def _mark(name: str, number: int, header: Sequence[str], row: Sequence[str]) -> Mark:
    if len(row) != len(header):
        raise FormatError(f"{name}: line {number} has {len(row)} fields, the header has {len(header)}")
    cells = {key: cell.strip() for key, cell in zip(header, row, strict=True)}
    if not cells["seriesuid"]:
        raise FormatError(f"{name}: line {number} names no series")
    x, y, z = (_number(name, number, column, cells[column]) for column in _PLACE[1:])
    found = {
        field: _number(name, number, column, cells[column]) for column, field in _MEASURES.items() if cells.get(column)
    }
    kind = found.pop("kind", None)
    if kind not in (None, 0, 1):
        raise FormatError(f"{name}: line {number}: the class of a candidate is 0 or 1")
    return Mark(cells["seriesuid"], (x, y, z), kind=None if kind is None else int(kind), **found)


def _number(name: str, line: int, column: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FormatError(f"{name}: line {line}: {column} must be a finite number")
    return number
