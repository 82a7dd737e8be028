"""Cascades, missing channels and clean-up: what happens before and after the windows."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import as_cascade, ball_case, dataset_of, drawn_bundle, for_regions, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.errors import BundleError, DataError
from vesalius.image import Case, Volume
from vesalius.plan import prepare
from vesalius.predict import as_it_is, coarse_classes, load_segmenter, logits_of, segment, with_coarse
from vesalius.transform import KeepLargest, Postprocessing, RemoveSmall, postprocess

pytestmark = pytest.mark.usefixtures("single_precision")

# --- cascades ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coarse(bundle: Bundle) -> Bundle:
    """It sees half as much, and its clean-up is its own."""
    plan = replace(bundle.plan, configuration="3d_lowres", spacing_mm=(2.0, 2.0, 2.0))
    how = Postprocessing((RemoveSmall(least=1000),))
    return replace(drawn_bundle(plan, seed=24, members=2, name="coarse"), postprocessing=how)


@pytest.fixture(scope="module")
def cascade(bundle: Bundle, coarse: Bundle) -> Bundle:
    return replace(drawn_bundle(as_cascade(bundle.plan), seed=22, name="cascade"), coarse=coarse)


def test_the_fine_stage_sees_what_the_coarse_one_found(cascade, coarse, image):
    plan = cascade.plan
    prepared = prepare(image, plan)
    classes = coarse_classes(image, load_segmenter(coarse, device="cpu"), prepared.grid)
    assert len(np.unique(classes)) > 1
    seen = with_coarse(prepared, classes, plan)
    assert seen.array.shape == (3, *prepared.grid.shape)
    assert np.array_equal(seen.array[0], prepared.array[0])
    assert np.array_equal(seen.array[1:], [classes == 1, classes == 2])
    (network,) = load_segmenter(cascade, device="cpu").networks
    with logits_of(seen, as_it_is(network), plan) as logits:
        expected = logits.argmax(axis=0)
    assert np.array_equal(segment(image, cascade, mirror=False).labels.array, expected)


def test_coarse_classes_are_its_labels_without_clean_up(coarse, image):
    plain = segment(image, coarse, postprocess=False).labels.array
    assert np.array_equal(coarse_classes(image, load_segmenter(coarse, device="cpu"), image.grid), plain)
    assert not segment(image, coarse).labels.array.any()


def test_a_coarse_stage_for_regions_gives_classes(bundle, image):
    regions = drawn_bundle(for_regions(bundle.plan), seed=4)
    classes = coarse_classes(image, load_segmenter(regions, device="cpu"), image.grid)
    assert np.array_equal(classes, segment(image, regions).labels.array)


def test_out_of_fold_members_of_the_coarse_stage(coarse, image):
    one = replace(coarse, members=coarse.members[1:])
    chosen = load_segmenter(coarse, device="cpu", members=[1])
    assert np.array_equal(
        coarse_classes(image, chosen, image.grid),
        coarse_classes(image, load_segmenter(one, device="cpu"), image.grid),
    )


def test_a_cascade_may_be_a_partner(cascade, bundle, image):
    both = replace(bundle, partners=(cascade,))
    told: list[float] = []
    found = segment(image, both, probabilities=True, progress=lambda d, t: told.append(d / t))
    each = [segment(image, one, probabilities=True).probabilities for one in (bundle, cascade)]
    assert found.probabilities is not None
    mean = np.mean([one.array for one in each if one is not None], axis=0)
    np.testing.assert_allclose(found.probabilities.array, mean, atol=1e-5)
    assert told == sorted(told)
    assert told[-1] == 1


def test_a_fine_stage_alone_cannot_segment(cascade, image):
    with pytest.raises(BundleError, match="the bundle does not hold the coarse one"):
        segment(image, replace(cascade, coarse=None))


# --- missing channels -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paired() -> Case:
    case = ball_case(1, shape=(18, 16, 16))
    second = np.sqrt(case.image.array) * 3
    return replace(case, image=Volume(np.concatenate([case.image.array, second]), case.image.grid, case.image.meta))


@pytest.fixture(scope="module")
def strict(paired: Case) -> Bundle:
    return untrained_bundle(dataset_of([paired], ("T1", "FLAIR")), patch_size=(16, 16, 16))


@pytest.fixture(scope="module")
def tolerant(strict: Bundle) -> Bundle:
    learnt = replace(strict.plan.augmentation, channel_dropout_p=0.3)
    return replace(strict, plan=replace(strict.plan, augmentation=learnt))


def only(case: Case, *channels: int) -> Volume:
    return Volume(case.image.array[list(channels)], case.image.grid, case.image.meta)


@pytest.mark.parametrize("present", [0, 1])
def test_a_missing_channel_is_nothing_to_the_network(present, tolerant, paired):
    plan = tolerant.plan
    prepared = prepare(paired.image, plan)
    array = np.array(prepared.array)
    array[1 - present] = 0
    (network,) = load_segmenter(tolerant, device="cpu").networks
    with logits_of(replace(prepared, array=array), as_it_is(network), plan) as logits:
        expected = logits.argmax(axis=0)
    found = segment(only(paired, present), tolerant, channels=[plan.channels[present]], mirror=False)
    assert np.array_equal(found.labels.array, expected)
    assert found.provenance["channels"] == [plan.channels[present]]


def test_channels_may_come_in_another_order(strict, paired):
    turned = segment(only(paired, 1, 0), strict, channels=["FLAIR", "T1"]).labels.array
    assert np.array_equal(turned, segment(paired.image, strict).labels.array)
    assert not np.array_equal(segment(only(paired, 1, 0), strict).labels.array, turned)


def test_a_segmenter_that_never_missed_a_channel_refuses(strict, tolerant, paired):
    with pytest.raises(DataError, match="the image has no T1; this segmenter needs all of T1, FLAIR, because it was"):
        segment(only(paired, 1), strict, channels=["FLAIR"])
    with pytest.raises(DataError, match="the image has no T1"):  # and so does a partner
        segment(only(paired, 1), replace(tolerant, partners=(strict,)), channels=["FLAIR"])


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        (["FLAR"], "unknown channel 'FLAR': did you mean 'FLAIR'"),
        (["T1", "T1"], "once, not"),
        ([], "once, not"),
        (["T1", "FLAIR"], "the image has 1 channels"),
    ],
)
def test_channels_that_cannot_be(channels, words, tolerant, paired):
    with pytest.raises(DataError, match=words):
        segment(only(paired, 1), tolerant, channels=channels)


# --- clean-up ---------------------------------------------------------------------------------------------------------


def test_the_bundles_clean_up_is_applied_unless_it_is_not_wanted(bundle, image):
    how = Postprocessing((KeepLargest(name="core"), RemoveSmall(least=0.02)))
    cleaned = replace(bundle, postprocessing=how)
    plain = segment(image, bundle, probabilities=True)
    found = segment(image, cleaned, probabilities=True)
    assert np.array_equal(found.labels.array, postprocess(plain.labels, how).array)
    assert not np.array_equal(found.labels.array, plain.labels.array)
    assert found.provenance["postprocessing"] == list(how.words)
    assert found.probabilities is not None
    assert plain.probabilities is not None
    assert np.array_equal(found.probabilities.array, plain.probabilities.array)
    untouched = segment(image, cleaned, postprocess=False)
    assert np.array_equal(untouched.labels.array, plain.labels.array)
    assert untouched.provenance["postprocessing"] == []
