"""The smallest box and the smallest ellipsoid around a convex body, and what the IBSI takes for its surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

_TOLERANCE = 1e-3  # of the smallest ellipsoid: IBSI's default
_ROUNDS = 20_000  # far more than any body has needed
_FACES = 400  # on which a box is tried to stand


def smallest_box_mm(hull: ConvexHull) -> tuple[float, float, float]:
    """The edges of the smallest box around a convex body, in any position.

    Every box that stands on a face of the body is tried, each turned so that its floor is smallest; of bodies with very
    many faces the 400 that promise least. The smallest of all boxes may rest on edges alone; so this is an upper
    bound, as in the software that IBSI's values come from.

    Args:
        hull: In 3D, mm.

    Returns:
        The edges, mm, the longest first.

    Example:
        >>> turn = np.linalg.qr(np.arange(9).reshape(3, 3) + np.eye(3) * 5)[0]
        >>> corners = np.array([[i, 2 * j, 3 * k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        >>> [round(edge, 6) for edge in smallest_box_mm(ConvexHull(corners @ turn))]
        [3.0, 2.0, 1.0]

    Source: IBSI ZH1A (arXiv:1612.07003), which leaves the method open; boxes on faces after Chan and Tan, Comput Aided
    Geom Des 18:433 (2001).
    """
    points = hull.points[hull.vertices]
    sides = hull.equations[:, :3]
    normals = np.unique(np.round(sides * np.where(_first_sign(sides) < 0, -1.0, 1.0)[:, None], 9), axis=0)
    corners = hull.points[hull.simplices]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    heights, shadows = np.empty(len(normals)), np.empty(len(normals))
    for some in np.array_split(np.arange(len(normals)), -(-len(normals) // 256)):
        along = points @ normals[some].T
        heights[some] = along.max(axis=0) - along.min(axis=0)
        shadows[some] = np.abs(sides @ normals[some].T).T @ areas / 2
    best, edges = np.inf, (0.0, 0.0, 0.0)
    promise = heights * shadows  # no floor is smaller than the shadow on it
    for k in np.argsort(promise)[:_FACES]:
        if promise[k] >= best:
            break
        width, depth = _smallest_rectangle(points, normals[k])
        if heights[k] * width * depth < best:
            best, edges = heights[k] * width * depth, (heights[k], width, depth)
    first, second, third = sorted((float(edge) for edge in edges), reverse=True)
    return first, second, third


def smallest_ellipsoid_mm(hull: ConvexHull) -> tuple[float, float, float]:
    """The semi-axes of the ellipsoid of least volume around a convex body.

    Args:
        hull: In 3D, mm.

    Returns:
        The semi-axes, mm, the longest first; its volume is at most 0.2 % above the least.

    Example:
        >>> corners = np.array([[i, 2 * j, 3 * k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
        >>> [round(float(axis / np.sqrt(3)), 3) for axis in smallest_ellipsoid_mm(ConvexHull(corners))]
        [3.0, 2.0, 1.0]

    Source: Khachiyan's ascent with steps away, Todd and Yildirim, Discrete Appl Math 155:1731 (2007),
    doi:10.1016/j.dam.2007.02.013; the tolerance is that of IBSI SWZ1.
    """
    points = hull.points[hull.vertices]
    middle, size = points.mean(axis=0), np.abs(points - points.mean(axis=0)).max()
    lifted = np.column_stack([(points - middle) / size, np.ones(len(points))])
    n, d = lifted.shape
    weights = np.full(n, 1 / n)
    for _ in range(_ROUNDS):
        spread = np.linalg.inv(lifted.T @ (lifted * weights[:, None]))
        far = np.einsum("ij,jk,ik->i", lifted, spread, lifted)
        out, near = int(far.argmax()), int(np.where(weights > 0, far, np.inf).argmin())
        above, below = far[out] / d - 1, 1 - far[near] / d
        if max(above, below) <= _TOLERANCE:
            break
        if above >= below:
            step = (far[out] - d) / (d * (far[out] - 1))
            weights *= 1 - step
            weights[out] += step
        else:
            most = weights[near] / (1 - weights[near])
            step = most if far[near] <= 1 else min((d - far[near]) / (d * (far[near] - 1)), most)
            weights *= 1 + step
            weights[near] = 0.0 if step == most else weights[near] - step
    flat = lifted[:, :-1]
    centre = weights @ flat
    shape = (flat - centre).T @ ((flat - centre) * weights[:, None]) * (d - 1)
    inside = np.einsum("ij,jk,ik->i", flat - centre, np.linalg.inv(shape), flat - centre).max()
    axes = np.sqrt(np.linalg.eigvalsh(shape * max(inside, 1.0))) * size  # grown until it holds every point
    return float(axes[2]), float(axes[1]), float(axes[0])


def ellipsoid_area_mm2(a: float, b: float, c: float) -> float:
    """What the IBSI takes for the surface of an ellipsoid.

    It is the area of a sphere alone: a lens half as thick as wide comes out 24 % too large, a cigar half as thick as
    long 19 % too small, the usual lesion a few per cent off. The formula's eccentricities are those of the longest axis
    with both others, where those of both others with the shortest would be right. The values that teams agreed on are
    made so, and a feature is worth what others can compare it with.

    Args:
        a: The longest semi-axis, mm, > 0.
        b: The second.
        c: The shortest, ≥ 0.

    Example:
        >>> round(ellipsoid_area_mm2(1, 1, 1) / np.pi, 6)
        4.0

    Source: IBSI RDD2 (arXiv:1612.07003), a series of 21 terms; what is said of its error was worked out with Carlson's
    integral (DLMF 19.33.1).
    """
    alpha, beta = (float(np.sqrt(max(1 - (axis / a) ** 2, 0.0))) for axis in (b, c))
    # (αβ)^ν P_ν((α² + β²) / (2αβ)), by the recurrence of Legendre's polynomials, which then has no division by 0.
    both, middle = (alpha * beta) ** 2, (alpha**2 + beta**2) / 2
    before, term, total = 1.0, middle, 1.0
    for order in range(1, 21):
        total += term / (1 - 4 * order**2)
        before, term = term, ((2 * order + 1) * middle * term - order * both * before) / (order + 1)
    return 4 * np.pi * a * b * total


def _smallest_rectangle(points: NDArray[np.float64], normal: NDArray[np.float64]) -> tuple[float, float]:
    """Both sides of the smallest rectangle around the shadow of points: it has a side along one of the shadow's."""
    one = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    one /= np.linalg.norm(one)
    shadow = np.column_stack([points @ one, points @ np.cross(normal, one)])
    ring = shadow[ConvexHull(shadow).vertices]
    ways = np.roll(ring, -1, axis=0) - ring
    ways /= np.linalg.norm(ways, axis=1)[:, None]
    along, across = ring @ ways.T, ring @ np.column_stack([-ways[:, 1], ways[:, 0]]).T
    width, depth = np.ptp(along, axis=0), np.ptp(across, axis=0)
    k = int((width * depth).argmin())
    return float(width[k]), float(depth[k])


def _first_sign(ways: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sign of the first component that is not nearly zero, so that opposite faces count once."""
    firm = np.where(np.abs(ways) > 1e-9, ways, 0.0)
    signs: NDArray[np.float64] = np.sign(firm[np.arange(len(ways)), (firm != 0).argmax(axis=1)])
    return signs
