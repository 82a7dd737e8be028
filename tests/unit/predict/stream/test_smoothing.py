"""A mean over time that knows when to begin anew."""

import numpy as np
import pytest
from films import picture

from vesalius.errors import PlanError
from vesalius.image import Volume
from vesalius.io.footage import Frame
from vesalius.predict.stream import Smoothing
from vesalius.predict.stream.smoothing import difference


def grey(value, shape=(20, 18), dtype=np.uint8):
    image = picture(0, shape)
    return Volume(np.full((1, *shape), value, dtype), image.grid, image.meta)


def chances(value):
    return np.full((2, 20, 18), value, np.float32)


def add(smoothing, index, value, image=None, at_s=None, gap_s=9):
    at_s = index / 25 if at_s is None else at_s
    frame = Frame(index, image or grey(100), None)
    mean, anew = smoothing.add(frame, chances(value), at_s, gap_s=gap_s)
    assert mean.min() == mean.max()
    return float(mean[0, 0, 0]), anew


def test_the_mean_is_exponential():
    smoothing, expected = Smoothing(0.3), 1.0
    assert add(smoothing, 0, 1.0) == (1.0, True)
    for index, value in enumerate([0.0, 0.5, 0.25, 1.0], start=1):
        expected = 0.7 * expected + 0.3 * value
        mean, anew = add(smoothing, index, value)
        assert mean == pytest.approx(expected, rel=1e-6)
        assert not anew


def test_frames_that_were_dropped_count_as_if_they_had_been_like_this_one():
    one, other = (Smoothing(0.3) for _ in range(2))
    add(one, 0, 1.0)
    add(other, 0, 1.0)
    for index in (1, 2, 3):
        expected, _ = add(one, index, 0.0)
    assert add(other, 3, 0.0)[0] == pytest.approx(expected, rel=1e-6)


def test_an_alpha_of_one_is_no_smoothing():
    smoothing = Smoothing(1.0)
    add(smoothing, 0, 1.0)
    assert add(smoothing, 1, 0.0) == (0.0, False)


def test_a_gap_begins_anew():
    smoothing = Smoothing(0.5)
    add(smoothing, 0, 1.0, at_s=0.0)
    assert add(smoothing, 1, 0.0, at_s=0.2, gap_s=0.2) == (0.5, False)
    assert add(smoothing, 2, 0.0, at_s=0.41, gap_s=0.2) == (0.0, True)
    assert add(smoothing, 3, 1.0, at_s=0.3, gap_s=0.2) == (1.0, True), "time went back: other footage"


def test_a_cut_begins_anew_and_a_slow_change_does_not():
    smoothing = Smoothing(0.5)
    add(smoothing, 0, 1.0, grey(100))
    assert not add(smoothing, 1, 1.0, grey(120))[1]
    assert add(smoothing, 2, 0.0, grey(180)) == (0.0, True)
    assert not add(smoothing, 3, 1.0, grey(181))[1]


def test_a_camera_that_moves_all_the_time_makes_no_scenes():
    # Noise against noise: large differences, but always as large.
    smoothing = Smoothing(0.5)
    begun = [add(smoothing, index, 1.0, picture(index))[1] for index in range(8)]
    assert difference(picture(0), picture(1)) > 0.2
    assert begun == [True, True, *[False] * 6]  # of the second frame nobody knows yet that this is how they move


def test_another_size_begins_anew():
    smoothing = Smoothing(0.5)
    add(smoothing, 0, 1.0)
    small = Frame(1, grey(100, (8, 8)), None)
    mean, anew = smoothing.add(small, np.zeros((2, 8, 8), np.float32), 0.04, gap_s=9)
    assert anew
    assert not mean.any()


def test_differences_know_the_range_of_values():
    assert difference(grey(0), grey(51)) == pytest.approx(0.2)
    assert difference(grey(7), grey(7)) == 0
    ramp = np.linspace(0, 4000, 360).reshape(20, 18)
    one, other = (Volume(a[None].astype(np.int16), grey(0).grid) for a in (ramp, ramp + 400))
    assert difference(one, other) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("alpha", [0.0, 1.1, float("nan")])
def test_a_weight_out_of_range_is_refused(alpha):
    with pytest.raises(PlanError, match="weight of a new frame must be above 0"):
        Smoothing(alpha)
