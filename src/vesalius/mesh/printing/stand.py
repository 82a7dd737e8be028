"""A plate to stand on, several solids as one, and other sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vesalius.errors import DataError
from vesalius.image import Label
from vesalius.mesh.printing.solid import SEGMENTS, manifold, solid_of, surface_of
from vesalius.mesh.surface import Surface


def stand(surface: Surface, *, thickness_mm: float = 3.0, margin_mm: float = 3.0, sink_mm: float = 1.0) -> Surface:
    """Put a solid on a plate: the hull of its shadow, a margin around, rounded.

    Args:
        surface: Closed, manifold; +z is up.
        thickness_mm: Of the plate.
        margin_mm: By which it stands out.
        sink_mm: How deep the lowest point sinks into the plate; what sinks joins pieces that stand apart.

    Returns:
        Solid and plate as one.

    Raises:
        DataError: A size is out of range, or the surface is not closed.
        MissingDependencyError: manifold3d is not installed.
    """
    if not thickness_mm > 0 or margin_mm < 0 or not 0 < sink_mm <= thickness_mm:
        raise DataError(
            "a base is more than 0 mm thick, has a margin of 0 mm or more, and what it carries sinks into it"
        )
    solid = solid_of(surface)
    outline = solid.project().hull()
    if margin_mm:
        outline = outline.offset(margin_mm, manifold().JoinType.Round, circular_segments=SEGMENTS)
    plate = outline.extrude(thickness_mm).translate((0.0, 0.0, surface.bounds_mm[0][2] + sink_mm - thickness_mm))
    return surface_of(solid + plate, surface.label)


def united(surfaces: Sequence[Surface], *, name: str = "model") -> Surface:
    """Several solids as one: where they overlap or share a wall, the wall goes.

    Args:
        surfaces: Closed, manifold.
        name: Of the whole.

    Raises:
        DataError: There are none, or one of them is not closed.
        MissingDependencyError: manifold3d is not installed.
    """
    if not surfaces:
        raise DataError("there is nothing to unite")
    package = manifold()
    whole = package.Manifold.batch_boolean([solid_of(surface) for surface in surfaces], package.OpType.Add)
    first = surfaces[0].label
    return surface_of(whole, first if len(surfaces) == 1 else Label(name, first.value, first.colour))


def scaled(surface: Surface, factor: float) -> Surface:
    """The same in another size, about the origin, so that several keep their places to each other.

    Args:
        surface: Any.
        factor: More than 0.

    Raises:
        DataError: It is not.
    """
    if not (factor > 0 and np.isfinite(factor)):
        raise DataError(f"a scale is more than 0, not {factor}")
    return Surface(surface.vertices * factor, surface.faces, surface.label)


def scale_to_fit(surfaces: Sequence[Surface], build_volume_mm: Sequence[float]) -> float:
    """The factor by which solids together just fit a printer, as they stand; 1 where they fit already.

    Args:
        surfaces: At least one that is not empty.
        build_volume_mm: Width, depth and height.

    Raises:
        DataError: A length is not positive, or there is nothing.
    """
    if len(build_volume_mm) != 3 or not all(length > 0 for length in build_volume_mm):
        raise DataError("a build volume has a width, a depth and a height of more than 0 mm")
    extent = size_of(surfaces)
    # A hair below: what fits to the last bit does not fit after rounding.
    return min(1.0, *(0.9999 * room / max(own, 1e-9) for own, room in zip(extent, build_volume_mm, strict=True)))


def size_of(surfaces: Sequence[Surface]) -> tuple[float, float, float]:
    """Width, depth and height of solids together, mm.

    Args:
        surfaces: At least one that is not empty.

    Raises:
        DataError: All are empty.
    """
    bounds = [surface.bounds_mm for surface in surfaces if not surface.is_empty]
    if not bounds:
        raise DataError("every structure is empty: there is nothing to print")
    x, y, z = (np.max([high for _, high in bounds], axis=0) - np.min([low for low, _ in bounds], axis=0)).tolist()
    return x, y, z


def moved(surface: Surface, by_mm: Sequence[float]) -> Surface:
    """The same at another place.

    Args:
        surface: Any.
        by_mm: How far along x, y and z.
    """
    return Surface(surface.vertices + np.asarray(by_mm, np.float64), surface.faces, surface.label)
