"""From surfaces in a patient to solids on a printer's bed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vesalius.errors import DataError
from vesalius.mesh.printing.cut import Connectors, Direction, cut
from vesalius.mesh.printing.hollow import hollow
from vesalius.mesh.printing.solid import solid_of
from vesalius.mesh.printing.stand import moved, scale_to_fit, scaled, size_of, stand, united
from vesalius.mesh.surface import Surface

_GAP_MM = 10.0  # between parts on the bed


@dataclass(frozen=True)
class Hollowing:
    """How solids are hollowed; see `vesalius.mesh.printing.hollow.hollow`."""

    wall_mm: float
    drains: int = 2
    drain_mm: float = 4.0


@dataclass(frozen=True)
class Base:
    """A plate to stand on; see `vesalius.mesh.printing.stand.stand`."""

    thickness_mm: float = 3.0
    margin_mm: float = 3.0
    sink_mm: float = 1.0


@dataclass(frozen=True)
class Cut:
    """Where a solid is cut in two.

    Args:
        direction: The plane.
        at: From 0 to 1 of the way from the right to the left, the front to the back, the feet to the head.
    """

    direction: Direction
    at: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.at < 1:
            raise DataError(f"a cut lies between 0 and 1 of the way through, not at {self.at}")


@dataclass(frozen=True, eq=False)
class Prepared:
    """What goes to the printer.

    Args:
        surfaces: In millimetres of the print; the lowest point at 0, none left of or before it.
        scale: Of the print to the patient.
        cavities: How many hollows were made.
        cavity_ml: Their volume: material saved.
        drains: How many holes lead into them.
        connectors: How many pins hold parts together.
        assembled: Whether the solids stand as they are in the patient, or parts lie side by side.
    """

    surfaces: tuple[Surface, ...]
    scale: float
    cavities: int = 0
    cavity_ml: float = 0.0
    drains: int = 0
    connectors: int = 0
    assembled: bool = True


def prepare(
    surfaces: Sequence[Surface],
    *,
    scale: float = 1.0,
    fit_mm: Sequence[float] | None = None,
    unite: bool = False,
    apart: bool = False,
    base: Base | None = None,
    cut_at: Cut | None = None,
    connectors: Connectors | None = None,
    hollowing: Hollowing | None = None,
) -> Prepared:
    """Make solids ready for a printer: scaled, united, on a base, cut, hollowed, on the bed; in this order.

    Hollowing comes last, so that walls are as thick at cuts and around the holes of connectors as elsewhere. All
    lengths are millimetres of the print.

    Args:
        surfaces: Closed, manifold, in the patient's millimetres. Empty ones are left out.
        scale: Of the print to the patient.
        fit_mm: Make it smaller still where needed to fit these: width, depth and height.
        unite: Make one solid of all.
        apart: Lay each solid on the bed by itself. Those that nothing below carries must be; parts of a cut are anyway.
        base: A plate below all; several structures must be united for it.
        cut_at: Where to cut all structures in two.
        connectors: What holds both halves of each together.
        hollowing: A wall, and holes; solid when left out.

    Returns:
        The solids, and what was done to them.

    Raises:
        DataError: There is nothing to print, a surface is not closed, sizes are out of range, or things do not go
            together.
        MissingDependencyError: manifold3d is not installed.
    """
    whole = [surface for surface in surfaces if not surface.is_empty]
    size_of(whole)  # refuses nothing at all
    if base is not None and len(whole) > 1 and not unite:
        raise DataError(f"a base carries one solid, and there are {len(whole)}: unite them (--unite), or choose one")
    if connectors is not None and cut_at is None:
        raise DataError("connectors hold the halves of a cut together: say where to cut")
    whole = [scaled(surface, scale) for surface in whole]
    factor = 1.0 if fit_mm is None else scale_to_fit(whole, fit_mm)
    whole = [scaled(surface, factor) for surface in whole]
    for surface in whole:
        solid_of(surface)  # refuses what is not closed
    if unite:
        whole = [united(whole)]
    if base is not None:
        whole = [stand(whole[0], thickness_mm=base.thickness_mm, margin_mm=base.margin_mm, sink_mm=base.sink_mm)]
    count = 0
    if cut_at is not None:
        whole, count = _halved(whole, cut_at, connectors)
    apart = apart or cut_at is not None
    made = Prepared(tuple(_on_bed(whole, apart=apart)), scale * factor, connectors=count, assembled=not apart)
    return made if hollowing is None else _hollowed(made, hollowing)


def _halved(surfaces: Sequence[Surface], where: Cut, connectors: Connectors | None) -> tuple[list[Surface], int]:
    """One plane through all, and what lies on one side of it as it is."""
    axis = ("sagittal", "coronal", "axial").index(where.direction)
    low = min(surface.bounds_mm[0][axis] for surface in surfaces)
    high = max(surface.bounds_mm[1][axis] for surface in surfaces)
    at_mm = low + where.at * (high - low)
    parts: list[Surface] = []
    count = 0
    for surface in surfaces:
        if not surface.bounds_mm[0][axis] < at_mm < surface.bounds_mm[1][axis]:
            parts.append(surface)
            continue
        halves = cut(surface, where.direction, at_mm, connectors=connectors)
        parts += [halves.lower, halves.upper]
        count += halves.connectors
    # Files tell parts apart by their values.
    return [replace(part, label=replace(part.label, value=at)) for at, part in enumerate(parts, start=1)], count


def _hollowed(made: Prepared, how: Hollowing) -> Prepared:
    surfaces = []
    for surface in made.surfaces:
        done = hollow(surface, wall_mm=how.wall_mm, drains=how.drains, drain_mm=how.drain_mm)
        surfaces.append(done.surface)
        made = replace(
            made,
            cavities=made.cavities + done.cavities,
            cavity_ml=made.cavity_ml + done.cavity_ml,
            drains=made.drains + done.drains,
        )
    return replace(made, surfaces=tuple(surfaces))


def _on_bed(surfaces: Sequence[Surface], *, apart: bool) -> list[Surface]:
    """All in their places to each other, or side by side."""
    if not apart:
        lowest = np.min([surface.bounds_mm[0] for surface in surfaces], axis=0)
        return [moved(surface, (-lowest).tolist()) for surface in surfaces]
    placed, at = [], 0.0
    for surface in surfaces:
        low, high = (np.asarray(bound) for bound in surface.bounds_mm)
        placed.append(moved(surface, (np.array([at, 0.0, 0.0]) - low).tolist()))
        at += float(high[0] - low[0]) + _GAP_MM
    return placed
