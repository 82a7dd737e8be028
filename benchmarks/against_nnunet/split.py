"""One split of a data set, written once in nnU-Net's raw layout and read from there by both sides.

```text
SET/split.json                                 which cases teach and which are held out
SET/nnUNet_raw/Dataset001_SET/dataset.json     channels and labels
                              imagesTr labelsTr    cases that teach
                              imagesTs labelsTs    held-out cases
                              imagesTs/cases.csv   the held-out images, as Vesalius reads them
                              training.csv         the teaching cases, as Vesalius reads them
```

nnU-Net wants consecutive labels, one file a channel and one suffix; Vesalius reads that, too. So both sides get the
same voxels, and a map of numbered objects is one foreground for both. Pictures must have 8 bits (grey or colour) or 16
(grey).
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vesalius.image import Case, Dataset, Grid, LabelMap, Labels, Record, Volume
from vesalius.io import read_labels, write
from vesalius.io.atomic import make_folder, write_text
from vesalius.io.layouts import index
from vesalius.io.layouts.manifest import write_manifest
from vesalius.transform import crop

NAME = "split.json"


@dataclass(frozen=True)
class Split:
    """A prepared data set.

    Args:
        folder: Where everything about it lies, results included.
        name: Of the data set.
        ndim: 2 or 3.
        teaching: Names of the cases to learn from.
        held_out: Names of the cases to be scored on.
        labels: The foreground, consecutive from 1.
        ending: Suffix of all files.
    """

    folder: Path
    name: str
    ndim: int
    teaching: tuple[str, ...]
    held_out: tuple[str, ...]
    labels: Labels
    ending: str

    @property
    def dataset(self) -> str:
        """The name that nnU-Net knows it by."""
        return f"Dataset001_{self.name}"

    @property
    def raw(self) -> Path:
        """The raw folder."""
        return self.folder / "nnUNet_raw" / self.dataset

    @property
    def manifest(self) -> Path:
        """The table of the teaching cases."""
        return self.raw / "training.csv"

    @property
    def images(self) -> Path:
        """The folder of the held-out images."""
        return self.raw / "imagesTs"

    def reference(self, case: str) -> LabelMap:
        """What a held-out case really shows."""
        return read_labels(self.raw / "labelsTs" / f"{case}{self.ending}", self.labels)


def prepare(source: Path, folder: Path, *, held_out: int, seed: int, blocks: Sequence[int] = ()) -> Split:
    """Split a data set by patient and write it, unless that was done before.

    Args:
        source: A folder that Vesalius can index.
        folder: Where to write; what was prepared there before is taken as it is.
        held_out: Whole patients are held out until there are at least so many cases.
        seed: Of the split.
        blocks: Cut each case into so many blocks an axis first, and take the slabs along the first axis for patients.
    """
    if not (folder / NAME).is_file():
        dataset = index(source).with_reference()
        cases = _in_blocks(dataset, blocks) if blocks else zip(dataset.records, dataset, strict=True)
        _write(dataset, list(cases), folder, source.name, held_out, seed)
    known = json.loads((folder / NAME).read_text())
    if (known["held_out_wanted"], known["seed"]) != (held_out, seed):
        raise SystemExit(f"{folder}: prepared with another split; choose another --work or the same split")
    return Split(
        folder,
        known["name"],
        known["ndim"],
        tuple(known["teaching"]),
        tuple(known["held_out"]),
        Labels.of(known["labels"]),
        known["ending"],
    )


def _write(
    dataset: Dataset, cases: Sequence[tuple[Record, Case]], folder: Path, name: str, wanted: int, seed: int
) -> None:
    assert dataset.labels is not None
    if dataset.labels.regions or dataset.labels.ignore is not None:
        raise SystemExit(f"{name}: regions and ignored voxels are not compared here")
    held = _held_out([record for record, _ in cases], wanted, seed)
    values = {label.value: n for n, label in enumerate(dataset.labels.labels, start=1)}
    labels = Labels.of({label.name: values[label.value] for label in dataset.labels.labels})
    ndim = cases[0][1].image.grid.ndim
    ending = ".png" if ndim == 2 else ".nii.gz"
    raw = folder / "nnUNet_raw" / f"Dataset001_{name}"
    written: dict[str, list[Record]] = {"Tr": [], "Ts": []}
    for record, case in cases:
        part = "Ts" if record.id in held else "Tr"
        safe = re.sub(r"[^A-Za-z0-9]+", "-", record.id)
        images = _write_images(case.image, make_folder(raw / f"images{part}"), safe, ending)
        assert case.reference is not None
        reference = make_folder(raw / f"labels{part}") / f"{safe}{ending}"
        array = np.zeros(case.reference.array.shape, np.uint8)
        for old, new in values.items():
            array[case.reference.array == old] = new
        write(LabelMap(array, _written_grid(case.reference.grid), labels), reference)
        written[part].append(Record(safe, images, reference, record.patient, record.groups))
    names = {part: [record.id for record in records] for part, records in written.items()}
    if len({*names["Tr"], *names["Ts"]}) != len(cases):
        raise SystemExit(f"{name}: two cases have names that differ in punctuation only")
    modality = cases[0][1].image.meta.modality
    content = {
        # What nnU-Net calls CT it normalises by its own rule for CT; every other name means a z-score.
        "channel_names": {str(n): "CT" if modality == "CT" else c for n, c in enumerate(dataset.channels)},
        "labels": {"background": 0} | {label.name: label.value for label in labels.labels},
        "numTraining": len(names["Tr"]),
        "file_ending": ending,
    }
    write_text(raw / "dataset.json", json.dumps(content, indent=1))
    write_manifest(replace(dataset, records=tuple(written["Tr"])), raw / "training.csv")
    unseen = tuple(replace(record, reference=None) for record in written["Ts"])
    write_manifest(replace(dataset, records=unseen), raw / "imagesTs" / "cases.csv")
    known = {
        "name": name,
        "ndim": ndim,
        "seed": seed,
        "held_out_wanted": wanted,
        "teaching": names["Tr"],
        "held_out": names["Ts"],
        "labels": {label.name: label.value for label in labels.labels},
        "ending": ending,
    }
    write_text(folder / NAME, json.dumps(known, indent=1))


def _held_out(records: Sequence[Record], wanted: int, seed: int) -> set[str]:
    """Whole patients in a shuffled order, until there are enough cases."""
    cases: dict[str, list[str]] = {}
    for record in records:
        cases.setdefault(record.patient or record.id, []).append(record.id)
    patients = sorted(cases)
    random.Random(seed).shuffle(patients)
    chosen: set[str] = set()
    for patient in patients:
        if len(chosen) >= wanted:
            break
        chosen.update(cases[patient])
    if len(chosen) == len(records):
        raise SystemExit("every case would be held out; hold out less")
    return chosen


def _in_blocks(dataset: Dataset, blocks: Sequence[int]) -> Iterator[tuple[Record, Case]]:
    for record, case in zip(dataset.records, dataset, strict=True):
        assert case.reference is not None
        shape = case.image.grid.shape
        for at in itertools.product(*map(range, blocks)):
            start = [n * i // b for n, i, b in zip(shape, at, blocks, strict=True)]
            size = [n * (i + 1) // b - s for n, i, b, s in zip(shape, at, blocks, start, strict=True)]
            name, owner = f"{record.id}-{'-'.join(map(str, at))}", f"{record.patient}-{at[0]}"
            block = Case(name, crop(case.image, start, size), crop(case.reference, start, size), owner)
            yield replace(record, id=name, patient=owner), block


def _write_images(image: Volume, folder: Path, name: str, ending: str) -> tuple[Path, ...]:
    """One file a channel; a colour picture is one file."""
    if ending == ".png":
        path = folder / f"{name}_0000.png"
        write(Volume(image.array, _written_grid(image.grid), image.meta), path)
        return (path,)
    paths = [folder / f"{name}_{channel:04d}{ending}" for channel in range(image.channels)]
    for channel, path in enumerate(paths):
        write(image.with_array(image.array[channel : channel + 1]), path)
    return tuple(paths)


def _written_grid(grid: Grid) -> Grid:
    """A PNG has no place in space."""
    return grid if grid.ndim == 3 else Grid(grid.shape, np.eye(3))
