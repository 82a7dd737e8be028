"""ISIC: dermoscopy of skin lesions with one outlined lesion each, as in the challenges of 2016 to 2018.

```text
ISIC-2017_Training_Data/ISIC_0000000.jpg              ISIC-2017_Training_Part1_GroundTruth/ISIC_0000000_segmentation.png
ISIC-2017_Training_Data/ISIC_0000000_superpixels.png  ISIC-2017_Training_Part3_GroundTruth.csv
```

Source: the archives of challenge.isic-archive.com/data; Codella et al., arXiv:1710.05006.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from vesalius.image import Labels, LeftOut, Record
from vesalius.io.layouts.files import find_images, stem
from vesalius.io.layouts.found import Found, refuse_choice

LOOKS_FOR = "ISIC: ISIC_0000000.jpg and ISIC_0000000_segmentation.png, together or in folders of their own"

LABELS = Labels.of({"lesion": 1})

_NAMED = re.compile(r"(?P<case>ISIC_\d{7})(?P<mark>_segmentation|_superpixels|_downsampled)?", re.IGNORECASE)
_TABLE = ("image_id", "melanoma", "seborrheic_keratosis")
_LARGEST_BYTES = 16 << 20


def recognise(folder: Path) -> bool:
    """Whether there is a photograph and the outline of its lesion."""
    if not folder.is_dir():
        return False
    photographs, references, _ = _collect(folder)
    return bool(photographs.keys() & references.keys())


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Pair the photographs with their outlines; the group ``diagnosis`` is that of the table of part 3, if it is there.

    The set does not tell which photographs are of one person.
    """
    refuse_choice("isic", reference)
    photographs, references, others = _collect(folder)
    diagnoses = _diagnoses(folder)
    records = tuple(
        Record(case, (path,), references.get(case), groups={"diagnosis": diagnoses[case]} if case in diagnoses else {})
        for case, path in sorted(photographs.items())
    )
    left_out = [LeftOut(path.name, "superpixels, or another file that is no photograph and no outline")
                for path in others]  # fmt: skip
    left_out += [LeftOut(p.name, "there is no photograph of this name") for c, p in references.items()
                 if c not in photographs]  # fmt: skip
    return Found(records, labels=LABELS, left_out=tuple(left_out))


def _collect(folder: Path) -> tuple[dict[str, Path], dict[str, Path], list[Path]]:
    photographs: dict[str, Path] = {}
    references: dict[str, Path] = {}
    others = []
    for path in find_images(folder):
        match = _NAMED.fullmatch(stem(path))
        home = None if match is None else {None: photographs, "_segmentation": references}.get(match["mark"])
        if match is None or home is None or match["case"] in home:
            others.append(path)
        else:
            home[match["case"]] = path
    return photographs, references, others


def _diagnoses(folder: Path) -> Mapping[str, str]:
    """By photograph, from the tables of part 3; one that cannot be read tells nothing."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("**/*.csv")):
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                text = file.read(_LARGEST_BYTES)
        except (OSError, UnicodeDecodeError):
            continue
        table = csv.DictReader(text.splitlines())
        if not set(_TABLE) <= set(table.fieldnames or ()):
            continue
        for row in table:
            melanoma, keratosis = (_is_one(row[name]) for name in _TABLE[1:])
            found[row["image_id"]] = "melanoma" if melanoma else "seborrhoeic keratosis" if keratosis else "naevus"
    return found


def _is_one(cell: str | None) -> bool:
    return (cell or "").strip() in ("1", "1.0")
