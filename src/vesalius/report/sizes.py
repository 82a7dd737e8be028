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


def size_row(size: Size) -> dict[str, Any]:
    """A size as a row: its columns, and its code as ``scheme:value`` where it has one.

    Example:
        >>> size_row(Size("liver", 1, 20, volume_ml=0.5))["volume_ml"]
        0.5
    """
    row = {name: getattr(size, name) for name in COLUMNS}
    row["code"] = f"{size.code.scheme}:{size.code.value}" if size.code else None
    return row


def write_sizes_csv(sizes: Sequence[Size], path: str | os.PathLike[str]) -> None:
    """Write one row for each structure; what is not known is an empty cell.

    Text that a spreadsheet would run as a formula gets a leading quote.

    Args:
        sizes: What was measured.
        path: The CSV file to write.

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
    write_rows([(*COLUMNS, "code"), *(size_row(size).values() for size in sizes)], path)


def write_sizes_json(
    sizes: Sequence[Size],
    path: str | os.PathLike[str],
    *,
    provenance: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write the sizes with what they were measured on; what is not known is null.

    Args:
        sizes: What was measured.
        path: The JSON file to write.
        provenance: What they were made of and with: names and versions, never patients.
        more: Further entries of the file, beside the sizes.

    Raises:
        VesaliusError: The file cannot be written.
    """
    told = {"provenance": dict(provenance or {}), "sizes": [size_row(size) for size in sizes], **(more or {})}
    write_text(path, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
