"""Where contours start."""

import numpy as np
import pytest

from vesalius.classical.seeds import seeds_at
from vesalius.classical.start import starting_region, unlike
from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels

GRID = Grid.from_spacing((20, 20, 10), (1.0, 1.0, 2.0))


def test_a_ball_is_round_in_space():
    region, name = starting_region(GRID, None, (10.0, 10.0, 10.0), 4.0)
    assert name == "object"
    assert [int(np.ptp(axis)) for axis in np.nonzero(region)] == [8, 8, 4]


def test_seeds_give_their_name_and_background_is_not_looked_at():
    seeds = seeds_at(GRID, {"background": [(0, 0, 0)], "liver": [(5, 5, 6)]})
    region, name = starting_region(GRID, seeds, None, None)
    assert name == "liver"
    assert np.argwhere(region).tolist() == [[5, 5, 3]]


@pytest.mark.parametrize(
    "start",
    [(None, None, None), (None, (1.0, 1.0, 1.0), None), (None, None, 2.0), (None, (1.0, 1.0, 1.0), 0.0)],
)
def test_half_a_start_is_none(start):
    with pytest.raises(DataError):
        starting_region(GRID, *start)


def test_seeds_and_a_ball_are_one_too_many():
    with pytest.raises(DataError, match="seeds, or"):
        starting_region(GRID, seeds_at(GRID, {"a": [(1, 1, 1)]}), (1.0, 1.0, 1.0), 2.0)


def test_a_centre_outside():
    with pytest.raises(DataError, match="outside"):
        starting_region(GRID, None, (50.0, 0.0, 0.0), 3.0)


@pytest.mark.parametrize("names", [{"a": [(1, 1, 0)], "b": [(3, 3, 4)]}, {"background": [(1, 1, 0)]}])
def test_one_name_at_a_time(names):
    with pytest.raises(DataError, match="one name"):
        starting_region(GRID, seeds_at(GRID, names), None, None)


def test_empty_seeds_and_seeds_elsewhere():
    labels = Labels.of({"a": 1})
    with pytest.raises(DataError):
        starting_region(GRID, LabelMap(np.zeros(GRID.shape, np.uint8), GRID, labels), None, None)
    other = Grid.from_spacing((20, 20, 10), (1.0, 1.0, 3.0))
    with pytest.raises(GeometryError):
        starting_region(GRID, LabelMap(np.ones(other.shape, np.uint8), other, labels), None, None)


def test_one_grey_value_holds_no_contour():
    with pytest.raises(DataError, match="3 everywhere"):
        unlike(np.full((2, 2), 3.0))
