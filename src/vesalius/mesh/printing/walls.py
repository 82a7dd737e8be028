"""How thick a solid is, everywhere on its surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vesalius.errors import DataError
from vesalius.mesh.surface import Surface

_FACING = -0.766  # cosine of 140°
_TURNS = 40
_STILL = 2e-3  # of a radius: a ball that would shrink by less is taken
_MOST_POINTS = 40_000
_ASKED = 3_000  # of them at first
_NARROW = 30  # the narrowest of those, around which more points are asked
_FOR_THICKEST = 1_000
_ALIKE_MM = 1e-9


@dataclass(frozen=True, eq=False)
class Walls:
    """Thickness of a solid.

    Args:
        points: ``(n, 3)``, mm: all over its surface, denser where it is thinnest.
        thickness_mm: ``(n,)``: of the wall at each point; infinite where nothing of the surface faces it.
        thickest_mm: Diameter of the largest ball within. Material in lumps warps as it cools, and cures badly.
        apart_mm: How far the points are from each other.
    """

    points: NDArray[np.float64]
    thickness_mm: NDArray[np.float64]
    thickest_mm: float
    apart_mm: float

    @property
    def thinnest_mm(self) -> float:
        """The least thickness."""
        return float(self.thickness_mm.min())

    @property
    def thinnest_at(self) -> tuple[float, float, float]:
        """Where the solid is thinnest: a point of its surface, mm."""
        x, y, z = self.points[int(np.argmin(self.thickness_mm))].tolist()
        return x, y, z

    def share_below(self, wall_mm: float) -> float:
        """What part of the points has a wall thinner than this."""
        return float((self.thickness_mm < wall_mm).mean())


def measure_walls(surface: Surface, *, apart_mm: float | None = None) -> Walls:
    """Measure how thick a solid is at points all over its surface.

    At each point the thickness is the diameter of the largest ball that touches the surface there from within and
    reaches no point of a side that faces it. Sides face each other when their normals are about 140° apart or more
    (119° to 161°, by their direction): the sides of a box's edge are not, so that its thickness is that of the box
    there too, whereas a blade gets thin towards its edge.

    Args:
        surface: Closed, looking outwards.
        apart_mm: Of the points; so that forty thousand are enough when left out. Something smaller than this may be
            missed.

    Returns:
        A thickness for each point. For even walls it is too large by at most the square of half the points' distance,
        over the thickness.

    Raises:
        DataError: The surface is empty, or the distance is not positive.

    Source: J. Ma, S. W. Bae, S. Choi, 3D medial axis point approximation using nearest neighbors and the normal field,
    The Visual Computer 28:7, 2012, doi:10.1007/s00371-011-0594-7 (the shrinking ball); limited to sides that face here.

    Example:
        >>> from vesalius.image import Label
        >>> corners = np.array([[i, j, k] for i in (0, 9) for j in (0, 9) for k in (0, 2.0)])
        >>> faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]]
        >>> faces += [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
        >>> found = measure_walls(Surface(corners, np.array(faces), Label("plate", 1)), apart_mm=0.2)
        >>> round(found.thinnest_mm, 1), round(found.thickest_mm, 1)
        (2.0, 2.0)
    """
    if surface.is_empty or not surface.area_mm2 > 0:
        raise DataError(f"{surface.label.name} is empty: it has no walls")
    if apart_mm is not None and not apart_mm > 0:
        raise DataError(f"points of a wall are more than 0 mm apart, not {apart_mm}")
    diagonal = float(np.linalg.norm(np.ptp(np.asarray(surface.bounds_mm), axis=0)))
    apart = max(apart_mm or 0.0, float(np.sqrt(surface.area_mm2 / _MOST_POINTS)))
    points, normals = _scattered(surface, max(int(surface.area_mm2 / apart**2), 100))
    asked = np.arange(0, len(points), max(1, len(points) // _ASKED))
    thickness = _facing(points, normals, asked, diagonal)
    if len(asked) < len(points):
        narrow = points[asked[np.argsort(thickness, kind="stable")[:_NARROW]]]
        around = cKDTree(points).query_ball_point(narrow, 3 * float(np.sqrt(surface.area_mm2 / len(asked))))
        more = np.setdiff1d(np.concatenate(around).astype(np.int64), asked)
        more = more[:: 1 + len(more) // _ASKED]
        thickness = np.concatenate([thickness, _facing(points, normals, more, diagonal)])
        asked = np.concatenate([asked, more])
    return Walls(points[asked], thickness, _thickest(points, normals, surface.area_mm2, diagonal), apart)


def _thickest(points: NDArray[np.float64], normals: NDArray[np.float64], area_mm2: float, diagonal: float) -> float:
    """The diameter of the largest ball within: among balls at some of the points, then around the best of those."""
    some = np.arange(0, len(points), max(1, len(points) // _FOR_THICKEST))
    found = _shrunk(points[some], normals[some], points, diagonal)
    found[~np.isfinite(found)] = 0.0
    best = points[some[np.argsort(-found, kind="stable")[:3]]]
    near = cKDTree(points).query_ball_point(best, 2 * float(np.sqrt(area_mm2 / len(some))))
    more = np.unique(np.concatenate(near).astype(np.int64))
    finer = _shrunk(points[more], normals[more], points, diagonal)
    finer[~np.isfinite(finer)] = 0.0
    return 2 * float(max(found.max(), finer.max()))


def _facing(
    points: NDArray[np.float64], normals: NDArray[np.float64], asked: NDArray[np.int64], diagonal: float
) -> NDArray[np.float64]:
    """The thickness at some of the points, up to the sides that face them."""
    thickness = np.full(len(asked), np.inf)
    directions = _directions()
    nearest = np.argmax(normals[asked] @ directions.T, axis=1)
    for number, direction in enumerate(directions):
        mine = np.flatnonzero(nearest == number)
        facing = normals @ direction <= _FACING
        if len(mine) and facing.any():
            here = asked[mine]
            thickness[mine] = 2 * _shrunk(points[here], normals[here], points[facing], diagonal)
    return thickness


def _shrunk(
    points: NDArray[np.float64], normals: NDArray[np.float64], others: NDArray[np.float64], diagonal: float
) -> NDArray[np.float64]:
    """The radius of the largest ball that touches each point from within and holds none of the others."""
    tree = cKDTree(others)
    radius = np.full(len(points), np.inf)
    tried = np.full(len(points), diagonal)
    moving = np.arange(len(points))
    for _ in range(_TURNS):
        if not len(moving):
            break
        centres = points[moving] - normals[moving] * tried[moving, None]
        # Only what lies within the ball matters: most of the tree is passed over.
        far, which = tree.query(centres, distance_upper_bound=float(tried[moving].max()))
        way = points[moving] - others[np.minimum(which, len(others) - 1)]
        along = np.einsum("nx,nx->n", way, normals[moving])
        square = np.einsum("nx,nx->n", way, way)
        # The ball through both points that touches the surface at the first.
        smaller = np.divide(square, 2 * along, out=np.full(len(moving), np.inf), where=along > _ALIKE_MM)
        shrinks = (far < tried[moving] * (1 - _STILL)) & (smaller < tried[moving] * (1 - _STILL))
        radius[moving[shrinks]] = tried[moving[shrinks]] = smaller[shrinks]
        moving = moving[shrinks]
    return radius


def _scattered(surface: Surface, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points spread evenly over a surface, and the normals there; always the same ones.

    Source: within triangles, the sequence R2 of M. Roberts, The unreasonable effectiveness of quasirandom sequences,
    2018.
    """
    a, b, c = (surface.vertices[surface.faces[:, corner]] for corner in range(3))
    crosses = np.cross(b - a, c - a)
    lengths = np.linalg.norm(crosses, axis=1)
    ends = np.cumsum(lengths)
    which = np.searchsorted(ends, (np.arange(count) + 0.5) * (ends[-1] / count))
    which = np.minimum(which, len(ends) - 1)
    which = which[lengths[which] > 0]
    plastic = 1.32471795724474602596
    steps = np.arange(1, len(which) + 1)
    u, v = (0.5 + steps / plastic) % 1, (0.5 + steps / plastic**2) % 1
    folded = u + v > 1
    u, v = np.where(folded, 1 - u, u)[:, None], np.where(folded, 1 - v, v)[:, None]
    return a[which] + u * (b - a)[which] + v * (c - a)[which], crosses[which] / lengths[which, None]


@cache
def _directions() -> NDArray[np.float64]:
    """The corners of an icosahedron and the middles of its edges: none is more than 22° from the nearest."""
    golden = (1 + 5**0.5) / 2
    one = np.array([[0, i, j * golden] for i in (-1, 1) for j in (-1, 1)])
    corners = np.concatenate([one, np.roll(one, 1, axis=1), np.roll(one, 2, axis=1)])
    apart = np.linalg.norm(corners[:, None] - corners, axis=2)
    first, second = np.nonzero(np.triu(np.isclose(apart, 2)))
    all_ = np.concatenate([corners, (corners[first] + corners[second]) / 2])
    directions: NDArray[np.float64] = all_ / np.linalg.norm(all_, axis=1, keepdims=True)
    return directions
