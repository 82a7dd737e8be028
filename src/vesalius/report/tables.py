"""Scores as CSV, for spreadsheets, and as JSON, for machines."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence

from vesalius.io.atomic import write_text
from vesalius.metrics import Scores, summarise

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_scores_csv(scores: Sequence[Scores], path: str | os.PathLike[str]) -> None:
    """Write one row for each case and target, one column for each metric; NaN is an empty cell.

    Text that a spreadsheet would run as a formula gets a leading quote.

    Args:
        scores: What was scored.
        path: The CSV file to write.

    Raises:
        VesaliusError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "scores.csv"
        ...     write_scores_csv([Scores("=1+1", {"liver": {"dice": 0.5}})], path)
        ...     print(path.read_text(encoding="utf-8"), end="")
        case,target,dice
        '=1+1,liver,0.5

    Source: OWASP, "CSV Injection".
    """
    metrics = list(dict.fromkeys(name for one in scores for row in one.values.values() for name in row))
    rows: list[list[str | float]] = [
        [one.case, target, *(float(row.get(name, math.nan)) for name in metrics)]
        for one in scores
        for target, row in one.values.items()
    ]
    write_rows([("case", "target", *metrics), *rows], path)


def write_rows(rows: Iterable[Iterable[str | float | None]], path: str | os.PathLike[str]) -> None:
    """Write rows of cells as CSV: None and NaN are empty cells, numbers have all their digits.

    Text that a spreadsheet would run as a formula gets a leading quote.

    Args:
        rows: Cells, row by row, the heads of the columns among them.
        path: The CSV file to write.

    Raises:
        VesaliusError: The file cannot be written.
    """

    def told(cell: str | float | None) -> str:
        if isinstance(cell, str):
            return safe_cell(cell)
        return "" if cell is None or math.isnan(cell) else repr(cell)

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([told(cell) for cell in row] for row in rows)
    write_text(path, text.getvalue())


def write_scores_json(
    scores: Sequence[Scores], path: str | os.PathLike[str], *, provenance: Mapping[str, str] | None = None
) -> None:
    """Write the summary and the scores of every case; NaN is null.

    Args:
        scores: What was scored, at least one case.
        path: The JSON file to write.
        provenance: What the scores were made of and with: names and versions, never patients.

    Raises:
        DataError: There are no scores, or they cannot be summarised.
        VesaliusError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "scores.json"
        ...     write_scores_json([Scores("a", {"liver": {"dice": 0.5}})], path)
        ...     sorted(json.loads(path.read_text(encoding="utf-8")))
        ['cases', 'provenance', 'summary']
    """
    content = {
        "provenance": dict(provenance or {}),
        "summary": summarise(scores).to_dict(),
        "cases": [one.to_dict() for one in scores],
    }
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def safe_cell(text: str) -> str:
    """Put a quote before text that a spreadsheet would take for a formula; numbers stay as they are.

    Example:
        >>> safe_cell("=HYPERLINK()"), safe_cell("-1.5"), safe_cell("case 7")
        ("'=HYPERLINK()", '-1.5', 'case 7')

    Source: OWASP, "CSV Injection".
    """
    if not text.lstrip(" ").startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text
