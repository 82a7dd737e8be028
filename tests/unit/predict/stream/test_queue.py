"""The queue between two threads."""

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.errors import PlanError
from vesalius.predict.stream import LatestQueue

PATIENCE = 10  # seconds until a test that hangs fails


def test_the_oldest_gives_way_and_is_counted():
    queue = LatestQueue[int](3)
    assert all(queue.put(number) for number in range(10))
    queue.close()
    assert (list(queue), queue.dropped) == ([7, 8, 9], 7)
    assert list(queue) == []


@given(st.integers(1, 4), st.lists(st.booleans(), max_size=40))
def test_what_is_given_is_taken_or_dropped(size, turns):
    queue, model, given_, taken = LatestQueue[int](size), deque(maxlen=size), 0, []
    for gives in turns:
        if gives:
            queue.put(given_)
            model.append(given_)
            given_ += 1
        elif model:
            taken.append(next(queue))
            assert taken[-1] == model.popleft()
    queue.close()
    taken += queue
    assert taken == sorted(set(taken))
    assert len(taken) + queue.dropped == given_


def test_without_dropping_the_giver_waits():
    queue = LatestQueue[int](2, dropping=False)
    given = []

    def give():
        for number in range(6):
            assert queue.put(number)
            given.append(number)
        queue.close()

    with ThreadPoolExecutor() as pool:
        job = pool.submit(give)
        taken = []
        for number in queue:
            assert len(given) <= number + 3  # those taken, two that wait, and one between
            taken.append(number)
        job.result(PATIENCE)
    assert (taken, queue.dropped) == ([0, 1, 2, 3, 4, 5], 0)


def test_room_can_be_waited_for():
    queue = LatestQueue[int](1)
    assert queue.wait_for_room()
    queue.put(1)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(queue.wait_for_room)
        assert next(queue) == 1
        assert waiting.result(PATIENCE)
        queue.put(2)
        waiting = pool.submit(queue.wait_for_room)
        queue.leave()
        assert not waiting.result(PATIENCE)


def test_an_error_of_the_giver_comes_after_what_it_gave_and_once():
    queue = LatestQueue[int](2)
    queue.put(1)
    queue.close(OSError("unplugged"))
    assert next(queue) == 1
    with pytest.raises(OSError, match="unplugged"):
        next(queue)
    assert next(queue, None) is None


@pytest.mark.parametrize("dropping", [True, False])
def test_whoever_leaves_lets_the_other_go(dropping):
    queue = LatestQueue[int](1, dropping=dropping)
    assert queue.put(1)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(lambda: [queue.put(number) for number in (2, 3)] if not dropping else None)
        queue.leave()
        waiting.result(PATIENCE)
    assert not queue.put(4)
    assert list(queue) == []


def test_a_taker_waits_until_something_comes():
    queue = LatestQueue[int](1)
    with ThreadPoolExecutor() as pool:
        taken = pool.submit(next, queue)
        threading.Timer(0.02, queue.put, (5,)).start()
        assert taken.result(PATIENCE) == 5
        ended = pool.submit(next, queue, "nothing")
        threading.Timer(0.02, queue.close).start()
        assert ended.result(PATIENCE) == "nothing"


def test_a_queue_holds_at_least_one():
    with pytest.raises(PlanError, match="at least 1, not 0"):
        LatestQueue(0)
