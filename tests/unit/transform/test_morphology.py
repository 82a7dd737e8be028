"""Growing and shrinking by millimetres, against balls laid at every voxel."""

import numpy as np
import pytest

from vesalius.transform.boxes import offsets_within
from vesalius.transform.morphology import closed, dilated, eroded

SPACING = (1.0, 1.5, 2.0)


@pytest.fixture(scope="module")
def shape():
    return np.random.default_rng(0).random((12, 10, 9)) > 0.9


@pytest.mark.parametrize("radius", [1.0, 2.6, 4.0])
def test_dilation_is_a_ball_at_each_voxel(shape, radius):
    wanted = np.zeros_like(shape)
    for place in np.argwhere(shape):
        for offset in offsets_within(radius, SPACING):
            at = place + offset
            if (at >= 0).all() and (at < shape.shape).all():
                wanted[tuple(at)] = True
    assert np.array_equal(dilated(shape, SPACING, radius), wanted)
    assert np.array_equal(eroded(~shape, SPACING, radius), ~wanted)


def test_closing_loses_nothing_and_is_done_once(shape):
    once = closed(shape, SPACING, 3.0)
    assert (once | shape).sum() == once.sum()
    assert np.array_equal(closed(once, SPACING, 3.0), once)


def test_a_radius_of_zero_and_nothing():
    empty = np.zeros((3, 3), bool)
    for work in (dilated, eroded, closed):
        assert not work(empty, (1.0, 1.0), 2.0).any()
        assert work(~empty, (1.0, 1.0), 0.0).all()
