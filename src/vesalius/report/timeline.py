"""Lesions over time: a line for each, with its error, and one for their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.report.canvas import figure, render
from vesalius.report.plots import colour

_INK, _SOFT, _LINE, _PAPER = "#23211e", "#6d675e", "#e4ded2", "#fdfcf9"  # as in page.css
_NAMED = 8  # lines that are named at their ends


def timeline(
    days: Sequence[float],
    volumes_ml: Mapping[str, Sequence[float]],
    errors_ml: Mapping[str, Sequence[float]],
    *,
    total: str = "all",
) -> NDArray[np.uint8]:
    """Draw volumes over days, with bars of 1.96 standard errors, on a scale that shows small and large lesions.

    A lesion that is not there has no dot: its line begins or ends beside a cross on the axis.

    Args:
        days: Of the time points, rising.
        volumes_ml: Of each lesion at each of them; 0 where it is not there.
        errors_ml: Standard errors, alike.
        total: Name of the sum's line.

    Returns:
        RGB picture ``(rows, columns, 3)``.

    Raises:
        DataError: A lesion has not a volume and an error for each day.

    Example:
        >>> timeline([0, 90], {"L1": [1.0, 2.0]}, {"L1": [0.1, 0.1]}).shape
        (760, 1720, 3)
    """
    for name, volumes in volumes_ml.items():
        if len(volumes) != len(days) or len(errors_ml.get(name, ())) != len(days):
            raise DataError(f"{name}: a timeline needs a volume and an error for each of {len(days)} days")
    made = figure(860, 380, _PAPER)
    made.set_dpi(200)
    axes = made.add_subplot()
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=_LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, labelsize=9)
    sums = np.zeros(len(days))
    for number, (name, volumes) in enumerate(volumes_ml.items()):
        values = np.asarray(volumes, float)
        sums += values
        bars = 1.96 * np.asarray(errors_ml[name], float)
        there = values > 0
        hue = colour(number)
        axes.plot(days, values, color=hue, linewidth=1.2, alpha=0.75)
        axes.errorbar(
            np.asarray(days)[there],
            values[there],
            bars[there],
            fmt="o",
            color=hue,
            markersize=4,
            capsize=2,
            linewidth=1,
        )
        axes.plot(np.asarray(days)[~there], values[~there], "x", color=hue, markersize=5)
        if number < _NAMED and there.any():
            last = int(np.flatnonzero(there)[-1])
            axes.annotate(
                name, (days[last], values[last]), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8,
                color=hue, parse_math=False,
            )  # fmt: skip
    if len(volumes_ml) > 1:
        axes.plot(days, sums, color=_INK, linewidth=2)
        axes.annotate(
            total, (days[-1], sums[-1]), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9, color=_INK
        )
    largest = max(1e-3, float(sums.max(initial=0)))
    axes.set_yscale("symlog", linthresh=largest / 20)
    axes.set_ylim(0, largest * 1.4)
    power = 10.0 ** np.floor(np.log10(largest))
    steps = [step * power * scale for scale in (0.01, 0.1, 1) for step in (1, 2, 5)]
    ticks = [0.0, *(step for step in steps if largest / 40 <= step <= largest * 1.3)]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_xticks(list(days))
    axes.margins(x=0.08)
    axes.set_xlabel("days since the first image", fontsize=9)
    axes.set_ylabel("volume, ml", fontsize=9)
    made.tight_layout()
    return render(made)
