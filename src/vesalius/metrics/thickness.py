"""How thick a structure is everywhere, and how thick the wall of a hollow one is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap
from vesalius.metrics.size import border_points, slice_axis

_FINE = 1 << 22  # points up to which a structure is measured between its voxels, too
_LEVELS = 48  # radii that are told apart


@dataclass(frozen=True)
class Thickness:
    """How thick a wall is.

    Args:
        name: Of the structure.
        mean_mm: Over the points that were measured.
        sd_mm: Their standard deviation.
        minimum_mm: The thinnest place.
        maximum_mm: The thickest.
        points: How many there are.
    """

    name: str
    mean_mm: float
    sd_mm: float
    minimum_mm: float
    maximum_mm: float
    points: int


def local_thickness_mm(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    """For each voxel, the diameter of the largest ball within the structure that holds it.

    A slab is as thick as its sides are apart, a rod as thick as its diameter; a ball fits into no corner, which takes
    the value of the largest that reaches there. Small structures are measured at half-steps between voxels too, which
    makes slabs of any number of voxels exact; those whose box has more than half a million voxels to a voxel.
    Balls touch the inmost corners of voxels, so that round things come out one to one and a half voxels too thin. 48
    radii are told apart: a value is up to 2 % of the largest too small.

    Args:
        mask: 2D or 3D; what lies beyond it is outside.
        grid: Of the image, its axes at right angles; where in it the mask lies doesn't matter.

    Returns:
        mm, of the mask's shape; 0 outside.

    Raises:
        GeometryError: The grid is sheared (gantry tilt): resample it first.

    Example:
        >>> slab = np.zeros((9, 12, 12), bool)
        >>> slab[2:6] = True
        >>> float(local_thickness_mm(slab, Grid.from_spacing(slab.shape, (0.5, 1.0, 1.0)))[3, 6, 6])
        2.0

    Source: Hildebrand and Rüegsegger, J Microsc 185:67 (1997), doi:10.1046/j.1365-2818.1997.1340694.x; a ball of
    radius r that fits holds a voxel if and only if the opening by that ball does.
    """
    if not grid.is_orthogonal:
        raise GeometryError("the grid's axes are not at right angles (gantry tilt): resample the labels first")
    thick = np.zeros(mask.shape, np.float32)
    if not mask.any():
        return thick
    spacing = np.array(grid.spacing_mm)
    fine = 2 if np.prod([2 * n + 1 for n in mask.shape]) <= _FINE else 1
    inside = _half_steps(mask) if fine == 2 else np.pad(mask, 1)
    if fine == 2:  # the border runs through points of the finer lattice, which are outside
        radius = ndimage.distance_transform_edt(inside, sampling=spacing / 2)
    else:
        places = (np.argwhere(inside) - 1) * spacing
        radius = np.zeros(inside.shape)
        radius[inside] = cKDTree(border_points(mask) * spacing).query(places)[0]
    radii = np.unique(np.round(radius[inside], 6))
    if len(radii) > _LEVELS:
        radii = np.linspace(radii[0], radii[-1], _LEVELS)
    found = np.zeros(inside.shape, np.float32)
    for level in radii:
        far = ndimage.distance_transform_edt(radius < level - 1e-6, sampling=spacing / fine)
        found[(far < level) & inside] = 2 * level
    every = tuple(slice(1, 1 + fine * n, fine) for n in mask.shape)
    thick[mask] = found[every][mask]
    return thick


def wall_thickness(
    labels: LabelMap, wall: str, cavity: str | None = None, *, within: Literal["space", "slices"] = "space"
) -> Thickness:
    """How thick a wall is between the cavity that it encloses and what lies outside, for example the myocardium.

    From each point of the inner surface, the distance to the nearest point of the outer one. A wall that is open, such
    as that of a ventricle at its base, has an end that is neither: measure it within slices, where the ring is closed.

    Args:
        labels: 2D or 3D.
        wall: A label or region.
        cavity: The label or region inside; left out, all that the wall encloses.
        within: In all directions, or within each slice (across `vesalius.metrics.size.slice_axis`) on its own.

    Raises:
        DataError: Nothing has this name, or the wall touches no cavity, or nothing outside.

    Example:
        >>> from vesalius.image import Labels
        >>> array = np.ones((9, 9), int)
        >>> array[3:6, 3:6] = 0
        >>> ring = LabelMap(np.pad(array, 2), Grid.from_spacing((13, 13), (0.5, 0.5)), Labels.of({"wall": 1}))
        >>> wall_thickness(ring, "wall").mean_mm
        1.5
    """
    solid = np.isin(labels.array, labels.labels.members(wall))
    known = None if cavity is None else np.isin(labels.array, labels.labels.members(cavity))
    grid = labels.grid
    if within == "space" or grid.ndim == 2:
        found = [_across(solid, known, grid.affine[:-1, :-1])]
    else:
        axis = slice_axis(grid)
        steps = np.delete(grid.affine[:3, :3], axis, axis=1)
        planes = range(solid.shape[axis])
        holes = [None if known is None else np.take(known, k, axis) for k in planes]
        found = [_across(np.take(solid, k, axis), holes[k], steps) for k in planes]
    apart = np.concatenate(found)
    if not len(apart):
        why = "it encloses nothing" if cavity is None else f"it is not hollow, or {cavity!r} is not in it"
        raise DataError(f"{wall!r} lies nowhere between a cavity and an outside: {why}")
    return Thickness(wall, float(apart.mean()), float(apart.std()), float(apart.min()), float(apart.max()), len(apart))


def _across(
    solid: NDArray[np.bool_], cavity: NDArray[np.bool_] | None, step: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The distance of each point of the inner surface from the outer one, mm."""
    if not solid.any():
        return np.empty(0)
    hollow = (ndimage.binary_fill_holes(solid) if cavity is None else cavity) & ~solid
    faces = [
        _faces(np.pad(solid, 1), np.pad(side, 1, constant_values=outer))
        for side, outer in ((hollow, False), (~(hollow | solid), True))
    ]
    if not (len(faces[0]) and len(faces[1])):
        return np.empty(0)
    apart: NDArray[np.float64] = cKDTree(faces[1] @ step.T).query(faces[0] @ step.T)[0]
    return apart


def _faces(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The middles of the faces between two sets of voxels, in indices."""
    found = []
    for axis in range(one.ndim):
        low = (*(slice(None),) * axis, slice(None, -1))
        high = (*(slice(None),) * axis, slice(1, None))
        places = np.argwhere((one[low] & other[high]) | (other[low] & one[high])).astype(np.float64)
        places[:, axis] += 0.5
        found.append(places)
    return np.concatenate(found)


def _half_steps(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask at half-steps, ``2 n + 1`` on each axis: between voxels is inside where all voxels around are."""
    fine = np.zeros([2 * n + 1 for n in mask.shape], np.bool_)
    fine[tuple(slice(1, None, 2) for _ in mask.shape)] = mask
    for axis in range(mask.ndim):
        middle = (*(slice(None),) * axis, slice(2, -1, 2))
        before = (*(slice(None),) * axis, slice(1, -2, 2))
        after = (*(slice(None),) * axis, slice(3, None, 2))
        fine[middle] = fine[before] & fine[after]
    return fine
