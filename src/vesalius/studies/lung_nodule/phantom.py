"""A synthetic chest in CT: body, ribs, spine, heart, liver, lungs with branching vessels and airways, and nodules.

No anatomy of a person: proportions of an adult at three quarters of the size, so that a scan is small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from vesalius.image import Grid, Meta, Volume

Kind = Literal["solitary", "juxtapleural", "vessel-attached"]

_AIR, _LUNG, _FAT, _MUSCLE, _BLOOD, _BONE, _MARROW = -1000.0, -860.0, -90.0, 50.0, 45.0, 600.0, 250.0
_CHEST = np.array([112.0, 80.0])  # half axes of the chest's inner wall, left to right and front to back, mm
_HEIGHT = 160.0
_LUNGS = {1: np.array([54.0, 2.0]), -1: np.array([-54.0, 2.0])}  # centres, to the left and right of the spine
_LUNG_AXES = np.array([47.0, 70.0, 95.0])
_LUNG_BASE = -25.0  # height at which a lung is widest
_HILUM = np.array([26.0, 6.0, -10.0])


@dataclass(frozen=True)
class Nodule:
    """A nodule that was put into a chest.

    Args:
        centre_mm: LPS.
        diameter_mm: Of a ball of the same volume.
        kind: Where it hangs.
    """

    centre_mm: tuple[float, float, float]
    diameter_mm: float
    kind: Kind


@dataclass(frozen=True, eq=False)
class Chest:
    """A synthetic scan.

    Args:
        image: HU, int16.
        nodules: What is to be found.
        forks: Where vessels branch, mm LPS: what a detector takes for nodules.
        lungs: ``(*grid.shape)``: 3 the left lung, 4 the right one, 5 the airways, as LUNA16 has it.
        shapes: ``(*grid.shape)``: the number of a nodule, from 1, in the order of ``nodules``.
    """

    image: Volume
    nodules: tuple[Nodule, ...]
    forks: tuple[tuple[float, ...], ...]
    lungs: NDArray[np.uint8]
    shapes: NDArray[np.uint8]


def make_chest(
    random: np.random.Generator,
    *,
    spacing_mm: tuple[float, float, float] = (1.5, 1.5, 2.5),
    nodules: int = 4,
    noise_hu: float = 25.0,
) -> Chest:
    """Make a chest.

    Args:
        random: Decides about size, vessels, nodules, noise.
        spacing_mm: Of the scan.
        nodules: How many; of 5 to 16 mm, one in three at the pleura, one in three on a vessel.
        noise_hu: Standard deviation of the noise.

    Returns:
        The scan, and what is in it.

    Example:
        >>> chest = make_chest(np.random.default_rng(0), spacing_mm=(4.0, 4.0, 5.0), nodules=2)
        >>> len(chest.nodules), chest.image.meta.unit, bool((chest.lungs == 3).any())
        (2, 'HU', True)
    """
    size = random.uniform(0.93, 1.07)
    extent = np.array([2 * (_CHEST[0] + 30) * size, 2 * (_CHEST[1] + 28) * size, _HEIGHT * size])
    shape = tuple(int(n) for n in np.round(extent / spacing_mm))
    origin = [float(x) for x in -(np.array(shape) - 1) / 2 * spacing_mm + random.uniform(-15, 15, 3)]
    body = _Body(Grid.from_spacing(shape, spacing_mm, origin_mm=origin), size)
    values, lungs = _organs(body, random)
    forks: list[NDArray[np.float64]] = []
    for side in (1, -1):
        for start, end, radius in _tree(random, side):
            body.paint(values, _capsule(start, end, radius), _BLOOD, only=lungs > 0)
            if radius > 1.1:
                forks.append(end)
    _airways(body, values, lungs)
    placed, shapes = _nodules(body, random, values, lungs, forks, nodules)
    blurred = gaussian_filter(values, [0.7 / s for s in spacing_mm])
    grain = gaussian_filter(random.standard_normal(shape).astype(np.float32), [0.6 / s for s in spacing_mm])
    noisy = blurred + noise_hu * grain / grain.std()
    array = np.clip(np.round(noisy), -1024, 3071).astype(np.int16)[None]
    inside = [f for f in forks if _value_at(body.grid, lungs, body.to_world(f)) in (3, 4)]
    image = Volume(array, body.grid, Meta(modality="CT", unit="HU"))
    world = tuple(tuple(float(x) for x in body.to_world(f)) for f in inside)
    return Chest(image, tuple(placed), world, lungs, shapes)


class _Body:
    """The lattice in the body's own frame: mm from the middle of the chest, for a body of usual size."""

    def __init__(self, grid: Grid, size: float) -> None:
        self.grid, self.size = grid, size
        middle = grid.to_points((np.array(grid.shape) - 1) / 2)
        self._middle = np.asarray(middle)
        self.axes = [
            ((np.arange(n) - (n - 1) / 2) * s / size).astype(np.float32)
            for n, s in zip(grid.shape, grid.spacing_mm, strict=True)
        ]

    @property
    def open(self) -> list[NDArray[np.float32]]:
        """The three coordinates, to be broadcast."""
        return [a.reshape([-1 if k == n else 1 for k in range(3)]) for n, a in enumerate(self.axes)]

    def to_world(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(point) * self.size + self._middle

    def paint(
        self,
        values: NDArray[np.float32],
        shape: _Shape,
        value: float,
        *,
        only: NDArray[np.bool_] | None = None,
    ) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
        """Give the voxels inside a shape a value; edges are shared by how much of a voxel lies inside."""
        step = max(self.grid.spacing_mm) / self.size
        box = tuple(
            slice(int(np.searchsorted(a, lo - step)), int(np.searchsorted(a, hi + step)))
            for a, lo, hi in zip(self.axes, shape.low, shape.high, strict=True)
        )
        depth = shape.depth(
            [
                o[tuple(b if k == n else slice(None) for k in range(3))]
                for n, (o, b) in enumerate(zip(self.open, box, strict=True))
            ]
        )
        share = np.clip(0.5 + depth / step, 0, 1).astype(np.float32)
        if only is not None:
            share = share * only[box]
        values[box] += share * (value - values[box])
        return box, share > 0.5


@dataclass(frozen=True)
class _Shape:
    """A body in space: its box, and how deep inside a point lies, mm, about."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    depth: Callable[[list[NDArray[np.float32]]], NDArray[np.float32]]


def _ellipsoid(centre: NDArray[np.float64], axes: NDArray[np.float64]) -> _Shape:
    def depth(at: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        r = np.sqrt(sum(((x - c) / a) ** 2 for x, c, a in zip(at, centre, axes, strict=True)))
        return np.asarray((1 - r) * float(axes.min()), np.float32)

    return _Shape(centre - axes, centre + axes, depth)


def _capsule(start: NDArray[np.float64], end: NDArray[np.float64], radius: float) -> _Shape:
    way = end - start
    length = max(float(way @ way), 1e-6)

    def depth(at: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        along = np.clip(sum((x - s) * w for x, s, w in zip(at, start, way, strict=True)) / length, 0, 1)
        gone = sum((x - s - along * w) ** 2 for x, s, w in zip(at, start, way, strict=True))
        return np.asarray(radius - np.sqrt(gone), np.float32)

    return _Shape(np.minimum(start, end) - radius, np.maximum(start, end) + radius, depth)


def _organs(body: _Body, random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Body wall, ribs, spine, lungs, heart and liver, and which voxel is of which lung."""
    x, y, z = body.open
    values = np.full(body.grid.shape, _AIR, np.float32)
    lungs = np.zeros(body.grid.shape, np.uint8)
    wall = np.hypot(x / _CHEST[0], y / _CHEST[1]) + 0 * z
    thick = random.uniform(0.06, 0.12)
    values[wall < 1.12 + thick] = _FAT
    values[wall < 1.12] = _MUSCLE
    values[wall < 1.0] = _FAT  # the mediastinum's
    table = (y > 1.06 * _CHEST[1] + 24) & (y < 1.06 * _CHEST[1] + 28) & (abs(x) < 100) & (z == z)
    values[np.broadcast_to(table, values.shape)] = 120.0
    for side, (cx, cy) in _LUNGS.items():
        part = _ellipsoid(np.array([cx, cy, _LUNG_BASE]), _LUNG_AXES)
        box, inside = body.paint(values, part, _LUNG)
        lungs[box][inside] = 3 if side > 0 else 4
    solids = [
        (_ellipsoid(np.array([20.0, -22.0, -35.0]), np.array([46.0, 40.0, 48.0])), _MUSCLE),  # heart
        (_ellipsoid(np.array([-50.0, 0.0, -108.0]), np.array([58.0, 72.0, 62.0])), 60.0),  # liver
        (_ellipsoid(np.array([55.0, 5.0, -112.0]), np.array([50.0, 66.0, 56.0])), 45.0),  # spleen, stomach
        (_capsule(np.array([6.0, 40.0, -90.0]), np.array([6.0, 36.0, 40.0]), 10.0), _BLOOD),  # aorta
    ]
    for shape, value in solids:
        box, inside = body.paint(values, shape, value)
        lungs[box][inside] = 0
    for height in np.arange(-85, 90, 22.0):
        body.paint(values, _ellipsoid(np.array([0.0, 62.0, height]), np.array([17.0, 14.0, 12.0])), _MARROW)
        body.paint(values, _capsule(np.array([0.0, 76.0, height]), np.array([0.0, 90.0, height - 8]), 4.0), _BONE)
        for side in (-1, 1):
            around = np.radians(np.linspace(70, -55, 9))
            ring = np.column_stack(
                [
                    side * 1.06 * _CHEST[0] * np.cos(around),
                    1.06 * _CHEST[1] * np.sin(around),
                    height + 10 - 22 * np.linspace(0, 1, 9),  # ribs sink towards the front
                ]
            )
            for one, other in pairwise(ring):
                body.paint(values, _capsule(one, other, 4.0), 450.0)
    return values, lungs


def _tree(random: np.random.Generator, side: int) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], float]]:
    """The segments of a tree of vessels, from the hilum outwards."""
    hilum = _HILUM * [side, 1, 1]
    waiting = [(hilum, np.array([side, 0.15 * k, 0.8 * k]), 4.2, 0) for k in (-1.2, 0.0, 1.2)]
    while waiting:
        start, way, radius, depth = waiting.pop()
        way = way / np.linalg.norm(way)
        end = start + way * random.uniform(13, 22) * 0.93**depth
        yield start, end, radius
        if depth < 5:
            for turn in (1, -1):
                across = np.cross(way, random.standard_normal(3))
                bent = way + turn * random.uniform(0.45, 0.85) * across / np.linalg.norm(across)
                waiting.append((end, bent, radius * random.uniform(0.68, 0.82), depth + 1))


def _airways(body: _Body, values: NDArray[np.float32], lungs: NDArray[np.uint8]) -> None:
    """Trachea, main bronchi and a branch of each, with walls."""
    fork = np.array([0.0, 22.0, 8.0])
    tubes = [(np.array([0.0, 16.0, 90.0]), fork, 8.0)]
    for side in (1, -1):
        hilum = np.array([side * 28.0, 20.0, -10.0])
        tubes += [(fork, hilum, 5.5), (hilum, np.array([side * 52.0, 26.0, -30.0]), 3.5)]
    for start, end, radius in tubes:
        body.paint(values, _capsule(start, end, radius + 1.6), _MUSCLE)
    for start, end, radius in tubes:
        box, inside = body.paint(values, _capsule(start, end, radius), _AIR)
        lungs[box][inside] = 5


def _nodules(
    body: _Body,
    random: np.random.Generator,
    values: NDArray[np.float32],
    lungs: NDArray[np.uint8],
    forks: list[NDArray[np.float64]],
    count: int,
) -> tuple[list[Nodule], NDArray[np.uint8]]:
    """Put nodules into the lungs, none near another."""
    shapes = np.zeros(values.shape, np.uint8)
    placed: list[Nodule] = []
    kinds: tuple[Kind, ...] = ("solitary", "juxtapleural", "vessel-attached")
    spots: list[NDArray[np.float64]] = []
    for _ in range(400):
        if len(placed) == count:
            break
        kind = kinds[len(placed) % 3]
        radius = float(random.uniform(2.5, 8.0))
        side = int(random.choice([-1, 1]))
        if kind == "vessel-attached":
            centre = forks[int(random.integers(len(forks)))] + random.standard_normal(3) * radius * 0.5
        else:
            way = random.standard_normal(3)
            way[0] = side * abs(way[0])  # towards the ribs, not the heart
            way /= np.linalg.norm(way)
            middle = np.array([*_LUNGS[side], _LUNG_BASE])
            reach = 1 / math.sqrt(((way / _LUNG_AXES) ** 2).sum())
            centre = middle + way * (
                reach - 0.6 * radius if kind == "juxtapleural" else random.uniform(0.2, 0.75) * (reach - radius)
            )
        free = all(np.linalg.norm(centre - spot) > 28 for spot in spots)
        if not free or _value_at(body.grid, lungs, body.to_world(centre)) not in (3, 4):
            continue
        axes = radius * np.exp(random.uniform(-0.12, 0.12, 3))
        axes *= radius / axes.prod() ** (1 / 3)
        box, inside = body.paint(values, _ellipsoid(centre, axes), float(random.uniform(10, 70)))
        shapes[box][inside] = len(placed) + 1
        lungs[box][inside & (lungs[box] == 0)] = 3 if side > 0 else 4
        spots.append(centre)
        x, y, z = (float(v) for v in body.to_world(centre))
        placed.append(Nodule((x, y, z), 2 * radius * body.size, kind))
    return placed, shapes


def _value_at(grid: Grid, array: NDArray[np.uint8], point: NDArray[np.float64]) -> int:
    at = np.round(grid.to_index(point)).astype(int)
    inside = (at >= 0).all() and (at < np.array(grid.shape)).all()
    return int(array[tuple(at)]) if inside else 0
