"""Sizes of structures as CSV and JSON files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from vesalius.image import Size
from vesalius.io.atomic import write_text
from vesalius.report.tables import write_rows

COLUMNS = (
    *("name", "value", "voxels", "volume_ml", "area_mm2", "long_axis_mm", "short_axis_mm"),
    *("circumference_mm", "mean", "sd", "minimum", "maximum", "unit"),
)
"""Of a table of sizes, fields of `Size`."""


Columns = Mapping[str, Mapping[str, float | None]]
"""Further columns of a table: for the name of each structure, values by the names of the columns."""


def size_row(size: Size, further: Columns | None = None) -> dict[str, Any]:
    """A size as a row: its columns, its code as ``scheme:value`` where it has one, and further columns.

    Example:
        >>> size_row(Size("liver", 1, 20, volume_ml=0.5), {"liver": {"sphericity": 0.8}})["sphericity"]
        0.8
    """
    row = {name: getattr(size, name) for name in COLUMNS}
    row["code"] = f"{size.code.scheme}:{size.code.value}" if size.code else None
    names = dict.fromkeys(name for one in (further or {}).values() for name in one)
    own = (further or {}).get(size.name, {})
    return row | {name: own.get(name) for name in names}


def write_sizes_csv(sizes: Sequence[Size], path: str | os.PathLike[str], *, further: Columns | None = None) -> None:
    """Write one row for each structure; what is not known is an empty cell.

    Text that a spreadsheet would run as a formula gets a leading quote.

    Args:
        sizes: What was measured.
        path: The CSV file to write.
        further: Columns that follow.

    Raises:
        VesaliusError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "sizes.csv"
        ...     write_sizes_csv([Size("=1+1", 1, 20, volume_ml=0.5)], path)
        ...     print(path.read_text(encoding="utf-8").splitlines()[1])
        '=1+1,1,20,0.5,,,,,,,,,,

    Source: OWASP, "CSV Injection".
    """
    rows = [size_row(size, further) for size in sizes]
    write_rows([tuple(rows[0]) if rows else (*COLUMNS, "code"), *(row.values() for row in rows)], path)


def write_sizes_json(
    sizes: Sequence[Size],
    path: str | os.PathLike[str],
    *,
    provenance: Mapping[str, str] | None = None,
    further: Columns | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write the sizes with what they were measured on; what is not known is null.

    Args:
        sizes: What was measured.
        path: The JSON file to write.
        provenance: What they were made of and with: names and versions, never patients.
        further: More columns of each size.
        more: Further entries of the file, beside the sizes.

    Raises:
        VesaliusError: The file cannot be written.
    """
    told = {"provenance": dict(provenance or {}), "sizes": [size_row(size, further) for size in sizes]}
    told |= dict(more or {})
    write_text(path, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
