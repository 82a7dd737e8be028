"""The evaluation as one HTML file that stands alone."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import VesaliusError, unknown_name
from vesalius.image import Labels
from vesalius.io.atomic import write_text
from vesalius.metrics import METRICS, Scores, Summary, summarise
from vesalius.metrics.calibration import Calibration
from vesalius.report.boxes import box_plot
from vesalius.report.story import inline

HEADLINE = ("dice", "surface_dice", "hd95")
CALIBRATION = (
    "Whether a confidence of 0.8 is right eight times of ten, on the voxels in the boxes that hold the labels of "
    "reference and prediction: over whole images the background would make any segmenter look calibrated."
)
RELIABILITY = (
    "Above: how often the likeliest class was right, over how sure it was; on the diagonal they agree, below it the "
    "segmenter is too sure; hollow dots stand for fewer than one voxel of 10,000. Below: the share of voxels at each "
    "confidence."
)
_LONGEST_TABLE = 1000  # rows: a browser still scrolls them smoothly


def evaluation_html(
    scores: Sequence[Scores],
    path: str | os.PathLike[str],
    *,
    pictures: Mapping[str, NDArray[np.uint8]] | None = None,
    provenance: Mapping[str, str] | None = None,
    labels: Labels | None = None,
    headline: Sequence[str] = HEADLINE,
    calibration: Calibration | None = None,
    calibrated: bool = True,
    title: str = "Evaluation",
) -> Summary:
    """Write a report of scores: summary with intervals, box plots, worst cases with pictures, every case, definitions.

    The file needs nothing else: style and pictures are inside, there is no script, and a policy forbids loading
    anything. All text is escaped, so that a case's name cannot become markup. It holds case names and scores, and no
    other data of a patient; what is written in ``title`` and ``provenance`` is the caller's to answer for.

    Args:
        scores: One entry a case, of one tolerance.
        path: The HTML file to write.
        pictures: RGB pictures ``(rows, columns, 3)`` by case name, as `overlay` makes them. They are shown in order
            of the first headline metric's mean over targets, the worst case first.
        provenance: Lines of the colophon, name to text: data set, bundle, plan, version.
        labels: Gives the targets their colours; grey when left out, and for regions.
        headline: Metrics of the box plots, the first of which decides which case is worst. Those that were not scored
            are left out; the first must have been.
        calibration: Of the probabilities, if they were there.
        calibrated: Whether the grids have a physical size; if not, distances are labelled as pixels.
        title: Heading of the page.

    Returns:
        The summary that the page shows.

    Raises:
        DataError: There are no scores, or they cannot be summarised.
        VesaliusError: A headline metric is unknown, the first was not scored, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "report.html"
        ...     summary = evaluation_html([Scores("<a>", {"liver": {"dice": 0.5}})], path)
        ...     "&lt;a&gt;" in path.read_text(encoding="utf-8")
        True

    Source: Tukey, Exploratory Data Analysis (1977), for the box plots; intervals as `vesalius.metrics.summarise`.
    """
    from jinja2 import Environment, StrictUndefined

    summary = summarise(scores)
    scored = list(dict.fromkeys(name for row in summary.values.values() for name in row))
    for name in headline:
        if name not in METRICS:
            raise VesaliusError(unknown_name("metric", name, METRICS))
    if not headline or headline[0] not in scored:
        raise VesaliusError(f"the first headline metric must be one that was scored ({', '.join(scored)})")
    shown = [name for name in headline if name in scored]
    ranked = _ranked(scores, headline[0])
    shots = [
        {"case": one.case, "note": _means(one, shown, calibrated), "source": inline(pictures[one.case])}
        for one in ranked
        if pictures and one.case in pictures
    ]
    colours = {name: _colour(labels, name) for name in summary.values}
    rows = [(one.case, target, row) for one in ranked for target, row in one.values.items()]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    environment.filters["words"] = _words
    package = resources.files("vesalius.report")
    page = environment.from_string(package.joinpath("page.html.j2").read_text(encoding="utf-8"))
    text = page.render(
        title=title,
        style=package.joinpath("page.css").read_text(encoding="utf-8"),
        summary=summary,
        metrics=[(name, _unit(name, calibrated), METRICS[name].better) for name in scored],
        headline=[(name, _unit(name, calibrated)) for name in shown],
        plots=[box_plot(name, _unit(name, calibrated), scores, colours) for name in shown],
        colours=colours,
        shots=shots,
        reliability=None if calibration is None else _reliability(calibration),
        rows=rows[:_LONGEST_TABLE],
        left_out=max(0, len(rows) - _LONGEST_TABLE),
        definitions=[(name, _unit(name, calibrated), *_definition(name)) for name in scored],
        provenance=dict(provenance or {}),
        calibrated=calibrated,
        tolerance=f"{summary.tolerance_mm:g} {'mm' if calibrated else 'px'}",
    )
    write_text(path, text)
    return summary


def _reliability(calibration: Calibration) -> dict[str, str]:
    from vesalius.report.plots import reliability_picture

    numbers = (
        f"Expected calibration error {number(calibration.expected_error)}, Brier score {number(calibration.brier)}, "
        f"negative log likelihood {number(calibration.negative_log_likelihood)}, {calibration.voxels:,} voxels."
    )
    picture = inline(reliability_picture({"": calibration.curve}))
    return {"text": CALIBRATION, "numbers": numbers, "caption": RELIABILITY, "source": picture}


def number(value: float, unit: str = "") -> str:
    """A value as the tables print it: three decimals for shares, three significant digits for measures, – for NaN.

    Example:
        >>> number(0.87654), number(12.345, "mm"), number(float("nan"))
        ('0.877', '12.3', '–')

    Source: three digits are what a bootstrap over tens of cases supports.
    """
    if math.isnan(value):
        return "–"
    text = f"{value:.3f}" if not unit else f"{value:.2f}" if abs(value) < 10 else f"{value:,.1f}"
    return text.replace("-", "−")


def _ranked(scores: Sequence[Scores], metric: str) -> list[Scores]:
    """The cases by their mean of a metric over targets, worst first; those without a value last."""

    def badness(one: Scores) -> float:
        mean = _mean(one, metric)
        if math.isnan(mean):
            return math.inf
        return {"higher": mean, "lower": -mean, "zero": -abs(mean), "neither": 0.0}[METRICS[metric].better]

    return sorted(scores, key=badness)


def _mean(one: Scores, metric: str) -> float:
    values = [row[metric] for row in one.values.values() if not math.isnan(row.get(metric, math.nan))]
    return sum(values) / len(values) if values else math.nan


def _means(one: Scores, metrics: Sequence[str], calibrated: bool) -> str:
    parts = []
    for name in metrics:
        unit = _unit(name, calibrated)
        parts.append(f"{_words(name)} {number(_mean(one, name), unit)}{' ' + unit if unit else ''}")
    return " · ".join(parts)


def _words(name: str) -> str:
    return METRICS[name].title if name in METRICS else name.replace("_", " ")


def _unit(name: str, calibrated: bool) -> str:
    unit = METRICS[name].unit
    return unit if calibrated else unit.replace("mm", "px")


def _colour(labels: Labels | None, target: str) -> str:
    members = () if labels is None else labels.targets().get(target, ())
    if labels is None or len(members) != 1:
        return "#6d675e"  # a region has no colour of its own
    red, green, blue = labels.colour(members[0])
    return f"#{red:02x}{green:02x}{blue:02x}"


def _definition(name: str) -> tuple[list[str], str]:
    """The paragraphs of a metric's docstring that define it, and its source."""
    told: list[str] = []
    source = ""
    for paragraph in (inspect.getdoc(METRICS[name].function) or "").split("\n\n"):
        text = " ".join(paragraph.split())
        if text.startswith("Source:"):
            source = text.removeprefix("Source:").strip()
        elif not text.startswith(("Args:", "Example:")):
            told.append(text.replace("`", ""))
    return told, source
