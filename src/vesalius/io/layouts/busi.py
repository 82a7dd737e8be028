"""BUSI: ultrasound of the breast in folders by class, each lesion of a picture in a mask of its own.

```text
Dataset_BUSI_with_GT/{benign,malignant,normal}/benign (1).png, benign (1)_mask.png, benign (1)_mask_1.png …
```

Source: Al-Dhabyani et al., Data in Brief 28:104863 (2020), doi:10.1016/j.dib.2019.104863.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from vesalius.image import Case, Dataset, LabelMap, Labels, LeftOut, Record
from vesalius.io import read, read_labels
from vesalius.io.layouts.files import find_images, stem, suffix
from vesalius.io.layouts.found import Found, refuse_choice
from vesalius.io.layouts.load import refuse_other_place

LOOKS_FOR = "BUSI: benign/benign (1).png with benign (1)_mask.png, and malignant/ likewise"

LABELS = Labels.of({"lesion": 1})
"""Masks of the class ``normal`` are empty."""

_CLASSES = ("benign", "malignant", "normal")
_NAMED = re.compile(r"(?P<case>(?P<class>benign|malignant|normal)[ _]?\(?\d+\)?)(?P<mask>_mask(?:_\d+)?)?")


def recognise(folder: Path) -> bool:
    """Whether there are the classes' folders, with a picture and its mask."""
    if not folder.is_dir():
        return False
    pictures, masks, _ = _collect(folder)
    return bool(pictures.keys() & masks.keys()) and len({_class(case) for case in pictures}) > 1


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Find the pictures; the masks of one are united when it is read. The group ``class`` is that of the folder.

    Whose the pictures are is not told, and some are nearly the same.
    """
    refuse_choice("busi", reference)
    pictures, masks, others = _collect(folder)
    records = tuple(
        Record(case, (path,), masks[case][0], groups={"class": _class(case)})
        for case, path in sorted(pictures.items(), key=_order)
        if case in masks
    )
    left_out = [LeftOut(case, "it has no mask") for case in pictures if case not in masks]
    left_out += [LeftOut(path.name, "there is no picture of this name") for c, found in masks.items()
                 if c not in pictures for path in found]  # fmt: skip
    left_out += [LeftOut(path.name, "neither a picture of a class nor its mask") for path in others]
    several = sum(len(masks[record.id]) > 1 for record in records)
    return Found(
        records,
        ("red", "green", "blue"),
        declared=True,
        labels=LABELS,
        left_out=tuple(left_out),
        notes=(f"masks of one picture are united, of {several} in all",) if several else (),
        load=partial(_load, {record.id: masks[record.id] for record in records}),
    )


def _load(masks: Mapping[str, tuple[Path, ...]], record: Record, _: Dataset) -> Case:
    image = read(record.images[0])
    united = np.zeros(image.grid.shape, np.uint8)
    for path in masks[record.id]:
        drawn = read_labels(path)
        refuse_other_place(image, drawn.grid, path.name)
        united[drawn.array > 0] = 1
    return Case(record.id, image, LabelMap(united, image.grid, LABELS), record.patient, record.groups)


def _collect(folder: Path) -> tuple[dict[str, Path], dict[str, tuple[Path, ...]], list[Path]]:
    """Pictures and masks by the picture's name, and other images."""
    pictures: dict[str, Path] = {}
    masks: dict[str, tuple[Path, ...]] = {}
    others = []
    for path in find_images(folder):
        match = _NAMED.fullmatch(stem(path)) if suffix(path) == ".png" else None
        home = match is not None and path.parent.name.casefold() == match["class"]
        if match is None or not home or (match["mask"] is None and match["case"] in pictures):
            others.append(path)
        elif match["mask"] is None:
            pictures[match["case"]] = path
        else:
            masks[match["case"]] = (*masks.get(match["case"], ()), path)
    return pictures, masks, others


def _class(case: str) -> str:
    return next(name for name in _CLASSES if case.startswith(name))


def _order(item: tuple[str, Path]) -> tuple[str, int]:
    return _class(item[0]), int(re.sub(r"\D", "", item[0]))
