"""Measure structures: volume, long and short axis, and how bright they are in an image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Size, Volume

__all__ = ["Size", "axes_mm", "border_points", "measure", "slice_axis", "structures"]

_THICK = 1.5  # times the next larger spacing, from which an axis is that of the slices


def measure(labels: LabelMap, image: Volume | None = None) -> tuple[Size, ...]:
    """Measure every label and region of a label map.

    Args:
        labels: 2D or 3D. A 2D label map whose affine is the identity has no scale, and no lengths.
        image: On the same grid, of one channel: what the values are taken from. Turn a PET into SUV first
            (`vesalius.transform.suv`).

    Returns:
        The sizes: labels in the order of their declaration, those without a voxel too, then regions.

    Raises:
        GeometryError: The image lies on another grid.
        DataError: The image has several channels.

    Example:
        >>> from vesalius.image import Labels
        >>> grid = Grid.from_spacing((10, 10, 10), (1.0, 1.0, 5.0))
        >>> array = np.zeros(grid.shape, int)
        >>> array[2:6, 3, 4] = 1
        >>> (lesion,) = measure(LabelMap(array, grid, Labels.of({"lesion": 1})))
        >>> round(lesion.volume_ml, 6), lesion.long_axis_mm, lesion.short_axis_mm
        (0.02, 4.0, 1.0)

    Source: see `axes_mm` for the diameters.
    """
    values = None if image is None else _values(labels, image)
    scaled = labels.grid.ndim == 3 or not np.array_equal(labels.grid.affine, np.eye(3))
    scaled = scaled and (image is None or image.meta.calibrated)
    of_value = {label.value: label for label in labels.labels.labels}
    sizes = []
    for name, members, box, mask in structures(labels):
        label = of_value[members[0]] if name in labels.labels.names else None
        found = values[box][mask] if values is not None else np.empty(0)
        voxels = int(mask.sum())
        size = voxels * labels.grid.voxel_volume_mm3
        axes = axes_mm(mask, labels.grid) if scaled and voxels else None
        sizes.append(
            Size(
                name,
                label.value if label else None,
                voxels,
                volume_ml=size / 1000 if labels.grid.ndim == 3 else None,
                area_mm2=size if labels.grid.ndim == 2 and scaled else None,
                long_axis_mm=axes[0] if axes else None,
                short_axis_mm=axes[1] if axes else None,
                mean=float(found.mean(dtype=np.float64)) if found.size else None,
                sd=float(found.std(dtype=np.float64)) if found.size else None,
                minimum=float(found.min()) if found.size else None,
                maximum=float(found.max()) if found.size else None,
                unit=image.meta.unit if image is not None else "",
                modality=image.meta.modality if image is not None else "",
                code=label.code if label else None,
            )
        )
    return tuple(sizes)


def structures(labels: LabelMap) -> Iterator[tuple[str, tuple[int, ...], tuple[slice, ...], NDArray[np.bool_]]]:
    """Cut every label and region out of a label map.

    Args:
        labels: 2D or 3D.

    Yields:
        Its name, its values, the box that holds it, and where in this box it is. What has no voxel has an empty box.

    Example:
        >>> from vesalius.image import Labels
        >>> array = np.zeros((5, 6), int)
        >>> array[2:4, 3] = 7
        >>> grid = Grid.from_spacing(array.shape, (1.0, 1.0))
        >>> ((name, values, box, mask),) = structures(LabelMap(array, grid, Labels.of({"polyp": 7})))
        >>> name, values, box[0].start, mask.shape
        ('polyp', (7,), 2, (2, 1))
    """
    boxes = dict(enumerate(ndimage.find_objects(labels.array), start=1))
    for name, members in labels.labels.targets().items():
        some = [box for member in members if (box := boxes.get(member)) is not None]
        box = tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*some, strict=True))
        box = box or (slice(0, 0),) * labels.grid.ndim
        yield name, members, box, np.isin(labels.array[box], members)


def axes_mm(mask: NDArray[np.bool_], grid: Grid) -> tuple[float, float] | None:
    """The long and the short axis of a structure, as they are measured on its slices.

    The long axis is the longest distance between two points of the border of one connected piece within one slice; the
    short axis the longest chord at right angles to it, of the same piece with its bays filled (its convex hull). Slices
    are across `slice_axis`. The border's points lie half-way between a voxel inside and its neighbour outside, so that
    a line of n voxels is n spacings long.

    Args:
        mask: Part of an image, 2D or 3D.
        grid: Of the image; where in it the part lies doesn't matter.

    Returns:
        Both, mm; ``None`` for an empty mask.

    Example:
        >>> axes_mm(np.ones((5, 3), bool), Grid.from_spacing((9, 9), (2.0, 1.0)))
        (10.198..., 3.059...)

    Source: RECIST 1.1, doi:10.1016/j.ejca.2008.10.026 (longest diameter in the plane of measurement; short axis
    perpendicular to it); the points of the border are those of PyRadiomics' "Maximum 2D diameter"
    (doi:10.1158/0008-5472.CAN-17-0339).
    """
    if mask.ndim == 2:
        planes, steps = [mask], grid.affine[:2, :2]
        steps = np.vstack([steps, np.zeros(2)])
    else:
        axis = slice_axis(grid)
        planes = list(np.moveaxis(mask, axis, 0))
        steps = np.delete(grid.affine[:3, :3], axis, axis=1)
    normal = np.cross(steps[:, 0], steps[:, 1])
    best: tuple[float, float] | None = None
    for piece in _pieces(planes):
        # Nothing in a box is longer than its diagonals.
        reach = max(float(np.linalg.norm(steps @ (np.array(piece.shape) * turn))) for turn in ((1, 1), (1, -1)))
        if best is not None and reach <= best[0]:
            continue
        border = border_points(piece)
        points = border[ConvexHull(border).vertices] @ steps.T
        apart = squareform(pdist(points))
        one, other = np.unravel_index(np.argmax(apart), apart.shape)
        length = float(apart[one, other])
        if best is None or length > best[0]:
            best = length, _across(points, int(one), int(other), normal)
    return best


def border_points(piece: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The points half-way between pixels (voxels) inside and outside, of outer and inner borders.

    Args:
        piece: 2D or 3D; what lies beyond it counts as outside.

    Returns:
        ``(n, ndim)``, in indices; in no order.

    Example:
        >>> border_points(np.ones((1, 1), bool)).tolist()
        [[-0.5, 0.0], [0.5, 0.0], [0.0, -0.5], [0.0, 0.5]]
    """
    padded = np.pad(piece, 1)
    found = []
    for axis in range(piece.ndim):
        places = np.argwhere(np.diff(padded, axis=axis)).astype(np.float64) - 1
        places[:, axis] += 0.5
        found.append(places)
    return np.concatenate(found)


def slice_axis(grid: Grid) -> int:
    """The axis that the slices of a 3D image are stacked along.

    That is the one whose spacing is at least 1.5 times every other; of an image without such thick slices, the one that
    follows head to feet best, so that diameters are those of axial slices.

    Example:
        >>> slice_axis(Grid.from_spacing((9, 9, 9), (4.0, 1.0, 1.0))), slice_axis(Grid((9, 9, 9), np.eye(4)))
        (0, 2)

    Source: the limit is a rule of thumb: RECIST measures in the plane of acquisition, which thick slices tell; nearly
    cubic voxels are read in axial slices.
    """
    spacing = np.asarray(grid.spacing_mm)
    thick = int(np.argmax(spacing))
    if spacing[thick] >= _THICK * np.delete(spacing, thick).max():
        return thick
    return grid.nearest_axes()[0].index(2)


def _values(labels: LabelMap, image: Volume) -> NDArray[np.generic]:
    if not image.grid.is_close(labels.grid, tolerance_mm=0.01):
        raise GeometryError(
            f"the image {image.grid.shape} lies on another grid than the labels {labels.grid.shape}: resample it "
            "first, with vesalius.transform.resample(image, labels.grid)"
        )
    if image.channels != 1:
        raise DataError(f"the image has {image.channels} channels, and values are measured in one: choose it first")
    values: NDArray[np.generic] = image.array[0]
    return values


def _pieces(planes: list[NDArray[np.bool_]]) -> Iterator[NDArray[np.bool_]]:
    """The connected pieces of each plane, cut out; pixels hang together by edges and corners."""
    for plane in planes:
        numbers, _ = ndimage.label(plane, structure=np.ones((3, 3)))
        for number, box in enumerate(ndimage.find_objects(numbers), start=1):
            yield numbers[box] == number


def _across(points: NDArray[np.float64], one: int, other: int, normal: NDArray[np.float64]) -> float:
    """The longest chord at right angles to the way from one corner of a convex polygon to the one farthest from it."""
    way = (points[other] - points[one]) / np.linalg.norm(points[other] - points[one])
    side = np.cross(normal, way) / np.linalg.norm(normal)
    ring = np.roll(np.column_stack([points @ way, points @ side]), -one, axis=0)
    turn = (other - one) % len(ring)
    there, back = ring[: turn + 1], np.vstack([ring[turn:], ring[:1]])[::-1]
    # Between corners the width changes evenly: it is largest at one of them.
    widths = np.interp(ring[:, 0], *there.T) - np.interp(ring[:, 0], *back.T)
    return float(np.abs(widths).max())
