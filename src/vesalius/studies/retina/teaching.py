"""Photographs in the form that a segmenter of the retina is taught with, and its answers back on the photograph."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Dataset, Grid, LabelMap, Labels, Volume
from vesalius.io import read, write
from vesalius.io.atomic import make_folder, write_text
from vesalius.io.layouts import index
from vesalius.io.layouts.fundus import Eye, Eyes
from vesalius.transform import resample
from vesalius.transform.fundus import FUNDUS_CHANNELS, fundus

LARGEST = 1440
"""Pixels of a photograph's shorter side at most: a microaneurysm of 10 µm is still seen, and cameras look alike.

Source: the usual size in work on IDRiD, whose photographs are 4288 × 2848; a choice, not a measurement."""


def prepared_photograph(photograph: Volume) -> Volume:
    """A photograph as the segmenters see it: not larger than `LARGEST`, by the step ``fundus``.

    Args:
        photograph: 2D, red, green and blue; any size.

    Returns:
        The channels of `FUNDUS_CHANNELS`, in the photograph's own place: spacing is above 1 where it was made smaller.

    Raises:
        DataError: It is no colour picture.
    """
    times = max(1.0, min(photograph.grid.shape) / LARGEST)
    if times > 1:
        smaller = photograph.grid.with_spacing([times * each for each in photograph.grid.spacing_mm])
        photograph = resample(photograph, smaller)
    return fundus(photograph)


def bare(image: Volume) -> Volume:
    """The same pixels without a place: a network knows pixels, whatever size the camera gave them."""
    return replace(image, grid=Grid(image.grid.shape, np.eye(3)), meta=replace(image.meta, calibrated=False))


def labels_of(eyes: Eyes) -> Labels:
    """The targets of a set, in the order in which they are drawn over each other."""
    return Labels.of({name: value for value, name in enumerate(eyes.targets, start=1)})


def drawn_labels(eye: Eye, labels: Labels, grid: Grid) -> LabelMap:
    """What was drawn on a photograph, one label a pixel.

    Where drawings overlap, the label with the greater value covers the other.

    Args:
        eye: The photograph.
        labels: The targets.
        grid: The photograph's.

    Raises:
        DataError: A drawing has another size than the photograph.
    """
    made: NDArray[np.uint8] = np.zeros(grid.shape, np.uint8)
    for label in sorted(labels.labels, key=lambda one: one.value):
        if label.name in eye.drawings:
            made[eye.drawings[label.name].read(grid.shape)] = label.value
    return LabelMap(made, grid, labels)


def prepared_set(eyes: Eyes, teaching: Sequence[Eye], folder: Path) -> Dataset:
    """Write the photographs to learn from as a data set: prepared images, one label map each, and a manifest.

    Files that are there already are kept: a run that was cut off goes on.

    Args:
        eyes: The set.
        teaching: Its photographs to learn from.
        folder: Where to.

    Returns:
        The data set, checked.
    """
    images, references = make_folder(folder / "images"), make_folder(folder / "references")
    labels = labels_of(eyes)
    rows = [["case", "patient", "image", "reference"]]
    for eye in teaching:
        image, reference = images / f"{eye.id}.npz", references / f"{eye.id}.png"
        if not (image.is_file() and reference.is_file()):
            photograph = read(eye.photograph)
            made = prepared_photograph(photograph)
            drawn = resample(drawn_labels(eye, labels, photograph.grid), made.grid)
            write(LabelMap(drawn.array, Grid(drawn.grid.shape, np.eye(3)), labels), reference)
            write(bare(made), image)
        rows.append([eye.id, eye.patient, f"images/{image.name}", f"references/{reference.name}"])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(folder / "teaching.csv", text.getvalue())
    return replace(index(folder / "teaching.csv"), channels=FUNDUS_CHANNELS, labels=labels)
