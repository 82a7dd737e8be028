"""The label map of a frame is that of `segment`, whatever the plan."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from films import picture
from phantoms import drawn_bundle, for_regions

from vesalius import segment
from vesalius.errors import DataError, PlanError
from vesalius.image import Grid, Meta, Volume
from vesalius.plan import prepare
from vesalius.plan.preparation import NNUNET, Preparation
from vesalius.predict import load_segmenter
from vesalius.predict.stages import Look
from vesalius.predict.stream import FrameSegmenter
from vesalius.transform import KeepLargest, Postprocessing


def eye_of(bundle, **how):
    look = Look(**{name: how.pop(name) for name in ("mirror", "overlap") if name in how})
    return FrameSegmenter(load_segmenter(bundle, device="cpu", backend="torch-float32"), look, **how)


def bordered(image):
    """The same with an empty border, which is not looked at."""
    array = image.array.copy()
    array[:, :3] = array[:, -1:] = array[:, :, :2] = 0
    return image.with_array(array)


SMALL, LARGE = (10, 12), (37, 29)


@pytest.mark.parametrize("shape", [SMALL, (16, 16), LARGE], ids=["one window, padded", "one window", "several"])
@pytest.mark.parametrize("border", [False, True], ids=["full", "empty border"])
def test_a_frame_is_segmented_as_by_segment(flat, shape, border):
    eye = eye_of(flat)
    for number in range(3):
        image = bordered(picture(number, shape)) if border else picture(number, shape)
        expected = segment(image, eye.segmenter, probabilities=True)
        np.testing.assert_array_equal(eye.labels(image).array, expected.labels.array)
        np.testing.assert_allclose(eye.probabilities(image), expected.probabilities.array, atol=1e-6)
        assert set(np.unique(expected.labels.array)) == {0, 1, 2}


def test_settings_are_those_of_segment(flat):
    image = picture(1, LARGE)
    mirrored = replace(flat, plan=replace(flat.plan, mirror_axes=(0, 1)))
    for bundle, how in ((mirrored, {}), (mirrored, {"mirror": False}), (flat, {"overlap": 0.25})):
        eye = eye_of(bundle, **how)
        np.testing.assert_array_equal(eye.labels(image).array, segment(image, eye.segmenter, **how).labels.array)
    eyes = [eye_of(mirrored), eye_of(flat)]
    assert (eyes[0].labels(image).array != eyes[1].labels(image).array).any()


def test_regions_members_partners_and_clean_up(flat):
    image = picture(2, LARGE)
    several = drawn_bundle(flat.plan, members=2)
    cases = {
        "regions": drawn_bundle(for_regions(flat.plan)),
        "members": several,
        "partners": replace(flat, partners=(drawn_bundle(flat.plan, seed=5),)),
        "clean-up": replace(flat, postprocessing=Postprocessing((KeepLargest(name="ball"),))),
    }
    found = {"plain": eye_of(flat).labels(image).array}
    for name, bundle in cases.items():
        eye = eye_of(bundle)
        expected = segment(image, eye.segmenter, probabilities=True)
        found[name] = eye.labels(image).array
        np.testing.assert_array_equal(found[name], expected.labels.array, name)
        np.testing.assert_allclose(eye.probabilities(image), expected.probabilities.array, atol=1e-6, err_msg=name)
        again = eye.labels_of(eye.probabilities(image), image.grid)
        assert (again.array != expected.labels.array).mean() < 0.01, name
    assert (found["clean-up"] != eye_of(cases["clean-up"], postprocess=False).labels(image).array).any()
    assert len({array.tobytes() for array in found.values()}) == len(found)


@pytest.mark.parametrize(
    "customs", [NNUNET, Preparation(crop="none", window_weight="constant", window_places="regular")]
)
def test_customs_of_others_are_kept(flat, customs):
    eye = eye_of(replace(flat, plan=replace(flat.plan, preparation=customs)))
    image = bordered(picture(2, LARGE))
    expected = segment(image, eye.segmenter, probabilities=True)
    np.testing.assert_array_equal(eye.labels(image).array, expected.labels.array)
    np.testing.assert_allclose(eye.probabilities(image), expected.probabilities.array, atol=1e-6)
    assert (eye_of(flat).probabilities(image) != eye.probabilities(image)).any()


def test_frames_of_another_spacing_are_brought_to_the_plan(flat):
    plan = replace(flat.plan, calibrated=True, spacing_mm=(1.0, 1.5))
    eye = eye_of(replace(flat, plan=plan))
    image = Volume(picture(3, LARGE).array, Grid.from_spacing(LARGE, (0.8, 0.9)), Meta("US"))
    expected = segment(image, eye.segmenter, probabilities=True)
    np.testing.assert_array_equal(eye.labels(image).array, expected.labels.array)
    np.testing.assert_allclose(eye.probabilities(image), expected.probabilities.array, atol=1e-6)
    with pytest.raises(DataError, match="no physical spacing"):
        eye.labels(picture(3, LARGE))


def test_the_whole_frame_is_one_window_of_one_size(flat, monkeypatch):
    eye, seen = eye_of(flat, whole_frame=True), []
    real = type(eye.segmenter).run
    monkeypatch.setattr(
        type(eye.segmenter), "run", lambda self, window, count: seen.append(window) or real(self, window, count)
    )
    image = picture(4, LARGE)
    labels = [eye.labels(image).array, eye.labels(bordered(image)).array]
    assert seen == [(1, 1, 40, 32)] * 2  # to the network's stride of 4 and 8, however much of it is empty
    shown = torch.zeros(1, 1, 40, 32)
    shown[:, :, 1:38, 1:30] = torch.from_numpy(prepare(image, flat.plan).array.copy())
    with torch.inference_mode():
        expected = eye.segmenter.networks[0](shown)[0, :, 1:38, 1:30].argmax(0)
    assert (labels[0] == expected.numpy()).mean() > 0.999
    assert (labels[1][:3] == 0).all()
    fits = picture(5, (16, 16))  # a frame of the patch's size is one window anyhow
    np.testing.assert_array_equal(eye.labels(fits).array, eye_of(flat).labels(fits).array)


def test_what_cannot_look_at_frames_is_refused(flat, bundle):
    with pytest.raises(PlanError, match="frames are pictures, and this segmenter is for 3D"):
        eye_of(bundle)
    with pytest.raises(PlanError, match="single network or its members"):
        eye_of(replace(flat, partners=(drawn_bundle(flat.plan, seed=5),)), whole_frame=True)
    with pytest.raises(PlanError, match="overlap must be"):
        eye_of(flat, overlap=1.0)
