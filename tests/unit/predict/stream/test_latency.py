"""Quantiles of durations in little memory."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.errors import DataError
from vesalius.predict.stream import Latencies


@given(st.lists(st.floats(1e-5, 1e4), min_size=1, max_size=200), st.floats(0, 1))
def test_quantiles_are_within_one_percent(seconds, share):
    times = Latencies()
    for one in seconds:
        times.add(one)
    exact = np.quantile(seconds, share, method="inverted_cdf")
    assert times.quantile(share) == pytest.approx(exact, rel=0.0101)
    assert times.largest_s == max(seconds)


def test_hours_need_no_more_memory(rng):
    times = Latencies()
    for one in rng.lognormal(-3, 1, 50_000):
        times.add(float(one))
    assert times.count == 50_000
    assert len(times._buckets) < 600
    times.add(0.0)
    times.add(1e9)
    assert max(times._buckets) - min(times._buckets) < 1300


def test_the_summary_is_in_milliseconds():
    times, quantiles = Latencies(), ("p50_ms", "p95_ms", "p99_ms", "largest_ms")
    assert times.summary() == {"count": 0, "mean_ms": None, **dict.fromkeys(quantiles)}
    assert math.isnan(times.quantile(0.5))
    times.add(0.02)
    about = dict.fromkeys(quantiles, pytest.approx(20, rel=0.01))
    assert times.summary() == {"count": 1, "mean_ms": 20.0, **about}


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_what_is_no_duration_is_refused(wrong):
    with pytest.raises(DataError, match="finite and not negative"):
        Latencies().add(wrong)
    with pytest.raises(DataError, match="0 to 1"):
        Latencies().quantile(1.5)
