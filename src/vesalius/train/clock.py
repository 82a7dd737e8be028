"""How much of training is done: by the clock, by the steps, or because nothing more is to be gained."""

from __future__ import annotations

from dataclasses import dataclass

COOLING = 0.1
"""Length of the cool-down after an early stop, relative to what was trained until then."""


@dataclass(frozen=True)
class Clock:
    """Measures the course of training as a share, from 0 to 1.

    Args:
        length_s: Seconds of training that fit the budget, those of earlier sessions included; with ``steps`` unused.
        steps: Steps to take, where they are what is given.

    Example:
        >>> clock = Clock(length_s=100.0)
        >>> clock.done(step=7, trained_s=50.0)
        0.5
        >>> clock.done(step=7, trained_s=50.0, stopped_at=0.5)
        0.5
        >>> clock.done(step=7, trained_s=55.0, stopped_at=0.5)
        1.0
    """

    length_s: float = 0.0
    steps: int | None = None

    def done(self, *, step: int, trained_s: float, stopped_at: float | None = None) -> float:
        """The share that is done.

        Args:
            step: Steps taken.
            trained_s: Seconds of training.
            stopped_at: The share at which it was found that nothing is to be gained any more. From there on the rest
                of the schedule is gone through in a tenth of the time that was trained, so that the learning rate
                still falls to zero: weights at a high rate are worse than what they can become.
        """
        if self.steps is None and self.length_s <= 0:
            return 1.0  # the time was gone before it began
        share = step / self.steps if self.steps is not None else trained_s / self.length_s
        if stopped_at is not None and share > stopped_at:
            haste = max(1.0, (1 - stopped_at) / (COOLING * max(stopped_at, 1e-9)))
            share = stopped_at + (share - stopped_at) * haste
        return min(1.0, round(share, 12))
