"""The ways in which data sets are arranged in folders: recognise one, find its cases, check them.

A layout is a module with ``LOOKS_FOR``, ``recognise(folder)`` and ``scan(folder, reference=…)``; to add one, write the
file and give it a line in `LAYOUTS`. One that names alone do not always show may have ``fits(folder)``, too, which is
asked where the layout is named.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from vesalius.errors import DataError, unknown_name
from vesalius.image import Dataset, Labels, LeftOut, Record
from vesalius.io import PICTURES
from vesalius.io.layouts.check import Progress, find_doubles, find_undeclared, find_unlike, read_all
from vesalius.io.layouts.facts import Facts, examine, examine_case, examine_image, examine_reference
from vesalius.io.layouts.files import count_suffixes, find_images, stem, suffix
from vesalius.io.layouts.found import Found, Layout
from vesalius.io.layouts.load import load_case
from vesalius.io.layouts.meaning import Meaning, decide_meaning
from vesalius.io.layouts.patients import assign_patients, group_by_folder
from vesalius.io.layouts.roles import role

__all__ = ["LAYOUTS", "Admit", "Survey", "index", "survey"]

LAYOUTS = {
    "manifest": "vesalius.io.layouts.manifest",
    "nnunet": "vesalius.io.layouts.nnunet",
    "luna16": "vesalius.io.layouts.luna16",
    "lidc": "vesalius.io.layouts.lidc",
    "decathlon": "vesalius.io.layouts.decathlon",
    "brats": "vesalius.io.layouts.brats",
    "lits": "vesalius.io.layouts.lits",
    "acdc": "vesalius.io.layouts.acdc",
    "hc18": "vesalius.io.layouts.hc18",
    "busi": "vesalius.io.layouts.busi",
    "isic": "vesalius.io.layouts.isic",
    "visits": "vesalius.io.layouts.visits",
    "pairs": "vesalius.io.layouts.pairs",
    "suffixes": "vesalius.io.layouts.suffixes",
    "images": "vesalius.io.layouts.images",
}
"""Name to module, in the order in which they are tried: what describes itself comes before what is guessed by name."""


Admit = Callable[[Sequence[Record]], Mapping[str, str]]
"""Called with the cases and whose they are, before any is read; gives the reason by id for each to be left out."""


@dataclass(frozen=True)
class Survey:
    """A data set, and what was learnt of each case while checking it.

    Args:
        dataset: The cases that can be used, and those that cannot.
        facts: Of each case by id, in the order of the records; what was not read is ``None``.
        label_voxels: Voxels of each label in each reference that was read, by id and then by value, background
            included.
    """

    dataset: Dataset
    facts: Mapping[str, Facts]
    label_voxels: Mapping[str, Mapping[int, int]]


def index(
    folder: str | os.PathLike[str],
    layout: str = "auto",
    *,
    patient_pattern: str | None = None,
    reference: str | None = None,
    check: bool = True,
    progress: Progress | None = None,
    admit: Admit | None = None,
) -> Dataset:
    """Make a data set of a folder: recognise its layout, find its cases, check each, say what is left out and why.

    Args:
        folder: The folder, or a manifest (a CSV table).
        layout: A name of `LAYOUTS`, or ``"auto"`` for the first that recognises the folder.
        patient_pattern: Regular expression searched for in the case's name; its first group, or all that it matched,
            is the patient.
        reference: Which files or folder hold the references when there are several, for example ``"lobes"``.
        check: Read every file: geometry, channels, label values, doubles. Without it only what is needed is read: the
            references when nothing declares their labels, and one image when nothing declares the channels.
        progress: Called with the number of cases read and of all cases.
        admit: Called with the cases and whose they are, before any of their files is read; gives the reason for each
            that must be left out, by its id. The register of consent is asked so.

    Returns:
        The data set. ``left_out`` holds everything that was found and cannot be used, ``notes`` what was decided.

    Raises:
        DataError: There is no such folder, no layout recognises it, or no case can be used.
        FormatError: ``dataset.json`` or the manifest cannot be read.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from vesalius.image import Grid, Volume
        >>> from vesalius.io import write
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, value in (("a.nii", 3), ("a_mask.nii", 1)):
        ...         picture = np.zeros((1, 8, 8), np.uint8)
        ...         picture[0, 2:5, 2:5] = value
        ...         write(Volume(picture, Grid((8, 8), np.eye(3))), Path(folder) / name)
        ...     dataset = index(folder)
        >>> dataset.layout, dataset.ids, dataset.labels.names
        ('suffixes', ('a',), ('foreground',))
    """
    return survey(
        folder,
        layout,
        patient_pattern=patient_pattern,
        reference=reference,
        check=check,
        progress=progress,
        admit=admit,
    ).dataset


def survey(
    folder: str | os.PathLike[str],
    layout: str = "auto",
    *,
    patient_pattern: str | None = None,
    reference: str | None = None,
    check: bool = True,
    progress: Progress | None = None,
    admit: Admit | None = None,
) -> Survey:
    """Do what `index` does, and keep what was learnt of each case.

    Args:
        folder: As for `index`.
        layout: As for `index`.
        patient_pattern: As for `index`.
        reference: As for `index`.
        check: As for `index`; without it only what was read is known.
        progress: As for `index`.
        admit: As for `index`.

    Returns:
        The data set with the facts of its cases: shapes, spacings, voxels of each label.

    Raises:
        DataError: As for `index`.
        FormatError: As for `index`.
    """
    root = Path(folder)
    if not root.exists():
        raise DataError(f"{root}: there is no such folder or manifest")
    name, module = _recognise(root, layout)
    found = module.scan(root, reference=reference)
    _refuse_empty(found.records, found.left_out, root, name)
    admitted, refused, owners = _admitted(found, patient_pattern, admit)
    _refuse_empty(admitted, (*found.left_out, *refused), root, name)
    facts, unfit = read_all(admitted, _what_to_read(found, check), progress)

    def drop(more: Iterable[LeftOut]) -> None:
        for case in more:
            del facts[case.id]
            unfit.append(case)

    drop(find_unlike(facts, declared=len(found.channels) if found.declared else None))
    references = [known.reference for known in facts.values() if known.reference is not None]
    meaning = decide_meaning(references, found.labels) if references else Meaning(found.labels or Labels(()))
    drop(find_undeclared(facts, meaning))
    drop(find_doubles(facts))
    left_out = (*found.left_out, *refused, *unfit)
    records = [record for record in found.records if record.id in facts]
    _refuse_empty(records, left_out, root, name)

    owned, basis = assign_patients(group_by_folder(records, found.folders), found.folders, patient_pattern)
    if owners:  # who was asked for is who takes part, though fewer names might be read in another way
        owned = tuple(replace(record, patient=owners[record.id]) for record in owned)
    voxels = {case: meaning.counts(known.reference) for case, known in facts.items() if known.reference is not None}
    notes = (*found.notes, meaning.note, *_notes(records, voxels, check=check), basis)
    dataset = Dataset(
        owned,
        meaning.labels if any(record.reference for record in records) else None,
        _name_channels(found, records[0], facts[records[0].id]),
        found.load or load_case,
        name,
        meaning.binarise_above,
        left_out,
        tuple(note for note in notes if note),
    )
    return Survey(dataset, facts, voxels)


def _admitted(
    found: Found, pattern: str | None, admit: Admit | None
) -> tuple[tuple[Record, ...], list[LeftOut], dict[str, str]]:
    """The cases that may be read, those that may not, and whose each was said to be."""
    if admit is None:
        return tuple(found.records), [], {}
    owned, _ = assign_patients(found.records, found.folders, pattern)
    reasons = admit(owned)
    refused = [LeftOut(record.id, reasons[record.id]) for record in owned if record.id in reasons]
    admitted = tuple(record for record in found.records if record.id not in reasons)
    return admitted, refused, {record.id: record.patient for record in owned}


def _recognise(root: Path, layout: str) -> tuple[str, Layout]:
    if layout != "auto":
        if layout not in LAYOUTS:
            raise DataError(unknown_name("layout", layout, ["auto", *LAYOUTS]))
        module = _module(layout)
        if not getattr(module, "fits", module.recognise)(root):  # who asks for it may mean what names do not show
            raise DataError(f"{root.name}: not of layout {layout}, which looks for {module.LOOKS_FOR}")
        return layout, module
    if root.is_file() and not _module("manifest").recognise(root):
        raise DataError(f"{root.name}: give a folder or a manifest, which is {_module('manifest').LOOKS_FOR}")
    for name in LAYOUTS:
        module = _module(name)
        if module.recognise(root):
            return name, module
    lonely = sum(role(stem(path)).kind == "reference" for path in find_images(root)) if root.is_dir() else 0
    hint = f" {lonely} of them are named as references, without images beside them." if lonely else ""
    looked = "".join(f"\n  {name}: {_module(name).LOOKS_FOR}" for name in LAYOUTS)
    raise DataError(f"{root.name}: no layout recognised; it holds {count_suffixes(root)}.{hint} Looked for:{looked}")


def _module(name: str) -> Layout:
    return cast(Layout, importlib.import_module(LAYOUTS[name]))


def _what_to_read(found: Found, check: bool) -> Callable[[Record], Facts]:
    if found.load is not None:
        load, dataset = found.load, Dataset(found.records, found.labels, found.channels, found.load)
        return (lambda record: examine_case(load(record, dataset))) if check else lambda _: Facts()
    if check:
        return examine
    # Pictures may be masks of soft black and white, whose values are not those that were declared.
    pictures = any(suffix(record.reference) in PICTURES for record in found.records if record.reference)
    return examine_reference if found.labels is None or pictures else lambda _: Facts()


def _refuse_empty(records: Sequence[Record], left_out: Sequence[LeftOut], root: Path, layout: str) -> None:
    if records:
        return
    reasons = "".join(f"\n  {case.id}: {case.reason}" for case in left_out[:5])
    more = f"\n  and {len(left_out) - 5} more" if len(left_out) > 5 else ""
    raise DataError(f"{root.name}: no case can be used (layout {layout}){':' if reasons else ''}{reasons}{more}")


def _name_channels(found: Found, record: Record, known: Facts) -> tuple[str, ...]:
    if found.declared:
        return found.channels
    image = known.image or examine_image(record).image
    assert image is not None
    if len(found.channels) == image.channels:
        return found.channels
    if image.modality == "RGB" and image.channels == 3:
        return ("red", "green", "blue")
    return tuple(f"channel {n}" for n in range(image.channels)) if image.channels > 1 else ("image",)


def _notes(records: Sequence[Record], voxels: Mapping[str, Mapping[int, int]], *, check: bool) -> Iterator[str]:
    if not check:
        yield "the cases were not checked"
    alone = sum(record.reference is None for record in records)
    if alone == len(records):
        yield "no case has a reference: the images can be segmented, but nothing can be learnt from them"
    elif alone:
        yield f"{alone} of {len(records)} cases have no reference"
    empty = [case for case, counts in voxels.items() if not any(n for value, n in counts.items() if value)]
    if empty:
        shown = ", ".join(empty[:5]) + (" …" if len(empty) > 5 else "")
        yield f"{len(empty)} references are empty, which is taken to mean that nothing is there: {shown}"
