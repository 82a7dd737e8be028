"""The cases of a BraTS folder as a study wants them: one convention, what is amiss put right, left out or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError, VesaliusError
from vesalius.image import Case, Dataset, LabelMap, Labels, Record
from vesalius.io import read_labels
from vesalius.io.layouts.brats import CONVENTIONS, BratsCase, Convention, read_conventions
from vesalius.io.layouts.load import read_channels, refuse_other_place
from vesalius.studies.brain_tumour.checks import (
    FEWEST,
    Signature,
    broken_rules,
    exchanged,
    shift_doubts,
    sign,
    stripping_doubts,
    typical,
    without_background,
)
from vesalius.studies.brain_tumour.standing import stand_in
from vesalius.studies.brain_tumour.together import bring_together

_GROUP = "convention"
_ONE_SIDED = "healthy half"  # a key of a record's groups: there is one
_STAND_IN = "stand-in"
_EVERY = 2  # of the patients with a healthy half: so many are stood in for in training
_SHOWN = 5  # names of cases in a sentence


@dataclass(frozen=True, eq=False)
class Cohort:
    """Cases that can be used.

    Args:
        dataset: Those with all sequences, in one convention; some may have no reference.
        incomplete: Those that lack a sequence.
        usual: What the sequences look like in most cases.
        repairs: What was put right or left out, one sentence each.
    """

    dataset: Dataset
    incomplete: tuple[BratsCase, ...]
    usual: Signature | None
    repairs: tuple[str, ...]


def open_cohort(
    cases: Sequence[BratsCase],
    channels: tuple[str, ...],
    *,
    place: Path,
    labels: Labels | None = None,
    usual: Signature | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Cohort:
    """Read and check every case.

    Args:
        cases: What was found.
        channels: The sequences that a complete case has.
        place: Folder for the sequences that had to be registered, by case.
        labels: Of the result; those of the convention of most cases when left out.
        usual: What the sequences looked like in an earlier set; the cases are compared with one another without.
        note: Told how far it is.

    Returns:
        The cohort. Sequences that lie apart are brought together, and it is said by how much they were moved. A case
        whose sequences look exchanged, are not stripped, or cannot be brought together is left out, and said so.

    Raises:
        DataError: No case can be used, or most look as if the sequences of the whole set were exchanged.
    """
    conventions, doubts = read_conventions(cases)
    repairs = [f"{case}: left out: {reason}" for case, reason in doubts.items()]
    target, told = _target(conventions, labels)
    repairs += told
    good = [case for case in cases if case.id not in doubts]
    incomplete = [case for case in good if any(name not in case.images for name in channels)]
    for case in incomplete:
        lacks = ", ".join(name for name in channels if name not in case.images)
        repairs.append(f"{case.id}: its {lacks} is missing: not learnt from, segmented without it")
    default = max(Counter(conventions.values()).items(), key=lambda item: item[1], default=("1/2/4", 0))[0]
    records = tuple(
        Record(
            case.id,
            tuple(case.images[name] for name in channels),
            case.reference,
            _patient(case.id),
            {_GROUP: conventions.get(case.id, default)},
        )
        for case in good
        if case not in incomplete
    )
    dataset = Dataset(records, target, channels, _load, "brats")
    dataset, kept, signatures, more = _checked(dataset, place, usual, note)
    repairs += more
    incomplete, more = _laid_together(incomplete, dataset, place)
    repairs += more
    if not kept and not incomplete:
        raise DataError("no case can be used: " + "; ".join(repairs[:_SHOWN]))
    return Cohort(
        dataset.select(kept),
        tuple(incomplete),
        typical([signatures[case] for case in kept]) if kept else usual,
        tuple(repairs),
    )


def read_incomplete(case: BratsCase, channels: Sequence[str], dataset: Dataset) -> tuple[Case, tuple[str, ...]]:
    """A case that lacks a sequence, and the names of those that it has.

    Raises:
        VesaliusError: A file cannot be read, or the files do not lie on one grid.
    """
    there = tuple(name for name in channels if name in case.images)
    if not there:
        raise DataError(f"it has none of {', '.join(channels)}")
    return _load(_record(case, there, dataset), dataset), there


def _record(case: BratsCase, there: Sequence[str], dataset: Dataset) -> Record:
    conventions, _ = read_conventions([case])
    usual = next((record.groups[_GROUP] for record in dataset.records), "1/2/4")
    groups = {_GROUP: conventions.get(case.id, usual)}
    return Record(case.id, tuple(case.images[name] for name in there), case.reference, groups=groups)


def _laid_together(cases: Sequence[BratsCase], dataset: Dataset, place: Path) -> tuple[list[BratsCase], list[str]]:
    """Those of the cases without a sequence whose others lie, or were brought, together; and what was done to them."""
    found, told = [], []
    for case in cases:
        there = tuple(name for name in dataset.channels if name in case.images)
        try:
            if not there:
                raise DataError(f"it has none of {', '.join(dataset.channels)}")
            record, _, moved = _opened(_record(case, there, dataset), there, dataset, place)
        except VesaliusError as error:
            told.append(f"{case.id}: left out: {error}")
            continue
        told += [f"{case.id}: {words}" for words in moved]
        found.append(replace(case, images=dict(zip(there, record.images, strict=True))))
    return found, told


def _opened(
    record: Record, channels: Sequence[str], dataset: Dataset, place: Path
) -> tuple[Record, Case, tuple[str, ...]]:
    """A case whose sequences lie on each other, where it is now, and what was moved for it.

    Raises:
        VesaliusError: A file cannot be read, or the sequences cannot be brought together.
    """
    try:
        case = _load(record, dataset)
        if stripping_doubts(case.image, channels) or not shift_doubts(case.image, channels):
            return record, case, ()
    except GeometryError:
        pass
    images = dict(zip(channels, record.images, strict=True))
    images, told = bring_together(images, record.reference, place / record.id)
    record = replace(record, images=tuple(images[name] for name in channels))
    return record, _load(record, dataset), told


def with_stand_ins(dataset: Dataset) -> Dataset:
    """Add a brain without a tumour for every second patient with a healthy half; see `stand_in`.

    Each belongs to the patient whose half it is, so that both are held out together.
    """
    halves = [record for record in dataset.records if _ONE_SIDED in record.groups][::_EVERY]
    more = tuple(
        replace(
            record,
            id=f"{record.id} mirrored",
            patient=record.patient or record.id,
            groups={**record.groups, _STAND_IN: "yes"},
        )
        for record in halves
    )
    return replace(dataset, records=(*dataset.records, *more))


def _load(record: Record, dataset: Dataset) -> Case:
    case = _load_patient(record, dataset)
    if _STAND_IN not in record.groups or case.reference is None:
        return case
    half = stand_in(case.image, case.reference)
    assert half is not None  # it was looked at before
    nothing = np.zeros(half.grid.shape, np.uint8)
    return replace(case, image=half, reference=LabelMap(nothing, half.grid, case.reference.labels))


def _load_patient(record: Record, dataset: Dataset) -> Case:
    image = without_background(read_channels(record.images))
    image = replace(image, meta=replace(image.meta, modality="MR"))
    if record.reference is None or dataset.labels is None:
        return Case(record.id, image, None, record.patient, record.groups)
    convention: Convention = record.groups[_GROUP]  # type: ignore[assignment]
    found = read_labels(record.reference, CONVENTIONS[convention])
    refuse_other_place(image, found.grid, record.reference.name)
    values = _lookup(convention, dataset.labels)[found.array]
    return Case(record.id, image, LabelMap(values, image.grid, dataset.labels), record.patient, record.groups)


def _lookup(convention: Convention, target: Labels) -> NDArray[np.uint8]:
    """The value of the target for each value of a convention: what was necrosis or did not enhance is the core."""
    table = np.zeros(256, np.uint8)
    for label in CONVENTIONS[convention].labels:
        known = label.name in target.names
        table[label.value] = target[label.name if known else "necrotic core"].value
    return table


def _target(conventions: dict[str, Convention], labels: Labels | None) -> tuple[Labels, list[str]]:
    """The labels of the cohort, and what had to be done for it."""
    counts = Counter(conventions.values())
    newer = [name for name in counts if name != "1/2/3/4"]
    if labels is None:
        labels = CONVENTIONS[max(newer, key=lambda name: counts[name], default="1/2/4")]
    told = []
    if len(counts) > 1:
        words = ", ".join(f"{name} in {n} cases" for name, n in counts.items())
        values = "/".join(str(value) for value in labels.values)
        told.append(f"label conventions are mixed ({words}): all were brought to {values}")
    if counts["1/2/3/4"]:
        told.append("labels of 2013 to 2015: necrosis and non-enhancing tumour were joined, as BraTS does since 2017")
    return labels, told


def _patient(case: str) -> str:
    """BraTS 2023 numbers a patient's time points at the end of the name: ``BraTS-GLI-00005-100``."""
    head, _, tail = case.rpartition("-")
    return head if head.count("-") >= 2 and tail.isdecimal() and len(tail) == 3 else case


def _checked(
    dataset: Dataset, place: Path, usual: Signature | None, note: Callable[[str], None]
) -> tuple[Dataset, list[str], dict[str, Signature], list[str]]:
    """The cases with what is known of them, those that are as they should be, their looks, and what is amiss."""
    signatures: dict[str, Signature] = {}
    records: list[Record] = []
    doubts: dict[str, list[str]] = {}
    moved: dict[str, tuple[str, ...]] = {}
    for number, record in enumerate(dataset.records):
        records.append(record)
        if number % 25 == 0 and number:
            note(f"checked {number} of {len(dataset)} cases")
        try:
            record, case, moved[record.id] = _opened(record, dataset.channels, dataset, place)
        except VesaliusError as error:
            doubts[record.id] = [str(error)]
            continue
        records[-1] = record
        doubts[record.id] = stripping_doubts(case.image, dataset.channels)
        if not doubts[record.id]:
            signatures[record.id] = sign(case.image, dataset.channels, case.reference)
            doubts[record.id] = shift_doubts(case.image, dataset.channels)
            if case.reference is not None and stand_in(case.image, case.reference) is not None:
                records[-1] = replace(record, groups={**record.groups, _ONE_SIDED: "yes"})
    rules = {case: broken_rules(found) for case, found in signatures.items()}
    for rule, number in Counter(rule for broken in rules.values() for rule in broken).items():
        if number > max(1, len(signatures) / 2):
            raise DataError(
                f"{rule} in {number} of {len(signatures)} cases: the sequences of the whole set seem to be exchanged; "
                "name the files by what they are"
            )
    for name, found in signatures.items():
        others = [one for other, one in signatures.items() if other != name]
        known = usual or (typical(others) if len(others) >= FEWEST else None)
        swap = exchanged(found, known) if known is not None else ""
        doubts[name] += [f"its sequences seem to be exchanged: {swap}"] if swap else rules[name]
    kept = [record.id for record in dataset.records if not doubts[record.id]]
    told = [f"{name}: {words}" for name in kept for words in moved[name]]
    told += [f"{name}: left out: {'; '.join(why)}" for name, why in doubts.items() if why]
    return replace(dataset, records=tuple(records)), kept, signatures, told
