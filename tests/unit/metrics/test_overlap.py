import math

import numpy as np
import pytest

from vesalius.metrics import overlap
from vesalius.metrics.overlap import Counts, counts_of

SHARES = (
    *("accuracy", "sensitivity", "specificity", "precision", "negative_predictive_value", "dice", "f_beta", "iou"),
    *("balanced_accuracy", "matthews", "kappa", "youden", "volumetric_similarity"),
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 95 / 100),
        ("sensitivity", 6 / 8),
        ("specificity", 89 / 92),
        ("precision", 6 / 9),
        ("dice", 12 / 17),
        ("iou", 6 / 11),
        ("negative_predictive_value", 89 / 91),
        ("f_beta", 30 / 41),
        ("balanced_accuracy", (6 / 8 + 89 / 92) / 2),
        ("matthews", 528 / math.sqrt(8 * 92 * 9 * 91)),
        ("kappa", 1056 / 1556),
        ("youden", 6 / 8 + 89 / 92 - 1),
        ("volumetric_similarity", 16 / 17),
        ("absolute_volume_difference", 2 / 1000),
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


@pytest.mark.parametrize("name", ["sensitivity", "precision", "dice", "f_beta", "iou", "volumetric_similarity"])
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


def test_beta_weighs_misses():
    missing, excess = Counts(6, 0, 4, 90), Counts(6, 4, 0, 90)
    assert overlap.f_beta(missing) < overlap.dice(missing) == overlap.dice(excess) < overlap.f_beta(excess)


def test_chance_is_at_zero():
    # Reference and prediction each have half of the voxels, and a quarter together: they know nothing of one another.
    chance = Counts(25, 25, 25, 25)
    assert overlap.matthews(chance) == overlap.kappa(chance) == overlap.youden(chance) == 0.0
    assert overlap.balanced_accuracy(chance) == 0.5
    opposite = Counts(0, 50, 50, 0)
    assert overlap.matthews(opposite) == overlap.kappa(opposite) == overlap.youden(opposite) == -1.0


def test_correlation_of_counts_beyond_64_bits():
    many = 10**6
    counts = Counts(6 * many, 3 * many, 2 * many, 89 * many)
    assert overlap.matthews(counts) == pytest.approx(overlap.matthews(Counts(6, 3, 2, 89)), rel=1e-12)


@pytest.mark.parametrize("name", ["matthews", "kappa"])
def test_masks_that_leave_nothing_to_divide_by(name):
    score = getattr(overlap, name)
    assert score(Counts(10, 0, 0, 0)) == 1.0
    assert score(Counts(0, 3, 0, 7)) == score(Counts(0, 0, 3, 7)) == 0.0
    assert score(Counts(8, 2, 0, 0)) == score(Counts(8, 0, 2, 0)) == 0.0


def test_volumes_of_empty_masks():
    assert overlap.volumetric_similarity(Counts(0, 5, 5, 0)) == 1.0  # alike in volume, though nowhere in place
    assert overlap.absolute_volume_difference(Counts(0, 4, 0, 6, voxel_mm=250.0)) == 1.0
    assert overlap.absolute_volume_difference(Counts(0, 0, 0, 0)) == 0.0


def test_counts_of_a_region_ignore_mix_ups_inside_it():
    table = np.array([[80, 1, 2], [3, 5, 4], [6, 7, 9]])
    assert counts_of(table, [1, 2]) == Counts(25, 3, 9, 80)
    assert counts_of(table, [1]) == Counts(5, 8, 7, 97)
