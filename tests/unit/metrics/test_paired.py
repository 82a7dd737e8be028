"""Methods side by side: the table, who is missing, and how far two are apart."""

import math

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.metrics import Scores
from vesalius.metrics.paired import common_targets, differences, holm, paired_table, signed_rank_p

NAN = math.nan


def of(values, metric: str = "dice", target: str = "x") -> list[Scores]:
    """One entry a case; None leaves the case out."""
    return [Scores(f"case {n}", {target: {metric: v}}) for n, v in enumerate(values) if v is not None]


def test_cases_are_lined_up_by_name() -> None:
    ours, theirs = of([0.1, 0.2, 0.3]), of([0.4, 0.5, 0.6])[::-1]
    table = paired_table({"A": ours, "B": theirs}, "dice")
    assert table.cases == ("case 0", "case 1", "case 2")
    assert table.values.tolist() == [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]
    assert table.badness.tolist() == (-table.values).tolist()


def test_a_missing_case_gets_the_worst_value_or_goes() -> None:
    scores = {"A": of([0.9, None, 0.7]), "B": of([0.8, 0.6, 0.5])}
    worst = paired_table(scores, "dice")
    assert worst.cases == ("case 0", "case 2", "case 1")
    assert worst.values.tolist() == [[0.9, 0.7, 0.0], [0.8, 0.5, 0.6]]
    assert worst.filled == {"A": ("case 1",), "B": ()}
    common = paired_table(scores, "dice", missing="common")
    assert (common.cases, common.left_out) == (("case 0", "case 2"), ("case 1",))
    assert common.filled == {"A": (), "B": ()}
    distances = paired_table({"A": of([3, None], "hd95"), "B": of([9, 4], "hd95")}, "hd95")
    assert distances.values[0].tolist() == [3, 9]
    assert distances.badness.tolist() == distances.values.tolist()


def test_a_value_that_is_nan_leaves_the_case_out_for_all() -> None:
    table = paired_table({"A": of([0.9, NAN]), "B": of([0.8, 0.6])}, "dice")
    assert (table.cases, table.left_out) == (("case 0",), ("case 1",))


def test_best_at_zero_is_compared_by_size() -> None:
    name = "relative_volume_difference"
    table = paired_table({"A": of([-0.5, 0.1], name), "B": of([0.2, -0.2], name)}, name)
    assert table.values.tolist() == [[0.5, 0.1], [0.2, 0.2]]


def test_the_mean_is_over_targets_that_all_have() -> None:
    a = [Scores("c", {"x": {"dice": 0.8}, "y": {"dice": 0.4}, "extra": {"dice": 0.0}})]
    b = [Scores("c", {"x": {"dice": 0.6}, "y": {"dice": NAN}})]
    assert common_targets({"A": a, "B": b}) == ["x", "y"]
    assert paired_table({"A": a, "B": b}, "dice").values[:, 0].tolist() == pytest.approx([0.6, 0.6])
    assert paired_table({"A": a, "B": b}, "dice", target="x").values[:, 0].tolist() == [0.8, 0.6]


@pytest.mark.parametrize(
    ("scores", "how", "words"),
    [
        ({"A": of([1.0])}, {}, "two methods or more"),
        ({"A": of([1.0]), "B": []}, {}, "B has no scores"),
        ({"A": of([1.0]), "B": of([1.0]) * 2}, {}, "occurs twice"),
        ({"A": of([1.0]), "B": [Scores("case 0", {"x": {"dice": 1.0}}, 2.0)]}, {}, "tolerances"),
        ({"A": of([1.0]), "B": of([1.0])}, {"metric": "dise"}, "did you mean 'dice'"),
        ({"A": of([1.0]), "B": of([1.0])}, {"metric": "volume_reference_ml"}, "only describes"),
        ({"A": of([1.0]), "B": of([1.0])}, {"metric": "hd95"}, "no method has a value"),
        ({"A": of([1.0]), "B": of([1.0])}, {"target": "y"}, "of 'y' in any case"),
        ({"A": of([1.0]), "B": of([1.0])}, {"missing": "mean"}, "unknown rule"),
        ({"A": of([1.0, None]), "B": of([None, 1.0])}, {"missing": "common"}, "no case is left"),
    ],
)
def test_what_cannot_be_compared(scores, how: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        paired_table(scores, how.pop("metric", "dice"), **how)


def test_differences_by_hand() -> None:
    """A is better on four of five cases by 0.1, worse on one by 0.1; C equals A."""
    a, b = [0.9, 0.8, 0.7, 0.6, 0.5], [0.8, 0.7, 0.6, 0.5, 0.6]
    found = differences(paired_table({"A": of(a), "B": of(b), "C": of(a)}, "dice"))
    assert [(one.first, one.second) for one in found] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert found[0].mean == pytest.approx(0.06)
    assert (found[0].first_better, found[0].second_better, found[0].n) == (4, 1, 5)
    # All five sizes are tied at rank 3: P(|W - 7.5| >= 4.5) = P(at least 4 or at most 1 of 5 positive) = 12 / 32.
    assert found[0].p == pytest.approx(12 / 32)
    assert (found[1].p, found[1].mean, found[1].first_better) == (1, 0, 0)
    assert found[2].mean == -found[0].mean
    assert found[0].p_holm == pytest.approx(1)


def test_the_interval_of_the_difference_is_narrower_than_those_of_the_means() -> None:
    rng = np.random.default_rng(2)
    hard = rng.uniform(0.3, 0.9, 50)
    table = paired_table({"A": of((hard + 0.02 + rng.normal(0, 0.01, 50)).tolist()), "B": of(hard.tolist())}, "dice")
    found = differences(table)[0]
    assert 0 < found.low < 0.02 < found.high < 0.03
    assert found.p < 1e-6


def test_the_test_holds_its_level_and_the_interval_too() -> None:
    rng = np.random.default_rng(11)
    wrong = covered = 0
    for _ in range(300):
        base = rng.uniform(0.4, 0.9, 25)
        table = paired_table({"A": of((base + rng.normal(0, 0.05, 25)).tolist()), "B": of(base.tolist())}, "dice")
        found = differences(table, resamples=300)[0]
        wrong += found.p < 0.05
        covered += found.low <= 0 <= found.high
    assert wrong / 300 < 0.09
    assert covered / 300 > 0.88


def test_scipy_and_holms_own_example() -> None:
    from scipy.stats import wilcoxon

    rng = np.random.default_rng(0)
    apart = rng.normal(0.3, 1, 20)
    assert signed_rank_p(apart) == pytest.approx(wilcoxon(apart).pvalue)
    tied = np.array([1.0, 1.0, -1.0, 2.0, 2.0, -3.0, 3.0, 4.0])  # scipy tries all signs of few cases with ties
    assert signed_rank_p(tied) == pytest.approx(wilcoxon(tied).pvalue)
    many = np.round(rng.normal(0.1, 1, 80), 1)
    expected = wilcoxon(many[many != 0], method="asymptotic", correction=False).pvalue
    assert signed_rank_p(many) == pytest.approx(expected)
    assert signed_rank_p(apart * 1e-9) == signed_rank_p(apart)
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])
    assert holm([0.6, 0.9]) == [1, 1]


def test_a_single_case() -> None:
    found = differences(paired_table({"A": of([0.5]), "B": of([0.4])}, "dice"))[0]
    assert found.mean == pytest.approx(0.1)
    assert math.isnan(found.low)
    assert found.p == 1
    with pytest.raises(DataError, match="resamples"):
        differences(paired_table({"A": of([0.5]), "B": of([0.4])}, "dice"), resamples=0)
