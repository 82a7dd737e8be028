"""The brain's midline: where it should be, how far it is pushed aside, and in which quarter something lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesalius.errors import DataError, GeometryError
from vesalius.image import LabelMap, Volume
from vesalius.transform import reorient, respace

_WORKING_MM = 2.0  # a midline is smooth: finer voxels would only cost time
_REACH_MM = 24.0  # to either side of a supposed midline: ventricles, deep grey matter and the white matter around
_FARTHEST_MM = 20.0  # a larger shift is hardly survived
_STIFFNESS = 0.5  # of the usual price of a place, for a bend by one voxel: so that the curve follows no noise
_LEAST_SEEN = 0.4  # of the points of a place, for it to count
_TRIMMED = 0.8  # share of the rows that the plane is fitted to in the end
_PARTS = (("left", "right"), ("anterior", "posterior"))


@dataclass(frozen=True)
class Midplane:
    """The plane that halves a brain: x = offset + along_y · y + along_z · z, in mm, LPS."""

    offset: float
    along_y: float
    along_z: float

    def side_mm(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """How far points ``(…, 3)`` lie to the left of the plane, along x; negative on the right.

        Example:
            >>> Midplane(2.0, 0.0, 0.0).side_mm(np.array([[5.0, 0.0, 0.0]])).tolist()
            [3.0]
        """
        x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
        return np.asarray(x - (self.offset + self.along_y * y + self.along_z * z))


def midplane(brain: LabelMap) -> Midplane:
    """Find the plane that halves a brain: fitted to the middles of its rows from left to right.

    A fifth of the rows, those that lie farthest off, are left out in the end: where a part of a side is missing the
    middle of a row says nothing.

    Args:
        brain: 3D; everything but 0 is brain.

    Raises:
        GeometryError: The map is not 3D.
        DataError: It is empty, or too small to have a middle.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> grid = Grid.from_spacing((20, 24, 16), (1.0, 1.0, 1.0), origin_mm=(-9.5, 0.0, 0.0))
        >>> found = midplane(LabelMap(np.ones(grid.shape, np.uint8), grid, Labels.of({"brain": 1})))
        >>> abs(round(found.offset, 6))
        0.0

    Source: least trimmed squares, Rousseeuw, J Am Stat Assoc 79:871 (1984), doi:10.1080/01621459.1984.10477105; that
    the plane of a head's symmetry stands for the midline follows Prima et al., IEEE TMI 21:122 (2002),
    doi:10.1109/42.993131.
    """
    if brain.grid.ndim != 3:
        raise GeometryError(f"a midplane is that of a volume, and this map is {brain.grid.ndim}D")
    laid = reorient(brain)
    inside = laid.array != 0
    rows = inside.any(axis=0)
    if rows.sum() < 9:
        raise DataError("the brain is empty, or too small to have a middle")
    first, last = inside.argmax(axis=0), inside.shape[0] - 1 - inside[::-1].argmax(axis=0)
    j, k = np.nonzero(rows)
    ends = [laid.grid.to_points(np.stack([end[j, k], j, k], axis=1)) for end in (first, last)]
    x, y, z = np.moveaxis((ends[0] + ends[1]) / 2, -1, 0)
    # Rows through the middle of the brain are long and tell most; those at its rim are short and ragged.
    weight = (last - first + 1)[j, k].astype(np.float64)
    kept = weight >= np.median(weight)
    design = np.stack([np.ones_like(y), y, z], axis=1)
    for _ in range(5):
        plane = np.linalg.lstsq(design[kept], x[kept], rcond=None)[0]
        off = np.abs(x - design @ plane)
        kept = (weight >= np.median(weight)) & (off <= np.quantile(off[weight >= np.median(weight)], _TRIMMED))
    return Midplane(*(float(value) for value in plane))


def midline_shift_mm(image: Volume, brain: LabelMap, *, excluded: LabelMap | None = None) -> float:
    """Estimate how far the midline is pushed aside, in mm: positive to the left, negative to the right.

    The undisturbed midline is that of `midplane`. The real one is where both sides mirror each other best, nearby: in
    the middle third of the brain's height, profiles from left to right are compared with themselves turned round, at
    every position up to 20 mm aside. Of all curves from the front to the back of the brain, where the falx holds it to
    the plane, the one along which both sides are most alike is taken, stiff enough to pass over places where a tumour
    leaves nothing to compare. Its largest shift in the middle third of the brain's length is the answer, in steps of
    2 mm. It is an estimate for comparing cases, not the neurosurgeon's reading at the septum pellucidum.

    Args:
        image: Of the brain, any number of channels; all count.
        brain: Its mask, on the same grid; everything but 0 is brain.
        excluded: A tumour, whose voxels are not compared; on the same grid.

    Returns:
        The shift; 0 where too little is left to compare.

    Raises:
        GeometryError: The grids differ, or the image is not 3D.
        DataError: The brain is empty.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> grid = Grid.from_spacing((60, 40, 40), (2.0, 2.0, 2.0), origin_mm=(-59.0, 0.0, 0.0))
        >>> mask = LabelMap(np.ones(grid.shape, np.uint8), grid, Labels.of({"brain": 1}))
        >>> x = grid.to_points(np.argwhere(mask.array))[:, 0].reshape(grid.shape)
        >>> pushed = np.cos((x - 6) / 7) * np.exp(-((x - 6) / 25) ** 2)  # symmetrical about x = 6 mm
        >>> round(midline_shift_mm(Volume(pushed[None].astype(np.float32), grid), mask))
        6

    Source: the midline as the curve of best local symmetry follows Liao, Xiao, Wong and Chiang, Comput Biol Med 40:331
    (2010), doi:10.1016/j.compbiomed.2010.01.004, on CT; that the cheapest of all curves is found by dynamic
    programming, and its stiffness, are our own.
    """
    for other in (brain, *([] if excluded is None else [excluded])):
        if not image.grid.is_close(other.grid):
            raise GeometryError("image, brain and what is excluded must lie on one grid")
    plane = midplane(brain)
    spacing = (_WORKING_MM,) * 3
    small = respace(reorient(image), spacing)
    inside = respace(reorient(brain), spacing).array != 0
    usable = inside if excluded is None else inside & (respace(reorient(excluded), spacing).array == 0)
    j, k = _extent(inside, 1), _thirds(_extent(inside, 2))[1]
    grid = small.grid
    far, reach = round(_FARTHEST_MM / _WORKING_MM), round(_REACH_MM / _WORKING_MM)
    offsets = np.arange(-(far + reach), far + reach + 1)
    # Where the plane meets each row, in voxels; profiles are read to both sides of it.
    rows = np.stack(np.meshgrid(j, k, indexing="ij"), axis=-1)
    _, y, z = np.moveaxis(grid.to_points(np.concatenate([np.zeros((*rows.shape[:2], 1)), rows], axis=-1)), -1, 0)
    centre = grid.to_index(np.stack([plane.offset + plane.along_y * y + plane.along_z * z, y, z], axis=-1))[..., 0]
    at = np.stack(np.broadcast_arrays(centre[..., None] + offsets, rows[..., :1], rows[..., 1:])).astype(np.float64)
    seen = ndimage.map_coordinates(usable.astype(np.float32), at, order=1) > 0.5
    cost, count = np.zeros((j.size, 2 * far + 1)), np.zeros((j.size, 2 * far + 1))
    for channel in small.array:
        profile = ndimage.map_coordinates(_standard(channel, inside), at, order=1)
        for shift in range(2 * far + 1):
            left, right = profile[..., shift + reach + 1 : shift + 2 * reach + 1], profile[..., shift : shift + reach]
            both = seen[..., shift + reach + 1 : shift + 2 * reach + 1] & seen[..., shift : shift + reach][..., ::-1]
            cost[:, shift] += (np.abs(left - right[..., ::-1]) * both).sum(axis=(1, 2))
            count[:, shift] += both.sum(axis=(1, 2))
    curve = _cheapest(cost, count) - far
    return float(max(curve[_thirds(np.arange(j.size))[1]], key=abs)) * _WORKING_MM


def _cheapest(cost: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.intp]:
    """The path from the front to the back that costs least, shift by shift; it begins and ends without one.

    Where little can be compared, because the tumour is there, a place says nothing and the path goes on as it likes.
    """
    most = float(count.max())
    known = count >= _LEAST_SEEN * most
    mean = np.where(known, cost / np.maximum(count, 1), 0.0)
    usual = float(np.median(mean[known])) if known.any() else 0.0
    price = np.where(known, mean, usual)
    far = price.shape[1] // 2
    shifts = np.arange(-far, far + 1)
    step = usual * _STIFFNESS * np.abs(shifts[:, None] - shifts[None, :]) ** 2
    total = np.where(shifts == 0, price[0], np.inf)
    came = np.zeros(price.shape, np.intp)
    for row in range(1, len(price)):
        ways = total[:, None] + step
        came[row] = ways.argmin(axis=0)
        total = ways.min(axis=0) + price[row]
    path = np.zeros(len(price), np.intp)
    path[-1] = far
    for row in range(len(price) - 1, 0, -1):
        path[row - 1] = came[row, path[row]]
    return path


def _extent(inside: NDArray[np.bool_], axis: int) -> NDArray[np.intp]:
    """Indices along an axis at which there is brain."""
    occupied = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
    return np.arange(occupied[0], occupied[-1] + 1)


def _thirds(indices: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return list(np.array_split(indices, 3))


def _standard(channel: NDArray[np.generic], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    values = channel[inside].astype(np.float64)
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return np.asarray(np.clip((channel - middle) / max(high - low, 1e-9), -1.5, 1.5), np.float32)


def parts_of_brain(found: LabelMap, brain: LabelMap) -> Mapping[str, float]:
    """Share of a structure in each quarter of the brain: left or right, anterior or posterior.

    The sides are those of `midplane`; anterior and posterior meet in the middle of the brain's length. These are
    quarters of the mask and not lobes: telling lobes takes an atlas.

    Args:
        found: The structure, 3D; everything but 0.
        brain: The brain, on the same grid.

    Returns:
        ``{"left anterior": share, …}``, in falling order; shares add up to 1. Empty where there is no structure.

    Raises:
        GeometryError: The grids differ.
        DataError: The brain is empty.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> grid = Grid.from_spacing((20, 24, 16), (1.0, 1.0, 1.0))
        >>> array = np.zeros(grid.shape, np.uint8)
        >>> array[15:18, 2:6, 5:8] = 1
        >>> whole = LabelMap(np.ones(grid.shape, np.uint8), grid, Labels.of({"brain": 1}))
        >>> parts_of_brain(LabelMap(array, grid, Labels.of({"tumour": 1})), whole)
        {'left anterior': 1.0}
    """
    if not found.grid.is_close(brain.grid):
        raise GeometryError("the structure and the brain must lie on one grid")
    plane = midplane(brain)
    ends = brain.grid.to_points(np.argwhere(brain.array != 0))[:, 1]
    middle = (float(ends.min()) + float(ends.max())) / 2
    points = brain.grid.to_points(np.argwhere(found.array != 0))
    if not len(points):
        return {}
    side, depth = plane.side_mm(points) < 0, points[:, 1] > middle  # LPS: x grows to the left, y to the back
    shares = {
        f"{_PARTS[0][s]} {_PARTS[1][d]}": float(((side == bool(s)) & (depth == bool(d))).mean())
        for s in (0, 1)
        for d in (0, 1)
    }
    return {name: share for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share > 0}
