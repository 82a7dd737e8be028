"""Projections: the largest, the least or the mean value along each ray through an image, from any side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vesalius.errors import DataError, GeometryError, unknown_name
from vesalius.image import Grid, LabelMap, Volume
from vesalius.mesh.rendering.camera import Camera
from vesalius.report.display import is_colour, percentiles
from vesalius.report.panels import Panel
from vesalius.report.rays import Kept, Kind, sheared
from vesalius.report.scene import Scene, letters_of
from vesalius.transform.reorient import reorient
from vesalius.transform.screen import AXIS, CODES, Direction


@dataclass(frozen=True, eq=False)
class Projection:
    """What is seen along parallel rays.

    Args:
        values: ``(columns, rows)``; NaN where a ray meets nothing that counts.
        seen: ``(columns, rows)``: the first label that each ray meets, 0 where it meets none; ``None`` without labels.
        grid: Of the pixels, one thick: axis 0 to the right, 1 down, 2 away from who looks.
        name: Of its panel.
    """

    values: NDArray[np.float64]
    seen: NDArray[np.integer] | None
    grid: Grid
    name: str


def project_along(
    scene: Scene,
    kind: Kind,
    direction: Direction,
    *,
    slab_mm: float | None = None,
    at_mm: ArrayLike | None = None,
    within: Sequence[int] | None = None,
) -> Projection:
    """Project an image along its own axis, voxel by voxel: nothing is interpolated.

    Args:
        scene: 3D.
        kind: What is kept.
        direction: Of the slices that are laid over one another.
        slab_mm: Only slices whose middles lie within half of this of ``at_mm``; all when left out.
        at_mm: A point in the middle of the slab, LPS; the middle of the image when left out.
        within: Only voxels with these labels count.

    Returns:
        The projection, seen as slices are.

    Raises:
        GeometryError: The slab lies outside the image, or the image's axes are not at right angles.
        DataError: The image is flat or of colours, the kind is unknown, or a slab has no thickness.

    Example:
        >>> grid = Grid.from_spacing((3, 3, 4), (1.0, 1.0, 2.0))
        >>> scene = Scene(Volume(np.arange(36.0).reshape(1, 3, 3, 4), grid), (0.0, 36.0))
        >>> project_along(scene, "maximum", "axial").values[2, 2], project_along(scene, "mean", "axial").values[0, 0]
        (np.float64(35.0), np.float64(1.5))
    """
    _refuse(scene, kind, slab_mm)
    if not scene.volume.grid.is_orthogonal:
        raise GeometryError(
            "the image's axes are not at right angles (a tilted gantry): look at it from an azimuth and an elevation"
        )
    codes = CODES[scene.convention][direction]
    volume = reorient(scene.volume, codes)
    drawn = None if scene.drawn is None else reorient(scene.drawn, codes)
    count, step = volume.grid.shape[2], volume.grid.spacing_mm[2]
    middle = (np.asarray(volume.grid.shape) - 1) / 2
    at = float(middle[2] if at_mm is None else volume.grid.to_index(np.asarray(at_mm, np.float64))[2])
    first, last = 0, count - 1
    if slab_mm is not None:
        half = slab_mm / 2 / step
        first, last = max(0, int(np.ceil(at - half - 1e-9))), min(count - 1, int(np.floor(at + half + 1e-9)))
        if first > last and -0.5 <= at <= count - 0.5:
            first = last = min(max(round(at), 0), count - 1)  # thinner than the slices: the one it lies in
        if first > last:
            raise GeometryError("the slab lies outside the image")
    values = volume.array[scene.channel, :, :, first : last + 1]
    labels = None if drawn is None else drawn.array[:, :, first : last + 1]
    kept = Kept(kind, values.shape[:2], labelled=labels is not None)
    kept.add(values, None if within is None or labels is None else np.isin(labels, within), labels)
    grid = volume.grid.crop((0, 0, first), (*volume.grid.shape[:2], 1))
    name = f"{kind}, {direction}"
    if slab_mm is not None:
        middle[2] = at
        axis = AXIS[direction]
        name += f", {slab_mm:g} mm\n{'xyz'[axis]} = {float(volume.grid.to_points(middle)[axis]) + 0.0:.1f} mm"
    return Projection(kept.values(), kept.seen, grid, name)


def project_from(
    scene: Scene,
    kind: Kind,
    camera: Camera,
    *,
    slab_mm: float | None = None,
    at_mm: ArrayLike | None = None,
    within: Sequence[int] | None = None,
    turning: bool = False,
) -> Projection:
    """Project an image along parallel rays from any side.

    A ray has one value of each slice that it crosses: interpolated linearly within the slice, labels by the nearest
    voxel. Slices are those of the axis along which the ray crosses most.

    Args:
        scene: 3D; its convention has no meaning here.
        kind: What is kept.
        camera: From where; neither its perspective nor its zoom count.
        slab_mm: Thickness of the slab across the rays; all of the image when left out.
        at_mm: A point in the middle of the slab, LPS; the middle of the image when left out.
        within: Only voxels with these labels count.
        turning: Whether the picture shall be as large as all azimuths need, so that they have one size.

    Returns:
        The projection, its pixels as fine as the image's finest spacing.

    Raises:
        DataError: As for `project_along`.
        GeometryError: The slab lies outside the image.

    Source: the shear-warp factorisation of Lacroute and Levoy, SIGGRAPH 1994, doi:10.1145/192161.192283.
    """
    _refuse(scene, kind, slab_mm)
    grid = scene.volume.grid
    turn = np.stack([camera.right, -camera.up, -camera.towards], axis=1)
    corners = _corners(grid)
    centre = corners.mean(axis=0)
    half = np.abs((corners - centre) @ turn).max(axis=0)
    if turning:
        around = float(np.linalg.norm((corners - centre)[:, :2], axis=1).max())
        lift = np.deg2rad(camera.elevation_deg)
        high = float(np.abs(corners - centre)[:, 2].max())
        half[:2] = around, abs(np.cos(lift)) * high + abs(np.sin(lift)) * around
    middle = 0.0 if at_mm is None else float((np.asarray(at_mm, np.float64) - centre) @ turn[:, 2])
    if slab_mm is not None and abs(middle) - slab_mm / 2 > half[2]:
        raise GeometryError("the slab lies outside the image")
    # Depth of an index: that of the slab's middle is 0.
    depth = np.append(turn[:, 2] @ grid.affine[:3, :3], (grid.affine[:3, 3] - centre) @ turn[:, 2] - middle)
    between = None if slab_mm is None else slab_mm / 2 + 1e-9
    ray = np.asarray(np.linalg.inv(grid.affine[:3, :3]) @ turn[:, 2], np.float64)
    kept, flat = sheared(scene, kind, ray, depth, between, within)
    warp = np.eye(3)
    warp[:2] = turn[:, :2].T @ flat
    warp[:2, 2] -= turn[:, :2].T @ centre
    step = min(grid.spacing_mm)
    columns, rows = (max(1, int(np.ceil(2 * h / step - 1e-6))) for h in half[:2])
    start = [-(columns - 1) / 2 * step, -(rows - 1) / 2 * step]
    pixels = Grid.from_spacing((columns, rows), (step, step), origin_mm=start)
    values, seen = kept.warped(Grid(kept.shape, warp), pixels)
    name = f"{kind}\nazimuth {camera.azimuth_deg:g}°, elevation {camera.elevation_deg:g}°"
    name += "" if slab_mm is None else f"\n{slab_mm:g} mm"
    origin = centre + turn[:, :2] @ np.array(start) + turn[:, 2] * middle
    lattice = Grid.from_spacing((columns, rows, 1), (step,) * 3, origin_mm=origin.tolist(), direction=turn)
    return Projection(values, seen, lattice, name)


def turn_around(
    scene: Scene,
    kind: Kind,
    camera: Camera,
    count: int,
    *,
    within: Sequence[int] | None = None,
) -> Iterator[Projection]:
    """Projections from all sides, one after the other: a turn around the patient.

    Args:
        scene: 3D.
        kind: What is kept.
        camera: Where it begins.
        count: How many, 2 or more.
        within: As for `project_from`.

    Raises:
        DataError: The count is below 2; else as `project_from`.
    """
    if count < 2:
        raise DataError(f"a turn has two pictures or more, not {count}")
    for at in range(count):
        side = replace(camera, azimuth_deg=camera.azimuth_deg + 360 * at / count)
        yield project_from(scene, kind, side, within=within, turning=True)


def seen_window(found: Sequence[Projection]) -> tuple[float, float]:
    """The values shown as black and as white when nobody says which: percentiles of what the rays kept."""
    kept = np.concatenate([one.values[np.isfinite(one.values)] for one in found])
    return percentiles(kept) if kept.size else (0.0, 1.0)


def projection_panel(scene: Scene, found: Projection) -> Panel:
    """The panel of a projection: labels tint or outline what is behind them, as the scene says."""
    there = np.isfinite(found.values)
    image = np.where(there, scene.shown(np.where(there, found.values, scene.window[0])), 0.0).T
    seen = None if found.seen is None else found.seen.T
    spacing = found.grid.spacing_mm
    return Panel(
        found.name,
        image,
        (spacing[1], spacing[0]),
        letters_of(found.grid) if scene.volume.meta.calibrated else ("", "", "", ""),
        None if scene.fill is None else seen,
        None if scene.contour is None else seen,
    )


def cropped_to(scene: Scene, values: Sequence[int]) -> Scene:
    """The box of some labels, and a voxel around it.

    Raises:
        DataError: There are no labels, or no voxel has these values.
    """
    drawn = scene.drawn
    if drawn is None:
        raise DataError("a structure is looked for in a segmentation, and there is none")
    inside = np.isin(drawn.array, values)
    if not inside.any():
        raise DataError("no voxel of the structure lies within the image")
    cut: list[slice] = []
    for axis in range(3):
        there = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        cut.append(slice(max(int(there[0]) - 1, 0), min(int(there[-1]) + 2, inside.shape[axis])))
    box: Any = (..., *cut)
    grid = scene.volume.grid.crop([one.start for one in cut], [one.stop - one.start for one in cut])

    def part(labels: LabelMap | None) -> LabelMap | None:
        return None if labels is None else LabelMap(labels.array[box], grid, labels.labels)

    volume = Volume(scene.volume.array[box], grid, scene.volume.meta)
    return replace(scene, volume=volume, fill=part(scene.fill), contour=part(scene.contour), hidden=part(scene.hidden))


def _corners(grid: Grid) -> NDArray[np.float64]:
    i, j, k = ((-0.5, n - 0.5) for n in grid.shape)
    return grid.to_points([[a, b, c] for a in i for b in j for c in k])


def _refuse(scene: Scene, kind: str, slab_mm: float | None) -> None:
    if kind not in get_args(Kind):
        raise DataError(unknown_name("projection", kind, get_args(Kind)))
    if scene.volume.grid.ndim != 3:
        raise DataError("rays pass through a volume, and the image is a flat picture")
    if is_colour(scene.volume):
        raise DataError("colours have no largest and no least: choose a channel")
    if slab_mm is not None and not slab_mm > 0:
        raise DataError(f"a slab has a thickness above 0 mm, not {slab_mm:g}")
