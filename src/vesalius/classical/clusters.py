"""Clustering about centres: voxels that are alike belong together, wherever they lie or near each other.

Intensities count in standard deviations of their channel. One channel is computed from all voxels by way of their
histogram; with several features the centres are found in a random sample, and then every voxel goes to one of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.extra import needed
from vesalius.classical.samples import Points, features_of, painted, points_of, voxels_inside
from vesalius.errors import DataError
from vesalius.image import LabelMap, Volume

_JUDGED = 2000  # points that a silhouette is computed from: it needs every distance between them
_CHUNK = 1 << 18  # voxels assigned at a time


def kmeans(
    image: Volume,
    *,
    classes: int | None = 3,
    batch: int | None = None,
    space_mm: float | None = None,
    mask: LabelMap | None = None,
    background: float | None = None,
    names: tuple[str, ...] = (),
    most_classes: int = 8,
    most_samples: int = 100_000,
    seed: int = 0,
) -> LabelMap:
    """Cluster voxels by K-means: each belongs to the nearest of a few centres, which are the means of their voxels.

    Quick, and good where the classes are of like size and spread; `mixture_mrf` is better for tissues in noise.

    Args:
        image: 2D or 3D, of any number of channels.
        classes: How many, ≥ 2; chosen by the silhouette coefficient from 2 to ``most_classes`` when left out.
        batch: Voxels of a mini-batch, ≥ 1: the centres are moved by one random batch of all voxels after another,
            which is quicker for several channels, and a little worse. Left out, Lloyd's algorithm.
        space_mm: A distance that counts as much as one standard deviation of the intensity, mm; place does not count
            when left out.
        mask: Only where this label map is not 0.
        background: Voxels whose every channel has this value are left out.
        names: Of the classes, dark to bright; ``"class 1"`` and so on when left out.
        most_classes: The most classes to try when ``classes`` is left out, ≥ 2.
        most_samples: With several features, the voxels that the centres are computed from.
        seed: Of the starting centres, the sample and the batches.

    Returns:
        Classes from 1, by rising mean of the first channel; 0 where no voxel took part.

    Raises:
        DataError: No voxel takes part, there are fewer different ones than classes, or a number is out of range.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: scikit-learn is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0, 1, 9, 10]]]), Grid.from_spacing((1, 4), (1.0, 1.0)))
        >>> kmeans(image, classes=2).array.tolist()
        [[1, 1, 2, 2]]

    Source: Lloyd, IEEE Trans. Information Theory 28, 1982, doi:10.1109/TIT.1982.1056489; mini-batches: Sculley, WWW
    2010, doi:10.1145/1772690.1772862; both as in scikit-learn, best of ten starts by k-means++. Silhouette: Rousseeuw,
    J Comput Appl Math 20, 1987, doi:10.1016/0377-0427(87)90125-7, on 2000 voxels drawn at random.
    """
    cluster = needed("sklearn.cluster")
    inside = voxels_inside(image, mask=mask, background=background)
    features = features_of(image, inside, space_mm=space_mm)
    points = points_of(features, most=most_samples, seed=seed)
    if batch is not None and batch < 1:
        raise DataError(f"a batch must have at least 1 voxel, not {batch}")

    if classes is None:
        classes = best_count(points, lambda count: first_centres(points, count, seed), most_classes, seed)
    if batch is None:
        centres = first_centres(points, classes, seed)
    else:
        _check_count(classes, points)
        model = cluster.MiniBatchKMeans(classes, n_init=10, batch_size=batch, random_state=seed)
        centres = model.fit(features).cluster_centers_
    made = nearest(features, centres) if points.place is None else nearest(points.values, centres)[points.place]
    return painted(image, inside, made, names)


def fuzzy_c_means(
    image: Volume,
    *,
    classes: int | None = 3,
    fuzziness: float = 2.0,
    space_mm: float | None = None,
    mask: LabelMap | None = None,
    background: float | None = None,
    names: tuple[str, ...] = (),
    most_classes: int = 8,
    most_samples: int = 100_000,
    seed: int = 0,
) -> LabelMap:
    """Cluster voxels by fuzzy C-means: each belongs to every class to some degree; painted is the highest.

    `fuzzy_memberships` gives the degrees themselves, which tell how much of two tissues a voxel holds.

    Args:
        image: 2D or 3D, of any number of channels.
        classes: How many, ≥ 2; chosen by the silhouette coefficient from 2 to ``most_classes`` when left out.
        fuzziness: The exponent of the memberships, > 1: near 1 they become those of K-means, large all alike.
        space_mm: As for K-means: a distance that counts as one standard deviation of the intensity, mm.
        mask: Only where this label map is not 0.
        background: Voxels whose every channel has this value are left out.
        names: Of the classes, dark to bright; ``"class 1"`` and so on when left out.
        most_classes: The most classes to try when ``classes`` is left out, ≥ 2.
        most_samples: With several features, the voxels that the centres are computed from.
        seed: Of the starting centres and the sample.

    Returns:
        Classes from 1, by rising mean of the first channel; 0 where no voxel took part.

    Raises:
        DataError: As for `kmeans`, or ``fuzziness`` is not above 1.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: scikit-learn is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0, 1, 9, 10]]]), Grid.from_spacing((1, 4), (1.0, 1.0)))
        >>> fuzzy_c_means(image, classes=2).array.tolist()
        [[1, 1, 2, 2]]

    Source: Bezdek, Ehrlich, Full, Computers & Geosciences 10, 1984, doi:10.1016/0098-3004(84)90020-7, equations 11a
    and 11b.
    """
    inside = voxels_inside(image, mask=mask, background=background)
    features = features_of(image, inside, space_mm=space_mm)
    points = points_of(features, most=most_samples, seed=seed)
    centres = _fuzzy_centres(points, classes, fuzziness, most_classes, seed)
    # The highest membership is that of the nearest centre, whatever the fuzziness.
    made = nearest(features, centres) if points.place is None else nearest(points.values, centres)[points.place]
    return painted(image, inside, made, names)


def fuzzy_memberships(
    image: Volume,
    *,
    classes: int = 3,
    fuzziness: float = 2.0,
    mask: LabelMap | None = None,
    background: float | None = None,
    most_samples: int = 100_000,
    seed: int = 0,
) -> Volume:
    """Compute how much each voxel belongs to each class, by fuzzy C-means.

    Args:
        image: 2D or 3D, of any number of channels.
        classes: How many, ≥ 2.
        fuzziness: As for `fuzzy_c_means`.
        mask: Only where this label map is not 0.
        background: Voxels whose every channel has this value are left out.
        most_samples: With several channels, the voxels that the centres are computed from.
        seed: Of the starting centres and the sample.

    Returns:
        ``(classes, *grid.shape)``, float32, classes by rising centre of the first channel. They add up to 1 in every
        voxel that took part; elsewhere all are 0.

    Raises:
        DataError: As for `fuzzy_c_means`.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: scikit-learn is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0, 0, 5, 10, 10]]]), Grid.from_spacing((1, 5), (1.0, 1.0)))
        >>> fuzzy_memberships(image, classes=2).array[0].round(2).tolist()
        [[1.0, 1.0, 0.5, 0.0, 0.0]]

    Source: as for `fuzzy_c_means`.
    """
    inside = voxels_inside(image, mask=mask, background=background)
    features = features_of(image, inside)
    centres = _fuzzy_centres(points_of(features, most=most_samples, seed=seed), classes, fuzziness, classes, seed)
    centres = centres[np.argsort(centres[:, 0], kind="stable")]
    array = np.zeros((len(centres), *image.grid.shape), np.float32)
    array[:, inside] = _memberships(features, centres, fuzziness).T
    return image.with_array(array)


def nearest(features: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.intp]:
    """The centre that is nearest to each point, the first of equals.

    Args:
        features: ``(n, features)``.
        centres: ``(m, features)``.

    Returns:
        ``(n,)``, from 0.

    Example:
        >>> nearest(np.array([[0.0], [4.0]]), np.array([[5.0], [1.0]])).tolist()
        [1, 0]
    """
    half = (centres**2).sum(axis=1) / 2
    made = np.empty(len(features), np.intp)
    for low in range(0, len(features), _CHUNK):
        part = slice(low, low + _CHUNK)
        made[part] = np.argmin(half - features[part] @ centres.T, axis=1)
    return made


def first_centres(points: Points, count: int, seed: int) -> NDArray[np.float64]:
    """The centres of K-means, from which finer methods start.

    Args:
        points: What is clustered.
        count: How many, ≥ 2.
        seed: Of the ten starts, of which the best is taken.

    Returns:
        ``(count, features)``.

    Raises:
        DataError: There are fewer different points than that.
        MissingDependencyError: scikit-learn is not installed.
    """
    _check_count(count, points)
    model = needed("sklearn.cluster").KMeans(count, n_init=10, random_state=seed)
    centres: NDArray[np.float64] = model.fit(points.values, None, points.weights).cluster_centers_
    return centres


def best_count(points: Points, centres_of: Any, most_classes: int, seed: int) -> int:
    """Choose the number of classes whose silhouette coefficient is the highest; the least of equals.

    Args:
        points: What is clustered.
        centres_of: Gives ``(count, features)`` centres for a count.
        most_classes: The most to try, ≥ 2; never more than there are different points.
        seed: Of the 2000 points that are judged.

    Raises:
        DataError: ``most_classes`` is less than 2.

    Source: Rousseeuw, J Comput Appl Math 20, 1987, doi:10.1016/0377-0427(87)90125-7.
    """
    if most_classes < 2:
        raise DataError(f"most_classes must be at least 2, not {most_classes}")
    judge = needed("sklearn.metrics").silhouette_score
    chances = points.weights / points.weights.sum()
    drawn = points.values[np.random.default_rng(seed).choice(len(chances), _JUDGED, p=chances)]
    scores = {}
    for count in range(2, min(most_classes, len(np.unique(drawn, axis=0)) - 1) + 1):
        classes = nearest(drawn, centres_of(count))
        if len(np.unique(classes)) > 1:
            scores[count] = float(judge(drawn, classes))
    # Two different values can only be two classes.
    return max(scores, key=lambda count: (scores[count], -count)) if scores else 2


def _check_count(count: int, points: Points) -> None:
    if count < 2:
        raise DataError(f"classes must be at least 2, not {count}")
    different = len(np.unique(points.values, axis=0))
    if different < count:
        raise DataError(f"the image has {different} different voxels and cannot be made into {count} classes")


def _fuzzy_centres(
    points: Points, classes: int | None, fuzziness: float, most_classes: int, seed: int
) -> NDArray[np.float64]:
    if not fuzziness > 1:
        raise DataError(f"the fuzziness must be more than 1, not {fuzziness}; 2 is usual")
    if classes is None:
        classes = best_count(points, lambda count: first_centres(points, count, seed), most_classes, seed)
    centres = first_centres(points, classes, seed)
    for _ in range(300):
        weight = _memberships(points.values, centres, fuzziness) ** fuzziness * points.weights[:, None]
        moved = (weight.T @ points.values) / weight.sum(axis=0)[:, None]
        done = float(np.abs(moved - centres).max()) < 1e-6
        centres = moved
        if done:
            break
    return centres


def _memberships(features: NDArray[np.float64], centres: NDArray[np.float64], fuzziness: float) -> NDArray[np.float64]:
    made = np.empty((len(features), len(centres)))
    for low in range(0, len(features), _CHUNK):
        part = features[low : low + _CHUNK]
        squares = ((part[:, None] - centres) ** 2).sum(axis=2)
        # By the nearest distance, so that nothing overflows; a point on a centre belongs to it alone.
        ratio = squares / np.maximum(squares.min(axis=1, keepdims=True), 1e-300)
        with np.errstate(over="ignore"):
            closeness = np.maximum(ratio, 1.0) ** (-1.0 / (fuzziness - 1.0))
        made[low : low + _CHUNK] = closeness / closeness.sum(axis=1, keepdims=True)
    return made
