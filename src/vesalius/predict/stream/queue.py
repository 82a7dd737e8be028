"""A queue between two threads that holds the latest things only, or makes the giver wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from vesalius.errors import PlanError

T = TypeVar("T")


class LatestQueue(Generic[T]):
    """A bounded queue between a thread that gives and one that takes.

    Into a full one, the giver either puts the new thing in place of the oldest, which is counted as dropped, or waits.
    Whoever goes first tells the other: after `close` what is left is taken and then the iteration ends, with the
    giver's error if there was one; after `leave`, `put` says False and the giver may stop.

    Args:
        size: Things held at most, 1 or more.
        dropping: Whether the oldest gives way; else `put` waits for room.

    Raises:
        PlanError: The size is not positive.

    Example:
        >>> queue = LatestQueue(2)
        >>> _ = [queue.put(number) for number in range(5)]
        >>> queue.close()
        >>> list(queue), queue.dropped
        ([3, 4], 3)
    """

    def __init__(self, size: int, *, dropping: bool = True) -> None:
        if size < 1:
            raise PlanError(f"a queue must hold at least 1, not {size}")
        self._size, self._dropping = size, dropping
        self._held: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = self._left = False
        self._error: BaseException | None = None
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many things gave way so far."""
        with self._changed:
            return self._dropped

    def put(self, thing: T) -> bool:
        """Give a thing; False when nobody will take it any more."""
        with self._changed:
            while len(self._held) >= self._size and not self._left:
                if self._dropping:
                    self._held.popleft()
                    self._dropped += 1
                else:
                    self._changed.wait()
            if not self._left:
                self._held.append(thing)
                self._changed.notify_all()
            return not self._left

    def wait_for_room(self) -> bool:
        """Wait until a thing can be put without waiting or dropping; False when nobody will take it any more."""
        with self._changed:
            while len(self._held) >= self._size and not self._left:
                self._changed.wait()
            return not self._left

    def close(self, error: BaseException | None = None) -> None:
        """Say that nothing more comes, and why if that is an error."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    def leave(self) -> None:
        """Say that nothing more is taken; what is held is let go."""
        with self._changed:
            self._left = True
            self._held.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            while not (self._held or self._closed or self._left):
                self._changed.wait()
            if self._held:
                thing = self._held.popleft()
                self._changed.notify_all()
                return thing
            error, self._error = self._error, None
            if error is not None:
                raise error
            raise StopIteration
