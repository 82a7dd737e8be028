"""A whole comparison, and its JSON."""

import json

import numpy as np
import pytest

from vesalius.metrics import Scores
from vesalius.metrics.comparison import compare
from vesalius.metrics.ranking import SCHEMES


def of(values) -> list[Scores]:
    return [Scores(f"case {n}", {"x": {"dice": v}, "y": {"dice": v / 2}}) for n, v in enumerate(values)]


@pytest.fixture
def scores() -> dict[str, list[Scores]]:
    base = np.random.default_rng(0).uniform(0.4, 0.8, 12)
    return {"good": of(base + 0.1), "fair": of(base), "lazy": of(base[:10] + 0.05)}


def test_everything_speaks_of_one_table(scores) -> None:
    found = compare(scores, resamples=100)
    assert set(found.rankings) == set(found.stability) == set(SCHEMES)
    assert found.rankings["mean_then_rank"].ranks[0] == 1
    assert [found.stability[scheme].ranks for scheme in SCHEMES] == [found.rankings[s].ranks for s in SCHEMES]
    assert found.table.filled["lazy"] == ("case 10", "case 11")
    halved = compare(scores, target="y", resamples=100)
    assert halved.differences[0].mean == pytest.approx(0.05)
    assert found.differences[0].mean == pytest.approx(0.075)


def test_silence_does_not_pay(scores) -> None:
    """Without its two missing cases the lazy one beats the fair one; with them it does not."""
    places = {
        rule: compare(scores, missing=rule, resamples=10).rankings["mean_then_rank"].ranks
        for rule in ("worst", "common")
    }
    assert places == {"worst": (1, 2, 3), "common": (1, 3, 2)}


def test_to_dict_is_json(scores) -> None:
    told = json.loads(json.dumps(compare(scores, resamples=20).to_dict(), allow_nan=False))
    assert told["methods"] == ["good", "fair", "lazy"]
    assert told["filled_with_worst"] == {"lazy": ["case 10", "case 11"]}
    assert told["rankings"]["mean_then_rank"]["ranks"] == [1, 2, 3]
    assert len(told["stability"]["significance"]["frequency"]) == 3
    single = compare({name: rows[:1] for name, rows in scores.items()}, resamples=20).to_dict()
    assert json.loads(json.dumps(single, allow_nan=False))["differences"][0]["low"] is None


def test_stability_can_be_left_out(scores) -> None:
    found = compare(scores, resamples=20, stability=False)
    assert found.stability == {}
    assert found.to_dict()["stability"] == {}
    assert found.rankings["mean_then_rank"].ranks == (1, 2, 3)
