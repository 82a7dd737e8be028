"""What a mesh file says of its surfaces, and the checks that all readers share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vesalius.errors import FormatError, unknown_name
from vesalius.image import Label
from vesalius.image.labels import wheel
from vesalius.mesh.surface import Surface

Axes = Literal["lps", "ras"]
"""Which way the axes of a file point: left, posterior, superior as in DICOM, or right, anterior, superior."""

LARGEST_BYTES = 1 << 32
"""Larger files are refused before they are read."""

FARTHEST_MM = 1e9
"""As in the headers of images: what lies farther away is damage."""

_AXES = ("lps", "ras")
_SAID = re.compile(r"SPACE=(LPS|RAS)", re.IGNORECASE)


def turned(points: NDArray[np.float64], axes: Axes) -> NDArray[np.float64]:
    """Points of the patient in a file's axes, or back: the way there is the way back.

    Args:
        points: ``(n, 3)``.
        axes: Of the file.

    Raises:
        FormatError: There are no such axes.

    Example:
        >>> turned(np.array([[1.0, 2.0, 3.0]]), "ras").tolist()
        [[-1.0, -2.0, 3.0]]
    """
    if axes not in _AXES:
        raise FormatError(unknown_name("orientation of axes", axes, _AXES))
    return points * (-1.0, -1.0, 1.0) if axes == "ras" else points


def said_space(text: str) -> Axes | None:
    """The axes that a header or a comment tells; ``None`` where it does not.

    Source: 3D Slicer's ``SPACE=LPS`` in STL, PLY, OBJ and VTK files (vtkMRMLModelStorageNode).

    Example:
        >>> said_space("3D Slicer output. SPACE=RAS"), said_space("made by hand")
        ('ras', None)
    """
    found = _SAID.search(text)
    if found is None:
        return None
    return "ras" if found[1].lower() == "ras" else "lps"


def colour_of(surface: Surface) -> tuple[int, int, int]:
    """The colour of a surface: its label's own, or that of its value on the wheel that label maps have."""
    return surface.label.colour or wheel(surface.label.value - 1)


def made(
    vertices: ArrayLike,
    faces: ArrayLike,
    *,
    name: str,
    value: int,
    axes: Axes = "lps",
    colour: tuple[int, int, int] | None = None,
) -> Surface:
    """A surface of what a file holds, which may be anything.

    Args:
        vertices: ``(V, 3)``, mm, in the file's axes.
        faces: ``(F, 3)``, from 0; those that name a vertex twice are left out.
        name: Of the structure.
        value: Of its label.
        axes: Of the file.
        colour: RGB, 0 to 255.

    Raises:
        FormatError: A coordinate is no finite number or lies far from any patient, or a face names no vertex.
    """
    points = np.asarray(vertices, np.float64).reshape(-1, 3)
    corners = np.asarray(faces, np.int64).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise FormatError("a coordinate is not a finite number")
    if len(points) and np.abs(points).max() > FARTHEST_MM:
        raise FormatError(f"coordinates beyond {FARTHEST_MM:g} mm are damage")
    if len(corners) and not (0 <= corners.min() and corners.max() < len(points)):
        raise FormatError("a face names a vertex that is not there")
    a, b, c = corners.T
    flat = (a == b) | (b == c) | (c == a)  # some programs write triangles without an area
    return Surface(turned(points, axes), corners[~flat].astype(np.int32), Label(name, value, colour))


def composed(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.float64]:
    """The product of two transforms of a file, ``(4, 4)`` each.

    Raises:
        FormatError: A number in one of them, or in the product, is not finite or beyond all measure.
    """
    for matrix in (outer, inner):
        if not (np.abs(matrix) <= FARTHEST_MM).all():
            raise FormatError(f"a transform holds numbers beyond {FARTHEST_MM:g}: it is damaged")
    matrix = outer @ inner
    if not (np.abs(matrix) <= FARTHEST_MM).all():
        raise FormatError(f"a transform holds numbers beyond {FARTHEST_MM:g}: it is damaged")
    return matrix


def named(path: Path) -> str:
    """What a structure is called in a format without names: as the file.

    Example:
        >>> named(Path("case 7/left kidney.stl"))
        'left kidney'
    """
    return path.name.partition(".")[0] or "surface"


def welded(corners: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.int32]]:
    """Make one vertex of corners at the same place, for formats that list triangles by their corners.

    Args:
        corners: ``(n, 3)``.

    Returns:
        The places, in the order in which they first appear, and for each corner which it is.

    Example:
        >>> places, which = welded(np.array([[0.0, 0, 0], [1, 0, 0], [-0.0, 0, 0]]))
        >>> len(places), which.tolist()
        (2, [0, 1, 0])
    """
    clean = corners + 0.0  # without the signs of zeros
    order = np.lexsort(clean.T)
    ordered = clean[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    group = np.cumsum(fresh) - 1
    # lexsort is stable: the first of a group is the one that appears first.
    first = order[fresh]
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    which = np.empty(len(order), np.int32)
    which[order] = rank[group]
    return clean[np.sort(first)], which


def split_polygons(corners: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Polygons as fans of triangles.

    Args:
        corners: The vertices of all polygons, one after the other.
        counts: How many each has; those of fewer than three are passed over.

    Returns:
        ``(F, 3)``.

    Example:
        >>> split_polygons(np.array([0, 1, 2, 3, 4, 5]), np.array([4, 2])).tolist()
        [[0, 1, 2], [0, 2, 3]]
    """
    starts = np.cumsum(counts) - counts
    fans = np.maximum(counts - 2, 0)
    first = np.repeat(starts, fans)
    step = np.arange(fans.sum()) - np.repeat(np.cumsum(fans) - fans, fans)
    triangles: NDArray[np.int64] = corners[np.stack([first, first + step + 1, first + step + 2], axis=1)]
    return triangles
