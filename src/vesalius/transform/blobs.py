"""Bright round things in a volume: where, how large, how sure; many more than there are, so that few are missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesalius.errors import DataError, GeometryError
from vesalius.image import LabelMap, Volume
from vesalius.transform.boxes import positive
from vesalius.transform.denoise import gaussian
from vesalius.transform.resample import resample

DIAMETERS_MM: tuple[float, ...] = (4.0, 6.0, 9.0, 13.0, 19.0, 28.0)
"""Of what is looked for: steps of about a half, from LUNA16's smallest nodules to the largest that is called one."""

_ROUNDED = 1e-5  # of the largest value: what is weaker is rounding
_FINE = 2.0  # samples in the standard deviation of the Gaussian that a scale is seen through


@dataclass(frozen=True)
class Blob:
    """Something round.

    Args:
        centre_mm: LPS.
        diameter_mm: The scale at which it stands out most.
        strength: How much it does, in the image's unit; a ball of that diameter has about half of its contrast.
    """

    centre_mm: tuple[float, float, float]
    diameter_mm: float
    strength: float


def find_blobs(
    volume: Volume,
    inside: LabelMap | None = None,
    *,
    diameters_mm: Sequence[float] = DIAMETERS_MM,
    least: float = 0.0,
    most: int | None = None,
    background: float | None = None,
) -> tuple[Blob, ...]:
    """Find bright blobs, by the curvature in every direction at several scales.

    A ball curves downwards in all three directions, a vessel in two, a wall in one: what counts is the weakest of the
    three, weighed by its share in the strongest.

    Args:
        volume: 3D, one channel.
        inside: Where to look: all labels above 0. Left out, everywhere.
        diameters_mm: Of what is looked for, mm, > 0.
        least: Blobs weaker than this are passed over, in the image's unit.
        most: Only so many are kept, the strongest; all when left out.
        background: What lies outside ``inside`` is taken to be this, so that what touches its border (a nodule at the
            pleura) stands alone. Left out, the image as it is.

    Returns:
        The blobs, strongest first; none nearer to a stronger one than its radius.

    Raises:
        GeometryError: The image is 2D, or ``inside`` lies on another grid.
        DataError: There are several channels, or an argument is out of range.

    Example:
        >>> from vesalius.image import Grid
        >>> x, y, z = np.ogrid[-20:20, -20:20, -20:20]
        >>> both = np.where((x**2 + y**2 + z**2 < 25) | ((x - 12) ** 2 + y**2 + 0 * z < 9), 100.0, 0.0)  # and a tube
        >>> found = find_blobs(Volume(both[None], Grid.from_spacing(both.shape, (1.0, 1.0, 1.0))), least=20.0)
        >>> [round(c) for c in found[0].centre_mm], found[0].diameter_mm
        ([20, 20, 20], 9.0)

    Source: the filter for dots of Li, Sone and Doi, Medical Physics 30(8), 2003, doi:10.1118/1.1581411 (|λ3|²/|λ1|, all
    eigenvalues negative); scale-normalised derivatives and σ = r/√3 for balls: Lindeberg, IJCV 30(2), 1998,
    doi:10.1023/A:1008045108935.
    """
    if volume.grid.ndim != 3:
        raise GeometryError("blobs are found in 3D images")
    if volume.channels != 1:
        raise DataError(f"blobs are found in one channel, and the image has {volume.channels}: choose one with grey")
    if inside is not None and not inside.grid.is_close(volume.grid):
        raise GeometryError("inside lies on another grid than the image")
    if not diameters_mm:
        raise DataError("diameters_mm names no diameter")
    positive(**{f"diameters_mm[{n}]": d for n, d in enumerate(diameters_mm)})
    where = np.ones(volume.grid.shape, np.bool_) if inside is None else inside.array > 0
    if not where.any():
        return ()
    plain = volume.array[0].astype(np.float32)
    if background is not None:
        plain = np.where(where, plain, np.float32(background))
    source = volume.with_array(plain[None])
    least = max(least, _ROUNDED * float(np.abs(plain).max()), 1e-30)
    zone = volume.with_array(where[None].astype(np.float32))
    found: list[Blob] = []
    for diameter in diameters_mm:
        found += _of_scale(source, zone, diameter, least)
    return _apart(found, most)


def _of_scale(volume: Volume, zone: Volume, diameter_mm: float, least: float) -> list[Blob]:
    """Where the image is most like a ball of a diameter, seen on a grid as coarse as the scale allows."""
    sigma = diameter_mm / 2 / np.sqrt(3)
    spacing = [max(sigma / _FINE, s) for s in volume.grid.spacing_mm]
    grid = volume.grid.with_spacing(spacing)
    if min(grid.shape) < 3:
        return []
    # Going to the coarser grid smooths, too: by half of what it has more in spacing (see `resample`).
    gone = max((n - s) / 2 for n, s in zip(spacing, volume.grid.spacing_mm, strict=True))
    rest = float(np.sqrt(sigma**2 - gone**2))
    smooth = gaussian(resample(volume, grid, antialias=True), sigma_mm=rest).array[0]
    within = resample(zone, grid).array[0] > 0.5
    along = [
        ndimage.correlate1d(smooth, np.array([1.0, -2.0, 1.0], np.float32) / s**2, axis=axis, mode="nearest")
        for axis, s in enumerate(grid.spacing_mm)
    ]
    # The weakest of three curvatures, weighed by its share in the strongest, is never more than their mean.
    bend = -(along[0] + along[1] + along[2]) * (sigma**2 / 3)
    inner = np.zeros(within.shape, np.bool_)
    inner[1:-1, 1:-1, 1:-1] = (within & (bend > least))[1:-1, 1:-1, 1:-1]
    at = np.argwhere(inner)
    if not at.size:
        return []
    curves = -np.linalg.eigvalsh(_hessians(smooth, along, at, grid.spacing_mm))  # strongest first
    strongest, weakest = curves[:, 0], curves[:, 2]
    response = np.zeros(smooth.shape, np.float32)
    response[tuple(at.T)] = np.where(weakest > 0, weakest**2 / np.maximum(strongest, 1e-12), 0.0) * sigma**2
    peaks = (response == ndimage.maximum_filter(response, size=3)) & (response > least)
    points = grid.to_points(np.argwhere(peaks))
    return [
        Blob((float(x), float(y), float(z)), float(diameter_mm), float(strength))
        for (x, y, z), strength in zip(points, response[peaks], strict=True)
    ]


def _hessians(
    smooth: NDArray[np.float32],
    along: Sequence[NDArray[np.float32]],
    at: NDArray[np.intp],
    spacing_mm: Sequence[float],
) -> NDArray[np.float64]:
    """The second derivatives at some places that are not on the border, ``(n, 3, 3)``."""
    made = np.zeros((len(at), 3, 3))
    for one in range(3):
        made[:, one, one] = along[one][tuple(at.T)]
        for other in range(one):
            mixed = np.zeros(len(at))
            for here in (-1, 1):
                for there in (-1, 1):
                    step = np.zeros(3, np.intp)
                    step[one], step[other] = here, there
                    mixed += here * there * smooth[tuple((at + step).T)].astype(np.float64)
            made[:, one, other] = made[:, other, one] = mixed / (4 * spacing_mm[one] * spacing_mm[other])
    return made


def _apart(blobs: Sequence[Blob], most: int | None) -> tuple[Blob, ...]:
    """The strongest, and those that lie in no stronger one."""
    ordered = sorted(blobs, key=lambda one: (-one.strength, one.centre_mm))
    kept: list[Blob] = []
    centres = np.zeros((0, 3))
    radii = np.zeros(0)
    for one in ordered:
        if most is not None and len(kept) == most:
            break
        gone = np.linalg.norm(centres - one.centre_mm, axis=1)
        if (gone < np.maximum(radii, one.diameter_mm / 2)).any():
            continue
        kept.append(one)
        centres = np.vstack([centres, one.centre_mm])
        radii = np.append(radii, one.diameter_mm / 2)
    return tuple(kept)
