"""Cross-sections: a slice, three planes through a point, a montage, and planes of any slant."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap
from vesalius.report.panels import Panel
from vesalius.report.scene import Image, Scene, panel_of, slice_at
from vesalius.transform.resample import resample
from vesalius.transform.screen import AXIS, Convention, Direction

_SQUARE = 1e-3  # cosine of an angle that is right
_MOST = 4096  # pixels on a side of a slanted plane


def slice_panel(scene: Scene, direction: Direction, index: int, *, cross_mm: ArrayLike | None = None) -> Panel:
    """A slice of the image along its own axes, not interpolated.

    Where these axes are not at right angles within the slice, as in reformats of a CT with a tilted gantry, the slice
    is interpolated at right angles.

    Args:
        scene: 3D.
        direction: Of the slice.
        index: From 0: from the feet, from the front, or from the right.
        cross_mm: A point where hair lines cross, LPS.

    Returns:
        The panel. Its name tells the slice's number, from 1, and where its middle lies.

    Raises:
        DataError: There is no such slice.
    """
    axis = AXIS[direction]
    count = scene.volume.grid.shape[axis]
    if not 0 <= index < count:
        raise DataError(f"the image has the {direction} slices 1 to {count}, not {index + 1}")
    part = _slice(scene, scene.volume, direction, index)
    fill = None if scene.fill is None else _slice(scene, scene.fill, direction, index)
    contour = None if scene.contour is None else _slice(scene, scene.contour, direction, index)
    name = f"{direction} {index + 1}/{count}"
    if scene.volume.meta.calibrated:
        name += f"\n{'xyz'[axis]} = {middle_mm(scene.volume.grid, direction, index):.1f} mm"
    return panel_of(scene, name, part, fill=fill, contour=contour, cross_mm=cross_mm)


def three_planes(scene: Scene, point_mm: ArrayLike) -> list[Panel]:
    """The axial, coronal and sagittal slice through a point, with hair lines through it.

    Args:
        scene: 3D.
        point_mm: LPS, within the image.

    Raises:
        GeometryError: The point lies outside.
    """
    places = index_of(scene.volume.grid, point_mm)
    return [slice_panel(scene, way, places[AXIS[way]], cross_mm=point_mm) for way in get_args(Direction)]


def montage(scene: Scene, direction: Direction, count: int, *, values: Sequence[int] | None = None) -> list[Panel]:
    """Slices at even distances through the image, or through a structure.

    Args:
        scene: 3D.
        direction: Of the slices.
        count: How many; fewer where there are not so many.
        values: Of the labels whose first to last slice are shown.

    Raises:
        DataError: The count is below 1, or no voxel has these values.
    """
    if count < 1:
        raise DataError(f"a montage has one slice or more, not {count}")
    axis = AXIS[direction]
    first, last = 0, scene.volume.grid.shape[axis] - 1
    if values is not None:
        there = np.flatnonzero(_amount(scene, direction, values))
        first, last = int(there[0]), int(there[-1])
        places = np.linspace(first, last, min(count, last - first + 1))
    else:
        # Each stands for an equal share of the image: those at the ends show little.
        count = min(count, last + 1)
        places = (np.arange(count) + 0.5) * (last + 1) / count - 0.5
    return [slice_panel(scene, direction, int(at)) for at in np.unique(np.rint(places).astype(int))]


def slanted_panel(scene: Scene, point_mm: ArrayLike, normal: ArrayLike) -> Panel:
    """A plane of any slant, interpolated linearly, labels by the nearest voxel.

    It is shown from the side and upright as the nearest of the three planes is.

    Args:
        scene: 3D.
        point_mm: On the plane, LPS.
        normal: Of the plane, LPS; its sense makes no difference.

    Raises:
        GeometryError: The normal has no length, or the plane misses the image.
    """
    grid = slanted_grid(scene.volume.grid, point_mm, normal, scene.convention)
    # What lies beyond the image is as dark as its darkest voxel.
    part = resample(scene.volume, grid, fill=float(scene.volume.array[scene.channel].min()))
    fill, contour = (None if x is None else resample(x, grid) for x in (scene.fill, scene.contour))
    unit = np.asarray(normal, np.float64) / np.linalg.norm(normal)
    words = ", ".join(f"{value + 0.0:.3g}" for value in unit)
    return panel_of(scene, f"plane across\n({words})", part, fill=fill, contour=contour)


def slanted_grid(image: Grid, point_mm: ArrayLike, normal: ArrayLike, convention: Convention) -> Grid:
    """The pixels of a plane through an image, as fine as its finest spacing.

    Args:
        image: 3D.
        point_mm: On the plane, LPS.
        normal: LPS.
        convention: Where the patient's right is.

    Returns:
        A grid one voxel thick that covers where the plane lies within the image, axes as `slice_at` gives them.

    Raises:
        GeometryError: The normal has no length, the plane misses the image, or it would have too many pixels.

    Example:
        >>> grid = slanted_grid(Grid.from_spacing((9, 9, 9), (1.0, 1.0, 1.0)), (4, 4, 4), (0, 0, 1), "radiological")
        >>> grid.shape, grid.axis_codes
        ((9, 9, 1), 'LPS')
    """
    point, towards = np.asarray(point_mm, np.float64), np.asarray(normal, np.float64)
    length = np.linalg.norm(towards)
    if not np.isfinite([*point, *towards]).all() or length < 1e-12:
        raise GeometryError("a plane needs a point and a normal of three finite numbers each, not all of them 0")
    turn = _turned(towards / length, convention)
    border = _border(image, point, turn[:, 2])
    if not len(border):
        raise GeometryError("the plane misses the image")
    flat = (border - point) @ turn[:, :2]
    spacing = min(image.spacing_mm)
    low, high = flat.min(axis=0), flat.max(axis=0)
    shape = np.maximum(1, np.rint((high - low) / spacing)).astype(int)
    if shape.max() > _MOST:
        raise GeometryError(f"the plane would have {shape[0]} x {shape[1]} pixels; at most {_MOST} are drawn")
    origin = point + turn[:, :2] @ ((low + high) / 2 - (shape - 1) / 2 * spacing)
    size = (int(shape[0]), int(shape[1]), 1)
    return Grid.from_spacing(size, (spacing,) * 3, origin_mm=origin.tolist(), direction=turn)


def index_of(grid: Grid, point_mm: ArrayLike) -> tuple[int, int, int]:
    """The voxel in which a point lies.

    Raises:
        GeometryError: It lies outside.
    """
    at = np.asarray(grid.to_index(np.asarray(point_mm, np.float64)))
    if (at < -0.5 - 1e-6).any() or (at > np.asarray(grid.shape) - 0.5 + 1e-6).any():
        corners = grid.to_points(
            [[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)] * (np.array(grid.shape) - 1)
        )
        reach = ", ".join(
            f"{name} {low:.1f} to {high:.1f}"
            for name, low, high in zip("xyz", corners.min(axis=0), corners.max(axis=0), strict=True)
        )
        raise GeometryError(f"the point lies outside the image, which reaches (LPS, mm): {reach}")
    i, j, k = np.clip(np.rint(at), 0, np.asarray(grid.shape) - 1).astype(int).tolist()
    return i, j, k


def middle_mm(grid: Grid, direction: Direction, index: int) -> float:
    """Where the middle of a slice lies along x, y or z, LPS."""
    at = (np.asarray(grid.shape) - 1) / 2
    at[AXIS[direction]] = index
    return float(grid.to_points(at)[AXIS[direction]]) + 0.0


def slice_near(grid: Grid, direction: Direction, at_mm: float) -> int:
    """The slice whose middle is nearest to a place along x, y or z.

    Args:
        grid: In the order LPS.
        direction: Of the slice.
        at_mm: LPS.

    Raises:
        GeometryError: It lies beyond the image.
    """
    axis = AXIS[direction]
    middles = np.array([middle_mm(grid, direction, index) for index in range(grid.shape[axis])])
    nearest = int(np.abs(middles - at_mm).argmin())
    half = abs(float(grid.affine[axis, axis])) / 2 + 1e-6
    if not abs(middles[nearest] - at_mm) <= half:
        raise GeometryError(
            f"{'xyz'[axis]} = {at_mm:g} mm lies outside the image, whose {direction} slices lie at "
            f"{middles.min():.1f} to {middles.max():.1f} mm"
        )
    return nearest


def largest_slice(scene: Scene, direction: Direction, values: Sequence[int]) -> int:
    """The slice with most voxels of some labels.

    Raises:
        DataError: No voxel has these values.
    """
    return int(_amount(scene, direction, values).argmax())


def centre_mm(scene: Scene, values: Sequence[int]) -> NDArray[np.float64]:
    """The mean of all voxels of some labels, LPS.

    Raises:
        DataError: No voxel has these values.
    """
    amounts = [_amount(scene, way, values) for way in ("sagittal", "coronal", "axial")]
    place = [float((amount * np.arange(amount.size)).sum() / amount.sum()) for amount in amounts]
    return scene.volume.grid.to_points(place)


def _amount(scene: Scene, direction: Direction, values: Sequence[int]) -> NDArray[np.integer]:
    """How many voxels of some labels each slice has."""
    drawn = scene.drawn
    if drawn is None:
        raise DataError("a structure is looked for in a segmentation, and there is none")
    inside = drawn.array == values[0] if len(values) == 1 else np.isin(drawn.array, values)
    amount: NDArray[np.integer] = inside.sum(axis=tuple(axis for axis in range(3) if axis != AXIS[direction]))
    if not amount.any():
        raise DataError("no voxel of the structure lies within the image")
    return amount


def _slice(scene: Scene, whole: Image, direction: Direction, index: int) -> Image:
    """A slice whose axes are at right angles: as it is stored, or interpolated in its plane."""
    part = slice_at(whole, direction, index, scene.convention)
    across, down, _ = part.grid.direction.T
    if abs(float(across @ down)) <= _SQUARE:
        return part
    normal = np.cross(across, down)
    # The axis that is a patient's own stays, for example that from side to side in a tilted gantry.
    keep_across = np.abs(across).max() >= np.abs(down).max()
    if keep_across:
        down = np.cross(normal / np.linalg.norm(normal), across)
    else:
        across = np.cross(down, normal / np.linalg.norm(normal))
    turn = np.stack([across, down, np.cross(across, down)], axis=1)
    corners = part.grid.to_points(
        [[a, b, 0.0] for a in (-0.5, part.grid.shape[0] - 0.5) for b in (-0.5, part.grid.shape[1] - 0.5)]
    )
    flat = corners @ turn
    spacing = np.array(part.grid.spacing_mm)
    low, high = flat.min(axis=0), flat.max(axis=0)
    shape = np.maximum(1, np.rint((high - low) / spacing)).astype(int)
    shape[2] = 1
    origin = turn @ ((low + high) / 2 - (shape - 1) / 2 * spacing)
    i, j, k = shape.tolist()
    grid = Grid.from_spacing((i, j, k), spacing.tolist(), origin_mm=origin.tolist(), direction=turn)
    if isinstance(whole, LabelMap):
        return resample(whole, grid)
    return resample(whole, grid, fill=float(whole.array.min()))


def _turned(normal: NDArray[np.float64], convention: Convention) -> NDArray[np.float64]:
    """The axes of a picture across a normal: to the right, down, and away, as columns."""
    axis = int(np.abs(normal).argmax())
    up = np.array([0.0, -1.0, 0.0]) if axis == 2 else np.array([0.0, 0.0, 1.0])
    right = np.array([0.0, 1.0, 0.0]) if axis == 0 else np.array([1.0, 0.0, 0.0])
    if convention == "neurological" and axis != 0:
        right = -right
    down = -(up - (up @ normal) * normal)
    down /= np.linalg.norm(down)
    across = np.cross(down, normal)
    across *= 1.0 if across @ right >= 0 else -1.0
    return np.stack([across, down, np.cross(across, down)], axis=1)


def _border(image: Grid, point: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a plane crosses the edges of an image's box, LPS."""
    ends = [(-0.5, n - 0.5) for n in image.shape]
    corners = np.array([[a, b, c] for a in ends[0] for b in ends[1] for c in ends[2]])
    points = image.to_points(corners)
    side = (points - point) @ normal
    found = [points[at] for at in range(8) if side[at] == 0]
    for a, b in combinations(range(8), 2):
        if (corners[a] != corners[b]).sum() == 1 and side[a] * side[b] < 0:
            share = side[a] / (side[a] - side[b])
            found.append(points[a] * (1 - share) + points[b] * share)
    return np.array(found).reshape(-1, 3)
