"""A patient's lesions from one time point to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.metrics.change import Verdict, doubling_days, link_lesions, verdict, volume_error_ml
from vesalius.metrics.response import Course, diameter_course, targets, volume_course
from vesalius.metrics.size import axes_mm, slice_axis
from vesalius.register import Alignment, Fitness, Kind, align, register
from vesalius.transform import label_components

_LEAST_VOXELS = 3  # smaller pieces are the noise of a segmenter or a slip of a pen


@dataclass(frozen=True, eq=False)
class Point:
    """A time point as it was read.

    Args:
        day: Since the first one.
        image: One channel.
        lesions: On the image's grid; every label counts as lesion.
    """

    day: int
    image: Volume
    lesions: LabelMap


@dataclass(frozen=True)
class Seen:
    """A lesion at one time point; all its pieces together.

    Args:
        pieces: How many; 0 if it is not there.
        volume_ml: Measured on the time point's own image.
        error_ml: Standard error of that.
        long_axis_mm: Of its longest piece.
        short_axis_mm: Of the same.
        verdict: What became of it since the time point before; ``None`` at the first, and while it is not there.
        change: Relative to the time point before; ``None`` where there is none.
        doubling_days: At the pace since then.
        event: ``"split"`` or ``"merged"``, where its pieces became more or fewer.
    """

    pieces: int
    volume_ml: float
    error_ml: float
    long_axis_mm: float
    short_axis_mm: float
    verdict: Verdict | None = None
    change: float | None = None
    doubling_days: float | None = None
    event: str = ""


@dataclass(frozen=True, eq=False)
class Followed:
    """What became of a patient's lesions.

    Args:
        days: Of the time points, from 0.
        lesions: By name, each seen at every time point.
        fitness: Of the registration of each later time point to the first.
        aligned: Image and lesions of each time point on the first one's grid.
        targets: Names of the lesions whose diameters are summed.
        diameters: Response by them.
        volumes: Response by the volume of all.
        alerts: Why a reader should look, for each time point.
        notes: What was put right, a sentence each.
    """

    days: tuple[int, ...]
    lesions: dict[str, tuple[Seen, ...]]
    fitness: tuple[Fitness, ...]
    aligned: tuple[tuple[Volume, LabelMap], ...]
    targets: tuple[str, ...]
    diameters: Course
    volumes: Course
    alerts: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Piece:
    """A connected piece of a lesion at one time point."""

    volume_ml: float
    error_ml: float
    long_axis_mm: float
    short_axis_mm: float


def follow(points: Sequence[Point], *, kind: Kind = "rigid", growth: float = 0.25, seed: int = 0) -> Followed:
    """Register the time points to the first, match their lesions, and say what became of each.

    Lesions are measured on their own images, where nothing was interpolated; only the matching is done on the first
    one's grid. Pieces that are linked at any time are one lesion throughout, so that one that splits or merges is
    measured as a whole. What has gone and comes again is new.

    Args:
        points: Two or more, in the order of time, of one part of the body in one sequence.
        kind: How a time point may move: rigid for the head.
        growth: The alert rule: growth by this share of the earlier volume or more, beyond the error of measurement; a
            new lesion always.
        seed: Of the registration.

    Returns:
        The lesions over time, with responses and alerts.

    Raises:
        DataError: Fewer than two time points, or images that cannot be registered.
    """
    if len(points) < 2:
        raise DataError(f"a course needs two time points or more, not {len(points)}")
    grid = points[0].image.grid
    notes: list[str] = []
    maps, pieces = [], []
    for number, point in enumerate(points, start=1):
        numbered, found, dropped = _pieces(point.lesions)
        maps.append(numbered)
        pieces.append(found)
        if dropped:
            notes.append(f"time point {number}: {dropped} pieces of fewer than {_LEAST_VOXELS} voxels were left out")
    # What grows or goes has no say in where the head is.
    lesions_there = points[0].lesions if points[0].lesions.array.any() else None
    later = [
        register(point.image, points[0].image, kind=kind, leave_out=lesions_there, seed=seed) for point in points[1:]
    ]
    alignments = [Alignment(np.eye(grid.ndim + 1)), *later]
    there = [maps[0]]
    for number, (point, alignment) in enumerate(zip(points[1:], alignments[1:], strict=True), start=2):
        carried, lost = _carried(maps[number - 1], point.image.grid, alignment, grid)
        there.append(carried)
        if lost:
            notes.append(f"time point {number}: {lost} pieces lie outside the first image and match nothing")
    groups, events = _groups([sorted(some) for some in pieces], there, grid)
    lesions = {
        f"L{number}": _seen(group, pieces, [point.day for point in points], events, growth)
        for number, group in enumerate(groups, start=1)
    }
    return _judged(points, lesions, alignments, there, grid, growth, notes)


def _pieces(lesions: LabelMap) -> tuple[NDArray[np.int32], dict[int, Piece], int]:
    """The connected pieces of a map, numbered and measured, and how many were too small."""
    ignore = lesions.labels.ignore
    numbers, sizes = label_components((lesions.array > 0) & (lesions.array != (ignore or 0)))
    kept: dict[int, Piece] = {}
    made = np.zeros(numbers.shape, np.int32)
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        if sizes[number - 1] < _LEAST_VOXELS:
            continue
        mask = numbers[box] == number
        made[box][mask] = number
        axes = axes_mm(mask, lesions.grid) or (0.0, 0.0)
        volume = float(mask.sum()) * lesions.grid.voxel_volume_mm3 / 1000
        kept[number] = Piece(volume, volume_error_ml(mask, lesions.grid.voxel_volume_mm3), *axes)
    return made, kept, len(sizes) - len(kept)


def _carried(numbers: NDArray[np.int32], own: Grid, alignment: Alignment, grid: Grid) -> tuple[NDArray[np.int32], int]:
    """Numbered pieces on the first image's grid; pieces smaller than its voxels stay as the voxel of their middle."""
    names = [int(n) for n in np.unique(numbers) if n]
    if not names:
        return np.zeros(grid.shape, np.int32), 0
    carried = align(LabelMap(numbers, own, Labels.of(names)), alignment, grid).array.astype(np.int32)
    back = alignment.inverse(own if alignment.displacement is not None else None)
    lost = 0
    for name in set(names) - set(np.unique(carried).tolist()):
        middle = own.to_points(np.argwhere(numbers == name).mean(axis=0))
        at = np.rint(grid.to_index(back.to_moving(middle))).astype(int)
        if ((at < 0) | (at >= grid.shape)).any():
            lost += 1
        else:
            carried[tuple(at)] = name
    return carried, lost


def _groups(
    numbers: Sequence[Sequence[int]], there: Sequence[NDArray[np.int32]], grid: Grid
) -> tuple[list[list[set[int]]], dict[tuple[int, int], str]]:
    """The pieces of each lesion at each time point, and at which time points its pieces split or merged."""
    owner: dict[tuple[int, int], tuple[int, int]] = {(t, n): (t, n) for t, some in enumerate(numbers) for n in some}

    def root(node: tuple[int, int]) -> tuple[int, int]:
        while owner[node] != node:
            node = owner[node]
        return node

    events: dict[tuple[int, int], str] = {}
    for time in range(1, len(there)):
        for link in link_lesions(there[time - 1], there[time], grid.spacing_mm):
            nodes = [(time - 1, n) for n in link.before] + [(time, n) for n in link.after]
            first = min(root(node) for node in nodes)
            for node in nodes:
                owner[root(node)] = first
            if link.fate in ("split", "merged", "split and merged"):
                events |= {(time, n): link.fate for n in link.after}
    roots = sorted({root(node) for node in owner})
    return [[{n for n in some if root((time, n)) == one} for time, some in enumerate(numbers)] for one in roots], events


def _seen(
    group: Sequence[set[int]],
    pieces: Sequence[dict[int, Piece]],
    days: Sequence[int],
    events: dict[tuple[int, int], str],
    growth: float,
) -> tuple[Seen, ...]:
    found: list[Seen] = []
    for time, (some, measured) in enumerate(zip(group, pieces, strict=True)):
        parts = [measured[n] for n in sorted(some)]
        longest = max(parts, key=lambda part: part.long_axis_mm, default=Piece(0.0, 0.0, 0.0, 0.0))
        volume = sum(part.volume_ml for part in parts)
        error = float(np.sqrt(sum(part.error_ml**2 for part in parts)))
        said: Verdict | None = None
        change = doubling = None
        if found and (volume or found[-1].volume_ml):
            earlier = found[-1]
            said = verdict(
                earlier.volume_ml,
                volume,
                error_before_ml=earlier.error_ml,
                error_now_ml=error,
                least_change=growth,
            )
            if earlier.volume_ml:
                change = volume / earlier.volume_ml - 1
                if volume:
                    doubling = doubling_days(earlier.volume_ml, volume, days[time] - days[time - 1])
        event = next((events[time, n] for n in sorted(some) if (time, n) in events), "")
        found.append(
            Seen(len(parts), volume, error, longest.long_axis_mm, longest.short_axis_mm, said, change, doubling, event)
        )
    return tuple(found)


def _judged(
    points: Sequence[Point],
    lesions: dict[str, tuple[Seen, ...]],
    alignments: Sequence[Alignment],
    there: Sequence[NDArray[np.int32]],
    grid: Grid,
    growth: float,
    notes: Sequence[str],
) -> Followed:
    times = range(len(points))
    names = list(lesions)
    new = [any(seen[t].verdict == "new" for seen in lesions.values()) for t in times]
    slice_mm = grid.spacing_mm[slice_axis(grid)] if grid.ndim == 3 else 0.0
    chosen = [names[n] for n in targets([seen[0].long_axis_mm for seen in lesions.values()], slice_mm=slice_mm)]
    # Each end of a diameter lies anywhere in its pixel: a variance of a twelfth of its square, twice.
    per_axis = float(np.sqrt(min(grid.spacing_mm) ** 2 / 6))
    present = [sum(lesions[name][t].pieces > 0 for name in chosen) for t in times]
    diameters = diameter_course(
        [sum(lesions[name][t].long_axis_mm for name in chosen) for t in times],
        new,
        errors_mm=[per_axis * float(np.sqrt(count)) for count in present],
    )
    volumes = volume_course(
        [sum(seen[t].volume_ml for seen in lesions.values()) for t in times],
        new,
        errors_ml=[float(np.sqrt(sum(seen[t].error_ml ** 2 for seen in lesions.values()))) for t in times],
    )
    alerts = []
    for t in times:
        said = [f"{name} is new" for name in names if lesions[name][t].verdict == "new"]
        for name in names:
            seen = lesions[name][t]
            if seen.verdict == "grown" and seen.change is not None and seen.change >= growth:
                said.append(f"{name} has grown by {seen.change:.0%}")
        alerts.append(tuple(said))
    lesion = Labels.of({"lesion": 1})
    aligned = tuple(
        (align(point.image, alignment, grid), LabelMap((numbers > 0).astype(np.uint8), grid, lesion))
        for point, alignment, numbers in zip(points, alignments, there, strict=True)
    )
    fitness = tuple(one.fitness for one in alignments if one.fitness is not None)
    return Followed(
        tuple(point.day for point in points),
        lesions,
        fitness,
        aligned,
        tuple(chosen),
        diameters,
        volumes,
        tuple(alerts),
        tuple(notes),
    )
