"""Which size class of Lung-RADS a solid nodule has."""

from __future__ import annotations

import math
from typing import Literal

from vesalius.errors import DataError, unknown_name

Course = Literal["baseline", "new", "growing"]
"""Seen for the first time in a first scan; not there in an earlier scan; larger than in an earlier scan."""

GROWTH_MM = 1.5
"""By more than this a nodule's mean diameter must have grown within twelve months to be called growing."""

_CLASSES: dict[Course, tuple[tuple[float, str], ...]] = {
    "baseline": ((6.0, "2"), (8.0, "3"), (15.0, "4A"), (math.inf, "4B")),
    "new": ((4.0, "2"), (6.0, "3"), (8.0, "4A"), (math.inf, "4B")),
    "growing": ((8.0, "4A"), (math.inf, "4B")),
}


def mean_diameter_mm(long_axis_mm: float, short_axis_mm: float) -> float:
    """Mean of long and short axis, to one decimal, as Lung-RADS reports it.

    Args:
        long_axis_mm: mm, > 0.
        short_axis_mm: mm, > 0.

    Example:
        >>> mean_diameter_mm(8.0, 5.5)
        6.8

    Source: American College of Radiology, Lung-RADS v2022, note on nodule size.
    """
    return math.floor(10 * (long_axis_mm + short_axis_mm) / 2 + 0.5) / 10  # halves go up, as people round


def size_class(diameter_mm: float, course: Course = "baseline") -> str:
    """The class that the size alone gives a solid nodule.

    It is not the category of a scan: that needs calcification, fat, what the nodule is made of, and a reader.

    Args:
        diameter_mm: Mean diameter, as of `mean_diameter_mm`.
        course: What is known of the nodule from earlier scans.

    Returns:
        ``"2"``, ``"3"``, ``"4A"`` or ``"4B"``.

    Raises:
        DataError: The diameter is not above 0.
        VesaliusError: The course is unknown.

    Example:
        >>> [size_class(d) for d in (5.9, 6.0, 8.0, 15.0)], size_class(5.0, "new")
        (['2', '3', '4A', '4B'], '3')

    Source: American College of Radiology, Lung-RADS v2022, solid nodules; Christensen et al., Chest 165(3):738, 2024,
    doi:10.1016/j.chest.2023.10.028.
    """
    if course not in _CLASSES:
        raise DataError(unknown_name("course", str(course), _CLASSES))
    if not (math.isfinite(diameter_mm) and diameter_mm > 0):
        raise DataError(f"a nodule's diameter must be above 0 mm, not {diameter_mm}")
    return next(name for limit, name in _CLASSES[course] if diameter_mm < limit)


def course_of(diameter_mm: float, earlier_mm: float | None, *, days: float) -> Course:
    """What an earlier scan says of a nodule: new, growing, or as good as at baseline.

    Args:
        diameter_mm: Mean diameter now.
        earlier_mm: Then; ``None`` where it was not there.
        days: Between the scans, > 0. Over more than twelve months the limit is taken for each twelve.

    Example:
        >>> course_of(7.0, 5.0, days=180), course_of(7.0, 6.0, days=180), course_of(7.0, None, days=180)
        ('growing', 'baseline', 'new')

    Source: Lung-RADS v2022: growth is more than 1.5 mm in mean diameter within twelve months.
    """
    if earlier_mm is None:
        return "new"
    return "growing" if diameter_mm - earlier_mm > GROWTH_MM * max(1.0, days / 365.25) else "baseline"
