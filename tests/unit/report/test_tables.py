import csv
import json
import math

import pytest

from vesalius.errors import DataError
from vesalius.metrics import Scores
from vesalius.report import write_scores_csv, write_scores_json
from vesalius.report.tables import safe_cell

ROWS = [
    Scores("a", {"liver": {"dice": 0.1 + 0.2, "hd95": 2.0}, "@tumour": {"dice": math.nan, "hd95": -1.5}}),
    Scores('=HYPERLINK("http://x")', {"liver": {"dice": 1e-9}}),
]


@pytest.mark.parametrize("text", ["=1", "+x", "-a", "@b", "\t=1", "\r=1", "\n=1", "  =1", "-1+cmd|' /C calc'!A0"])
def test_formulas_are_quoted(text):
    assert safe_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["-1.5", "+3e-4", "case-7", "a=b", "", "'quoted"])
def test_other_text_is_left_alone(text):
    assert safe_cell(text) == text


def test_csv_round_trip(tmp_path):
    write_scores_csv(ROWS, tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.reader(file))
    assert found[0] == ["case", "target", "dice", "hd95"]
    assert [row[:2] for row in found[1:]] == [
        ["a", "liver"],
        ["a", "'@tumour"],
        ['\'=HYPERLINK("http://x")', "liver"],
    ]
    assert float(found[1][2]) == 0.1 + 0.2  # not a digit is lost
    assert found[2][2:] == ["", "-1.5"]
    assert found[3][2:] == ["1e-09", ""]


def test_json_holds_summary_cases_and_provenance(tmp_path):
    write_scores_json(ROWS, tmp_path / "scores.json", provenance={"bundle": "b 1.0"})
    found = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert found["provenance"] == {"bundle": "b 1.0"}
    assert found["summary"]["cases"] == 2
    assert found["cases"][0]["values"]["@tumour"] == {"dice": None, "hd95": -1.5}


def test_no_scores_no_file(tmp_path):
    with pytest.raises(DataError, match="no scores"):
        write_scores_json([], tmp_path / "scores.json")
    assert list(tmp_path.iterdir()) == []
