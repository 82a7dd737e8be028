"""Cut a solid in two along a plane, with pins on one half and holes for them in the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, unknown_name
from vesalius.mesh.printing.solid import cylinder, manifold, solid_of, surface_of, upright
from vesalius.mesh.surface import Surface

if TYPE_CHECKING:
    from manifold3d import Manifold

Direction = Literal["sagittal", "coronal", "axial"]
"""The plane of a cut, as of an image: across left and right, front and back, head and feet."""

_AXES = ("sagittal", "coronal", "axial")
_ROOT_MM = 0.5  # that a pin reaches into its own half, so that both become one
_MATERIAL = 0.999  # of a rod must be material for it to stand in


@dataclass(frozen=True)
class Connectors:
    """Pins that hold two halves together.

    Args:
        count: At most so many; fewer where the cut has no room.
        diameter_mm: Of the pins.
        length_mm: By which they stand out.
        clearance_mm: By which the radius of a hole is larger, and its depth. Source of the default: 0.2 mm is the usual
            play of parts that printers which melt filament print to fit (Prusa Knowledge Base, *Modeling with 3D
            printing in mind*).
        wall_mm: Material that must be around and below each hole.
    """

    count: int = 2
    diameter_mm: float = 5.0
    length_mm: float = 5.0
    clearance_mm: float = 0.2
    wall_mm: float = 1.5

    def __post_init__(self) -> None:
        if self.count < 0 or not min(self.diameter_mm, self.length_mm) > 0 or self.clearance_mm < 0 or self.wall_mm < 0:
            raise DataError(
                "connectors have a diameter and a length of more than 0 mm, a clearance and a wall of 0 or more"
            )


@dataclass(frozen=True, eq=False)
class Halves:
    """Both sides of a cut.

    Args:
        lower: On the side of the right, the front or the feet; it has the pins.
        upper: The other; it has the holes.
        connectors: How many there are.
        centres_mm: ``(n, 3)``: where they stand in the plane.
    """

    lower: Surface
    upper: Surface
    connectors: int
    centres_mm: NDArray[np.float64]


def cut(surface: Surface, direction: Direction, at_mm: float, *, connectors: Connectors | None = None) -> Halves:
    """Cut a solid in two.

    Pins stand upright on the plane of the cut, as far from each other as there is room: a hole has material all around.

    Args:
        surface: Closed, manifold.
        direction: Of the plane.
        at_mm: Where it crosses its axis: x of a sagittal cut, y of a coronal one, z of an axial one.
        connectors: What holds the halves together; none when left out.

    Returns:
        Two closed surfaces, called ``NAME, part 1`` and ``NAME, part 2``.

    Raises:
        DataError: The plane leaves nothing on one side, there is no such direction, or the surface is not closed.
        MissingDependencyError: manifold3d is not installed.

    Example:
        >>> from vesalius.image import Label
        >>> corners = np.array([[i, j, k] for i in (0, 20) for j in (0, 20) for k in (0, 20.0)])
        >>> faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]]
        >>> faces += [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
        >>> found = cut(Surface(corners, np.array(faces), Label("cube", 1)), "axial", 5.0)
        >>> round(found.lower.volume_ml, 6), round(found.upper.volume_ml, 6), found.upper.label.name
        (2.0, 6.0, 'cube, part 2')
    """
    if direction not in _AXES:
        raise DataError(unknown_name("plane of a cut", direction, _AXES))
    axis = _AXES.index(direction)
    low, high = surface.bounds_mm
    if not low[axis] < at_mm < high[axis]:
        raise DataError(
            f"a {direction} cut at {at_mm:.4g} mm leaves nothing on one side of {surface.label.name}: it reaches from "
            f"{low[axis]:.4g} to {high[axis]:.4g} mm"
        )
    normal = np.eye(3)[axis]
    upper, lower = solid_of(surface).split_by_plane(tuple(normal.tolist()), float(at_mm))
    centres = np.zeros((0, 3))
    if connectors is not None and connectors.count:
        centres = _centres(lower, upper, normal, at_mm, connectors)
        radius, length = connectors.diameter_mm / 2, connectors.length_mm
        for centre in centres:
            lower = lower + cylinder(centre - normal * _ROOT_MM, centre + normal * length, radius)
            hole = connectors.clearance_mm
            # From below the plane: faces that lie in one another are nobody's.
            upper = upper - cylinder(centre - normal, centre + normal * (length + hole), radius + hole)
    name = surface.label.name
    return Halves(
        lower=surface_of(lower, replace(surface.label, name=f"{name}, part 1")),
        upper=surface_of(upper, replace(surface.label, name=f"{name}, part 2")),
        connectors=len(centres),
        centres_mm=centres,
    )


def _centres(
    lower: Manifold, upper: Manifold, normal: NDArray[np.float64], at_mm: float, wanted: Connectors
) -> NDArray[np.float64]:
    """Where connectors have room, far from each other."""
    turn = upright(normal)
    # The face of the cut, seen along the normal.
    flat = upper.transform(np.column_stack([turn.T, np.zeros(3)])).slice(float(at_mm) + 1e-6)
    margin = wanted.diameter_mm / 2 + wanted.clearance_mm + wanted.wall_mm
    room = flat.offset(-margin, manifold().JoinType.Round)
    if room.is_empty():
        return np.zeros((0, 3))
    points = _within(room, wanted.diameter_mm / 4)
    places = points @ turn[:, :2].T + normal * at_mm
    chosen: list[NDArray[np.float64]] = []
    away = np.linalg.norm(points - points.mean(axis=0), axis=1)
    allowed = np.ones(len(points), bool)
    while len(chosen) < wanted.count and allowed.any():
        at = int(np.argmax(np.where(allowed, away, -1.0)))
        apart = np.linalg.norm(points - points[at], axis=1)
        allowed &= apart > wanted.diameter_mm / 2  # what does not fit here does not fit right beside it
        if _holds(lower, upper, places[at], normal, wanted):
            away = np.minimum(away, apart) if chosen else apart
            allowed &= apart > 2 * margin
            chosen.append(places[at])
    return np.array(chosen).reshape(-1, 3)


def _holds(
    lower: Manifold, upper: Manifold, centre: NDArray[np.float64], normal: NDArray[np.float64], wanted: Connectors
) -> bool:
    """Whether there is material around a hole, and below a pin."""
    around = wanted.diameter_mm / 2 + wanted.clearance_mm + wanted.wall_mm
    hole = cylinder(centre, centre + normal * (wanted.length_mm + wanted.clearance_mm + wanted.wall_mm), around)
    root = cylinder(centre - normal * _ROOT_MM, centre, wanted.diameter_mm / 2)
    return all((solid ^ rod).volume() >= _MATERIAL * rod.volume() for solid, rod in ((upper, hole), (lower, root)))


def _within(room: Any, step_mm: float) -> NDArray[np.float64]:
    """Points of a lattice within polygons, and their corners, so that narrow ones have some too."""
    polygons = [np.asarray(polygon, np.float64) for polygon in room.to_polygons()]
    corners = np.concatenate(polygons)
    low, high = corners.min(axis=0), corners.max(axis=0)
    step = max(step_mm, float(np.ptp(corners, axis=0).max()) / 100)
    axes = [np.arange(low[at], high[at] + step, step) for at in range(2)]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    odd = np.zeros(len(lattice), bool)
    for polygon in polygons:
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if y0 == y1:
                continue
            level = (lattice[:, 1] >= min(y0, y1)) & (lattice[:, 1] < max(y0, y1))
            odd ^= level & (lattice[:, 0] < x0 + (lattice[:, 1] - y0) * (x1 - x0) / (y1 - y0))
    return np.concatenate([lattice[odd], corners])
