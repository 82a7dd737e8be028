"""A CSV table that names the files of every case.

```text
case,patient,image:T1,image:FLAIR,reference,group:sex,group:scanner
a,p1,scans/a_t1.nii.gz,scans/a_flair.nii.gz,labels/a.nii.gz,f,Aera
b,p2,scans/b_t1.nii.gz,scans/b_flair.nii.gz,,m,Skyra
```

``case`` and at least one ``image`` column are obligatory. A column ``image`` without a name holds files with one or
several channels. Relative paths start at the table's folder; an empty ``reference`` means that there is none.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from vesalius.errors import DataError, FormatError, unknown_name
from vesalius.image import Dataset, LeftOut, Record
from vesalius.io.atomic import write_text
from vesalius.io.layouts.declared import labels_beside
from vesalius.io.layouts.found import Found, refuse_choice, without_doubles

LOOKS_FOR = "a CSV table, or a folder with one, that has the columns case and image (or image:NAME …)"

_SUFFIXES = (".csv", ".tsv")
_LARGEST_BYTES = 256 << 20
_UNSAFE = re.compile(r"[/\\\x00-\x1f]|^\.{1,2}$")  # a case's name becomes a file's name


def recognise(folder: Path) -> bool:
    """Whether this is a table with the columns ``case`` and ``image…``, or a folder that holds one."""
    return bool(_tables(folder))


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Read the table. Cases whose files are missing are left out.

    Args:
        folder: The table, or the folder that holds exactly one.
        reference: Not for this layout, which has a column for it.

    Raises:
        FormatError: The table cannot be read, lacks a column, has one that is not known, or a line has too many or
            too few fields.
        DataError: The folder holds several tables.
    """
    refuse_choice("manifest", reference)
    tables = _tables(folder)
    if len(tables) != 1:
        found = ", ".join(path.name for path in tables) or "none"
        raise DataError(f"{folder.name}: there must be one manifest; found: {found}. Give the path of the table itself")
    path = tables[0]
    rows = _read(path)
    columns = _columns(path, rows[0])
    records: list[Record] = []
    left_out: list[LeftOut] = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(row):
            continue
        if len(row) != len(rows[0]):
            raise FormatError(f"{path.name}: line {number} has {len(row)} fields, the header has {len(rows[0])}")
        cells = dict(zip(columns, row, strict=True))
        outcome = _record(path, number, cells)
        (records if isinstance(outcome, Record) else left_out).append(outcome)  # type: ignore[arg-type]
    named = tuple(name for kind, name in columns if kind == "image")
    return Found(
        tuple(without_doubles(records, left_out)),
        named if all(named) else (),
        labels=labels_beside(path.parent),
        left_out=tuple(left_out),
    )


def write_manifest(dataset: Dataset, path: Path) -> None:
    """Write a data set's records as a table that `scan` reads back.

    Paths are written relative to the table where that is possible. Names of labels are not part of it: put a
    ``dataset.json`` with ``labels`` beside the table to keep them.

    Args:
        dataset: What `vesalius.io.layouts.index` returned.
        path: The table to write; ``.tsv`` separates by tabulators, everything else by commas.

    Raises:
        VesaliusError: The file cannot be written.
    """
    groups = sorted({name for record in dataset.records for name in record.groups})
    files = max((len(record.images) for record in dataset.records), default=1)
    # A file with several channels has no one name.
    named = files == len(dataset.channels)
    images = [f"image:{dataset.channels[n] if named else n}" for n in range(files)] if named or files > 1 else ["image"]
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", lineterminator="\n")
    table.writerow(["case", "patient", *images, "reference", *(f"group:{name}" for name in groups)])
    for record in dataset.records:
        table.writerow(
            [
                record.id,
                record.patient,
                *(_relative(image, path.parent) for image in record.images),
                _relative(record.reference, path.parent) if record.reference else "",
                *(record.groups.get(name, "") for name in groups),
            ]
        )
    write_text(path, text.getvalue())


def _tables(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder] if folder.suffix.lower() in _SUFFIXES else []
    candidates = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())
    return [path for path in candidates if _has_header(path)]


def _has_header(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline(1 << 16)
    except (OSError, UnicodeDecodeError):
        return False
    names = [name.strip().strip('"').lower() for name in re.split(r"[,;\t]", first.strip())]
    return "case" in names and any(name.split(":")[0] == "image" for name in names)


def _read(path: Path) -> list[list[str]]:
    try:
        size = path.stat().st_size
        if size > _LARGEST_BYTES:
            raise FormatError(f"{path.name}: {size} bytes is too large for a manifest; at most {_LARGEST_BYTES}")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FormatError(f"{path.name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path.name}: must be UTF-8 text: {error.reason} at byte {error.start}") from error
    header = text.split("\n", 1)[0]
    delimiter = max("\t;,", key=header.count)
    try:
        rows = [
            [cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        ]
    except csv.Error as error:
        raise FormatError(f"{path.name}: not a table: {error}") from error
    if not rows:
        raise FormatError(f"{path.name}: the table is empty")
    return rows


def _columns(path: Path, header: Sequence[str]) -> list[tuple[str, str]]:
    """Each column as (kind, name): ``image:T1`` is ``("image", "T1")``."""
    columns: list[tuple[str, str]] = []
    for cell in header:
        kind, _, name = (part.strip() for part in cell.partition(":"))
        kind = kind.lower()
        if kind not in ("case", "patient", "image", "reference", "group") or (kind == "group") > bool(name):
            known = ["case", "patient", "image", "image:NAME", "reference", "group:NAME"]
            raise FormatError(f"{path.name}: {unknown_name('column', cell, known)}")
        columns.append((kind, name))
    kinds = [kind for kind, _ in columns]
    if len(set(columns)) != len(columns) or max(kinds.count(k) for k in ("case", "patient", "reference")) > 1:
        raise FormatError(f"{path.name}: a column occurs twice: {', '.join(header)}")
    if "case" not in kinds or "image" not in kinds:
        raise FormatError(f"{path.name}: the columns case and image are obligatory; there are {', '.join(header)}")
    return columns


def _record(path: Path, number: int, cells: Mapping[tuple[str, str], str]) -> Record | LeftOut:
    one = {kind: value for (kind, _), value in cells.items()}
    case = one["case"]
    if not case or _UNSAFE.search(case) or len(case) > 200:
        return LeftOut(
            f"line {number}", "the case's name must be 1 to 200 characters without / and \\, as in a file name"
        )
    images = [value for (kind, _), value in cells.items() if kind == "image"]
    if not all(images):
        return LeftOut(case, f"line {number} has an empty image column: a case needs all its channels")
    files = [path.parent / value for value in images]
    reference = path.parent / one["reference"] if one.get("reference") else None
    missing = [file.name for file in (*files, reference) if file is not None and not _exists(file)]
    if missing:
        return LeftOut(case, f"missing file: {', '.join(missing)}")
    groups = {name: value for (kind, name), value in cells.items() if kind == "group" and value}
    return Record(case, tuple(files), reference, one.get("patient", ""), groups)


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except (OSError, ValueError):  # a name too long for the system, or with a NUL in it
        return False


def _relative(file: Path, start: Path) -> str:
    try:
        return Path(os.path.relpath(file, start)).as_posix()
    except ValueError:  # another drive
        return file.resolve().as_posix()
