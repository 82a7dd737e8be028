import base64
import io
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from vesalius.errors import DataError, VesaliusError
from vesalius.image import Label, Labels
from vesalius.metrics import METRICS, Scores
from vesalius.report import evaluation_html
from vesalius.report.page import number

EVIL = "<script>alert('x')</script>\"onerror="


def cases(count=6, **more):
    return [
        Scores(
            f"case {i}", {"liver": {"dice": 0.9 - 0.1 * i, "hd95": 1.0 + i} | more, "cyst": {"dice": 0.5, "hd95": 2.0}}
        )
        for i in range(count)
    ]


def page(tmp_path, scores, **how):
    evaluation_html(scores, tmp_path / "report.html", **how)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Collects tags and text, and checks that every element is closed in order."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def outline(text):
    parsed = Outline()
    parsed.feed(text)
    assert parsed.open == []
    return parsed


def test_the_page_is_well_formed_and_stands_alone(tmp_path):
    text = page(tmp_path, cases(), pictures={"case 3": np.zeros((4, 4, 3), np.uint8)})
    parsed = outline(text)
    assert not {"script", "link", "iframe", "object"} & set(parsed.tags)
    for name, value in parsed.attributes:
        assert name not in ("href", "onload", "onclick")
        if name == "src":
            assert value.startswith("data:image/png;base64,")
    assert not re.search(r"url\(|@import|https?://", text)
    assert "default-src 'none'" in text
    assert "Research use only" in text


def test_names_from_outside_are_escaped(tmp_path):
    scores = [Scores(EVIL, {EVIL: {"dice": 0.5}}), Scores("b", {EVIL: {"dice": 0.25}})]
    picture = {EVIL: np.zeros((2, 2, 3), np.uint8)}
    text = page(tmp_path, scores, title=EVIL, provenance={EVIL: EVIL}, pictures=picture)
    parsed = outline(text)
    assert "script" not in parsed.tags
    assert "onerror" not in {name for name, _ in parsed.attributes}
    assert parsed.text.count(EVIL) >= 6  # and is all there to be read


def test_numbers_of_the_summary(tmp_path):
    text = page(tmp_path, cases(3))
    parsed = " ".join(outline(text).text)
    assert re.search(r"3\s+cases", parsed)
    assert "0.800" in parsed  # mean Dice of the liver
    assert "case 2" in parsed


def test_worst_case_comes_first(tmp_path):
    shots = {f"case {i}": np.full((3, 3, 3), i, np.uint8) for i in (1, 4, 2)}
    text = page(tmp_path, cases(), pictures=shots)
    found = [base64.b64decode(code) for code in re.findall(r"base64,([^\"]+)", text)]
    order = [int(np.asarray(Image.open(io.BytesIO(data)))[0, 0, 0]) for data in found]
    assert order == [4, 2, 1]
    first_row = re.search(r"<tr class=\"first\"><td class=\"name\">(.*?)</td>", text)
    assert first_row[1] == "case 5"


def test_distances_decide_when_they_are_the_headline(tmp_path):
    rows = [
        Scores("near", {"x": {"hd95": 1.0}}),
        Scores("far", {"x": {"hd95": 9.0}}),
        Scores("?", {"x": {"hd95": math.nan}}),
    ]
    text = page(tmp_path, rows, headline=("hd95",))
    assert re.findall(r"<tr class=\"first\"><td class=\"name\">(.*?)</td>", text) == ["far", "near", "?"]


def test_box_plot_places_quartiles(tmp_path):
    from vesalius.report.boxes import box_plot

    rows = [Scores(str(i), {"x": {"dice": v}}) for i, v in enumerate([0.0, 0.25, 0.5, 0.75, 1.0])]
    plot = box_plot("dice", "", rows, {"x": "#000000", "absent": "#000000"})
    (box,) = plot.boxes
    at = {text: x for x, text in plot.ticks}
    assert box.low == at["0"]
    assert box.high == at["1"]
    assert box.median == pytest.approx((at["0"] + at["1"]) / 2)
    assert box.first == pytest.approx(at["0"] + (at["1"] - at["0"]) / 4, abs=0.1)
    assert len(box.points) == 5


def test_box_plot_of_many_cases_draws_outliers_only(tmp_path):
    from vesalius.report.boxes import box_plot

    values = [*np.linspace(0.8, 0.9, 300).tolist(), 0.1]
    rows = [Scores(str(i), {"x": {"dice": v}}) for i, v in enumerate(values)]
    (box,) = box_plot("dice", "", rows, {"x": "#000000"}).boxes
    assert [said for _, _, said in box.points] == ["300: 0.1"]


def test_identical_and_missing_values(tmp_path):
    rows = [Scores(f"{i}", {"x": {"dice": 1.0, "hd95": math.nan}}) for i in range(3)]
    text = page(tmp_path, rows)
    assert "+3 undefined" in text
    outline(text)


def test_uncalibrated_pictures_are_in_pixels(tmp_path):
    text = page(tmp_path, cases(area_reference_mm2=12.0), calibrated=False)
    assert "no physical size" in text
    assert "px²" in text
    assert not re.search(r"<small>mm", text)


def test_colours_come_from_the_labels(tmp_path):
    labels = Labels((Label("liver", 1, (1, 2, 3)), Label("cyst", 2, (250, 0, 0))))
    text = page(tmp_path, cases(), labels=labels)
    assert "#010203" in text
    assert "#fa0000" in text


def test_every_metric_is_defined(tmp_path):
    row = dict.fromkeys(METRICS, 0.5)
    text = page(tmp_path, [Scores("a", {"x": row}), Scores("b", {"x": row})])
    assert text.count('class="definition"') == len(METRICS)
    for metric in METRICS.values():
        first = metric.function.__doc__.split("\n")[0].split(",")[0]
        assert first.replace("'", "&#39;") in text


def test_long_tables_are_cut_and_say_so(tmp_path):
    rows = [Scores(f"c{i}", {"x": {"dice": 0.5}}) for i in range(1003)]
    assert "3 further rows are left out" in page(tmp_path, rows)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.8767, "", "0.877"),
        (-0.5, "", "−0.500"),
        (3.14159, "mm", "3.14"),
        (1234.5, "ml", "1,234.5"),
        (math.nan, "", "–"),
    ],
)
def test_numbers_as_printed(value, unit, expected):
    assert number(value, unit) == expected


def test_what_cannot_be_reported(tmp_path):
    with pytest.raises(DataError, match="no scores"):
        page(tmp_path, [])
    with pytest.raises(VesaliusError, match="did you mean 'dice'"):
        page(tmp_path, cases(), headline=("dise",))
    with pytest.raises(VesaliusError, match="first headline metric"):
        page(tmp_path, cases(), headline=("assd",))
    with pytest.raises(VesaliusError, match="cannot write"):
        evaluation_html(cases(), tmp_path / "nowhere" / "report.html")
    assert list(tmp_path.iterdir()) == []
