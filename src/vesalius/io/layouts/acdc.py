"""ACDC: a folder for each patient with ``Info.cfg``, and its heart at end-diastole and end-systole.

```text
training/patient001/{Info.cfg, patient001_frame01.nii.gz, patient001_frame01_gt.nii.gz, patient001_4d.nii.gz, …}
```

Source: the archive of the Automated Cardiac Diagnosis Challenge (creatis.insa-lyon.fr/Challenge/acdc); Bernard et al.,
IEEE TMI 37:2514 (2018), doi:10.1109/TMI.2018.2837502.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from vesalius.image import Labels, LeftOut, Record
from vesalius.io.layouts.files import find_images, stem
from vesalius.io.layouts.found import Found, refuse_choice, without_doubles

LOOKS_FOR = "ACDC: patient001/Info.cfg with patient001_frame01.nii.gz and patient001_frame01_gt.nii.gz"

LABELS = Labels.of({"right ventricle": 1, "myocardium": 2, "left ventricle": 3})
"""What the values mean: the ventricles are their cavities, the myocardium is the left one's."""

DIASTOLE, SYSTOLE = "end-diastole", "end-systole"
"""Values of the group ``phase``."""

_PATIENT = re.compile(r"patient\d+")
_FRAME = re.compile(r"(?P<patient>patient\d+)_frame(?P<number>\d+)(?P<reference>_gt)?")
_LARGEST_BYTES = 1 << 16  # of Info.cfg, which has six lines


def recognise(folder: Path) -> bool:
    """Whether there is a patient's folder with its ``Info.cfg`` and a frame."""
    return folder.is_dir() and any(_frames(place) for place in _patients(folder))


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Find the frames; the groups ``phase`` and ``diagnosis`` are those of ``Info.cfg``.

    Films (``_4d``) are left out: their frames at both ends of the beat are the cases. Height and weight are not read.
    """
    refuse_choice("acdc", reference)
    records: list[Record] = []
    left_out: list[LeftOut] = []
    folders: dict[str, tuple[str, ...]] = {}
    notes = []
    for place in _patients(folder):
        known = _read_info(place / "Info.cfg")
        if not {"ED", "ES"} <= set(known):
            notes.append(f"{place.name}: its Info.cfg does not tell the frames of end-diastole and end-systole")
        frames = _frames(place)
        references = {number: path for (number, drawn), path in frames.items() if drawn}
        for (number, drawn), path in frames.items():
            if drawn:
                continue
            phase = {known.get("ED"): DIASTOLE, known.get("ES"): SYSTOLE}.get(str(number), "")
            groups = {"diagnosis": known.get("Group", ""), "phase": phase}
            case = stem(path)
            records.append(
                Record(case, (path,), references.pop(number, None), groups={n: v for n, v in groups.items() if v})
            )
            folders[case] = place.relative_to(folder).parts or (place.name,)
        left_out += [LeftOut(path.name, "there is no image of this frame") for path in references.values()]
        left_out += [
            LeftOut(path.name, "a film, whose frames are the cases, or no file of ACDC")
            for path in find_images(place)
            if path not in frames.values()
        ]
    return Found(
        tuple(without_doubles(records, left_out)),
        ("MR",),
        declared=True,
        labels=LABELS,
        left_out=tuple(left_out),
        notes=tuple(notes),
        folders=folders,
    )


def _patients(folder: Path) -> Iterator[Path]:
    """The patients' folders: the folder itself, those in it, and those below ``training`` and ``testing``."""
    for depth in ("", "*/", "*/*/", "*/*/*/"):
        for info in sorted(folder.glob(f"{depth}Info.cfg")):
            if _PATIENT.fullmatch(info.parent.name):
                yield info.parent


def _frames(place: Path) -> dict[tuple[int, bool], Path]:
    """The images of a patient by their number, and whether they are references."""
    found: dict[tuple[int, bool], Path] = {}
    for path in find_images(place):
        match = _FRAME.fullmatch(stem(path))
        if match and path.parent == place and match["patient"] == place.name:
            found.setdefault((int(match["number"]), match["reference"] is not None), path)
    return found


def _read_info(path: Path) -> Mapping[str, str]:
    """The lines ``name: value``; a damaged file tells nothing."""
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}
