"""Mixtures: heaps of different size and spread, and what neighbours have to say."""

import numpy as np
import pytest

from vesalius.classical.clusters import kmeans
from vesalius.classical.mixture import fit_mixture, gaussian_mixture, mixture_mrf
from vesalius.classical.samples import points_of
from vesalius.errors import VesaliusError
from vesalius.image import Grid, Volume


def noisy_blobs(rng, shape=(48, 40), spacing=(1.0, 1.0), spread=1.0):
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(rng.normal(size=shape), [4.0 / s for s in spacing])
    reference = np.digitize(field, np.quantile(field, [0.35, 0.7])) + 1
    array = reference * 2.0 + rng.normal(0, spread, shape) + 20.0
    return Volume(array[None], Grid.from_spacing(shape, spacing)), reference


def test_classes_of_other_size_and_spread(rng):
    # Between a narrow and a wide heap the border is nearer to the narrow one than half way, where K-means puts it.
    values = np.concatenate((rng.normal(0, 0.5, 5000), rng.normal(6, 2.0, 5000)))
    image = Volume(values.reshape(1, 100, 100), Grid.from_spacing((100, 100), (1.0, 1.0)))
    border = [values.reshape(100, 100)[m(image, classes=2).array == 1].max() for m in (gaussian_mixture, kmeans)]
    # Where both densities are alike: 2 x² - (x-6)²/8 = ln 4.
    wanted = max(np.roots([2 - 0.125, 1.5, -4.5 - np.log(4)]))
    assert border[0] == pytest.approx(wanted, abs=0.1)
    assert border[1] > wanted + 0.5


def test_parameters_are_those_that_made_the_data(rng):
    covariance = np.array([[1.0, 0.8], [0.8, 2.0]])
    values = np.concatenate((rng.multivariate_normal([0, 0], covariance, 6000), rng.normal([8, 3], 0.7, (2000, 2))))
    found, _ = fit_mixture(points_of(values, most=10_000, seed=0), 2)
    first = int(np.argmax(found.shares))
    assert found.shares[first] == pytest.approx(0.75, abs=0.01)
    np.testing.assert_allclose(found.means[first], [0, 0], atol=0.06)
    np.testing.assert_allclose(found.covariances[first], covariance, atol=0.12)
    np.testing.assert_allclose(found.covariances[1 - first], 0.49 * np.eye(2), atol=0.06)


def test_densities_are_those_of_the_normal_distribution(rng):
    from scipy.stats import multivariate_normal

    values = rng.normal(size=(400, 3)) * [1, 2, 3]
    found, _ = fit_mixture(points_of(values, most=1000, seed=0), 1)
    wanted = multivariate_normal(found.means[0], found.covariances[0]).logpdf(values)
    np.testing.assert_allclose(found.log_densities(values)[0], wanted)


@pytest.mark.parametrize("inference", ["mean-field", "icm"])
@pytest.mark.parametrize(("shape", "spacing"), [((48, 40), (1.0, 1.0)), ((20, 22, 14), (1.0, 1.0, 1.0))])
def test_neighbours_take_noise_away(inference, shape, spacing, rng):
    image, reference = noisy_blobs(rng, shape, spacing)
    alone = (gaussian_mixture(image).array == reference).mean()
    centres = (kmeans(image).array == reference).mean()
    field = (mixture_mrf(image, inference=inference).array == reference).mean()
    assert field > centres + 0.08
    assert field > alone + 0.08


def test_without_smoothness_neighbours_have_no_say(rng):
    image, _ = noisy_blobs(rng)
    shuffled = rng.permutation(image.array.size)
    mixed = image.with_array(image.array.ravel()[shuffled].reshape(image.array.shape))
    one, other = (mixture_mrf(x, smoothness=0.0).array.ravel() for x in (image, mixed))
    np.testing.assert_array_equal(one[shuffled], other)


def test_neighbours_far_apart_say_less():
    # Voxels that are a little more likely bright, in the dark: four neighbours overrule them, two do not.
    array = np.zeros((1, 9, 40)) + np.random.default_rng(0).normal(0, 0.5, (1, 9, 40))
    array[0, :, 20:] += 4.0
    array[0, 4, 2:17:3] = 2.2
    near, far = (
        mixture_mrf(Volume(array, Grid.from_spacing((9, 40), (spacing, 1.0))), classes=2, background=None).array
        for spacing in (1.0, 20.0)
    )
    assert (far[4, 2:17:3] == 2).all()
    assert (near[4, 2:17:3] == 1).all()


def test_several_channels_tell_more_than_one(rng):
    image, reference = noisy_blobs(rng, spread=1.5)
    other = reference * -2.0 + rng.normal(0, 1.5, reference.shape)
    both = Volume(np.stack([image.array[0], other]), image.grid)
    one, two = ((mixture_mrf(x).array == reference).mean() for x in (image, both))
    assert two > one


def test_thousands_of_pieces_are_no_neighbours_of_each_other():
    # On a chessboard of background no voxel has a neighbour: the field says nothing.
    array = np.random.default_rng(0).normal(50, 10, (1, 30, 30))
    array[0][np.indices((30, 30)).sum(0) % 2 == 0] = 0.0
    image = Volume(array, Grid.from_spacing((30, 30), (1.0, 1.0)))
    one, other = (mixture_mrf(image, classes=2, smoothness=s).array for s in (0.0, 5.0))
    np.testing.assert_array_equal(one, other)
    assert not one[array[0] == 0].any()


def test_an_inference_that_does_not_exist(rng):
    with pytest.raises(VesaliusError, match="did you mean 'icm'"):
        mixture_mrf(noisy_blobs(rng)[0], inference="ism")  # type: ignore[arg-type]
