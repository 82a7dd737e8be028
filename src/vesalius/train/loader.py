"""Batches read ahead by threads, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType

from vesalius.errors import PlanError
from vesalius.plan import Plan
from vesalius.train.batches import RawBatch, draw_windows
from vesalius.train.cache import CachedCase


class Loader(Iterator[RawBatch]):
    """The raw batches of a run, one after the other without end.

    Threads read ahead; the batches and their order are the same however many there are. A case that cannot be read
    is an error where its batch is asked for. Use it in a ``with`` block: at its end, however that is reached, what was
    read ahead is let go.

    Args:
        cases: To draw from.
        plan: Patch, batch, augmentation.
        seed: Of the run.
        start: Number of the first batch.
        rows: Of each batch; all when left out.
        workers: Threads; 0 reads each batch when it is asked for.
        depth: Batches that are read ahead at most, at least one for each thread.
        pinned: Whether the batches go to a CUDA device; see `draw_windows`.

    Raises:
        PlanError: A number is out of range.
        DataError: When a batch is asked for: a case can no longer be read; the message names it and the cause.

    Source: torch's ``DataLoader`` starts processes, which copy each batch and whose own errors are lost when they die;
    what runs here (decompression, copying) lets go of the interpreter lock.
    """

    def __init__(
        self,
        cases: Sequence[CachedCase],
        plan: Plan,
        *,
        seed: int,
        start: int = 0,
        rows: slice | None = None,
        workers: int = 0,
        depth: int = 4,
        pinned: bool = False,
    ) -> None:
        if not cases:
            raise PlanError("there is no case to draw from")
        if min(seed, start, workers) < 0 or depth < max(1, workers):
            raise PlanError(
                f"seed, start and workers must not be negative, and depth must be at least 1 and workers; "
                f"not {seed}, {start}, {workers} and {depth}"
            )
        self._draw = partial(draw_windows, cases, plan, seed=seed, rows=rows, pinned=pinned)
        self._step, self._ahead, self._depth = start, deque[Future[RawBatch]](), depth
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="loader") if workers else None

    @property
    def step(self) -> int:
        """Number of the batch that comes next."""
        return self._step

    def __next__(self) -> RawBatch:
        step = self._step
        if self._pool is None:
            batch = self._draw(step=step)
        else:
            while len(self._ahead) < self._depth:
                self._ahead.append(self._pool.submit(self._draw, step=step + len(self._ahead)))
            batch = self._ahead[0].result()  # it stays in the queue if waiting is interrupted
            self._ahead.popleft()
        self._step = step + 1
        return batch

    def close(self) -> None:
        """Stop reading ahead; what is being read at this moment is finished first, which takes milliseconds."""
        if self._pool is not None:
            self._ahead.clear()
            self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
