"""Probabilities averaged over time, until the scene changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import PlanError
from vesalius.image import Volume
from vesalius.io.footage import Frame

SCENE_CHANGE = 0.10
"""Score from which a frame begins a new scene. Source: the default of FFmpeg's filter scdet, 10 of 100."""

_STEP = 4  # every fourth pixel of every fourth row tells as much of a change as all of them


@dataclass(frozen=True, eq=False)
class _Past:
    mean: NDArray[np.float32]
    image: Volume
    change: float
    index: int
    at_s: float


class Smoothing:
    """An exponential mean of the frames' probabilities, begun anew where the past says nothing about the present.

    With ``k`` frames since the last that was seen (some may have been dropped), that past weighs
    ``(1 - alpha) ** k``: as much as if the frames between had been like this one. It weighs nothing

    - after a gap: the last frame is longer ago than frames that belong together are;
    - in a new scene: both the mean absolute difference to the last frame, as a share of the range of values, and the
      change of that difference since the last frame reach `SCENE_CHANGE`. A camera that moves all the time makes
      large differences, but not suddenly larger ones;
    - in a frame of another size.

    Args:
        alpha: Weight of the new frame where none was dropped, above 0 to 1; 1 is no smoothing.

    Raises:
        PlanError: The weight is out of range.

    Source: exponential smoothing at irregular times, Wright 1986, doi:10.1287/mnsc.32.4.499; scene score of FFmpeg's
    filter scdet (mean absolute frame difference and its change).
    """

    def __init__(self, alpha: float) -> None:
        if not 0 < alpha <= 1:
            raise PlanError(f"the weight of a new frame must be above 0 and at most 1, not {alpha}")
        self._alpha = alpha
        self._past: _Past | None = None

    def add(
        self, frame: Frame, probabilities: NDArray[np.float32], at_s: float, *, gap_s: float
    ) -> tuple[NDArray[np.float32], bool]:
        """Take a frame in.

        Args:
            frame: The next one that was looked at.
            probabilities: ``(outputs, columns, rows)`` of it alone.
            at_s: When it was taken.
            gap_s: Longest time between two frames that belong together.

        Returns:
            The mean, not to be written to, and whether it began anew with this frame.
        """
        past, change = self._past, 0.0
        anew = past is None or past.mean.shape != probabilities.shape or not 0 <= at_s - past.at_s <= gap_s
        if past is not None and past.image.array.shape == frame.image.array.shape:
            change = difference(past.image, frame.image)
            anew = anew or min(change, abs(change - past.change)) >= SCENE_CHANGE
        mean = probabilities
        if past is not None and not anew:
            kept = np.float32((1 - self._alpha) ** max(1, frame.index - past.index))
            mean = probabilities + kept * (past.mean - probabilities)
        self._past = _Past(mean, frame.image, change, frame.index, at_s)
        return mean, anew


def difference(one: Volume, other: Volume) -> float:
    """The mean absolute difference of two pictures as a share of the range of values, from a sixteenth of the pixels.

    The range is 255 for pictures of 8 bits, else that of both together.

    Args:
        one: 2D.
        other: Of the same shape.

    Example:
        >>> from vesalius.image import Grid
        >>> grid = Grid.from_spacing((8, 8), (1, 1))
        >>> black, grey = (Volume(np.full((1, 8, 8), value, np.uint8), grid) for value in (0, 51))
        >>> difference(black, grey)
        0.2
    """
    a, b = (image.array[:, ::_STEP, ::_STEP].astype(np.float32) for image in (one, other))
    if one.array.dtype == other.array.dtype == np.uint8:
        span = 255.0
    else:
        span = float(max(a.max(), b.max()) - min(a.min(), b.min()))
    return float(np.abs(a - b).mean()) / span if span > 0 else 0.0
