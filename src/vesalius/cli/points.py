"""Tables of points in ``vesalius evaluate``: candidates against findings, by FROC and CPM."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vesalius.metrics.froc import Froc


def are_points(predictions: Mapping[str, Path], references: Path) -> bool:
    """Whether the references are a table of points; then the predictions must be, too.

    Raises:
        DataError: Only one side is.
    """
    from vesalius.errors import DataError
    from vesalius.io.points import holds_marks

    tables = [path.is_file() and holds_marks(path) for path in (*predictions.values(), references)]
    if any(tables) and not all(tables):
        other = next(path for path, one in zip((*predictions.values(), references), tables, strict=True) if not one)
        raise DataError(
            f"{other.name} is no table of points, and others are: candidates (seriesuid, coordX, coordY, coordZ, "
            "probability) are scored against findings (the same with diameter_mm)"
        )
    return all(tables)


def score_points(args: argparse.Namespace, predictions: Mapping[str, Path], references: Path) -> int:
    """Score each method's candidates, print, and write the report."""
    from vesalius.errors import DataError
    from vesalius.io.points import read_marks
    from vesalius.metrics.froc import candidates_of, findings_of, froc

    if args.calibration or args.metrics:
        raise DataError("tables of points are scored by FROC and CPM alone: leave out --metrics and --calibration")
    findings = _named(references.name, lambda: findings_of(read_marks(references)))
    if args.excluded is not None:
        findings += findings_of(read_marks(args.excluded), irrelevant=True)
    said = {
        name: _named(path.name, lambda path=path: candidates_of(read_marks(path))) for name, path in predictions.items()
    }
    if args.scans is not None:
        scans = _scans(Path(args.scans))
    else:
        scans = tuple(sorted({one.scan for one in (*findings, *(c for some in said.values() for c in some))}))
        print(
            f"vesalius: {len(scans)} scans occur in the tables; if more were searched, name all of them by --scans: "
            "false positives are counted by scan",
            file=sys.stderr,
        )
    found = {name: froc(some, findings, scans=scans) for name, some in said.items()}
    if args.output:
        _write(args, found, predictions, references, len(scans))
    if args.json:
        print(json.dumps(_content(found, len(scans)), allow_nan=False))
        return 0
    for row in _rows(found):
        print("  ".join(cell.ljust(24 if n == 0 else 11) for n, cell in enumerate(row)).rstrip())
    for name, one in found.items():
        print(_in_words(name, one))
    if args.output:
        print(f"report: {Path(args.output) / 'report.html'}")
    return 0


def _named(name: str, read: Any) -> Any:
    """What is wrong in a table, with the table's name before it."""
    from vesalius.errors import DataError

    try:
        return read()
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def _scans(path: Path) -> tuple[str, ...]:
    """Names of scans, a line each, as in LUNA16's seriesuids.csv; further columns and a heading are passed over."""
    from vesalius.errors import DataError, FormatError

    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise FormatError(f"{path.name}: the list of scans cannot be read as text") from None
    names = [line.split(",")[0].strip() for line in lines if line.strip()]
    names = names[1:] if names[:1] == ["seriesuid"] else names
    if not names:
        raise DataError(f"{path.name}: the list of scans is empty")
    return tuple(names)


def _content(found: Mapping[str, Froc], scans: int) -> dict[str, Any]:
    """For machines: of one method its values, of several by their names."""
    if list(found) == [""]:
        return {"scans": scans, **found[""].to_dict()}
    return {"scans": scans, "methods": {name: one.to_dict() for name, one in found.items()}}


def _rows(found: Mapping[str, Froc]) -> list[list[str]]:
    """A table: sensitivity at each rate, and the mean."""
    rates = next(iter(found.values())).rates
    head = ["false positives a scan", *(f"{rate:g}" for rate in rates), "CPM", "95 % interval"]
    return [head] + [
        [
            name or "sensitivity",
            *(f"{value:.3f}" for value in one.at_rates),
            f"{one.cpm:.3f}",
            f"{one.low:.3f} … {one.high:.3f}" if one.low == one.low else "unknown",
        ]
        for name, one in found.items()
    ]


def _in_words(name: str, one: Froc) -> str:
    before = f"{name}: " if name else ""
    return (
        f"{before}{one.findings} findings to be found; false positives of any confidence: {one.false_positives}; "
        f"candidates on what a surer one hits: {one.doubles}; on what does not count: {one.ignored}"
    )


def _write(
    args: argparse.Namespace,
    found: Mapping[str, Froc],
    predictions: Mapping[str, Path],
    references: Path,
    scans: int,
) -> None:
    from vesalius import __version__
    from vesalius.io.atomic import make_folder, write_text
    from vesalius.report import Section, story_html
    from vesalius.report.plots import froc_picture

    out = make_folder(args.output)
    provenance = {name or "candidates": path.name for name, path in predictions.items()}
    provenance |= {"findings": references.name, "made by": f"vesalius {__version__}"}
    content = json.dumps({"provenance": provenance, **_content(found, scans)}, indent=1, allow_nan=False)
    write_text(out / "froc.json", content + "\n")
    texts: Sequence[str] = [
        f"{scans} scans. A candidate nearer to a finding's centre than its radius hits it; the surest counts. CPM is "
        "the mean sensitivity at the rates of the table; its interval is of 1000 resamples of the scans.",
        *(_in_words(name, one) + "." for name, one in found.items()),
    ]
    caption = "Free-response ROC; dotted beyond the last candidate."
    section = Section("Candidates", texts, _rows(found), {caption: froc_picture(found)})
    story_html([section], out / "report.html", title=args.title or "Evaluation of candidates", provenance=provenance)
