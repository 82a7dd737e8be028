"""Random walker: each voxel goes to the seed that a walker from there reaches first, most likely."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.multigrid import Multigrid
from vesalius.classical.seeds import seed_values, without_background
from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Volume

_LEAST = 1e-10  # of a bond: no voxel is out of reach
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
        smooth first. With seeds that are few and far from an edge they leak through it: mark more, or raise ``beta``.

    Raises:
        DataError: Fewer than two names, an argument out of range, more than 16.8 million voxels, or one grey value.
        GeometryError: The seeds lie on another grid.

    Example:
        >>> from vesalius.classical import read_seeds
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0.0, 0, 1, 9, 9, 9]]]), Grid.from_spacing((1, 6), (1.0, 1.0)))
        >>> random_walker(image, seeds=read_seeds("a=0,0; b=0,5", image.grid)).array.tolist()
        [[1, 1, 1, 2, 2, 2]]

    Source: Grady, IEEE Transactions on Pattern Analysis and Machine Intelligence 28, 2006, doi:10.1109/TPAMI.2006.233,
    with the bonds of ``skimage.segmentation.random_walker``, whose gradients are by mm, and a solver of our own.
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
    return without_background(named[_walked(data, marked, len(names), beta, tolerance, image.grid)], seeds)


def _walked(
    data: NDArray[np.float64], marked: NDArray[np.int32], names: int, beta: float, tolerance: float, grid: Grid
) -> NDArray[np.intp]:
    """For each voxel the number, from 1, of the name whose seeds a walker meets first most likely."""
    from scipy.sparse import coo_array, csr_array

    shape = marked.shape
    scale = -beta / (10 * float(data.std()) * math.sqrt(data.shape[-1]))
    ids = np.arange(marked.size, dtype=np.int32).reshape(shape)
    ones, others, weights = [], [], []
    for axis, spacing in enumerate(grid.spacing_mm):
        steps = ((np.diff(data, axis=axis) / spacing) ** 2).sum(axis=-1)
        weights.append((np.exp(scale * steps) + _LEAST).ravel())
        ones.append(ids.take(np.arange(shape[axis] - 1), axis).ravel())
        others.append(ids.take(np.arange(1, shape[axis]), axis).ravel())
    one, other, weight = np.concatenate(ones), np.concatenate(others), np.concatenate(weights)
    flat = marked.ravel()
    total = np.bincount(one, weight, minlength=flat.size) + np.bincount(other, weight, minlength=flat.size)
    free = np.flatnonzero(flat == 0)
    place = np.full(flat.size, -1, np.int32)
    place[free] = np.arange(free.size, dtype=np.int32)
    # What binds a free voxel to seeds goes to the right side, what binds it to others into the matrix.
    right = np.zeros((names + 1, free.size))
    for a, b in ((one, other), (other, one)):
        bound = (flat[a] == 0) & (flat[b] > 0)
        np.add.at(right, (flat[b[bound]], place[a[bound]]), weight[bound])
    inner = (flat[one] == 0) & (flat[other] == 0)
    a, b, w = place[one[inner]], place[other[inner]], -weight[inner]
    every = np.arange(free.size, dtype=np.int32)
    entries = np.concatenate([w, w, total[free]])
    rows, columns = np.concatenate([a, b, every]), np.concatenate([b, a, every])
    grids = Multigrid(csr_array(coo_array((entries, (rows, columns)), shape=(free.size, free.size))))
    # The chances of all names add up to 1: that of the last needs no equations.
    best, least, rest = np.ones(free.size, np.intp), np.full(free.size, -np.inf), np.ones(free.size)
    for n in range(1, names + 1):
        chance = grids.solve(right[n], tolerance=tolerance) if n < names else rest
        rest = rest - chance
        wins = chance > least
        best[wins], least[wins] = n, chance[wins]
    found = flat.astype(np.intp)
    found[free] = best
    return found.reshape(shape)
