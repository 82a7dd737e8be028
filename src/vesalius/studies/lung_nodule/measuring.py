"""What is measured of a nodule that was found: its shape, volume, axes and size class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vesalius.classical.nodule import nodule_at
from vesalius.image import Grid, LabelMap, Volume
from vesalius.metrics.lung_rads import Course, mean_diameter_mm, size_class
from vesalius.metrics.size import measure
from vesalius.predict import Segmenter, segment
from vesalius.studies.lung_nodule.search import Searched, cube, cubic, find_masses
from vesalius.transform import label_components, resample
from vesalius.transform.blobs import Blob

SURE = 0.5
"""How likely a candidate must be a nodule to be measured and reported."""
_ROOM = 1.4  # times a blob's diameter, that of its nodule at most: scales are half as large again as the one before
_SEEN_MM = 48  # of a cube around a nodule, that a segmenter sees


@dataclass(frozen=True, eq=False)
class Nodule:
    """A nodule that was found.

    Args:
        scan: Name of the scan.
        number: In the scan, from 1, the surest first; its value in the label map.
        centre_mm: LPS.
        probability: That it is one; ``None`` of a mass, which size alone tells.
        volume_ml: Of what was segmented, like all that follows.
        long_axis_mm: In an axial slice.
        short_axis_mm: At right angles to it.
        diameter_mm: Mean of both axes, to one decimal.
        size_class: Of Lung-RADS, by size alone, as of a solid nodule.
        shape: Where it is, on a grid of its own.
        course: Since an earlier scan, where there is one.
        doubling_days: In which its volume doubles, at the pace since an earlier scan; negative if it shrinks.
    """

    scan: str
    number: int
    centre_mm: tuple[float, float, float]
    probability: float | None
    volume_ml: float
    long_axis_mm: float
    short_axis_mm: float
    diameter_mm: float
    size_class: str
    shape: LabelMap
    course: Course | None = None
    doubling_days: float | None = None


def measure_nodules(
    one: Searched, chances: Sequence[float], *, sure: float = SURE, segmenter: Segmenter | None = None
) -> tuple[Nodule, ...]:
    """Segment and measure what is surely enough a nodule, and the masses.

    Args:
        one: The scan.
        chances: Of each of its blobs.
        sure: From which chance on.
        segmenter: Of nodules at 1 mm, learnt from masks; without it the classical method
            (`vesalius.classical.nodule.nodule_at`) segments, and where it finds nothing.

    Returns:
        The nodules, masses first, then the surest first. One whose segmentation holds the centre of a surer one, or
        is empty, is not there twice.
    """
    image, fields = one.scan.read(), one.fields()
    found: list[Nodule] = []
    if one.masses:
        for _, shape in find_masses(*cubic(image, fields, one.box)):
            found += _measured(one, len(found) + 1, None, shape)
    order = sorted(range(len(one.blobs)), key=lambda n: -chances[n])
    for n in order:
        blob = one.blobs[n]
        if chances[n] < sure or any(_holds(other.shape, blob.centre_mm) for other in found):
            continue
        drawn = None if segmenter is None else _drawn(image, blob, segmenter)
        if drawn is None or not drawn.array.any():
            drawn = nodule_at(image, blob.centre_mm, diameter_mm=_ROOM * blob.diameter_mm, inside=fields)
        found += _measured(one, len(found) + 1, chances[n], drawn)
    return tuple(found)


def label_map(nodules: Sequence[Nodule], grid: Grid) -> LabelMap:
    """The nodules of a scan on its grid, each with its number.

    Args:
        nodules: Of one scan.
        grid: Of the scan.
    """
    from vesalius.image import Labels

    labels = Labels.of({f"nodule {nodule.number}": nodule.number for nodule in nodules})
    made = np.zeros(grid.shape, np.uint16)
    for nodule in nodules:
        own = nodule.shape
        corners = np.stack(np.meshgrid(*((0, n - 1) for n in own.grid.shape), indexing="ij"), -1).reshape(-1, 3)
        at = grid.to_index(own.grid.to_points(corners))
        low = np.maximum(np.floor(at.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(at.max(axis=0)).astype(int) + 1, grid.shape)
        if (high <= low).any():
            continue
        part = grid.crop([int(n) for n in low], [int(n) for n in high - low])
        inside = resample(own, part, interpolation="label-wise").array > 0
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        if not inside.any():  # smaller than a voxel: it still has its place
            inside[tuple(np.round(part.to_index(nodule.centre_mm)).astype(int).clip(0, np.array(part.shape) - 1))] = (
                True
            )
        made[box][inside & (made[box] == 0)] = nodule.number
    return LabelMap(made, grid, labels)


def _measured(one: Searched, number: int, chance: float | None, shape: LabelMap) -> list[Nodule]:
    (size,) = measure(shape)
    if not size.voxels or size.long_axis_mm is None or size.short_axis_mm is None or size.volume_ml is None:
        return []
    x, y, z = (float(c) for c in shape.grid.to_points(np.argwhere(shape.array).mean(axis=0)))
    diameter = mean_diameter_mm(size.long_axis_mm, size.short_axis_mm)
    return [
        Nodule(
            scan=one.scan.id,
            number=number,
            centre_mm=(x, y, z),
            probability=chance,
            volume_ml=size.volume_ml,
            long_axis_mm=size.long_axis_mm,
            short_axis_mm=size.short_axis_mm,
            diameter_mm=diameter,
            size_class=size_class(diameter),
            shape=shape,
        )
    ]


def _drawn(image: Volume, blob: Blob, segmenter: Segmenter) -> LabelMap:
    """What a network draws around a candidate: the piece nearest to its centre."""
    grid = cube(blob.centre_mm, _SEEN_MM)
    found = segment(resample(image, grid, fill=-1000.0), segmenter).labels
    pieces, _ = label_components(found.array > 0, connectivity=1)
    places = np.argwhere(pieces)
    if not places.size:
        return found
    far = np.linalg.norm(places - np.array(grid.shape) / 2, axis=1)
    nearest = places[int(far.argmin())]
    near_enough = far.min() <= blob.diameter_mm / 2
    mine = (pieces == pieces[tuple(nearest)]) & near_enough
    return LabelMap(mine.astype(np.uint8), grid, found.labels)


def _holds(shape: LabelMap, point: Sequence[float]) -> bool:
    at = np.round(shape.grid.to_index(point)).astype(int)
    inside = (at >= 0).all() and (at < np.array(shape.grid.shape)).all()
    return bool(inside and shape.array[tuple(at)])
