"""Which mirror images of a window a network looks at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

from vesalius.errors import PlanError, unknown_name

Views = tuple[tuple[int, ...], ...]
"""For each look the axes of the grid that are mirrored; the logits are turned back, and their mean is the answer."""

Mirror = bool | Literal["opposite"]
"""All combinations of mirrored axes, none of them, or only the one with all axes mirrored."""

AS_IT_IS: Views = ((),)


def views_of(axes: Sequence[int], mirror: Mirror = True) -> Views:
    """The looks at a window; the first is at the window as it is.

    Args:
        axes: Of the grid, that may be mirrored.
        mirror: ``"opposite"`` has two looks instead of ``2 ** len(axes)``. As the opposite differs from the window on
            every axis, it is worth most of what all combinations are (benchmarks/README.md).

    Raises:
        PlanError: There is no such way to mirror.

    Example:
        >>> views_of((0, 1)), views_of((0, 1), "opposite"), views_of((0, 1), False)
        (((), (0,), (1,), (0, 1)), ((), (0, 1)), ((),))
    """
    if not isinstance(mirror, bool) and mirror != "opposite":
        raise PlanError(unknown_name("way to mirror", str(mirror), ("opposite",)))
    if not axes or not mirror:
        return AS_IT_IS
    if mirror == "opposite":
        return (), tuple(axes)
    return tuple(turn for count in range(len(axes) + 1) for turn in combinations(axes, count))
