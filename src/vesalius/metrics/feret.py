"""The longest and the shortest diameter of a structure in space: between two points, and between two planes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, cKDTree

from vesalius.image import Grid

_LONG_ARC = 0.2  # of the unit sphere: longer ones are few and are paired with all others
_ROWS = 512  # points whose distances to all others are worked out at once


def diameters_mm(mask: NDArray[np.bool_], grid: Grid) -> tuple[float, float]:
    """The longest and the shortest diameter of a structure, in any direction (Feret's diameters).

    The longest is the largest distance between two points of its border; the shortest is the least distance between
    two parallel planes that hold it: the slit that it could be posted through. The border's points lie half-way between
    a voxel inside and its neighbour outside; for them, both are exact.

    Args:
        mask: 3D, with at least one voxel.
        grid: Of the image; where in it the mask lies doesn't matter.

    Returns:
        Both, mm.

    Example:
        >>> grid = Grid.from_spacing((9, 9, 9), (1.0, 1.0, 2.0))
        >>> longest, shortest = diameters_mm(np.ones((4, 3, 8), bool), grid)
        >>> round(longest, 3), shortest
        (16.401, 3.0)

    Source: IBSI L0JK (arXiv:1612.07003) for the longest, which PyRadiomics calls "Maximum 3D diameter".
    """
    hull = hull_of(mask, grid)
    return longest_mm(hull.points[hull.vertices]), shortest_mm(hull)


def hull_of(mask: NDArray[np.bool_], grid: Grid) -> ConvexHull:
    """The convex hull of the points half-way between voxels inside and outside, in mm, from where index 0 lies.

    They are the vertices of the surface that marching cubes draws through a mask.

    Args:
        mask: 3D, with at least one voxel; beyond its edge is outside.
        grid: Of the image.

    Example:
        >>> octahedron = hull_of(np.ones((1, 1, 1), bool), Grid.from_spacing((1, 1, 1), (1.0, 1.0, 3.0)))
        >>> round(octahedron.volume, 6)
        0.5
    """
    # The ends of rows are enough, with half a step to all sides: what lies between two ends is no corner, and a step
    # that leads inside ends between two voxels of the structure, which are within the hull.
    i, j = np.nonzero(mask.any(axis=2))
    ends = (mask.argmax(axis=2)[i, j], mask.shape[2] - 1 - mask[:, :, ::-1].argmax(axis=2)[i, j])
    places = np.concatenate([np.stack([i, j, k], axis=1) for k in ends])
    half = np.eye(3) / 2
    points = np.concatenate([places + way for way in (*half, *-half)])
    return ConvexHull(points @ grid.affine[:3, :3].T)


def longest_mm(points: NDArray[np.float64]) -> float:
    """The largest distance between two of some points ``(n, 3)``; 0 where there are fewer than two.

    Example:
        >>> longest_mm(np.array([[0.0, 0, 0], [3, 0, 0], [0, 4, 0]]))
        5.0
    """
    best = 0.0
    for start in range(0, len(points), _ROWS):
        apart = points[start : start + _ROWS, None] - points[None, start:]
        best = max(best, float(np.einsum("ijk,ijk->ij", apart, apart).max()))
    return float(np.sqrt(best))


def shortest_mm(hull: ConvexHull) -> float:
    """The least distance between two parallel planes that hold a convex body.

    One of them lies on a face and the other meets a corner, or both meet along edges that cross: on the sphere of
    directions, two edges can be met so where the arc between the normals of one's faces crosses the mirrored arc of the
    other.

    Args:
        hull: In 3D.

    Example:
        >>> corners = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])  # its edges are the planes
        >>> round(shortest_mm(ConvexHull(corners)), 6)
        2.0

    Source: the width of a polytope is at a face and a corner or at two edges: Houle and Toussaint, IEEE TPAMI 10:761
    (1988), doi:10.1109/34.6790.
    """
    points = hull.points[hull.vertices]
    normals = hull.equations[:, :3]
    faces = np.unique(np.round(normals, 9), axis=0)
    best = min(_width(points, some).min() for some in np.array_split(faces, -(-len(faces) // _ROWS)))
    start, way, one, other = _edges(hull)
    for a, b in _meetings(one, other):
        u = np.cross(way[a], way[b])
        length = np.linalg.norm(u, axis=1)
        a, b, u, length = (x[length > 1e-12] for x in (a, b, u, length))
        u /= length[:, None]
        u *= np.where(np.einsum("ij,ij->i", u, one[a] + other[a]) < 0, -1.0, 1.0)[:, None]
        met = _within(u, one[a], other[a]) & _within(-u, one[b], other[b])
        a, b, u = a[met], b[met], u[met]
        said = np.abs(np.einsum("ij,ij->i", start[a] - start[b], u))
        for k in np.argsort(said):
            if said[k] >= best:
                break
            # The width in any direction is at least the least: an edge that is met by rounding alone does no harm.
            best = min(best, float(_width(points, u[k : k + 1])[0]))
    return float(best)


def _width(points: NDArray[np.float64], ways: NDArray[np.float64]) -> NDArray[np.float64]:
    along = points @ ways.T
    width: NDArray[np.float64] = along.max(axis=0) - along.min(axis=0)
    return width


def _edges(hull: ConvexHull) -> tuple[NDArray[np.float64], ...]:
    """Each edge between faces that are not in one plane: a point, its way, and the normals of both faces."""
    normals = hull.equations[:, :3]
    faces, corners = np.repeat(np.arange(len(normals)), 3), np.tile(np.arange(3), len(normals))
    beyond = hull.neighbors.ravel()  # the neighbour opposite of corner k shares the two other corners
    kept = (faces < beyond) & (np.linalg.norm(normals[faces] - normals[beyond], axis=1) > 1e-7)
    faces, corners, beyond = faces[kept], corners[kept], beyond[kept]
    start = hull.points[hull.simplices[faces, (corners + 1) % 3]]
    way = hull.points[hull.simplices[faces, (corners + 2) % 3]] - start
    return start, way, normals[faces], normals[beyond]


def _meetings(one: NDArray[np.float64], other: NDArray[np.float64]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pairs of arcs of which the first could cross the mirrored second, by their middles and lengths."""
    middle = one + other
    middle /= np.linalg.norm(middle, axis=1)[:, None]
    long = np.linalg.norm(one - other, axis=1) > _LONG_ARC
    every = np.arange(len(one))
    pairs = [(np.full(len(every), k), every) for k in np.flatnonzero(long)]
    short = np.flatnonzero(~long)
    if len(short):
        tree = cKDTree(middle[short])
        near = tree.sparse_distance_matrix(cKDTree(-middle[short]), _LONG_ARC, output_type="coo_matrix")
        pairs.append((short[near.row], short[near.col]))
    return pairs


def _within(u: NDArray[np.float64], one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether directions at right angles to an edge lie on the shorter arc between two normals."""
    turn = np.cross(one, other)
    first = np.einsum("ij,ij->i", np.cross(one, u), turn)
    last = np.einsum("ij,ij->i", np.cross(u, other), turn)
    inside: NDArray[np.bool_] = (first >= -1e-12) & (last >= -1e-12)
    return inside
