"""Spread numpy's work on parts of a volume over the processor's cores.

numpy lets other threads run while it is inside a call on a large array, so plain threads are enough: nothing is copied
to other processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vesalius.jobs import cores

Part = TypeVar("Part")
Result = TypeVar("Result")


def available_cores() -> int:
    """How many cores this process may use, and 8 at most: what works on parts needs memory for each of them.

    Example:
        >>> 1 <= available_cores() <= 8
        True
    """
    return min(cores(), 8)


def spread(work: Callable[[Part], Result], parts: Sequence[Part], *, threads: int | None = None) -> Iterable[Result]:
    """Do the work on every part, several at a time, and give the results in the order of the parts.

    Args:
        work: A function of one part, whose time goes mostly into calls that let other threads run.
        parts: What to work on.
        threads: How many parts at a time, at least 1; None: as many as there are cores.

    Returns:
        The results in order. A single part is worked on in the caller's thread.

    Raises:
        Exception: What the work raises.

    Example:
        >>> list(spread(lambda n: n * n, [1, 2, 3], threads=2))
        [1, 4, 9]
    """
    threads = min(len(parts), threads or available_cores())
    if threads <= 1:
        return map(work, parts)
    with ThreadPoolExecutor(threads, thread_name_prefix="metrics") as pool:
        return list(pool.map(work, parts))
