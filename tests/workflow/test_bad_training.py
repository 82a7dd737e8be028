"""Data, plans and places from which nothing can be learnt: a clear line, exit code 1, and nothing half written."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import LABELS, ball_case, ball_dataset, write_cases

from vesalius.cli import main
from vesalius.errors import VesaliusError
from vesalius.image import Case, LabelMap, Volume
from vesalius.io import write
from vesalius.plan import Budget, fingerprint, make_plan, plan_to_json, with_settings

pytestmark = pytest.mark.usefixtures("quick_plans")

_SHAPE = (20, 20, 16)
_SMALL = ("--steps", 2, "--set", "network.features=8,16,16", "--set", "batch_size=2")


def balls(count: int = 3) -> list[Case]:
    return [ball_case(n, shape=_SHAPE) for n in range(count)]


def with_values(case: Case, change: Callable[[Any], Any]) -> Case:
    assert case.reference is not None
    return replace(case, reference=LabelMap(change(case.reference.array), case.reference.grid, LABELS))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_cases(tmp_path / "data", balls())


# --- data -------------------------------------------------------------------------------------------------------------


def test_an_empty_folder(tmp_path, refused):
    (tmp_path / "data").mkdir()
    for verb in (("index",), ("plan",), ("fit", "-o", tmp_path / "out")):
        assert "no layout recognised; it holds no file" in refused(verb[0], tmp_path / "data", *verb[1:])


def test_labels_that_are_not_whole_numbers(data, tmp_path, refused):
    for path in (data / "labels").iterdir():
        array = np.full((1, *_SHAPE), 0.5, np.float32)
        write(Volume(array, ball_case(0, shape=_SHAPE).image.grid), path)
    told = refused("fit", data, "-o", tmp_path / "out")
    assert "no case can be used" in told
    assert "case0.nii.gz: 6,400 of 6,400 voxels are not whole numbers, as labels must be" in told


def test_one_class_only(tmp_path, refused):
    nothing = write_cases(tmp_path / "nothing", [with_values(case, np.zeros_like) for case in balls()])
    everything = write_cases(tmp_path / "everything", [with_values(case, np.ones_like) for case in balls()])
    assert "all 3 references are empty" in refused("fit", nothing, "-o", tmp_path / "out")
    assert "the references show one class only" in refused("fit", everything, "-o", tmp_path / "out")


def test_one_single_case(tmp_path, refused):
    data = write_cases(tmp_path / "data", balls(1))
    assert "one single case with a reference" in refused("fit", data, "-o", tmp_path / "out", *_SMALL)


def test_no_case_with_a_reference(data, tmp_path, refused):
    told = refused("fit", data / "images", "-o", tmp_path / "out", *_SMALL)
    assert "there is no case with a reference to learn from" in told


def test_cases_without_reference_and_damaged_ones_are_named(data, tmp_path, capsys):
    write_cases(data, [ball_case(n, shape=_SHAPE) for n in (3, 4)])
    (data / "labels" / "case1.nii.gz").unlink()
    (data / "images" / "case2.nii.gz").write_bytes((data / "images" / "case2.nii.gz").read_bytes()[:-1000])
    arguments = [str(a) for a in ("fit", data, "-o", tmp_path / "out", *_SMALL)]
    assert main(arguments) == 0
    told = capsys.readouterr().err
    assert "left out: case1: no reference of this name in labels, or several" in told
    assert "left out: case2: case2.nii.gz: " in told
    assert json.loads((tmp_path / "out" / "bundle.json").read_text())["provenance"]["training_cases"] == 2


def test_rows_of_a_manifest_without_reference_are_named(data, tmp_path, capsys):
    manifest = tmp_path / "cases.csv"
    rows = [f"case{n},data/images/case{n}.nii.gz,{'' if n == 1 else f'data/labels/case{n}.nii.gz'}" for n in range(3)]
    manifest.write_text("\n".join(["case,image,reference", *rows]))
    assert main([str(a) for a in ("fit", manifest, "-o", tmp_path / "out", *_SMALL)]) == 0
    assert "left out: case1: it has no reference" in capsys.readouterr().err


def test_two_dimensions_among_three(data, tmp_path, capsys):
    write_cases(data, [replace(ball_case(9, shape=(20, 20)), id="flat")])
    assert main(["index", str(data), "--json"]) == 0
    (left,) = json.loads(capsys.readouterr().out)["left_out"]
    assert left == {"id": "flat", "reason": "its image has 2 dimensions; most cases have 3"}


# --- plans and budgets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--budget", "soon"), "'soon' is not a time"),
        (("--budget", "0s"), "more than nothing"),
        (("--steps", "0"), "steps must be positive"),
        (("--steps", "2", "--memory", "lots"), "'lots' is not an amount of memory"),
        (("--steps", "2", "--memory", "0.01MiB"), "hold not even the smallest plan; it takes"),
        (("--steps", "2", "--set", "batchsize=2"), "unknown setting 'batchsize': did you mean 'batch_size'?"),
        (("--steps", "2", "--set", "batch_size=many"), "batch_size"),
        (("--steps", "2", "--set", "batch_size"), "write a setting as name=value"),
        (("--steps", "2", "--set", "patch_size=17,17,17"), "must be a multiple of the network's stride"),
        (("--steps", "2", "--labels", "ball=1"), "--labels names the values [1]; the data set has [1, 2]"),
        (("--steps", "2", "--labels", "ball"), "--labels must be written like"),
        (("--layout", "nnunet"), "not of layout nnunet, which looks for"),
        (("--plan", "nowhere.json"), "cannot read the plan nowhere.json"),
        (("--steps", "2", "--keep-labels"), "name it with --from"),
        (("--steps", "2", "--from", "nowhere"), "no such bundle"),
        (("--steps", "2", "--configuration", "2d,3d"), "give --folds, too"),
        (("--steps", "2", "--configuration", "4d"), "unknown configuration"),
        (("--steps", "2", "--folds", "1"), "need at least 2 patients"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_arguments_that_cannot_be(arguments, words, data, tmp_path, refused):
    assert words in refused("fit", data, "-o", tmp_path / "out", *arguments)


def test_a_device_that_is_not_there(data, tmp_path, refused):
    told = refused("fit", data, "-o", tmp_path / "out", "--device", "cud", *_SMALL)
    assert "the device 'cud' is not there; take 'auto', 'cpu'" in told


def test_a_plan_that_is_none(data, tmp_path, refused):
    (tmp_path / "plan.json").write_text('{"ndim": 4}')
    assert "not a plan: ndim" in refused("fit", data, "-o", tmp_path / "out", "--plan", tmp_path / "plan.json")
    assert "not a plan: ndim" in refused("show", tmp_path / "plan.json")


def test_a_plan_for_other_data(data, tmp_path, refused):
    facts = fingerprint(ball_dataset(2, shape=(24, 20)))
    plan = make_plan(facts, Budget(steps=2), step_seconds=lambda *_: 0.01)
    (tmp_path / "plan.json").write_text(plan_to_json(with_settings(plan, ["batch_size=2"])))
    told = refused("fit", data, "-o", tmp_path / "out", "--plan", tmp_path / "plan.json")
    assert "case case0: the image is 3D and the plan is for 2D" in told


def test_a_budget_that_holds_too_few_steps(data, tmp_path, refused, monkeypatch):
    monkeypatch.setattr("vesalius.plan.measure.step_seconds", lambda *_, **__: 2.0)
    told = refused("fit", data, "-o", tmp_path / "out", "--budget", "20s")
    assert "a budget of 20 s is too small to train on this machine" in told
    least = int(told.rpartition("Give at least ")[2].split()[0])
    assert least > 20


def test_a_budget_that_is_gone_before_the_first_step(data, tmp_path, refused, monkeypatch):
    """Nothing is left of the run, and the least that would do is said."""
    monkeypatch.setattr("vesalius.cli.fit.age_s", lambda: 11.0)
    monkeypatch.setattr("vesalius.plan.measure.step_seconds", lambda *_, **__: 1e-4)
    told = refused("fit", data, "-o", tmp_path / "out", "--budget", "12s", *_SMALL[2:])
    assert re.search(r"a budget of 12 s is too small: 1\d s were gone before training could start", told)
    least = int(told.rpartition("Give at least ")[2].split()[0])
    assert least > 17  # what is gone, and the margin


# --- places -----------------------------------------------------------------------------------------------------------


def test_places_that_cannot_take_the_bundle(data, tmp_path, refused):
    (tmp_path / "letter").write_text("in the way")
    assert "a file stands in the way" in refused("fit", data, "-o", tmp_path / "letter", *_SMALL)
    assert "its folder is not a folder" in refused("fit", data, "-o", tmp_path / "letter" / "out", *_SMALL)
    assert "the folder is not empty; name a new one" in refused("fit", data, "-o", data, *_SMALL)
    assert "cannot write plan.json" in refused("plan", data, "--steps", 2, "-o", tmp_path / "letter" / "plan.json")


@pytest.mark.parametrize(
    ("size", "words"),
    [(2_000, "run.json"), (10_000, "the prepared cases"), (60_000, "checkpoint.pt")],
    ids=["plan", "cases", "checkpoint"],
)
@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_leaves_nothing_behind(size, words, there, data, tmp_path, refused, small_disk):
    """Wherever it fills up: the folder is as it was, absent or empty."""
    if there:
        (tmp_path / "out").mkdir()
    with small_disk(size):
        told = refused("fit", data, "-o", tmp_path / "out", *_SMALL)
    assert f"cannot write {words}" in told, told


def test_a_full_disk_after_a_checkpoint_keeps_what_can_be_resumed(data, tmp_path, monkeypatch, refused):
    loop, history = import_module("vesalius.train.loop"), import_module("vesalius.train.history")
    arguments = ("fit", data, "-o", tmp_path / "out", "--steps", 4, *_SMALL[2:])

    def full(*_: Any) -> None:
        raise VesaliusError("cannot write curves.png: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_S", 0.0)
        patch.setattr(history, "curves", full)
        assert main([str(a) for a in arguments]) == 1
    assert (tmp_path / "out" / ".fit" / "checkpoint.pt").is_file()
    assert "go on with it (resume)" in refused(*arguments)
    assert main([str(a) for a in (*arguments, "--resume")]) == 0
    assert not (tmp_path / "out" / ".fit" / "cases").exists()
    assert json.loads((tmp_path / "out" / "bundle.json").read_text())["provenance"]["steps"] == 4
