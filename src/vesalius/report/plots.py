"""Pictures of a comparison: scores of every case, places under resampling, agreement of volumes, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vesalius.metrics.agreement import BlandAltman
from vesalius.metrics.calibration import Reliability
from vesalius.metrics.froc import Froc
from vesalius.metrics.paired import PairedTable
from vesalius.metrics.ranking import Stability
from vesalius.report.canvas import figure, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _SOFT, _LINE, _PAPER = "#23211e", "#6d675e", "#e4ded2", "#fdfcf9"  # as in page.css
# Okabe and Ito's colours, told apart by everyone; black and yellow left out for the page's sake.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_SHARP = 200  # dots per inch: the page shows the pictures at half their size
_FEW = 1e-4  # share of the voxels up to which a confidence is too rare for its accuracy to mean much
_MANY = 60  # cases beyond which lines between methods only blacken the picture


def colour(number: int) -> str:
    """The colour of a method, by its place.

    Source: Okabe and Ito, Color Universal Design (2008).
    """
    return _COLOURS[number % len(_COLOURS)]


def dots_and_boxes(table: PairedTable, *, title: str, unit: str = "") -> NDArray[np.uint8]:
    """Every case as a dot beside each method's box; thin lines join the dots of a case, if there are few enough.

    Args:
        table: Of the methods.
        title: What is measured.
        unit: Its unit.

    Returns:
        RGB picture ``(rows, columns, 3)``.

    Source: Tukey, Exploratory Data Analysis (1977), ch. 2; paired lines as Weissgerber et al., PLoS Biology 13:e1002128
    (2015), doi:10.1371/journal.pbio.1002128, ask for.
    """
    count = len(table.methods)
    made, axes = _axes(860, 90 + 62 * count)
    heights = np.arange(count, 0, -1.0)
    jitter = ((np.arange(len(table.cases)) * 0.618034) % 1 - 0.5) * 0.3  # the same in every report
    if len(table.cases) <= _MANY:
        for case in range(len(table.cases)):
            axes.plot(table.values[:, case], heights - 0.18 + jitter[case], color=_LINE, linewidth=0.7, zorder=1)
    for n, height in enumerate(heights):
        values = table.values[n]
        axes.scatter(
            values, height - 0.18 + jitter, s=13, color=colour(n), alpha=0.75, linewidths=0.3, edgecolors=_INK, zorder=2
        )
        axes.boxplot(
            [values],
            positions=[height + 0.2],
            orientation="horizontal",
            widths=0.22,
            showfliers=False,
            manage_ticks=False,
            patch_artist=True,
            boxprops={"facecolor": colour(n) + "38", "edgecolor": _INK, "linewidth": 0.9},
            medianprops={"color": _INK, "linewidth": 2},
            whiskerprops={"color": _INK, "linewidth": 0.9},
            capprops={"linewidth": 0},
            zorder=3,
        )
        axes.plot(values.mean(), height + 0.2, "D", color="white", markeredgecolor=_INK, markersize=5, zorder=4)
    _names(axes, heights, table.methods)
    axes.set_xlabel(f"{title}, {unit}" if unit else title)
    return _rendered(made)


def places(stabilities: Mapping[str, Stability]) -> NDArray[np.uint8]:
    """How often each method takes each place when cases are drawn anew: a disc's area is the share.

    Crosses are the places on all cases, lines hold 95 % of the resamples.

    Args:
        stabilities: Of one order or two, by the heading of the panel.

    Returns:
        RGB picture.

    Source: the blob plot of Wiesenfarth et al., Sci Rep 11:2369 (2021), doi:10.1038/s41598-021-82017-6.
    """
    count = len(next(iter(stabilities.values())).methods)
    made = figure(860, 100 + 46 * count, _PAPER)
    made.set_dpi(_SHARP)
    panels: Any = made.subplots(1, len(stabilities), squeeze=False, sharey=True)
    heights = np.arange(count, 0, -1.0)
    for axes, (heading, found) in zip(panels[0], stabilities.items(), strict=True):
        _plain(axes)
        axes.grid(axis="x", color=_LINE, linewidth=0.7)
        for n, height in enumerate(heights):
            axes.plot([found.low[n], found.high[n]], [height, height], color=_INK, linewidth=1.1, zorder=1)
            for place, share in enumerate(found.frequency[n], start=1):
                if share > 0:
                    axes.scatter(place, height, s=560 * share, color=colour(n), alpha=0.8, linewidths=0, zorder=2)
            axes.plot(found.ranks[n], height, "x", color=_INK, markersize=6, markeredgewidth=1.5, zorder=3)
        _names(axes, heights, found.methods)
        axes.set_xlim(0.5, count + 0.5)
        axes.set_xticks(range(1, count + 1))
        axes.set_xlabel("place", fontsize=9)
        axes.set_title(heading, fontsize=10, color=_INK)
    return _rendered(made)


def bland_altman_panels(analyses: Mapping[str, BlandAltman], *, unit: str) -> NDArray[np.uint8]:
    """Differences over means, a panel for each method, on one scale.

    The middle line is the bias, the outer ones the limits of agreement; the bands are their 95 % intervals.

    Args:
        analyses: By method, at least one.
        unit: Of what was measured.

    Returns:
        RGB picture.

    Source: Bland and Altman, Lancet 327:307 (1986), doi:10.1016/S0140-6736(86)90837-8.
    """
    columns = min(3 if len(analyses) != 4 else 2, len(analyses))
    rows = -(-len(analyses) // columns)
    made = figure(860, 40 + 250 * rows, _PAPER)
    made.set_dpi(_SHARP)
    grid: Any = made.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for place, panel in enumerate(grid.ravel()):
        if place >= len(analyses):
            panel.set_axis_off()
            continue
        name, found = list(analyses.items())[place]
        _plain(panel)
        panel.grid(color=_LINE, linewidth=0.7)
        panel.axhline(0, color=_SOFT, linewidth=0.8, linestyle=(0, (2, 3)))
        bands = ((found.bias, found.bias_interval), (found.low, found.low_interval), (found.high, found.high_interval))
        for at, (low, high) in bands:
            if np.isfinite([at, low, high]).all():
                panel.axhspan(low, high, color=colour(place), alpha=0.13, linewidth=0)
                panel.axhline(at, color=colour(place), linewidth=1.4 if at == found.bias else 1.0)
        panel.scatter(
            found.means,
            found.differences,
            s=14,
            color=colour(place),
            alpha=0.8,
            linewidths=0.3,
            edgecolors=_INK,
            zorder=3,
        )
        panel.set_title(_short(name, 34), fontsize=10, color=_INK, parse_math=False)
        if place % columns == 0:
            panel.set_ylabel(f"prediction − reference, {unit}", fontsize=9)
        if place >= len(analyses) - columns:
            panel.set_xlabel(f"mean of both, {unit}", fontsize=9)
            panel.tick_params(labelbottom=True)
    made.tight_layout()
    return render(made)


def reliability_picture(curves: Mapping[str, Reliability]) -> NDArray[np.uint8]:
    """Accuracy over confidence, a line for each method, above how many voxels each confidence has.

    On the diagonal, what is said with a confidence of 0.8 is right eight times of ten; below it, a method is too sure.

    Args:
        curves: By method, at least one.

    Returns:
        RGB picture.

    Source: Guo et al., ICML 2017, arXiv:1706.04599, figure 4.
    """
    made = figure(560, 560, _PAPER)
    made.set_dpi(_SHARP)
    upper, lower = made.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (4, 1), "hspace": 0.08, "top": 0.97})
    upper.plot([0, 1], [0, 1], color=_SOFT, linewidth=0.9, linestyle=(0, (3, 3)))
    for n, (name, curve) in enumerate(curves.items()):
        firm = curve.counts > _FEW * curve.counts.sum()
        some = (curve.counts > 0) & ~firm
        how: dict[str, Any] = {"color": colour(n), "markersize": 4, "linewidth": 1.5}
        upper.plot(curve.confidence[firm], curve.accuracy[firm], "o-", label=_short(name, 30), **how)
        upper.plot(curve.confidence[some], curve.accuracy[some], "o", markerfacecolor="none", **how)
        share = curve.counts / max(int(curve.counts.sum()), 1)
        lower.stairs(share, curve.edges, color=colour(n), linewidth=1.4)
    for axes in (upper, lower):
        _plain(axes)
        axes.grid(color=_LINE, linewidth=0.7)
    upper.set_ylabel("share that is right", fontsize=9)
    upper.set_xlim(-0.02, 1.02)
    upper.set_ylim(-0.02, 1.02)
    lower.set_ylabel("voxels", fontsize=9)
    lower.set_yscale("symlog", linthresh=1e-4)
    lower.set_ylim(0, 1.5)
    lower.set_yticks([0, 1e-3, 1])
    lower.set_xlabel("confidence", fontsize=9)
    if len(curves) > 1:
        drawn = upper.legend(loc="upper left", fontsize=8, frameon=False)
        for text in drawn.get_texts():
            text.set_parse_math(False)
    return render(made)


def froc_picture(curves: Mapping[str, Froc]) -> NDArray[np.uint8]:
    """Sensitivity over false positives a scan, a line for each method, with dots where the sensitivity is read off.

    Args:
        curves: By method, at least one.

    Returns:
        RGB picture.

    Source: Setio et al., Medical Image Analysis 42:1, 2017, doi:10.1016/j.media.2017.06.015, figure 3: the rates on a
    scale that doubles.
    """
    made = figure(640, 460, _PAPER)
    made.set_dpi(_SHARP)
    axes = made.add_subplot()
    _plain(axes)
    axes.grid(color=_LINE, linewidth=0.7)
    rates = next(iter(curves.values())).rates
    dense = np.geomspace(rates[0] / 2, rates[-1] * 2, 400)
    for n, (name, found) in enumerate(curves.items()):
        label = f"{_short(name, 30)}, CPM {found.cpm:.3f}" if name else f"CPM {found.cpm:.3f}"
        # The curve's own points, and more between them: its straight lines are not straight on this scale.
        wrong, right = found.false_positives_per_scan, found.sensitivity
        there = dense[dense < wrong[-1]]
        across = np.concatenate([there, wrong[wrong > 0]])
        up = np.concatenate([np.interp(there, wrong, right), right[wrong > 0]])
        order = np.lexsort((up, across))
        axes.plot(across[order], up[order], color=colour(n), linewidth=1.6, label=label)
        beyond = [max(wrong[-1], dense[0]), dense[-1]]
        axes.plot(beyond, [right[-1]] * 2, color=colour(n), linewidth=1.0, linestyle=(0, (2, 3)))
        axes.plot(found.rates, found.at_rates, "o", color=colour(n), markersize=4.5)
    axes.set_xscale("log", base=2)
    axes.set_xticks(rates, [f"1/{round(1 / r)}" if r < 1 else f"{r:g}" for r in rates])
    axes.minorticks_off()
    axes.set_xlim(dense[0], dense[-1])
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("false positives a scan", fontsize=9)
    axes.set_ylabel("sensitivity", fontsize=9)
    drawn = axes.legend(loc="lower right", fontsize=8, frameon=False)
    for text in drawn.get_texts():
        text.set_parse_math(False)
    return _rendered(made)


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    made = figure(width, height, _PAPER)
    made.set_dpi(_SHARP)
    axes = made.add_subplot()
    _plain(axes)
    axes.grid(axis="x", color=_LINE, linewidth=0.7)
    return made, axes


def _plain(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=9)


def _names(axes: Axes, heights: Sequence[float] | NDArray[np.float64], names: Sequence[str]) -> None:
    axes.set_yticks(heights, [_short(name) for name in names])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)  # a name with dollar signs is a name, not a formula
    axes.set_ylim(0.4, len(names) + 0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _rendered(made: Figure) -> NDArray[np.uint8]:
    made.tight_layout()
    return render(made)


def _short(name: str, longest: int = 24) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
