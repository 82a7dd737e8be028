"""Programs that stay loaded and take turns: one asks, one works, the others wait.

Needs nothing but the standard library, so that a peer's own Python can import it. Requests and replies are JSON, a line
each, over two pipes; what the libraries of the process that works print goes to its log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

_REPLIES = "REPLIES_DESCRIPTOR"


class Player:
    """A process that answers one request after the other.

    Args:
        command: It must call `serve`.
        environment: Of the process.
        log: For what it prints.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], log: IO[str]) -> None:
        self._log = log.name
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            command,
            env={**environment, _REPLIES: str(writing)},
            pass_fds=(writing,),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            text=True,
        )
        os.close(writing)
        self._replies = os.fdopen(reading)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its reply."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        reply = self._replies.readline()
        if not reply:
            raise SystemExit(f"a process ended with exit code {self._process.wait()}; see {self._log}")
        return dict(json.loads(reply))

    def end(self) -> None:
        """Let it go."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._replies.close()


def serve(answer: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    """Answer requests until there are no more."""
    with os.fdopen(int(os.environ[_REPLIES]), "w") as replies:
        for line in sys.stdin:
            replies.write(json.dumps(answer(json.loads(line))) + "\n")
            replies.flush()


class Clock:
    """What a piece of work took: wall seconds, processor seconds of all threads, and those within a network.

    Example:
        clock = Clock()
        with clock.work():
            with clock.network():
                ...
        clock.told
    """

    def __init__(self) -> None:
        self.told: dict[str, float] = {}
        self._network_s = 0.0

    @contextmanager
    def work(self) -> Iterator[None]:
        """All of it, end to end."""
        self._network_s = 0.0
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.told = {
            "wall_s": time.perf_counter() - wall,
            "processor_s": time.process_time() - processor,
            "network_s": self._network_s,
        }

    @contextmanager
    def network(self) -> Iterator[None]:
        """The share of the network, wall seconds."""
        began = time.perf_counter()
        yield
        self._network_s += time.perf_counter() - began
