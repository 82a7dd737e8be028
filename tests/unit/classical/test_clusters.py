"""Clusters of heaps that are known beforehand."""

import numpy as np
import pytest

from vesalius.classical import find
from vesalius.classical.clusters import fuzzy_memberships, kmeans
from vesalius.classical.crowds import dbscan, mean_shift
from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels, Volume

COUNTED = ["kmeans", "fuzzy-c-means", "gaussian-mixture", "mixture-mrf"]
FREE = {"mean-shift": {"bandwidth": 0.5}, "dbscan": {"radius": 0.2}}


def heaps(rng, shape=(30, 40), spread=0.5, channels=1):
    """Three bands of noise about 10, 20 and 40, whose classes are 1, 2, 3."""
    reference = np.zeros(shape, np.uint8)
    reference[:] = np.repeat([2, 1, 3], [shape[0] // 3, shape[0] // 3, shape[0] - 2 * (shape[0] // 3)]).reshape(
        -1, *(1,) * (len(shape) - 1)
    )
    means = np.array([0.0, 10.0, 20.0, 40.0])[reference]
    array = np.stack([means * (-1) ** c + rng.normal(0, spread, shape) for c in range(channels)])
    return Volume(array, Grid.from_spacing(shape, (1.0, 1.5, 3.0)[: len(shape)])), reference


@pytest.mark.parametrize("shape", [(30, 40), (12, 10, 9)])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", COUNTED)
def test_separate_heaps_are_found(name, channels, shape, rng):
    image, reference = heaps(rng, shape, channels=channels)
    found = find(name)(image, classes=3)
    np.testing.assert_array_equal(found.array, reference)
    assert found.grid is image.grid
    assert found.labels.names == ("class 1", "class 2", "class 3")


@pytest.mark.parametrize("name", COUNTED)
def test_the_number_of_classes_is_found(name, rng):
    image, reference = heaps(rng)
    np.testing.assert_array_equal(find(name)(image, classes=None).array, reference)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", FREE)
def test_methods_that_need_no_number(name, channels, rng):
    image, reference = heaps(rng, spread=0.3, channels=channels)
    np.testing.assert_array_equal(find(name)(image, **FREE[name]).array, reference)


def test_a_bandwidth_is_found(rng):
    image, reference = heaps(rng)
    np.testing.assert_array_equal(mean_shift(image).array, reference)


@pytest.mark.parametrize("name", [*COUNTED, *FREE])
def test_mask_background_and_names(name, rng):
    image, reference = heaps(rng)
    array = image.array.copy()
    array[0, :, :5] = 0.0
    mask = np.ones(reference.shape, np.uint8)
    mask[:, -7:] = 0
    names = ("dark", "middle", "bright")
    options = {"mask": LabelMap(mask, image.grid, Labels.of([1])), "background": 0.0, "names": names}
    found = find(name)(image.with_array(array), **options, **FREE.get(name, {}))
    np.testing.assert_array_equal(found.array[:, 5:-7], reference[:, 5:-7])
    assert not found.array[:, :5].any()
    assert not found.array[:, -7:].any()
    assert found.labels.names == names


@pytest.mark.parametrize("name", [*COUNTED, *FREE])
def test_the_seed_decides_and_nothing_else(name, rng):
    image, _ = heaps(rng, spread=6.0, channels=2)
    method = find(name)
    options = FREE.get(name, {}) | {"seed": 3, "most_samples": 300}
    np.testing.assert_array_equal(method(image, **options).array, method(image, **options).array)


@pytest.mark.parametrize("name", [*COUNTED, *FREE])
def test_one_grey_value_and_empty_masks(name, rng):
    image, _ = heaps(rng)
    method = find(name)
    with pytest.raises(DataError, match="one value"):
        method(image.with_array(np.full(image.array.shape, 7.0)), background=None)
    with pytest.raises(DataError, match="no voxel is left"):
        method(image, mask=LabelMap(np.zeros(image.grid.shape, np.uint8), image.grid, Labels.of([1])))


@pytest.mark.parametrize("name", COUNTED)
def test_fewer_values_than_classes(name):
    image = Volume(np.array([[[1, 1, 2, 2]]]), Grid.from_spacing((1, 4), (1.0, 1.0)))
    with pytest.raises(DataError, match="2 different voxels"):
        find(name)(image, classes=3)
    with pytest.raises(DataError, match="classes"):
        find(name)(image, classes=0)


def test_place_counts_when_asked():
    # One grey in two places, with a little noise: intensity cannot part them, place can.
    array = np.zeros((1, 10, 40))
    array[0, :, :10] = array[0, :, 30:] = 5.0
    image = Volume(
        array + np.random.default_rng(0).normal(0, 0.1, array.shape), Grid.from_spacing((10, 40), (1.0, 1.0))
    )
    mask = LabelMap((array[0] > 1), image.grid, Labels.of([1]))
    found = kmeans(image, classes=2, space_mm=2.0, mask=mask).array
    assert len(np.unique(found[:, :10])) == len(np.unique(found[:, 30:])) == 1
    assert found[0, 0] != found[0, 39]
    crowds = dbscan(image, radius=2.5, space_mm=1.0, least_voxels=3, mask=mask).array
    assert crowds[0, 0] != crowds[0, 39]


def test_distances_are_in_millimetres():
    # The same pixels, 1 or 10 mm apart along j: parted across j only where that is the long way.
    array = np.random.default_rng(0).normal(size=(1, 24, 12))
    for spacing, axis in (((1.0, 1.0), 0), ((1.0, 10.0), 1)):
        found = kmeans(Volume(array, Grid.from_spacing((24, 12), spacing)), classes=2, space_mm=0.5).array
        ends = np.moveaxis(found, axis, 0)
        assert len(np.unique(ends[0])) == len(np.unique(ends[-1])) == 1
        assert ends[0, 0] != ends[-1, 0]


def test_mini_batches_come_near_to_the_whole(rng):
    image, reference = heaps(rng, (40, 50), spread=3.0, channels=3)
    whole, batches = kmeans(image).array, kmeans(image, batch=256).array
    assert (whole == batches).mean() > 0.98
    assert (whole == reference).mean() > 0.98


def test_a_sample_is_enough(rng):
    image, reference = heaps(rng, (40, 50), channels=2)
    for name in COUNTED:
        np.testing.assert_array_equal(find(name)(image, most_samples=200).array, reference)


def test_crowds_that_a_sample_left_out_are_joined(rng):
    image, reference = heaps(rng, (60, 50), spread=0.3, channels=2)
    found = dbscan(image, radius=0.2, most_samples=400).array
    assert (found == reference).mean() > 0.99


def test_loners_are_noise(rng):
    image, reference = heaps(rng, spread=0.3)
    array = image.array.copy()
    array[0, 3, 3] = 30.0
    found = dbscan(image.with_array(array), radius=0.1).array
    assert found[3, 3] == 0
    assert (found == reference).sum() == reference.size - 1
    assert not dbscan(image, radius=1e-9, least_voxels=2).array.any()


def test_memberships_on_paper():
    # With many voxels at 0 and 10 the centres stay there; then u = 1 / (1 + (d1/d2)²).
    array = np.array([[[0.0] * 500 + [10.0] * 500 + [2.0]]])
    image = Volume(array, Grid.from_spacing((1, 1001), (1.0, 1.0)))
    found = fuzzy_memberships(image, classes=2).array
    np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-6)
    assert found[0, 0, -1] == pytest.approx(1 / (1 + (2 / 8) ** 2), abs=0.002)
    sharp = fuzzy_memberships(image, classes=2, fuzziness=1.5).array
    assert sharp[0, 0, -1] == pytest.approx(1 / (1 + (2 / 8) ** 4), abs=0.002)


def test_memberships_are_nought_outside(rng):
    image, _ = heaps(rng)
    array = image.array.copy()
    array[0, :, :5] = 0.0
    found = fuzzy_memberships(image.with_array(array), background=0.0).array
    assert not found[:, :, :5].any()
    assert (found[:, :, 5:].sum(axis=0) > 0.999).all()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("kmeans", {"batch": 0}),
        ("kmeans", {"space_mm": 0.0}),
        ("kmeans", {"classes": None, "most_classes": 1}),
        ("kmeans", {"names": ("a", "b")}),
        ("fuzzy-c-means", {"fuzziness": 1.0}),
        ("mean-shift", {"bandwidth": 0.0}),
        ("mean-shift", {"most_samples": 0}),
        ("dbscan", {"radius": 0.0}),
        ("dbscan", {"least_voxels": 0}),
        ("mixture-mrf", {"smoothness": -1.0}),
        ("mixture-mrf", {"classes": 1}),
        ("mixture-mrf", {"iterations": 0}),
        ("gaussian-mixture", {"classes": None, "most_classes": 0}),
    ],
)
def test_numbers_out_of_range(name, wrong, rng):
    with pytest.raises(DataError):
        find(name)(heaps(rng)[0], **wrong)
