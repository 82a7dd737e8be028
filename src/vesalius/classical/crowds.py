"""Clustering by density: crowds of voxels that are alike, as many as there are.

Intensities count in standard deviations of their channel. Mean shift, and DBSCAN of several features, cannot take
a whole volume: the crowds are found in a random sample, and then every voxel is assigned to one of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.clusters import nearest
from vesalius.classical.extra import needed
from vesalius.classical.samples import features_of, painted, points_of, voxels_inside
from vesalius.errors import DataError
from vesalius.image import LabelMap, Volume


def mean_shift(
    image: Volume,
    *,
    bandwidth: float | None = None,
    space_mm: float | None = None,
    mask: LabelMap | None = None,
    background: float | None = None,
    names: tuple[str, ...] = (),
    most_samples: int = 5000,
    seed: int = 0,
) -> LabelMap:
    """Cluster voxels by mean shift: each climbs to the peak of the density that it stands under.

    The number of classes comes out of the density and need not be said. A whole volume would take hours: the peaks are
    looked for in a sample, and every voxel goes to the nearest of them.

    Args:
        image: 2D or 3D, of any number of channels.
        bandwidth: Radius of the window that is averaged, in standard deviations of the intensity, > 0; larger means
            fewer classes. Left out: the mean distance to the farthest of the nearest 30 % of the sample.
        space_mm: As for K-means: a distance that counts as one standard deviation of the intensity, mm.
        mask: Only where this label map is not 0.
        background: Voxels whose every channel has this value are left out.
        names: Of the classes, dark to bright; ``"class 1"`` and so on when left out.
        most_samples: Voxels of the sample, ≥ 1. Time grows with its square.
        seed: Of the sample.

    Returns:
        Classes from 1, by rising mean of the first channel; 0 where no voxel took part.

    Raises:
        DataError: As for `kmeans`, or there are not as many names as classes were found.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: scikit-learn is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0, 1, 9, 10]]]), Grid.from_spacing((1, 4), (1.0, 1.0)))
        >>> mean_shift(image, bandwidth=0.5).array.tolist()
        [[1, 1, 2, 2]]

    Source: Comaniciu, Meer, IEEE Trans. PAMI 24, 2002, doi:10.1109/34.1000236; flat kernel, as in scikit-learn.
    """
    cluster = needed("sklearn.cluster")
    inside = voxels_inside(image, mask=mask, background=background)
    features = features_of(image, inside, space_mm=space_mm)
    drawn = _drawn(features, most_samples, seed)
    if bandwidth is None:
        bandwidth = float(cluster.estimate_bandwidth(drawn, quantile=0.3, n_samples=1000, random_state=seed))
        # Where that many voxels have one value the estimate is nought.
        bandwidth = max(bandwidth, 1e-3)
    if not bandwidth > 0:
        raise DataError(f"the bandwidth must be more than 0 standard deviations, not {bandwidth}")
    model = cluster.MeanShift(bandwidth=bandwidth, bin_seeding=True).fit(drawn)
    return painted(image, inside, nearest(features, model.cluster_centers_), names)


def dbscan(
    image: Volume,
    *,
    radius: float = 0.1,
    least_voxels: int = 10,
    space_mm: float | None = None,
    mask: LabelMap | None = None,
    background: float | None = None,
    names: tuple[str, ...] = (),
    most_samples: int = 10_000,
    seed: int = 0,
) -> LabelMap:
    """Cluster voxels by density (DBSCAN): crowds of any shape, and what belongs to none is left unlabelled.

    With ``space_mm`` and a ``mask`` or ``background`` it finds separate structures of like intensity. One channel
    without place is exact for volumes of any size. Otherwise at most ``most_samples`` voxels are clustered, each
    standing for as many as it was drawn from, and the others join the nearest dense voxel within the radius: structures
    that only few of the sample fall on are lost.

    Args:
        image: 2D or 3D, of any number of channels.
        radius: How far a neighbour may be, in standard deviations of the intensity, > 0.
        least_voxels: The voxels within the radius, itself included, that make a voxel dense, ≥ 1.
        space_mm: As for K-means: a distance that counts as one standard deviation of the intensity, mm.
        mask: Only where this label map is not 0.
        background: Voxels whose every channel has this value are left out.
        names: Of the classes, dark to bright; ``"class 1"`` and so on when left out.
        most_samples: Voxels of the sample. Memory grows with its square where the radius is large: 0.8 GB at 10,000.
        seed: Of the sample.

    Returns:
        Classes from 1, by rising mean of the first channel; 0 for noise and where no voxel took part.

    Raises:
        DataError: As for `kmeans`, or there are not as many names as classes were found.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: scikit-learn is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0, 1, 5, 9, 10]]]), Grid.from_spacing((1, 5), (1.0, 1.0)))
        >>> dbscan(image, radius=0.5, least_voxels=2).array.tolist()
        [[1, 1, 0, 2, 2]]

    Source: Ester, Kriegel, Sander, Xu, KDD 1996, as in scikit-learn.
    """
    from scipy.spatial import cKDTree

    cluster = needed("sklearn.cluster")
    if not (radius > 0 and least_voxels >= 1):
        raise DataError(f"DBSCAN needs a radius above 0 and at least 1 voxel, not {radius} and {least_voxels}")
    inside = voxels_inside(image, mask=mask, background=background)
    features = features_of(image, inside, space_mm=space_mm)
    points = points_of(features, most=most_samples, seed=seed)
    model = cluster.DBSCAN(eps=radius, min_samples=least_voxels).fit(points.values, None, points.weights)
    if points.place is not None:
        return painted(image, inside, model.labels_[points.place].astype(np.intp), names)
    dense = model.core_sample_indices_
    if not len(dense):
        return painted(image, inside, np.full(len(features), -1), names)
    distance, at = cKDTree(points.values[dense]).query(features, distance_upper_bound=radius)
    joined = model.labels_[dense][np.minimum(at, len(dense) - 1)]
    return painted(image, inside, np.where(np.isfinite(distance), joined, -1).astype(np.intp), names)


def _drawn(features: NDArray[np.float64], most: int, seed: int) -> NDArray[np.float64]:
    if most < 1:
        raise DataError(f"most_samples must be at least 1, not {most}")
    if len(features) <= most:
        return features
    return features[np.sort(np.random.default_rng(seed).choice(len(features), most, replace=False))]
