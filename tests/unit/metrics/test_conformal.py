"""Promises from few persons: by hand for a handful, by simulation for the rest."""

import math

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.metrics.conformal import (
    THRESHOLDS,
    conformal_quantile,
    least_persons,
    missed_shares,
    risk_threshold,
    size_factor,
)

TRIALS = 4000


def names(count):
    return [f"p{n}" for n in range(count)]


@pytest.mark.parametrize(("level", "least"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_below_the_least_number_of_persons_nothing_is_promised(level, least):
    assert least_persons(level) == least
    scores = np.arange(least, dtype=float)
    assert conformal_quantile(scores, level) == least - 1  # the worst of all
    assert conformal_quantile(scores[1:], level) is None


def test_quantiles_by_hand():
    assert conformal_quantile(range(1, 20), 0.9) == 18  # the 18th of 19: ceil(20 * 0.9)
    assert conformal_quantile(range(1, 23), 0.9) == 21  # the 21st of 22: ceil(23 * 0.9 = 20.7)
    assert conformal_quantile([], 0.5) is None


def test_the_true_size_is_inside_as_often_as_promised():
    # Exchangeable persons, a segmenter with a bias and errors of heavy tails. Of continuous scores the theorem tells
    # the coverage exactly: that of the ceil((n + 1) level)-th of n + 1 places.
    rng = np.random.default_rng(3)
    for persons, level in ((9, 0.9), (22, 0.9), (40, 0.8)):
        true = rng.lognormal(2, 0.5, (TRIALS, persons + 1))
        said = true * np.exp(0.15 + 0.1 * rng.standard_t(3, true.shape))
        inside = 0
        for drawn, found in zip(true, said, strict=True):
            factor = size_factor(drawn[1:], found[1:], names(persons), level=level)
            assert factor is not None
            inside += found[0] / factor <= drawn[0] <= found[0] * factor
        error = 3 * math.sqrt(0.25 / TRIALS)
        exact = math.ceil((persons + 1) * level - 1e-9) / (persons + 1)
        assert exact >= level
        assert inside / TRIALS == pytest.approx(exact, abs=error)


def test_a_person_counts_once_by_the_worst_case():
    true, said = [10.0, 10.0, 10.0, 10.0], [20.0, 11.0, 5.0, 10.0]
    assert size_factor(true, said, ["a", "a", "b", "c"], level=0.75) == pytest.approx(2)  # scores 2, 2, 1
    assert size_factor(true, said, ["a", "a", "b", "b"], level=0.75) is None  # two persons
    assert size_factor(true, said, names(4), level=0.75) == pytest.approx(2)


def test_cases_of_one_person_taken_for_many_would_promise_too_much():
    # Five persons with eight cases each, alike within a person: counted as 40, the interval misses new persons.
    rng = np.random.default_rng(5)
    honest = naive = promised = 0
    who = [f"p{n}" for n in range(5) for _ in range(8)]
    for _ in range(500):
        shift = 0.3 * rng.standard_normal(6)
        said = np.exp(np.repeat(shift[1:], 8) + 0.02 * rng.standard_normal(40))
        new = math.exp(shift[0] + 0.02 * rng.standard_normal())
        each = size_factor([1.0] * 40, said, names(40), level=0.9)
        assert each is not None
        naive += new / each <= 1 <= new * each
        assert size_factor([1.0] * 40, said, who, level=0.9) is None  # five persons promise no 90 %
        factor = size_factor([1.0] * 40, said, who, level=0.8)
        promised += factor is not None
        honest += factor is not None and new / factor <= 1 <= new * factor
    assert promised == 500
    assert honest / 500 >= 0.8 - 3 * math.sqrt(0.16 / 500)
    assert naive / 500 < 0.88


def test_what_was_not_found_has_no_interval_and_what_is_not_there_makes_it_endless():
    assert size_factor([5, 0, 4], [0, 0, 4], names(3), level=0.5) == 1  # one person is left, who is right
    assert size_factor([0, 4], [3, 4], names(2), level=0.5) is None  # ceil(3 * 0.5) = 2nd of (0, infinite)
    assert size_factor([0, 4, 4, 4], [3, 4, 4, 4], names(4), level=0.5) == 1


def test_shares_that_are_missed_fall_with_the_threshold():
    shares = missed_shares(np.array([1.0, 0.6, 0.3, 1e-3, 0], np.float32))
    assert shares[0] == 0.6  # 0.3, 0.001 and 0 lie below 0.5
    assert shares[np.searchsorted(-THRESHOLDS, -0.01)] == 0.4
    assert shares[-1] == 0.2  # what has no probability at all is missed by every region
    assert (np.diff(shares) <= 0).all()
    with pytest.raises(DataError, match="without voxels"):
        missed_shares(np.empty(0, np.float32))


def test_a_threshold_by_hand():
    # n = 4, all missed above 0.1: (4 * mean + 1) / 5 <= 0.3 wants a mean of at most 0.125, half a person.
    late = np.where(THRESHOLDS > 0.1, 1.0, 0.0)
    half = late / 2
    none = np.zeros(len(THRESHOLDS))
    assert risk_threshold([none, none, none, half], names(4), missed=0.3) == 0.5
    assert risk_threshold([none, none, none, late], names(4), missed=0.3) == max(t for t in THRESHOLDS if t <= 0.1)
    assert risk_threshold([none, none, none, none], names(4), missed=0.19) is None  # 1 / 5 is left for the new person
    assert risk_threshold([none + 0.5] * 9, names(9), missed=0.3) is None  # missed at every threshold
    assert risk_threshold([], [], missed=0.3) is None


def test_a_person_counts_once_by_the_mean_of_what_is_missed():
    none = np.zeros(len(THRESHOLDS))
    # Persons a (0 and 0.4) and b (0): a mean of 0.1, so (2 * 0.1 + 1) / 3 = 0.4.
    shares = [none, none + 0.4, none]
    assert risk_threshold(shares, ["a", "a", "b"], missed=0.4) == 0.5
    assert risk_threshold(shares, ["a", "a", "b"], missed=0.39) is None


def test_the_share_that_is_missed_is_as_small_as_promised_on_average():
    # Structures whose voxels have probabilities of any kind, better in some persons than in others.
    rng = np.random.default_rng(7)
    for persons, missed in ((9, 0.2), (30, 0.1)):
        lost = []
        for _ in range(400):
            skill = rng.uniform(0.3, 3, persons + 1)
            sure = [rng.beta(s, 1, 60).astype(np.float32) for s in skill]
            threshold = risk_threshold([missed_shares(one) for one in sure[1:]], names(persons), missed=missed)
            assert threshold is not None
            lost.append(float((sure[0] < np.float32(threshold)).mean()))
        assert np.mean(lost) <= missed + 3 * np.std(lost) / 20
        assert np.mean(lost) >= missed - 2 / (persons + 1) - 3 * np.std(lost) / 20  # and not idly small


@pytest.mark.parametrize("level", [0, 1, -0.1, math.nan])
def test_levels_are_shares(level):
    with pytest.raises(DataError, match="above 0 and below 1"):
        conformal_quantile([1.0], level)
    with pytest.raises(DataError, match="above 0 and below 1"):
        risk_threshold([], [], missed=level)


def test_columns_must_be_alike():
    with pytest.raises(DataError, match="one entry for each case"):
        size_factor([1, 2], [1, 2], ["a"], level=0.5)
    with pytest.raises(DataError, match="must be numbers"):
        conformal_quantile([1, math.nan], 0.5)
