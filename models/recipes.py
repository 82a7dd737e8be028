"""The recipes whose weights do not ship: what each reads, whom it holds out, how it trains, and what it measures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vesalius.errors import DataError, VesaliusError
from vesalius.image import Case, Dataset, LabelMap, Labels, Record
from vesalius.io import read, read_labels
from vesalius.io.layouts import hc18, index
from vesalius.io.layouts.acdc import DIASTOLE, SYSTOLE
from vesalius.metrics import evaluate
from vesalius.metrics.agreement import bland_altman
from vesalius.metrics.ejection import ejection
from vesalius.metrics.ellipse import outline_ellipse


@dataclass(frozen=True)
class Seen:
    """A case that was held out, and what the segmenter said of it."""

    case: Case
    said: LabelMap


Measures = Callable[[Path, Sequence[Seen]], dict[str, Any]]
"""What is measured beside the scores: from the data's folder and the cases that were held out."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a segmenter is fitted.

    Args:
        read: The data set of a folder, whatever else lies there.
        held_out: The cases that teach nothing.
        unseen: What these are, for the card: ``{cases}`` and ``{persons}`` are filled in.
        features: Of each stage of the U-Net. They are set, and not measured, as is the patch: a busy machine then makes
            fewer steps with the same network.
        patch_size: Of the training.
        batch_size: Likewise.
        configuration: As for `vesalius.plan.make_plan`.
        settings: Further settings of the plan.
        metrics: Of `vesalius.metrics.METRICS`; Dice first.
        measures: What else is measured.
    """

    read: Callable[[Path], Dataset]
    held_out: Callable[[Dataset], tuple[str, ...]]
    unseen: str
    features: tuple[int, ...]
    patch_size: tuple[int, ...]
    batch_size: int
    configuration: str = "auto"
    settings: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ("dice", "iou")
    measures: Measures | None = None


# --- who is held out --------------------------------------------------------------------------------------------------


def every(count: int, *, group: str = "") -> Callable[[Dataset], tuple[str, ...]]:
    """One person in so many, beginning with the second, in the order of the names; of each value of a group."""

    def chosen(dataset: Dataset) -> tuple[str, ...]:
        parts: dict[str, dict[str, None]] = defaultdict(dict)
        for record in dataset.records:
            parts[record.groups.get(group, "")][record.patient or record.id] = None
        persons = {who for part in parts.values() for who in sorted(part)[1::count]}
        return tuple(record.id for record in dataset.records if (record.patient or record.id) in persons)

    return chosen


def far_end(share: float) -> Callable[[Dataset], tuple[str, ...]]:
    """The last cases: neighbours in a stack are nearly the same, so that only its end is anything new."""

    def chosen(dataset: Dataset) -> tuple[str, ...]:
        ids = sorted(dataset.ids)
        return tuple(ids[len(ids) - round(share * len(ids)) :])

    return chosen


# --- reading ----------------------------------------------------------------------------------------------------------


def _named(name: str) -> Callable[[Path], Dataset]:
    """A set with one label, which gets a name."""

    def read_set(folder: Path) -> Dataset:
        dataset = index(folder)
        if dataset.labels is None or len(dataset.labels) != 1:
            raise DataError(f"{folder.name}: references with one label are wanted")
        return replace(dataset, labels=Labels.of({name: dataset.labels.values[0]}))

    return read_set


def _membranes(folder: Path) -> Dataset:
    """The drawings are white inside cells; the membranes between them are what is sought."""
    return replace(index(folder), labels=Labels.of({"membrane": 1}), load=_load_membrane, binarise_above=None)


def _load_membrane(record: Record, dataset: Dataset) -> Case:
    assert record.reference is not None
    assert dataset.labels is not None
    image, drawn = read(record.images[0]), read_labels(record.reference)
    return Case(record.id, image, LabelMap((drawn.array == 0).astype(np.uint8), image.grid, dataset.labels))


# --- measures ---------------------------------------------------------------------------------------------------------


def agreement(pairs: Mapping[str, tuple[float, float]], unit: str) -> dict[str, Any]:
    """Two measurements of the same cases, what was said and what is held to be right; NaN where nothing was found."""
    said, right = (np.array([pair[n] for pair in pairs.values()], np.float64) for n in (0, 1))
    found = bland_altman(said.tolist(), right.tolist())
    apart = np.abs(said - right)
    apart = apart[~np.isnan(apart)]
    return {
        "unit": unit,
        "n": found.n,
        "undefined": len(pairs) - found.n,
        "mean_absolute_difference": _plain(float(apart.mean()) if apart.size else np.nan),
        "bias": _plain(found.bias),
        "limits": [_plain(found.low), _plain(found.high)],
        "cases": {case: [_plain(value) for value in pair] for case, pair in pairs.items()},
    }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _heads(folder: Path, seen: Sequence[Seen]) -> dict[str, Any]:
    """Circumferences by ellipses, against the sonographer's; and what the drawing itself gives."""
    known = hc18.read_heads(folder)

    def around(labels: LabelMap) -> float:
        try:
            return outline_ellipse(labels, "fetal head").circumference_mm
        except VesaliusError:  # nothing was found, or too little
            return float("nan")

    def beside(labels: Callable[[Seen], LabelMap | None]) -> dict[str, tuple[float, float]]:
        lengths = {one.case.id: (labels(one), known[one.case.id].circumference_mm) for one in seen}
        return {case: (around(one), length) for case, (one, length) in lengths.items() if one and length is not None}

    return {
        "head circumference": agreement(beside(lambda one: one.said), "mm"),
        "head circumference of the drawing": agreement(beside(lambda one: one.case.reference), "mm"),
    }


def _hearts(_: Path, seen: Sequence[Seen]) -> dict[str, Any]:
    """Volumes and ejection fraction of the left ventricle, for each patient with both ends of the beat."""
    by_phase = {(one.case.patient, one.case.groups.get("phase")): one for one in seen}
    names = {
        "ejection_fraction_percent": ("ejection fraction", "%"),
        "end_diastolic_ml": ("end-diastolic volume", "ml"),
        "end_systolic_ml": ("end-systolic volume", "ml"),
    }
    pairs: dict[str, dict[str, tuple[float, float]]] = {field: {} for field in names}
    for patient in dict.fromkeys(one.case.patient for one in seen):
        full, empty = (by_phase.get((patient, phase)) for phase in (DIASTOLE, SYSTOLE))
        if full is None or empty is None or full.case.reference is None or empty.case.reference is None:
            continue
        right = ejection(full.case.reference, empty.case.reference, cavity="left ventricle")
        try:
            said = ejection(full.said, empty.said, cavity="left ventricle")
        except VesaliusError:  # no ventricle was found, or one that grows
            said = None
        for field, row in pairs.items():
            row[patient] = (float("nan") if said is None else getattr(said, field), getattr(right, field))
    return {name: agreement(pairs[field], unit) for field, (name, unit) in names.items()}


def _second_reader(folder: Path, seen: Sequence[Seen]) -> dict[str, Any]:
    """The Dice of the second reader against the first: what a person reaches."""
    found = {}
    for one in seen:
        paths = sorted(folder.rglob(f"{one.case.id}_2ndHO.*"))
        if paths and one.case.reference is not None:
            drawn = read_labels(paths[0]).array > 0
            other = LabelMap(drawn.astype(np.uint8), one.case.reference.grid, one.case.reference.labels)
            found[one.case.id] = evaluate(other, one.case.reference, metrics=("dice",)).values["vessel"]["dice"]
    mean = float(np.mean(list(found.values()))) if found else float("nan")
    return {"Dice of the second reader": {"mean": _plain(mean), "cases": {c: _plain(v) for c, v in found.items()}}}


# --- the recipes ------------------------------------------------------------------------------------------------------

_FEW_STEPS = ("mirror_axes=", "optimisation.average_decay=0.98", "optimisation.warm_up_steps=20")
"""For some hundred steps, which is what minutes allow: a short memory of the weights' average, a short warm-up. Mirror
images would make segmenting four times slower, and less is gained by them than by the steps that the time is worth."""

_SMALL, _DEEP = (16, 32, 64, 128, 256), (16, 32, 64, 128, 256, 256)
"""Half of the usual features: four times the steps in the same time. The deep one sees far enough for large objects."""

RECIPES: dict[str, Recipe] = {
    # Vessels are thin: pixels as they are, and a network that need not see far.
    "retina-vessels": Recipe(
        read=_named("vessel"),
        held_out=every(4),
        unseen="{cases} photographs of {persons} children of CHASE_DB1, never trained on",
        features=_SMALL,
        patch_size=(256, 256),
        batch_size=2,
        settings=_FEW_STEPS,
        metrics=("dice", "cldice", "sensitivity", "precision"),
        measures=_second_reader,
    ),
    # 0.4 mm: a head is 35 to 280 pixels across, and a patch holds most of it with what is around.
    "fetal-head": Recipe(
        read=index,
        held_out=every(3),
        unseen="{cases} pictures of HC18, from early to late pregnancy, never trained on",
        features=_DEEP,
        patch_size=(256, 192),
        batch_size=4,
        settings=("spacing_mm=0.4,0.4", *_FEW_STEPS),
        metrics=("dice", "hd95", "assd"),
        measures=_heads,
    ),
    # Slices are 5 to 10 mm thick: each is seen with its two neighbours, and keeps its own thickness.
    "acdc-heart": Recipe(
        read=index,
        held_out=every(2),
        unseen="{cases} volumes (end-diastole, end-systole) of {persons} patients of ACDC, never trained on",
        features=_SMALL,
        patch_size=(160, 160, 6),
        batch_size=2,
        configuration="2.5d",
        settings=("preparation.own_spacing=2", "overlap=0.25", *_FEW_STEPS),
        metrics=("dice", "hd95"),
        measures=_hearts,
    ),
    "em-membrane": Recipe(
        read=_membranes,
        held_out=far_end(0.25),
        unseen="{cases} sections at the far end of the same stack of ISBI 2012, never trained on",
        features=_SMALL,
        patch_size=(192, 192),
        batch_size=3,
        settings=_FEW_STEPS,
        metrics=("dice", "cldice"),
    ),
    # The copy at hand is 256 x 256, which is one patch.
    "polyp": Recipe(
        read=_named("polyp"),
        held_out=every(4),
        unseen="{cases} pictures of Kvasir-SEG (256 x 256), never trained on",
        features=_DEEP,
        patch_size=(256, 256),
        batch_size=4,
        settings=_FEW_STEPS,
    ),
    "breast-lesion": Recipe(
        read=index,
        held_out=every(3, group="class"),
        unseen="{cases} pictures of BUSI, a third of each class, never trained on",
        features=_DEEP,
        patch_size=(320, 320),
        batch_size=2,
        settings=_FEW_STEPS,
    ),
    # Up to 2592 x 1936 pixels: a slim network with large patches, so that a lesion fits and segmenting stays quick.
    "skin-lesion": Recipe(
        read=index,
        held_out=every(3),
        unseen="ISIC 2017, never trained on (photographs: {cases})",
        features=(8, 16, 32, 64, 128, 128, 128),
        patch_size=(512, 512),
        batch_size=1,
        settings=("overlap=0.25", *_FEW_STEPS),
    ),
}
"""By name: that of the folder beside this file."""
