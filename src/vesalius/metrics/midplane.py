"""The plane that halves a brain: where the midline should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from vesalius.errors import DataError, GeometryError
from vesalius.image import LabelMap, Volume
from vesalius.transform import reorient, respace

_TRIMMED = 0.8  # share of the rows that the plane is fitted to in the end
_COARSE_MM = 4.0  # as fine as both sides are compared
_FIRST_STEP = (3.0, 0.06, 0.06)  # of the search: mm, and slopes
_DONE = {"xatol": 0.002, "fatol": 1e-5, "maxiter": 200}
_MOST = 1.0  # unlikeness of a place and its mirror image: more says no more, and one lesion must not tilt the plane
_PUSHED_MM = 25.0  # beside the middle and around its centre: what a mass pushes aside is not asked where the middle is


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


def midplane(brain: LabelMap, image: Volume | None = None, *, excluded: LabelMap | None = None) -> Midplane:
    """Find the plane that halves a brain.

    By the mask alone it is fitted to the middles of its rows from left to right. A fifth of the rows, those that lie
    farthest off, are left out in the end: where a part of a side is missing the middle of a row says nothing. That is
    blind to a head that is turned: the rows of a tilted ellipse have their middles elsewhere. With the image the plane
    is the one in which the brain mirrors itself best, outline and sulci, found from there on; what lies deep in the
    middle has no say, for a mass may have pushed it.

    Args:
        brain: 3D; everything but 0 is brain.
        image: Of the brain, on the same grid; any number of channels, all count.
        excluded: What is not compared with its mirror image: a tumour, on the same grid.

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
    the plane of a head's symmetry, found with little weight for what is unlike, stands for the midline is Prima et al.,
    IEEE TMI 21:122 (2002), doi:10.1109/42.993131; the search is Nelder and Mead, Computer J 7:308 (1965).
    """
    if brain.grid.ndim != 3:
        raise GeometryError(f"a midplane is that of a volume, and this map is {brain.grid.ndim}D")
    found = _through_middles(reorient(brain))
    return found if image is None else _mirrored_best(brain, image, excluded, found)


def _through_middles(laid: LabelMap) -> Midplane:
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


def _mirrored_best(brain: LabelMap, image: Volume, excluded: LabelMap | None, start: Midplane) -> Midplane:
    spacing = [max(_COARSE_MM, mm) for mm in reorient(brain).grid.spacing_mm]
    small = respace(reorient(image), spacing, antialias=True)
    inside = respace(reorient(brain), spacing).array != 0
    left_out = np.zeros_like(inside) if excluded is None else respace(reorient(excluded), spacing).array != 0
    places = np.argwhere(inside & ~left_out)
    points = small.grid.to_points(places)
    middle = points.mean(axis=0)
    deep = (np.abs(points - middle) < (_PUSHED_MM, 1.5 * _PUSHED_MM, 1.5 * _PUSHED_MM)).all(axis=1)
    places, points = places[~deep], points[~deep]
    channels = [standardised(channel, inside) for channel in small.array]
    own = [channel[tuple(places.T)] for channel in channels]
    masks = (inside.astype(np.float32), left_out.astype(np.float32))

    def unlike(along: NDArray[np.float64]) -> float:
        """Mean difference between the places and their mirror images; the offset is that at the brain's middle."""
        normal = np.array([1.0, -along[1], -along[2]])
        normal /= np.linalg.norm(normal)
        there = points - 2 * ((points - middle - (along[0], 0, 0)) @ normal)[:, None] * normal
        at = small.grid.to_index(there).T
        seen, barred = (ndimage.map_coordinates(mask, at, order=1) for mask in masks)
        apart = sum(
            np.minimum(np.abs(ndimage.map_coordinates(channel, at, order=1) - mine), _MOST)
            for channel, mine in zip(channels, own, strict=True)
        )
        apart = apart / len(channels) * seen + _MOST * (1 - seen)
        return float((apart * (1 - barred)).sum() / max(float((1 - barred).sum()), 1.0))

    begin = np.array([float(-start.side_mm(middle[None])[0]), start.along_y, start.along_z])
    simplex = np.stack([begin, *(begin + np.diag(_FIRST_STEP))])
    found = optimize.minimize(unlike, begin, method="Nelder-Mead", options={**_DONE, "initial_simplex": simplex}).x
    offset = middle[0] + found[0] - found[1] * middle[1] - found[2] * middle[2]
    return Midplane(float(offset), float(found[1]), float(found[2]))


def standardised(channel: NDArray[np.generic], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Grey values with the brain's median at 0 and a width of 1, without extremes."""
    values = channel[inside].astype(np.float64)
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return np.asarray(np.clip((channel - middle) / max(high - low, 1e-9), -1.5, 1.5), np.float32)
