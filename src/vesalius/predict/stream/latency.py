"""How long things take, over hours, in a few kilobytes."""

from __future__ import annotations

import math
from collections import Counter

from vesalius.errors import DataError

_ERROR = 0.01
_GAMMA = (1 + _ERROR) / (1 - _ERROR)
_SHORTEST_S, _LONGEST_S = 1e-6, 1e5  # what is shorter or longer counts as this: at most 1,267 buckets


class Latencies:
    """Durations, counted in buckets each 2 % wider than the one before.

    A quantile is within 1 % of the true one, whatever was measured and however long; the largest is kept exactly.

    Example:
        >>> times = Latencies()
        >>> for number in range(1, 101):
        ...     times.add(number / 1000)
        >>> [round(1000 * times.quantile(share)) for share in (0.5, 0.95, 0.99)], times.largest_s
        ([50, 95, 99], 0.1)

    Source: DDSketch (Masson, Rim and Lee, PVLDB 12(12), 2019, doi:10.14778/3352063.3352135): logarithmic buckets, whose
    middle is within the relative error of all that fell in.
    """

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.sum_s = 0.0
        self.largest_s = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration.

        Raises:
            DataError: It is negative or not finite.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise DataError(f"a duration must be finite and not negative, not {seconds}")
        bounded = min(max(seconds, _SHORTEST_S), _LONGEST_S)
        self._buckets[math.ceil(math.log(bounded, _GAMMA))] += 1
        self.count += 1
        self.sum_s += seconds
        self.largest_s = max(self.largest_s, seconds)

    def quantile(self, share: float) -> float:
        """The duration in s that this share of all does not exceed, to 1 %; NaN when nothing was counted.

        Raises:
            DataError: The share is not 0 to 1.
        """
        if not 0 <= share <= 1:
            raise DataError(f"a share must be 0 to 1, not {share}")
        rank, passed = max(1, math.ceil(share * self.count)), 0
        for bucket in sorted(self._buckets):
            passed += self._buckets[bucket]
            if passed >= rank:
                return min(2 * _GAMMA**bucket / (_GAMMA + 1), self.largest_s)
        return math.nan

    def summary(self) -> dict[str, float | int | None]:
        """Count, mean, p50, p95, p99 and largest, in ms; None where nothing was counted."""
        named = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
        ms = {name: _ms(self.quantile(share)) for name, share in named.items()} if self.count else dict.fromkeys(named)
        mean = _ms(self.sum_s / self.count) if self.count else None
        return {"count": self.count, "mean_ms": mean, **ms, "largest_ms": _ms(self.largest_s) if self.count else None}


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
