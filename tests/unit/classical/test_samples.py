"""Voxels as points: which take part, what is known of them, how they are counted and painted."""

import numpy as np
import pytest

from vesalius.classical.samples import class_labels, features_of, painted, points_of, voxels_inside
from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume

GRID = Grid.from_spacing((3, 4), (1.0, 2.0))


def test_mask_and_background_both_leave_out():
    image = Volume(np.array([np.arange(12).reshape(3, 4), np.zeros((3, 4))]), GRID)
    mask = LabelMap(np.eye(3, 4, dtype=np.uint8), GRID, Labels.of([1]))
    inside = voxels_inside(image, mask=mask, background=0.0)
    assert np.argwhere(inside).tolist() == [[1, 1], [2, 2]]
    assert voxels_inside(image, mask=None, background=None).all()


def test_a_background_is_background_in_every_channel():
    image = Volume(np.array([np.zeros((3, 4)), np.eye(3, 4)]), GRID)
    assert voxels_inside(image, mask=None, background=0.0).sum() == 3


def test_nothing_left_and_another_grid():
    image = Volume(np.zeros((1, 3, 4)), GRID)
    with pytest.raises(DataError, match="no voxel is left"):
        voxels_inside(image, mask=None, background=0.0)
    other = Grid.from_spacing((3, 4), (1.0, 3.0))
    with pytest.raises(GeometryError):
        voxels_inside(image, mask=LabelMap(np.ones((3, 4), np.uint8), other, Labels.of([1])), background=None)


def test_channels_and_places_are_on_one_scale(rng):
    array = rng.normal([[[5.0]], [[900.0]]], [[[2.0]], [[40.0]]], (2, 3, 4))
    inside = np.ones((3, 4), bool)
    found = features_of(Volume(array, GRID), inside, space_mm=4.0)
    np.testing.assert_allclose(found[:, :2].std(axis=0), 1.0)
    np.testing.assert_allclose(found[:, 3], np.tile(np.arange(4) * 2.0 / 4.0, 3))


def test_a_flat_channel_counts_for_nothing_and_flat_images_are_refused():
    array = np.stack([np.full((3, 4), 3.0), np.arange(12.0).reshape(3, 4)])
    found = features_of(Volume(array, GRID), np.ones((3, 4), bool))
    assert np.ptp(found[:, 0]) == 0
    with pytest.raises(DataError, match="one value"):
        features_of(Volume(array[:1], GRID), np.ones((3, 4), bool))


def test_one_feature_is_counted_wholly(rng):
    values = rng.normal(size=50_000)
    found = points_of(values[:, None], most=10, seed=0)
    assert len(found.values) <= 4096
    assert found.weights.sum() == 50_000
    assert np.average(found.values[:, 0], weights=found.weights) == pytest.approx(values.mean())
    assert np.abs(found.values[found.place, 0] - values).max() <= np.ptp(values) / 4096


def test_several_features_are_sampled_by_the_seed(rng):
    values = rng.normal(size=(1000, 2))
    one, same, other = (points_of(values, most=100, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.values, same.values)
    assert not np.array_equal(one.values, other.values)
    assert one.place is None
    assert one.weights.sum() == pytest.approx(1000)
    assert len(np.unique(one.values, axis=0)) == 100


def test_classes_are_painted_from_dark_to_bright():
    image = Volume(np.array([[[9.0, 1, 5, 9], [1, 5, 9, 1], [5, 5, 1, 9]]]), GRID)
    inside = image.array[0] != 5
    classes = (image.array[0][inside] == 1).astype(np.intp)
    found = painted(image, inside, classes, ("dark", "light"))
    np.testing.assert_array_equal(found.array, np.select([image.array[0] == 1, image.array[0] == 9], [1, 2], 0))
    assert found.labels.names == ("dark", "light")


def test_noise_is_not_painted_and_names_must_fit():
    image = Volume(np.arange(12.0).reshape(1, 3, 4), GRID)
    inside = np.ones((3, 4), bool)
    assert painted(image, inside, np.full(12, -1)).counts() == {0: 12}
    with pytest.raises(DataError, match="2 classes and 3 names"):
        class_labels(2, ("a", "b", "c"))
    with pytest.raises(DataError, match="most_samples"):
        points_of(np.zeros((3, 2)), most=0, seed=0)
