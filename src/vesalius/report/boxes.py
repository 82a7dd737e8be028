"""Box plots as numbers for an SVG: where box, whiskers, points and ticks go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.metrics import Scores

_LEFT, _RIGHT, _ROW, _TOP, _WIDTH = 170.0, 30.0, 34.0, 10.0, 760.0
_MANY = 200  # points beyond this many only blacken the picture: then outliers alone are drawn


@dataclass(frozen=True)
class Box:
    """One row of a box plot, in the picture's units.

    Args:
        target: Its name.
        colour: Of box and points, ``#rrggbb``.
        y: Middle of the row.
        low: End of the lower whisker.
        first: First quartile.
        median: Middle line.
        third: Third quartile.
        high: End of the upper whisker.
        mean: Where the diamond goes.
        points: Centres of the points, and what to say of each (case and value).
    """

    target: str
    colour: str
    y: float
    low: float
    first: float
    median: float
    third: float
    high: float
    mean: float
    points: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class BoxPlot:
    """A box plot of one metric with a row for each target, ready to be drawn.

    Args:
        metric: Its name.
        unit: Its unit, may be empty.
        width: Of the picture.
        height: Of the picture.
        ticks: Position and wording of the axis' ticks.
        boxes: The rows, top to bottom; targets without a value are left out.
    """

    metric: str
    unit: str
    width: float
    height: float
    ticks: tuple[tuple[float, str], ...]
    boxes: tuple[Box, ...]


def box_plot(metric: str, unit: str, scores: Sequence[Scores], colours: Mapping[str, str]) -> BoxPlot:
    """Lay out the box plot of a metric.

    Boxes run from the first to the third quartile, whiskers to the farthest value within 1.5 box lengths; a diamond is
    the mean. All cases are points, or, with more than 200, those beyond the whiskers.

    Args:
        metric: A metric of the scores.
        unit: How its unit is written.
        scores: The cases.
        colours: ``#rrggbb`` of each target, in the order of the rows.

    Returns:
        The layout; without boxes if no case has a value.

    Source: Tukey, Exploratory Data Analysis (1977), ch. 2.
    """
    known = {
        target: [
            (one.values[target][metric], one.case)
            for one in scores
            if not math.isnan(one.values.get(target, {}).get(metric, math.nan))
        ]
        for target in colours
    }
    found = {target: values for target, values in known.items() if values}
    height = _TOP + _ROW * len(found) + 34
    if not found:
        return BoxPlot(metric, unit, _WIDTH, height, (), ())
    ticks = _ticks([value for values in found.values() for value, _ in values])
    low, high = ticks[0], ticks[-1]

    def across(value: float) -> float:
        return round(_LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT), 1)

    boxes = []
    for row, (target, pairs) in enumerate(found.items()):
        y = _TOP + _ROW * (row + 0.5)
        values: NDArray[np.float64] = np.array([value for value, _ in pairs])
        first, median, third = np.percentile(values, (25, 50, 75))
        reach = 1.5 * (third - first)
        inside = values[(values >= first - reach) & (values <= third + reach)]
        drawn = [
            (across(value), round(y + _jitter(at), 1), f"{case}: {value:.4g}")
            for at, (value, case) in enumerate(pairs)
            if len(pairs) <= _MANY or not inside.min() <= value <= inside.max()
        ]
        boxes.append(
            Box(
                target=target,
                colour=colours[target],
                y=y,
                low=across(float(inside.min())),
                first=across(float(first)),
                median=across(float(median)),
                third=across(float(third)),
                high=across(float(inside.max())),
                mean=across(float(values.mean())),
                points=tuple(drawn),
            )
        )
    return BoxPlot(
        metric, unit, _WIDTH, height, tuple((across(t), f"{t:g}".replace("-", "−")) for t in ticks), tuple(boxes)
    )


def _ticks(values: Sequence[float]) -> list[float]:
    """Four to six round numbers that enclose the values."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    ticks = [float(t) for t in MaxNLocator(5).tick_values(low, high)]
    return [round(t, 10) for t in ticks]


def _jitter(at: int) -> float:
    # Golden-ratio steps spread neighbours without chance, so that a report is the same every time.
    return ((at * 0.618034) % 1.0 - 0.5) * 14
