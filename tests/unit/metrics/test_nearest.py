import numpy as np
import pytest
from scipy.spatial.distance import cdist

from vesalius.metrics import elements, nearest
from vesalius.metrics.elements import find_elements
from vesalius.metrics.nearest import Target, measure_targets
from vesalius.metrics.surfels import neighbour_codes, surfel_sizes

LEANING = np.array([[0.8, 0.0, 0.1], [0.0, 0.9, 0.6], [0.0, 0.0, 2.5]])


def by_hand(reference, prediction, step):
    """All distances of the elements of two masks, largest first, and their sizes."""
    points, sizes = [], []
    for mask in (reference, prediction):
        codes = neighbour_codes(np.pad(mask.astype(np.uint8), 1))
        at = np.argwhere((codes > 0) & (codes < (1 << (1 << mask.ndim)) - 1))
        points.append(at @ step.T)
        sizes.append(surfel_sizes(step)[codes[tuple(at.T)]])
    apart = cdist(*points)
    return [(apart.min(axis=1), sizes[0]), (apart.min(axis=0), sizes[1])]


def measured(reference, prediction, step, members=(1,), classes=2):
    found = [find_elements(side, classes) for side in (reference, prediction)]
    target = Target(members, tuple(slice(0, n) for n in reference.shape))
    return measure_targets(*found, [target], step=step, sizes=surfel_sizes(step), threads=2)[0]


def check(found, expected):
    """The same surface at the same distances, however it is put together."""
    for (distances, sizes), (their_distances, their_sizes) in zip(found, expected, strict=True):
        for limit in np.unique(their_distances.round(9)):
            within = sizes[distances <= limit + 1e-6].sum()
            assert within == pytest.approx(their_sizes[their_distances <= limit + 1e-6].sum(), rel=1e-9)
        assert sizes.sum() == pytest.approx(their_sizes.sum(), rel=1e-9)
        assert distances @ sizes == pytest.approx(their_distances @ their_sizes, rel=1e-9)


@pytest.mark.parametrize("step", [np.eye(2), np.diag([0.3, 2.0]), np.eye(3), np.diag([0.8, 0.8, 5.0]), LEANING])
@pytest.mark.parametrize("steps", [20, 1024])
@pytest.mark.parametrize("lattice", [1, 1 << 23])
def test_all_ways_to_search_find_the_nearest(rng, monkeypatch, step, steps, lattice):
    monkeypatch.setattr(nearest, "_STEPS", steps)  # few: most is looked up in the tree
    monkeypatch.setattr(nearest, "_LATTICE", lattice)  # small: many blocks
    monkeypatch.setattr(elements, "_VOXELS", 200)
    nearest._shells.cache_clear()
    shape = (23, 19, 12)[: len(step)]
    reference, prediction = (rng.random((2, *shape)) > 0.97).astype(np.uint8)
    check(measured(reference, prediction, step), by_hand(reference, prediction, step))
    nearest._shells.cache_clear()


@pytest.mark.parametrize("price", [0, 10**9])
def test_far_surfaces(monkeypatch, price):
    monkeypatch.setattr(nearest, "_CLIMB_NS", price)  # the tree at once, or not before all steps are done
    reference, prediction = np.zeros((2, 50, 12, 12), np.uint8)
    reference[2:8, 2:8, 2:8], prediction[40:46, 5:11, 2:9] = 1, 1
    step = np.diag([1.0, 1.0, 2.0])
    check(measured(reference, prediction, step), by_hand(reference, prediction, step))


def test_far_from_a_large_surface():
    # Stray voxels beside a surface of many elements: most of it is too far away to matter.
    reference = np.zeros((60, 60, 60), np.uint8)
    reference[2:40, 2:58, 2:58] = 1
    prediction = reference.copy()
    prediction[56, 50, 50] = prediction[58, 10, 50] = 1
    step = np.diag([0.7, 1.0, 1.5])
    (way, _), (back, _) = measured(reference, prediction, step)
    assert way.max() == 0.0
    assert back.max() == pytest.approx((59 - 40) * 0.7)


def test_a_union_has_no_surface_inside(rng):
    labels = rng.integers(0, 4, (12, 11, 10)).astype(np.uint8)
    others = rng.integers(0, 4, (12, 11, 10)).astype(np.uint8)
    labels[3:9, 3:9, 3:9], others[4:10, 3:9, 3:9] = 1, 2
    found = measured(labels, others, np.eye(3), members=(1, 2), classes=4)
    check(found, by_hand(np.isin(labels, (1, 2)), np.isin(others, (1, 2)), np.eye(3)))


def test_no_surface_to_measure_to_or_from():
    full, empty = np.ones((3, 4), np.uint8), np.zeros((3, 4), np.uint8)
    (way, sizes), (back, _) = measured(full, empty, np.eye(2))
    assert np.isinf(way).all()
    assert sizes.sum() == pytest.approx(surfel_sizes(np.eye(2))[neighbour_codes(np.pad(full, 1))].sum())
    assert back.size == 0


def test_step_across_a_very_thick_slice():
    # The shortest thousand steps stay within a slice; the nearest surface is in the next one.
    step = np.diag([0.1, 0.1, 50.0])
    reference, prediction = np.zeros((2, 8, 8, 6), np.uint8)
    reference[2:5, 2:5, 1], prediction[2:5, 2:5, 3] = 1, 1
    (way, _), _ = measured(reference, prediction, step)
    assert way.max() == pytest.approx(100.0)
    assert way.min() == pytest.approx(50.0)
