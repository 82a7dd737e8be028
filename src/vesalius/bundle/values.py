"""Values of JSON that must be what they must be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Pair = tuple[float, float]
"""The lower and the higher of two numbers."""


def as_mapping(raw: Any) -> Mapping[str, Any]:
    """An object.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(raw, Mapping):
        raise TypeError(f"there must be an object, not {type(raw).__name__}")
    return raw


def as_text(raw: Any) -> str:
    """A text.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(raw, str):
        raise TypeError(f"there must be a text, not {type(raw).__name__}")
    return raw


def as_count(raw: Any) -> int:
    """A whole number, 0 or more.

    Raises:
        TypeError, ValueError: It is something else.
    """
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise TypeError(f"there must be a whole number, not {type(raw).__name__}")
    if raw < 0:
        raise ValueError(f"a number of cases must be 0 or more, not {raw}")
    return raw


def as_number(raw: Any) -> float:
    """A finite number.

    Raises:
        TypeError, ValueError: It is something else.

    Example:
        >>> as_number(1), as_number(True)
        Traceback (most recent call last):
        TypeError: there must be a number, not bool
    """
    if not isinstance(raw, float | int) or isinstance(raw, bool):
        raise TypeError(f"there must be a number, not {type(raw).__name__}")
    if not math.isfinite(raw):
        raise ValueError(f"a number must be finite, not {raw}")
    return float(raw)


def as_pair(raw: Any) -> Pair:
    """Two finite numbers, the lower first.

    Raises:
        TypeError, ValueError: They are something else.

    Example:
        >>> as_pair([0.5, 1])
        (0.5, 1.0)
    """
    if not isinstance(raw, list | tuple) or len(raw) != 2:
        raise TypeError("an interval must be two numbers")
    low, high = as_number(raw[0]), as_number(raw[1])
    if low > high:
        raise ValueError(f"an interval must be (lowest, highest), not ({low}, {high})")
    return low, high


def as_numbers(raw: Any) -> dict[str, float]:
    """Finite numbers by name.

    Raises:
        TypeError, ValueError: They are something else.
    """
    return {name: as_number(one) for name, one in as_mapping(raw).items()}


def as_pairs(raw: Any) -> dict[str, Pair]:
    """Intervals by name.

    Raises:
        TypeError, ValueError: They are something else.
    """
    return {name: as_pair(one) for name, one in as_mapping(raw).items()}
