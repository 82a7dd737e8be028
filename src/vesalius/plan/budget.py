"""What there is to work with: time, memory and a device."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from vesalius.errors import PlanError

_TIME = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_MEMORY = {"mib": 1 / 1024, "mb": 1e6 / 2**30, "gib": 1.0, "gb": 1e9 / 2**30, "g": 1.0, "tib": 1024.0}


@dataclass(frozen=True)
class Budget:
    """The time, memory and device that a plan may use.

    Args:
        time_s: Seconds from the start of `fit` to the finished bundle, everything included. ``None`` when ``steps``
            says how long to train.
        steps: A fixed number of optimisation steps instead of a time: the way to a result that repeats exactly.
        memory_gib: Memory that may be used; ``None`` takes most of what is free.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.

    Raises:
        PlanError: Neither or both of time and steps are given, or a value is not positive.

    Example:
        >>> Budget(time_s=600).steps is None
        True
    """

    time_s: float | None = None
    steps: int | None = None
    memory_gib: float | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if (self.time_s is None) == (self.steps is None):
            raise PlanError("a budget needs either a time (time_s) or a number of steps (steps), and not both")
        for name in ("time_s", "steps", "memory_gib"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise PlanError(f"the budget's {name} must be positive, not {value}")


def parse_time(text: str) -> float:
    """Read a time such as ``90``, ``45s``, ``10m``, ``1.5h`` or ``1h30m``.

    Args:
        text: Numbers with units s, m (or min), h, d; a bare number is seconds.

    Returns:
        Seconds, > 0.

    Raises:
        PlanError: The text is not such a time.

    Example:
        >>> parse_time("1h30m")
        5400.0
    """
    clean = text.strip().lower()
    if re.fullmatch(r"[\d.]+", clean):
        clean += "s"
    parts = re.findall(r"(\d+(?:\.\d+)?)(min|[smhd])", clean)
    if not parts or "".join(n + u for n, u in parts) != clean:
        raise PlanError(f"{text!r} is not a time; write for example 45s, 10m, 1.5h or 1h30m")
    seconds = sum(float(n) * _TIME[u] for n, u in parts)
    if seconds <= 0:
        raise PlanError(f"a time budget must be more than nothing, not {text!r}")
    return seconds


def parse_memory(text: str) -> float:
    """Read an amount of memory such as ``8GiB``, ``8g``, ``500MB``.

    Args:
        text: A number with unit MiB, MB, GiB (or G), GB, TiB; a bare number is GiB.

    Returns:
        GiB, > 0.

    Raises:
        PlanError: The text is not an amount of memory.

    Example:
        >>> parse_memory("512MiB")
        0.5
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    factor = _MEMORY.get(match[2] or "gib") if match else None
    if match is None or factor is None or float(match[1]) <= 0:
        raise PlanError(f"{text!r} is not an amount of memory; write for example 8GiB or 500MB")
    return float(match[1]) * factor


def free_memory_gib() -> float:
    """Memory that this process may still take, in GiB: what is free, or less where a control group limits it.

    Source: Linux control groups v2 (``memory.max``, ``memory.current``) and psutil's ``available``.
    """
    from pathlib import Path

    import psutil

    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            free = min(free, int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass  # no control group: the machine's own figure stands
    return float(max(free, 1 << 28) / 2**30)
