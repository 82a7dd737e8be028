import math

import numpy as np
import pytest

from vesalius.metrics import overlap
from vesalius.metrics.overlap import Counts, counts_of, joint_histogram

SHARES = ("accuracy", "sensitivity", "specificity", "precision", "dice", "iou")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 95 / 100),
        ("sensitivity", 6 / 8),
        ("specificity", 89 / 92),
        ("precision", 6 / 9),
        ("dice", 12 / 17),
        ("iou", 6 / 11),
        ("relative_volume_difference", 1 / 8),
        ("volume_reference", 8 * 2 / 1000),
        ("volume_prediction", 9 * 2 / 1000),
        ("area_reference", 16.0),
        ("area_prediction", 18.0),
    ],
)
def test_textbook_values(name, expected):
    assert getattr(overlap, name)(Counts(6, 3, 2, 89, voxel_mm=2.0)) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("name", SHARES)
def test_both_empty_is_perfect(name):
    assert getattr(overlap, name)(Counts(0, 0, 0, 10)) == 1.0


@pytest.mark.parametrize("name", ["sensitivity", "precision", "dice", "iou"])
def test_one_empty_is_worst(name):
    assert getattr(overlap, name)(Counts(0, 3, 0, 7)) == 0.0
    assert getattr(overlap, name)(Counts(0, 0, 3, 7)) == 0.0


def test_reference_without_background():
    assert overlap.specificity(Counts(10, 0, 0, 0)) == 1.0
    assert overlap.specificity(Counts(8, 0, 2, 0)) == 0.0


def test_relative_volume_difference_of_empty_masks():
    assert overlap.relative_volume_difference(Counts(0, 0, 0, 10)) == 0.0
    assert overlap.relative_volume_difference(Counts(0, 0, 4, 6)) == -1.0
    assert math.isnan(overlap.relative_volume_difference(Counts(0, 4, 0, 6)))


@pytest.mark.parametrize("name", [*SHARES, "relative_volume_difference"])
def test_nothing_counted_is_nan(name):
    assert math.isnan(getattr(overlap, name)(Counts(0, 0, 0, 0)))


def test_joint_histogram_over_several_chunks(rng):
    reference = rng.integers(0, 4, (70, 60, 50)).astype(np.uint8)
    prediction = rng.integers(0, 4, reference.shape).astype(np.uint16)
    expected = np.array([[((reference == r) & (prediction == p)).sum() for p in range(4)] for r in range(4)])
    np.testing.assert_array_equal(joint_histogram(reference, prediction, 4), expected)


def test_joint_histogram_does_not_overflow_small_types():
    classes = np.full(5, 255, np.uint8)
    table = joint_histogram(classes, classes, 256)
    assert table[255, 255] == 5
    assert table.sum() == 5


def test_joint_histogram_of_nothing():
    empty = np.zeros((0, 0, 0), np.uint8)
    np.testing.assert_array_equal(joint_histogram(empty, empty, 2), np.zeros((2, 2)))


def test_counts_of_a_region_ignore_mix_ups_inside_it():
    table = np.array([[80, 1, 2], [3, 5, 4], [6, 7, 9]])
    assert counts_of(table, [1, 2]) == Counts(25, 3, 9, 80)
    assert counts_of(table, [1]) == Counts(5, 8, 7, 97)
