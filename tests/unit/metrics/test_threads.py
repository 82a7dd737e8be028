import threading

import pytest

from vesalius.metrics.threads import spread


@pytest.mark.parametrize("threads", [1, 2, 9, None])
def test_results_in_order(threads):
    assert list(spread(lambda n: n * n, list(range(20)), threads=threads)) == [n * n for n in range(20)]


def test_one_part_stays_in_the_thread_of_the_caller():
    assert list(spread(lambda _: threading.current_thread(), [0], threads=4)) == [threading.current_thread()]
    assert threading.current_thread() not in spread(lambda _: threading.current_thread(), [0, 1], threads=2)


def test_errors_reach_the_caller():
    def fail(n):
        raise ValueError(f"part {n}")

    with pytest.raises(ValueError, match="part 0"):
        list(spread(fail, [0, 1], threads=2))
    assert list(spread(fail, [])) == []
