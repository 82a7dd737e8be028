"""BraTS: a folder for each patient with one file for each sequence, in the forms of 2013, of 2017 to 2020 and of 2023.

```text
BraTS20_Training_001/BraTS20_Training_001_{t1,t1ce,t2,flair,seg}.nii.gz      2017 to 2021, labels 1, 2, 4
BraTS-GLI-00000-000/BraTS-GLI-00000-000-{t1n,t1c,t2w,t2f,seg}.nii.gz         2023 and later, labels 1, 2, 3
brats_2013_pat0001_1/{T1,T1c,T2,Flair}….nii.gz or .mha, OT….nii.gz or .mha   2013 to 2015, labels 1, 2, 3, 4
```
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vesalius.errors import VesaliusError
from vesalius.image import Labels, LeftOut, Record
from vesalius.io import read_labels
from vesalius.io.layouts.files import find_images, stem
from vesalius.io.layouts.found import Found, refuse_choice, without_doubles

LOOKS_FOR = (
    "BraTS: a folder for each patient, such as BraTS20_Training_001/BraTS20_Training_001_t1ce.nii.gz, "
    "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz or brats_2013_pat0001_1/T1c….nii.gz"
)

Convention = Literal["1/2/4", "1/2/3", "1/2/3/4"]
"""Which values the compartments have: those of 2017 to 2021, of 2023 and later, of 2013 to 2015."""

MODALITIES = ("T1", "T1CE", "T2", "FLAIR")
"""The sequences, in the order of the channels."""


def _labels(necrotic: Mapping[str, int], enhancing: int) -> Labels:
    values = {**necrotic, "enhancing tumour": enhancing}
    core = tuple(value for name, value in values.items() if name != "oedema")
    return Labels.of(values, regions={"whole tumour": tuple(values.values()), "tumour core": core})


CONVENTIONS: dict[Convention, Labels] = {
    "1/2/4": _labels({"necrotic core": 1, "oedema": 2}, 4),
    "1/2/3": _labels({"necrotic core": 1, "oedema": 2}, 3),
    "1/2/3/4": _labels({"necrosis": 1, "oedema": 2, "non-enhancing tumour": 3}, 4),
}
"""What the values mean. "Necrotic core" is necrosis together with tumour that does not enhance.

Source: Menze et al., IEEE TMI 34:1993 (2015), doi:10.1109/TMI.2014.2377694 (1 to 4); Bakas et al., arXiv:1811.02629
(1 and 3 joined to 1 from 2017 on); Adewole et al., arXiv:2305.19369 (3 for what was 4, from 2023 on).
"""

_WORDS = {
    "t1": "T1",
    "t1n": "T1",
    "t1ce": "T1CE",
    "t1c": "T1CE",
    "t2": "T2",
    "t2w": "T2",
    "flair": "FLAIR",
    "t2f": "FLAIR",
    "seg": "reference",
    "ot": "reference",
}
_NAMED = re.compile(r"(?P<case>.+?)(?P<mark>[_-])(?P<word>t1ce|t1c|t1n|t1|t2w|t2f|t2|flair|seg)", re.IGNORECASE)
_FOLDER = re.compile(r"brats", re.IGNORECASE)
_OLD_FOLDER = re.compile(r"brats_(?:2013|tcia)_", re.IGNORECASE)
_OLD = re.compile(r"(?:VSD\..*\.(?:MR_)?)?(?P<word>t1c|t1|t2|flair|ot)(?:multiclass)?(?:[._].*)?", re.IGNORECASE)
_STRAY = re.compile(r".+_Segm", re.IGNORECASE)  # the reference of BraTS20_Training_355 has kept its maker's name
_TELLING = frozenset({"t1ce", "t1n", "t2f"})  # no other data set calls its sequences so


@dataclass(frozen=True)
class BratsCase:
    """The files of a patient.

    Args:
        id: Name of the folder.
        images: One file for each of `MODALITIES` that is there, in that order.
        reference: The segmentation, if there is one.
        old: Whether it is named as in 2013 to 2015.
        folders: The folders below the root in which it lies.
    """

    id: str
    images: Mapping[str, Path]
    reference: Path | None
    old: bool
    folders: tuple[str, ...] = ()


def recognise(folder: Path) -> bool:
    """Whether there is a patient's folder with files that are named after it and after a sequence."""
    return folder.is_dir() and bool(_collect(folder)[0])


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Find the cases, and the convention of the set.

    The references are read to tell which values they hold, because the names do not: many copies of older sets have 3
    where 4 was. The convention of most cases is the set's. Cases of another one are left out, and so are those that
    lack a sequence which most cases have.

    Raises:
        FormatError: A folder cannot be listed.
    """
    refuse_choice("brats", reference)
    cases, left_out = _collect(folder)
    conventions, doubts = read_conventions(cases)
    known = Counter(conventions.values())
    usual = max(known, key=lambda name: known[name], default=None)
    channels = usual_modalities(cases)
    records = []
    for case in cases:
        lacks = [name for name in channels if name not in case.images]
        if case.id in doubts:
            left_out.append(LeftOut(case.id, doubts[case.id]))
        elif lacks:
            left_out.append(
                LeftOut(case.id, f"its {', '.join(lacks)} is missing (vesalius study brain-tumour can do without)")
            )
        elif conventions.get(case.id, usual) != usual:
            left_out.append(
                LeftOut(
                    case.id,
                    f"its labels are {conventions[case.id]}, those of most cases {usual} "
                    "(vesalius study brain-tumour reads both)",
                )
            )
        else:
            records.append(Record(case.id, tuple(case.images[name] for name in channels), case.reference))
    tables = sorted(path.name for path in folder.glob("*.csv"))
    notes = [f"BraTS with labels {usual}"] if usual else []
    notes += [f"{', '.join(tables)}: not read, for nothing of it is needed"] if tables else []
    return Found(
        tuple(without_doubles(records, left_out)),
        channels,
        labels=CONVENTIONS[usual] if usual else None,
        left_out=tuple(left_out),
        notes=tuple(notes),
        folders={case.id: case.folders for case in cases},
    )


def find_cases(folder: Path) -> tuple[tuple[BratsCase, ...], tuple[LeftOut, ...]]:
    """Find the patients' folders; nothing is read.

    Args:
        folder: The root; grades (``HGG``, ``LGG``) and the like may lie between.

    Returns:
        The cases with at least one image, and what cannot be used, with the reason.
    """
    cases, left_out = _collect(folder)
    return tuple(cases), tuple(left_out)


def usual_modalities(cases: Sequence[BratsCase]) -> tuple[str, ...]:
    """The sequences that at least half of the cases have.

    Example:
        >>> image = Path("t1.nii")
        >>> usual_modalities([BratsCase("a", {"T1": image}, None, False)])
        ('T1',)
    """
    counts = Counter(name for case in cases for name in case.images)
    return tuple(name for name in MODALITIES if counts[name] and 2 * counts[name] >= len(cases))


def read_conventions(cases: Iterable[BratsCase]) -> tuple[dict[str, Convention], dict[str, str]]:
    """Tell the convention of each case from the values in its reference.

    A reference without enhancing tumour (1 and 2 only) fits both newer conventions; it says nothing and is in neither
    result. One that cannot be read says nothing either: whoever reads the case will be told.

    Returns:
        ``{id: convention}``, and ``{id: reason}`` of those that fit none.
    """
    found: dict[str, Convention] = {}
    doubts: dict[str, str] = {}
    drawn = [case for case in cases if case.reference is not None]
    with ThreadPoolExecutor(2) as pool:
        for case, values in zip(drawn, pool.map(_values, drawn), strict=True):
            if values is None:
                continue
            strangers = sorted(values - {0, 1, 2, 3, 4})
            if strangers:
                doubts[case.id] = f"its reference holds {strangers[:4]}; BraTS has 0 to 4"
            elif case.old:
                found[case.id] = "1/2/3/4"
            elif {3, 4} <= values:
                doubts[case.id] = "its reference holds both 3 and 4, of which one convention has one"
            elif values & {3, 4}:
                found[case.id] = "1/2/4" if 4 in values else "1/2/3"
    return found, doubts


def _values(case: BratsCase) -> set[int] | None:
    assert case.reference is not None
    try:
        return set(read_labels(case.reference).counts())
    except VesaliusError:
        return None


def _collect(folder: Path) -> tuple[list[BratsCase], list[LeftOut]]:
    places: dict[Path, list[Path]] = {}
    for path in find_images(folder):
        if path != folder:
            places.setdefault(_place(path, folder), []).append(path)
    cases: list[BratsCase] = []
    left_out: list[LeftOut] = []
    for place, paths in sorted(places.items()):
        roles, old = _roles(place, paths)
        if not roles:
            continue
        parts = place.relative_to(folder).parts if place != folder else ()
        images = {name: roles[name] for name in MODALITIES if name in roles}
        used = {*roles.values()}
        left_out += [
            LeftOut(path.relative_to(folder).as_posix(), "neither a sequence nor a segmentation of BraTS")
            for path in paths
            if path not in used
        ]
        if images:
            cases.append(BratsCase(place.name, images, roles.get("reference"), old, parts))
        else:
            left_out.append(LeftOut(place.name, "it has a segmentation and no image"))
    return cases, left_out


def _place(path: Path, root: Path) -> Path:
    """The patient's folder: of 2015's files, each of which lies in a folder of its own, the one above."""
    above = path.parent
    return above.parent if above != root and path.stem == above.name else above


def _roles(place: Path, paths: Sequence[Path]) -> tuple[dict[str, Path], bool]:
    """What each file of a folder is; nothing where the folder is no patient of BraTS."""
    if _OLD_FOLDER.match(place.name):
        old = {path: _OLD.fullmatch(stem(path)) for path in paths}
        found = {_WORDS[match["word"].lower()]: path for path, match in old.items() if match}
        if found:
            return found, True
    named = {path: _NAMED.fullmatch(stem(path)) for path in paths}
    own = {path: match["word"].lower() for path, match in named.items() if match and match["case"] == place.name}
    if not own or not (_FOLDER.match(place.name) or _TELLING & set(own.values())):
        return {}, False
    roles = {_WORDS[word]: path for path, word in own.items()}
    stray = [path for path in paths if _STRAY.fullmatch(stem(path))]
    if "reference" not in roles and len(stray) == 1:
        roles["reference"] = stray[0]
    return roles, False
