"""Cases, and the manifest that reads them when asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vesalius.errors import DataError, GeometryError
from vesalius.image.labels import Labels
from vesalius.image.volume import LabelMap, Volume


@dataclass(frozen=True, eq=False)
class Case:
    """One patient's images on one grid, with the reference if there is one.

    Args:
        id: Name of the case, unique in its data set.
        image: All channels, on one grid.
        reference: The segmentation to learn from or to be scored against, on the image's grid.
        patient: Whose it is: cases of one patient never stand on both sides of a split.
        groups: Further columns of the manifest (scanner, site, sex …) for subgroup scores.

    Raises:
        GeometryError: Image and reference lie on different grids.
    """

    id: str
    image: Volume
    reference: LabelMap | None = None
    patient: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.reference is not None and not self.image.grid.is_close(self.reference.grid, tolerance_mm=0.1):
            apart = self.image.grid.corner_distance_mm(self.reference.grid)
            raise GeometryError(
                f"case {self.id}: image {self.image.grid.shape} and reference {self.reference.grid.shape} "
                f"lie on different grids (corners up to {apart:.3g} mm apart)"
            )


@dataclass(frozen=True)
class Record:
    """A line of the manifest: where the files of a case are.

    Args:
        id: Name of the case.
        images: One file (or DICOM folder) a channel, in the order of `Dataset.channels`; a single entry may hold
            all channels.
        reference: The label file, if any.
        patient: Whose it is; the case itself when nothing else is known.
        groups: Further columns of the manifest.
    """

    id: str
    images: tuple[Path, ...]
    reference: Path | None = None
    patient: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """A case that the index does not use, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Lineage:
    """Who agreed that a data set is used, for what; it goes into all that is learnt from it.

    Args:
        register: Id of the register of consent that was asked.
        purpose: For which.
        patients: What stands for each patient in the register: a keyed hash, from which nobody is known.
    """

    register: str
    purpose: str
    patients: Mapping[str, str] = field(repr=False)


Load = Callable[[Record, "Dataset"], Case]
"""Reads the files of a record; `vesalius.io` supplies it, so that this layer knows no file format."""


@dataclass(frozen=True)
class Dataset(Sequence[Case]):
    """A manifest of cases. A case is read when it is asked for, and never kept.

    Args:
        records: The cases that can be used.
        labels: What the references show; ``None`` when there are none.
        channels: Names of the channels, in order.
        load: How a record becomes a `Case`.
        layout: The layout the folder was recognised as.
        binarise_above: For masks stored as grey pictures (JPEG edges): values above it are label 1.
        left_out: Cases that were found but cannot be used, with the reason.
        notes: What was decided while indexing, in sentences.
        lineage: Who agreed to its use, where a register of consent was asked.

    Example:
        >>> empty = Dataset((), None, ("image",), load=lambda record, dataset: None)
        >>> len(empty)
        0
    """

    records: tuple[Record, ...]
    labels: Labels | None
    channels: tuple[str, ...]
    load: Load = field(repr=False, compare=False)
    layout: str = ""
    binarise_above: float | None = None
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    lineage: Lineage | None = None

    def __post_init__(self) -> None:
        ids = [record.id for record in self.records]
        if len(set(ids)) != len(ids):
            twice = sorted({i for i in ids if ids.count(i) > 1})
            raise DataError(f"case names must be unique; these occur twice: {', '.join(twice[:5])}")

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, at: int) -> Case:  # type: ignore[override]
        return self.load(self.records[at], self)

    def __iter__(self) -> Iterator[Case]:
        return (self.load(record, self) for record in self.records)

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the cases."""
        return tuple(record.id for record in self.records)

    @property
    def patients(self) -> tuple[str, ...]:
        """The different patients, in order of first appearance."""
        return tuple(dict.fromkeys(record.patient or record.id for record in self.records))

    def select(self, ids: Sequence[str]) -> Dataset:
        """The data set of the named cases, in their order here.

        Raises:
            DataError: A name is unknown.
        """
        wanted = set(ids)
        strangers = sorted(wanted - set(self.ids))
        if strangers:
            raise DataError(f"unknown cases: {', '.join(strangers[:5])}")
        return replace(self, records=tuple(r for r in self.records if r.id in wanted))

    def with_reference(self) -> Dataset:
        """The cases that have a reference."""
        return replace(self, records=tuple(r for r in self.records if r.reference is not None))

    def folds(self, count: int, *, seed: int = 12345) -> tuple[tuple[str, ...], ...]:
        """Deal the patients into ``count`` folds of nearly equal numbers of cases.

        Args:
            count: Number of folds, 2 to the number of patients.
            seed: Of the shuffle; the default is nnU-Net's.

        Returns:
            Case ids of each fold; a patient's cases are all in one.

        Raises:
            DataError: There are fewer patients than folds.
        """
        patients = sorted(self.patients)
        if not 2 <= count <= len(patients):
            raise DataError(f"{count} folds need at least {max(count, 2)} patients; there are {len(patients)}")
        random.Random(seed).shuffle(patients)
        cases: dict[str, list[str]] = {}
        for record in self.records:
            cases.setdefault(record.patient or record.id, []).append(record.id)
        dealt: list[list[str]] = [[] for _ in range(count)]
        # The largest patients first, each to the smallest fold; the shuffle decides among equals.
        for patient in sorted(patients, key=lambda p: -len(cases[p])):
            min(dealt, key=len).extend(cases[patient])
        return tuple(tuple(sorted(fold)) for fold in dealt)
