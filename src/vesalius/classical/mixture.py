"""Gaussian mixtures: each class has a mean and a spread; with a Markov random field, neighbours have a say.

Voxels are classified by expectation and maximisation. Alone, a mixture sees every voxel by itself, and noise speckles
the result. The field says that neighbours tend to be of one class, which is what tissues are like.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.clusters import first_centres, nearest
from vesalius.classical.samples import Points, features_of, painted, points_of, voxels_inside
from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import LabelMap, Volume

Inference = Literal["mean-field", "icm"]
"""How the field is worked out; see `mixture_mrf`."""

_CHUNK = 1 << 18  # voxels worked on at a time
_SETTLED = 1e-3  # of a voxel's chances changed in a round: less is the end
_LEAST = 1e-4  # of a standard deviation: no class becomes a spike on one value


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of Gaussians.

    Args:
        shares: ``(k,)``, adding up to 1.
        means: ``(k, features)``.
        covariances: ``(k, features, features)``.
    """

    shares: NDArray[np.float64]
    means: NDArray[np.float64]
    covariances: NDArray[np.float64]

    def log_densities(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The logarithm of each class's density, without its share, at ``(n, features)`` values: ``(k, n)``."""
        made = np.empty((len(self.means), len(values)))
        for row, mean, covariance in zip(made, self.means, self.covariances, strict=True):
            root = np.linalg.cholesky(covariance)
            apart = np.linalg.inv(root) @ (values - mean).T
            np.einsum("fn,fn->n", apart, apart, out=row)
            row += 2.0 * np.log(np.diag(root)).sum() + len(mean) * math.log(2.0 * math.pi)
        made *= -0.5
        return made


def gaussian_mixture(
    image: Volume,
    *,
    classes: int | None = 3,
    mask: LabelMap | None = None,
    background: float | None = None,
    names: tuple[str, ...] = (),
    most_classes: int = 8,
    most_samples: int = 100_000,
    seed: int = 0,
) -> LabelMap:
    """Cluster voxels by a mixture of Gaussians: classes may differ in size and spread, and channels may correlate.

    Args:
        image: 2D or 3D, of any number of channels.
        classes: How many, ≥ 1; from 1 to ``most_classes``, by the Bayesian information criterion, when left out. The
            criterion takes voxels for independent, which they are not, and so tends to many classes.
        mask: Only where this label map is not 0.
        background: Voxels whose every channel has this value are left out.
        names: Of the classes, dark to bright; ``"class 1"`` and so on when left out.
        most_classes: The most classes to try when ``classes`` is left out, ≥ 1.
        most_samples: With several channels, the voxels that the mixture is computed from; one channel is computed from
            all voxels, by its histogram.
        seed: Of the starting means and the sample.

    Returns:
        Classes from 1, by rising mean of the first channel; 0 where no voxel took part.

    Raises:
        DataError: No voxel takes part, there are fewer different ones than classes, or a number is out of range.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: scikit-learn is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0, 1, 2, 8, 9, 10]]]), Grid.from_spacing((1, 6), (1.0, 1.0)))
        >>> gaussian_mixture(image, classes=2).array.tolist()
        [[1, 1, 1, 2, 2, 2]]

    Source: Dempster, Laird, Rubin, J R Stat Soc B 39, 1977; criterion: Schwarz, Ann Stat 6, 1978,
    doi:10.1214/aos/1176344136. Checked against scikit-learn.
    """
    inside = voxels_inside(image, mask=mask, background=background)
    features = features_of(image, inside)
    points = points_of(features, most=most_samples, seed=seed)
    if classes is None:
        found = _by_criterion(points, most_classes, seed)
    else:
        found, _ = fit_mixture(points, classes, seed=seed)
    values = features if points.place is None else points.values
    made = np.empty(len(values), np.intp)
    for part in _chunks(len(values)):
        made[part] = np.argmax(found.log_densities(values[part]) + np.log(found.shares)[:, None], axis=0)
    if points.place is not None:
        made = made[points.place]
    return painted(image, inside, made, names)


def mixture_mrf(
    image: Volume,
    *,
    classes: int | None = 3,
    smoothness: float = 1.0,
    inference: Inference = "mean-field",
    iterations: int = 30,
    mask: LabelMap | None = None,
    background: float | None = 0.0,
    names: tuple[str, ...] = (),
    most_classes: int = 6,
    most_samples: int = 100_000,
    seed: int = 0,
) -> LabelMap:
    """Segment tissues by a mixture of Gaussians with a Markov random field: likely by intensity and by neighbours.

    Made for brain MR: T1 without its skull gives fluid, grey and white matter as classes 1, 2, 3. Take bias out first.
    Means, spreads and classes are found together: classes from the mixture and the neighbours' classes, the mixture
    from the classes, starting from K-means. Time and memory go by the voxels that take part, about 80 bytes each.

    Args:
        image: 2D or 3D, of any number of channels.
        classes: How many, ≥ 2; from 2 to ``most_classes`` by the Bayesian information criterion of the mixture without
            a field when left out.
        smoothness: The field's weight, ≥ 0: how many times as likely, as a logarithm, a voxel is to have its
            neighbour's class, for neighbours at the least spacing. A neighbour further away counts less, in proportion.
            0 is a mixture alone.
        inference: ``"mean-field"``: neighbours' classes count by how likely they are. ``"icm"``: only their likeliest
            class counts; quicker to settle, and more easily stuck.
        iterations: The most rounds of expectation and maximisation, ≥ 1.
        mask: Only where this label map is not 0.
        background: Voxels whose every channel has this value are left out; the 0 around a brain whose skull has been
            taken away.
        names: Of the classes, dark to bright, as ``("csf", "grey matter", "white matter")``; ``"class 1"`` and so on
            when left out.
        most_classes: The most classes to try when ``classes`` is left out, ≥ 2.
        most_samples: With several channels, the voxels that the first mixture is computed from.
        seed: Of the starting means and the sample.

    Returns:
        Classes from 1, by rising mean of the first channel; 0 where no voxel took part.

    Raises:
        DataError: As for `gaussian_mixture`.
        VesaliusError: The inference is unknown.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: scikit-learn is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.where(np.arange(20) < 10, 1.0, 9.0) * np.ones((1, 10, 1))
        >>> array += np.random.default_rng(0).normal(0, 1, array.shape)
        >>> array[0, 5, 4] = 5.3  # noise
        >>> image = Volume(array, Grid.from_spacing((10, 20), (1.0, 1.0)))
        >>> gaussian_mixture(image, classes=2).array[5, 4], mixture_mrf(image, classes=2).array[5, 4]
        (np.uint8(2), np.uint8(1))

    Source: Zhang, Brady, Smith, IEEE Trans. Medical Imaging 20, 2001, doi:10.1109/42.906424 (the field's energy and the
    EM scheme); Besag, J R Stat Soc B 48, 1986 (ICM) and B 36, 1974 (voxels taken in colours); Zhang, IEEE Trans. Signal
    Processing 40, 1992, doi:10.1109/78.157297 (mean field).
    """
    if inference not in get_args(Inference):
        raise VesaliusError(unknown_name("inference", inference, get_args(Inference)))
    if not (math.isfinite(smoothness) and smoothness >= 0) or iterations < 1 or (classes is not None and classes < 2):
        raise DataError(
            "a field needs at least 2 classes, a smoothness of at least 0 and at least 1 iteration, not "
            f"{classes}, {smoothness} and {iterations}"
        )
    inside = voxels_inside(image, mask=mask, background=background)
    features = features_of(image, inside)
    points = points_of(features, most=most_samples, seed=seed)
    if classes is None:
        classes = len(_by_criterion(points, most_classes, seed, least=2).shares)
    # Not from a mixture that has settled without the field: it may have run away from the tissues.
    found = _started(points, classes, seed)
    field = _Field.of(inside, image.grid.spacing_mm, smoothness)
    chances = _settled(features[field.order], found, field, inference, iterations)
    made = np.empty(len(features), np.intp)
    made[field.order] = np.argmax(chances[:, :-1], axis=0)
    return painted(image, inside, made, names)


def fit_mixture(points: Points, classes: int, *, seed: int = 0, iterations: int = 500) -> tuple[Mixture, float]:
    """Fit a mixture of Gaussians by expectation and maximisation, starting from K-means.

    Args:
        points: What it is fitted to.
        classes: How many Gaussians, ≥ 1.
        seed: Of K-means.
        iterations: The most rounds.

    Returns:
        The mixture and the logarithm of its likelihood, of all voxels together.

    Raises:
        DataError: There are fewer different points than classes.

    Example:
        >>> points = points_of(np.array([[0.0], [2.0]]), most=10, seed=0)
        >>> found, _ = fit_mixture(points, 1)
        >>> found.means.tolist(), found.covariances.round(3).tolist()
        ([[1.0]], [[[1.0]]])
    """
    found = _started(points, classes, seed)
    last = -math.inf
    for _ in range(iterations):
        joint = found.log_densities(points.values) + np.log(found.shares)[:, None]
        top = joint.max(axis=0)
        chances = np.exp(joint - top)
        total = chances.sum(axis=0)
        likelihood = float(points.weights @ (top + np.log(total)))
        if likelihood - last < 1e-7 * points.weights.sum():
            break
        last = likelihood
        found = _maximised(points.values, chances / total * points.weights)
    return found, likelihood


def _started(points: Points, classes: int, seed: int) -> Mixture:
    """The mixture of the classes of K-means."""
    if classes < 1:
        raise DataError(f"classes must be at least 1, not {classes}")
    centres = first_centres(points, classes, seed) if classes > 1 else points.values[:1]
    near = nearest(points.values, centres) == np.arange(classes)[:, None]
    return _maximised(points.values, near * points.weights)


def _by_criterion(points: Points, most_classes: int, seed: int, *, least: int = 1) -> Mixture:
    """The mixture of the least Bayesian information criterion."""
    if most_classes < least:
        raise DataError(f"most_classes must be at least {least}, not {most_classes}")
    different = len(np.unique(points.values, axis=0))
    best, found = math.inf, None
    for count in range(least, min(most_classes, max(different, least)) + 1):
        mixture, likelihood = fit_mixture(points, count, seed=seed)
        axes = points.values.shape[1]
        free = count - 1 + count * axes + count * axes * (axes + 1) // 2
        criterion = free * math.log(points.weights.sum()) - 2.0 * likelihood
        if criterion < best:
            best, found = criterion, mixture
    assert found is not None  # at least one count was tried
    return found


def _maximised(values: NDArray[np.float64], weights: NDArray[np.floating]) -> Mixture:
    """Shares, means and covariances by ``(k, n)`` weights."""
    count, axes = len(weights), values.shape[1]
    sizes, sums, squares = np.zeros(count), np.zeros((count, axes)), np.zeros((count, axes, axes))
    for part in _chunks(len(values)):
        there, weight = values[part], weights[:, part].astype(np.float64)
        sizes += weight.sum(axis=1)
        # Not by matrix products: so thin ones keep every core busy for nothing.
        sums += np.einsum("kn,nf->kf", weight, there)
        for a, b in np.ndindex(axes, axes):
            squares[:, a, b] += np.einsum("kn,n->k", weight, there[:, a] * there[:, b])
    sizes = np.maximum(sizes, 1e-12)
    means = sums / sizes[:, None]
    covariances = squares / sizes[:, None, None] - means[:, :, None] * means[:, None, :]
    # Features are in standard deviations, so that one bound serves all.
    covariances = (covariances + covariances.swapaxes(1, 2)) / 2 + _LEAST**2 * np.eye(axes)
    return Mixture(sizes / sizes.sum(), means, covariances)


@dataclass(frozen=True, eq=False)
class _Field:
    """Who is whose neighbour.

    The voxels are taken in two parts, as the squares of a chessboard: all neighbours of one colour are of the other, so
    that a colour can be worked out at once, and what one round has found does not swing back in the next.

    Args:
        order: ``(n,)``: the voxels in index order, white before black.
        whites: How many of them are white.
        neighbours: ``(2 axes, n)``: places in that order; n where there is no neighbour.
        weights: ``(2 axes,)``, how much each neighbour counts.
    """

    order: NDArray[np.intp]
    whites: int
    neighbours: NDArray[np.int32]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, inside: NDArray[np.bool_], spacing_mm: tuple[float, ...], smoothness: float) -> _Field:
        count = int(inside.sum())
        parity = np.add.reduce(np.nonzero(inside)) % 2
        order = np.argsort(parity, kind="stable")
        place = np.full(tuple(n + 2 for n in inside.shape), count, np.int32)
        core = tuple(slice(1, -1) for _ in inside.shape)
        numbers = np.empty(count, np.int32)
        numbers[order] = np.arange(count, dtype=np.int32)
        place[core][inside] = numbers
        neighbours = np.empty((2 * inside.ndim, count), np.int32)
        for axis in range(inside.ndim):
            for side in (0, 1):
                shifted = list(core)
                shifted[axis] = slice(2, None) if side else slice(None, -2)
                neighbours[2 * axis + side] = place[tuple(shifted)][inside][order]
        weights = smoothness * min(spacing_mm) / np.repeat(spacing_mm, 2)
        return cls(order, count - int(parity.sum()), neighbours, weights)

    def colours(self) -> Iterator[slice]:
        """The voxels in parts that are no neighbours of each other, white ones first."""
        for low, high in ((0, self.whites), (self.whites, len(self.order))):
            for start in range(low, high, _CHUNK):
                yield slice(start, min(start + _CHUNK, high))


def _settled(
    values: NDArray[np.float64], found: Mixture, field: _Field, inference: Inference, iterations: int
) -> NDArray[np.float32]:
    """The chances of each class, ``(k, n + 1)``; the last column, for neighbours that are not there, is 0."""
    count = len(found.means)
    chances = np.zeros((count, len(values) + 1), np.float32)
    for part in _chunks(len(values)):
        score = found.log_densities(values[part]) + np.log(found.shares)[:, None]
        chances[:, part.start : part.start + score.shape[1]] = _chances(score, inference)
    for _ in range(iterations):
        # The field takes the place of the shares: a class is as likely as the neighbours make it.
        moved = 0.0
        for part in field.colours():
            score = found.log_densities(values[part])
            for neighbours, weight in zip(field.neighbours, field.weights, strict=True):
                score += np.float32(weight) * chances.take(neighbours[part], axis=1)
            fresh = _chances(score, inference)
            moved += float(np.abs(fresh - chances[:, part]).sum())
            chances[:, part] = fresh
        found = _maximised(values, chances[:, :-1])
        if moved < _SETTLED * len(values):
            break
    return chances


def _chances(score: NDArray[np.float64], inference: Inference) -> NDArray[np.float32]:
    """Chances from their logarithms, ``(k, n)``, which may be short of a constant; of ICM's, the likeliest has all."""
    if inference == "icm":
        likeliest: NDArray[np.bool_] = np.argmax(score, axis=0) == np.arange(len(score))[:, None]
        return likeliest.astype(np.float32)
    chances: NDArray[np.float32] = np.exp((score - score.max(axis=0)).astype(np.float32))
    chances /= chances.sum(axis=0)
    return chances


def _chunks(length: int) -> Iterator[slice]:
    return (slice(low, low + _CHUNK) for low in range(0, length, _CHUNK))
