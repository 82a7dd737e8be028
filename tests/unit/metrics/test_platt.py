"""Platt's scaling: known answers, and what it must never do."""

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.metrics.platt import Platt, fit_platt


def test_scores_that_say_nothing_give_the_share() -> None:
    """Equal scores: the best constant is the mean of Platt's targets, (3/4 · 2 + 1/6 · 4) / 6 = 13/36."""
    scaled = fit_platt([1.0] * 6, [True, True, False, False, False, False])
    assert scaled(1.0) == pytest.approx(13 / 36, abs=1e-6)


def test_it_is_the_optimum_of_the_cross_entropy(rng: np.random.Generator) -> None:
    """At the optimum the residuals add up to nothing, plain and weighted with the score."""
    scores = rng.normal(size=60) * 40 + 7
    true = rng.random(60) < 1 / (1 + np.exp(-(scores - 10) / 20))
    scaled = fit_platt(scores.tolist(), true.tolist())
    n, m = true.sum(), (~true).sum()
    target = np.where(true, (n + 1) / (n + 2), 1 / (m + 2))
    residual = np.array([scaled(score) for score in scores]) - target
    assert abs(residual.sum()) < 1e-6
    assert abs((residual * scores).sum()) < 1e-4


def test_a_law_that_is_known_is_found(rng: np.random.Generator) -> None:
    scores = rng.uniform(-3, 3, 20_000)
    true = rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * scores - 0.5)))
    found = fit_platt(scores.tolist(), true.tolist())
    assert found.slope == pytest.approx(1.5, rel=0.05)
    assert found.intercept == pytest.approx(-0.5, abs=0.06)


def test_few_cases_told_apart_make_no_certainty() -> None:
    scaled = fit_platt([-8.0, -7.0, 4.0, 5.0], [False, False, True, True])
    assert 0.6 < scaled(5.0) < 0.9
    assert scaled(-8.0) == pytest.approx(1 - scaled(5.0), abs=0.1)
    assert scaled(1e9) == pytest.approx(1.0)
    assert scaled(-1e9) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("scores", "outcomes", "message"),
    [
        ([1.0, 2.0], [True, True], "2 are so and 0 are not"),
        ([1.0, float("nan")], [True, False], "2 finite numbers"),
        ([1.0], [True, False], "2 finite numbers"),
    ],
)
def test_what_cannot_be_fitted(scores, outcomes, message) -> None:
    with pytest.raises(DataError, match=message):
        fit_platt(scores, outcomes)


def test_the_odds_are_linear_in_the_score() -> None:
    scaled = Platt(2.0, -1.0)
    assert np.log(scaled(1.25) / (1 - scaled(1.25))) == pytest.approx(1.5)
