"""The public photographs of the retina: DRIVE, STARE, CHASE_DB1 with vessels, IDRiD and DIARETDB1 with lesions.

Each keeps a file for each thing that was drawn, a second reader's drawings, fields of view and an official split in a
way of its own, which is more than a pair of image and reference; the study of the retina reads them from here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.io import PICTURES, read
from vesalius.io.layouts.files import stem, suffix

VESSELS = ("vessels",)
LESIONS = ("hard exudates", "soft exudates", "haemorrhages", "microaneurysms")
"""In the order in which they are drawn over each other: the smallest last."""

Part = Literal["train", "test", ""]


@dataclass(frozen=True)
class Drawing:
    """A file in which a reader marked something.

    Args:
        path: The picture.
        above: Its brightest channel is above this where something is marked.
    """

    path: Path
    above: float = 0

    def read(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """What is marked, ``(i, j)``.

        Args:
            shape: Of the photograph.

        Raises:
            FormatError: The file cannot be read.
            DataError: It has another size than the photograph.
        """
        drawn = read(self.path).array.max(axis=0)
        if drawn.shape != shape:
            raise DataError(f"{self.path.name}: {drawn.shape} pixels, and its photograph has {shape}")
        return np.asarray(drawn > self.above)


@dataclass(frozen=True)
class Eye:
    """A photograph and what was drawn on it.

    Args:
        id: Its name.
        patient: Whose eye it is, as far as the name tells.
        photograph: The file.
        drawings: By what they show; a lesion that is not there has none.
        second: A second reader's drawing of the vessels.
        field: The official field of view.
        part: Of the official split; empty where there is none.
    """

    id: str
    patient: str
    photograph: Path
    drawings: Mapping[str, Drawing] = field(default_factory=dict)
    second: Drawing | None = None
    field: Drawing | None = None
    part: Part = ""


@dataclass(frozen=True)
class Eyes:
    """One of the public sets.

    Args:
        name: Of the set.
        targets: What is drawn in it, `VESSELS` or `LESIONS`.
        eyes: The photographs with drawings, sorted.
        notes: What is amiss, one sentence each.
    """

    name: str
    targets: tuple[str, ...]
    eyes: tuple[Eye, ...]
    notes: tuple[str, ...] = ()


def find_eyes(folder: Path) -> tuple[Eyes, ...]:
    """The public sets of retinas in a folder: the folder itself is one, or each of its folders.

    Args:
        folder: What was unpacked, its names unchanged.

    Returns:
        At least one set, in the order of `SETS`; where two forms fit, the first.

    Raises:
        DataError: None is there.
    """
    if not folder.is_dir():
        raise DataError(f"{folder.name}: there is no such folder")
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = [eyes for place in (folder, *inside) for eyes in _sets_of(place)]
    names = {eyes.name: eyes for eyes in reversed(found)}  # the outermost of each name
    if not names:
        forms = "; ".join(f"{name}: {form}" for name, (form, _) in SETS.items())
        raise DataError(f"{folder.name}: none of the public sets of retinas. They are known by their files: {forms}")
    return tuple(names[name] for name in SETS if name in names)


def _sets_of(folder: Path) -> Iterable[Eyes]:
    for _, find in SETS.values():
        found = find(folder)
        if found is not None:
            yield found
            return


def _drive(folder: Path) -> Eyes | None:
    eyes, notes = [], []
    parts: dict[str, Part] = {"training": "train", "test": "test"}
    for name, part in parts.items():
        for path in _pictures(folder / name / "images"):
            match = re.fullmatch(r"(\d+)_(?:training|test)", stem(path))
            if match is None:
                continue
            first, second, mask = (
                _one(folder / name / inner, f"{match[1]}_{word}")
                for inner, word in (("1st_manual", "manual1"), ("2nd_manual", "manual2"), ("mask", f"{name}_mask"))
            )
            if first is None:
                notes.append(f"DRIVE: {stem(path)} has no drawing in 1st_manual and was left out")
                continue
            drawn = {"vessels": Drawing(first, 127)}
            eyes.append(Eye(stem(path), match[1], path, drawn, _drawing(second, 127), _drawing(mask, 127), part))
    return Eyes("DRIVE", VESSELS, tuple(eyes), tuple(notes)) if eyes else None


def _stare(folder: Path) -> Eyes | None:
    """Adam Hoover's drawings (``ah``) are the first reader's, Valentina Kouznetsova's (``vk``) the second's."""
    photographs = {stem(path): path for path in _below(folder) if re.fullmatch(r"im\d{4}", stem(path))}
    drawings = {stem(path): path for path in _below(folder) if re.fullmatch(r"im\d{4}\.(ah|vk)", stem(path))}
    eyes = [
        Eye(name, name, path, {"vessels": Drawing(drawings[f"{name}.ah"], 127)},
            _drawing(drawings.get(f"{name}.vk"), 127))
        for name, path in sorted(photographs.items()) if f"{name}.ah" in drawings
    ]  # fmt: skip
    without = sorted(set(photographs) - {eye.id for eye in eyes})
    # STARE has 400 photographs, and vessels were drawn on 20.
    notes = (f"STARE: {len(without)} photographs have no drawn vessels and were left out",) if without else ()
    return Eyes("STARE", VESSELS, tuple(eyes), notes) if eyes else None


def _chase(folder: Path) -> Eyes | None:
    eyes, notes = [], []
    for path in _pictures(folder):
        match = re.fullmatch(r"Image_(\d+)([LR])", stem(path))
        if match is None:
            continue
        first, second = (_one(folder, f"{stem(path)}_{word}HO") for word in ("1st", "2nd"))
        if first is None:
            notes.append(f"CHASE_DB1: {stem(path)} has no drawing _1stHO and was left out")
            continue
        drawn = {"vessels": Drawing(first, 0)}
        eyes.append(Eye(stem(path), match[1], path, drawn, _drawing(second, 0)))
    return Eyes("CHASE_DB1", VESSELS, tuple(eyes), tuple(notes)) if eyes else None


_IDRID = {
    "1. Microaneurysms": ("MA", "microaneurysms"),
    "2. Haemorrhages": ("HE", "haemorrhages"),
    "3. Hard Exudates": ("EX", "hard exudates"),
    "4. Soft Exudates": ("SE", "soft exudates"),
}


def _idrid(folder: Path) -> Eyes | None:
    root = next((folder / name for name in ("A. Segmentation", ".") if (folder / name / _ORIGINALS).is_dir()), None)
    if root is None:
        return None
    eyes, notes = [], []
    parts: dict[str, Part] = {"a. Training Set": "train", "b. Testing Set": "test"}
    for name, part in parts.items():
        for path in _pictures(root / _ORIGINALS / name):
            drawn = {}
            for place, (mark, target) in _IDRID.items():
                found = _one(root / "2. All Segmentation Groundtruths" / name / place, f"{stem(path)}_{mark}")
                if found is not None:
                    drawn[target] = Drawing(found)
            if not drawn:
                notes.append(f"IDRiD: {stem(path)} has no drawing of any lesion and was left out")
                continue
            eyes.append(Eye(stem(path), stem(path), path, drawn, part=part))
    return Eyes("IDRiD", LESIONS, tuple(eyes), tuple(notes)) if eyes else None


_ORIGINALS = "1. Original Images"
_DIARETDB1 = {
    "redsmalldots": "microaneurysms",
    "hemorrhages": "haemorrhages",
    "hardexudates": "hard exudates",
    "softexudates": "soft exudates",
}
_CONFIDENCE = 0.75  # of the four experts together. Source: evaldiaretdb1_configure.m of the set, evalconfidence


def _diaretdb1(folder: Path) -> Eyes | None:
    root = next((path for path in (folder, folder / "resources") if (path / "images/ddb1_fundusimages").is_dir()), None)
    if root is None:
        return None
    parts = _listed(root / "traindatasets" / "trainset.txt", "train")
    parts |= _listed(root / "testdatasets" / "testset.txt", "test")
    truth = root / "images" / "ddb1_groundtruth"
    mask = _one(root / "images" / "ddb1_fundusmask", "fmask")
    eyes, notes = [], []
    for path in _pictures(root / "images" / "ddb1_fundusimages"):
        drawn = {}
        for place, target in _DIARETDB1.items():
            found = _one(truth / place, stem(path))
            if found is not None:
                # At least three of four experts: grey levels are their mean confidence, 0 to 255.
                drawn[target] = Drawing(found, _CONFIDENCE * 255 - 1)
        if not drawn:
            notes.append(f"DIARETDB1: {stem(path)} has no drawing and was left out")
            continue
        name = stem(path)
        eyes.append(Eye(name, name, path, drawn, field=_drawing(mask, 0), part=parts.get(name, "")))
    return Eyes("DIARETDB1", LESIONS, tuple(eyes), tuple(notes)) if eyes else None


SETS: dict[str, tuple[str, Callable[[Path], Eyes | None]]] = {
    "DRIVE": ("training/images/21_training.tif with 1st_manual beside it", _drive),
    "CHASE_DB1": ("Image_01L.jpg with Image_01L_1stHO.png", _chase),
    "STARE": ("im0001.ppm with im0001.ah.ppm", _stare),
    "IDRiD": ("A. Segmentation/1. Original Images", _idrid),
    "DIARETDB1": ("resources/images/ddb1_fundusimages", _diaretdb1),
}
"""The sets, by what each is known, and how it is read.

Source: the folders of the published archives. Staal et al., IEEE TMI 23:501 (2004); Hoover et al., IEEE TMI 19:203
(2000); Fraz et al., IEEE TBME 59:2538 (2012); Porwal et al., Data 3:25 (2018); Kauppi et al., BMVC 2007.
"""


def _listed(path: Path, part: Part) -> dict[str, Part]:
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace")[: 1 << 20].splitlines()
    return {stem(Path(line.split()[0])): part for line in lines if line.split()}


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if suffix(path) in PICTURES and not path.name.startswith("."))


def _below(folder: Path) -> list[Path]:
    """The pictures of a folder, and of those right inside it: STARE's archives unpack beside each other."""
    inside = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return [path for place in (folder, *sorted(inside)) for path in _pictures(place)]


def _one(folder: Path, name: str) -> Path | None:
    return next((path for path in _pictures(folder) if stem(path) == name), None)


def _drawing(path: Path | None, above: float) -> Drawing | None:
    return None if path is None else Drawing(path, above)
