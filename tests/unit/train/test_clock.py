import pytest

from vesalius.train.clock import COOLING, Clock


def test_time_and_steps_are_shares() -> None:
    assert Clock(length_s=10.0).done(step=3, trained_s=2.5) == 0.25
    assert Clock(steps=4).done(step=3, trained_s=1e9) == 0.75
    assert Clock(length_s=10.0).done(step=0, trained_s=99.0) == 1.0
    assert Clock(length_s=-3.0).done(step=0, trained_s=0.1) == 1.0  # the time was gone before it began


@pytest.mark.parametrize("at", [0.1, 0.5, 0.8])
def test_an_early_stop_cools_down_in_a_tenth_of_what_was_trained(at: float) -> None:
    clock = Clock(length_s=100.0)
    done = [clock.done(step=0, trained_s=t, stopped_at=at) for t in range(101)]
    assert done == sorted(done)
    assert done[round(100 * at)] == pytest.approx(at)
    assert done[round(100 * at * (1 + COOLING)) + 1] == 1.0
    assert done[round(100 * at) + 1] < 1.0 or at * COOLING <= 0.011


def test_a_stop_near_the_end_does_not_slow_down() -> None:
    assert Clock(length_s=100.0).done(step=0, trained_s=97.0, stopped_at=0.95) >= 0.97
