"""Where a plane cuts a surface: triangles against a plane, exactly, not voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.surface import Surface
from vesalius.transform.partition import Plane


def section(surface: Surface, plane: Plane) -> tuple[NDArray[np.float64], ...]:
    """The lines along which a plane cuts a surface.

    A vertex that lies in the plane counts as on its positive side, so that of a closed surface every line is closed and
    no triangle that lies in the plane is drawn. Seen from the tip of the normal, a line has the inside of the structure
    on its left.

    Args:
        surface: Of a structure; it need not be closed.
        plane: In patient space.

    Returns:
        Lines ``(n, 3)``, mm; the last point of a closed one is its first. None where the plane misses the surface. On a
        surface that is not manifold, lines may end where more than two triangles meet.

    Example:
        >>> from vesalius.image import Label
        >>> corners = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10.0]])
        >>> tetrahedron = Surface(corners, [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], Label("tetrahedron", 1))
        >>> (line,) = section(tetrahedron, Plane((0.0, 0.0, 4.0), (0.0, 0.0, 1.0)))
        >>> len(line), line.max(axis=0).tolist(), bool((line[0] == line[-1]).all())
        (4, [6.0, 6.0, 4.0], True)
    """
    if surface.is_empty:
        return ()
    side = plane.side_mm(surface.vertices)
    above = side >= 0
    count = above[surface.faces].sum(axis=1)
    faces = surface.faces[(count > 0) & (count < 3)]
    if not len(faces):
        return ()
    # Each such triangle has one corner alone on its side; the line crosses both edges that meet there.
    high = above[faces]
    alone = np.where(high.sum(axis=1) == 1, high.argmax(axis=1), (~high).argmax(axis=1))
    rows = np.arange(len(faces))
    tip, after, before = (faces[rows, (alone + step) % 3] for step in (0, 1, 2))
    # Counter-clockwise from outside: where the tip is above, the line runs from the edge after it to the one before.
    first, second = np.stack([tip, after], axis=1), np.stack([tip, before], axis=1)
    up = above[tip][:, None]
    starts, ends = np.where(up, first, second), np.where(up, second, first)
    edges, numbers = np.unique(np.sort(np.concatenate([starts, ends]), axis=1), axis=0, return_inverse=True)
    low, top = side[edges[:, 0]], side[edges[:, 1]]
    share = (low / (low - top))[:, None]
    points = surface.vertices[edges[:, 0]] * (1 - share) + surface.vertices[edges[:, 1]] * share
    start, end = numbers.reshape(2, -1)
    return tuple(points[line] for line in _chained(start, end))


def _chained(start: NDArray[np.intp], end: NDArray[np.intp]) -> list[list[int]]:
    """Pieces from point to point, put together to lines; open ones first."""
    pieces = dict[int, list[int]]()
    for a, b in zip(start.tolist(), end.tolist(), strict=True):
        pieces.setdefault(a, []).append(b)
    begins = sorted(set(start.tolist()) - set(end.tolist()))
    lines = []
    for first in [*begins, *sorted(pieces)]:
        while pieces.get(first):
            line = [first]
            while ways := pieces.get(line[-1]):
                line.append(ways.pop(0))
                if line[-1] == first:
                    break
            lines.append(line)
    return lines
