"""Two clocks of a process and all its descendants: wall time and processor time.

On a machine that other work shares, wall time says more about the neighbours than about the program. Processor time
(user and system, of every thread and every worker process) divided by the cores is what the program would have taken
alone. Needs nothing but the standard library, so that a peer's own Python can import it. Linux.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_TICKS = os.sysconf("SC_CLK_TCK")


def tree_seconds(root: int | None = None) -> float:
    """Processor seconds of a process, its living descendants, and those that it has waited for.

    A descendant that died and was not waited for yet still counts, as its entry stays until then.
    """
    times: dict[int, float] = {}
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name in brackets may hold spaces. After it: state, parent, … utime, stime, cutime, cstime.
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue  # it ended meanwhile
            times[int(entry.name)] = sum(map(int, fields[11:15])) / _TICKS
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    total, waiting = 0.0, [os.getpid() if root is None else root]
    while waiting:
        process = waiting.pop()
        total += times.get(process, 0.0)
        waiting += children.get(process, [])
    return total


class ProcessClock:
    """Wall and processor seconds of this process tree since the start of the process, on top of what was spent before.

    Args:
        wall_s: Wall seconds of earlier sessions.
        processor_s: Processor seconds of earlier sessions.
    """

    def __init__(self, *, wall_s: float = 0.0, processor_s: float = 0.0) -> None:
        self._before = wall_s, processor_s
        self._paused = 0.0, 0.0
        fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        self._began = time.monotonic() - (uptime - int(fields[19]) / _TICKS)

    def read(self) -> tuple[float, float]:
        """Wall and processor seconds so far."""
        wall, processor = time.monotonic() - self._began, tree_seconds()
        return self._before[0] + wall - self._paused[0], self._before[1] + processor - self._paused[1]

    def forget_since(self, mark: tuple[float, float]) -> None:
        """Leave what happened since ``mark``, an earlier `read`, out of all later ones."""
        wall, processor = self.read()
        self._paused = self._paused[0] + wall - mark[0], self._paused[1] + processor - mark[1]


def run_timed(command: Sequence[str], *, environment: Mapping[str, str], log: IO[str]) -> tuple[int, float, float]:
    """Run a command to its end; gives its exit code, wall seconds and processor seconds (its children's included)."""
    began = time.monotonic()
    process = subprocess.Popen(command, env=dict(environment), stdout=log, stderr=subprocess.STDOUT)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, time.monotonic() - began, usage.ru_utime + usage.ru_stime
