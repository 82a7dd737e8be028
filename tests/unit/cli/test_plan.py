"""``vesalius plan`` and ``vesalius fit``: what is decided, what can be overridden, and what is kept."""

import json
from typing import get_args

import numpy as np
import pytest
from phantoms import ball_case, write_cases

from vesalius.bundle import Bundle
from vesalius.cli.arguments import ENCODERS, NETWORKS
from vesalius.image import LabelMap, Labels
from vesalius.io import read_labels, write
from vesalius.nets.specs.encoder import Encoder
from vesalius.plan import Network, plan_from_json

pytestmark = pytest.mark.usefixtures("quick_plans")

_SMALL = ("--set", "network.features=8,16,16", "--set", "batch_size=2")


@pytest.fixture
def data(tmp_path):
    return write_cases(tmp_path / "data", [ball_case(n, shape=(20, 20, 16)) for n in range(4)])


def test_every_decision_is_printed_with_its_reason(data, printed):
    words = " ".join(printed("plan", data, "--steps", 7).split())
    for decision in (
        "spacing_mm",
        "normalisation",
        "patch_size",
        "batch_size",
        "network",
        "optimisation",
        "augmentation",
    ):
        assert decision in words
    assert "median of each axis over the cases" in words
    assert "7 steps were asked for" in words


def test_a_plan_is_written_shown_and_obeyed(data, tmp_path, told):
    planned = told("plan", data, "--steps", 2, "-o", tmp_path / "plan.json", *_SMALL)
    assert json.loads((tmp_path / "plan.json").read_text()) == planned
    plan = plan_from_json((tmp_path / "plan.json").read_bytes())
    told("fit", data, "-o", tmp_path / "out", "--plan", tmp_path / "plan.json", "--set", "overlap=0.25")
    fitted = Bundle.load(tmp_path / "out").plan
    assert (fitted.overlap, plan.overlap) == (0.25, 0.5)
    assert fitted.why("overlap") == "set by hand"
    assert fitted.network == plan.network


def test_the_reason_for_a_whole_does_not_outlive_a_change_of_its_part(data, told):
    planned = told("plan", data, "--steps", 2, *_SMALL)
    reasons = {reason["field"]: reason["why"] for reason in planned["reasons"]}
    assert "network" not in reasons
    assert reasons["network.features"] == "set by hand"


def test_memory_and_network_are_the_users(data, told):
    small = told("plan", data, "--steps", 2, "--memory", "2MiB")
    large = told("plan", data, "--steps", 2, "--memory", "4GiB")
    assert (
        small["network"]["features"][0] < large["network"]["features"][0] or small["batch_size"] < large["batch_size"]
    )
    assert told("plan", data, "--steps", 2, "--network", "cnn")["network"]["architecture"] == "cnn"


@pytest.mark.parametrize("arguments", [("--network", "mlp"), ("--budget", "1m", "--steps", "2"), ("--steps", "few")])
def test_wrong_use(arguments, data, printed):
    assert "usage: vesalius plan" in printed("plan", data, *arguments, code=2)


def test_labels_get_the_names_that_were_given(data, tmp_path, told):
    for path in (data / "labels").iterdir():  # without the names that our own files carry
        found = read_labels(path)
        write(LabelMap(found.array, found.grid, Labels.of(found.labels.values)), path)
    assert [label["name"] for label in told("plan", data, "--steps", 2)["labels"]["labels"]] == ["label 1", "label 2"]
    planned = told("plan", data, "--steps", 2, "--labels", "nucleus=2,cell=1")
    assert {label["name"]: label["value"] for label in planned["labels"]["labels"]} == {"cell": 1, "nucleus": 2}


def test_regions_are_the_users_and_are_painted_in_order(data, told, printed):
    planned = told("plan", data, "--steps", 2, "--regions", "whole=1+2")
    assert planned["regions"] is True
    assert planned["labels"]["regions"] == [{"name": "whole", "values": [1, 2]}]
    assert planned["network"]["out_channels"] == 2
    assert "regions" in printed("plan", data, "--steps", 2, "--regions", "whole=1+2")


@pytest.mark.parametrize("regions", ["whole", "whole=1+x", "=1+2", "whole=1+9"])
def test_regions_that_cannot_be_are_refused(regions, data, printed):
    assert "egion" in printed("plan", data, "--steps", 2, "--regions", regions, code=1)


def test_what_nobody_looked_at_can_be_named(data, told):
    for path in (data / "labels").iterdir():
        found = read_labels(path)
        write(
            LabelMap(np.where(found.array == 2, 255, found.array).astype(np.uint8), found.grid, Labels.of([1, 255])),
            path,
        )
    planned = told("plan", data, "--steps", 2, "--labels", "ball=1,ignore=255")
    assert [label["name"] for label in planned["labels"]["labels"]] == ["ball"]
    assert planned["labels"]["ignore"] == 255


def test_configuration_and_encoder_are_the_users(data, told):
    planned = told("plan", data, "--steps", 2, "--configuration", "2d", "--network", "fcn", "--encoder", "resnet18")
    assert planned["configuration"] == "2d"
    assert (planned["network"]["architecture"], planned["network"]["inner"]["encoder"]) == ("slices", "resnet18")


def test_a_cascade_that_would_be_no_coarser_is_refused(data, printed):
    assert "take '3d'" in printed("plan", data, "--steps", 2, "--configuration", "3d_cascade", code=1)


def test_both_plans_of_a_cascade_are_written(tmp_path, told, monkeypatch):
    monkeypatch.setattr("vesalius.plan.configuration._PATCH_VOXELS", {2: 32**2, 3: 32**3})
    data = write_cases(tmp_path / "data", [ball_case(n, shape=(80, 80, 64)) for n in range(2)])
    planned = told("plan", data, "--steps", 4, "--configuration", "3d_cascade", "-o", tmp_path / "plan.json")
    coarse, fine = (plan_from_json((tmp_path / name).read_bytes()) for name in ("plan-coarse.json", "plan.json"))
    assert [plan["configuration"] for plan in planned] == ["3d_lowres", "3d_cascade"]
    assert (coarse.configuration, fine.configuration) == ("3d_lowres", "3d_cascade")


def test_the_names_that_are_offered_are_those_that_there_are():
    assert get_args(Network) == NETWORKS
    assert get_args(Encoder) == ENCODERS


def test_the_seed_decides_and_equal_seeds_agree(data, tmp_path, told):
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        told("fit", data, "-o", tmp_path / name, "--steps", 2, "--seed", seed, *_SMALL)
        found.append(Bundle.load(tmp_path / name).weights)
    name = next(iter(found[0]))
    assert all(np.array_equal(found[0][key], found[1][key]) for key in found[0])
    assert not np.array_equal(found[0][name], found[2][name])


def test_people_are_told_the_course_and_the_scores(data, tmp_path, printed):
    words = printed("fit", data, "-o", tmp_path / "out", "--steps", 2, *_SMALL)
    assert "Dice on 1 of 1 held-out cases of the same data set: ball " in words
    assert f"bundle: {tmp_path / 'out'}" in words
    assert "prepare " in words  # a line a phase where there is no terminal
    assert "validate " in words
