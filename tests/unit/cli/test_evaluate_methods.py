"""``vesalius evaluate A B C --reference R``: several methods on the same cases."""

import csv
import json
import shutil
import threading
import time

import numpy as np
import pytest
from phantoms import LABELS, ball_case, write_cases

from vesalius.cli.scoring import Room
from vesalius.image import LabelMap, Volume
from vesalius.io import read_labels, write

_SHAPE = (16, 18, 14)
_CASES = 7


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set, and three methods: right; without the core; without the core and a case, one voxel aside."""
    place = tmp_path_factory.mktemp("methods")
    cases = [ball_case(n, shape=_SHAPE) for n in range(_CASES)]
    write_cases(place / "data", cases)
    for name in ("right", "coreless", "aside"):
        (place / name).mkdir()
    for case in cases:
        assert case.reference is not None
        reference = case.reference
        coreless = np.minimum(reference.array, 1)
        drawn = {"right": reference.array, "coreless": coreless, "aside": np.roll(coreless, 1, 0)}
        for name, array in drawn.items():
            if (name, case.id) != ("aside", "case3"):
                write(LabelMap(array, reference.grid, LABELS), place / name / f"{case.id}.nii.gz")
    return place


@pytest.fixture
def place(made, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(made, tmp_path / "made")


def leading(told):
    """The comparison of the mean over targets by Dice."""
    return next(one for one in told["comparisons"] if one["metric"] == "dice" and one["target"] is None)


def test_methods_are_ranked_on_the_same_cases(made, told):
    places = [made / name for name in ("aside", "right", "coreless")]
    done = told("evaluate", *places, "--reference", made / "data", "--metrics", "dice,hd95", code=1)
    found = leading(done)
    assert found["methods"] == ["aside", "right", "coreless"]
    assert found["rankings"]["mean_then_rank"]["ranks"] == [3, 1, 2]
    assert found["cases"] == _CASES
    assert found["filled_with_worst"] == {"aside": ["case3"]}
    assert done["failed"] == ["aside: case3: no prediction for this reference"]
    assert done["methods"]["right"]["summary"]["foreground"]["dice"]["mean"] == 1
    assert {one["target"] for one in done["comparisons"]} == {None, "ball", "core"}


def test_the_difference_of_two_is_what_paper_says(made, told):
    """Right scores 1; without the core, Dice is 2 b / (2 b + c) for the ball and 0 for the core."""
    done = told("evaluate", made / "right", made / "coreless", "--reference", made / "data", "--metrics", "dice")
    expected = []
    for n in range(_CASES):
        array = ball_case(n, shape=_SHAPE).reference.array
        ball, core = (array == 1).sum(), (array == 2).sum()
        expected.append(1 - ball / (2 * ball + core))
    (pair,) = leading(done)["differences"]
    assert pair["mean"] == pytest.approx(np.mean(expected))
    assert (pair["first_better"], pair["second_better"]) == (_CASES, 0)
    assert pair["p"] == pytest.approx(2 / 2**_CASES)


def test_missing_cases_can_be_left_out_for_all(made, told):
    places = [made / name for name in ("right", "coreless", "aside")]
    done = told("evaluate", *places, "--reference", made / "data", "--metrics", "dice", "--missing", "common", code=1)
    assert leading(done)["cases"] == _CASES - 1
    assert leading(done)["left_out"] == ["case3"]
    assert leading(done)["filled_with_worst"] == {}


def test_the_files(made, tmp_path, printed):
    out = tmp_path / "report"
    words = printed(
        "evaluate", f"A/B={made / 'right'}", f"Größe={made / 'coreless'}", "--reference", made / "data" / "labels",
        "-o", out, "--title", "Balls & <cores>", "--metrics", "dice,hd95,volume_reference_ml,volume_prediction_ml",
    )  # fmt: skip
    assert {path.name for path in out.iterdir()} == {
        "report.html",
        "comparison.json",
        "scores-A_B.csv",
        "scores-Größe.csv",
    }
    assert f"report: {out / 'report.html'}" in words
    assert "dice: A/B before Größe by " in words
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Balls &amp; &lt;cores&gt;" in page
    assert "Volumes: Bland and Altman" in page
    assert "Left out" not in page
    with (out / "scores-A_B.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["dice"] for row in rows] == ["1.0"] * (2 * _CASES)
    told = json.loads((out / "comparison.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert str(made) not in json.dumps(told)  # where the files were is nobody's business
    assert told["provenance"]["A/B"] == "predictions in right"


def test_one_method_with_reference_is_the_plain_evaluation(made, told, tmp_path):
    done = told("evaluate", made / "right", "--reference", made / "data", "-o", tmp_path / "report")
    assert done == told("evaluate", made / "right", made / "data")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.html", "scores.csv", "scores.json"}


def test_the_number_of_workers_changes_nothing(made, told):
    places = [made / name for name in ("right", "coreless", "aside")]
    how = ("--reference", made / "data", "--metrics", "dice,hd95")
    assert told("evaluate", *places, *how, "--workers", 1, code=1) == told(
        "evaluate", *places, *how, "--workers", 5, code=1
    )


@pytest.fixture
def most(monkeypatch):
    """How many pairs were scored at once, at most."""
    from vesalius import metrics

    lock, under_way, most = threading.Lock(), 0, [0]
    plain = metrics.evaluate

    def watched(*pair, **how):
        nonlocal under_way
        with lock:
            under_way += 1
            most[0] = max(most[0], under_way)
        time.sleep(0.02)
        found = plain(*pair, **how)
        with lock:
            under_way -= 1
        return found

    monkeypatch.setattr(metrics, "evaluate", watched)
    return most


@pytest.mark.parametrize(
    ("workers", "voxels", "expected"),
    [(3, 1e9, 3), (1, 1e9, 1), (5, 2.5, 2), (5, 0.1, 1)],
    ids=["three workers", "one worker", "room for two and a half", "room for none: alone"],
)
def test_as_many_cases_at_once_as_wanted_and_as_there_is_room_for(
    made, told, monkeypatch, most, workers, voxels, expected
):
    """Half of the free memory is for use, at 48 bytes a voxel."""
    free = int(2 * voxels * 48 * np.prod(_SHAPE))
    monkeypatch.setattr("vesalius.cli.scoring._free_bytes", lambda: free)
    places = (made / "right", made / "coreless")
    told("evaluate", *places, "--reference", made / "data", "--metrics", "dice", "--workers", workers)
    assert most[0] == expected


def test_room_is_given_back_even_after_an_error():
    room = Room(10)
    with pytest.raises(ValueError, match="no"), room.take(10):
        raise ValueError("no")
    with room.take(1000):
        assert room.taken == 1000
    assert room.taken == 0


def test_a_bad_prediction_of_one_method_fails_alone(place, told):
    (place / "coreless" / "case1.nii.gz").write_bytes(b"nothing")
    done = told("evaluate", place / "right", place / "coreless", "--reference", place / "data", code=1)
    (failed,) = done["failed"]
    assert failed.startswith("coreless: case1: ")
    assert leading(done)["filled_with_worst"] == {"coreless": ["case1"]}
    assert len(done["methods"]["right"]["cases"]) == _CASES


def test_a_method_of_which_nothing_can_be_scored(place, printed):
    for path in (place / "coreless").iterdir():
        path.write_bytes(b"nothing")
    words = printed("evaluate", place / "right", place / "coreless", "--reference", place / "data", code=1)
    assert f"none of the {_CASES} pairs of coreless could be scored" in words


def test_single_files_of_two_methods(made, told):
    places = [made / name / "case1.nii.gz" for name in ("right", "coreless")]
    done = told(
        "evaluate", f"a={places[0]}", f"b={places[1]}", "--reference", made / "data" / "labels" / "case1.nii.gz"
    )
    assert leading(done)["rankings"]["mean_then_rank"]["ranks"] == [1, 2]
    assert leading(done)["differences"][0]["low"] is None


def with_probabilities(folder, sure):
    """Probabilities beside each prediction: ``sure`` of its label, the rest shared by the others."""
    for path in sorted(folder.glob("case?.nii.gz")):
        said = read_labels(path)
        others = (1 - sure) / 2
        array = np.stack([np.where(said.array == value, sure, others) for value in range(3)])
        name = path.name.replace(".nii", "-probabilities.nii")
        write(Volume(array.astype(np.float32), said.grid), folder / name)


def test_calibration_of_methods_is_told(place, told, tmp_path):
    """Always right with 0.9: ten hundredths too modest. Without the core: right on the rest of the labels' box."""
    with_probabilities(place / "right", 0.9)
    with_probabilities(place / "coreless", 0.8)
    how = ("--reference", place / "data", "--metrics", "dice", "--calibration")
    done = told("evaluate", place / "right", place / "coreless", *how, "-o", tmp_path / "report")
    right, coreless = done["calibration"]["right"], done["calibration"]["coreless"]
    assert right["expected_calibration_error"] == pytest.approx(0.1)
    assert right["brier"] == pytest.approx(0.01 + 2 * 0.05**2)
    wrong = voxels = 0
    for n in range(_CASES):
        array = ball_case(n, shape=_SHAPE).reference.array
        where = np.argwhere(array)
        voxels += int(np.prod(where.max(axis=0) - where.min(axis=0) + 1))
        wrong += int((array == 2).sum())
    assert coreless["voxels"] == right["voxels"] == voxels
    assert coreless["expected_calibration_error"] == pytest.approx(abs(1 - wrong / voxels - 0.8))
    assert "<h2>Calibration</h2>" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_calibration_of_one_method_is_in_its_report(place, told, printed, tmp_path):
    with_probabilities(place / "right", 0.9)
    how = ("--metrics", "dice", "--calibration")
    words = printed("evaluate", place / "right", place / "data", *how, "-o", tmp_path / "report")
    assert "expected calibration error 0.1000" in words
    assert "<h2>Calibration</h2>" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    (place / "right" / "case2-probabilities.nii.gz").unlink()
    case = read_labels(place / "right" / "case4.nii.gz")
    two = Volume(np.full((2, *_SHAPE), 0.5, np.float32), case.grid)
    write(two, place / "right" / "case4-probabilities.nii.gz")
    write(Volume(np.full((3, *_SHAPE), 2.5, np.float32), case.grid), place / "right" / "case5-probabilities.nii.gz")
    done = told("evaluate", place / "right", place / "data", *how, code=1)
    assert "case2: no case2-probabilities beside the prediction" in done["failed"][0]
    assert "case4-probabilities.nii.gz has 2 channels; background and 2 labels make 3" in done["failed"][1]
    assert "sum to 1 over the classes" in done["failed"][2]
    assert len(done["cases"]) == _CASES  # scores need no probabilities


def test_a_data_set_with_several_references(made, tmp_path, told):
    """``--reference`` is the place, ``--reference-name`` which of its references."""
    data = tmp_path / "data"
    data.mkdir()
    for n in range(2):
        for source, ending in (("images", "_image"), ("labels", "_lobes"), ("labels", "_lungs")):
            shutil.copy(made / "data" / source / f"case{n}.nii.gz", data / f"case{n}{ending}.nii.gz")
    how = ("--reference-name", "lobes", "--metrics", "dice")
    done = told("evaluate", made / "right", "--reference", data, *how, code=1)
    assert [case["case"] for case in done["cases"]] == ["case0", "case1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["right"], "there is one place and no --reference"),
        (["right", "coreless", "data"], "there are 3 places and no --reference"),
        (["right", "coreless", "--reference", "lobes"], "--reference-name which of several references"),
        (["right", "right", "--reference", "data"], "two methods are called 'right'"),
        (["right", "nobody", "--reference", "data"], "nobody: there is no such file or folder"),
        (["right", "coreless", "--reference", "data", "--workers", "0"], "--workers must be at least 1"),
        (["right", "coreless", "--reference", "data", "--alpha", "2"], "alpha must be above 0"),
        (["right", "coreless", "--reference", "data", "--metrics", "volume_reference_ml"], "says what is good"),
        (["right", "coreless", "--reference", "data", "--metrics", "dise"], "unknown metric 'dise'"),
    ],
)
def test_what_cannot_be_compared(arguments, words, made, printed, monkeypatch):
    monkeypatch.chdir(made)
    assert words in printed("evaluate", *arguments, code=1)
