"""``vesalius evaluate``: which prediction goes with which reference, and what is told of those that don't."""

import json
import shutil

import numpy as np
import pytest
from phantoms import LABELS, ball_case, write_cases

from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import write

_SHAPE = (16, 18, 14)


@pytest.fixture
def data(tmp_path):
    return write_cases(tmp_path / "data", [ball_case(n, shape=_SHAPE) for n in range(3)])


@pytest.fixture
def found(data, tmp_path):
    """Predictions: the references without the core, which is ball."""
    place = tmp_path / "found"
    place.mkdir()
    for n in range(3):
        reference = ball_case(n, shape=_SHAPE).reference
        assert reference is not None
        write(LabelMap(np.minimum(reference.array, 1), reference.grid, LABELS), place / f"case{n}.nii.gz")
    return place


def test_a_file_against_a_file(data, found, told):
    done = told("evaluate", found / "case1.nii.gz", data / "labels" / "case1.nii.gz")
    (case,) = done["cases"]
    reference = ball_case(1, shape=_SHAPE).reference
    assert reference is not None
    ball, core = (reference.array == 1).sum(), (reference.array == 2).sum()
    assert case["case"] == "case1"
    assert case["values"]["ball"]["dice"] == pytest.approx(2 * ball / (2 * ball + core))
    assert case["values"]["core"]["dice"] == 0
    assert done["summary"]["foreground"]["dice"]["mean"] == pytest.approx(ball / (2 * ball + core))


@pytest.mark.parametrize("against", ["data", "labels"])
def test_a_folder_against_a_data_set_or_its_labels(against, data, found, told):
    done = told("evaluate", found, data if against == "data" else data / "labels")
    assert [case["case"] for case in done["cases"]] == ["case0", "case1", "case2"]
    assert set(done["summary"]["values"]) == {"ball", "core"}
    assert done["failed"] == []


def test_nothing_is_written_unless_asked_for(data, found, told, tmp_path):
    before = set(tmp_path.rglob("*"))
    told("evaluate", found, data)
    assert set(tmp_path.rglob("*")) == before


def test_metrics_and_tolerance_are_the_users(data, found, told, printed):
    done = told("evaluate", found, data, "--metrics", "dice, surface_dice", "--tolerance", 0.1)
    assert set(done["cases"][0]["values"]["ball"]) == {"dice", "surface_dice"}
    wide = told("evaluate", found, data, "--metrics", "dice,surface_dice", "--tolerance", 20)
    narrow, broad = (d["summary"]["values"]["ball"]["surface_dice"]["mean"] for d in (done, wide))
    assert narrow < broad == 1
    assert "unknown metric 'dise': did you mean 'dice'?" in printed(
        "evaluate", found, data, "--metrics", "dise", code=1
    )


def test_the_table_names_targets_and_their_mean(data, found, printed):
    table = printed("evaluate", found, data)
    assert "mean of targets" in table
    assert {"ball", "core"} <= {line.split()[0] for line in table.splitlines() if line}


def test_the_report_is_titled_and_shows_the_worst_first(data, found, printed, tmp_path):
    """The second case is made worse than the others."""
    empty = LabelMap(np.zeros(_SHAPE, np.uint8), ball_case(1, shape=_SHAPE).image.grid, LABELS)
    write(empty, found / "case1.nii.gz")
    words = printed("evaluate", found, data, "-o", tmp_path / "report", "--title", "Balls & <cores>")
    assert words.endswith(f"report: {tmp_path / 'report' / 'report.html'}\n")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Balls &amp; &lt;cores&gt;" in page
    assert page.index("case1") < page.index("case0")
    told = json.loads((tmp_path / "report" / "scores.json").read_text())
    assert str(tmp_path) not in json.dumps(told)  # where the files were is nobody's business


def test_who_has_no_partner_is_named(data, found, told, capsys):
    (found / "case0.nii.gz").rename(found / "stranger.nii.gz")
    done = told("evaluate", found, data, code=1)
    assert [case["case"] for case in done["cases"]] == ["case1", "case2"]
    assert done["failed"] == [
        "case0: no prediction for this reference",
        "stranger: no reference for this prediction",
    ]


def test_no_partners_at_all(data, found, printed):
    for path in found.iterdir():
        path.rename(found / f"other-{path.name}")
    assert "no prediction has a reference of the same name" in printed("evaluate", found, data, code=1)


def shifted(path):
    grid = Grid.from_spacing(_SHAPE, (1, 1, 1), origin_mm=(5, 0, 0))
    write(LabelMap(np.zeros(_SHAPE, np.uint8), grid, LABELS), path)


def larger(path):
    write(LabelMap(np.zeros((20, 20, 20), np.uint8), Grid.from_spacing((20, 20, 20), (1, 1, 1)), LABELS), path)


def halves(path):
    write(Volume(np.full((1, *_SHAPE), 0.5, np.float32), Grid.from_spacing(_SHAPE, (1, 1, 1))), path)


def undeclared(path):
    write(LabelMap(np.full(_SHAPE, 9, np.uint8), Grid.from_spacing(_SHAPE, (1, 1, 1)), Labels.of([9])), path)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (shifted, "prediction and reference lie on different grids"),
        (larger, "prediction and reference lie on different grids"),
        (halves, "are not whole numbers, as labels must be"),
        (undeclared, "values that are not declared: 9"),
        (cut_off, "case1.nii.gz"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bad_prediction_fails_alone(damage, words, data, found, told, printed):
    damage(found / "case1.nii.gz")
    done = told("evaluate", found, data, code=1)
    assert [case["case"] for case in done["cases"]] == ["case0", "case2"]
    (failed,) = done["failed"]
    assert failed.startswith("case1: ")
    assert words in failed
    for other in ("case0.nii.gz", "case2.nii.gz"):
        shutil.copy(found / "case1.nii.gz", found / other)
    assert "none of the 3 pairs could be scored: case0: " in printed("evaluate", found, data, code=1)


def test_paths_that_are_not_there(data, found, printed):
    assert "there is no such file or folder" in printed("evaluate", found / "nobody.nii", data, code=1)
    assert "give a file for both, or a folder for both" in printed("evaluate", found / "case0.nii.gz", data, code=1)


def test_a_report_in_place_of_a_file(data, found, printed, tmp_path):
    (tmp_path / "report").write_text("a letter")
    assert "a file stands in the way" in printed("evaluate", found, data, "-o", tmp_path / "report", code=1)
    assert (tmp_path / "report").read_text() == "a letter"


def test_empty_references_have_values_that_json_can_hold(tmp_path, told):
    grid = Grid.from_spacing(_SHAPE, (1, 1, 1))
    for place in ("found", "labels"):
        (tmp_path / place).mkdir()
        write(LabelMap(np.zeros(_SHAPE, np.uint8), grid, LABELS), tmp_path / place / "nothing.nii.gz")
    done = told("evaluate", tmp_path / "found", tmp_path / "labels", "-o", tmp_path / "report")
    assert done["cases"][0]["values"]["ball"]["dice"] == 1  # both say that nothing is there
    json.loads((tmp_path / "report" / "scores.json").read_text(), parse_constant=pytest.fail)
