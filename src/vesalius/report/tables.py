"""Scores as CSV, for spreadsheets, and as JSON, for machines."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence

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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in ("case", "target", *metrics)])
    for one in scores:
        for target, row in one.values.items():
            numbers = [row.get(name, math.nan) for name in metrics]
            written = ["" if math.isnan(value) else repr(float(value)) for value in numbers]
            writer.writerow([safe_cell(one.case), safe_cell(target), *written])
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
