"""Lesions at two time points: which is which, what became of it, and whether that is more than an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from vesalius.errors import DataError

Fate = Literal["new", "gone", "kept", "split", "merged", "split and merged"]
"""What became of a lesion, by which pieces belong together."""

Verdict = Literal["new", "gone", "grown", "shrunk", "unchanged"]
"""What became of its size."""

_SURE = 1.96  # standard errors: 95 %


@dataclass(frozen=True)
class Link:
    """Pieces that are one lesion: some before, some after.

    Args:
        before: Numbers of its pieces at the earlier time; none if it is new.
        after: Those at the later time; none if it is gone.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def fate(self) -> Fate:
        """What became of it."""
        if not self.before or not self.after:
            return "gone" if self.before else "new"
        one, many = len(self.before) == 1, len(self.after) > 1
        if one:
            return "split" if many else "kept"
        return "split and merged" if many else "merged"


def link_lesions(
    before: NDArray[np.integer],
    after: NDArray[np.integer],
    spacing_mm: Sequence[float],
    *,
    least_overlap: float = 0.1,
    distance_mm: float = 3.0,
) -> tuple[Link, ...]:
    """Say which pieces of two label maps, brought onto one grid, are the same lesion.

    Two pieces belong together if they share at least ``least_overlap`` of the smaller one. Pieces that belong to none
    by that are joined to the nearest other such piece, each to one, if their borders lie within ``distance_mm``: what
    is left of the registration's error must not turn a small lesion into one that went and one that came.

    Args:
        before: Numbered pieces of the earlier time, 0 being background: ``vesalius.transform.label_components``.
        after: Those of the later time, registered to the earlier one, on the same grid.
        spacing_mm: Of the grid.
        least_overlap: Share of the smaller piece, above 0, at most 1.
        distance_mm: ≥ 0; 0 for overlap alone.

    Returns:
        A link for each lesion: those that were there before, in the order of their numbers, then the new ones.

    Raises:
        DataError: The shapes differ, or a setting is out of range.

    Example:
        >>> before, after = np.zeros((2, 1, 12), int)
        >>> before[0, 1:7] = 1
        >>> after[0, 1:3], after[0, 5:8], after[0, 11] = 1, 2, 3
        >>> [(link.before, link.after, link.fate) for link in link_lesions(before, after, (1.0, 1.0))]
        [((1,), (1, 2), 'split'), ((), (3,), 'new')]

    Source: a tenth of a lesion is what the challenge of multiple sclerosis asks for to call it detected: Commowick et
    al., Scientific Reports 8:13650 (2018), doi:10.1038/s41598-018-31911-7. The distance is a rule of thumb: what
    registration leaves, and a voxel.
    """
    if before.shape != after.shape:
        raise DataError(f"both maps must lie on one grid: their shapes are {before.shape} and {after.shape}")
    if not 0 < least_overlap <= 1 or not distance_mm >= 0:
        raise DataError(
            f"least_overlap must be above 0 and at most 1, distance_mm at least 0, not "
            f"{least_overlap} and {distance_mm}"
        )
    sizes = [np.bincount(side.ravel()) for side in (before, after)]
    numbers = [[int(n) for n in np.flatnonzero(size) if n] for size in sizes]
    both = (before > 0) & (after > 0)
    pairs, counts = np.unique(np.stack([before[both], after[both]]), axis=1, return_counts=True)
    edges = [
        (int(a), int(b))
        for (a, b), shared in zip(pairs.T, counts, strict=True)
        if shared >= least_overlap * min(sizes[0][a], sizes[1][b])
    ]
    lonely = [sorted(set(some) - {edge[side] for edge in edges}) for side, some in enumerate(numbers)]
    edges += _nearest(before, after, lonely, spacing_mm, distance_mm)
    return _joined(numbers, edges)


def doubling_days(before_ml: float, now_ml: float, days: float) -> float | None:
    """In how many days a volume doubles at a constant pace.

    Args:
        before_ml: > 0.
        now_ml: > 0.
        days: Between the two, > 0.

    Returns:
        Days; negative where it shrinks (the time in which it halves), ``None`` where nothing changes.

    Raises:
        DataError: An argument is not above 0.

    Example:
        >>> doubling_days(1.0, 4.0, 200.0), doubling_days(2.0, 1.0, 50.0)
        (100.0, -50.0)

    Source: t ln 2 / ln(V2 / V1): Collins et al., AJR 76:988 (1956); Schwartz, Cancer 14:1272 (1961).
    """
    if not min(before_ml, now_ml, days) > 0:
        raise DataError(f"volumes and days must be above 0, not {before_ml}, {now_ml} and {days}")
    if now_ml == before_ml:
        return None
    return days * math.log(2) / math.log(now_ml / before_ml)


def volume_error_ml(mask: NDArray[np.bool_], voxel_mm3: float) -> float:
    """Standard error of a volume that was found by counting voxels.

    A voxel inside or outside, across a face of which the border runs, is filled to an unknown share: its error is that
    of a number drawn evenly from 0 to 1 and rounded, 1/√12, independent of its neighbours'. This is the error of
    voxels; that of a reader who draws larger than another one comes on top of it, and is not known from one map.

    Args:
        mask: The lesion; its surroundings need not be there.
        voxel_mm3: Volume of a voxel.

    Returns:
        ml.

    Example:
        >>> cube = np.ones((2, 2, 2), bool)  # 8 voxels inside, 24 outside
        >>> round(volume_error_ml(cube, 3.0) * 1000, 6) == round(3.0 * math.sqrt(32 / 12 / 2), 6)
        True

    Source: the variance of rounding, 1/12: Bennett, Bell System Technical Journal 27:446 (1948). The border runs
    between an inner and an outer voxel; one of the two is cut, so that half of both are counted.
    """
    padded = np.pad(mask, 1)
    inner = padded & ~ndimage.binary_erosion(padded)
    outer = ndimage.binary_dilation(padded) & ~padded
    cut = (int(inner.sum()) + int(outer.sum())) / 2
    return voxel_mm3 * math.sqrt(cut / 12) / 1000


def verdict(
    before_ml: float,
    now_ml: float,
    *,
    error_before_ml: float = 0.0,
    error_now_ml: float = 0.0,
    least_change: float = 0.25,
) -> Verdict:
    """Say what became of a lesion's volume.

    Args:
        before_ml: 0 if it was not there.
        now_ml: 0 if it is not there.
        error_before_ml: Standard error.
        error_now_ml: Standard error.
        least_change: Share of the earlier volume that must at least have come or gone.

    Returns:
        Grown or shrunk only where the change is as large as ``least_change`` asks, and larger than 1.96 standard errors
        of the difference.

    Raises:
        DataError: It was never there, or a number is negative.

    Example:
        >>> verdict(1.0, 1.5), verdict(1.0, 1.2), verdict(1.0, 1.5, error_before_ml=0.2, error_now_ml=0.2)
        ('grown', 'unchanged', 'unchanged')

    Source: a quarter of the volume as the least that counts: Callister et al., BTS guidelines, Thorax 70:ii1 (2015),
    doi:10.1136/thoraxjnl-2015-207168 (lung nodules).
    """
    if min(before_ml, now_ml, error_before_ml, error_now_ml, least_change) < 0 or before_ml == now_ml == 0:
        raise DataError("a verdict needs a lesion at one time at least, and no negative numbers")
    if before_ml == 0 or now_ml == 0:
        return "new" if before_ml == 0 else "gone"
    change = now_ml - before_ml
    if abs(change) < least_change * before_ml or abs(change) <= _SURE * math.hypot(error_before_ml, error_now_ml):
        return "unchanged"
    return "grown" if change > 0 else "shrunk"


def _nearest(
    before: NDArray[np.integer],
    after: NDArray[np.integer],
    lonely: list[list[int]],
    spacing_mm: Sequence[float],
    distance_mm: float,
) -> list[tuple[int, int]]:
    """Pairs of pieces that overlap with none, the nearest first, each piece in one."""
    if not distance_mm or not lonely[0] or not lonely[1]:
        return []
    points = [_places(side, some, spacing_mm) for side, some in zip((before, after), lonely, strict=True)]
    apart = []
    for one, here in points[0].items():
        tree = cKDTree(here)
        apart += [(float(tree.query(there)[0].min()), one, other) for other, there in points[1].items()]
    found: list[tuple[int, int]] = []
    for far, one, other in sorted(apart):
        if far <= distance_mm and all(one != a and other != b for a, b in found):
            found.append((one, other))
    return found


def _places(
    side: NDArray[np.integer], numbers: Sequence[int], spacing_mm: Sequence[float]
) -> dict[int, NDArray[np.float64]]:
    """Where each of some pieces is, mm."""
    boxes = ndimage.find_objects(side)
    found = {}
    for number in numbers:
        box = boxes[number - 1]
        first = np.array([edge.start for edge in box])
        found[number] = (np.argwhere(side[box] == number) + first) * np.asarray(spacing_mm, float)
    return found


def _joined(numbers: list[list[int]], edges: list[tuple[int, int]]) -> tuple[Link, ...]:
    """The groups of pieces that edges hold together."""
    left = {("before", n) for n in numbers[0]} | {("after", n) for n in numbers[1]}
    near: dict[tuple[str, int], list[tuple[str, int]]] = {node: [] for node in left}
    for a, b in edges:
        near["before", a].append(("after", b))
        near["after", b].append(("before", a))
    found = []
    for start in [*(("before", n) for n in numbers[0]), *(("after", n) for n in numbers[1])]:
        group, waiting = set(), [start] if start in left else []
        while waiting:
            node = waiting.pop()
            if node in left:
                left.remove(node)
                group.add(node)
                waiting += near[node]
        if group:
            parts = [tuple(sorted(n for side, n in group if side == which)) for which in ("before", "after")]
            found.append(Link(*parts))
    return tuple(found)
