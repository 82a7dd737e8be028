"""From a label map to the surfaces of its structures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError
from vesalius.image import LabelMap, Volume
from vesalius.mesh.envelope import Points, triangles
from vesalius.mesh.net import net
from vesalius.mesh.relax import at_border, relaxed
from vesalius.mesh.slices import between_slices
from vesalius.mesh.subvoxel import placed, uncut
from vesalius.mesh.surface import Interfaces, compacted
from vesalius.mesh.surroundings import surroundings

SMOOTHING_STEPS = 60
"""The areas of spheres, rings and ellipsoids of 8 voxels' radius and more are then within 1 % of the closed form."""

LIKELY_SMOOTHING_STEPS = 4
"""With probabilities, which place vertices already: enough to take off what rounding leaves of steps, 1 % of areas."""

Slices = Literal["auto", "keep"]


def extract(
    labels: LabelMap,
    *,
    only: Sequence[str] | None = None,
    probabilities: Volume | None = None,
    smoothing_steps: int | None = None,
    slices: Slices = "auto",
) -> Interfaces:
    """Turn a label map into the surfaces of its structures; neighbours share theirs.

    Every label's surface, and every region's, is closed, manifold, oriented and free of self-intersection by
    construction: vertices stay in the cells between voxels, and each polygon in an envelope of its own.

    Without smoothing the surface is that of the voxels, except where a structure touches itself along an edge or at a
    corner: two voxels of a structure that touch so along the array's long diagonal are joined by a thread, others are
    parted. With it, each piece of each structure keeps the volume of its voxels, and no vertex moves further than half
    a voxel on each axis: a single voxel stays a cube, and nothing is lost. With probabilities, the surface is where a
    structure is as likely as its neighbour, at fractions of voxels, and volumes are what comes of that.

    Structures that the image's border cuts are closed there, flat, half a voxel beyond the last voxels' centres. A
    label without voxels has no faces; voxels of the value `Labels.ignore` are background.

    Args:
        labels: 3D; any spacing and direction.
        only: Names of labels and regions: the others count as background in what is returned, though they pin the
            surfaces of these, and only what lies near is looked at: see `vesalius.mesh.surroundings`.
        probabilities: On the same grid, background and then each label, as `segment` writes them. Where they contradict
            the labels, the surface is half way between voxels.
        smoothing_steps: 0 to 1,000; 60 where it is left out, and 4 with probabilities.
        slices: ``"auto"``: where slices are at least twice as thick as pixels are wide, shapes are interpolated between
            them (`vesalius.mesh.slices`); ``"keep"``: steps stay. With probabilities slices are always kept.

    Returns:
        The surfaces, in millimetres, LPS.

    Raises:
        DataError: The label map is not 3D, the number of steps is out of range, nothing has a name of `only`, or the
            probabilities have another number of channels.
        GeometryError: The probabilities lie on another grid.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> array = np.zeros((6, 6, 6), np.uint8)
        >>> array[1:3, 1:5, 1:5], array[3:5, 1:5, 1:5] = 1, 2
        >>> found = extract(LabelMap(array, Grid.from_spacing((6, 6, 6), (1, 1, 2)), Labels.of([1, 2])), slices="keep")
        >>> [round(surface.volume_ml, 3) for surface in found.surfaces()]
        [0.064, 0.064]
    """
    usual = SMOOTHING_STEPS if probabilities is None else LIKELY_SMOOTHING_STEPS
    steps = usual if smoothing_steps is None else smoothing_steps
    _check(labels, probabilities, steps)
    if probabilities is None and slices == "auto":
        labels = between_slices(labels)
    if only is not None:
        labels, part = surroundings(labels, only)
        if probabilities is not None:
            probabilities = Volume(probabilities.array[(slice(None), *part)], labels.grid)
    array, low, held = _boxed(labels)
    unions = [tuple(_places(labels)[list(region.values)].tolist()) for region in labels.labels.regions]
    found = net(array, unions)
    border = at_border(found, open_low=held[0], open_high=held[1])
    first = None
    if probabilities is not None:
        first = uncut(found, placed(found, probabilities, low, border), labels.grid.spacing_mm, border)
    points, faces, sides = triangles(found, relaxed(found, steps=steps, held=border, start=first))
    made = _in_space(labels, points + (low - 1), faces, sides)
    return made if only is None else _bounding(made, only)


def _bounding(made: Interfaces, names: Sequence[str]) -> Interfaces:
    """The faces of some structures; what is on their other side counts as background."""
    wanted = np.zeros(max(made.labels.declared) + 1, np.bool_)
    wanted[[value for name in names for value in made.labels.members(name)]] = True
    own = wanted[made.sides]
    kept = own.any(axis=1)
    vertices, faces = compacted(made.vertices, made.faces[kept])
    return Interfaces(vertices, faces, np.where(own, made.sides, 0)[kept], made.labels)


def _check(labels: LabelMap, probabilities: Volume | None, steps: int) -> None:
    if labels.grid.ndim != 3:
        raise DataError(f"surfaces are made of 3D label maps; this one is {labels.grid.ndim}D")
    if not 0 <= steps <= 1000:
        raise DataError(f"smoothing_steps must be 0 to 1000, not {steps}")
    if probabilities is None:
        return
    if probabilities.channels != 1 + len(labels.labels):
        raise DataError(
            f"probabilities must have {1 + len(labels.labels)} channels, the background and each label, not "
            f"{probabilities.channels}"
        )
    if not probabilities.grid.is_close(labels.grid, tolerance_mm=0.01):
        raise GeometryError("the probabilities lie on another grid than the labels")


def _places(labels: LabelMap) -> NDArray[np.int32]:
    """For each value its place among the labels, from 1; 0 for the background and what nobody looked at."""
    places = np.zeros(max(labels.labels.declared) + 1, np.int32)
    places[list(labels.labels.values)] = np.arange(1, len(labels.labels) + 1)
    return places


def _boxed(labels: LabelMap) -> tuple[NDArray[np.integer], NDArray[np.int64], NDArray[np.bool_]]:
    """The places of labels in the box of all structures, with a rim; its first voxel; where it ends the image."""
    array, places = labels.array, _places(labels)
    low, high = [], []
    filled = array != 0
    for axis in range(3):
        shown = np.flatnonzero(filled.any(axis=tuple(k for k in range(3) if k != axis)))
        low.append(int(shown[0]) if len(shown) else 0)
        high.append(int(shown[-1]) + 1 if len(shown) else 0)
    box = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    kind = np.uint8 if len(labels.labels) < 255 else np.uint16
    made: NDArray[np.integer] = np.zeros([n + 2 for n in box.shape], kind)
    made[1:-1, 1:-1, 1:-1] = places.astype(made.dtype)[box]
    held = np.asarray([np.asarray(low) == 0, np.asarray(high) == np.asarray(array.shape)])
    return made, np.asarray(low, np.int64), held


def _in_space(labels: LabelMap, points: Points, faces: NDArray[np.int32], sides: NDArray[np.int32]) -> Interfaces:
    values = np.asarray([0, *labels.labels.values], np.int32)
    used = np.zeros(len(points), np.bool_)
    used[faces] = True
    numbers = np.cumsum(used, dtype=np.int32) - np.int32(1)
    faces = numbers[faces]
    if np.linalg.det(labels.grid.affine[:3, :3]) < 0:
        faces = faces[:, ::-1]
    return Interfaces(labels.grid.to_points(points[used]), faces, values[sides], labels.labels)
