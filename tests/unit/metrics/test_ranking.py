"""Orders of methods by each custom, and how firm they are."""

import math

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.metrics import Scores
from vesalius.metrics.paired import PairedTable, paired_table
from vesalius.metrics.ranking import SCHEMES, _signed_ranks, _tau, rank_methods, ranking_stability


def table(metric: str = "dice", **values) -> PairedTable:
    rows = {
        method: [Scores(f"case {n}", {"x": {metric: v}}) for n, v in enumerate(row)] for method, row in values.items()
    }
    return paired_table(rows, metric)


CUSTOMS = table(A=[0.9, 0.9, 0.9, 0.0], B=[0.8, 0.8, 0.8, 0.8], C=[0.7, 0.7, 0.7, 0.7])


def test_a_catastrophe_costs_the_mean_and_not_the_rank() -> None:
    """A has the best median and mean rank (1, 1, 1, 3), and the worst mean."""
    assert rank_methods(CUSTOMS, "mean_then_rank").ranks == (3, 1, 2)
    assert rank_methods(CUSTOMS, "median_then_rank").ranks == (1, 2, 3)
    found = rank_methods(CUSTOMS, "rank_then_mean")
    assert (found.ranks, found.values) == ((1, 2, 3), (1.5, 1.75, 2.75))
    assert rank_methods(CUSTOMS).values == pytest.approx((0.675, 0.8, 0.7))


def test_less_is_better_for_distances() -> None:
    found = rank_methods(table("hd95", A=[1.0, 2.0], B=[3.0, 5.0]))
    assert (found.ranks, found.values) == ((1, 2), (1.5, 4.0))


def test_equals_share_the_better_place() -> None:
    """0.1 + 0.2 is 0.3 but for rounding."""
    equal = table(A=[0.1 + 0.2, 0.5], B=[0.3, 0.5], C=[0.1, 0.1])
    for scheme in SCHEMES[:3]:
        assert rank_methods(equal, scheme).ranks == (1, 1, 3)


def test_significance_ranks_what_the_cases_can_tell_apart() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.5, 0.8, 30)
    close = base + rng.normal(0, 0.02, 30)
    found = rank_methods(table(A=(base + 0.1).tolist(), B=base.tolist(), C=close.tolist()), "significance")
    assert found.ranks == (1, 2, 2)
    assert found.values == (2, 0, 0)
    few = table(A=[0.9] * 5, B=[0.1] * 5)
    assert rank_methods(few, "significance").ranks == (1, 1)  # five cases cannot be significant


def test_the_normal_approximation_is_scipys() -> None:
    from scipy.stats import wilcoxon

    rng = np.random.default_rng(3)
    apart = np.round(rng.normal(0.2, 1, (6, 40)), 1)  # ties and zeros
    p, _ = _signed_ranks(apart)
    expected = [wilcoxon(row[row != 0], method="approx", correction=False).pvalue for row in apart]
    np.testing.assert_allclose(p, expected)


def test_tau_is_scipys() -> None:
    from scipy.stats import kendalltau

    rng = np.random.default_rng(1)
    whole, others = np.array([1, 2, 2, 4, 5]), rng.integers(1, 4, (50, 5))
    expected = [kendalltau(whole, row).statistic for row in others]
    np.testing.assert_allclose(_tau(whole, others), expected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_clear_winner_stays(scheme: str) -> None:
    rng = np.random.default_rng(5)
    base = rng.uniform(0.5, 0.7, 20)
    found = ranking_stability(table(A=(base + 0.2).tolist(), B=base.tolist()), scheme, resamples=200)
    assert found.frequency.tolist() == [[1, 0], [0, 1]]
    assert (found.tau, found.same, found.low, found.high) == (1, 1, (1, 2), (1, 2))


def test_two_alike_change_places_in_half_the_resamples() -> None:
    rng = np.random.default_rng(6)
    base = rng.uniform(0.5, 0.7, 400)
    noise = rng.normal(0, 0.1, 400)
    alike = table(A=(base + noise - noise.mean() + 1e-6).tolist(), B=base.tolist(), C=(base - 0.3).tolist())
    found = ranking_stability(alike, resamples=2000)
    assert found.frequency[0, 0] == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(found.frequency.sum(axis=1), 1)
    assert found.frequency[2].tolist() == [0, 0, 1]
    # A change of two of three places turns one of three pairs round: tau 1/3.
    assert found.tau == pytest.approx(found.same + (1 - found.same) / 3)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_the_same(scheme: str) -> None:
    found = ranking_stability(table(A=[0.5, 0.6], B=[0.5, 0.6]), scheme, resamples=20)
    assert found.ranks == (1, 1)
    assert found.same == 1
    assert math.isnan(found.tau)


def test_the_same_seed_is_the_same_answer() -> None:
    one, other = (ranking_stability(CUSTOMS, resamples=50, seed=3) for _ in range(2))
    assert np.array_equal(one.frequency, other.frequency)


def test_what_cannot_be_ranked() -> None:
    with pytest.raises(DataError, match="unknown ranking"):
        rank_methods(CUSTOMS, "best")
    with pytest.raises(DataError, match="alpha"):
        rank_methods(CUSTOMS, alpha=0)
    with pytest.raises(DataError, match="resamples"):
        ranking_stability(CUSTOMS, resamples=0)
