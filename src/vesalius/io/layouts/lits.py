"""LiTS: ``volume-N.nii`` with ``segmentation-N.nii``, in one folder or in several."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from vesalius.image import Labels, LeftOut, Record
from vesalius.io.layouts.files import find_images, stem
from vesalius.io.layouts.found import Found, refuse_choice, without_doubles

LOOKS_FOR = "LiTS: volume-0.nii with segmentation-0.nii, volume-1.nii …, beside one another or in folders of their own"

LABELS = Labels.of({"liver": 1, "tumour": 2}, regions={"liver with tumours": (1, 2)})
"""What the values mean.

Source: Bilic et al., Medical Image Analysis 84:102680 (2023), doi:10.1016/j.media.2022.102680.
"""

_NAMED = re.compile(r"(?P<kind>(?:test-)?volume|segmentation)-(?P<number>\d+)", re.IGNORECASE)


def recognise(folder: Path) -> bool:
    """Whether there is a volume and a segmentation of the same number, or nothing but volumes of the test set."""
    if not folder.is_dir():
        return False
    volumes, references, _ = _collect(folder)
    return bool(volumes.keys() & references.keys()) or (bool(volumes) and all("test" in name for name in volumes))


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Pair the volumes with the segmentations of their number; those of the test set have none.

    Of a volume and a segmentation whose headers place them differently the case is left out, as everywhere.
    ``vesalius study liver-tumour`` knows the flaws of this set's headers and mends them.
    """
    refuse_choice("lits", reference)
    volumes, references, left_out = _collect(folder)
    records = [Record(name, (path,), references.get(name)) for name, path in volumes.items()]
    left_out += [
        LeftOut(path.name, "there is no volume of this number") for n, path in references.items() if n not in volumes
    ]
    return Found(tuple(without_doubles(records, left_out)), ("CT",), True, LABELS, tuple(left_out))


def _collect(folder: Path) -> tuple[dict[str, Path], dict[str, Path], list[LeftOut]]:
    """Volumes and segmentations by the volume's name, in the order of their numbers, and other images."""
    found: dict[str, dict[str, Path]] = {"volume": {}, "segmentation": {}}
    left_out: list[LeftOut] = []
    for path in find_images(folder):
        match = _NAMED.fullmatch(stem(path))
        kind = match["kind"].lower() if match else ""
        case = f"{'test-' if kind == 'test-volume' else ''}volume-{match['number']}" if match else ""
        group = found["segmentation" if kind == "segmentation" else "volume"]
        if match is None:
            left_out.append(LeftOut(path.relative_to(folder).as_posix(), "neither a volume nor a segmentation of LiTS"))
        elif case in group:
            left_out.append(LeftOut(path.relative_to(folder).as_posix(), f"there is another {path.name}"))
        else:
            group[case] = path
    return _ordered(found["volume"]), _ordered(found["segmentation"]), left_out


def _ordered(files: Mapping[str, Path]) -> dict[str, Path]:
    return dict(sorted(files.items(), key=lambda item: (item[0].startswith("test"), int(item[0].rpartition("-")[2]))))
