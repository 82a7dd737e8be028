"""The pictures of a search: how the best came to be, and what mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.report.canvas import figure, render

_DONE, _PRUNED, _INK, _PAPER = "#1f5f6b", "#c9a98a", "#2b2a28", "#fdfcf9"


def search_course(dice: Sequence[float], ended: Sequence[bool]) -> NDArray[np.uint8]:
    """Draw the Dice of each trial, and the best so far.

    Args:
        dice: Of each trial, in order; NaN where there is none. Of one that was given up, the last that was seen.
        ended: Whether it came to its end; only then does it count for the best.

    Returns:
        The picture, ``(rows, columns, 3)``, uint8.

    Example:
        >>> search_course([0.5, 0.3, 0.6], [True, False, True]).shape
        (380, 860, 3)
    """
    from matplotlib.ticker import MaxNLocator

    values, counts = np.asarray(dice, dtype=float), np.asarray(ended, dtype=bool)
    numbers = np.arange(1, len(values) + 1)
    made = figure(860, 380, _PAPER)
    axes = made.add_axes((0.08, 0.14, 0.9, 0.76), facecolor=_PAPER)
    best = np.fmax.accumulate(np.where(counts, values, -np.inf))
    known = np.isfinite(best)
    axes.step(numbers[known], best[known], where="post", color=_DONE, linewidth=2, label="best so far")
    for kind, colour, marker, name in ((counts, _DONE, "o", "came to its end"), (~counts, _PRUNED, "x", "given up")):
        some = kind & np.isfinite(values)
        axes.scatter(numbers[some], values[some], color=colour, marker=marker, s=28, label=name, zorder=3)
    axes.set_xlabel("trial")
    axes.set_ylabel("Dice on the watched cases")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#e4e0d8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.legend(loc="lower right", fontsize=9, frameon=False)
    return render(made)


def shares(parts: Mapping[str, float]) -> NDArray[np.uint8]:
    """Draw shares as bars, in the order in which they come.

    Args:
        parts: Name to share, 0 to 1.

    Returns:
        The picture, ``(rows, columns, 3)``, uint8.

    Example:
        >>> shares({"learning rate": 0.7, "loss": 0.3}).shape
        (116, 860, 3)
    """
    height = 60 + 28 * len(parts)
    made = figure(860, height, _PAPER)
    axes = made.add_axes((0.36, 34 / height, 0.56, 1 - 44 / height), facecolor=_PAPER)
    names, values = list(parts), np.asarray(list(parts.values()))
    places = np.arange(len(names))[::-1]
    axes.barh(places, values, color=_DONE, height=0.62)
    for place, value in zip(places, values, strict=True):
        axes.text(value + 0.008, place, f"{value:.0%}", va="center", fontsize=9, color=_INK)
    axes.set_yticks(places, names, fontsize=9)
    axes.set_xlim(0, max(0.05, 1.12 * float(values.max(initial=0.0))))
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(length=0, colors=_INK)
    return render(made)
