"""``vesalius evaluate`` on tables of points: a case worked out by hand, and what is refused."""

import json

import pytest

FINDINGS = """\
seriesuid,coordX,coordY,coordZ,diameter_mm
a,0,0,0,10
a,100,0,0,10
b,0,0,0,10
c,0,0,0,10
"""
EXCLUDED = """\
seriesuid,coordX,coordY,coordZ,diameter_mm
b,50,0,0,-1
"""
CANDIDATES = """\
seriesuid,coordX,coordY,coordZ,probability
a,1,0,0,0.95
a,-4.9,0,0,0.60
a,105,0,0,0.50
a,104,0,0,0.40
b,52,0,0,0.90
b,200,0,0,0.80
b,2,0,0,0.30
c,300,0,0,0.70
d,0,0,0,0.80
"""


@pytest.fixture
def tables(tmp_path):
    for name, text in (
        ("annotations.csv", FINDINGS),
        ("excluded.csv", EXCLUDED),
        ("candidates.csv", CANDIDATES),
        ("scans.csv", "a\nb\nc\nd\n"),
    ):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_small_case_worked_out_by_hand(tables, told):
    """Four scans, four nodules of radius 5 mm, one finding that does not count, nine candidates.

    At 0.95 the first nodule of a is hit (0.60 hits it again); 0.90 hits only what does not count; 0.80 is wrong in b
    and in d, 0.70 in c; 0.50 lies exactly at the radius and is wrong; 0.40 hits the second nodule of a, 0.30 that of b.

        0.95  hits 1  wrong 0  -> (0,    1/4)
        0.80  hits 1  wrong 2  -> (2/4,  1/4)
        0.70  hits 1  wrong 3  -> (3/4,  1/4)
        0.50  hits 1  wrong 4  -> (1,    1/4)
        0.40  hits 2  wrong 4  -> (1,    2/4)
        0.30  hits 3  wrong 4  -> (1,    3/4)

    At 1/8, 1/4 and 1/2 a scan the sensitivity is 1/4, at 1 and beyond 3/4: CPM = (3 * 1/4 + 4 * 3/4) / 7.
    """
    out = tables / "report"
    done = told(
        "evaluate",
        tables / "candidates.csv",
        tables / "annotations.csv",
        "--scans",
        tables / "scans.csv",
        "--excluded",
        tables / "excluded.csv",
        "-o",
        out,
    )
    assert done["scans"] == 4
    assert done["false_positives_per_scan"] == [0.125, 0.25, 0.5, 1, 2, 4, 8]
    assert done["sensitivity"] == [0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75]
    assert done["cpm"] == pytest.approx(3.75 / 7)
    assert done["cpm_low"] < done["cpm"] < done["cpm_high"]
    assert {name: done[name] for name in ("findings", "false_positives", "doubles", "ignored")} == {
        "findings": 4,
        "false_positives": 4,
        "doubles": 1,
        "ignored": 1,
    }
    assert done["curve"] == {
        "false_positives_per_scan": [0, 0, 0.5, 0.75, 1, 1, 1],
        "sensitivity": [0, 0.25, 0.25, 0.25, 0.25, 0.5, 0.75],
        "confidence": [None, 0.95, 0.8, 0.7, 0.5, 0.4, 0.3],
    }
    written = json.loads((out / "froc.json").read_text())
    assert written.pop("provenance")["candidates"] == "candidates.csv"
    assert written == done
    page = (out / "report.html").read_text()
    assert "0.536" in page
    assert "data:image/png;base64," in page


def test_two_detectors_on_one_picture(tables, printed):
    (tables / "mute.csv").write_text("seriesuid,coordX,coordY,coordZ,probability\na,400,0,0,0.1\n")
    done = printed(
        "evaluate",
        f"ours={tables / 'candidates.csv'}",
        tables / "mute.csv",
        "--reference",
        tables / "annotations.csv",
        "-o",
        tables / "report",
    )
    assert "4 scans occur in the tables" in done  # nobody said which were searched
    ours, mute = (line.split() for line in done.splitlines()[1:3])
    # The finding that does not count was not named: that candidate is wrong, too, and stands before the others.
    assert ours[:8] == ["ours", "0.250", "0.250", "0.250", "0.250", "0.750", "0.750", "0.750"]
    assert mute[:9] == ["mute", *["0.000"] * 8]


def test_what_cannot_be_scored_is_said(tables, printed):
    def error(*arguments):
        return printed("evaluate", *arguments, code=1)

    candidates, findings = tables / "candidates.csv", tables / "annotations.csv"
    (tables / "one.csv").write_text("a\nb\n")
    assert "is not one of the 2 scans" in error(candidates, findings, "--scans", tables / "one.csv")
    assert "annotations.csv: candidate 1 has no probability" in error(findings, findings)
    assert "candidates.csv: finding 1 has no diameter_mm" in error(candidates, candidates)
    (tables / "other.csv").write_text("name,dice\na,0.5\n")
    assert "other.csv is no table of points" in error(tables / "other.csv", findings)
    (tables / "broken.csv").write_text(CANDIDATES.replace("0.95", "sure"))
    assert "broken.csv: line 2: probability must be a finite number" in error(tables / "broken.csv", findings)
    assert "FROC and CPM alone" in error(candidates, findings, "--metrics", "dice")
    (tables / "none.csv").write_text("\n")
    assert "none.csv: the list of scans is empty" in error(candidates, findings, "--scans", tables / "none.csv")
    assert "are for tables of points" in error(tables, tables, "--scans", tables / "scans.csv")
