"""Outer regions: what was found, and what is likely enough beside it."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import drawn_bundle, for_regions

from vesalius.bundle.calibration import Calibration
from vesalius.errors import BundleError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.predict import Prediction, segment
from vesalius.predict.outer import outer_regions, outer_thresholds


def test_they_hold_what_was_found_and_what_is_likely_enough(bundle):
    grid, labels = Grid.from_spacing((1, 1, 4), (1.0, 1.0, 1.0)), Labels.of({"ball": 5, "core": 2})
    plan = replace(bundle.plan, labels=labels)
    chances = np.array([[0.9, 0.1, 0.4, 0.75], [0.1, 0.8, 0.35, 0.25], [0, 0.1, 0.25, 0]], np.float32)
    found = Prediction(LabelMap(np.array([[[0, 5, 5, 2]]]), grid, labels), Volume(chances.reshape(3, 1, 1, 4), grid))
    regions = outer_regions(found, plan, {"ball": 0.25, "core": 0.2})
    assert regions["ball"].array.ravel().tolist() == [0, 1, 1, 1]  # 0.25 reaches 0.25
    assert regions["core"].array.ravel().tolist() == [0, 0, 1, 1]  # found, however unlikely
    assert [region.labels.names for region in regions.values()] == [("ball",), ("core",)]


def test_of_a_plan_for_regions_the_outputs_have_them(bundle, image):
    other = drawn_bundle(for_regions(bundle.plan))
    said = segment(image, other, probabilities=True)
    whole = outer_regions(said, other.plan, {"whole": 0.3})["whole"]
    expected = (said.labels.array > 0) | (said.probabilities.array[0] >= np.float32(0.3))
    assert np.array_equal(whole.array > 0, expected)
    with pytest.raises(BundleError, match="'ball', which is none of the segmenter's outputs"):
        outer_regions(said, other.plan, {"ball": 0.3})
    with pytest.raises(BundleError, match="has none"):
        outer_regions(replace(said, probabilities=None), other.plan, {"whole": 0.3})


def test_only_what_is_promised_can_be_asked_for(bundle):
    promised = Calibration(on="", cases=9, persons=9, level=0.9, outer={0.1: {"core": 0.2}, 0.2: {"core": 0.4}})
    mine = bundle.with_card(calibration=promised)
    assert outer_thresholds(mine, 0.1) == {"core": 0.2}
    with pytest.raises(
        BundleError, match=r"regions that miss 0\.15 of a structure: it is for regions that miss 0\.1, 0\.2"
    ):
        outer_thresholds(mine, 0.15)
    with pytest.raises(BundleError, match="calibrate it on labelled cases"):
        outer_thresholds(bundle, 0.1)
