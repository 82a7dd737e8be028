"""Random walker: each voxel goes to the seed that a walker from there reaches first, most likely."""

from __future__ import annotations

import warnings

import numpy as np

from vesalius.classical.extra import needed
from vesalius.classical.seeds import seed_values, without_background
from vesalius.errors import DataError
from vesalius.image import LabelMap, Volume

_MOST_VOXELS = 1 << 24  # 256³: the equations of more take tens of GiB


def random_walker(image: Volume, *, seeds: LabelMap, beta: float = 130.0, tolerance: float = 1e-3) -> LabelMap:
    """Give each voxel the name that a walker who avoids edges would meet first: also where borders have gaps.

    Args:
        image: 2D or 3D, of any number of channels, each brought to the same scale.
        seeds: At least two names; ``"background"`` is 0 in the end.
        beta: How much walkers avoid edges, > 0.
        tolerance: Of the equations, > 0.

    Returns:
        The names of the seeds. The time grows with voxels and names, and with noise, which walkers take for edges:
        smooth first, or lower ``beta``.

    Raises:
        DataError: Fewer than two names, an argument out of range, more than 16.8 million voxels, or one grey value.
        GeometryError: The seeds lie on another grid.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> from vesalius.classical import read_seeds
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0.0, 0, 1, 9, 9, 9]]]), Grid.from_spacing((1, 6), (1.0, 1.0)))
        >>> random_walker(image, seeds=read_seeds("a=0,0; b=0,5", image.grid)).array.tolist()
        [[1, 1, 1, 2, 2, 2]]

    Source: Grady, IEEE Transactions on Pattern Analysis and Machine Intelligence 28, 2006, doi:10.1109/TPAMI.2006.233,
    as ``skimage.segmentation.random_walker``, whose gradients are by mm.
    """
    names = seed_values(image.grid, seeds, least=2)
    if not (beta > 0 and tolerance > 0):
        raise DataError(f"beta and tolerance must be more than 0, not {beta} and {tolerance}")
    if image.grid.size > _MOST_VOXELS:
        raise DataError(
            f"the random walker solves equations of {_MOST_VOXELS:,} voxels at most, and the image has "
            f"{image.grid.size:,}: crop it to what matters, resample it, or take graph-cut or watershed"
        )
    # Numbers without gaps: scikit-image gives those back.
    marked = np.searchsorted(names, seeds.array).astype(np.int32) + 1
    marked[~np.isin(seeds.array, names)] = 0
    named = np.array([0, *names], np.int32)
    if marked.all():
        return without_background(named[marked], seeds)
    data = np.moveaxis(image.array, 0, -1).astype(np.float64)
    spread = data.std(axis=tuple(range(data.ndim - 1)))
    if not spread.any():
        raise DataError("the image has one grey value: there are no edges for a walker to avoid")
    data = (data - data.mean(axis=tuple(range(data.ndim - 1)))) / np.where(spread > 0, spread, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = needed("skimage.segmentation").random_walker(
            data,
            marked,
            beta=beta,
            mode="cg_j",
            tol=tolerance,
            spacing=image.grid.spacing_mm,
            channel_axis=-1,
        )
    return without_background(named[np.maximum(found, 0)], seeds)
