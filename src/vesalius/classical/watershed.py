"""Watershed: floods rise from markers until they meet at the edges between them."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.classical.extra import needed
from vesalius.classical.merging import as_labels, numbered
from vesalius.classical.seeds import seed_values, without_background
from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import Grid, LabelMap, Volume
from vesalius.transform import label_components

Relief = Literal["gradient", "dark", "bright", "distance"]
"""What is flooded; see `watershed`."""


def watershed(
    image: Volume,
    *,
    seeds: LabelMap | None = None,
    relief: Relief = "gradient",
    sigma_mm: float = 1.0,
    depth: float = 0.0,
    compactness: float = 0.0,
    mask: LabelMap | None = None,
) -> LabelMap:
    """Flood an image from markers; regions meet where it is steep. With no markers, each basin makes a region.

    Args:
        image: One channel.
        seeds: The markers; ``"background"`` floods like the others and is 0 in the end. Left out, every basin of the
            relief is one.
        relief: ``"gradient"``: the steepness, so that regions meet at edges. ``"dark"``: the image, whose dark places
            are basins. ``"bright"``: its bright places are. ``"distance"``: how far inside ``mask`` a voxel lies, so
            that touching round things part at their necks; the values of the image don't matter.
        sigma_mm: Of the Gaussian that smooths the image first, mm (pixels, on a picture without a scale), ≥ 0; a
            distance is not smoothed.
        depth: Without seeds: a basin counts if it is deeper than this, in the relief's unit: that of the image, by mm
            for a gradient, mm for a distance; ≥ 0.
        compactness: How much nearness to the marker counts beside the relief, ≥ 0, in the relief's unit by mm; more
            makes regions compact.
        mask: Flood only where this is not 0; needed for a distance.

    Returns:
        The names of the seeds, or ``region 1`` and so on in the order of their first voxel. Voxels that no flood can
        reach within the mask are 0.

    Raises:
        DataError: An argument is out of range, a distance without a mask, no seed within the mask, more than 65,535
            basins, or several channels.
        GeometryError: Seeds or mask lie on another grid.
        VesaliusError: The relief is unknown.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> image = Volume(np.array([[[0.0, 1, 2, 9, 1, 0]]]), Grid.from_spacing((1, 6), (1.0, 1.0)))
        >>> watershed(image, relief="dark", sigma_mm=0).array.tolist()
        [[1, 1, 1, 2, 2, 2]]

    Source: Soille and Ansoult, Signal Processing 20, 1990, doi:10.1016/0165-1684(90)90127-K; compact: Neubert and
    Protzel, International Conference on Pattern Recognition, 2014, doi:10.1109/ICPR.2014.181; as
    ``skimage.segmentation.watershed``.
    """
    if relief not in get_args(Relief):
        raise VesaliusError(unknown_name("relief", relief, get_args(Relief)))
    if not (sigma_mm >= 0 and depth >= 0 and compactness >= 0):
        raise DataError(
            f"sigma_mm, depth and compactness must be at least 0, not {sigma_mm}, {depth} and {compactness}"
        )
    inside = None
    if mask is not None:
        seed_values(image.grid, mask)
        inside = mask.array != 0
    levels = _levels(image, relief, sigma_mm, inside)
    if seeds is None:
        markers = _basins(levels, depth, inside)
        found = _flooded(levels, markers, inside, compactness, image.grid)
        return as_labels(numbered(found), image.grid)
    names = seed_values(image.grid, seeds)
    markers = np.where(np.isin(seeds.array, names), seeds.array, 0).astype(np.int32)
    if inside is not None and not markers[inside].any():
        raise DataError("no seed lies within the mask")
    return without_background(_flooded(levels, markers, inside, compactness, image.grid), seeds)


def _levels(image: Volume, relief: Relief, sigma_mm: float, inside: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    from scipy import ndimage

    spacing = image.grid.spacing_mm
    if relief == "distance":
        if inside is None:
            raise DataError("a distance is that within a mask: give one, for example what otsu makes")
        # Beyond the edges of the image nothing is known: things may go on there.
        distance: NDArray[np.float64] = -ndimage.distance_transform_edt(inside, sampling=spacing)
        return distance
    values = only_channel(image).astype(np.float64)
    smooth: NDArray[np.float64] = ndimage.gaussian_filter(values, [sigma_mm / s for s in spacing])
    if relief != "gradient":
        return smooth if relief == "dark" else -smooth
    steep = np.zeros(values.shape)
    for axis, step in enumerate(spacing):
        if values.shape[axis] > 1:
            steep += np.gradient(smooth, step, axis=axis) ** 2
    return np.sqrt(steep, out=steep)


def _basins(levels: NDArray[np.float64], depth: float, inside: NDArray[np.bool_] | None) -> NDArray[np.int32]:
    """A marker in each basin that is deep enough, numbered from 1."""
    morphology = needed("skimage.morphology")
    if levels.min() == levels.max():
        return label_components(np.ones(levels.shape, np.bool_) if inside is None else inside, connectivity=1)[0]
    relief = levels if inside is None else np.where(inside, levels, levels.max())
    if depth > 0:
        # What is left above the image after it has been lifted by the depth and filled down again.
        filled = morphology.reconstruction(relief + depth, relief, method="erosion")
        low = morphology.local_minima(filled, connectivity=1)
    else:
        low = morphology.local_minima(relief, connectivity=1)
    if inside is not None:
        low &= inside
    return label_components(low, connectivity=1)[0]


def _flooded(
    levels: NDArray[np.float64],
    markers: NDArray[Any],
    inside: NDArray[np.bool_] | None,
    compactness: float,
    grid: Grid,
) -> NDArray[np.int32]:
    flood = needed("skimage.segmentation").watershed
    spacing = np.asarray(grid.spacing_mm)
    # scikit-image 0.26 measures nearness wrongly in arrays whose first axis runs fastest.
    levels, markers = np.ascontiguousarray(levels), np.ascontiguousarray(markers)
    inside = None if inside is None else np.ascontiguousarray(inside)
    if compactness == 0 or spacing.max() <= spacing.min() * 1.01:
        found: NDArray[np.int32] = flood(
            levels, markers, connectivity=1, mask=inside, compactness=compactness * float(spacing.mean())
        )
        return found
    # Nearness is counted in voxels: those that are long are cut into several, and the middle ones are taken back.
    cuts = np.maximum(1, np.rint(spacing / spacing.min()).astype(int))
    if math.prod(cuts) * levels.size > 1 << 28:
        raise DataError(
            f"voxels of {' × '.join(f'{s:.3g}' for s in spacing)} mm are too uneven to flood compactly: resample the "
            "image first, or leave compactness out"
        )
    several: list[NDArray[Any]] = [levels, markers, np.ones(levels.shape, np.bool_) if inside is None else inside]
    for axis, count in enumerate(cuts):
        several = [np.repeat(one, count, axis=axis) for one in several]
    fine = flood(several[0], several[1], connectivity=1, mask=several[2], compactness=compactness * spacing.min())
    middle: NDArray[np.int32] = fine[tuple(slice(count // 2, None, count) for count in cuts)]
    return middle
