"""Whether a solid can be printed, and what it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vesalius.errors import DataError, unknown_name
from vesalius.mesh.printing.stand import size_of
from vesalius.mesh.printing.walls import measure_walls
from vesalius.mesh.soundness import Soundness, check
from vesalius.mesh.surface import Surface

DENSITIES_G_CM3 = {"pla": 1.24, "petg": 1.27, "abs": 1.04, "tpu": 1.21, "pa12": 1.01, "resin": 1.15}
"""Of usual materials. Source: data sheets of Prusament (PLA, PETG), BASF Ultrafuse (ABS, TPU), sintered PA 2200 of EOS
as powder's solid, and the middle of cured photopolymers (1.1 to 1.2). Fillings and brands differ by some per cent."""

LEAST_WALL_MM = 0.8
"""What a wall must have at least. Source: two widths of the usual nozzle of 0.4 mm, below which printers that melt
filament leave walls out; Formlabs' *Design guide* allows supported walls of 0.4 mm of resin."""


@dataclass(frozen=True)
class Proof:
    """What was found of one solid.

    Args:
        name: Of the structure.
        soundness: Of its surface.
        thinnest_mm: Of its walls; ``None`` where the surface is not closed, as are the following.
        thinnest_at: Where that is, mm.
        thickest_mm: The largest ball within.
        size_mm: Width, depth, height.
        volume_cm3: Of the material, all of it solid.
        mass_g: The same, as heavy as the material is.
        problems: Why it cannot be printed, in words; empty where it can.
    """

    name: str
    soundness: Soundness
    thinnest_mm: float | None
    thinnest_at: tuple[float, float, float] | None
    thickest_mm: float | None
    size_mm: tuple[float, float, float]
    volume_cm3: float
    mass_g: float
    problems: tuple[str, ...]

    @property
    def is_printable(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.problems


def prove(
    surface: Surface,
    *,
    least_wall_mm: float = LEAST_WALL_MM,
    build_volume_mm: Sequence[float] | None = None,
    material: str = "pla",
) -> Proof:
    """Find out whether a solid can be printed: watertight, manifold, outwards, thick enough, small enough.

    Args:
        surface: What is to be printed.
        least_wall_mm: Thinner walls are a problem.
        build_volume_mm: Width, depth and height of the printer's room, in which the solid may lie along any axis; not
            looked at when left out.
        material: One of `DENSITIES_G_CM3`.

    Returns:
        What was found; an empty surface has one problem.

    Raises:
        DataError: There is no such material, or a length is not positive.
    """
    if material not in DENSITIES_G_CM3:
        raise DataError(unknown_name("material", material, DENSITIES_G_CM3))
    if not least_wall_mm > 0:
        raise DataError(f"the least wall is more than 0 mm, not {least_wall_mm}")
    if build_volume_mm is not None and (len(build_volume_mm) != 3 or not all(room > 0 for room in build_volume_mm)):
        raise DataError("a build volume has a width, a depth and a height of more than 0 mm")
    found = check(surface, intersections=False)
    problems = list(_defects(found))
    if surface.is_empty:
        return Proof(surface.label.name, found, None, None, None, (0.0,) * 3, 0.0, 0.0, ("it is empty",))
    size = size_of([surface])
    thinnest = at = thickest = None
    if not problems:
        walls = measure_walls(surface)
        thinnest, at, thickest = walls.thinnest_mm, walls.thinnest_at, walls.thickest_mm
        if thinnest < least_wall_mm:
            share = walls.share_below(least_wall_mm)
            where = ", ".join(f"{x:.1f}" for x in at)
            problems.append(
                f"its thinnest wall is {thinnest:.2f} mm, less than {least_wall_mm:g} mm, at ({where}); as thin are "
                f"{share:.1%} of the points that were measured"
            )
    if build_volume_mm is not None and any(
        own > room for own, room in zip(sorted(size), sorted(build_volume_mm), strict=True)
    ):
        problems.append(
            f"it is {' × '.join(f'{own:.1f}' for own in size)} mm, more than the printer's "
            f"{' × '.join(f'{room:g}' for room in build_volume_mm)} mm: scale it, or cut it"
        )
    volume = surface.volume_ml
    mass = volume * DENSITIES_G_CM3[material]
    return Proof(surface.label.name, found, thinnest, at, thickest, size, volume, mass, tuple(problems))


def _defects(found: Soundness) -> list[str]:
    problems = []
    if found.open_edges:
        problems.append(f"it is not watertight: {found.open_edges} edges have one face only")
    if found.crowded_edges or found.pinched_vertices:
        problems.append(
            f"it is not manifold: {found.crowded_edges} edges have more than two faces, at {found.pinched_vertices} "
            "vertices several sheets touch"
        )
    if found.turned_edges or found.is_inward:
        problems.append("its faces do not all look outwards")
    if not problems and found.manifold3d not in (None, "NoError"):
        problems.append(f"manifold3d finds it no solid: {found.manifold3d}")
    return problems
