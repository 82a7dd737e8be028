import numpy as np

from vesalius.plan.prepare import IGNORE
from vesalius.train.places import find_places


def test_what_is_drawn_is_of_the_class() -> None:
    random = np.random.default_rng(0)
    classes = random.integers(0, 4, (9, 10, 11)).astype(np.int16)
    classes[classes == 2] = 0  # a class that does not occur
    places = find_places(classes)
    assert places.foreground == (1, 3)
    assert not places.is_sparse
    for number in places.foreground:
        for _ in range(50):
            assert classes[tuple(places.draw(number, random))] == number


def test_all_voxels_of_a_small_class_are_remembered() -> None:
    classes = np.zeros((20, 20), np.int16)
    classes[3:7, 4:9] = 1
    places = find_places(classes)
    assert sorted(np.asarray(places.voxels).tolist()) == np.flatnonzero(classes.reshape(-1)).tolist()


def test_a_large_class_is_remembered_evenly_and_not_in_the_rhythm_of_the_grid() -> None:
    classes = np.ones((100, 100, 100), np.int16)  # a voxel in a hundred: a row's length
    voxels = np.stack(np.unravel_index(np.asarray(find_places(classes).voxels), classes.shape))
    assert voxels.shape == (3, 10_000)
    for axis in voxels:
        counts = np.bincount(axis, minlength=100)
        assert counts.min() > 50
        assert counts.max() < 150


def test_a_hundredth_of_a_very_large_class_is_remembered() -> None:
    assert find_places(np.ones((150, 100, 100), np.int16)).voxels.shape == (15_000,)


def test_annotated_voxels_are_those_that_somebody_looked_at() -> None:
    classes = np.full((8, 30, 30), IGNORE, np.int16)
    classes[4] = 0
    classes[4, 10:12, 10:12] = 2
    places = find_places(classes)
    assert places.is_sparse
    assert places.foreground == (2,)
    random = np.random.default_rng(0)
    drawn = np.array([places.draw(IGNORE, random) for _ in range(300)])
    assert (drawn[:, 0] == 4).all()
    assert len({tuple(voxel) for voxel in drawn.tolist()}) > 200


def test_a_case_of_background_alone_has_no_places() -> None:
    places = find_places(np.zeros((4, 4), np.int16))
    assert (places.classes, places.foreground, places.is_sparse) == ((), (), False)
