"""Regions that overlap: a sigmoid for each, painted one over the other on the image's own voxels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import ball_case, drawn_bundle, for_regions

from vesalius.bundle import Bundle
from vesalius.image import Labels, Volume
from vesalius.nets import UNetSpec
from vesalius.plan import prepare
from vesalius.predict import as_it_is, load_segmenter, logits_of, segment
from vesalius.predict.views import views_of
from vesalius.transform import resample

pytestmark = pytest.mark.usefixtures("single_precision")


@pytest.fixture(scope="module")
def regions(bundle: Bundle) -> Bundle:
    return drawn_bundle(replace(for_regions(bundle.plan), spacing_mm=(1.5, 1.2, 1.0)), seed=4)


def scores(image: Volume, bundle: Bundle) -> np.ndarray:
    """Logits of every region on the image's own voxels, all of them at once."""
    prepared = prepare(image, bundle.plan)
    (network,) = load_segmenter(bundle, device="cpu").networks
    with logits_of(prepared, as_it_is(network), bundle.plan, views=views_of(bundle.plan.mirror_axes)) as logits:
        return resample(Volume(np.array(logits), prepared.grid), image.grid, fill=-1).array


def test_regions_are_painted_in_order_where_their_logits_are_positive(regions, image):
    found = segment(image, regions).labels
    whole, core = scores(image, regions)
    plain = np.zeros(image.grid.shape, np.uint8)
    plain[whole > 0] = 1
    plain[core > 0] = 2
    sure = (np.abs(whole) > 1e-5) & (np.abs(core) > 1e-5)
    assert np.array_equal(found.array[sure], plain[sure])
    assert set(np.unique(found.array)) == {0, 1, 2}
    assert found.labels == regions.plan.labels


def test_a_probability_for_each_output(regions, image):
    found = segment(image, regions, probabilities=True).probabilities
    assert found is not None
    assert found.array.shape == (2, *image.grid.shape)
    prepared = prepare(image, regions.plan)
    (network,) = load_segmenter(regions, device="cpu").networks
    with logits_of(prepared, as_it_is(network), regions.plan, views=views_of(regions.plan.mirror_axes)) as logits:
        sigmoid = torch.sigmoid(torch.from_numpy(np.array(logits))).numpy()
    expected = resample(Volume(sigmoid, prepared.grid), image.grid).array
    np.testing.assert_allclose(found.array, expected, atol=1e-5)


def test_values_follow_the_labels_not_their_order(regions, image):
    labels = Labels.of({"ball": 9, "core": 300}, regions={"whole": (9, 300)})
    renamed = replace(regions, plan=replace(regions.plan, labels=labels))
    plain = segment(image, regions).labels.array
    assert np.array_equal(segment(image, renamed).labels.array, np.array([0, 9, 300])[plain])


def test_partners_for_regions(regions, bundle, image):
    network = UNetSpec.plain(ndim=3, in_channels=1, out_channels=2, features=(8, 16))
    partner = drawn_bundle(replace(for_regions(bundle.plan), network=network), seed=6)
    found = segment(image, replace(regions, partners=(partner,)), probabilities=True)
    assert found.probabilities is not None
    each = [segment(image, one, probabilities=True).probabilities for one in (regions, partner)]
    mean = np.mean([one.array for one in each if one is not None], axis=0)
    np.testing.assert_allclose(found.probabilities.array, mean, atol=1e-5)
    painted = np.where(mean[1] > 0.5, 2, np.where(mean[0] > 0.5, 1, 0))
    sure = (np.abs(mean - 0.5) > 1e-4).all(axis=0)
    assert np.array_equal(found.labels.array[sure], painted[sure])


def test_outside_the_content_no_region_is_on(regions):
    inner = ball_case(1, shape=(20, 18, 16)).image
    framed = Volume(np.pad(inner.array, ((0, 0), (4, 0), (0, 0), (0, 0))), inner.grid.crop((-4, 0, 0), (24, 18, 16)))
    found = segment(framed, regions, probabilities=True)
    assert found.probabilities is not None
    assert not found.labels.array[:3].any()
    assert not found.probabilities.array[:, :3].any()
