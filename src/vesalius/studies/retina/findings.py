"""What a segmenter of the retina says of a photograph, and how well that agrees with what was drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.image import LabelMap, Volume
from vesalius.io import read, write
from vesalius.io.layouts.fundus import Eye
from vesalius.metrics.discrimination import IDRID_THRESHOLDS, aupr, mean_aupr, roc_auc
from vesalius.metrics.overlap import Counts, accuracy, dice, sensitivity, specificity
from vesalius.metrics.statistics import bootstrap_means
from vesalius.predict import Segmenter, segment
from vesalius.report import Section, overlay
from vesalius.studies.retina.teaching import bare, drawn_labels, prepared_photograph
from vesalius.transform import label_components, resample
from vesalius.transform.fundus import field_of_view

_PICTURES = 6  # in a page


@dataclass(frozen=True, eq=False)
class Reading:
    """What a segmenter says of a photograph, on its own pixels.

    Args:
        photograph: As it was taken.
        labels: What is there.
        probabilities: ``(outputs, *grid)``, background first.
        field: Where the retina is seen.
    """

    photograph: Volume
    labels: LabelMap
    probabilities: NDArray[np.float32]
    field: NDArray[np.bool_]


def read_photograph(path: Path, segmenter: Segmenter) -> Reading:
    """Prepare a photograph, segment it, and bring the answer back to its own pixels.

    Nothing is found outside the field of view.

    Raises:
        FormatError: The file cannot be read.
        DataError: It is no colour picture.
    """
    photograph = read(path)
    field = field_of_view(photograph).array > 0
    made = prepared_photograph(photograph)
    said = segment(bare(made), segmenter, probabilities=True)
    assert said.probabilities is not None
    chances = resample(Volume(said.probabilities.array, made.grid), photograph.grid).array
    chances = np.clip(chances, 0, 1).astype(np.float32)
    chances[1:, ~field] = 0
    labels = segmenter.bundle.plan.labels
    values = np.where(field, chances.argmax(axis=0), 0).astype(np.uint8)
    return Reading(photograph, LabelMap(values, photograph.grid, labels), chances, field)


def vessel_section(
    name: str, held_out: Sequence[Eye], segmenter: Segmenter, out: Path
) -> tuple[Section, dict[str, float]]:
    """Score vessels inside the field of view, and the second reader in the same way.

    The official field of view counts where the set has one.

    Args:
        name: Of the set.
        held_out: Photographs with drawn vessels.
        segmenter: Never taught with these.
        out: Folder for label maps and pictures.

    Returns:
        The part of the report, and the figures.
    """
    columns = ("Dice", "AUC", "sensitivity", "specificity", "accuracy", "second reader's Dice")
    table: dict[str, list[float]] = {}
    pictures: dict[str, NDArray[np.uint8]] = {}
    for eye in held_out:
        reading = read_photograph(eye.photograph, segmenter)
        shape = reading.photograph.grid.shape
        field = reading.field if eye.field is None else eye.field.read(shape)
        drawn = eye.drawings["vessels"].read(shape)[field]
        counts = _counts(drawn, reading.labels.array[field] > 0)
        second = math.nan if eye.second is None else dice(_counts(drawn, eye.second.read(shape)[field]))
        auc = roc_auc(drawn, reading.probabilities[1][field])
        table[eye.id] = [dice(counts), auc, sensitivity(counts), specificity(counts), accuracy(counts), second]
        write(reading.labels, out / f"{eye.id}.png")
        if len(pictures) < _PICTURES:
            pictures[f"{eye.id}: Dice {dice(counts):.3f}"] = _picture(reading, eye)
    values = np.array(list(table.values())).T
    known = [column for column, row in zip(columns, values, strict=True) if not np.isnan(row).all()]
    means = {column: float(np.nanmean(values[columns.index(column)])) for column in known}
    spread = bootstrap_means(values[:1])[:, 0]
    rows = [["photograph", *known]]
    rows += [[case, *(f"{row[columns.index(c)]:.3f}" for c in known)] for case, row in table.items()]
    rows.append(["mean", *(f"{means[c]:.3f}" for c in known)])
    text = (
        f"Inside the field of view of {len(held_out)} photographs that were held out by patient. The mean Dice lies "
        f"between {np.quantile(spread, 0.025):.3f} and {np.quantile(spread, 0.975):.3f} (95 %, bootstrap over the "
        "photographs). The second reader is scored against the first, as the segmenter is."
    )
    return Section(f"{name}: vessels", [text], rows, pictures), {f"vessels, {c}": v for c, v in means.items()}


def lesion_section(
    name: str, held_out: Sequence[Eye], segmenter: Segmenter, out: Path
) -> tuple[Section, dict[str, float]]:
    """Score lesions by the area under precision and recall, the pixels of all photographs pooled, as IDRiD does.

    Args:
        name: Of the set.
        held_out: Photographs with drawn lesions.
        segmenter: Never taught with these.
        out: Folder for label maps and pictures.

    Returns:
        The part of the report, and the figures: AUPR of each lesion and their mean; and for each lesion how well the
        surest pixel of a photograph tells whether the lesion is there at all (AUC).
    """
    labels = segmenter.bundle.plan.labels
    pictures: dict[str, NDArray[np.uint8]] = {}
    levels: dict[str, list[NDArray[np.uint8]]] = {label.name: [] for label in labels.labels}
    surest: dict[str, list[float]] = {label.name: [] for label in labels.labels}
    present: dict[str, list[bool]] = {label.name: [] for label in labels.labels}
    for eye in held_out:
        reading = read_photograph(eye.photograph, segmenter)
        for at, label in enumerate(labels.labels, start=1):
            chances = reading.probabilities[at]
            # The thresholds are known: a byte a pixel says between which two a probability lies.
            levels[label.name].append((chances * (IDRID_THRESHOLDS - 1)).astype(np.uint8))
            surest[label.name].append(float(chances.max()))
            present[label.name].append(bool(_marked(eye, label.name, chances.shape).any()))
        write(reading.labels, out / f"{eye.id}.png")
        if len(pictures) < _PICTURES:
            pictures[eye.id] = _picture(reading, eye)
    areas = {lesion: aupr(_drawn(held_out, lesion, maps), _chances(maps)) for lesion, maps in levels.items()}
    told = {lesion: roc_auc(np.array(present[lesion]), np.array(surest[lesion])) for lesion in levels}
    rows = [["lesion", "photographs with it", "AUPR", "AUC of its presence"]]
    rows += [
        [lesion, f"{sum(present[lesion])} of {len(held_out)}", _shown(areas[lesion]), _shown(told[lesion])]
        for lesion in levels
    ]
    rows.append(["mean", "", _shown(mean_aupr(areas)), ""])
    text = (
        f"On {len(held_out)} photographs that were held out. AUPR: precision over recall at {IDRID_THRESHOLDS} "
        "thresholds, the pixels of all photographs together (IDRiD). Presence: the surest pixel of a photograph."
    )
    scores = {f"{lesion}, AUPR": area for lesion, area in areas.items() if not math.isnan(area)}
    return Section(f"{name}: lesions", [text], rows, pictures), {**scores, "mean AUPR": mean_aupr(areas)}


def read_new(path: Path, segmenter: Segmenter, out: Path) -> tuple[list[list[str]], NDArray[np.uint8]]:
    """Segment a photograph without reference.

    Args:
        path: The photograph.
        segmenter: Of vessels or lesions.
        out: Where its label map goes (.png).

    Returns:
        A row for each label: name, share of the field in percent, connected places; and a picture.
    """
    reading = read_photograph(path, segmenter)
    write(reading.labels, out)
    counts, size = reading.labels.counts(), max(1, int(reading.field.sum()))
    rows = []
    for label in reading.labels.labels.labels:
        _, places = label_components(reading.labels.array == label.value)
        rows.append([label.name, f"{100 * counts.get(label.value, 0) / size:.3f}", str(len(places))])
    return rows, overlay(reading.photograph, reading.labels)


def _picture(reading: Reading, eye: Eye) -> NDArray[np.uint8]:
    drawn = drawn_labels(eye, reading.labels.labels, reading.photograph.grid)
    return overlay(reading.photograph, reading.labels, drawn)


def _counts(reference: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> Counts:
    both = int((reference & prediction).sum())
    drawn, said = int(reference.sum()), int(prediction.sum())
    return Counts(both, said - both, drawn - both, reference.size - drawn - said + both)


def _drawn(held_out: Sequence[Eye], lesion: str, maps: Sequence[NDArray[np.uint8]]) -> Iterator[NDArray[np.bool_]]:
    """Read again one by one: all of them at once would need gigabytes."""
    for eye, one in zip(held_out, maps, strict=True):
        yield _marked(eye, lesion, one.shape)


def _chances(maps: Sequence[NDArray[np.uint8]]) -> Iterator[NDArray[np.float64]]:
    for one in maps:
        yield one / (IDRID_THRESHOLDS - 1)


def _marked(eye: Eye, lesion: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    drawing = eye.drawings.get(lesion)
    return np.zeros(shape, np.bool_) if drawing is None else drawing.read(shape)


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
