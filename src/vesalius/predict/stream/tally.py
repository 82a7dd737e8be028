"""What came of watching: how many frames, how late, how many were lost."""

from __future__ import annotations

from typing import Any

from vesalius.predict.stream.latency import Latencies
from vesalius.predict.stream.run import FramePrediction


class Tally:
    """Counts results as they come; it stays as small as it is.

    Example:
        >>> Tally().summary()["frames"]
        0
    """

    def __init__(self) -> None:
        self.frames = self.stale = self.dropped = self.begun_anew = 0
        self.latency, self.waited, self.computed = Latencies(), Latencies(), Latencies()

    def add(self, found: FramePrediction) -> None:
        """Count a result."""
        self.frames += 1
        self.stale += found.stale
        self.begun_anew += found.anew
        self.dropped = found.dropped
        self.latency.add(found.latency_s)
        self.waited.add(found.waited_s)
        self.computed.add(found.computed_s)

    def summary(self) -> dict[str, Any]:
        """Plain values: counts, and of each duration p50, p95, p99 in ms."""
        return {
            "frames": self.frames,
            "dropped": self.dropped,
            "stale": self.stale,
            "begun_anew": self.begun_anew,
            "latency": self.latency.summary(),
            "waited": self.waited.summary(),
            "computed": self.computed.summary(),
        }
