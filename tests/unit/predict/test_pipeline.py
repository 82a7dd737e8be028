"""Stages that overlap: what waits for what, and what an error or an interruption leaves."""

import threading
import weakref
from collections.abc import Callable

import pytest

from vesalius.predict.pipeline import overlapped

WAIT_S = 10.0


def through(jobs, *, read=lambda job: job, compute=lambda job, loaded: loaded, write=lambda job, made: made, **how):
    return overlapped(jobs, read=read, compute=compute, write=write, **how)


def test_outcomes_come_in_order():
    outcomes = list(through(range(5), compute=lambda job, loaded: 10 * loaded, write=lambda job, made: (job, made)))
    assert [outcome.number for outcome in outcomes] == [0, 1, 2, 3, 4]
    assert [outcome.unwrap() for outcome in outcomes] == [(0, 0), (1, 10), (2, 20), (3, 30), (4, 40)]
    assert list(through([])) == []


def test_the_next_is_read_and_the_last_is_written_while_one_is_computed():
    """Each stage waits for what only happens beside it if they overlap."""
    read, written = [threading.Event() for _ in range(3)], [threading.Event() for _ in range(3)]

    def compute(job, _):
        if job < 2:
            assert read[job + 1].wait(WAIT_S), "the next was not read meanwhile"
        if job > 0:
            assert written[job - 1].wait(WAIT_S), "the last was not written meanwhile"
        return job

    outcomes = list(
        through(range(3), read=lambda job: read[job].set(), compute=compute, write=lambda job, _: written[job].set())
    )
    assert [outcome.error for outcome in outcomes] == [None] * 3


def test_nothing_is_read_further_ahead():
    started = []

    def compute(job, _):
        assert started[-1] <= job + 1
        return job

    def read(job):
        started.append(job)

    assert all(outcome.error is None for outcome in through(range(6), read=read, compute=compute))


def test_nothing_is_read_ahead_where_that_takes_too_much():
    computed = []

    def read(job):
        assert computed == list(range(job))
        return job

    def compute(job, _):
        computed.append(job)
        return job

    assert [outcome.unwrap() for outcome in through(range(4), read=read, compute=compute, ahead=False)] == [0, 1, 2, 3]
    assert list(through([], ahead=False)) == []


@pytest.mark.parametrize(("ahead", "things"), [(True, 4), (False, 3)])
def test_little_is_held_at_a_time(ahead, things):
    """What was loaded and made is let go as soon as the next job is under way."""

    class Heavy:
        pass

    alive: weakref.WeakSet[Heavy] = weakref.WeakSet()

    def heavy(*_):
        thing = Heavy()
        alive.add(thing)
        most.append(len(alive))
        return thing

    most: list[int] = []
    outcomes = list(through(range(8), read=heavy, compute=heavy, write=lambda job, made: job, ahead=ahead))
    assert [outcome.result for outcome in outcomes] == list(range(8))
    assert max(most) <= things  # ahead, loaded, made, and in writing


@pytest.mark.parametrize("stage", ["read", "compute", "write"])
def test_a_stage_that_fails_ends_its_job_alone(stage):
    def broken(job, *_):
        if job == 1:
            raise ValueError(stage)
        return job

    outcomes = list(through(range(3), **{stage: broken}))
    assert [outcome.number for outcome in outcomes] == [0, 1, 2]
    assert [outcome.result for outcome in outcomes] == [0, None, 2]
    assert str(outcomes[1].error) == stage


def test_an_interruption_ends_it_when_what_is_being_written_is_written():
    ended, threads = threading.Event(), threading.active_count()

    def compute(job, _):
        if job == 1:
            raise KeyboardInterrupt
        return job

    def write(job, _):
        assert not ended.is_set()
        threading.Event().wait(0.05)
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        list(through(range(4), compute=compute, write=write))
    assert ended.is_set()
    assert threading.active_count() == threads


def test_whoever_leaves_early_leaves_nothing_behind():
    threads, reads = threading.active_count(), []
    outcomes = through(range(100), read=reads.append)
    assert next(outcomes).number == 0
    leave: Callable[[], None] = outcomes.close  # type: ignore[attr-defined]
    leave()
    assert len(reads) <= 3
    assert threading.active_count() == threads
