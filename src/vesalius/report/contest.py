"""The comparison of several methods as one HTML file that stands alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.metrics import METRICS, Scores, Summary
from vesalius.metrics.agreement import BlandAltman, bland_altman
from vesalius.metrics.calibration import Calibration
from vesalius.metrics.comparison import Comparison
from vesalius.metrics.ranking import Scheme
from vesalius.report.page import CALIBRATION, RELIABILITY, number
from vesalius.report.plots import bland_altman_panels, dots_and_boxes, places, reliability_picture
from vesalius.report.story import Section, story_html

_HEADLINE = ("dice", "surface_dice", "hd95", "assd")
_DRAWN = 6  # targets that get pictures of their own: a hundred would make the page too heavy to open
_LONGEST_TABLE = 300  # rows
_CUSTOMS: dict[Scheme, str] = {
    "mean_then_rank": "by the mean",
    "median_then_rank": "by the median",
    "rank_then_mean": "by the mean rank",
    "significance": "by tests won",
}


def contest_html(
    scores: Mapping[str, Sequence[Scores]],
    summaries: Mapping[str, Summary],
    comparisons: Sequence[Comparison],
    path: str | os.PathLike[str],
    *,
    provenance: Mapping[str, str] | None = None,
    calibrations: Mapping[str, Calibration] | None = None,
    missing: str = "worst",
    calibrated: bool = True,
    title: str = "Comparison",
) -> None:
    """Write a report of several methods: means, places and their stability, differences, agreement of volumes.

    The file needs nothing else and loads nothing; all text is escaped. It holds names of cases and scores, and no other
    data of a patient.

    Args:
        scores: Of each method.
        summaries: Of each method, as `vesalius.metrics.summarise` makes them.
        comparisons: By metric and target, the mean over targets first; at least one.
        path: The HTML file to write.
        provenance: Lines of the colophon.
        calibrations: Of each method, if probabilities were there.
        missing: What was done with missing cases, ``"worst"`` or ``"common"``.
        calibrated: Whether the grids have a physical size; if not, distances are labelled as pixels.
        title: Heading of the page.

    Raises:
        VesaliusError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from vesalius.metrics import summarise
        >>> from vesalius.metrics.comparison import compare
        >>> def of(*dice):
        ...     return [Scores(f"case {n}", {"liver": {"dice": value}}) for n, value in enumerate(dice)]
        >>> scores = {"<A>": of(0.9, 0.8), "B": of(0.7, 0.6)}
        >>> summaries = {name: summarise(rows) for name, rows in scores.items()}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     contest_html(scores, summaries, [compare(scores, target="liver")], folder + "/report.html")
        ...     "&lt;A&gt;" in (Path(folder) / "report.html").read_text(encoding="utf-8")
        True

    Source: what such a report should show: Wiesenfarth et al., Sci Rep 11:2369 (2021), doi:10.1038/s41598-021-82017-6.
    """
    known = list(dict.fromkeys(one.table.metric for one in comparisons))
    headline = [name for name in _HEADLINE if name in known] or known[:2]
    first = comparisons[0].table.target
    main = [one for one in comparisons if one.table.target == first and one.table.metric in headline]
    main.sort(key=lambda one: headline.index(one.table.metric))
    others = [one for one in comparisons if one.table.target != first and one.table.metric in headline]
    what = f"of {first}" if first else "of each case's mean over targets"
    sections = [
        _means(summaries, [one for one in comparisons if one.table.target == first], what, calibrated),
        *(_drawn(one, calibrated) for one in main),
        _order(main),
        *([_stability(main[0])] if main else []),
        *_volumes(scores, calibrated),
        *([_calibration(calibrations)] if calibrations else []),
        _apart([*main, *others], calibrated),
    ]
    if others:
        sections.insert(1, _targets(summaries, others, calibrated))
    table = main[0].table if main else comparisons[0].table
    sections.append(_how(comparisons, missing))
    lead = f"{len(table.methods)} methods, {_cases(len(table.cases))}. {_verdict(main[0]) if main else ''}"
    story_html(sections, path, title=title, lead=lead, provenance=provenance)


def _title(metric: str) -> str:
    return METRICS[metric].title


def _unit(metric: str, calibrated: bool) -> str:
    unit = METRICS[metric].unit
    return unit if calibrated else unit.replace("mm", "px")


def _named(metric: str, calibrated: bool) -> str:
    unit, arrow = _unit(metric, calibrated), {"higher": "↑", "lower": "↓", "zero": "→ 0"}[METRICS[metric].better]
    return f"{_title(metric)}{f', {unit}' if unit else ''} {arrow}"


def _verdict(one: Comparison) -> str:
    """Who leads, and whether that can be relied on, in a sentence."""
    ranking, firm = one.rankings["mean_then_rank"], one.stability["mean_then_rank"]
    best = [n for n, rank in enumerate(ranking.ranks) if rank == 1]
    names = " and ".join(ranking.methods[n] for n in best)
    share = firm.frequency[best[0], 0]
    beaten = [
        pair.second if pair.first in names else pair.first
        for pair in one.differences
        if pair.p_holm < one.alpha and {pair.first, pair.second} & {ranking.methods[n] for n in best}
    ]
    told = (
        f"significantly different from {', '.join(beaten)}" if beaten else "not significantly different from any other"
    )
    lead = "leads" if len(best) == 1 else "lead together"
    return f"By the mean {_title(one.table.metric)}, {names} {lead}, first in {share:.0%} of the resamples; {told}."


def _means(summaries: Mapping[str, Summary], comparisons: Sequence[Comparison], what: str, calibrated: bool) -> Section:
    rows = [["metric", *summaries]]
    rows += [
        [_named(one.table.metric, calibrated)]
        + [_mean(summary, one.table.target, one.table.metric, calibrated) for summary in summaries.values()]
        for one in comparisons
    ]
    text = (
        f"Means {what}, each over the method's own cases, with 95 % intervals. ↑ higher is better, ↓ lower is "
        "better, → 0 nearer to zero is better. Where methods were not scored on the same cases their means are no "
        "comparison: all that follows is made on the same cases for all."
    )
    return Section("Means", [text], rows)


def _mean(summary: Summary, target: str, metric: str, calibrated: bool) -> str:
    found = (summary.values.get(target, {}) if target else summary.foreground).get(metric)
    if found is None:
        return "–"
    unit = _unit(metric, calibrated)
    span = f" ({number(found.low, unit)} – {number(found.high, unit)})" if found.n > 1 else ""
    return f"{number(found.mean, unit)}{span}"


def _targets(summaries: Mapping[str, Summary], others: Sequence[Comparison], calibrated: bool) -> Section:
    rows = [["target and metric", *summaries]]
    rows += [
        [f"{one.table.target} — {_named(one.table.metric, calibrated)}"]
        + [_mean(summary, one.table.target, one.table.metric, calibrated) for summary in summaries.values()]
        for one in others
    ]
    return Section("Each target", _left_out(rows), rows[:_LONGEST_TABLE])


def _drawn(one: Comparison, calibrated: bool) -> Section:
    metric = one.table.metric
    picture = dots_and_boxes(one.table, title=_title(metric), unit=_unit(metric, calibrated))
    caption = (
        "Dots: cases; a thin line joins those of one case (up to 60 cases). Box: quartiles and median. Whiskers: "
        "within 1.5 box lengths. Diamond: mean."
    )
    return Section(f"{_title(metric)} of every case", pictures={caption: picture})


def _order(main: Sequence[Comparison]) -> Section:
    if not main:
        return Section("Places")
    rows = [["metric and custom", *main[0].table.methods, "Kendall's τ", "same order"]]
    for one in main:
        for scheme, ranking in one.rankings.items():
            firm = one.stability[scheme]
            rows.append(
                [
                    f"{_title(one.table.metric)}, {_CUSTOMS[scheme]}",
                    *(f"{rank}" for rank in ranking.ranks),
                    "–"
                    if firm.tau != firm.tau
                    else f"{number(firm.tau)} ({number(firm.tau_low)} – {number(firm.tau_high)})",
                    f"{firm.same:.0%}",
                ]
            )
    text = (
        "An order that changes with the custom is a matter of taste, and one that changes with the cases a matter "
        "of luck. Kendall's τ compares the order with those of 1000 resamples of the cases (1: always the same, 0: "
        "unrelated; in brackets 2.5th to 97.5th percentile); the last column says how often it was exactly the same."
    )
    return Section("Places", [text], rows)


def _stability(one: Comparison) -> Section:
    shown: tuple[Scheme, ...] = ("mean_then_rank", "rank_then_mean")
    caption = (
        f"Places by {_title(one.table.metric)} in 1000 resamples of the cases. Area: share of the resamples. Cross: "
        "place on all cases. Line: 95 % of the resamples."
    )
    picture = places({_CUSTOMS[scheme]: one.stability[scheme] for scheme in shown})
    return Section("How firm the places are", pictures={caption: picture})


def _apart(comparisons: Sequence[Comparison], calibrated: bool) -> Section:
    rows = [["metric, target", "first", "second", "first − second", "95 % interval", "better on", "p", "p (Holm)", ""]]
    for one in comparisons:
        unit = _unit(one.table.metric, calibrated)
        rows += [
            [
                f"{_named(one.table.metric, calibrated)}, {one.table.target or 'mean of targets'}",
                pair.first,
                pair.second,
                _signed(pair.mean, unit),
                f"{_signed(pair.low, unit)} … {_signed(pair.high, unit)}" if pair.n > 1 else "–",
                f"{pair.first_better} : {pair.second_better}",
                _p(pair.p),
                _p(pair.p_holm),
                "significant" if pair.p_holm < one.alpha else "",
            ]
            for pair in one.differences
        ]
    alpha = comparisons[0].alpha if comparisons else 0.05
    cases = len(comparisons[0].table.cases) if comparisons else 0
    texts = [
        "Mean difference on the same cases with its bootstrap interval, on how many cases either is better, and "
        "Wilcoxon's signed-rank test, two-sided, adjusted by Holm for the pairs of methods. The adjustment is made "
        f"for each metric and target by itself: of many rows some fall below {alpha:g} by luck."
    ]
    texts += _left_out(rows)
    least = len(comparisons[0].differences) * 2.0 ** (1 - cases) if comparisons else 0.0
    if least >= alpha:
        texts.append(
            f"With {_cases(cases)} and so many pairs no difference can be significant: the least p is "
            f"{min(1.0, least):.2g}."
        )
    return Section("Differences", texts, rows[:_LONGEST_TABLE])


def _signed(value: float, unit: str) -> str:
    text = number(value, unit)
    return text if text[0] in "−–" or value == 0 else f"+{text}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.001 else "< 0.001"


def _volumes(scores: Mapping[str, Sequence[Scores]], calibrated: bool) -> list[Section]:
    """Bland and Altman's analysis of each target's volume, or area in 2D."""
    sections: list[Section] = []
    targets = dict.fromkeys(target for rows in scores.values() for one in rows for target in one.values)
    rows = [["target", "method", "n", "bias", "95 % interval", "limits of agreement"]]
    pictures: dict[str, NDArray[np.uint8]] = {}
    unit = ""
    for target in targets:
        analyses, found_unit = _analyses(scores, target)
        if not analyses:
            continue
        unit = found_unit if calibrated else found_unit.replace("mm", "px")
        for method, found in analyses.items():
            low, high = found.bias_interval
            rows.append(
                [
                    target,
                    method,
                    f"{found.n}",
                    _signed(found.bias, unit),
                    f"{_signed(low, unit)} … {_signed(high, unit)}" if found.n > 1 else "–",
                    f"{_signed(found.low, unit)} … {_signed(found.high, unit)}" if found.n > 1 else "–",
                ]
            )
        if len(pictures) < _DRAWN:
            caption = f"{target}. Lines: bias and limits of agreement, with their 95 % intervals as bands."
            pictures[caption] = bland_altman_panels(analyses, unit=unit)
    if len(rows) > 1:
        word = "Volumes" if unit == "ml" else "Areas"
        text = (
            f"{word} of prediction against reference, {unit}: Bland and Altman's bias (mean of prediction minus "
            "reference) and the limits between which 95 % of the differences lie if they are normal. A fan that "
            "opens to the right says that errors grow with size."
        )
        sections.append(Section(f"{word}: Bland and Altman", [text, *_left_out(rows)], rows[:_LONGEST_TABLE], pictures))
    return sections


def _analyses(scores: Mapping[str, Sequence[Scores]], target: str) -> tuple[dict[str, BlandAltman], str]:
    for stem, unit in (("volume_{}_ml", "ml"), ("area_{}_mm2", "mm²")):
        names = [stem.format(side) for side in ("prediction", "reference")]
        found = {
            method: [[one.values[target][name] for one in rows if name in one.values.get(target, {})] for name in names]
            for method, rows in scores.items()
        }
        measured = {method: bland_altman(*pair) for method, pair in found.items() if pair[0] and pair[1]}
        if measured:
            return measured, unit
    return {}, ""


def _calibration(calibrations: Mapping[str, Calibration]) -> Section:
    rows = [["method", "voxels", "expected calibration error ↓", "Brier score ↓", "negative log likelihood ↓"]]
    rows += [
        [name, f"{one.voxels:,}", *map(number, (one.expected_error, one.brier, one.negative_log_likelihood))]
        for name, one in calibrations.items()
    ]
    return Section("Calibration", [CALIBRATION], rows, {RELIABILITY: _curves(calibrations)})


def _curves(calibrations: Mapping[str, Calibration]) -> NDArray[np.uint8]:
    return reliability_picture({name: one.curve for name, one in calibrations.items()})


def _how(comparisons: Sequence[Comparison], missing: str) -> Section:
    table = comparisons[0].table
    texts = []
    filled = {method: cases for method, cases in table.filled.items() if cases}
    if missing == "worst":
        texts.append(
            "A method without a prediction for a case gets the worst value there: 0 where higher is better (or the "
            "lowest in the table, if that is below 0), else the highest that any method has in any case."
        )
    else:
        texts.append("Cases that some method has no prediction for are left out of the comparison for all.")
    texts += [f"{method}: {_cases(len(cases))} filled in: {_some(cases)}." for method, cases in filled.items()]
    if table.left_out:
        texts.append(f"Left out: {_some(table.left_out)}.")
    texts.append(
        "Cases are taken as independent: where a patient has several, intervals are too narrow and p too small. "
        "Intervals are percentiles of a bootstrap over cases with a fixed seed."
    )
    return Section("How it was compared", texts)


def _left_out(rows: Sequence[Sequence[str]]) -> list[str]:
    if len(rows) <= _LONGEST_TABLE:
        return []
    return [f"{len(rows) - _LONGEST_TABLE} further rows are left out of this page; the JSON file holds all scores."]


def _some(cases: Sequence[str]) -> str:
    return ", ".join(cases[:12]) + (f" and {len(cases) - 12} more" if len(cases) > 12 else "")


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"
