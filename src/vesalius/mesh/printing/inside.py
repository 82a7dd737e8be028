"""What a closed surface encloses, on a grid of points, and how deep below the surface each of them lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from vesalius.errors import DataError
from vesalius.image import Grid
from vesalius.mesh.surface import Surface

MOST_POINTS = 1 << 27
"""Of a grid; 0.5 GiB as numbers of 32 bits."""

_AT_ONCE = 1 << 22
_SHIFT = (0.38, 0.73, 0.5)  # of a step: off the places where vertices of regular shapes lie


@dataclass(frozen=True, eq=False)
class Depths:
    """How deep points lie below a surface.

    Args:
        mm: ``grid.shape``: distance to the surface within it, 0 outside. Exact near the level that was asked for, to
            about a step elsewhere.
        grid: Where the points are.
    """

    mm: NDArray[np.float32]
    grid: Grid


def around(surface: Surface, step_mm: float) -> Grid:
    """A cubic grid that holds a surface and two steps around it.

    Raises:
        DataError: It would have more than `MOST_POINTS`.
    """
    low, high = (np.asarray(bound) for bound in surface.bounds_mm)
    shape = np.ceil((high - low) / step_mm).astype(np.int64) + 5
    if int(np.prod(shape.astype(object))) > MOST_POINTS:
        least = float((np.prod(high - low) / MOST_POINTS) ** (1 / 3))
        raise DataError(f"a step of {step_mm:.3g} mm is too fine for {surface.label.name}: {2 * least:.2g} mm will do")
    origin = low - step_mm * (2 + np.asarray(_SHIFT))
    return Grid.from_spacing(tuple(shape.tolist()), (step_mm,) * 3, origin_mm=tuple(origin.tolist()))


def inside(surface: Surface, grid: Grid) -> NDArray[np.bool_]:
    """Which points of a grid a surface encloses.

    Args:
        surface: Closed. Where pieces overlap, their union counts.
        grid: Its axes along x, y and z.

    Returns:
        ``grid.shape``.

    Source: the winding number, counted along columns of the grid: each triangle that a column crosses from outside in
    adds one, each other takes one away.
    """
    corners = grid.to_index(surface.vertices)[surface.faces]
    flat = corners[..., :2]
    low = np.maximum(np.ceil(flat.min(axis=1)), 0).astype(np.int64)
    high = np.minimum(np.floor(flat.max(axis=1)), np.asarray(grid.shape[:2]) - 1).astype(np.int64)
    sizes = np.maximum(high - low + 1, 0)
    counts = sizes.prod(axis=1)
    winding = np.zeros((*grid.shape[:2], grid.shape[2] + 1), np.int8)
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _AT_ONCE, "right")))
        _cross(winding, corners[start:stop], low[start:stop], sizes[start:stop], counts[start:stop])
        start = stop
    np.cumsum(winding, axis=2, dtype=np.int8, out=winding)
    return winding[..., :-1] > 0


def depths(surface: Surface, grid: Grid, *, near_mm: float) -> Depths:
    """How deep the points of a grid lie below a surface, exactly so where they are about as deep as is asked.

    Args:
        surface: Closed.
        grid: Cubic, its axes along x, y and z, as `around` makes it.
        near_mm: The depth that matters.
    """
    step = grid.spacing_mm[0]
    within = inside(surface, grid)
    mm = (distance_transform_edt(within) * step).astype(np.float32)
    # That transform measures to the nearest point outside: up to a step and a half off along a diagonal.
    near = np.flatnonzero(within & (np.abs(mm - near_mm) < 2.5 * step))
    # Half of this, squared, over twice the depth is the error: about a thousandth of the depth.
    tree = cKDTree(samples(surface, min(step, near_mm / 3) / 2))
    flat = mm.reshape(-1)
    for start in range(0, len(near), _AT_ONCE):
        some = near[start : start + _AT_ONCE]
        places = grid.to_points(np.stack(np.unravel_index(some, grid.shape), axis=1))
        far = tree.query(places, distance_upper_bound=near_mm + 5 * step)[0]
        flat[some] = np.where(np.isfinite(far), far, flat[some])
    return Depths(mm, grid)


def samples(surface: Surface, apart_mm: float) -> NDArray[np.float64]:
    """Points on a surface, so dense that none of it is much farther than half a distance from one of them.

    Args:
        surface: Not empty.
        apart_mm: The distance.

    Returns:
        ``(n, 3)``: its vertices, and points on a lattice within each triangle that is larger.
    """
    corners = surface.vertices[surface.faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    parts = np.ceil(longest / apart_mm).astype(np.int64)
    found = [surface.vertices]
    for count in np.unique(parts[parts > 1]).tolist():
        chosen = corners[parts == count]
        i, j = np.meshgrid(np.arange(count + 1), np.arange(count + 1), indexing="ij")
        kept = i + j <= count
        shares = np.stack([i[kept], j[kept], (count - i - j)[kept]], axis=1) / count
        found.append(np.einsum("sk,tkx->tsx", shares, chosen).reshape(-1, 3))
    return np.concatenate(found)


def _cross(
    winding: NDArray[np.int8],
    corners: NDArray[np.float64],
    low: NDArray[np.int64],
    sizes: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Count where columns cross some triangles."""
    which = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = low[which] + np.stack([place // sizes[which, 1], place % sizes[which, 1]], axis=1)
    a, b, c = corners[which, 0], corners[which, 1], corners[which, 2]
    turns, signs = zip(*(_turn(p, q, column) for p, q in ((a, b), (b, c), (c, a))), strict=True)
    area = turns[0] + turns[1] + turns[2]
    same = (signs[0] == signs[1]) & (signs[1] == signs[2]) & (area != 0)
    heights = (turns[1] * a[:, 2] + turns[2] * b[:, 2] + turns[0] * c[:, 2])[same] / area[same]
    first = np.clip(np.floor(heights) + 1, 0, winding.shape[2] - 1).astype(np.int64)
    # Seen from above, a face that looks up is counter-clockwise: going up along z, one leaves there.
    sign = np.where(area[same] > 0, -1, 1).astype(np.int8)
    np.add.at(winding, (column[same, 0], column[same, 1], first), sign)


def _turn(
    p: NDArray[np.float64], q: NDArray[np.float64], at: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Twice the signed area of ``p q at``, and whether it counts as positive.

    It is the same but for its sign whichever end comes first, and what lies on the edge counts for one of the two
    triangles there: as if the column stood a little to the right of each edge, from its smaller end.
    """
    swap = (p[:, 0] > q[:, 0]) | ((p[:, 0] == q[:, 0]) & (p[:, 1] > q[:, 1]))
    one, other = np.where(swap[:, None], q[:, :2], p[:, :2]), np.where(swap[:, None], p[:, :2], q[:, :2])
    twice = (other[:, 0] - one[:, 0]) * (at[:, 1] - one[:, 1]) - (other[:, 1] - one[:, 1]) * (at[:, 0] - one[:, 0])
    return np.where(swap, -twice, twice), (twice > 0) != swap
