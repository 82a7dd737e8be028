"""Structures that are one another's mirror image, such as the two kidneys."""

from __future__ import annotations

from collections.abc import Sequence

from vesalius.errors import PlanError

Pairs = tuple[tuple[int, int], ...]
"""Two label values each, left and right in either order."""


def check_pairs(pairs: Pairs, values: Sequence[int]) -> None:
    """Make sure that pairs name known values, and each of them once.

    Raises:
        PlanError: They do not.
    """
    named = [value for pair in pairs for value in pair]
    if len(set(named)) < len(named) or not set(named) <= set(values):
        raise PlanError(f"paired_labels must name values of labels, each at most once, not {[list(p) for p in pairs]}")


def in_the_mirror(groups: Sequence[Sequence[int]], pairs: Pairs) -> tuple[int, ...]:
    """Which group of values each group becomes in a mirror image across left and right.

    Args:
        groups: Label values of each, 0 for the background; different groups.
        pairs: Values that change places; all others keep theirs.

    Returns:
        A number for each group. Mirrored twice, everything is what it was, so that it is its own inverse.

    Raises:
        PlanError: What a group becomes is not among them.

    Example:
        >>> in_the_mirror([(0,), (1,), (2,), (3,), (1, 2)], ((1, 3),))
        Traceback (most recent call last):
            ...
        vesalius.errors.PlanError: paired_labels: the values [1, 2] become [2, 3], for which there is no output
        >>> in_the_mirror([(0,), (1,), (2,), (3,), (1, 2, 3)], ((1, 3),))
        (0, 3, 2, 1, 4)
    """
    other = {left: right for pair in pairs for left, right in (pair, pair[::-1])}
    numbers = {frozenset(group): number for number, group in enumerate(groups)}
    become = [frozenset(other.get(value, value) for value in group) for group in groups]
    for group, found in zip(groups, become, strict=True):
        if found not in numbers:
            raise PlanError(
                f"paired_labels: the values {sorted(group)} become {sorted(found)}, for which there is no output"
            )
    return tuple(numbers[found] for found in become)
