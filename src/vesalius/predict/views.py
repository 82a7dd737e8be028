"""Which mirror images of a window a network looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from jaxtyping import Shaped
from torch import Tensor

from vesalius.errors import PlanError, unknown_name
from vesalius.plan import Plan

Mirror = bool | Literal["opposite"]
"""All combinations of mirrored axes, none of them, or only the one with all axes mirrored."""


@dataclass(frozen=True)
class View:
    """A look at a window.

    Args:
        axes: Of the grid, that are mirrored.
        outputs: What each output of the network becomes where they are mirrored: its own inverse, such as
            `vesalius.plan.Plan.mirrored_outputs`. Empty where all stay what they are.
    """

    axes: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()

    def of(self, windows: Shaped[Tensor, "b c *patch"]) -> Shaped[Tensor, "b c *patch"]:
        """What the network sees."""
        return windows.flip([axis + 2 for axis in self.axes]) if self.axes else windows

    def back(self, logits: Shaped[Tensor, "b outputs *patch"]) -> Shaped[Tensor, "b outputs *patch"]:
        """What it says, of the window as it was."""
        return self.of(logits[:, list(self.outputs)] if self.outputs else logits)


Views = tuple[View, ...]
"""The looks at a window; the mean of their logits, each turned back, is the answer."""

AS_IT_IS: Views = (View(),)


def views_of(axes: Sequence[int], mirror: Mirror = True, *, outputs: Sequence[int] = ()) -> Views:
    """The looks at a window; the first is at the window as it is.

    Args:
        axes: Of the grid, that may be mirrored.
        mirror: ``"opposite"`` has two looks instead of ``2 ** len(axes)``. As the opposite differs from the window on
            every axis, it is worth most of what all combinations are (benchmarks/README.md).
        outputs: What each output becomes where the first axis, left and right, is mirrored; themselves when left out.

    Raises:
        PlanError: There is no such way to mirror.

    Example:
        >>> [[view.axes for view in views_of((0, 1), mirror)] for mirror in (True, "opposite", False)]
        [[(), (0,), (1,), (0, 1)], [(), (0, 1)], [()]]
    """
    if not isinstance(mirror, bool) and mirror != "opposite":
        raise PlanError(unknown_name("way to mirror", str(mirror), ("opposite",)))
    swapped = tuple(outputs) if tuple(outputs) != tuple(range(len(outputs))) else ()
    if not axes or not mirror:
        return AS_IT_IS
    turns = [turn for count in range(len(axes) + 1) for turn in combinations(axes, count)]
    chosen = [(), tuple(axes)] if mirror == "opposite" else turns
    return tuple(View(turn, swapped if 0 in turn else ()) for turn in chosen)


def planned_views(plan: Plan, mirror: Mirror | None = None) -> Views:
    """The looks that a plan asks for, or others along the axes that were mirrored in training or are planned.

    Args:
        plan: Of the network.
        mirror: See `views_of`; as planned when left out.
    """
    if mirror is None:
        return views_of(plan.mirror_axes, outputs=plan.mirrored_outputs)
    axes = sorted({*plan.augmentation.mirrored_axes, *plan.mirror_axes})
    return views_of(axes, mirror, outputs=plan.mirrored_outputs)
