"""Draw contours that lie in planes onto the slices of a grid, whatever the planes' direction and distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import GeometryError
from vesalius.image import Grid
from vesalius.io.dicom.filling import enclosed, fill, passed

_FLAT = 0.1  # of a slice: how far the points of a contour may lie apart and still be in one
_SAME = 0.05  # of a slice: planes nearer than that are one
_PARALLEL = 0.02  # radians
_VOXELS = 1 << 20  # looked at a time, where planes are oblique to the grid


@dataclass(frozen=True, eq=False)
class Contour:
    """A contour.

    Args:
        points: ``(n, 3)``, mm, LPS.
        closed: Whether it encloses an area.
        exclusive: Whether it is combined with others of its plane by exclusive or, even with itself.
        slab_mm: The thickness it stands for, where the file says so.
    """

    points: NDArray[np.float64]
    closed: bool = True
    exclusive: bool = False
    slab_mm: float | None = None


def draw(
    contours: Sequence[Contour],
    grid: Grid,
    structures: Sequence[Sequence[Contour]],
    *,
    slab_mm: float | None = None,
) -> tuple[tuple[int, ...], NDArray[np.bool_]]:
    """Draw the contours of one structure.

    Args:
        contours: Of the structure.
        grid: 3D.
        structures: The closed contours of all structures of the file: where this one has too few planes to tell their
            distance, others may.
        slab_mm: The thickness that a contour stands for; left out, what the file says or suggests.

    Returns:
        The first voxel of a box that holds the structure, and the box; empty where nothing lies on the grid.

    Raises:
        GeometryError: A closed contour is not planar, or they lie in planes that are not parallel.
    """
    closed = _once([contour for contour in contours if contour.closed and len(contour.points) > 2])
    lines = [contour for contour in contours if not contour.closed or len(contour.points) <= 2]
    mask = np.zeros(grid.shape, dtype=np.bool_)
    if closed:
        indices = _indices(closed, grid)
        spread = np.max([np.ptp(index, axis=0) for index in indices], axis=0)
        axis = next((axis for axis in (2, 1, 0) if spread[axis] <= _FLAT), None)
        if axis is not None:
            _draw_slices(closed, indices, grid, axis, mask, structures, slab_mm)
        else:
            _draw_oblique(closed, grid, mask, structures, slab_mm)
    for contour in lines:
        _mark(contour, grid, mask)
    return _cut(mask)


def _indices(contours: Sequence[Contour], grid: Grid) -> list[NDArray[np.float64]]:
    """The points of contours in indices of the grid."""
    ends = np.cumsum([len(contour.points) for contour in contours])
    return np.split(grid.to_index(np.concatenate([contour.points for contour in contours])), ends[:-1])


def _cut(mask: NDArray[np.bool_]) -> tuple[tuple[int, ...], NDArray[np.bool_]]:
    start, box = [], mask
    for axis in range(mask.ndim):
        some = np.flatnonzero(box.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        first, stop = (int(some[0]), int(some[-1]) + 1) if some.size else (0, 0)
        start.append(first)
        box = box[(slice(None),) * axis + (slice(first, stop),)]
    return tuple(start), box.copy()


def _once(contours: Sequence[Contour]) -> list[Contour]:
    """Drop copies: some systems export a contour twice, and exclusive or would cancel it."""
    seen: set[bytes] = set()
    found = []
    for contour in contours:
        key = contour.points.tobytes()
        if contour.exclusive or key not in seen:
            found.append(contour)
        seen.add(key)
    return found


def _mark(contour: Contour, grid: Grid, mask: NDArray[np.bool_]) -> None:
    mask[tuple(passed(grid.to_index(contour.points), grid.shape, closed=contour.closed).T)] = True


def _draw_slices(
    contours: Sequence[Contour],
    indices: Sequence[NDArray[np.float64]],
    grid: Grid,
    axis: int,
    mask: NDArray[np.bool_],
    structures: Sequence[Sequence[Contour]],
    slab_mm: float | None,
) -> None:
    """Fill the slices of the grid from the planes of contours nearest to them."""
    step = float(1 / np.linalg.norm(np.linalg.inv(grid.affine)[axis, :3]))
    in_plane = [other for other in range(3) if other != axis]
    planes = _planes([float(index[:, axis].mean()) for index in indices])

    def place_of(contour: Contour) -> float:
        return float(grid.to_index(contour.points)[:, axis].mean())

    reach = _reach(contours, planes, structures, place_of, step, slab_mm)
    for at, place in _nearest(planes, grid.shape[axis], reach):
        plane = np.zeros([grid.shape[other] for other in in_plane], dtype=np.bool_)
        flat = [indices[member][:, in_plane] for member in planes[place][1]]
        thin = [polygon for polygon in flat if not fill(polygon, plane)]
        for line in thin:
            plane[tuple(passed(line, plane.shape, closed=True).T)] = True
        mask[(slice(None),) * axis + (at,)] |= plane


def _planes(places: Sequence[float]) -> list[tuple[float, list[int]]]:
    """Group places (in slices) that are one but for rounding, in rising order, each with its contours."""
    found: list[tuple[float, list[int]]] = []
    for member in np.argsort(places, kind="stable").tolist():
        if found and places[member] - found[-1][0] <= _SAME:
            found[-1][1].append(member)
        else:
            found.append((places[member], [member]))
    return found


def _gap(places: Sequence[float]) -> float | None:
    """The least distance between neighbouring planes; unknown where there are less than three planes."""
    planes = [place for place, _ in _planes(places)]
    return float(np.diff(planes).min()) if len(planes) > 2 else None


def _reach(
    contours: Sequence[Contour],
    planes: Sequence[tuple[float, list[int]]],
    structures: Sequence[Sequence[Contour]],
    place_of: Callable[[Contour], float],
    step_mm: float,
    slab_mm: float | None,
) -> float:
    """How thick a slab the contours stand for, in slices of the grid; at least one."""
    said = [contour.slab_mm for contour in contours if contour.slab_mm is not None]
    if slab_mm is not None:
        return max(1.0, slab_mm / step_mm)
    if said:
        return max(1.0, float(np.median(said)) / step_mm)
    own = _gap([place for place, _ in planes])
    if own is not None:
        return max(1.0, own)
    gaps = [_gap([place_of(contour) for contour in others]) for others in structures]
    return max(1.0, min((gap for gap in gaps if gap is not None), default=1.0))


def _nearest(planes: Sequence[tuple[float, list[int]]], count: int, reach: float) -> list[tuple[int, int]]:
    """For each slice that a plane reaches, the nearest one; a slice half-way between two belongs to the upper."""
    places = np.array([place for place, _ in planes])
    slices = np.arange(count)
    nearest = np.abs(slices[:, None] - places[None]).round(3)
    # The last of equal distances: counted from behind.
    chosen = len(places) - 1 - np.argmin(nearest[:, ::-1], axis=1)
    offset = np.round(slices - places[chosen], 3)
    within = (offset >= -reach / 2 - 1e-3) & (offset < reach / 2 - 1e-3)
    return [(int(at), int(chosen[at])) for at in np.flatnonzero(within)]


def _draw_oblique(
    contours: Sequence[Contour],
    grid: Grid,
    mask: NDArray[np.bool_],
    structures: Sequence[Sequence[Contour]],
    slab_mm: float | None,
) -> None:
    """Ask of each voxel near a plane whether its centre, projected onto the plane, lies inside."""
    frame = _frame(contours)
    flat = [contour.points @ frame for contour in contours]
    # Distances along the normal are counted in the thickness of a voxel along it.
    step = float(np.abs(grid.affine[:3, :3].T @ frame[:, 2]).max())
    for points in flat:
        if np.ptp(points[:, 2]) > _FLAT * max(step, 1e-9):
            raise GeometryError("a closed contour is not planar, or contours lie in planes that are not parallel")
    planes = _planes([float(points[:, 2].mean()) / step for points in flat])

    def place_of(contour: Contour) -> float:
        return float((contour.points @ frame[:, 2]).mean()) / step

    reach = _reach(contours, planes, structures, place_of, step, slab_mm)
    places = np.array([place for place, _ in planes])
    halfway = (places[1:] + places[:-1]) / 2
    # Only the voxels of the box that holds all slabs are asked.
    ends = np.concatenate([contour.points for contour in contours])
    half = frame[:, 2] * (reach / 2 + 1) * step
    around = np.concatenate([grid.to_index(ends - half), grid.to_index(ends + half)])
    low = np.clip(np.floor(around.min(axis=0)), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(around.max(axis=0)) + 1, 0, grid.shape).astype(int)
    rows = max(1, _VOXELS // max(1, int(np.prod(high[1:] - low[1:]))))
    for first in range(low[0], high[0], rows):
        block = np.zeros((min(rows, high[0] - first), *(high[1:] - low[1:])), dtype=np.bool_)
        index = np.stack(np.meshgrid(*map(np.arange, block.shape), indexing="ij"), -1).reshape(-1, 3)
        index += [first, low[1], low[2]]
        at = grid.to_points(index) @ frame
        height = at[:, 2] / step
        chosen = np.searchsorted(halfway, height)
        near = np.flatnonzero(np.abs(height - places[chosen]) <= reach / 2)
        near = near[np.argsort(chosen[near], kind="stable")]
        for some in np.split(near, np.flatnonzero(np.diff(chosen[near])) + 1):
            if not some.size:
                continue
            inside = np.zeros(some.size, dtype=np.bool_)
            for member in planes[chosen[some[0]]][1]:
                inside ^= enclosed(flat[member][:, :2], at[some, :2])
            block.reshape(-1)[some] = inside
        mask[first : first + len(block), low[1] : high[1], low[2] : high[2]] |= block
    if not mask.any():
        for contour in contours:
            _mark(contour, grid, mask)


def _frame(contours: Sequence[Contour]) -> NDArray[np.float64]:
    """Unit vectors as columns: two in the plane of the contours, then their normal."""
    largest = max(contours, key=lambda contour: float(np.ptp(contour.points, axis=0).max()))
    centred = largest.points - largest.points.mean(axis=0)
    _, sizes, turn = np.linalg.svd(centred, full_matrices=False)
    if sizes[1] <= 1e-6 * sizes[0]:
        raise GeometryError("its contours are straight lines, which lie in no plane")
    return np.asarray(turn.T, dtype=np.float64)
