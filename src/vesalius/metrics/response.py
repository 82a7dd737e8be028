"""Response to treatment, from the diameters or the volumes of a patient's lesions over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vesalius.errors import DataError

Response = Literal["complete", "partial", "stable", "progressive", "not evaluable"]
"""RECIST's words."""

_MOST_TARGETS = 5
_LEAST_MM = 10.0
_SURE = 1.96


@dataclass(frozen=True)
class Course:
    """Response at each time point after the first.

    Args:
        sums: Of all time points: of the targets' longest diameters, mm, or of all lesions' volumes, ml.
        errors: Standard errors of the sums.
        responses: From the second time point on.
        low: The response if the change is 1.96 standard errors less than measured.
        high: The response if it is so much more.
    """

    sums: tuple[float, ...]
    errors: tuple[float, ...]
    responses: tuple[Response, ...]
    low: tuple[Response, ...]
    high: tuple[Response, ...]

    @property
    def is_sure(self) -> tuple[bool, ...]:
        """Whether the response is the same at both ends of the error of measurement."""
        return tuple(a == b == c for a, b, c in zip(self.responses, self.low, self.high, strict=True))


def targets(diameters_mm: Sequence[float], *, slice_mm: float) -> tuple[int, ...]:
    """Choose the lesions whose diameters are summed, at the first time point.

    Args:
        diameters_mm: The longest ones, of all lesions.
        slice_mm: Distance of slices.

    Returns:
        Places of at most five lesions, the largest first, of 10 mm or more, and of twice the slices where these are
        thicker than 5 mm.

    Example:
        >>> targets([8.0, 31.0, 12.0], slice_mm=1.0)
        (1, 2)

    Source: RECIST 1.1, Eisenhauer et al., European Journal of Cancer 45:228 (2009), doi:10.1016/j.ejca.2008.10.026. Its
    rule of two targets an organ, and its short axes of lymph nodes, need to know organs and are left to the reader.
    """
    least = _LEAST_MM if slice_mm <= 5 else max(_LEAST_MM, 2 * slice_mm)
    order = sorted(range(len(diameters_mm)), key=lambda n: (-diameters_mm[n], n))
    return tuple(n for n in order if diameters_mm[n] >= least)[:_MOST_TARGETS]


def diameter_course(
    sums_mm: Sequence[float], new: Sequence[bool], *, errors_mm: Sequence[float] | None = None
) -> Course:
    """Response by the sum of the longest diameters of the targets, as RECIST 1.1 has it.

    Complete: all targets are gone. Partial: the sum is 30 % or more below that of the first time point. Progressive: it
    is 20 % and 5 mm or more above the least so far, or a new lesion has come. Otherwise stable. Without targets at the
    first time point only a new lesion tells.

    Args:
        sums_mm: Of each time point.
        new: Whether a lesion is new at each time point; of the first it is not asked.
        errors_mm: Standard error of each sum; 0 when left out.

    Returns:
        The course; "not evaluable" without a target.

    Raises:
        DataError: Fewer than two time points, or lists of different lengths.

    Example:
        >>> diameter_course([50.0, 34.0, 42.0], [False, False, False]).responses
        ('partial', 'progressive')

    Source: see `targets`.
    """
    return _course(sums_mm, new, errors_mm, shrunk=0.30, grown=0.20, least=5.0)


def volume_course(sums_ml: Sequence[float], new: Sequence[bool], *, errors_ml: Sequence[float] | None = None) -> Course:
    """Response by the volume of all lesions.

    Complete: nothing is left. Partial: 65 % or more below the first time point. Progressive: 40 % or more above the
    least so far, or a new lesion. Otherwise stable.

    Args:
        sums_ml: Of each time point.
        new: Whether a lesion is new at each time point.
        errors_ml: Standard error of each sum; 0 when left out.

    Returns:
        The course.

    Raises:
        DataError: As for `diameter_course`.

    Example:
        >>> volume_course([10.0, 3.0, 4.3], [False, False, False]).responses
        ('partial', 'progressive')

    Source: RANO 2.0, Wen et al., Journal of Clinical Oncology 41:5187 (2023), doi:10.1200/JCO.23.01059: 65 % and 40 %
    of volume stand for 50 % and 25 % of the product of diameters.
    """
    return _course(sums_ml, new, errors_ml, shrunk=0.65, grown=0.40, least=0.0)


def _course(
    sums: Sequence[float],
    new: Sequence[bool],
    errors: Sequence[float] | None,
    *,
    shrunk: float,
    grown: float,
    least: float,
) -> Course:
    spread = [0.0] * len(sums) if errors is None else list(errors)
    if len(sums) < 2 or not len(sums) == len(new) == len(spread):
        raise DataError(
            f"a course needs two time points or more, each with a sum, an error and whether a lesion is new, not "
            f"{len(sums)}, {len(spread)} and {len(new)}"
        )

    def response(number: int, sign: float) -> Response:
        if new[number]:
            return "progressive"
        if sums[0] <= 0:
            return "not evaluable"
        if sums[number] == 0:
            return "complete"
        lowest = min(range(number), key=lambda n: sums[n])

        def changed(since: int) -> float:
            return sums[number] - sums[since] + sign * _SURE * math.hypot(spread[number], spread[since])

        rise = changed(lowest)
        if rise >= grown * sums[lowest] and rise >= least and rise > 0:
            return "progressive"
        return "partial" if changed(0) <= -shrunk * sums[0] else "stable"

    later = range(1, len(sums))
    return Course(
        tuple(float(s) for s in sums),
        tuple(spread),
        tuple(response(n, 0.0) for n in later),
        tuple(response(n, -1.0) for n in later),
        tuple(response(n, 1.0) for n in later),
    )
