"""Voxels as points to be clustered: which take part, what is known of each, and how many are enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError
from vesalius.image import LabelMap, Labels, Volume

_BINS = 4096  # of a histogram: fine enough that nothing but noise falls between two of them


@dataclass(frozen=True, eq=False)
class Points:
    """What a clustering is fitted to.

    Args:
        values: ``(m, features)``.
        weights: ``(m,)``, how many voxels each stands for.
        place: ``(n,)``, the point that each voxel belongs to; ``None`` where the points are a sample, and the voxels
            must be assigned one by one.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    place: NDArray[np.intp] | None


def voxels_inside(image: Volume, *, mask: LabelMap | None, background: float | None) -> NDArray[np.bool_]:
    """Which voxels take part.

    Args:
        image: The image.
        mask: On the image's grid; voxels that are 0 in it are left out.
        background: Voxels whose every channel has this value are left out.

    Returns:
        ``(*grid.shape)``.

    Raises:
        GeometryError: The mask lies on another grid.
        DataError: No voxel is left.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0, 3], [0, 5]]]), Grid.from_spacing((2, 2), (1.0, 1.0)))
        >>> voxels_inside(image, mask=None, background=0).tolist()
        [[False, True], [False, True]]
    """
    inside = np.ones(image.grid.shape, np.bool_)
    if mask is not None:
        if not mask.grid.is_close(image.grid):
            raise GeometryError("the mask and the image are on different grids: resample the mask to image.grid")
        inside &= mask.array != 0
    if background is not None:
        inside &= (image.array != background).any(axis=0)
    if not inside.any():
        raise DataError("no voxel is left to be clustered: the mask is empty, or all of the image is background")
    return inside


def features_of(image: Volume, inside: NDArray[np.bool_], *, space_mm: float | None = None) -> NDArray[np.float64]:
    """Describe each voxel by its intensities, and its place if wanted, on one scale.

    Args:
        image: The image.
        inside: ``(*grid.shape)``: the voxels that take part.
        space_mm: A distance that counts as much as one standard deviation of the intensity, mm, > 0; place does not
            count when left out.

    Returns:
        ``(n, channels [+ axes])``: each channel by its standard deviation over these voxels, then the distance along
        each axis by ``space_mm``.

    Raises:
        DataError: All voxels are alike, or ``space_mm`` is not positive.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0.0, 4.0]]]), Grid.from_spacing((1, 2), (1.0, 3.0)))
        >>> features_of(image, np.ones((1, 2), bool), space_mm=6.0).tolist()
        [[0.0, 0.0, 0.0], [2.0, 0.0, 0.5]]
    """
    if space_mm is not None and not space_mm > 0:
        raise DataError(f"space_mm must be more than 0, not {space_mm}; leave it out to cluster by intensity alone")
    channels = image.array[:, inside].astype(np.float64).T
    spread = channels.std(axis=0)
    if (channels == channels[0]).all():
        raise DataError("the voxels to be clustered all have one value: there is nothing to tell them apart by")
    found = channels / np.where(spread > 0, spread, 1.0)
    if space_mm is None:
        return found
    where = np.argwhere(inside) * (np.asarray(image.grid.spacing_mm) / space_mm)
    return np.concatenate((found, where), axis=1)


def points_of(features: NDArray[np.float64], *, most: int, seed: int) -> Points:
    """Make few points of many voxels.

    One feature is counted: its values if there are at most 4096 of them, else a histogram of 4096 bins, each standing
    at the mean of what is in it. Several features are sampled at random, without replacement, if there are too many.

    Args:
        features: ``(n, features)``.
        most: The largest sample, ≥ 1.
        seed: Of the sample.

    Raises:
        DataError: ``most`` is not at least 1.

    Example:
        >>> found = points_of(np.array([[3.0], [1.0], [3.0]]), most=10, seed=0)
        >>> found.values.ravel().tolist(), found.weights.tolist(), found.place.tolist()
        ([1.0, 3.0], [1.0, 2.0], [1, 0, 1])
    """
    if most < 1:
        raise DataError(f"most_samples must be at least 1, not {most}")
    if features.shape[1] == 1:
        values, place, counts = np.unique(features[:, 0], return_inverse=True, return_counts=True)
        if values.size > _BINS:
            bins = ((values - values[0]) * (_BINS / (values[-1] - values[0]))).astype(np.intp).clip(max=_BINS - 1)
            kept, bins = np.unique(bins, return_inverse=True)
            sums = np.bincount(bins, values * counts, kept.size)
            counts = np.bincount(bins, counts, kept.size)
            values, place = sums / counts, bins[place]
        return Points(values[:, None], counts.astype(np.float64), place)
    if len(features) <= most:
        return Points(features, np.ones(len(features)), np.arange(len(features)))
    chosen = np.sort(np.random.default_rng(seed).choice(len(features), most, replace=False))
    return Points(features[chosen], np.full(most, len(features) / most), None)


def painted(image: Volume, inside: NDArray[np.bool_], classes: NDArray[np.intp], names: Sequence[str] = ()) -> LabelMap:
    """Paint the classes, darkest first.

    Args:
        image: The image.
        inside: ``(*grid.shape)``: the voxels that took part.
        classes: ``(n,)``, from 0; what is negative belongs to none.
        names: Of the classes, by rising mean intensity of the first channel; ``"class 1"`` and so on when left out.

    Returns:
        0 where no voxel took part or none claims it, then 1 for the class of the lowest mean. A class without voxels
        comes last.

    Raises:
        DataError: There are not as many names as classes.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[9, 1, 8]]]), Grid.from_spacing((1, 3), (1.0, 1.0)))
        >>> painted(image, np.ones((1, 3), bool), np.array([0, 1, 0])).array.tolist()
        [[2, 1, 2]]
    """
    count = max(int(classes.max(initial=-1)) + 1, len(names))
    claimed = classes >= 0
    first = image.array[0][inside][claimed].astype(np.float64)
    sizes = np.bincount(classes[claimed], minlength=count)
    sums = np.bincount(classes[claimed], first, count)
    means = np.where(sizes > 0, sums / np.maximum(sizes, 1), np.inf)
    rank = np.empty(count, np.intp)
    rank[np.argsort(means, kind="stable")] = np.arange(1, count + 1)
    array = np.zeros(image.grid.shape, np.uint8 if count < 256 else np.uint16)
    array[inside] = np.where(claimed, rank[np.maximum(classes, 0)] if count else 0, 0)
    return LabelMap(array, image.grid, class_labels(count, names))


def class_labels(count: int, names: Sequence[str] = ()) -> Labels:
    """Labels for classes that are ordered from dark to bright.

    Args:
        count: How many there are.
        names: Their names; ``"class 1"`` and so on when left out.

    Raises:
        DataError: There are not as many names as classes.

    Example:
        >>> class_labels(2).names
        ('class 1', 'class 2')
    """
    if names and len(names) != count:
        raise DataError(f"there are {count} classes and {len(names)} names: give one name for each, or none")
    return Labels.of({name: n for n, name in enumerate(names or [f"class {n + 1}" for n in range(count)], 1)})
