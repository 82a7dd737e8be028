"""What became of a structure between two scans: its volume, and by how much each place of its surface has moved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Grid, LabelMap, Labels
from vesalius.image.labels import Label
from vesalius.mesh import Surface
from vesalius.mesh.files.gltf import normals
from vesalius.mesh.nearest import nearest
from vesalius.metrics.change import Verdict, verdict, volume_error_ml
from vesalius.register import Alignment
from vesalius.studies.change.placing import Placed, Scan

Fate = Literal["kept", "appeared", "vanished"]

CHANGES = Labels((
    Label("stable", 1, (150, 150, 150)), Label("gained", 2, (213, 94, 0)), Label("lost", 3, (0, 114, 178)),
    Label("not seen after", 4, (240, 228, 66)),
))  # fmt: skip
"""What became of a voxel. Source of the colours: Okabe and Ito, Color Universal Design (2008)."""

_SURE = 1.96  # standard errors: 95 %
_BY_CHANCE = 0.05  # share of the surface that lies beyond them by chance
_RIM = 0.25  # of a voxel: what lies nearer to the end of an image was closed there
_ASIDE = 0.5  # of a direction, from which on a side is named
_SIDES = (("left", "right"), ("back", "front"), ("head", "feet"))


@dataclass(frozen=True)
class Place:
    """Where the surface has moved farthest.

    Args:
        distance_mm: Outwards, or inwards where it is negative.
        at_mm: LPS, in the first scan's space.
        side: Of the structure's middle, in words: ``"right, feet"``; empty in the middle.
    """

    distance_mm: float
    at_mm: tuple[float, float, float]
    side: str


@dataclass(frozen=True)
class Moved:
    """How far the surface of a structure has moved, as seen from its second surface; each place counts by its area.

    Args:
        mean_mm: Of the signed distances: outwards is positive.
        rms_mm: Root of the mean square.
        p95_mm: 95 % of the surface have moved by no more than this, in or out.
        outwards: The place of the largest signed distance; negative where all of it moved inwards.
        inwards: That of the smallest.
        beyond: For each limit in mm, the shares of the surface that have moved farther out, and farther in.
        error_mm: What the size of the voxels of both scans explains at most in 95 of 100 places; of the median place.
        beyond_error: The share of the surface that has moved farther than that.
        measured: The share that could be measured: not at the end of an image, nor beyond the first one's.
        receded: The place of the surface before that lies farthest from the surface after, negative where it lies
            outside: a lobe that is gone leaves no surface behind from which its length could be told.
    """

    mean_mm: float
    rms_mm: float
    p95_mm: float
    outwards: Place
    inwards: Place
    beyond: dict[str, tuple[float, float]]
    error_mm: float
    beyond_error: float
    measured: float
    receded: Place | None = None

    @property
    def is_within_error(self) -> bool:
        """Whether the voxels' size explains how far each place has moved; all together may have moved for sure."""
        return self.beyond_error <= _BY_CHANCE


@dataclass(frozen=True)
class Changed:
    """What became of a structure.

    Args:
        name: Of the structure.
        fate: Whether it is there in both scans.
        before_ml: Its volume on the first scan's own grid.
        after_ml: On the second one's own grid.
        error_ml: Standard error of the difference, of counting voxels alone.
        verdict: Grown or shrunk only where the difference is larger than 1.96 of these errors.
        stable_ml: What it covers in both, on the first scan's grid.
        gained_ml: What it covers only after.
        lost_ml: What it covers only before, and the second scan shows.
        unseen_ml: What it covers before, and the second scan does not show.
        beyond_ml: What it covers after, and the first scan does not show.
        moved: Of its surface; ``None`` where it is not in both, or nothing of it can be measured.
        growth: The mean factor by which its tissue grew, by the deformation; ``None`` without a growth map.
    """

    name: str
    fate: Fate
    before_ml: float
    after_ml: float
    error_ml: float
    verdict: Verdict
    stable_ml: float
    gained_ml: float
    lost_ml: float
    unseen_ml: float
    beyond_ml: float
    moved: Moved | None = None
    growth: float | None = None

    @property
    def difference_ml(self) -> float:
        """After less before."""
        return self.after_ml - self.before_ml

    @property
    def difference_percent(self) -> float | None:
        """Of the first volume; ``None`` where there was none."""
        return 100 * self.difference_ml / self.before_ml if self.before_ml else None


def changes_of(before: Scan, placed: Placed, name: str) -> LabelMap:
    """What became of each voxel of a structure, on the first scan's grid: `CHANGES`."""
    first, second = before.mask(name), Scan(placed.labels).mask(name)
    array = np.zeros(first.shape, np.uint8)
    array[first & second] = 1
    array[second & ~first] = 2
    array[first & ~second] = 3
    array[first & ~placed.seen] = 4
    return LabelMap(array, before.labels.grid, CHANGES)


def volumes(before: Scan, after: Scan, alignment: Alignment, changes: LabelMap, name: str) -> Changed:
    """The volumes of a structure that is in one of the scans at least, without its surface."""
    first, second = before.mask(name), after.mask(name)
    sizes = [scan.labels.grid.voxel_volume_mm3 for scan in (before, after)]
    before_ml, after_ml = float(first.sum()) * sizes[0] / 1000, float(second.sum()) * sizes[1] / 1000
    errors = [volume_error_ml(_boxed(mask), size) for mask, size in zip((first, second), sizes, strict=True)]
    counts, unit = changes.counts(), changes.grid.voxel_volume_mm3 / 1000
    points = alignment.inverse().to_moving(after.labels.grid.to_points(np.argwhere(second)))
    outside = _beyond(before.labels.grid, points)
    fate: Fate = "kept" if before_ml and after_ml else "vanished" if before_ml else "appeared"
    said = verdict(before_ml, after_ml, error_before_ml=errors[0], error_now_ml=errors[1], least_change=0.0)
    stable, gained, lost, unseen = (counts.get(value, 0) * unit for value in CHANGES.values)
    return Changed(
        name,
        fate,
        before_ml,
        after_ml,
        math.hypot(*errors),
        said,
        stable,
        gained,
        lost,
        unseen,
        float(outside.sum()) * sizes[1] / 1000,
    )


def moved_surface(surface: Surface, alignment: Alignment) -> Surface:
    """A surface of the second scan in the first one's space; nothing is resampled."""
    return Surface(alignment.inverse().to_moving(surface.vertices), surface.faces, surface.label)


def distances_mm(first: Surface, second: Surface, grid: Grid, other: Grid, alignment: Alignment) -> NDArray[np.float64]:
    """How far each vertex of the second surface lies from the first one: outwards is positive.

    Args:
        first: Of the first scan.
        second: Of the second scan, in the first one's space.
        grid: Of the first scan.
        other: Of the second scan.
        alignment: From the first scan's points to the second's.

    Returns:
        ``(V,)``, mm; NaN where it has no meaning: where the second surface was closed at the end of its image, where
        the nearest place of the first one was, and beyond the first image.
    """
    found = nearest(first, second.vertices)
    closed = _beyond(other, alignment.to_moving(second.vertices), -_RIM) | _beyond(grid, found.points, -_RIM)
    return np.where(closed | _beyond(grid, second.vertices), np.nan, found.distance_mm)


def receded(
    first: Surface, second: Surface, grid: Grid, other: Grid, alignment: Alignment, middle: NDArray[np.float64]
) -> Place | None:
    """Where the surface before lies farthest outside the one after; arguments as for `distances_mm` and `summary`.

    Returns:
        The place, its distance negative where it lies outside; ``None`` where nothing could be measured.
    """
    found = nearest(second, first.vertices)
    there = alignment.to_moving(first.vertices)
    closed = _beyond(grid, first.vertices, -_RIM) | _beyond(other, alignment.to_moving(found.points), -_RIM)
    known = ~(closed | _beyond(other, there))
    if not known.any():
        return None
    value = -found.distance_mm[known]
    return _place(value, first.vertices[known], int(value.argmin()), middle)


def summary(
    second: Surface,
    distances: NDArray[np.float64],
    middle: NDArray[np.float64],
    errors_mm: NDArray[np.float64],
    limits_mm: Sequence[float],
) -> Moved | None:
    """The figures of a map of distances.

    Args:
        second: The surface.
        distances: ``(V,)``, mm, NaN where there is none.
        middle: Of the structure before, from which sides are told.
        errors_mm: ``(V,)``: see `errors`.
        limits_mm: Beyond which shares are told.

    Returns:
        ``None`` where nothing could be measured.
    """
    areas = _areas(second)
    known = np.isfinite(distances) & (areas > 0)
    if not known.any():
        return None
    value, weight = distances[known], areas[known] / areas[known].sum()
    order = np.argsort(np.abs(value), kind="stable")
    at = np.searchsorted(np.cumsum(weight[order]), 0.95 * (1 - 1e-12))
    points = second.vertices[known]
    return Moved(
        float((weight * value).sum()),
        float(np.sqrt((weight * value**2).sum())),
        float(np.abs(value)[order[min(int(at), len(order) - 1)]]),
        _place(value, points, int(value.argmax()), middle),
        _place(value, points, int(value.argmin()), middle),
        {f"{mm:g}": (float(weight[value > mm].sum()), float(weight[value < -mm].sum())) for mm in limits_mm},
        float(np.median(errors_mm[known])),
        float(weight[np.abs(value) > errors_mm[known]].sum()),
        float(areas[known].sum() / areas.sum()),
    )


def errors(second: Surface, grid: Grid, other: Grid, alignment: Alignment) -> NDArray[np.float64]:
    """What the size of the voxels explains of each vertex's distance in 95 of 100 places, mm.

    A border lies somewhere within a voxel, evenly: its standard error across is the voxel's width there over √12; that
    of both scans adds up as squares. Errors of drawing and of registration come on top, and are not known.

    Source: the variance of rounding, 1/12: Bennett, Bell System Technical Journal 27:446 (1948).
    """
    across = normals(second)
    turned = across @ alignment.matrix[:3, :3].T
    widths = [
        np.abs(way @ one.direction) @ np.asarray(one.spacing_mm) for way, one in ((across, grid), (turned, other))
    ]
    return np.asarray(_SURE * np.hypot(widths[0], widths[1]) / np.sqrt(12), np.float64)


def _place(value: NDArray[np.float64], points: NDArray[np.float64], at: int, middle: NDArray[np.float64]) -> Place:
    way = points[at] - middle
    share = way / max(float(np.linalg.norm(way)), 1e-12)
    named = [axis for axis in np.argsort(-np.abs(share), kind="stable").tolist() if abs(share[axis]) >= _ASIDE]
    side = ", ".join(_SIDES[axis][0 if share[axis] > 0 else 1] for axis in named)
    x, y, z = points[at].tolist()
    return Place(float(value[at]), (x, y, z), side)


def _areas(surface: Surface) -> NDArray[np.float64]:
    """A third of the triangles around each vertex, mm²."""
    a, b, c = (surface.vertices[surface.faces[:, k]] for k in range(3))
    third = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    found: NDArray[np.float64] = np.bincount(
        surface.faces.reshape(-1), np.repeat(third, 3), minlength=len(surface.vertices)
    ).astype(np.float64)
    return found


def _beyond(grid: Grid, points: NDArray[np.float64], margin: float = 0.0) -> NDArray[np.bool_]:
    """Which points lie beyond the outer voxels' ends, or nearer to them than a negative margin of a voxel."""
    index = grid.to_index(points)
    return np.asarray(((index < -0.5 - margin) | (index > np.asarray(grid.shape) - 0.5 + margin)).any(axis=1))


def _boxed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if not mask.any():
        return mask[:0, :0, :0]
    spans = [np.flatnonzero(mask.any(axis=tuple(k for k in range(3) if k != axis))) for axis in range(3)]
    return mask[tuple(slice(int(one[0]), int(one[-1]) + 1) for one in spans)]
