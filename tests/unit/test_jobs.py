"""Jobs without Ray: in order, by themselves, and what is said where Ray is wanted and not there."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from vesalius.errors import DataError, MissingDependencyError, VesaliusError
from vesalius.jobs import Outcome, Share, _divided, joined, run_jobs, share_of


def half(number: int) -> int:
    if number % 2:
        raise DataError(f"{number} is odd")
    return number // 2


def test_outcomes_come_in_order_and_an_error_stops_nobody() -> None:
    outcomes = list(run_jobs(half, [4, 3, 2]))
    assert [outcome.number for outcome in outcomes] == [0, 1, 2]
    assert [outcome.result for outcome in outcomes] == [2, None, 1]
    with pytest.raises(DataError, match="3 is odd"):
        outcomes[1].unwrap()
    assert outcomes[2].unwrap() == 1


def test_an_interruption_is_no_outcome() -> None:
    def interrupted(_: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_jobs(interrupted, [1]))


def test_a_job_may_depend_on_the_outcome_before() -> None:
    found: list[int] = [1]

    def doubling() -> Iterator[int]:
        while found[-1] < 20:
            yield found[-1]

    for outcome in run_jobs(lambda number: 2 * number, doubling()):
        found += [outcome.unwrap()]
    assert found == [1, 2, 4, 8, 16, 32]


def test_leaving_early_leaves_the_rest_undone() -> None:
    done: list[int] = []
    for _ in run_jobs(done.append, range(5)):
        break
    assert done == [0]


def test_one_machine_is_one_slot() -> None:
    assert share_of(None, 100, device="cuda") == Share(cores=1, gpus=0.0, slots=1)
    with joined(None) as ray:
        assert ray is None


@pytest.mark.parametrize(
    ("machines", "jobs", "gpus", "expected"),
    [
        ([(2, 0.0)], 1, 0.0, Share(2, 0.0, 1)),  # one job has the machine
        ([(2, 0.0)], 3, 0.0, Share(1, 0.0, 2)),
        ([(64, 0.0)], 5, 0.0, Share(12, 0.0, 5)),  # no core of the sixty is left idle
        ([(8, 0.0), (4, 0.0)], 3, 0.0, Share(4, 0.0, 3)),
        ([(8, 0.0), (4, 1.0)], 3, 1.0, Share(4, 1.0, 1)),  # only one of them has a GPU
        ([(2, 8.0)], 8, 1.0, Share(1, 1.0, 2)),  # GPUs without cores are no use
    ],
)
def test_machines_are_divided_without_a_rest(
    machines: list[tuple[int, float]], jobs: int, gpus: float, expected: Share
) -> None:
    assert _divided(machines, jobs, gpus) == expected


def test_a_machine_that_there_is_not_is_said() -> None:
    with pytest.raises(VesaliusError, match="no machine of the cluster has 1 cores and 1 GPUs"):
        _divided([(16, 0.0)], 2, 1.0)


@pytest.mark.parametrize("call", [lambda: list(run_jobs(half, [2], cluster="local")), lambda: share_of("auto", 2)])
def test_without_ray_the_extra_is_named(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vesalius\[cluster\]'"):
        call()


def test_an_outcome_of_none_is_a_result() -> None:
    assert Outcome[None](0).unwrap() is None
