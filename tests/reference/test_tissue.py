"""Clusters and mixtures agree with scikit-learn, and a Markov random field is worth its time on a real brain."""

import numpy as np
import pytest

from vesalius.classical import find
from vesalius.classical.mixture import fit_mixture
from vesalius.classical.samples import points_of
from vesalius.image import Grid, LabelMap, Labels, Volume

pytest.importorskip("sklearn")

# FreeSurfer's values of each tissue. Of fluid only the ventricles are labelled.
CSF = (4, 5, 14, 15, 24, 43, 44, 72)
GREY = (3, 8, 10, 11, 12, 13, 17, 18, 26, 42, 47, 49, 50, 51, 52, 53, 54, 58)
WHITE = (2, 7, 16, 28, 41, 46, 60, 77, 85, 251, 252, 253, 254, 255)
NAMES = ("csf", "grey matter", "white matter")


def heaps(rng, shape=(40, 50)):
    values = rng.choice([10.0, 16.0, 30.0], shape, p=[0.5, 0.3, 0.2]) + rng.normal(0, 2.0, shape)
    return Volume(values[None], Grid.from_spacing(shape, (1.0,) * len(shape)))


def ranked(classes, values):
    """Classes from 1 by rising mean, as ours are."""
    means = [values[classes == k].mean() for k in range(classes.max() + 1)]
    return np.argsort(np.argsort(means))[classes] + 1


def test_kmeans_is_that_of_scikit_learn(rng):
    from sklearn.cluster import KMeans

    image = heaps(rng)
    values = image.array.reshape(-1, 1)
    theirs = ranked(KMeans(3, n_init=10, random_state=0).fit_predict(values), values[:, 0])
    np.testing.assert_array_equal(find("kmeans")(image).array.ravel(), theirs)


def test_a_mixture_is_that_of_scikit_learn(rng):
    from sklearn.mixture import GaussianMixture

    values = np.concatenate(
        (rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 2000), rng.normal([5, 1], [1, 2], (1000, 2)))
    )
    theirs = GaussianMixture(2, tol=1e-9, max_iter=1000, reg_covar=1e-8, random_state=0).fit(values)
    found, likelihood = fit_mixture(points_of(values, most=10_000, seed=0), 2)
    order = [np.argsort(m[:, 0]) for m in (found.means, theirs.means_)]
    np.testing.assert_allclose(found.means[order[0]], theirs.means_[order[1]], atol=0.01)
    np.testing.assert_allclose(found.covariances[order[0]], theirs.covariances_[order[1]], atol=0.02)
    np.testing.assert_allclose(found.shares[order[0]], theirs.weights_[order[1]], atol=0.002)
    assert likelihood == pytest.approx(theirs.score(values) * len(values), rel=1e-5)


def test_the_number_of_classes_is_that_of_the_criterion(rng):
    from sklearn.mixture import GaussianMixture

    image = heaps(rng)
    values = image.array.reshape(-1, 1)
    criteria = [GaussianMixture(k, n_init=3, random_state=0).fit(values).bic(values) for k in range(1, 6)]
    found = find("gaussian-mixture")(image, classes=None, most_classes=5)
    assert len(found.labels) == int(np.argmin(criteria)) + 1


def test_fuzzy_memberships_are_a_fixed_point(rng):
    # What their papers ask: each centre is the mean of the voxels, weighted by their squared memberships.
    from vesalius.classical.clusters import fuzzy_memberships

    image = heaps(rng)
    values = image.array[0].ravel()
    u = fuzzy_memberships(image, classes=3).array.reshape(3, -1).astype(np.float64)
    centres = (u**2 @ values) / (u**2).sum(axis=1)
    closeness = 1 / (values - centres[:, None]) ** 2
    np.testing.assert_allclose(u, closeness / closeness.sum(axis=0), atol=2e-3)


@pytest.fixture(scope="module")
def brain(shared_data):
    """A T1 without its skull and its tissues; a slab of forty slices is enough to tell."""
    folder = shared_data / "oasis_t1_labels"
    if not folder.is_dir():
        pytest.skip("oasis_t1_labels is not here")
    slab = (slice(None), slice(None), slice(90, 130))
    values = np.load(folder / "subject_1_vol.npz")["vol_data"][slab]
    told = np.load(folder / "subject_1_seg.npz")["vol_data"][slab].astype(int)
    tissue = np.select([np.isin(told, members) for members in (CSF, GREY, WHITE)], (1, 2, 3), 0).astype(np.uint8)
    grid = Grid.from_spacing(values.shape, (1.0, 1.0, 1.0))
    return Volume(values[None].astype(np.float32), grid), LabelMap(
        tissue, grid, Labels.of({name: n for n, name in enumerate(NAMES, 1)})
    )


def scores(found: LabelMap, reference: LabelMap) -> np.ndarray:
    """Dice of each tissue, where there is a reference: FreeSurfer does not label the fluid between the gyri."""
    told = reference.array != 0
    pairs = [((found.array == k) & told, reference.array == k) for k in (1, 2, 3)]
    return np.array([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs])


@pytest.mark.parametrize(("noise", "gain"), [(0.0, 0.002), (0.03, 0.025), (0.06, 0.11)])
def test_a_mixture_with_a_field_beats_kmeans_on_a_brain(brain, noise, gain):
    image, reference = brain
    rng = np.random.default_rng(0)
    values = image.array
    if noise:  # a share of the scanner's range; white matter is at 0.39, grey at 0.25
        values = np.where(values > 0, np.maximum(values + rng.normal(0, noise, values.shape), 1e-6), 0)
    noisy = image.with_array(values.astype(np.float32))
    field = find("mixture-mrf")(noisy, names=NAMES)
    assert field.labels.names == NAMES
    ours, theirs = scores(field, reference), scores(find("kmeans")(noisy, background=0.0), reference)
    assert (ours > theirs).all()
    assert ours.mean() > theirs.mean() + gain
    assert ours.mean() > 0.86
