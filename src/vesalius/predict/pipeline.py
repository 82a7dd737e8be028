"""Read, compute and write at the same time: the next image is read while the last one is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from vesalius.jobs import Outcome

Job = TypeVar("Job")
Loaded = TypeVar("Loaded")
Made = TypeVar("Made")
Result = TypeVar("Result")


def overlapped(
    jobs: Sequence[Job],
    *,
    read: Callable[[Job], Loaded],
    compute: Callable[[Job, Loaded], Made],
    write: Callable[[Job, Made], Result],
    ahead: bool = True,
) -> Iterator[Outcome[Result]]:
    """Do jobs in three stages that overlap: while one is computed, the next is read and the last one is written.

    Computing stays on the caller's thread, where Ctrl-C ends it at once; what is being read or written then is
    finished. Nothing is read further ahead than the next job, so that memory does not grow with their number.

    Args:
        jobs: Each goes through the stages in turn. One whose stage fails ends there, and the others go on.
        read: Loads what a job needs; on a thread of its own.
        compute: Makes the result of what was loaded.
        write: Puts away what was made; on a thread of its own.
        ahead: Whether to read the next while one is computed, or afterwards, which takes less memory.

    Yields:
        The outcomes, in the order of the jobs, each as soon as the next job is computed.

    Example:
        >>> outcomes = overlapped([7, 700], read=str, compute=lambda _, text: len(text), write=lambda job, n: job + n)
        >>> [outcome.result for outcome in outcomes]
        [8, 703]
    """
    with ThreadPoolExecutor(1, "vesalius-read") as reader, ThreadPoolExecutor(1, "vesalius-write") as writer:
        reads = (reader.submit(read, job) for job in jobs)
        coming = next(reads, None) if ahead else None
        writing: Future[Result] | None = None
        for number, job in enumerate(jobs):
            loaded, written = coming or next(reads), Future[Result]()
            wait([loaded])
            coming = next(reads, None) if ahead else None
            try:
                written = writer.submit(write, job, compute(job, loaded.result()))
            except Exception as error:
                written.set_exception(error)
            del loaded  # and what it holds
            if writing is not None:
                yield _outcome(number - 1, writing)
            writing = written
        if writing is not None:
            yield _outcome(len(jobs) - 1, writing)


def _outcome(number: int, done: Future[Any]) -> Outcome[Any]:
    try:
        return Outcome(number, done.result())
    except Exception as error:
        return Outcome(number, error=error)
