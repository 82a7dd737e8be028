"""The brain's midline: how far it is pushed aside, and in which quarter of the brain something lies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesalius.errors import GeometryError
from vesalius.image import Grid, LabelMap, Volume
from vesalius.metrics.midplane import Midplane, midplane, standardised
from vesalius.transform import resample

_WORKING_MM = 2.0  # along and up: a midline is smooth: finer voxels would only cost time
_REACH_MM = 24.0  # to either side of a supposed midline: ventricles, deep grey matter and the white matter around
_STEP_MM = 1.0  # between the shifts that are compared; what lies between them is found by a parabola
_FARTHEST_MM = 20.0  # a larger shift is hardly survived
_STIFFNESS = 0.5  # of the usual price of a place, for a bend by one voxel: so that the curve follows no noise
_NEAR_MM = 3.0  # of the curve, in which the best shift is looked for once more
_TOGETHER_MM = 8.0  # to the front and back, over which that is done and the curve is smoothed
_LEAST_SEEN = 0.4  # of the points of a place, for it to count
_LEAST_KNOWN = 0.5  # of the middle third of the curve, for a shift to be told
_PARTS = (("left", "right"), ("anterior", "posterior"))


def midline_shift_mm(image: Volume, brain: LabelMap, *, excluded: LabelMap | None = None) -> float:
    """Measure how far the midline is pushed aside, in mm: positive to the left, negative to the right.

    The undisturbed midline is that of `vesalius.metrics.midplane.midplane`. The real one is where both sides mirror
    each other best, nearby: in the middle third of the brain's height, profiles square to the plane are compared with
    themselves turned round, at every millimetre up to 20 mm aside. Of all curves from the front to the back of the
    brain, where the falx holds it to the plane, the one along which both sides are most alike is taken, stiff enough to
    pass over places where a tumour leaves nothing to compare; then each place of it is set right by a parabola. Its
    largest shift in the middle third of the brain's length, where the septum pellucidum is, is the answer. In drawn
    heads it is right to a millimetre. A radiologist reads the shift of the septum in one slice; this is one of a third
    of the height, and less where a mass pushes most above or below.

    Args:
        image: Of the brain, any number of channels; all count.
        brain: Its mask, on the same grid; everything but 0 is brain.
        excluded: A tumour, whose voxels are not compared; on the same grid.

    Returns:
        The shift; NaN where it cannot be told, because a tumour that is excluded, or the edge of the image, leaves too
        little of both sides to compare along the middle third of the curve.

    Raises:
        GeometryError: The grids differ, or the image is not 3D.
        DataError: The brain is empty.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> grid = Grid.from_spacing((60, 40, 40), (2.0, 2.0, 2.0), origin_mm=(-59.0, 0.0, 0.0))
        >>> mask = LabelMap(np.ones(grid.shape, np.uint8), grid, Labels.of({"brain": 1}))
        >>> x = grid.to_points(np.argwhere(mask.array))[:, 0].reshape(grid.shape)
        >>> pushed = np.cos((x - 6) / 7) * np.exp(-((x - 6) / 25) ** 2)  # symmetrical about x = 6 mm
        >>> round(midline_shift_mm(Volume(pushed[None].astype(np.float32), grid), mask), 1)
        6.0

    Source: the midline as the curve of best local symmetry follows Liao, Xiao, Wong and Chiang, Comput Biol Med 40:331
    (2010), doi:10.1016/j.compbiomed.2010.01.004, on CT; that the cheapest of all curves is found by dynamic
    programming, and its stiffness, are our own.
    """
    for other in (brain, *([] if excluded is None else [excluded])):
        if not image.grid.is_close(other.grid):
            raise GeometryError("image, brain and what is excluded must lie on one grid")
    far, reach = round(_FARTHEST_MM / _STEP_MM), round(_REACH_MM / _STEP_MM)
    grid = _upright(
        brain, midplane(brain, image, excluded=excluded), step_mm=_STEP_MM, reach_mm=_FARTHEST_MM + _REACH_MM
    )
    inside = resample(brain, grid).array != 0
    usable = inside if excluded is None else inside & (resample(excluded, grid).array == 0)
    j, k = _extent(inside, 1), _thirds(_extent(inside, 2))[1]
    rows = (slice(None), slice(j[0], j[-1] + 1), slice(k[0], k[-1] + 1))
    seen = usable[rows]
    cost, count = np.zeros((j.size, 2 * far + 1)), np.zeros((j.size, 2 * far + 1))
    for channel in resample(image, grid).array:
        profile = standardised(channel, inside)[rows]
        for shift in range(2 * far + 1):
            left, right = slice(shift + reach + 1, shift + 2 * reach + 1), slice(shift, shift + reach)
            both = seen[left] & seen[right][::-1]
            cost[:, shift] += (np.abs(profile[left] - profile[right][::-1]) * both).sum(axis=(0, 2))
            count[:, shift] += both.sum(axis=(0, 2))
    price, known = _price(cost, count)
    path = _cheapest(price)
    middle = _thirds(np.arange(j.size))[1]
    if known[middle, path[middle]].mean() < _LEAST_KNOWN:
        return float("nan")
    return float(max(_between(price, path)[middle] - far, key=abs)) * _STEP_MM


def _upright(brain: LabelMap, plane: Midplane, *, step_mm: float, reach_mm: float) -> Grid:
    """A grid as the brain lies: its first axis square to the plane that halves it, which goes through the middle.

    Args:
        brain: Not empty.
        plane: That halves it.
        step_mm: Along the first axis.
        reach_mm: To either side of the plane.
    """
    across = np.array([1.0, -plane.along_y, -plane.along_z])
    across /= np.linalg.norm(across)
    back = np.array([0.0, 1.0, 0.0]) - across[1] * across
    back /= np.linalg.norm(back)
    axes = np.stack([across, back, np.cross(across, back)], axis=1)
    points = brain.grid.to_points(np.argwhere(brain.array != 0)) @ axes
    low, high = points.min(axis=0), points.max(axis=0)
    # Any point of the plane lies as far along its normal as every other.
    at = float(np.array([plane.offset, 0.0, 0.0]) @ across)
    reach = round(reach_mm / step_mm)
    low[0] = at - reach * step_mm
    shape = (2 * reach + 1, *(int(length // _WORKING_MM) + 1 for length in (high - low)[1:]))
    return Grid.from_spacing(shape, (step_mm, _WORKING_MM, _WORKING_MM), origin_mm=tuple(axes @ low), direction=axes)


def _price(cost: NDArray[np.float64], count: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How unlike both sides are about each place, and which places can be told of; the others have the usual price."""
    known = count >= _LEAST_SEEN * float(count.max())
    mean = np.where(known, cost / np.maximum(count, 1), 0.0)
    usual = float(np.median(mean[known])) if known.any() else 0.0
    return np.where(known, mean, usual), known


def _cheapest(price: NDArray[np.float64]) -> NDArray[np.intp]:
    """The path from the front to the back that costs least, shift by shift; it begins and ends without one.

    Where little can be compared, because the tumour is there, a place says nothing and the path goes on as it likes.
    """
    far = price.shape[1] // 2
    shifts = np.arange(-far, far + 1)
    bend = np.abs(shifts[:, None] - shifts[None, :]) * (_STEP_MM / _WORKING_MM)
    step = float(np.median(price)) * _STIFFNESS * bend**2
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


def _between(price: NDArray[np.float64], path: NDArray[np.intp]) -> NDArray[np.float64]:
    """The path between its steps: the lowest point of a parabola through the prices beside it, of rows together."""
    near, together = round(_NEAR_MM / _STEP_MM), round(_TOGETHER_MM / _WORKING_MM)
    wide = np.pad(price, ((0, 0), (near, near)), mode="edge")
    beside = wide[np.arange(len(path))[:, None], path[:, None] + np.arange(2 * near + 1)]
    found = path.astype(np.float64)
    for row in range(len(path)):
        summed = beside[max(0, row - together) : row + together + 1].mean(axis=0)
        best = int(np.clip(summed.argmin(), 1, 2 * near - 1))
        left, middle, right = summed[best - 1 : best + 2]
        bend = left - 2 * middle + right
        found[row] += best - near + (0.5 * (left - right) / bend if bend > 0 else 0.0)
    # A falx is smooth: what only a few places say is the edge of something else.
    return np.asarray(ndimage.median_filter(found, 2 * together + 1, mode="nearest"))


def _extent(inside: NDArray[np.bool_], axis: int) -> NDArray[np.intp]:
    """Indices along an axis at which there is brain."""
    occupied = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
    return np.arange(occupied[0], occupied[-1] + 1)


def _thirds(indices: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return list(np.array_split(indices, 3))


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
