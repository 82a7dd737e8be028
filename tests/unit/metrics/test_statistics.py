import json
import math

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.metrics import Scores, summarise


def scores(**values):
    """One metric a keyword, one value a case."""
    count = len(next(iter(values.values())))
    return [Scores(f"case {i}", {"x": {name: row[i] for name, row in values.items()}}) for i in range(count)]


def test_statistics_of_known_numbers():
    found = summarise(scores(dice=[0.5, 0.9, 0.7, 0.7])).values["x"]["dice"]
    assert (found.n, found.undefined) == (4, 0)
    assert found.mean == pytest.approx(0.7)
    assert found.median == pytest.approx(0.7)
    assert found.std == pytest.approx(math.sqrt(0.08 / 3))
    assert (found.min, found.max) == (0.5, 0.9)
    assert found.worst == ("case 0", "case 2", "case 3", "case 1")


def test_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(300):
        found = summarise(scores(dice=rng.normal(0.8, 0.05, 40).tolist()), resamples=300).values["x"]["dice"]
        hits += found.low <= 0.8 <= found.high
    assert 0.90 <= hits / 300 <= 0.98


def test_interval_agrees_with_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(3).beta(8, 2, 60)
    found = summarise(scores(dice=values.tolist())).values["x"]["dice"]
    expected = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert found.low == pytest.approx(expected.low, abs=3e-3)
    assert found.high == pytest.approx(expected.high, abs=3e-3)


def test_same_seed_same_interval():
    rows = scores(dice=np.linspace(0.1, 0.9, 30).tolist())
    assert summarise(rows) == summarise(rows)
    assert summarise(rows, seed=1).values["x"]["dice"].low != summarise(rows, seed=2).values["x"]["dice"].low


def test_worst_follows_the_metrics_direction():
    rows = summarise(scores(hd95=[1.0, 9.0, 3.0], relative_volume_difference=[0.1, 0.2, -0.7])).values["x"]
    assert rows["hd95"].worst[0] == "case 1"
    assert rows["relative_volume_difference"].worst[0] == "case 2"
    assert summarise(scores(volume_reference_ml=[1.0, 2.0])).values["x"]["volume_reference_ml"].worst == ()


def test_undefined_values_are_left_out_and_counted():
    found = summarise(scores(relative_volume_difference=[math.nan, 0.5, 0.1])).values["x"]["relative_volume_difference"]
    assert (found.n, found.undefined, found.mean) == (2, 1, pytest.approx(0.3))
    nothing = summarise(scores(dice=[math.nan, math.nan])).values["x"]["dice"]
    assert (nothing.n, nothing.undefined) == (0, 2)
    assert math.isnan(nothing.mean)


def test_one_case_has_no_interval():
    found = summarise(scores(dice=[0.5])).values["x"]["dice"]
    assert found.mean == 0.5
    assert all(math.isnan(v) for v in (found.std, found.low, found.high))


def test_foreground_is_the_mean_over_targets_of_each_case():
    rows = [
        Scores("a", {"x": {"dice": 0.2}, "y": {"dice": 0.8}}),
        Scores("b", {"x": {"dice": 0.6}, "y": {"dice": math.nan}}),
    ]
    summary = summarise(rows)
    assert summary.foreground["dice"].mean == pytest.approx((0.5 + 0.6) / 2)
    assert summary.foreground["dice"].worst == ("a", "b")
    assert (summary.values["y"]["dice"].n, summary.values["y"]["dice"].undefined) == (1, 1)


def test_cases_without_a_target_are_not_undefined():
    rows = [Scores("a", {"x": {"dice": 0.2}}), Scores("b", {"x": {"dice": 0.6}, "y": {"dice": 0.4}})]
    found = summarise(rows).values["y"]["dice"]
    assert (found.n, found.undefined, found.mean) == (1, 0, 0.4)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no scores"),
        ([Scores("a", {}), Scores("a", {})], "occur twice: a"),
        ([Scores("a", {}, 1.0), Scores("b", {}, 2.0)], "different tolerances"),
    ],
)
def test_what_cannot_be_summarised(rows, message):
    with pytest.raises(DataError, match=message):
        summarise(rows)


def test_resamples_must_be_positive():
    with pytest.raises(DataError, match="resamples"):
        summarise(scores(dice=[0.5]), resamples=0)


def test_to_dict_is_json():
    text = json.dumps(summarise(scores(dice=[0.5])).to_dict(), allow_nan=False)
    assert json.loads(text)["values"]["x"]["dice"]["low"] is None
    assert json.loads(text)["foreground"]["dice"]["mean"] == 0.5
