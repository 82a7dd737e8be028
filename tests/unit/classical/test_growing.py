"""Region growing: names, bounds, radii in mm, and what several names reach."""

import numpy as np
import pytest

from vesalius.classical import read_seeds, seeds_at
from vesalius.classical.growing import confidence_connected, connected_threshold, neighbourhood_connected
from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume


def volume(array, spacing=None):
    array = np.asarray(array)
    return Volume(array[None], Grid.from_spacing(array.shape, spacing or (1.0,) * array.ndim))


def test_a_region_is_what_hangs_together_within_the_bounds():
    image = volume([[5, 5, 0, 5], [0, 5, 0, 5], [9, 9, 5, 0]])
    seeds = read_seeds("cell=0,0", image.grid)
    assert connected_threshold(image, seeds=seeds, low=4, high=6).array.tolist() == [
        [1, 1, 0, 0],
        [0, 1, 0, 0],
        [0] * 4,
    ]
    assert connected_threshold(image, seeds=seeds, low=4).array.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0]]
    wide = connected_threshold(image, seeds=seeds, low=4, high=6, connectivity=2)
    assert wide.array.tolist() == [[1, 1, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0]]


def test_each_name_makes_its_label_and_the_background_is_0():
    image = volume([[10, 11, 0, 30, 31, 0, 50]])
    seeds = read_seeds("a=0,0; b=0,4; background=0,6", image.grid)
    found = connected_threshold(image, seeds=seeds, tolerance=2)
    assert found.array.tolist() == [[1, 1, 0, 2, 2, 0, 0]]
    assert found.labels.names == ("a", "b")


def test_a_voxel_that_several_names_reach_goes_to_the_nearer_mean():
    image = volume([[10, 12, 14, 16, 20]])
    for text in ("a=0,0; b=0,4", "b=0,4; a=0,0"):
        seeds = read_seeds(text, image.grid)
        found = connected_threshold(image, seeds=seeds, low=0)
        assert (found.binary("a") * 1).tolist() == [[1, 1, 1, 0, 0]]
        assert (found.binary("b") * 1).tolist() == [[0, 0, 0, 1, 1]]


def test_seeds_out_of_bounds_grow_nothing():
    image = volume([[5, 50, 5]])
    seeds = read_seeds("a=0,1; a=0,0", image.grid)
    assert connected_threshold(image, seeds=seeds, high=9).array.tolist() == [[1, 0, 0]]
    with pytest.raises(DataError, match="seeds of 'b': their values are 50 to 50, and -inf to 9 is asked for"):
        connected_threshold(image, seeds=read_seeds("a=0,0; b=0,1", image.grid), high=9)
    # A neighbourhood grows from its seed whatever that is, as SimpleITK's.
    found = neighbourhood_connected(image, seeds=read_seeds("a=0,1", image.grid), high=9, radius_mm=0)
    assert found.array.tolist() == [[1, 1, 1]]


def test_a_gap_that_is_narrower_than_the_neighbourhood_holds():
    array = np.full((9, 15), 5)
    array[:, 7] = 0
    array[4, 7] = 5  # a leak of one voxel
    image = volume(array)
    seeds = read_seeds("a=4,3", image.grid)
    assert connected_threshold(image, seeds=seeds, low=4).array[4, 12] == 1
    found = neighbourhood_connected(image, seeds=seeds, low=4, radius_mm=1).array
    np.testing.assert_array_equal(np.argwhere(found)[:, 1].max(), 5)
    fine = volume(array, (0.2, 5.0))  # the neighbourhood is one voxel along the rows then
    assert neighbourhood_connected(fine, seeds=read_seeds("a=4,3", fine.grid), low=4, radius_mm=0.2).array[4, 12] == 0
    np.testing.assert_array_equal(
        neighbourhood_connected(fine, seeds=read_seeds("a=4,3", fine.grid), low=4, radius_mm=0.05).array,
        connected_threshold(fine, seeds=read_seeds("a=4,3", fine.grid), low=4).array,
    )


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.0, 3.0)])
def test_confidence_finds_a_ball_in_noise(spacing, rng):
    grid = Grid.from_spacing((24, 24, 12), spacing)
    centre = np.array([12.0, 12, 6]) * spacing
    apart = np.linalg.norm(grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1)) - centre, axis=-1)
    ball = apart < 7
    image = Volume((rng.normal(0, 4, grid.shape) + 100 * ball)[None], grid)
    seeds = seeds_at(grid, {"ball": [centre]})
    found = confidence_connected(image, seeds=seeds, radius_mm=2.0, multiplier=3.5).array
    assert (found[~ball] == 0).all()
    assert found[ball].mean() > 0.99


def test_growing_on_one_grey_value():
    image = volume(np.full((3, 4, 5), 7))
    seeds = read_seeds("a=1,1,1", image.grid)
    assert confidence_connected(image, seeds=seeds).counts() == {1: 60}
    assert connected_threshold(image, seeds=seeds, tolerance=0).counts() == {1: 60}
    assert confidence_connected(image, seeds=seeds, radius_mm=0).counts() == {1: 60}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "needs bounds"),
        ({"low": 1, "tolerance": 1}, "or within a tolerance"),
        ({"tolerance": -1}, "at least 0"),
        ({"low": 3, "high": 2}, "must not exceed"),
    ],
)
def test_bounds_that_are_refused(arguments, words):
    image = volume(np.zeros((3, 3)))
    seeds = read_seeds("a=1,1", image.grid)
    with pytest.raises(DataError, match=words):
        connected_threshold(image, seeds=seeds, **arguments)
    with pytest.raises(DataError, match=words):
        neighbourhood_connected(image, seeds=seeds, radius_mm=1, **arguments)


def test_arguments_that_are_refused():
    image = volume(np.zeros((3, 3)))
    seeds = read_seeds("a=1,1", image.grid)
    for arguments in ({"multiplier": -1}, {"iterations": -1}, {"radius_mm": -1}):
        with pytest.raises(DataError, match=r"must not be negative|at least 0"):
            confidence_connected(image, seeds=seeds, **arguments)
    elsewhere = LabelMap(seeds.array, Grid.from_spacing((3, 3), (2.0, 2.0)), seeds.labels)
    nothing = LabelMap(seeds.array * 0, image.grid, Labels(()))
    for method in (connected_threshold, confidence_connected):
        bounds = {"low": 1.0} if method is connected_threshold else {}
        with pytest.raises(GeometryError, match="draw them on it"):
            method(image, seeds=elsewhere, **bounds)
        with pytest.raises(DataError, match="there are 0"):
            method(image, seeds=nothing, **bounds)
