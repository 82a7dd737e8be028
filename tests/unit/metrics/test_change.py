"""Which lesion is which, and what became of it: answers that can be worked out by hand."""

import math

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.metrics.change import doubling_days, link_lesions, verdict, volume_error_ml


def row(*runs: tuple[int, int, int]) -> np.ndarray:
    """Pieces of a line of 40 voxels: number, first, one after the last."""
    made = np.zeros((1, 40), int)
    for number, start, stop in runs:
        made[0, start:stop] = number
    return made


def fates(before: np.ndarray, after: np.ndarray, **how: float) -> list[tuple[tuple[int, ...], tuple[int, ...], str]]:
    return [(link.before, link.after, link.fate) for link in link_lesions(before, after, (1.0, 1.0), **how)]


def test_each_fate_has_its_name():
    before = row((1, 0, 4), (2, 8, 14), (3, 18, 21), (4, 22, 25), (5, 30, 33))
    after = row((1, 1, 5), (2, 8, 10), (3, 12, 15), (4, 18, 26), (5, 38, 40))
    assert fates(before, after) == [
        ((1,), (1,), "kept"),
        ((2,), (2, 3), "split"),
        ((3, 4), (4,), "merged"),
        ((5,), (), "gone"),
        ((), (5,), "new"),
    ]


def test_some_split_and_merge_at_once():
    assert fates(row((1, 0, 8), (2, 10, 20)), row((1, 0, 4), (2, 6, 14))) == [((1, 2), (1, 2), "split and merged")]


def test_a_touch_is_no_overlap():
    # 1 of 20 voxels of the smaller one: below a tenth. Both then are lonely, but their borders touch.
    before, after = row((1, 0, 20)), row((1, 19, 40))
    assert fates(before, after, distance_mm=0.0) == [((1,), (), "gone"), ((), (1,), "new")]
    assert fates(before, after) == [((1,), (1,), "kept")]
    assert fates(before, after, least_overlap=0.05, distance_mm=0.0) == [((1,), (1,), "kept")]


def test_the_nearest_pairs_first_and_each_in_one_pair():
    before, after = row((1, 10, 11), (2, 13, 14)), row((1, 12, 13))
    assert fates(before, after) == [((1,), (), "gone"), ((2,), (1,), "kept")]
    found = link_lesions(before, after, (1.0, 4.0))  # 4 mm apart: too far
    assert [link.fate for link in found] == ["gone", "gone", "new"]


def test_nothing_is_linked_to_nothing():
    assert link_lesions(row(), row(), (1.0, 1.0)) == ()
    assert fates(row(), row((3, 1, 2))) == [((), (3,), "new")]


def test_doubling_times():
    assert doubling_days(1, 2, 30) == pytest.approx(30)
    assert doubling_days(1, 8, 30) == pytest.approx(10)
    assert doubling_days(8, 1, 30) == pytest.approx(-10)
    assert doubling_days(3, 3, 30) is None
    with pytest.raises(DataError, match="above 0"):
        doubling_days(0, 1, 30)


def test_the_error_of_a_volume():
    # A single voxel: 1 inside, 6 outside, half of 7 are cut.
    one = np.ones((1, 1, 1), bool)
    assert volume_error_ml(one, 2.0) == pytest.approx(2.0 * math.sqrt(3.5 / 12) / 1000)
    # 5 x 5 x 5: 98 of 125 inside are at the border, 150 outside.
    assert volume_error_ml(np.ones((5, 5, 5), bool), 1.0) == pytest.approx(math.sqrt(124 / 12) / 1000)


def test_counting_voxels_errs_about_so_much():
    # Balls at random places between the voxels: the spread of their counts is what the formula says, within a factor.
    rng = np.random.default_rng(0)
    grid = np.indices((24, 24, 24))
    counts, told = [], []
    for _ in range(200):
        centre = (11.5 + rng.uniform(-0.5, 0.5, 3)).reshape(3, 1, 1, 1)
        ball = ((grid - centre) ** 2).sum(axis=0) < 7.3**2
        counts.append(ball.sum())
        told.append(volume_error_ml(ball, 1.0) * 1000)
    assert 0.4 < np.std(counts) / np.mean(told) < 1.5


def test_verdicts():
    assert verdict(1.0, 1.25) == "grown"
    assert verdict(1.0, 1.24) == "unchanged"
    assert verdict(1.0, 0.75) == "shrunk"
    assert verdict(0.0, 1.0) == "new"
    assert verdict(1.0, 0.0) == "gone"
    # 1.96 · √(0.15² + 0.2²) = 0.49
    assert verdict(1.0, 1.48, error_before_ml=0.15, error_now_ml=0.2) == "unchanged"
    assert verdict(1.0, 1.5, error_before_ml=0.15, error_now_ml=0.2) == "grown"
    assert verdict(1.0, 1.1, least_change=0.1) == "grown"
    with pytest.raises(DataError, match="at one time"):
        verdict(0.0, 0.0)


def test_maps_of_different_grids_are_refused():
    with pytest.raises(DataError, match="one grid"):
        link_lesions(row(), np.zeros((2, 2), int), (1.0, 1.0))
    with pytest.raises(DataError, match="least_overlap"):
        link_lesions(row(), row(), (1.0, 1.0), least_overlap=0.0)
