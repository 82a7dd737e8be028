"""Between surfaces and the solids of manifold3d, which cuts, joins and subtracts them exactly.

Source: E. Lalish, Manifold (github.com/elalish/manifold), after J. Smith, Towards robust inexact geometric computation,
2009: the results of its operations are manifold whatever rounding does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vesalius.errors import DataError, MissingDependencyError
from vesalius.image import Label
from vesalius.mesh.surface import Surface, compacted

if TYPE_CHECKING:
    from manifold3d import Manifold

SEGMENTS = 64
"""Sides of what stands for a cylinder: its area is 0.16 % smaller."""


def manifold() -> Any:
    """The package that works with solids.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import manifold3d
    except ImportError as error:
        raise MissingDependencyError("solids need manifold3d: pip install 'vesalius[mesh]'") from error
    return manifold3d


def solid_of(surface: Surface) -> Manifold:
    """The solid within a surface.

    Args:
        surface: Closed, manifold, looking outwards.

    Raises:
        DataError: It is not, or is empty; the message says how to mend it.
        MissingDependencyError: manifold3d is not installed.
    """
    name = surface.label.name
    if surface.is_empty:
        raise DataError(f"{name} is empty: there is nothing to print")
    # Before anything else, since a missing package is the same for all.
    package = manifold()
    mesh = package.Mesh64(vert_properties=surface.vertices.copy(), tri_verts=surface.faces.astype(np.uint64))
    made = package.Manifold(mesh)
    if made.status() != package.Error.NoError or made.is_empty():
        raise DataError(
            f"the surface of {name} encloses no solid: it has holes, or edges with more than two faces; mend it first, "
            "or make it anew with `vesalius mesh`"
        )
    if made.volume() <= 0:
        raise DataError(f"the surface of {name} is inside out: its faces must look outwards")
    return made


def surface_of(solid: Manifold, label: Label) -> Surface:
    """The surface of a solid.

    Args:
        solid: May be empty.
        label: What it is called.
    """
    mesh = solid.to_mesh64()
    points = np.asarray(mesh.vert_properties, np.float64)[:, :3]
    faces = np.asarray(mesh.tri_verts, np.int64).astype(np.int32).reshape(-1, 3)
    if len(mesh.merge_from_vert):
        same = np.arange(len(points), dtype=np.int32)
        same[np.asarray(mesh.merge_from_vert, np.int64)] = np.asarray(mesh.merge_to_vert, np.int64)
        faces = same[faces]
    points, faces = compacted(points, faces)
    return Surface(points, faces, label)


def cylinder(start: ArrayLike, end: ArrayLike, radius_mm: float, *, tip_mm: float | None = None) -> Manifold:
    """A round rod between two points.

    Args:
        start: ``(3,)``, mm.
        end: ``(3,)``, mm; another point.
        radius_mm: At the start.
        tip_mm: Radius at the end; as at the start when left out.
    """
    begin = np.asarray(start, np.float64)
    along = np.asarray(end, np.float64) - begin
    length = float(np.linalg.norm(along))
    made = manifold().Manifold.cylinder(length, radius_mm, radius_mm if tip_mm is None else tip_mm, SEGMENTS)
    return made.transform(np.column_stack([upright(along / length), begin]))


def upright(normal: ArrayLike) -> NDArray[np.float64]:
    """A rotation that turns +z to a direction.

    Args:
        normal: ``(3,)``, of length 1.

    Returns:
        ``(3, 3)``; its columns are right-handed.

    Example:
        >>> (upright((0.0, -1.0, 0.0)) @ (0, 0, 1)).tolist()
        [0.0, -1.0, 0.0]
    """
    z = np.asarray(normal, np.float64)
    # Any direction that is not along it; the smallest part is farthest from that.
    other = np.eye(3)[int(np.argmin(np.abs(z)))]
    x = np.cross(other, z)
    x /= np.linalg.norm(x)
    return np.column_stack([x, np.cross(z, x), z])
