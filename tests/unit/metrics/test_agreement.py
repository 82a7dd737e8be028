"""Agreement of readers, from paper."""

import math

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.metrics.agreement import bland_altman, cohen_kappa, fleiss_kappa, generalised_energy_distance


def test_cohen_by_hand() -> None:
    """Of 50 cases both say yes in 20 and no in 15; 5 and 10 apart: agreed 0.7, by chance 0.5, kappa 0.4."""
    one = np.repeat([1, 1, 0, 0], [20, 5, 10, 15])
    other = np.repeat([1, 0, 1, 0], [20, 5, 10, 15])
    assert cohen_kappa(one, other) == pytest.approx(0.4)
    assert cohen_kappa(one, other, weights="quadratic") == pytest.approx(0.4)  # two classes have one distance


def test_a_neighbouring_grade_is_a_small_mistake() -> None:
    grades = np.arange(5).repeat(4)
    near, far = np.where(grades < 4, grades + 1, 4), np.where(grades < 4, 4, 0)
    assert cohen_kappa(grades, near, weights="quadratic") > 0.7 > cohen_kappa(grades, near)
    assert cohen_kappa(grades, far, weights="quadratic") < 0


def test_fleiss_of_two_readers_and_of_chance(rng: np.random.Generator) -> None:
    one = rng.integers(0, 3, (30, 30))
    assert fleiss_kappa([one, one, one]) == 1
    assert abs(fleiss_kappa([rng.integers(0, 3, (100, 100)) for _ in range(4)])) < 0.02
    assert fleiss_kappa([np.array([0, 1]), np.array([1, 0])]) == -1


def test_one_class_is_full_agreement() -> None:
    nothing = np.zeros((3, 3), int)
    assert fleiss_kappa([nothing, nothing]) == cohen_kappa(nothing, nothing) == 1


def test_energy_distance_by_hand() -> None:
    """Sets {a, b} and {a}, IoU of a and b 1/3: 2 * (2/3) / 2 - (2/3) / 2 - 0 = 1/3."""
    a, b = np.array([1, 1, 0, 0]), np.array([0, 1, 1, 0])
    assert generalised_energy_distance([a, b], [a]) == pytest.approx(1 / 3)
    assert generalised_energy_distance([a], [b]) == pytest.approx(2 * 2 / 3)
    assert generalised_energy_distance([a, b], [b, a]) == pytest.approx(0)


def test_energy_distance_of_several_classes_is_their_mean() -> None:
    """Class 1 is the same, class 2 disjoint."""
    a, b = np.array([1, 1, 2, 0]), np.array([1, 1, 0, 2])
    assert generalised_energy_distance([a], [b]) == pytest.approx(2 * (0 + 1) / 2)
    nothing = np.zeros(4, int)
    assert generalised_energy_distance([nothing], [nothing]) == 0
    assert generalised_energy_distance([nothing], [a]) == 2


def test_bland_altman_by_hand() -> None:
    """Differences 1, 2, 3: bias 2, deviation 1, limits 2 ± 1.96; t of two degrees of freedom is 4.3027."""
    found = bland_altman([11, 22, 33], [10, 20, 30])
    assert (found.n, found.bias, found.std) == (3, 2, 1)
    assert (found.low, found.high) == pytest.approx((0.04, 3.96))
    assert found.bias_interval == pytest.approx((2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3)), abs=1e-4)
    reach = 4.3027 * math.sqrt(1 / 3 + 1.96**2 / 4)
    assert found.high_interval == pytest.approx((3.96 - reach, 3.96 + reach), abs=1e-3)
    assert found.low_interval == pytest.approx((0.04 - reach, 0.04 + reach), abs=1e-3)
    assert found.means == (10.5, 21, 31.5)


def test_limits_hold_95_of_100_and_their_intervals_the_true_limits() -> None:
    rng = np.random.default_rng(5)
    inside = hits = 0
    for _ in range(300):
        reference = rng.uniform(0, 100, 30)
        found = bland_altman(reference + rng.normal(1, 2, 30), reference)
        inside += np.mean([found.low <= d <= found.high for d in found.differences])
        hits += found.high_interval[0] <= 1 + 1.96 * 2 <= found.high_interval[1]
    assert inside / 300 == pytest.approx(0.95, abs=0.015)
    assert hits / 300 == pytest.approx(0.95, abs=0.03)


def test_few_cases_and_missing_ones() -> None:
    assert bland_altman([1, math.nan, 3], [1, 2, math.nan]).n == 1
    one = bland_altman([2], [1])
    assert one.bias == 1
    assert math.isnan(one.low)
    assert math.isnan(one.bias_interval[0])
    assert math.isnan(bland_altman([], []).bias)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fleiss_kappa([np.ones(3)]), DataError, "two readers or more"),
        (lambda: fleiss_kappa([np.ones(3, int), np.ones(2, int)]), GeometryError, "one shape"),
        (lambda: cohen_kappa(np.ones(0, int), np.ones(0, int)), DataError, "no voxels"),
        (lambda: cohen_kappa(np.ones(2, int), np.ones(2, int), weights="cubic"), DataError, "unknown weights"),
        (lambda: generalised_energy_distance([], [np.ones(2, int)]), DataError, "at least one"),
        (lambda: generalised_energy_distance([np.ones(3, int)], [np.ones(2, int)]), GeometryError, "one shape"),
        (lambda: bland_altman([1.0], [1.0, 2.0]), DataError, "as many"),
        (lambda: bland_altman([math.inf], [1.0]), DataError, "infinite"),
    ],
)
def test_what_cannot_be_compared(call, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
