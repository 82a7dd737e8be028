"""Closed surfaces in patient space: that of one structure, and those that structures share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vesalius.errors import DataError
from vesalius.image import Label, Labels

_EMPTY_BOUNDS = (0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface of one structure, as triangles.

    Args:
        vertices: ``(V, 3)``, points in millimetres, LPS.
        faces: ``(F, 3)``, indices of vertices, counter-clockwise when seen from outside. None of a structure that is
            empty.
        label: Which structure it is; that of a region has the region's name, and value and colour of its first member.

    Values are checked when the surface is made and read-only from then on. That it is closed is not required here:
    `vesalius.mesh.check` tells.

    Raises:
        DataError: Shapes are wrong, a coordinate is not finite, a face names no vertex, or one vertex twice.

    Example:
        >>> corners = [[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]]
        >>> tetrahedron = Surface(corners, [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], Label("tetrahedron", 1))
        >>> round(tetrahedron.volume_ml, 4), tetrahedron.genus, tetrahedron.pieces
        (0.1667, 0, 1)
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    label: Label

    def __post_init__(self) -> None:
        vertices, faces = _checked(self.vertices, self.faces)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)

    @property
    def is_empty(self) -> bool:
        """Whether it has no faces."""
        return not len(self.faces)

    @cached_property
    def area_mm2(self) -> float:
        """The sum of the triangles' areas."""
        return float(np.linalg.norm(_crosses(self.vertices, self.faces), axis=1).sum() / 2)

    @cached_property
    def volume_ml(self) -> float:
        """The volume inside; negative where the faces look inwards, and without a meaning where it is not closed.

        Source: the divergence theorem: signed tetrahedra, seen from the middle of the box so that nothing cancels.
        """
        if self.is_empty:
            return 0.0
        low, high = self.bounds_mm
        centred = self.vertices - (np.asarray(low) + np.asarray(high)) / 2
        crosses = _crosses(centred, self.faces)
        return float(np.einsum("ij,ij->", centred[self.faces[:, 0]], crosses) / 6000)

    @cached_property
    def bounds_mm(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The least and the greatest x, y and z of the vertices that faces use; zeros when it is empty."""
        if self.is_empty:
            return _EMPTY_BOUNDS, _EMPTY_BOUNDS
        used = self.vertices[np.unique(self.faces)]
        return tuple(used.min(axis=0).tolist()), tuple(used.max(axis=0).tolist())

    @cached_property
    def euler(self) -> int:
        """The Euler number of all pieces together: vertices in use, less edges, plus faces; 2 for a ball."""
        vertices = len(np.unique(self.faces))
        return vertices - len(_edges(self.faces)) + len(self.faces)

    @cached_property
    def pieces(self) -> int:
        """Into how many parts it falls that share no vertex; the wall of a cavity is a piece of its own."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if self.is_empty:
            return 0
        used, faces = np.unique(self.faces, return_inverse=True)
        edges = _edges(faces.reshape(-1, 3).astype(np.int32))
        links = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(len(used), len(used)))
        return int(connected_components(links, directed=False)[0])

    @property
    def genus(self) -> int:
        """The number of handles of all pieces together, if it is closed: 0 for balls, 1 for a ring.

        Source: Euler–Poincaré: pieces less half of the Euler number.
        """
        return self.pieces - self.euler // 2


@dataclass(frozen=True, eq=False)
class Interfaces:
    """The surfaces of all structures of a label map, where neighbours share vertices and faces.

    Between two structures there is one sheet of triangles, which belongs to both: no gap and no overlap.

    Args:
        vertices: ``(V, 3)``, points in millimetres, LPS.
        faces: ``(F, 3)``, indices of vertices.
        sides: ``(F, 2)``, the values on the two sides of each face: its normal (counter-clockwise seen from its tip)
            points from ``sides[:, 0]`` to ``sides[:, 1]``; the background is 0.
        labels: What the values mean.

    Raises:
        DataError: Shapes are wrong, a coordinate is not finite, a face names no vertex, one vertex twice, a value that
            is not a label's, or the same structure on both sides.

    Example:
        >>> corners = [[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]]
        >>> faces = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]
        >>> made = Interfaces(corners, faces, [[2, 0]] * 4, Labels.of({"liver": 1, "stone": 2}))
        >>> [surface.label.name for surface in made.surfaces()], made.of("liver").is_empty
        (['stone'], True)
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    sides: NDArray[np.int32]
    labels: Labels

    def __post_init__(self) -> None:
        vertices, faces = _checked(self.vertices, self.faces)
        sides = np.ascontiguousarray(self.sides, dtype=np.int32).reshape(-1, 2)
        if len(sides) != len(faces):
            raise DataError(f"sides must be one pair of values for each of {len(faces)} faces, not {len(sides)}")
        if len(sides):
            known = np.zeros(max(int(sides.max()), *self.labels.values, 0) + 1, np.bool_)
            known[[0, *self.labels.values]] = True
            if sides.min() < 0 or not known[sides].all():
                raise DataError("sides hold values that are neither labels nor the background, 0")
            if (sides[:, 0] == sides[:, 1]).any():
                raise DataError("a face has the same structure on both sides: it belongs to no surface")
        sides.setflags(write=False)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)
        object.__setattr__(self, "sides", sides)

    def of(self, name: str) -> Surface:
        """The surface of a label, or of a region (its inner walls left out).

        Vertices keep their coordinates bit by bit, so that neighbours fit.

        Args:
            name: Of a label or a region.

        Raises:
            DataError: Nothing has this name.
        """
        members = self.labels.members(name)
        inside = np.zeros(max(int(self.sides.max(initial=0)), *members) + 1, np.bool_)
        inside[list(members)] = True
        within = inside[self.sides]
        chosen = within[:, 0] != within[:, 1]
        outwards = within[chosen, 0]
        faces = np.where(outwards[:, None], self.faces[chosen], self.faces[chosen][:, ::-1])
        vertices, faces = compacted(self.vertices, faces)
        return Surface(vertices, faces, self._label(name, members))

    def surfaces(self) -> tuple[Surface, ...]:
        """The surface of each label that has one, in order of declaration."""
        found = np.unique(self.sides)
        return tuple(self.of(label.name) for label in self.labels.labels if label.value in found)

    def _label(self, name: str, members: tuple[int, ...]) -> Label:
        if name in self.labels.names:
            return self.labels[name]
        return Label(name, members[0], self.labels.colour(members[0]))


def compacted(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Leave out the vertices that no face uses, and keep the order of the others.

    Args:
        vertices: ``(V, 3)``.
        faces: ``(F, 3)``.

    Returns:
        Vertices and faces, renumbered.
    """
    used = np.zeros(len(vertices), np.bool_)
    used[faces] = True
    numbers = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return vertices[used], numbers[faces]


def _checked(vertices: ArrayLike, faces: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    points = np.ascontiguousarray(vertices, dtype=np.float64)
    points = points.reshape(0, 3) if points.size == 0 else points
    if points.ndim != 2 or points.shape[1] != 3:
        raise DataError(f"vertices must be (V, 3), not {points.shape}")
    if not np.isfinite(points).all():
        raise DataError("a vertex is not finite")
    corners = np.asarray(faces)
    corners = corners.reshape(0, 3).astype(np.int32) if corners.size == 0 else corners
    if corners.ndim != 2 or corners.shape[1] != 3 or corners.dtype.kind not in "iu":
        raise DataError(f"faces must be (F, 3) whole numbers, not {corners.shape} of {corners.dtype}")
    if len(corners) and not 0 <= int(corners.min()) <= int(corners.max()) < len(points):
        raise DataError(f"faces must name vertices 0 to {len(points) - 1}")
    triangles = np.ascontiguousarray(corners, dtype=np.int32)
    a, b, c = triangles.T
    if ((a == b) | (b == c) | (c == a)).any():
        raise DataError("a face names one vertex twice")
    # Views, so that an array of the caller's stays as writable as it was.
    points, triangles = points.view(), triangles.view()
    points.setflags(write=False)
    triangles.setflags(write=False)
    return points, triangles


def _crosses(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    crosses: NDArray[np.float64] = np.cross(b - a, c - a)
    return crosses


def _edges(faces: NDArray[np.int32]) -> NDArray[np.int64]:
    """Every edge once, ``(E, 2)``, the smaller index first."""
    if not len(faces):
        return np.zeros((0, 2), np.int64)
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    ends.sort(axis=1)
    size = int(ends.max()) + 1
    keys = np.unique(ends[:, 0] * size + ends[:, 1])
    return np.stack([keys // size, keys % size], axis=1)
