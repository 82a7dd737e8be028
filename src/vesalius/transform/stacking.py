"""A stack of slices, each drawn or segmented by itself, made one consistent label map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError, unknown_name
from vesalius.image import Grid, LabelMap, Volume
from vesalius.transform.align_slices import (
    Jitter,
    chosen_values,
    find_jitter,
    image_channels,
    move_image,
    move_labels,
    outline_channels,
)
from vesalius.transform.between_slices import interpolate_slices
from vesalius.transform.sampling import coarsest_axis

Alignment = Literal["none", "shift", "rigid"]
"""Slices stay where they are; are shifted; are shifted and turned."""


@dataclass(frozen=True, eq=False)
class Stacked:
    """What became of a stack.

    Args:
        labels: The label map.
        image: The image, moved and interpolated in the same way; None where there was none.
        jitter: How each slice lay askew; still where nothing was moved or asked for.
        filled: The slices that were filled from their neighbours.
        islands: How many pieces without support were removed.
    """

    labels: LabelMap
    image: Volume | None
    jitter: Jitter
    filled: tuple[int, ...]
    islands: int


def stack_slices(
    labels: LabelMap,
    *,
    axis: int | None = None,
    missing: Sequence[int] = (),
    fill_empty: bool = False,
    align: Alignment = "none",
    image: Volume | None = None,
    spacing_mm: float | None = None,
    drop_islands: bool = False,
) -> Stacked:
    """Make one consistent label map of slices that were drawn or segmented one by one.

    Slices that lie askew are put right (`vesalius.transform.align_slices`: what is smooth from slice to slice is
    anatomy and stays), pieces that only one slice shows are removed if that is wanted, and shapes are interpolated
    between the slices and where one is missing (`vesalius.transform.between_slices`).

    Args:
        labels: 3D, its slices along ``axis``.
        axis: Across the slices, 0 to 2; left out, the coarsest, and of several the last.
        missing: The slices that are not there; what stands in their place does not count.
        fill_empty: Whether slices without any label between others that have some are missing, too.
        align: ``"none"``, ``"shift"`` or ``"rigid"``; by the outlines of labels, or by the image where there is one.
        image: On the same grid; moved along with the labels.
        spacing_mm: Of the result's slices; left out, the finer spacing of the pixels.
        drop_islands: Whether pieces of a structure go that lie over nothing of it in both neighbouring slices; what is
            around them takes their place. A real structure that one slice alone shows goes, too.

    Returns:
        The label map on a grid of the same extent, what it was made of, and the image.

    Raises:
        DataError: The label map is not 3D, fewer than two slices are there, three are too few to be aligned, or
            an argument is out of range.
        GeometryError: The image lies on another grid.

    Example:
        >>> from vesalius.image import Labels
        >>> array = np.zeros((9, 9, 3), np.uint8)
        >>> array[2:7, 2:7, 0] = array[2:7, 2:7, 2] = 1
        >>> thick = LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 2)), Labels.of({"rod": 1}))
        >>> made = stack_slices(thick, missing=[1])
        >>> made.labels.grid.shape, made.labels.counts()[1]
        ((9, 9, 6), 150)
    """
    _check(labels, axis, image, align, spacing_mm)
    spacing = np.asarray(labels.grid.spacing_mm)
    across = coarsest_axis(labels.grid) if axis is None else axis
    stack = np.moveaxis(labels.array, across, 0)
    values = [value for value in labels.counts() if value not in (0, labels.labels.ignore)]
    gone = {int(k) for k in missing} | (_empty_between(stack, values) if fill_empty else set())
    here = [k for k in range(len(stack)) if k not in gone]
    if len(here) < 2:
        raise DataError(f"a stack has two slices or more; here {len(here)} can be used")
    kept = np.stack([stack[k] for k in here])
    pictures = None if image is None else np.stack([np.moveaxis(image.array, across + 1, 0)[k] for k in here])
    jitter = Jitter(np.zeros((len(here), 2)), np.zeros(len(here)), (0.0, 0.0))
    if align != "none":
        if pictures is not None:
            channels = [image_channels(one) for one in pictures]
        else:
            told = chosen_values(kept, values)
            channels = [outline_channels(one, told) for one in kept]
        jitter = find_jitter(channels, here, turned=align == "rigid")
    if not jitter.is_still:
        kept = np.stack([move_labels(one, jitter.matrix(k)) for k, one in enumerate(kept)])
        if pictures is not None:
            pictures = np.stack([move_image(one, jitter.matrix(k)) for k, one in enumerate(pictures)])
    islands = 0
    if drop_islands:
        kept, islands = _without_islands(kept, values)
    flat = [float(s) for k, s in enumerate(spacing) if k != across]
    wanted = [float(s) for s in spacing]
    wanted[across] = min(flat) if spacing_mm is None else spacing_mm
    grid = labels.grid.with_spacing(wanted)
    at = np.asarray(here) * float(spacing[across])
    places = _places(labels.grid, grid, across) * float(spacing[across])
    fine = interpolate_slices(kept, at, places, spacing_mm=(flat[0], flat[1]), values=values)
    whole = LabelMap(np.ascontiguousarray(np.moveaxis(fine, 0, across)), grid, labels.labels)
    shown = None
    if pictures is not None and image is not None:
        made = np.moveaxis(_linear(pictures, at, places), 0, across + 1)
        shown = Volume(np.ascontiguousarray(made), grid, image.meta)
    filled = tuple(k for k in sorted(gone) if here[0] < k < here[-1])
    return Stacked(whole, shown, jitter, filled, islands)


def _check(labels: LabelMap, axis: int | None, image: Volume | None, align: str, spacing_mm: float | None) -> None:
    if labels.grid.ndim != 3:
        raise DataError(f"a stack is 3D; this label map is {labels.grid.ndim}D")
    if axis not in (None, 0, 1, 2):
        raise DataError(f"axis must be 0, 1 or 2, not {axis}")
    if align not in get_args(Alignment):
        raise DataError(unknown_name("alignment", align, get_args(Alignment)))
    if spacing_mm is not None and not (np.isfinite(spacing_mm) and spacing_mm > 0):
        raise DataError(f"the spacing of the slices must be above 0 mm, not {spacing_mm}")
    if image is not None and not image.grid.is_close(labels.grid, tolerance_mm=0.01):
        raise GeometryError("the image lies on another grid than the labels")


def _places(old: Grid, new: Grid, axis: int) -> NDArray[np.float64]:
    """Where the slices of a new grid lie among those of the old one, in slices."""
    index = np.zeros((new.shape[axis], 3))
    index[:, axis] = np.arange(new.shape[axis])
    places: NDArray[np.float64] = old.to_index(new.to_points(index))[:, axis].round(9)
    return places


def _empty_between(stack: NDArray[np.integer], values: Sequence[int]) -> set[int]:
    shown = [k for k, one in enumerate(stack) if np.isin(one, list(values)).any()]
    return set(range(shown[0], shown[-1])) - set(shown) if shown else set()


def _without_islands(stack: NDArray[np.integer], values: Sequence[int]) -> tuple[NDArray[np.integer], int]:
    """Pieces that lie over nothing of their own in both neighbours get the value that most of their outline touches."""
    from scipy.ndimage import binary_dilation, find_objects, label

    made, count = stack.copy(), 0
    for k, one in enumerate(stack):
        for value in values:
            inside = one == value
            if not inside.any():
                continue
            beside = np.zeros_like(inside)
            for other in (k - 1, k + 1):
                if 0 <= other < len(stack):
                    beside |= stack[other] == value
            pieces, number = label(inside, np.ones((3, 3)))
            alone = np.ones(number + 1, np.bool_)
            alone[pieces[beside]] = False
            for piece, box in enumerate(find_objects(pieces), 1):
                if not alone[piece]:
                    continue
                around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
                own = pieces[around] == piece
                rim = one[around][binary_dilation(own, np.ones((3, 3))) & ~own]
                made[k][around][own] = np.bincount(rim).argmax() if rim.size else 0
                count += 1
    return made, count


def _linear(
    pictures: NDArray[np.floating], at: NDArray[np.float64], places: NDArray[np.float64]
) -> NDArray[np.float32]:
    below = np.clip(np.searchsorted(at, places, side="right") - 1, 0, len(at) - 2)
    share = np.clip((places - at[below]) / (at[below + 1] - at[below]), 0, 1)
    made = np.empty((len(places), *pictures.shape[1:]), np.float32)
    for number, (k, t) in enumerate(zip(below.tolist(), share.tolist(), strict=True)):
        made[number] = pictures[k] * np.float32(1 - t) + pictures[k + 1] * np.float32(t)
    return made
