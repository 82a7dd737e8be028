"""Superpixels and supervoxels: compact pieces of about one size that keep to edges."""

from __future__ import annotations

import math

import numpy as np

from vesalius.classical.extra import needed
from vesalius.classical.merging import as_labels, merged, numbered
from vesalius.errors import DataError
from vesalius.image import LabelMap, Volume
from vesalius.transform import label_components

_SCALE = 100.0  # what the image's values span: as lightness does in SLIC, so that compactness means what it does there


def slic(
    image: Volume,
    *,
    size_mm: float,
    compactness: float = 10.0,
    iterations: int = 5,
    tolerance: float | None = None,
    mask: LabelMap | None = None,
) -> LabelMap:
    """Part an image into compact pieces of about one size, and join those that are alike if wanted.

    Args:
        image: 2D or 3D, of any number of channels, each of which counts alike.
        size_mm: Side of a piece, mm (pixels, on a picture without a scale); at least that of a voxel, at most that of
            the image.
        compactness: How much nearness counts beside likeness, > 0: 1 follows edges, 40 makes cubes.
        iterations: How often centres and pieces are worked out anew, ≥ 1.
        tolerance: Then join neighbours whose means differ by at most this, the most alike first; in hundredths of what
            the values span from their 0.5 to their 99.5 percentile, ≥ 0. Left out, none are joined.
        mask: Only where this is not 0.

    Returns:
        ``region 1`` and so on, in the order of their first voxel; each hangs together.

    Raises:
        DataError: An argument is out of range, the mask is empty, or there are more than 65,535 pieces.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: SimpleITK is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.repeat(np.repeat(np.array([[0.0, 9.0], [9.0, 0.0]]), 8, 0), 8, 1)
        >>> image = Volume(array[None], Grid.from_spacing((16, 16), (1.0, 1.0)))
        >>> slic(image, size_mm=8).counts()
        {1: 64, 2: 64, 3: 64, 4: 64}

    Source: Achanta et al., IEEE Transactions on Pattern Analysis and Machine Intelligence 34, 2012,
    doi:10.1109/TPAMI.2012.120, as SimpleITK's ``SLIC``, whose grid of centres has a step for each axis, equal in mm.
    """
    sitk = needed("SimpleITK")
    spacing, shape = np.asarray(image.grid.spacing_mm), np.asarray(image.grid.shape)
    if not (math.isfinite(size_mm) and spacing.min() <= size_mm <= (spacing * shape).max()):
        raise DataError(
            f"a piece can be {spacing.min():.3g} (a voxel) to {(spacing * shape).max():.3g} mm wide (the image), "
            f"not {size_mm}"
        )
    if not (compactness > 0 and iterations >= 1 and (tolerance is None or tolerance >= 0)):
        raise DataError(
            "slic takes a compactness above 0, at least 1 iteration and a tolerance of at least 0, not "
            f"{compactness}, {iterations} and {tolerance}"
        )
    inside = None
    if mask is not None:
        from vesalius.classical.seeds import seed_values

        seed_values(image.grid, mask)
        inside = mask.array != 0
    scaled = np.stack([_scaled(channel) for channel in image.array])
    steps = [int(n) for n in np.clip(np.rint(size_mm / spacing), 1, shape)]
    source = sitk.GetImageFromArray(np.ascontiguousarray(np.moveaxis(scaled, 0, -1)), isVector=True)
    task = sitk.SLICImageFilter()
    # SimpleITK numbers axes from the last.
    task.SetSuperGridSize(steps[::-1])
    task.SetSpatialProximityWeight(compactness)
    task.SetMaximumNumberOfIterations(iterations)
    task.SetNumberOfThreads(1)  # sums in one order, whatever the machine
    found = sitk.GetArrayFromImage(task.Execute(source)).astype(np.int64) + 1
    if inside is not None:
        found = np.where(inside, found, 0)
    found = _whole(found)
    regions = numbered(found) if tolerance is None else merged(found, scaled, tolerance=tolerance)
    return as_labels(regions, image.grid)


def _scaled(channel: np.ndarray) -> np.ndarray:
    low, high = np.percentile(channel, [0.5, 99.5])
    if high <= low:
        low, high = channel.min(), channel.max()
    scaled: np.ndarray = ((channel.astype(np.float32) - low) * (_SCALE / ((high - low) or 1.0))).astype(np.float32)
    return scaled


def _whole(regions: np.ndarray) -> np.ndarray:
    """Pieces that a mask has cut in two become two."""
    from scipy import ndimage

    made, free = regions.copy(), int(regions.max()) + 1
    for n, box in enumerate(ndimage.find_objects(regions), 1):
        if box is None:
            continue
        pieces, sizes = label_components(regions[box] == n, connectivity=1)
        for piece in range(2, len(sizes) + 1):
            made[box][pieces == piece] = free
            free += 1
    return made
