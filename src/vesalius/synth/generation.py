"""Data sets from which images are painted: label maps, their kinds and their references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import Case, Dataset, LabelMap, Labels, Meta, Record, Volume
from vesalius.io import read_labels
from vesalius.transform import reorient, resample

MIRRORED = " mirrored"
"""What the names of mirrored cases end in."""


@dataclass(frozen=True)
class Anatomy:
    """What the values of label maps mean for the painting of images and for what is learnt.

    Args:
        labels: What is learnt.
        kinds: The kind of each value of the maps: values of one kind look alike. 0, the air, is kind 0.
        targets: The label of each value; values that are not named are background.
        mirrored: The label that each one becomes in the mirror. Those that are not named stay what they are.

    Raises:
        DataError: A target is no label, a value of ``targets`` has no kind, or the mirror of a mirror is not the label.
    """

    labels: Labels
    kinds: Mapping[int, int]
    targets: Mapping[int, int]
    mirrored: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        strangers = sorted({*self.targets.values(), *self.mirrored, *self.mirrored.values()} - set(self.labels.values))
        if strangers:
            raise DataError(f"targets and mirrored must name values of the labels; these are none: {strangers}")
        if bare := sorted(set(self.targets) - set(self.kinds)):
            raise DataError(f"every value with a target must have a kind; these have none: {bare}")
        if any(self.mirrored.get(other) != one for one, other in self.mirrored.items()):
            raise DataError("mirrored must swap labels: where 1 becomes 2, 2 becomes 1")


def generation_dataset(
    paths: Sequence[Path], anatomy: Anatomy, *, spacing_mm: float, mirrored: bool = False
) -> Dataset:
    """A data set whose images are maps of kinds, for a plan with ``augmentation.generation``.

    Each map is brought to the spacing label by label, and then read twice: as kinds, from which images are painted,
    and as labels, which are learnt. Both are of the same voxels, so that they never disagree.

    Args:
        paths: Label maps, one a person.
        anatomy: What their values mean.
        spacing_mm: Of the plan, on every axis.
        mirrored: Whether each map also comes mirrored from left to right, with the labels of both sides swapped, as a
            case of the same person. (Mirroring while training would teach that left is right.)

    Returns:
        The data set; maps are read when a case is asked for.

    Raises:
        DataError: There is no map, or, when a case is asked for, one holds a value without a kind.
    """
    if not paths:
        raise DataError("there is no label map to paint images from")
    names = [path.name.partition(".")[0] for path in paths]
    records = [Record(name, (path,), path, name) for name, path in zip(names, paths, strict=True)]
    if mirrored:
        records += [replace(record, id=f"{record.id}{MIRRORED}") for record in records]

    def load(record: Record, _dataset: Dataset) -> Case:
        values = reorient(read_labels(record.images[0]))
        low = resample(values, values.grid.with_spacing((spacing_mm,) * 3), interpolation="label-wise")
        array = low.array
        flipped = record.id.endswith(MIRRORED)
        if flipped:
            array = array[::-1]  # after `reorient` the first axis runs from right to left
        kinds = _looked_up(array, anatomy.kinds, name=record.id)
        targets = _looked_up(array, {value: anatomy.targets.get(value, 0) for value in anatomy.kinds}, name=record.id)
        if flipped:
            swapped = {value: anatomy.mirrored.get(value, value) for value in (0, *anatomy.labels.values)}
            targets = _looked_up(targets, swapped, name=record.id)
        image = Volume(kinds[None].astype(np.float32), low.grid, Meta(modality="OT"))
        return Case(record.id, image, LabelMap(targets, low.grid, anatomy.labels), record.patient)

    return Dataset(tuple(records), anatomy.labels, ("image",), load=load, layout="label maps to paint from")


def _looked_up(values: NDArray[np.integer], table: Mapping[int, int], *, name: str) -> NDArray[np.uint16]:
    known = np.full(max(int(values.max()), *table) + 1, -1, np.int32)
    known[0] = 0
    known[list(table)] = list(table.values())
    found = known[values]
    if (found < 0).any():
        raise DataError(f"case {name}: the map holds values without a kind: {sorted(set(values[found < 0].tolist()))}")
    return np.ascontiguousarray(found.astype(np.uint16))
