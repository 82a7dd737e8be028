"""From a record to its case: read the files and put them on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vesalius.errors import DataError, GeometryError
from vesalius.image import Case, Dataset, Grid, LabelMap, Record, Volume
from vesalius.io import read, read_labels

TOLERANCE_MM = 0.1
"""Corners may lie this far apart: headers store affines in single precision, or as quaternions."""


def load_case(record: Record, dataset: Dataset) -> Case:
    """Read a case of a data set; `Dataset` calls this.

    Args:
        record: The files.
        dataset: Whose record it is: it knows the channels, the labels and how masks are binarised.

    Returns:
        The case, all of it on the grid of its first image file.

    Raises:
        FormatError: A file cannot be read.
        GeometryError: Channels or reference lie on another grid.
        DataError: The number of channels is not the data set's, or the reference holds values that are not declared.
    """
    image = read_channels(record.images)
    if image.channels != len(dataset.channels):
        raise DataError(
            f"case {record.id}: {image.channels} channels, but the data set has {len(dataset.channels)} "
            f"({', '.join(dataset.channels)})"
        )
    reference = None
    if record.reference is not None:
        found = read_labels(record.reference, dataset.labels, binarise_above=dataset.binarise_above)
        refuse_other_place(image, found.grid, record.reference.name)
        reference = LabelMap(found.array, image.grid, found.labels)
    return Case(record.id, image, reference, record.patient, record.groups)


def read_channels(paths: Sequence[Path]) -> Volume:
    """Read the files of one image and stack their channels on the grid of the first.

    Raises:
        FormatError: A file cannot be read.
        GeometryError: Two files lie on different grids.
    """
    volumes = [read(path) for path in paths]
    first = volumes[0]
    for path, volume in zip(paths[1:], volumes[1:], strict=True):
        refuse_other_place(first, volume.grid, path.name)
    if len(volumes) == 1:
        return first
    return first.with_array(np.concatenate([volume.array for volume in volumes]))


def refuse_other_place(image: Volume, grid: Grid, name: str) -> None:
    """Raise unless a grid is that of the image, to `TOLERANCE_MM`.

    Where one of both is a picture without a physical size, the shapes alone decide.

    Raises:
        GeometryError: The grids differ.
    """
    if grid.shape != image.grid.shape:
        raise GeometryError(f"{name}: its shape is {grid.shape}, that of the image is {image.grid.shape}")
    bare = grid.ndim == 2 and np.array_equal(grid.affine, np.eye(3))
    if image.meta.calibrated and not bare and not image.grid.is_close(grid, tolerance_mm=TOLERANCE_MM):
        apart = image.grid.corner_distance_mm(grid)
        raise GeometryError(f"{name}: its corners lie up to {apart:.3g} mm from those of the image")
