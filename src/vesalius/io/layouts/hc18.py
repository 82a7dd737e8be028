"""HC18: ultrasound of fetal heads with an ellipse drawn around each, and a table of pixel sizes and circumferences.

```text
training_set/010_HC.png, 010_HC_Annotation.png, 010_2HC.png …    training_set_pixel_size_and_HC.csv
test_set/000_HC.png …                                            test_set_pixel_size.csv
```

Source: van den Heuvel et al., PLoS ONE 13:e0200412 (2018), doi:10.1371/journal.pone.0200412; Zenodo, record 1327317.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesalius.errors import DataError, FormatError
from vesalius.image import Case, Dataset, Grid, LabelMap, Labels, LeftOut, Meta, Record, Volume
from vesalius.io import read, read_labels
from vesalius.io.layouts.files import find_images, stem
from vesalius.io.layouts.found import Found, refuse_choice, without_doubles
from vesalius.io.layouts.load import refuse_other_place

LOOKS_FOR = "HC18: 010_HC.png with 010_HC_Annotation.png, and a table of filename and pixel size(mm)"

LABELS = Labels.of({"fetal head": 1})

_NAMED = re.compile(r"(?P<case>(?P<number>\d{3,4})_\d?HC)(?P<drawn>_Annotation)?", re.IGNORECASE)
_NAME, _PIXEL, _LENGTH = "filename", "pixelsizemm", "headcircumferencemm"
_LARGEST_BYTES = 16 << 20
_LEAST_FILLED = 0.5  # of its box; heads fill 0.6 to 0.8 of it at any turn, an open line far less


@dataclass(frozen=True)
class Head:
    """A line of the table.

    Args:
        pixel_mm: Side of a pixel.
        circumference_mm: As the sonographer measured it; ``None`` in the test set.
    """

    pixel_mm: float
    circumference_mm: float | None = None


def read_heads(folder: Path) -> dict[str, Head]:
    """Read the tables of a folder.

    Args:
        folder: With one or more tables directly in it.

    Returns:
        By the picture's name without ``.png``.

    Raises:
        FormatError: A size is no number above 0; the message names the line.
    """
    heads: dict[str, Head] = {}
    for path, rows in _tables(folder):
        for number, row in enumerate(rows, start=2):
            if not any((cell or "").strip() for cell in row.values()):
                continue
            pixel = _positive(row.get(_PIXEL), path, number)
            length = _positive(row[_LENGTH], path, number) if row.get(_LENGTH) else None
            heads[stem(Path((row.get(_NAME) or "").strip()))] = Head(pixel, length)
    return heads


def recognise(folder: Path) -> bool:
    """Whether there is a table of pixel sizes and a picture that is named as these are."""
    if not folder.is_dir() or not any(True for _ in _tables(folder)):
        return False
    return any(_NAMED.fullmatch(stem(path)) for path in find_images(folder))


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Find the pictures, in mm by the table. What is drawn as a line is filled when it is read.

    Views of one number (``010_HC``, ``010_2HC``) are those of one patient. Which numbers are of one woman is not told.

    Raises:
        FormatError: A table holds something that is no size.
    """
    refuse_choice("hc18", reference)
    heads = read_heads(folder)
    pictures: list[tuple[str, str, Path]] = []
    drawings: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    for path in find_images(folder):
        match = _NAMED.fullmatch(stem(path))
        if match is None:
            left_out.append(LeftOut(path.relative_to(folder).as_posix(), "neither a picture of HC18 nor its drawing"))
        elif match["drawn"]:
            drawings[f"{path.parent}/{match['case']}"] = path
        elif match["case"] not in heads:
            left_out.append(LeftOut(match["case"], "its pixel size is not in the table"))
        else:
            pictures.append((match["case"], match["number"], path))
    records = [
        Record(case, (path,), drawings.pop(f"{path.parent}/{case}", None), patient=number)
        for case, number, path in pictures
    ]
    left_out += [LeftOut(path.name, "there is no picture for this drawing") for path in drawings.values()]
    return Found(
        tuple(without_doubles(records, left_out)),
        ("US",),
        declared=True,
        labels=LABELS,
        left_out=tuple(left_out),
        load=partial(_load, {name: head.pixel_mm for name, head in heads.items()}),
    )


def _load(pixels_mm: Mapping[str, float], record: Record, _: Dataset) -> Case:
    picture = read(record.images[0])
    if picture.channels > 1 and not (picture.array == picture.array[:1]).all():
        raise DataError(f"{record.images[0].name}: a coloured picture, where an ultrasound in grey is meant")
    grid = Grid.from_spacing(picture.grid.shape, (pixels_mm[record.id],) * 2)
    reference = None
    if record.reference is not None:
        drawn = read_labels(record.reference)
        refuse_other_place(picture, drawn.grid, record.reference.name)
        reference = LabelMap(_filled(drawn.array > 0, record.reference.name), grid, LABELS)
    image = Volume(picture.array[:1], grid, Meta(modality="US"))
    return Case(record.id, image, reference, record.patient, record.groups)


def _filled(drawn: NDArray[np.bool_], name: str) -> NDArray[np.uint8]:
    """A head whose outline, or whose whole, was drawn."""
    found = np.asarray(ndimage.binary_fill_holes(drawn), np.bool_)
    if found.any():
        box = ndimage.find_objects(found.astype(np.uint8))[0]
        if found[box].mean() < _LEAST_FILLED:
            raise DataError(f"{name}: the outline of the head is not closed")
    return found.astype(np.uint8)


def _tables(folder: Path) -> Iterator[tuple[Path, list[dict[str, str | None]]]]:
    """The tables of pixel sizes, with the columns' names in small letters only."""
    for path in sorted(folder.glob("*.csv")):
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.reader(file.read(_LARGEST_BYTES).splitlines()))
        except (OSError, UnicodeDecodeError, csv.Error):
            continue
        names = [re.sub(r"[^a-z]", "", cell.lower()) for cell in rows[0]] if rows else []
        if {_NAME, _PIXEL} <= set(names):
            yield path, [dict(zip(names, row, strict=False)) for row in rows[1:]]


def _positive(cell: str | None, path: Path, line: int) -> float:
    try:
        value = float(cell or "")
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise FormatError(f"{path.name}: line {line}: a size must be a number above 0")
    return value
