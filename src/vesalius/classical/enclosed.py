"""Masses in the lung: round pieces of soft tissue that lie against lung with most of their surface."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Volume
from vesalius.transform import label_components
from vesalius.transform.morphology import closed, dilated

_SOFT_HU = (-150.0, 250.0)  # soft tissue and contrast medium; no fat, no bone
_LEAST_MM = 8.0  # radius from which a piece is a mass: smaller ones a closing reaches
_NECK = 0.7  # pieces part where the tissue is narrower than this share of both radii
_NEAR_MM = 6.0  # a surface lies against lung if lung is so near
_ENCLOSED = 0.5
_FAT_HU = -30.0
_SMOOTH_MM, _AROUND_MM, _EVEN_HU = 6.0, 20.0, 12.0  # an organ smoothed so is even to so many HU
_RIM_MM = 30.0  # around the lungs, in which masses are looked for
_JOIN_MM = 15.0  # crumbs nearer to each other belong together


def enclosed_masses(image: Volume, lungs: NDArray[np.uint8], *, enclosed: float = _ENCLOSED) -> NDArray[np.uint8]:
    """Find masses that lie in a lung but that thresholds and closing left outside.

    Soft tissue is cut into round pieces at its necks: once as it is, and once without the large organ (mostly the
    liver) on which a tumour may sit without a neck, which is told by its evenness. A tumour has one lung around most of
    its surface; heart, liver and chest wall have other tissue, or both lungs. It is a rule for tumours of 2 to 12 cm,
    and fails where one lies against chest wall, mediastinum or an organ as bright as itself with more than half of its
    surface.

    Args:
        image: A CT in HU, 3D, one channel, its voxels about 2 to 3 mm.
        lungs: ``(*grid.shape)``: the lungs without these masses, each with a number of its own, 0 elsewhere.
        enclosed: Share of a mass's surface that lies against the lung, 0 to 1.

    Returns:
        ``(*grid.shape)``: the masses, with the number of the lung that each lies in.

    Example:
        >>> from vesalius.image import Grid
        >>> x, y, z = np.mgrid[-20:20, -20:20, -20:20] * 3.0
        >>> lung = np.linalg.norm([x, y, z], axis=0) < 50
        >>> mass = np.linalg.norm([x - 20, y, z], axis=0) < 18
        >>> image = Volume(np.where(lung & ~mass, -850.0, 40.0)[None], Grid.from_spacing(lung.shape, (3.0,) * 3))
        >>> found = enclosed_masses(image, (lung & ~mass).astype(np.uint8))
        >>> found[30, 20, 20], found[39, 0, 0]
        (np.uint8(1), np.uint8(0))

    Source: ours, in the manner of a watershed of distances (Vincent and Soille, IEEE PAMI 13(6), 1991,
    doi:10.1109/34.87344).
    """
    from scipy import ndimage

    spacing = image.grid.spacing_mm
    found = np.zeros(lungs.shape, np.uint8)
    reach = np.argwhere(lungs)
    if not reach.size:
        return found
    rim = np.ceil(_RIM_MM / np.asarray(spacing)).astype(int)
    low, high = np.maximum(reach.min(axis=0) - rim, 0), np.minimum(reach.max(axis=0) + 1 + rim, lungs.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    values, inside = image.array[0][box], lungs[box]
    soft = ndimage.median_filter((values > _SOFT_HU[0]) & (values < _SOFT_HU[1]) & (inside == 0), size=3)
    near = {number: dilated(inside == number, spacing, _NEAR_MM) for number in np.unique(inside[inside > 0])}
    for tissue in (soft, ndimage.median_filter(soft & ~_organ(values, soft, spacing), size=3)):
        pieces = _round_pieces(np.asarray(ndimage.distance_transform_edt(tissue, sampling=spacing)))
        for piece, place in _large_pieces(pieces, spacing):
            surface = piece & ~ndimage.binary_erosion(piece, border_value=0)
            for number, zone in near.items():
                if (surface & zone[place]).sum() >= enclosed * surface.sum():
                    found[box][place][piece] = number
    for number in near:
        found[box][closed(found[box] == number, spacing, _JOIN_MM) & soft] = number
    return found


def _large_pieces(
    pieces: NDArray[np.intp], spacing: tuple[float, ...]
) -> Iterator[tuple[NDArray[np.bool_], tuple[slice, ...]]]:
    """The pieces that are as large as a mass and not cut by the edge, beyond which nobody knows what lies."""
    from scipy import ndimage

    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        if any(s.start == 0 or s.stop == n for s, n in zip(box, pieces.shape, strict=True)):
            continue
        if all((s.stop - s.start) * d >= 2 * _LEAST_MM for s, d in zip(box, spacing, strict=True)):
            yield pieces[box] == number, box


def _organ(values: NDArray[Any], soft: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.bool_]:
    """The tissue that is as bright as the deepest of all and hangs together with it."""
    from scipy import ndimage

    tissue = soft & (values > _FAT_HU)
    depth = np.asarray(ndimage.distance_transform_edt(tissue, sampling=spacing))
    if depth.max() < _LEAST_MM:
        return np.zeros(soft.shape, np.bool_)
    sigma = [_SMOOTH_MM / s for s in spacing]
    share = ndimage.gaussian_filter(tissue.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(np.where(tissue, values, 0).astype(np.float32), sigma) / np.maximum(share, 1e-3)
    top = np.unravel_index(int(depth.argmax()), depth.shape)
    reach = [int(_AROUND_MM / s) for s in spacing]
    around = tuple(slice(max(0, int(t) - n), int(t) + n + 1) for t, n in zip(top, reach, strict=True))
    middle = float(np.median(values[around][tissue[around]]))
    like = tissue & (np.abs(smooth - middle) < _EVEN_HU)
    pieces, _ = label_components(ndimage.binary_opening(like, iterations=2), connectivity=1)
    if not pieces[top]:
        return np.zeros(soft.shape, np.bool_)
    return np.asarray(dilated(pieces == pieces[top], spacing, 2 * max(spacing)) & like, np.bool_)


def _round_pieces(depth: NDArray[np.float64]) -> NDArray[np.intp]:
    """The tissue cut at its necks: each voxel goes uphill to the deepest place, and tops without a neck are one.

    Returns:
        ``(*depth.shape)``: the number of a piece, from 1; 0 where there is no tissue.
    """
    padded = np.pad(depth, 1)
    flat = padded.ravel()
    strides = np.array(padded.strides) // padded.itemsize
    steps = [int(strides @ np.array(offset)) for offset in product((-1, 0, 1), repeat=depth.ndim) if any(offset)]
    inside = np.flatnonzero(flat > 0)
    uphill = np.arange(flat.size)
    best = flat[inside].copy()
    for step in steps:
        there = flat[inside + step]
        higher = there > best
        uphill[inside[higher]] = inside[higher] + step
        best[higher] = there[higher]
    while not np.array_equal(further := uphill[uphill[inside]], uphill[inside]):
        uphill[inside] = further
    tops, basin = np.unique(uphill[inside], return_inverse=True)
    number = np.full(flat.size, -1)
    number[inside] = basin
    owner = _joined(flat[tops], *_saddles(flat, number, inside, strides.tolist()))
    made = np.zeros(flat.size, np.intp)
    made[inside] = 1 + np.unique(owner, return_inverse=True)[1][basin]
    return made.reshape(padded.shape)[(slice(1, -1),) * depth.ndim]


def _saddles(
    flat: NDArray[np.float64], number: NDArray[np.intp], inside: NDArray[np.intp], steps: list[int]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Pairs of basins that touch ``(n, 2)``, and how deep the deepest way from one to the other is."""
    keys, depths = [], []
    for step in steps:
        here, there = number[inside], number[inside + step]
        apart = (there >= 0) & (here != there)
        here, there = here[apart], there[apart]
        keys.append(np.minimum(here, there) * flat.size + np.maximum(here, there))
        depths.append(np.minimum(flat[inside[apart]], flat[inside[apart] + step]))
    touching, place = np.unique(np.concatenate(keys), return_inverse=True)
    deepest = np.zeros(len(touching))
    np.maximum.at(deepest, place, np.concatenate(depths))
    return np.column_stack(np.divmod(touching, flat.size)), deepest


def _joined(tops: NDArray[np.float64], pairs: NDArray[np.intp], saddles: NDArray[np.float64]) -> NDArray[np.intp]:
    """The basin that each basin belongs to: the widest ways first, as long as they are no necks."""
    owner = np.arange(len(tops))

    def root(of: int) -> int:
        while owner[of] != of:
            owner[of] = owner[owner[of]]
            of = int(owner[of])
        return of

    for place in np.argsort(-saddles, kind="stable"):
        one, other = root(int(pairs[place, 0])), root(int(pairs[place, 1]))
        low, high = sorted((one, other), key=lambda n: float(tops[n]))
        if one != other and saddles[place] > _NECK * tops[low]:
            owner[low] = high
    return np.array([root(n) for n in range(len(tops))])
