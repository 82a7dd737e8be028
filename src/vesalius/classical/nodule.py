"""A nodule in the lung, from a point in it: threshold, and a cut where vessels and pleura leave it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.transform import label_components, resample
from vesalius.transform.boxes import positive
from vesalius.transform.morphology import dilated, eroded

NODULE = Labels.of({"nodule": 1})

_LUNG_HU = -850.0
_AIRY_HU = -500.0  # below it is lung
_CUT = 0.5  # what is thinner than this share of the nodule's depth is a vessel
_FINE_MM = (0.5, 1.0)  # voxels: a tenth of the nodule, within this
_ROUND_MM = 12.0  # of lung around the nodule is looked at


def nodule_at(
    image: Volume, centre_mm: Sequence[float], *, diameter_mm: float, inside: LabelMap | None = None
) -> LabelMap:
    """Segment the nodule at a point.

    The border is where the image is halfway between the nodule and the lung around it. Vessels that leave it are cut by
    an opening as wide as half of the nodule's depth, and what the opening rounded off is given back.

    Args:
        image: A CT in HU, 3D, one channel.
        centre_mm: A point in the nodule, LPS.
        diameter_mm: How large it is, about, mm, > 0; nothing farther from the point than this belongs to it.
        inside: The lungs, bays at the pleura closed (`vesalius.classical.lungs.lung_fields`): the chest wall is no
            nodule. Left out, everything may be.

    Returns:
        The label ``nodule`` on cubic voxels around the point, of 0.5 to 1 mm; `vesalius.transform.resample` brings it
        to the image's grid. Empty where nothing denser than lung is near the point.

    Raises:
        DataError: There are several channels, the point lies outside the image, or the diameter is not above 0.
        GeometryError: The image is 2D, or ``inside`` lies on another grid.

    Example:
        >>> x, y, z = np.mgrid[-20:20, -20:20, -20:20]
        >>> ball = np.where(np.linalg.norm([x, y, z], axis=0) < 6, 40.0, -850.0)
        >>> ball[np.hypot(x, y) < 2] = 40.0  # a vessel through it
        >>> found = nodule_at(
        ...     Volume(ball[None], Grid.from_spacing(ball.shape, (1.0,) * 3)), (20.0, 20.0, 20.0), diameter_mm=12.0
        ... )
        >>> round(found.counts()[1] * found.grid.voxel_volume_mm3 / (4 / 3 * np.pi * 6**3), 1)
        1.0

    Source: in the manner of Kuhnigk et al., IEEE TMI 25(4), 2006, doi:10.1109/TMI.2006.871547 (threshold, opening,
    refinement); the border at half the contrast is that of a blurred edge.
    """
    only_channel(image)
    if image.grid.ndim != 3:
        raise GeometryError("nodules are segmented in 3D images")
    if inside is not None and not inside.grid.is_close(image.grid):
        raise GeometryError("inside lies on another grid than the image")
    positive(diameter_mm=diameter_mm)
    at = image.grid.to_index(centre_mm)
    if not ((at > -0.5) & (at < np.array(image.grid.shape) - 0.5)).all():
        raise DataError("the point lies outside the image")
    spacing = float(np.clip(diameter_mm / 10, *_FINE_MM))
    half = math.ceil((diameter_mm + _ROUND_MM) / spacing)
    grid = Grid.from_spacing(
        (2 * half + 1,) * 3, (spacing,) * 3, origin_mm=[float(c) - half * spacing for c in centre_mm]
    )
    values = resample(image, grid, fill=-1000.0).array[0]
    where = np.ones(grid.shape, np.bool_)
    if inside is not None:
        lungs = LabelMap(np.isin(inside.array, (1, 2)).astype(np.uint8), inside.grid, Labels.of({"lungs": 1}))
        where = resample(lungs, grid, interpolation="label-wise").array > 0
    far = np.linalg.norm(np.stack(np.meshgrid(*(np.arange(-half, half + 1) * spacing,) * 3, indexing="ij")), axis=0)
    core = float(np.percentile(values[far <= max(diameter_mm / 4, spacing)], 75))
    airy = values[where & (values < _AIRY_HU)]
    lung = float(np.median(airy)) if airy.size else _LUNG_HU
    made = np.zeros(grid.shape, np.bool_)
    if core - lung > 100:
        dense = where & (values > (core + lung) / 2) & (far <= diameter_mm)
        made = _without_vessels(_piece_at(dense, far, diameter_mm / 2), far, diameter_mm, grid.spacing_mm)
    return LabelMap(made.astype(np.uint8), grid, NODULE)


def _piece_at(dense: NDArray[np.bool_], far: NDArray[np.float64], reach_mm: float) -> NDArray[np.bool_]:
    """The piece whose nearest voxel to the point is the nearest of all."""
    if not dense.any():
        return dense
    nearest = np.where(dense, far, np.inf)
    first = np.unravel_index(int(nearest.argmin()), dense.shape)
    if nearest[first] > reach_mm:
        return np.zeros(dense.shape, np.bool_)
    pieces, _ = label_components(dense, connectivity=1)
    return np.asarray(pieces == pieces[first], np.bool_)


def _without_vessels(
    piece: NDArray[np.bool_], far: NDArray[np.float64], diameter_mm: float, spacing_mm: Sequence[float]
) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_fill_holes, distance_transform_edt

    if not piece.any():
        return piece
    piece = np.asarray(binary_fill_holes(piece), np.bool_)
    depth = np.where(far <= diameter_mm / 2, distance_transform_edt(piece, sampling=spacing_mm), 0.0)
    deepest = np.unravel_index(int(depth.argmax()), depth.shape)
    radius = _CUT * float(depth.max())
    if radius < max(spacing_mm):
        return piece
    cores, _ = label_components(eroded(piece, spacing_mm, radius), connectivity=1)
    # A little farther than it was shrunk: what an opening rounds off is given back, a vessel's stump is a voxel long.
    return dilated(cores == cores[deepest], spacing_mm, radius + max(spacing_mm)) & piece
