"""Several networks have a say: members, partners; and which of them are asked."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import drawn_bundle

from vesalius.bundle import Bundle
from vesalius.errors import BundleError
from vesalius.image import Grid, Volume
from vesalius.nets import UNetSpec
from vesalius.predict import Segmenter, load_segmenter, segment
from vesalius.predict.chances import add_probabilities, likeliest_classes, to_probabilities

pytestmark = pytest.mark.usefixtures("single_precision")


@pytest.fixture(scope="module")
def partner(bundle: Bundle) -> Bundle:
    """Another configuration: a smaller network at another spacing."""
    network = UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(8, 16))
    plan = replace(bundle.plan, spacing_mm=(1.5, 1.0, 1.0), network=network, mirror_axes=(0,))
    return drawn_bundle(plan, seed=11, name="partner")


def chances(image: Volume, bundle: Bundle, **how: object) -> np.ndarray:
    prediction = segment(image, bundle, probabilities=True, **how)
    assert prediction.probabilities is not None
    return prediction.probabilities.array


# --- members ----------------------------------------------------------------------------------------------------------


def test_two_identical_members_are_one(bundle, image):
    twice = replace(bundle, members=bundle.members * 2)
    assert np.array_equal(chances(image, twice), chances(image, bundle))
    assert segment(image, twice).provenance["members"] == [0, 1]


def test_the_logits_of_members_are_averaged(bundle, image):
    several = drawn_bundle(bundle.plan, members=2)
    first, second = (np.log(chances(image, several, members=[n], mirror=False)) for n in range(2))
    mean = np.exp((first + second) / 2)
    np.testing.assert_allclose(chances(image, several, mirror=False), mean / mean.sum(axis=0), atol=1e-5)


def test_some_members_may_be_chosen(bundle, image):
    several = drawn_bundle(bundle.plan, members=3)
    for number in range(3):
        alone = replace(several, members=(several.members[number],))
        assert np.array_equal(chances(image, several, members=[number]), chances(image, alone))
    pair = replace(several, members=(several.members[2], several.members[0]))
    np.testing.assert_allclose(chances(image, several, members=[2, 0]), chances(image, pair), atol=1e-6)


@pytest.mark.parametrize("members", [[], [0, 0], [-1], [3], [0, 7]])
def test_members_that_are_not_there(members, bundle, image):
    with pytest.raises(BundleError, match="members must be different numbers of 0 to 2"):
        segment(image, drawn_bundle(bundle.plan, members=3), members=members)


def test_a_choice_of_members_holds_for_partners_that_have_several(bundle, partner):
    folds = drawn_bundle(partner.plan, members=2)
    several = replace(drawn_bundle(bundle.plan, members=2), partners=(partner, folds))
    ready = load_segmenter(several, device="cpu", members=[1])
    assert [one.members for one in (ready, *ready.partners)] == [(1,), (0,), (1,)]
    with pytest.raises(BundleError, match="numbers of 0 to 1"):
        load_segmenter(replace(drawn_bundle(bundle.plan, members=3), partners=(folds,)), members=[2])


# --- partners ---------------------------------------------------------------------------------------------------------


def test_the_probabilities_of_partners_are_averaged(bundle, partner, image):
    both = replace(bundle, partners=(partner,))
    expected = (chances(image, bundle) + chances(image, partner)) / 2
    prediction = segment(image, both, probabilities=True)
    assert prediction.probabilities is not None
    np.testing.assert_allclose(prediction.probabilities.array, expected, atol=1e-5)
    assert prediction.probabilities.grid == image.grid
    assert np.array_equal(prediction.labels.array, prediction.probabilities.array.argmax(axis=0))
    assert prediction.provenance["partners"] == ["partner"]
    assert segment(image, both).probabilities is None
    assert len(np.unique(prediction.labels.array)) > 1


def test_partners_make_no_difference_to_where_an_image_lies(bundle, partner, image):
    both = replace(bundle, partners=(partner,))
    turned = Volume(np.flip(image.array, (1, 3)).transpose(0, 2, 1, 3), image.grid.flip([0, 2]).permute((1, 0, 2)))
    found = segment(turned, both, probabilities=True)
    assert found.probabilities is not None
    back = np.flip(found.labels.array.transpose(1, 0, 2), (0, 2))
    assert np.array_equal(back, segment(image, both).labels.array)
    np.testing.assert_allclose(
        np.flip(found.probabilities.array.transpose(0, 2, 1, 3), (1, 3)), chances(image, both), atol=1e-6
    )


def test_partners_on_disk_are_those_in_memory(bundle, partner, image, monkeypatch):
    both = replace(bundle, partners=(partner,))
    expected = chances(image, both)
    monkeypatch.setattr("vesalius.predict.scratch.IN_MEMORY_BYTES", 0)
    assert np.array_equal(chances(image, both), expected)


def test_outside_the_content_all_is_background(bundle, partner, image):
    framed = Volume(np.pad(image.array, ((0, 0), (4, 0), (0, 0), (0, 0))), image.grid.crop((-4, 0, 0), (24, 18, 16)))
    found = chances(framed, replace(bundle, partners=(partner,)))
    assert (found[0, :3] == 1).all()
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)


def test_progress_goes_from_nothing_to_all_over_every_network(bundle, partner, image):
    told: list[float] = []
    segment(image, replace(bundle, partners=(partner, bundle)), progress=lambda d, t: told.append(d / t))
    assert told == sorted(told)
    assert told[-1] == 1
    assert sum(share <= 1 / 3 + 1e-9 for share in told) >= 2
    assert told[0] < 1 / 3


# --- a segmenter that stands ready ------------------------------------------------------------------------------------


def test_a_segmenter_that_stands_ready_says_the_same(bundle, image):
    ready = load_segmenter(drawn_bundle(bundle.plan, members=2), device="cpu", members=[1])
    assert isinstance(ready, Segmenter)
    found = segment(image, ready, members=[1], device="cpu")
    assert np.array_equal(found.labels.array, segment(image, ready.bundle, members=[1]).labels.array)
    with pytest.raises(BundleError, match=r"was loaded with the members \[1\], not \[0\]"):
        segment(image, ready, members=[0])
    meta = replace(ready, device=torch.device("meta"))
    with pytest.raises(BundleError, match="was loaded on the device meta, not cpu"):
        segment(image, meta, device="cpu")


# --- probabilities ----------------------------------------------------------------------------------------------------


def test_extreme_logits_are_probabilities_all_the_same():
    logits = np.array([[-1e4, 0.0, 1e4], [1e4, 0.0, -1e4]], np.float32).reshape(2, 3, 1)
    soft, sigmoid = logits.copy(), logits.copy()
    to_probabilities(soft, regions=False)
    to_probabilities(sigmoid, regions=True)
    assert np.array_equal(soft[..., 0], [[0, 0.5, 1], [1, 0.5, 0]])
    assert np.array_equal(sigmoid[..., 0], [[0, 0.5, 1], [1, 0.5, 0]])


def test_memory_does_not_grow_with_the_number_of_classes(bundle, rng):
    grid = Grid.from_spacing((64, 64, 64), (1.0, 1.0, 1.0))

    def peak(classes: int) -> int:
        logits = rng.normal(size=(classes, *grid.shape)).astype(np.float32)
        total = np.zeros_like(logits)
        tracemalloc.start()
        add_probabilities(total, logits, grid, grid, regions=False, share=0.5)
        likeliest_classes(total, bundle.plan)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    few, many = peak(2), peak(20)
    assert many < few * 1.5
    assert many < 20 * grid.shape[0] ** 3
