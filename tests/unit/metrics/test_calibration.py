"""Calibration, from paper."""

import math

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.metrics.calibration import (
    brier_score,
    class_wise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    measure_calibration,
    negative_log_likelihood,
    pool_calibrations,
    reliability,
)


def two(sure: list[float]) -> np.ndarray:
    """Probabilities of two classes, by that of class 1."""
    return np.stack([1 - np.array(sure), np.array(sure)])


SAID, TRUE = two([0.9, 0.8, 0.7, 0.2, 0.4]), np.array([1, 1, 0, 0, 1])


def test_the_curve_of_the_likeliest_class() -> None:
    """Confidences 0.9 right, 0.8 right, 0.7 wrong, 0.8 right (class 0), 0.6 wrong; five bins of 0.2."""
    curve = reliability(SAID, TRUE, bins=5)
    assert curve.counts.tolist() == [0, 0, 1, 3, 1]  # 0.8 belongs to the bin that ends there
    np.testing.assert_allclose(curve.accuracy, [math.nan, math.nan, 0, 2 / 3, 1])
    np.testing.assert_allclose(curve.confidence[2:], [0.6, (0.8 + 0.7 + 0.8) / 3, 0.9])
    assert expected_calibration_error(curve) == pytest.approx((0.6 + 3 * abs(2 / 3 - 2.3 / 3) + 0.1) / 5)
    assert maximum_calibration_error(curve) == pytest.approx(0.6)


def test_the_curve_of_one_class() -> None:
    curve = reliability(SAID, TRUE, target=1, bins=2)
    assert curve.counts.tolist() == [2, 3]
    np.testing.assert_allclose(curve.accuracy, [1 / 2, 2 / 3])
    np.testing.assert_allclose(curve.confidence, [0.3, 0.8])
    assert class_wise_calibration_error(SAID, TRUE, bins=2)[1] == pytest.approx((2 * 0.2 + 3 * (0.8 - 2 / 3)) / 5)


def test_brier_and_likelihood() -> None:
    assert brier_score(SAID, TRUE) == pytest.approx(2 * (0.01 + 0.04 + 0.49 + 0.04 + 0.36) / 5)
    assert negative_log_likelihood(SAID, TRUE) == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.8, 0.4]).mean())


def test_the_best_and_the_worst() -> None:
    right, wrong = two([1, 0]), two([0, 1])
    true = np.array([1, 0])
    assert brier_score(right, true) == negative_log_likelihood(right, true) == 0
    assert expected_calibration_error(reliability(right, true)) == 0
    assert brier_score(wrong, true) == 2
    assert negative_log_likelihood(wrong, true) == pytest.approx(-math.log(1e-7))
    assert expected_calibration_error(reliability(wrong, true)) == 1


def test_probabilities_that_are_true_have_no_error_to_speak_of() -> None:
    rng = np.random.default_rng(0)
    sure = rng.random(100_000)
    true = (rng.random(sure.size) < sure).astype(int)
    honest = [expected_calibration_error(reliability(two(s), true, target=1)) for s in (sure, np.sqrt(sure))]
    assert honest[0] < 0.01
    assert honest[1] == pytest.approx(2 / 3 - 1 / 2, abs=0.01)  # the mean of sqrt(u) - u


def test_bins_of_equal_count() -> None:
    curve = reliability(
        two(np.linspace(0.01, 0.2, 100).tolist()), np.zeros(100, int), target=1, bins=4, spacing="count"
    )
    assert curve.counts.tolist() == [25, 25, 25, 25]
    constant = reliability(two([0.3] * 6), np.array([1, 0, 0, 1, 0, 0]), target=1, bins=4, spacing="count")
    assert constant.counts.sum() == 6
    assert expected_calibration_error(constant) == pytest.approx(1 / 30)


def test_volumes_and_voxels_that_do_not_count(rng: np.random.Generator) -> None:
    said = rng.dirichlet([1, 1, 1], (4, 5, 6)).transpose(3, 0, 1, 2).astype(np.float32)
    true = rng.integers(0, 3, (4, 5, 6))
    counted = rng.random(true.shape) < 0.5
    ignored = np.where(counted, true, 255)
    for score in (brier_score, negative_log_likelihood):
        assert score(said, ignored, counted=counted) == pytest.approx(score(said[:, counted], true[counted]), rel=1e-6)
    assert reliability(said, ignored, counted=counted).counts.sum() == counted.sum()


def test_pooled_parts_are_the_whole(rng: np.random.Generator) -> None:
    said = rng.dirichlet([1, 2, 1], 500).T
    true = rng.integers(0, 3, 500)
    nothing = measure_calibration(said[:, :0], true[:0])
    parts = [measure_calibration(said[:, n], true[n]) for n in (slice(0, 100), slice(100, 500))]
    found, whole = pool_calibrations([*parts, nothing]).to_dict(), measure_calibration(said, true).to_dict()
    assert found.keys() == whole.keys()
    for name, value in whole.items():
        for one, other in zip(np.ravel(found[name]), np.ravel(value), strict=True):
            assert one == other or one == pytest.approx(other)
    assert pool_calibrations([nothing]).to_dict()["brier"] is None
    with pytest.raises(DataError, match="same bins"):
        pool_calibrations([parts[0], measure_calibration(said, true, bins=3)])


def test_nothing_counts() -> None:
    none = np.zeros(5, bool)
    assert math.isnan(brier_score(SAID, TRUE, counted=none))
    assert math.isnan(negative_log_likelihood(SAID, TRUE, counted=none))
    curve = reliability(SAID, TRUE, counted=none)
    assert math.isnan(expected_calibration_error(curve))
    assert math.isnan(maximum_calibration_error(curve))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"probabilities": SAID * 3}, DataError, "logits"),
        ({"probabilities": SAID[:1]}, GeometryError, "2 classes or more"),
        ({"reference": TRUE[:3]}, GeometryError, "reference"),
        ({"reference": TRUE + 1}, DataError, "classes 1 to 2"),
        ({"counted": np.ones(3, bool)}, GeometryError, "alike"),
        ({"target": 2}, DataError, "0 to 1, not 2"),
        ({"bins": 0}, DataError, "at least 1"),
        ({"spacing": "log"}, DataError, "unknown spacing"),
    ],
)
def test_what_cannot_be_scored(change: dict, error: type, words: str) -> None:
    given = {"probabilities": SAID, "reference": TRUE} | change
    with pytest.raises(error, match=words):
        reliability(given.pop("probabilities"), given.pop("reference"), **given)
    with pytest.raises(DataError, match="least"):
        negative_log_likelihood(SAID, TRUE, least=0)
