"""What a voxel's neighbourhood looks like."""

import numpy as np
import pytest
from scipy import ndimage

from vesalius.classical.pixels.features import FAMILIES, Features, feature_slabs
from vesalius.classical.pixels.texture import cooccurrence, gabor, local_binary_pattern
from vesalius.errors import DataError
from vesalius.image import Grid, Volume


def picture(*shape, spacing=None, seed=0):
    array = np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)
    return Volume(array, Grid.from_spacing(shape, spacing or (1.0,) * len(shape)))


def whole(image, features, **how):
    made = list(feature_slabs(image, features, **how))
    assert [rows.start for rows, _ in made[1:]] == [rows.stop for rows, _ in made[:-1]]
    return np.concatenate([values for _, values in made], axis=1)


def one(image, name, families, scale=2.0):
    features = Features((scale,), families, "none")
    return whole(image, features)[features.names(image.grid.ndim, 1).index(name)]


@pytest.mark.parametrize("shape", [(70, 20), (40, 9, 8)])
def test_pieces_say_what_the_whole_does(shape):
    image = picture(*shape)
    features = Features((0.7, 1.5), FAMILIES)
    at_once = whole(image, features)
    assert len(at_once) == len(features.names(len(shape), 1))
    small = whole(image, features, slab_bytes=8 * at_once[:, 0].nbytes)
    np.testing.assert_allclose(small, at_once, atol=2e-5)


def test_the_edge_of_a_step_has_the_gradient_of_the_error_function():
    image = Volume(np.repeat([0.0, 1.0], 20)[None, :, None].repeat(12, 2), Grid.from_spacing((40, 12), (1.0, 1.0)))
    found = one(image, "gradient 2", ("edge",))
    assert found.argmax(axis=0)[5] in (19, 20)
    # The derivative of a smoothed step of height 1 half a voxel from it, times sigma.
    expected = np.exp(-0.5 * (0.5 / 2) ** 2) / np.sqrt(2 * np.pi)
    assert found[19, 5] == pytest.approx(expected, rel=0.01)


def test_scales_are_in_mm():
    coarse = picture(30, 24, spacing=(2.0, 1.0))
    found = one(coarse, "smoothed 2", ("intensity",))
    np.testing.assert_allclose(found, ndimage.gaussian_filter(coarse.array[0], (1.0, 2.0), mode="nearest"), atol=1e-6)


def test_a_ridge_has_one_large_negative_curvature():
    i = np.arange(41.0)
    ridge = np.exp(-0.5 * ((i - 20) / 2) ** 2)[None, :, None].repeat(41, 2)
    image = Volume(ridge, Grid.from_spacing((41, 41), (1.0, 1.0)))
    large, small = one(image, "hessian large 2", ("shape",)), one(image, "hessian small 2", ("shape",))
    # A Gaussian of variance 4 smoothed by one of variance 4: its curvature at the top, times sigma squared.
    assert small[20, 20] == pytest.approx(-4 * np.sqrt(4 / 8) / 8, rel=0.02)
    assert large[20, 20] == pytest.approx(0, abs=1e-3)


def test_features_turn_with_a_turned_image():
    image = picture(16, 12, 9)
    features = Features((1.0,), ("intensity", "edge", "texture", "shape"))
    turned = Volume(image.array[:, ::-1].transpose(0, 3, 1, 2), Grid.from_spacing((9, 16, 12), (1.0,) * 3))
    back = whole(turned, features).transpose(0, 2, 3, 1)[:, ::-1]
    np.testing.assert_allclose(back, whole(image, features), atol=1e-4)


def test_texture_tells_stripes_from_noise_and_flat():
    j = np.arange(48)[None].repeat(48, 0)
    limits = (0.0, 1.0)
    stripes = 0.5 + 0.5 * np.sin(2 * np.pi * j / 4.0)
    energy = gabor(stripes, 2.0, limits)[0][24, 24]
    noise = np.random.default_rng(0).uniform(size=(48, 48))
    assert energy > 5 * gabor(noise, 2.0, limits)[0][24, 24]
    assert gabor(np.full((48, 48), 7.0), 2.0, limits).max() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(local_binary_pattern(np.full((20, 20), 3.0), 2.0, limits).sum(axis=0), 1, rtol=1e-5)


def test_cooccurrence_of_a_plane_of_one_level():
    contrast, homogeneity, energy, correlation = cooccurrence(np.full((12, 12), 5.0), 1.0, (5.0, 5.0))
    assert contrast.max() == 0
    for one_of in (homogeneity, energy, correlation):
        np.testing.assert_allclose(one_of, 1, rtol=1e-4)


def test_cooccurrence_is_scikit_images_of_a_texture_that_is_alike_everywhere():
    graycomatrix = pytest.importorskip("skimage.feature").graycomatrix
    graycoprops = pytest.importorskip("skimage.feature").graycoprops
    levels = ndimage.median_filter(np.random.default_rng(2).integers(0, 8, (400, 400)), 3)  # alike everywhere
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    joint = graycomatrix(levels.astype(np.uint8), [1], angles, levels=8, symmetric=True, normed=True)
    joint = joint.mean(axis=(2, 3), keepdims=True)
    found = cooccurrence(levels + 0.5, 20.0, (0.0, 8.0))[:, 200, 200]
    expected = [graycoprops(joint, name)[0, 0] for name in ("contrast", "homogeneity", "energy", "correlation")]
    np.testing.assert_allclose(found, expected, rtol=0.05)


@pytest.mark.parametrize("scales", [(), (0.0,), (2.0, 1.0), (1.0, 1.0), (float("nan"),)])
def test_scales_rise(scales):
    with pytest.raises(DataError, match="rising, positive"):
        Features(scales)


def test_families_are_named_once():
    with pytest.raises(DataError, match="once"):
        Features((1.0,), ("edge", "edge"))
