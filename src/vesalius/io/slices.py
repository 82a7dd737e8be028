"""Slices of a stack in files of their own: ordered by the numbers in their names, and put together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd
from pathlib import Path

import numpy as np

from vesalius.errors import DataError, FormatError
from vesalius.image import Grid, Label, LabelMap, Labels, Meta, Volume
from vesalius.io import format_of, read, read_labels


@dataclass(frozen=True)
class Numbered:
    """The files of a stack in their order.

    Args:
        paths: The files, by rising numbers.
        places: The place of each in the stack, from 0.
        missing: The places that no file has.
        first, step: The number of the first file, and from place to place.
    """

    paths: tuple[Path, ...]
    places: tuple[int, ...]
    missing: tuple[int, ...]
    first: int
    step: int

    def number(self, place: int) -> int:
        """The number in the name of the file at a place, or that it would have."""
        return self.first + place * self.step


def slice_files(paths: Sequence[Path]) -> list[Path]:
    """The files that some paths name: files as they are, of folders all in a format that can be read.

    Raises:
        DataError: A path is not there, or a folder has no such file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path.name}: there is no such file or folder")
        inside = [path]
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != "." and format_of(p) is not None)
            if not inside:
                raise DataError(f"{path.name}: the folder has no file in a format that can be read")
        found += inside
    return found


def number_slices(paths: Sequence[Path]) -> Numbered:
    """Order files by the number in their names that differs from file to file.

    Args:
        paths: The files. Where their numbers rise by a common step (10, 20, 30), that is from slice to slice.

    Raises:
        DataError: There are fewer than two; names have no number or several that differ; a number is there twice.

    Example:
        >>> found = number_slices([Path(f"case7_s{k}.png") for k in (10, 8, 12, 9)])
        >>> [path.name for path in found.paths], found.missing, found.number(3)
        (['case7_s8.png', 'case7_s9.png', 'case7_s10.png', 'case7_s12.png'], (3,), 11)
    """
    if len(paths) < 2:
        raise DataError(f"a stack has two slices or more; here {'is one' if paths else 'is none'}")
    groups = [re.findall(r"\d+", path.name.removesuffix(format_of(path) or "")) for path in paths]
    if len({len(one) for one in groups}) != 1 or not groups[0]:
        raise DataError("the slices' names must have their number in the same place: slice_001.png, slice_002.png …")
    columns = [[int(text) for text in column] for column in zip(*groups, strict=True)]
    varied = [column for column in columns if len(set(column)) > 1]
    if len(varied) > 1:
        raise DataError("several numbers differ in the slices' names: leave one, that of the slice")
    numbers = varied[0] if varied else columns[-1]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise DataError(f"slice {twice[0]} is there {numbers.count(twice[0])} times: name each slice once")
    order = sorted(range(len(paths)), key=lambda k: numbers[k])
    first = numbers[order[0]]
    step = reduce(gcd, (number - first for number in numbers))
    places = tuple((numbers[k] - first) // step for k in order)
    missing = tuple(sorted(set(range(places[-1])) - set(places)))
    return Numbered(tuple(paths[k] for k in order), places, missing, first, step)


def read_label_slices(
    files: Numbered,
    labels: Labels | None = None,
    *,
    spacing_mm: float,
    pixel_mm: float | None = None,
    binarise_above: float | None = None,
) -> LabelMap:
    """Read slices into a label map; where files are missing it is empty.

    Args:
        files: Of `number_slices`.
        labels: What values mean; left out, as the files say.
        spacing_mm: From slice to slice.
        pixel_mm: The side of a pixel, for formats without a scale.
        binarise_above: As for `vesalius.io.read_labels`.

    Returns:
        The label map: its third axis runs across the slices.

    Raises:
        DataError: A slice is not 2D, has another size or other names than the first, or its pixels have no size.
        FormatError: A file cannot be read.
    """
    found = [read_labels(path, labels, binarise_above=binarise_above) for path in files.paths]
    grid = _grid(files, [one.grid for one in found], spacing_mm, pixel_mm)
    if labels is None:
        named: dict[int, Label] = {}
        for path, one in zip(files.paths, found, strict=True):
            for label in one.labels.labels:
                if named.setdefault(label.value, label).name != label.name:
                    raise DataError(f"{path.name}: the value {label.value} has another name than in other slices")
        labels = Labels(tuple(named[value] for value in sorted(named)))
    kind = np.result_type(*(one.array for one in found))
    array = np.zeros(grid.shape, kind)
    for place, one in zip(files.places, found, strict=True):
        array[:, :, place] = one.array
    return LabelMap(array, grid, labels)


def read_image_slices(files: Numbered, *, spacing_mm: float, pixel_mm: float | None = None) -> Volume:
    """Read the images of slices, as `read_label_slices` reads labels."""
    found = [read(path) for path in files.paths]
    if len({one.channels for one in found}) > 1:
        raise DataError("the images of the slices have different numbers of channels")
    grid = _grid(files, [one.grid for one in found], spacing_mm, pixel_mm)
    array = np.zeros((found[0].channels, *grid.shape), np.result_type(*(one.array for one in found)))
    for place, one in zip(files.places, found, strict=True):
        array[..., place] = one.array
    return Volume(array, grid, Meta(found[0].meta.modality, found[0].meta.unit))


def _grid(files: Numbered, grids: Sequence[Grid], spacing_mm: float, pixel_mm: float | None) -> Grid:
    for path, grid in zip(files.paths, grids, strict=True):
        size = " × ".join(map(str, grid.shape))
        if grid.ndim != 2:
            raise DataError(f"{path.name}: each file of a stack holds one slice; this one is {size}")
        if grid.shape != grids[0].shape:
            first = " × ".join(map(str, grids[0].shape))
            raise DataError(f"{path.name} has {size} pixels, and {files.paths[0].name} {first}")
        if not np.allclose(grid.spacing_mm, grids[0].spacing_mm, rtol=1e-3):
            raise DataError(f"{path.name}: its pixels have another size than those of {files.paths[0].name}")
    flat = grids[0].spacing_mm if pixel_mm is None else (pixel_mm, pixel_mm)
    if pixel_mm is None and not read(files.paths[0]).meta.calibrated:
        raise DataError(f"{files.paths[0].name} does not say how large its pixels are: say it with --pixel-size")
    if not (np.isfinite((*flat, spacing_mm)).all() and min(*flat, spacing_mm) > 0):
        raise DataError("the spacing of slices and the size of pixels must be above 0 mm")
    shape = (*grids[0].shape, files.places[-1] + 1)
    return Grid.from_spacing(shape, (*flat, spacing_mm))


def matching(files: Numbered, others: Sequence[Path]) -> Numbered:
    """Those of some files that have the numbers of a stack's: its images beside its labels.

    Raises:
        FormatError: One is missing.
    """
    found = number_slices(others)
    by_number = {found.number(place): path for place, path in zip(found.places, found.paths, strict=True)}
    wanted = [files.number(place) for place in files.places]
    lost = [number for number in wanted if number not in by_number]
    if lost:
        raise FormatError(f"slice {lost[0]} has no image")
    return Numbered(tuple(by_number[n] for n in wanted), files.places, files.missing, files.first, files.step)
