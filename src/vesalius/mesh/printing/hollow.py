"""Hollow a solid: a wall of even thickness, and holes through which powder or resin runs out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as pieces_of
from scipy.spatial import cKDTree

from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.mesh.extract import extract
from vesalius.mesh.printing.inside import around, depths, samples
from vesalius.mesh.printing.solid import cylinder, solid_of, surface_of
from vesalius.mesh.surface import Surface

if TYPE_CHECKING:
    from manifold3d import Manifold

_STEPS_A_WALL = 3.0
_PLACES = 5_000  # of a cavity's surface, at which a drain may begin
_FLAT = 0.4  # of a drain's radius, at most, from its rim to the surface
_ROOM = 0.8  # of a drain's radius, at least, from where it begins to the cavity's walls
_CAVITY = Labels.of({"cavity": 1})


@dataclass(frozen=True, eq=False)
class Hollowed:
    """A hollowed solid.

    Args:
        surface: Its surface, outer and inner.
        cavities: How many hollows it has.
        cavity_ml: Their volume.
        drains: How many holes lead into them.
    """

    surface: Surface
    cavities: int
    cavity_ml: float
    drains: int


def hollow(
    surface: Surface,
    *,
    wall_mm: float,
    drains: int = 2,
    drain_mm: float = 4.0,
    step_mm: float | None = None,
) -> Hollowed:
    """Hollow a solid.

    The cavity is what lies deeper below the surface than the wall is thick, so that the wall is nowhere thinner, to
    about a fiftieth. Parts that are too narrow for a cavity stay solid, and so do cavities that no drain fits into,
    where drains are asked for. The first drain of a cavity is at its lowest point that has room, the next as far from
    it as can be, so that air comes in where resin runs out; each takes the shortest way through the wall.

    Args:
        surface: Closed, manifold; +z is up.
        wall_mm: Thickness of the wall, more than 0.
        drains: Holes into each cavity; with 0 it is sealed, which only suits printers that melt filament.
        drain_mm: Their diameter. Source of the default: Formlabs, *How to hollow out 3D models*, at least 3.5 mm.
        step_mm: Of the grid on which the cavity is found; a third of the wall when left out.

    Returns:
        The surface of what is left, with what was done. Without room for a cavity it is as it was.

    Raises:
        DataError: The surface is not closed or inside out, a size is not positive, or the step is too fine.
        MissingDependencyError: manifold3d is not installed.
    """
    if not wall_mm > 0 or not drain_mm > 0 or drains < 0 or (step_mm is not None and not step_mm > 0):
        raise DataError("a wall, a drain's diameter and a step are more than 0 mm thick, and drains at least 0")
    whole = solid_of(surface)
    grid = around(surface, step_mm or wall_mm / _STEPS_A_WALL)
    outside = cKDTree(samples(surface, min(wall_mm, drain_mm) / 4))
    taken, count, holes, volume = whole, 0, 0, 0.0
    for cavity in _cavities(surface, wall_mm, grid):
        rods = list(_drains(cavity, outside, drains, drain_mm, wall_mm))
        if drains and not rods:
            continue
        # Extraction leaves grids' corners, no overlaps: the difference is what is between both surfaces.
        room = solid_of(cavity)
        taken = taken - room
        for rod in rods:
            taken = taken - rod
        count, holes, volume = count + 1, holes + len(rods), volume + room.volume() / 1000
    if not count:
        return Hollowed(surface, 0, 0.0, 0)
    return Hollowed(surface_of(taken, surface.label), count, volume, holes)


def _cavities(surface: Surface, wall_mm: float, grid: Grid) -> Iterator[Surface]:
    """The surface of each part that lies deeper than the wall."""
    mm = depths(surface, grid, near_mm=wall_mm).mm
    deep, count = pieces_of(mm > wall_mm)
    # Equally likely at the wall's inner face, so that it is found between the grid's points.
    share = np.clip(0.5 + (mm - wall_mm) / (8 * grid.spacing_mm[0]), 0.0, 1.0)
    for piece in range(1, count + 1):
        mine = deep == piece
        other = (deep > 0) & ~mine
        own = np.where(other, 0.0, share).astype(np.float32)
        labels = LabelMap(mine.astype(np.uint8), grid, _CAVITY)
        found = extract(
            labels, probabilities=Volume(np.stack([1 - own, own]), grid), smoothing_steps=0, slices="keep"
        ).of("cavity")
        if not found.is_empty:
            yield found


def _drains(cavity: Surface, outside: cKDTree, count: int, drain_mm: float, wall_mm: float) -> Iterator[Manifold]:
    """Rods from a cavity through the wall; none where the cavity has no room for one."""
    radius = drain_mm / 2
    points = cavity.vertices[:: 1 + len(cavity.vertices) // _PLACES]
    nearest: NDArray[np.float64] = outside.data[outside.query(points)[1]]
    ways = nearest - points
    ways /= np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-9)
    # A rod that begins beside the cavity's own wall would leave that wall as thin as a blade.
    room = cKDTree(samples(cavity, drain_mm / 4)).query(points - ways * radius)[0] >= _ROOM * radius
    if count == 0 or not room.any():
        return
    points, nearest, ways = points[room], nearest[room], ways[room]
    # So would one that comes out in a corner: where there is a choice, it comes out of something flat.
    rims = np.stack([nearest + radius * turn for turn in _around(ways)], axis=1)
    flat = outside.query(rims)[0].max(axis=1) <= _FLAT * radius
    if flat.any():
        points, nearest, ways = points[flat], nearest[flat], ways[flat]
    away = np.full(len(points), np.inf)
    at = int(np.argmin(points[:, 2]))
    for _ in range(count):
        # Beyond both ends by a radius, so that nothing is left where the surfaces are not flat.
        yield cylinder(points[at] - ways[at] * radius, nearest[at] + ways[at] * (radius + wall_mm / 10), radius)
        away = np.minimum(away, np.linalg.norm(points - points[at], axis=1))
        at = int(np.argmax(away))
        if away[at] < 1.5 * drain_mm:
            return


def _around(ways: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Eight directions across each of some."""
    other = np.eye(3)[np.argmin(np.abs(ways), axis=1)]
    x = np.cross(other, ways)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
    y = np.cross(ways, x)
    for angle in np.arange(8) * (np.pi / 4):
        yield np.cos(angle) * x + np.sin(angle) * y
