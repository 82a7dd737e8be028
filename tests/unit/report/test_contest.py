"""The page of a comparison: what it says, that nothing leaves it, and its pictures."""

import re

import numpy as np
import pytest

from vesalius.metrics import Scores, summarise
from vesalius.metrics.agreement import bland_altman
from vesalius.metrics.calibration import measure_calibration, reliability
from vesalius.metrics.comparison import compare
from vesalius.metrics.paired import paired_table
from vesalius.metrics.ranking import ranking_stability
from vesalius.report.contest import contest_html
from vesalius.report.plots import bland_altman_panels, dots_and_boxes, places, reliability_picture


def of(dice, add: float = 0.0, *, flat: bool = False) -> list[Scores]:
    size = "area_{}_mm2" if flat else "volume_{}_ml"
    return [
        Scores(
            f"case <{n}>",
            {
                target: {
                    "dice": float(d) * part,
                    "hd95": 5 - 4 * float(d),
                    size.format("reference"): 10.0 + n,
                    size.format("prediction"): 10.0 + n + add,
                }
                for target, part in (("liver", 1.0), ("tumour", 0.8))
            },
        )
        for n, d in enumerate(dice)
    ]


def page(tmp_path, scores, *, targets=("", "liver", "tumour"), missing="worst", **how) -> str:
    summaries = {name: summarise(rows) for name, rows in scores.items()}
    comparisons = [
        compare(scores, metric, target=target, missing=missing, resamples=50)
        for target in targets
        for metric in ("dice", "hd95")
    ]
    contest_html(scores, summaries, comparisons, tmp_path / "report.html", missing=missing, **how)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def scores() -> dict[str, list[Scores]]:
    base = np.random.default_rng(0).uniform(0.5, 0.8, 10)
    return {"<good>": of(base + 0.1, 0.5), "$fair_1$": of(base, -0.25), "lazy": of(base[:8] + 0.05, 2.0)}


def test_the_page_says_who_leads_and_why(tmp_path, scores) -> None:
    text = page(tmp_path, scores, provenance={"references": "r & s"})
    assert "By the mean Dice, &lt;good&gt; leads, first in 100% of the resamples" in text
    assert "lazy: 2 cases filled in: case &lt;8&gt;, case &lt;9&gt;." in text
    assert "r &amp; s" in text
    for heading in ("Means", "Each target", "Dice of every case", "Places", "Differences", "Volumes: Bland and Altman"):
        assert f"<h2>{heading}</h2>" in text
    assert "+0.50" in text  # the bias of the first method
    assert "Calibration" not in text


def test_nothing_is_loaded_and_no_name_becomes_markup(tmp_path, scores) -> None:
    text = page(tmp_path, scores)
    assert "<good>" not in text
    assert "<script" not in text
    assert all(source.startswith("data:") for source in re.findall(r'(?:src|href)="([^"]*)"', text))


def test_cases_that_are_left_out_are_named(tmp_path, scores) -> None:
    text = page(tmp_path, scores, missing="common")
    assert "Left out: case &lt;8&gt;, case &lt;9&gt;." in text
    assert "filled in" not in text


def test_areas_of_pictures_and_few_cases(tmp_path) -> None:
    scores = {"A": of([0.8, 0.9], flat=True), "B": of([0.7, 0.9], flat=True)}
    text = page(tmp_path, scores, targets=("liver",), calibrated=False)
    assert "Areas: Bland and Altman" in text
    assert "px²" in text
    assert "HD95, px" in text
    assert "With 2 cases and so many pairs no difference can be significant: the least p is 0.5." in text
    single = {name: rows[:1] for name, rows in scores.items()}
    assert "1 cases" not in page(tmp_path, single, targets=("liver",))


def test_a_curve_of_reliability(tmp_path, scores) -> None:
    said = np.array([[0.1, 0.4, 0.2], [0.9, 0.6, 0.8]])
    calibrations = {"<good>": measure_calibration(said, np.array([1, 0, 1]))}
    text = page(tmp_path, scores, calibrations=calibrations)
    assert "<h2>Calibration</h2>" in text
    assert "<td>0.273</td>" in text  # the Brier score: (2 * 0.01 + 2 * 0.36 + 2 * 0.04) / 3


def test_every_method_has_its_colour_in_the_pictures(scores) -> None:
    table = paired_table(scores, "dice")
    analyses = {name: bland_altman([1.0, 2.0, 4.0], [1.0, 1.5, 3.0]) for name in scores}
    curve = reliability(np.array([[0.1, 0.4, 0.2], [0.9, 0.6, 0.8]]), np.array([1, 0, 1]))
    pictures = [
        dots_and_boxes(table, title="Dice"),
        places({"by the mean": ranking_stability(table, resamples=20)}),
        bland_altman_panels(analyses, unit="ml"),
        reliability_picture(dict.fromkeys(scores, curve)),
    ]
    for picture in pictures[:3]:
        assert picture.dtype == np.uint8
        for want in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73)):
            near = np.abs(picture.astype(int) - want).max(axis=2) < 70
            assert near.sum() > 20
    assert pictures[3].shape[2] == 3


def test_pictures_of_what_is_degenerate() -> None:
    """One case, all values alike, a hundred cases: no warning, which would be an error here."""
    one = {name: [Scores("a", {"x": {"dice": 0.5}})] for name in "AB"}
    many = {name: [Scores(f"{n}", {"x": {"dice": 1.0}}) for n in range(100)] for name in "AB"}
    for scores in (one, many):
        table = paired_table(scores, "dice")
        dots_and_boxes(table, title="Dice")
        places({"a": ranking_stability(table, resamples=5), "b": ranking_stability(table, resamples=5)})
    bland_altman_panels({"A": bland_altman([1.0], [1.0])}, unit="ml")


def test_a_hundred_targets_are_not_all_listed(tmp_path) -> None:
    rng = np.random.default_rng(0)
    rows = {f"t{n}": {"dice": rng.random(), "hd95": rng.random()} for n in range(160)}
    scores = {name: [Scores(f"case {n}", rows) for n in range(2)] for name in ("A", "B")}
    summaries = {name: summarise(found) for name, found in scores.items()}
    comparisons = [compare(scores, "dice", resamples=10)]
    comparisons += [
        compare(scores, metric, target=target, resamples=10, stability=False)
        for target in rows
        for metric in ("dice", "hd95")
    ]
    contest_html(scores, summaries, comparisons, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("further rows are left out of this page") == 2  # of means and of differences
    assert text.count("<tr>") < 700
