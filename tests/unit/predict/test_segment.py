"""From an image and a bundle to labels and probabilities on the image's own grid."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import LABELS, ball_case, ball_dataset, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.errors import BundleError, DataError, GeometryError, PlanError
from vesalius.image import Grid, Labels, Meta, Volume
from vesalius.nets import UNetSpec
from vesalius.plan import prepare
from vesalius.predict import as_it_is, load_network, logits_of, segment
from vesalius.predict.views import views_of

_SHAPE = (24, 20, 18)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))


@pytest.fixture(scope="module")
def image() -> Volume:
    return ball_case(1, shape=_SHAPE).image


def framed(image: Volume, border: int) -> Volume:
    """The image in a frame of zeros, each voxel where it was."""
    array = np.pad(image.array, ((0, 0), *[(border, border)] * 3))
    start = (-border,) * 3
    return Volume(array, image.grid.crop(start, array.shape[1:]), image.meta)


def test_labels_lie_on_the_images_grid(bundle, image):
    prediction = segment(image, bundle, mirror=False)
    assert prediction.labels.grid == image.grid
    assert prediction.labels.labels == LABELS
    assert prediction.probabilities is None
    assert prediction.provenance == {
        "bundle": "untrained",
        "members": [0],
        "partners": [],
        "channels": ["T1"],
        "views": [[]],
        "overlap": 0.5,
        "logits_held_as": "float32",
        "focus": None,
        "postprocessing": [],
        "device": "cpu",
    }
    assert set(prediction.labels.counts()) == {0, 1, 2}


def test_the_answer_is_the_networks(bundle):
    """Of an image of one window at the plan's spacing: the argmax of what the network says about its z-score."""
    image = ball_case(4, shape=(16, 16, 16)).image
    network = load_network(bundle.plan.network, bundle.weights, torch.device("cpu"))
    scaled = (image.array - image.array.mean()) / image.array.std()
    with torch.inference_mode():
        logits = network(torch.from_numpy(scaled[None].astype(np.float32)))[0].numpy()
    assert np.mean(segment(image, bundle, mirror=False).labels.array == logits.argmax(axis=0)) > 0.99


def test_mirroring_is_the_mean_over_all_mirror_images(bundle, monkeypatch):
    monkeypatch.setattr("vesalius.predict.backends.eager.fast_dtype", lambda _device: torch.float32)
    image = ball_case(4, shape=(16, 16, 16)).image
    plan = bundle.plan
    prepared = prepare(image, plan)
    network = load_network(plan.network, bundle.weights, torch.device("cpu"))
    with logits_of(prepared, as_it_is(network), plan, views=views_of((0, 2))) as logits:
        found = logits.copy()
    turns = [(), (0,), (2,), (0, 2)]
    total = np.zeros_like(found)
    for turn in turns:
        array = np.flip(prepared.array, [axis + 1 for axis in turn]).copy()
        with logits_of(replace(prepared, array=array), as_it_is(network), plan) as logits:
            total += np.flip(logits, [axis + 1 for axis in turn])
    np.testing.assert_allclose(found, total / len(turns), atol=1e-5)


@pytest.mark.parametrize(
    ("mirror", "views"),
    [
        (None, [[], [1]]),
        (True, [[], [0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]]),
        ("opposite", [[], [0, 1, 2]]),
        (False, [[]]),
    ],
)
def test_mirroring_follows_the_plan_unless_it_is_asked_for(mirror, views, bundle, image):
    changed = replace(bundle, plan=replace(bundle.plan, mirror_axes=(1,)))
    assert segment(image, changed, mirror=mirror).provenance["views"] == views


def test_a_mirrored_patient_gets_left_for_right(bundle, image, single_precision):
    """Whatever the network says: looked at both ways, a patient and the mirror image get the same answer, mirrored."""
    plan = replace(bundle.plan, mirror_axes=(0,), paired_labels=(bundle.plan.labels.values,))
    paired = replace(bundle, plan=plan)
    turned = replace(image, array=np.flip(image.array, 1).copy())
    first, second = plan.labels.values
    found, other = (segment(one, paired, probabilities=True) for one in (image, turned))
    expected = np.flip(other.probabilities.array, 1)[[0, 2, 1]]
    np.testing.assert_allclose(found.probabilities.array, expected, atol=1e-5)
    swapped = np.array([0, second, first])[np.flip(other.labels.array, 0)]
    assert (swapped == found.labels.array).mean() > 0.999  # ties
    assert len(np.unique(found.labels.array)) > 1
    plain = segment(image, replace(paired, plan=replace(plan, paired_labels=())), probabilities=True)
    assert np.abs(plain.probabilities.array - found.probabilities.array).max() > 1e-3


def test_overlap_decides_how_many_windows_there_are(bundle, image):
    def windows(**how: float) -> int:
        seen = []
        segment(image, bundle, mirror=False, progress=lambda done, total: seen.append((done, total)), **how)
        assert seen[-1][0] == seen[-1][1]
        return seen[-1][1]

    assert windows() == windows(overlap=0.5) == windows(overlap=0) == 2 * 2 * 2
    assert windows(overlap=0.75) == 3 * 2 * 2


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.3, 2.5)])
def test_probabilities_add_up_to_one_and_outside_is_background(spacing, bundle):
    inner = ball_case(1, shape=_SHAPE, spacing=spacing).image
    image = framed(inner, 3)
    prediction = segment(image, bundle, mirror=False, probabilities=True)
    chances = prediction.probabilities
    assert chances is not None
    assert chances.grid == image.grid
    assert chances.array.shape == (3, *image.grid.shape)
    np.testing.assert_allclose(chances.array.sum(axis=0), 1, atol=1e-5)
    assert chances.array.min() >= 0
    outside = np.ones(image.grid.shape, bool)
    outside[4:-4, 4:-4, 4:-4] = False
    outside[2:-2, 2:-2, 2:-2] = False  # respacing may reach half a coarse voxel into the frame
    assert (chances.array[0][outside] == 1).all()
    assert (prediction.labels.array[outside] == 0).all()
    assert (chances.array[0][4:-4, 4:-4, 4:-4] < 1).all()


def test_labels_are_the_likeliest_where_nothing_is_respaced(bundle, image):
    prediction = segment(image, bundle, mirror=False, probabilities=True)
    assert prediction.probabilities is not None
    assert np.array_equal(prediction.probabilities.array.argmax(axis=0), prediction.labels.array)


def test_a_frame_of_zeros_changes_nothing(bundle, image):
    inside = segment(framed(image, 5), bundle, mirror=False).labels.array[5:-5, 5:-5, 5:-5]
    assert np.array_equal(inside, segment(image, bundle, mirror=False).labels.array)


def test_logits_on_disk_are_those_in_memory(bundle, image, monkeypatch):
    plan = bundle.plan
    network = load_network(plan.network, bundle.weights, torch.device("cpu"))
    prepared = prepare(image, plan)
    with logits_of(prepared, as_it_is(network), plan) as logits:
        assert not isinstance(logits, np.memmap)
        expected = logits.copy()
    monkeypatch.setattr("vesalius.predict.scratch.IN_MEMORY_BYTES", 0)
    with logits_of(prepared, as_it_is(network), plan) as logits:
        assert isinstance(logits, np.memmap)
        place = logits.filename
        assert np.array_equal(logits, expected)
    assert place is not None
    assert not place.exists()  # type: ignore[union-attr]  # a path was given


def test_values_of_labels_need_not_count_up(bundle, image):
    labels = Labels.of({"ball": 255, "core": 7})
    changed = replace(bundle, plan=replace(bundle.plan, labels=labels))
    found, plain = segment(image, changed, mirror=False).labels, segment(image, bundle, mirror=False).labels
    assert found.labels == labels
    assert np.array_equal(found.array, np.array([0, 255, 7])[plain.array])


def test_a_picture_has_no_place_and_its_probabilities_have_none_either():
    case = ball_case(1, shape=(24, 20))
    flat = untrained_bundle(ball_dataset(2, shape=(24, 20)), patch_size=(16, 16))
    prediction = segment(case.image, flat, probabilities=True)
    assert prediction.labels.grid == case.image.grid
    assert prediction.probabilities is not None
    assert not prediction.probabilities.meta.calibrated


def test_images_that_do_not_suit(bundle, image):
    with pytest.raises(GeometryError, match="the image is 2D and the plan is for 3D"):
        segment(ball_case(1, shape=(24, 20)).image, bundle)
    with pytest.raises(DataError, match="the image has 2 channels; the plan needs T1"):
        segment(Volume(np.repeat(image.array, 2, axis=0), image.grid), bundle)
    with pytest.raises(DataError, match="no physical spacing"):
        segment(Volume(image.array, Grid(image.grid.shape, np.eye(4)), Meta(calibrated=False)), bundle)


def test_arguments_that_cannot_be(bundle, image):
    with pytest.raises(PlanError, match="overlap must be 0 to less than 1"):
        segment(image, bundle, overlap=1.0)
    with pytest.raises(PlanError, match="the device 'abacus' is not there"):
        segment(image, bundle, device="abacus")
    with pytest.raises(BundleError, match="no such bundle: unknown built-in bundle 'hippocampos'"):
        segment(image, "hippocampos")


@pytest.mark.parametrize("fault", ["shape", "missing", "foreign"])
def test_weights_of_another_network_are_refused(fault, bundle):
    spec, weights = bundle.plan.network, dict(bundle.weights)
    assert isinstance(spec, UNetSpec)
    name = next(iter(weights))
    if fault == "shape":
        spec = replace(spec, features=(8, 16, 24))
    elif fault == "missing":
        del weights[name]
    else:
        weights["another"] = weights[name]
    with pytest.raises(BundleError, match="do not belong to the network"):
        load_network(spec, weights, torch.device("cpu"))
