"""Dates put back by a number of days: order and intervals stay, the calendar goes."""

from __future__ import annotations

import re
from datetime import date, timedelta

NO_DATE, NO_TIME = "19000101", "000000"
"""Stand for a date and a time where a kind of object needs one; times of day stay when dates are shifted."""

_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_OLD_DATE = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})")  # Source: DICOM PS3.5, section 6.2, DA of ACR-NEMA
_TIME = re.compile(r"\d{2}(:?[0-5]\d(:?[0-5]\d(\.\d{1,6})?)?)?")
_DATE_TIME = re.compile(r"(\d{8})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?")


def shift_date(text: str, days: int) -> str | None:
    """Put a date back.

    Args:
        text: A value of DA.
        days: How many.

    Returns:
        The earlier date; ``None`` for what is no date, which must then not be kept either.

    Example:
        >>> shift_date("20260301", 1), shift_date("JANE DOE", 1)
        ('20260228', None)
    """
    found = _DATE.fullmatch(text) or _OLD_DATE.fullmatch(text)
    if found is None:
        return None
    try:
        earlier = date(*(int(part) for part in found.groups())) - timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return f"{earlier.year:04d}{earlier.month:02d}{earlier.day:02d}"


def shift_date_time(text: str, days: int) -> str | None:
    """Put a date with a time back; a year or month alone cannot be.

    Args:
        text: A value of DT.
        days: How many.

    Returns:
        The earlier one, with the time and the offset from UTC as they were; ``None`` for what cannot be shifted.

    Example:
        >>> shift_date_time("20260301123000.5+0100", 60), shift_date_time("2026", 60)
        ('20251231123000.5+0100', None)
    """
    found = _DATE_TIME.fullmatch(text)
    earlier = None if found is None else shift_date(found[1], days)
    return None if found is None or earlier is None else f"{earlier}{found[2] or ''}{found[3] or ''}"


def is_time(text: str) -> bool:
    """Whether a value of TM is a time of day.

    Example:
        >>> is_time("123000.25"), is_time("JANE DOE")
        (True, False)
    """
    return _TIME.fullmatch(text) is not None
