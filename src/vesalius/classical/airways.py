"""The trachea and the large bronchi in a CT: found as a dark disc that goes on from slice to slice, then grown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import Volume
from vesalius.transform import label_components
from vesalius.transform.morphology import dilated

_LUMEN_HU = -900.0  # darker than lung, seen in voxels of 2 to 3 mm
_WALL_HU = -500.0  # what is around it is brighter on average
_AREA_MM2 = (60.0, 700.0)  # of a disc: 9 to 30 mm across
_LONGEST = 2.2  # times as long as a disc of its area is wide
_ASIDE_MM = 45.0  # from the middle of the body
_RING_MM = (2.5, 5.0)  # around the disc, where its wall is
_LEAST_MM = 12.0  # through so many millimetres the disc must go on
_FIRST_HU, _LAST_HU, _STEP_HU = -960.0, -700.0, 20.0
_EXPLOSION = 1.6  # times as large from one threshold to the next: it has leaked into the lung
_LARGEST_ML = 120.0


def grow_airways(
    image: Volume, *, middle: float | None = None, levels: slice = slice(None), wall_mm: float = 3.0
) -> NDArray[np.bool_]:
    """Find trachea and main bronchi.

    Args:
        image: A CT in HU, 3D, one channel, voxels of at most 3 mm in axial slices, its axes towards left, posterior and
            superior (`vesalius.transform.reorient` to ``"LPS"``).
        middle: Index towards the left of the body's middle, from which the trachea is not far; that of the image when
            left out.
        levels: Slices in which the trachea is looked for.
        wall_mm: The lumen is widened by this at the end, so that its blurred rim goes with it, ≥ 0.

    Returns:
        ``(*grid.shape)``; nothing where no trachea is seen.

    Raises:
        DataError: The image lies otherwise.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.full((1, 40, 40, 20), 30.0, np.float32)
        >>> y, x = np.mgrid[:40, :40]
        >>> array[0, np.hypot(x - 20, y - 20) < 4] = -990.0
        >>> found = grow_airways(Volume(array, Grid.from_spacing(array.shape[1:], (2.0, 2.0, 2.0))), wall_mm=0)
        >>> bool(found[20, 20].all()), bool(found[30, 30].any())
        (True, False)

    Source: growing until it explodes: Mori et al., IEEE TMI 19(2), 2000, doi:10.1109/42.836369. The trachea is 13 to 27
    mm wide: Breatnach et al., AJR 142(5), 1984, doi:10.2214/ajr.142.5.903. The other numbers are rules of thumb.
    """
    if image.grid.ndim != 3 or image.channels != 1 or image.grid.axis_codes != "LPS":
        raise DataError(
            "airways are grown in a 3D image of one channel whose axes are towards left, posterior, superior"
        )
    values = image.array[0]
    seed = _longest_disc(values, image.grid.spacing_mm, (values.shape[0] - 1) / 2 if middle is None else middle, levels)
    if seed is None:
        return np.zeros(values.shape, np.bool_)
    voxel_ml = image.grid.voxel_volume_mm3 / 1000
    grown = seed
    for threshold in np.arange(_FIRST_HU, _LAST_HU, _STEP_HU):
        pieces, sizes = label_components((values < threshold) | seed, connectivity=1)
        reached = np.unique(pieces[seed])
        size = int(sizes[reached - 1].sum())
        # Early on the seed itself is most of it, and there is nothing yet that could explode.
        if size * voxel_ml > _LARGEST_ML or (grown.sum() > 1.2 * seed.sum() and size > _EXPLOSION * grown.sum()):
            break
        grown = np.isin(pieces, reached)
    return np.asarray(dilated(grown, image.grid.spacing_mm, wall_mm) & ((values < _WALL_HU) | grown), np.bool_)


def _longest_disc(
    values: NDArray[Any], spacing: tuple[float, ...], middle: float, levels: slice
) -> NDArray[np.bool_] | None:
    """The voxels of the longest pile of discs that lie one on the other, from the top down."""
    piles: list[list[tuple[int, NDArray[np.bool_]]]] = []
    growing: list[list[tuple[int, NDArray[np.bool_]]]] = []
    for level in reversed(range(values.shape[2])[levels]):
        discs = _discs(values[:, :, level], spacing[:2], middle)
        going = []
        for disc in discs:
            above = next((pile for pile in growing if (pile[-1][1] & disc).any()), None)
            if above is None:
                piles.append(above := [])
            else:
                growing = [pile for pile in growing if pile is not above]
            above.append((level, disc))
            going.append(above)
        growing = going
    best = max(piles, key=len, default=[])
    if len(best) * spacing[2] < _LEAST_MM:
        return None
    seed = np.zeros(values.shape, np.bool_)
    for level, disc in best:
        seed[:, :, level] = disc
    return seed


def _discs(plane: NDArray[Any], spacing: tuple[float, ...], middle: float) -> list[NDArray[np.bool_]]:
    """Dark pieces of a slice that are as large and round as a trachea, walled in, and near the middle of the body."""
    from scipy import ndimage

    pieces, sizes = label_components(plane < _LUMEN_HU, connectivity=1)
    area = math.prod(spacing)
    boxes = ndimage.find_objects(pieces)
    found = []
    for number in 1 + np.flatnonzero((sizes * area >= _AREA_MM2[0]) & (sizes * area <= _AREA_MM2[1])):
        box = boxes[number - 1]
        if any(s.start == 0 or s.stop == n for s, n in zip(box, plane.shape, strict=True)):
            continue  # cut by the image's edge: the air outside
        extent = max((s.stop - s.start) * d for s, d in zip(box, spacing, strict=True))
        if extent > _LONGEST * 2 * math.sqrt(sizes[number - 1] * area / math.pi):
            continue
        if abs((box[0].start + box[0].stop - 1) / 2 - middle) * spacing[0] > _ASIDE_MM:
            continue
        rim = [int(_RING_MM[1] / d) + 1 for d in spacing]
        around = tuple(slice(max(0, s.start - n), s.stop + n) for s, n in zip(box, rim, strict=True))
        disc = pieces[around] == number
        ring = dilated(disc, spacing, _RING_MM[1]) & ~dilated(disc, spacing, _RING_MM[0])
        if plane[around][ring].mean() >= _WALL_HU:
            whole = np.zeros(plane.shape, np.bool_)
            whole[around] = disc
            found.append(whole)
    return found
