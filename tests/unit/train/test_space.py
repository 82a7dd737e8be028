"""What a search may vary: read, checked, applied."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from phantoms import ball_dataset

from vesalius.errors import PlanError
from vesalius.nets import SlicesSpec, UNetSpec
from vesalius.plan import Budget, Plan, fingerprint, make_plan, with_settings
from vesalius.train.space import (
    By,
    Choice,
    Range,
    changes,
    check_space,
    default_space,
    from_plain,
    own_values,
    plain,
    read_space,
    setting_text,
    varied,
)
from vesalius.train.trial import trial_plan


def flat_plan(*settings: str, **budget: Any) -> Plan:
    facts = fingerprint(ball_dataset(4, shape=(32, 32)))
    plan = make_plan(facts, Budget(**(budget or {"steps": 100})), step_seconds=lambda *_: 0.01)
    net = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16))
    return with_settings(replace(plan, network=net, patch_size=(24, 24), batch_size=4), settings)


@pytest.mark.parametrize("settings", [(), ("optimisation.learning_rate=0.5", "foreground_fraction=1")])
def test_the_plan_lies_within_its_space(settings: tuple[str, ...]) -> None:
    plan = flat_plan(*settings)
    space = default_space(plan)
    check_space(space, plan)
    own = own_values(plan, space)
    for name, dimension in space.items():
        inner = dimension.cases["muon"] if isinstance(dimension, By) else dimension
        if isinstance(inner, Choice):
            assert own[name] in inner.values
        else:
            assert inner.low <= float(own[name]) * 1.001
            assert float(own[name]) <= inner.high * 1.001
    assert varied(plan, own) == plan  # reasons and all


def test_what_the_network_lacks_is_not_varied() -> None:
    space = default_space(flat_plan())
    assert {"network.dropout", "network.deep_supervision", "network.residual", "batch_size"} <= set(space)
    facts = fingerprint(ball_dataset(4, shape=(32, 32)))
    cnn = make_plan(facts, Budget(steps=100), network="cnn", step_seconds=lambda *_: 0.01)
    names = set(default_space(cnn))
    assert "network.residual" not in names
    check_space(default_space(cnn), cnn)


def test_slices_are_varied_within() -> None:
    deep = make_plan(fingerprint(ball_dataset(4)), Budget(steps=100), configuration="2d", step_seconds=lambda *_: 0.01)
    assert isinstance(deep.network, SlicesSpec)
    space = default_space(deep)
    assert "network.inner.dropout" in space
    check_space(space, deep)


def test_what_memory_cannot_hold_is_not_tried() -> None:
    plan = replace(flat_plan(), budget=Budget(steps=100, memory_gib=1e-5))
    assert "batch_size" not in default_space(plan)
    assert default_space(flat_plan())["batch_size"] == Choice(("4", "2", "8"))


def test_another_optimiser_comes_with_what_suits_it() -> None:
    plan = flat_plan()
    made = varied(plan, {"optimisation.optimiser": "sgd", "loss.kind": "dice"})
    how = made.optimisation
    assert (how.optimiser, how.momentum, how.schedule, how.learning_rate) == ("sgd", 0.99, "poly", 0.01)
    assert how.warm_up_steps == plan.optimisation.warm_up_steps
    own_rate = setting_text(plan.optimisation.learning_rate)
    kept = varied(plan, {"optimisation.optimiser": "sgd", "optimisation.learning_rate": own_rate})
    assert kept.optimisation.learning_rate == plan.optimisation.learning_rate  # asked for, not left over
    assert changes(plan, made, ["loss.kind", "batch_size"]) == {
        "loss.kind": ("dice_cross_entropy", "dice"),
        "optimisation.optimiser": ("muon", "sgd"),
        "optimisation.learning_rate": ("0.02", "0.01"),
        "optimisation.momentum": ("0.95", "0.99"),
        "optimisation.schedule": ("trapezoid", "poly"),
    }


def test_a_space_is_read_and_written(tmp_path: Path) -> None:
    raw = {
        "optimisation.optimiser": ["adamw", "muon"],
        "optimisation.learning_rate": {"by": "optimisation.optimiser", "muon": {"low": 0.01, "high": 0.1, "log": True}},
        "batch_size": {"low": 2, "high": 8, "whole": True},
        "patch_size": [[16, 16], [24, 24]],
        "network.residual": [True, False],
    }
    (tmp_path / "space.json").write_text(json.dumps(raw))
    space = read_space(tmp_path / "space.json", flat_plan())
    assert space["patch_size"] == Choice(("[16, 16]", "[24, 24]"))
    assert space["network.residual"] == Choice(("true", "false"))
    assert space["batch_size"] == Range(2, 8, whole=True)
    assert space["optimisation.learning_rate"] == By("optimisation.optimiser", {"muon": Range(0.01, 0.1, log=True)})
    assert from_plain(json.loads(json.dumps(plain(space)))) == space


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([], "must be a JSON object"),
        ({}, "a setting or more"),
        ({"loss": "dice"}, "the space's loss: it must be a list of values or a range"),
        ({"loss.kind": ["dice"]}, "the space's loss.kind: there must be two different values"),
        ({"loss.kind": ["dice", "dyce"]}, "cannot take loss.kind=dyce"),
        ({"los.kind": ["dice", "focal"]}, "unknown setting 'los': did you mean 'loss'"),
        ({"overlap": {"low": 0.1}}, "a range has low and high"),
        ({"overlap": {"low": 0.1, "high": 0.5, "step": 2}}, "unknown part of a range 'step'"),
        ({"overlap": {"low": 0.5, "high": 0.1}}, "low must be less than high"),
        ({"overlap": {"low": 0, "high": 0.1, "log": True}}, "low must be more than 0"),
        ({"overlap": {"low": "a", "high": 0.1}}, "must be numbers"),
        ({"overlap": {"low": 0, "high": float("inf")}}, "must be finite"),
        ({"overlap": {"low": 0, "high": 0.1, "log": "yes"}}, "log and whole must be true or false"),
        ({"batch_size": {"low": 1.5, "high": 4, "whole": True}}, "must be whole numbers"),
        ({"batch_size": {"low": 1.5, "high": 4}}, "cannot take batch_size=1.5"),
        ({"overlap": {"low": 0.1, "high": 0.95}}, "cannot take overlap=0.95: overlap must be 0 to 0.9"),
        ({"spacing_mm": [[1, 1], [2, 2]]}, "spacing_mm cannot be varied: it decides"),
        ({"budget.steps": [10, 20]}, "budget.steps cannot be varied"),
        ({"patch_size": [[16, 16], [17, 17]]}, "must be a multiple of the network's stride"),
        ({"overlap": {"by": "loss.kind", "dice": [0.1, 0.2]}}, "depends on 'loss.kind', which must be a choice"),
        (
            {"loss.kind": ["dice", "focal"], "overlap": {"by": "loss.kind", "dyce": [0.1, 0.2]}},
            "unknown value of loss.kind 'dyce': did you mean 'dice'",
        ),
        ({"loss.kind": ["dice", "focal"], "overlap": {"by": "loss.kind"}}, "no entry for any of its values"),
    ],
)
def test_what_the_plan_cannot_take_is_said(raw: Any, words: str, tmp_path: Path) -> None:
    (tmp_path / "space.json").write_text(json.dumps(raw))
    with pytest.raises(PlanError) as told:
        read_space(tmp_path / "space.json", flat_plan())
    assert words in str(told.value)


def test_a_space_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"cannot read the space none\.json"):
        read_space(tmp_path / "none.json", flat_plan())


def test_a_trial_warms_up_and_averages_in_proportion() -> None:
    short = trial_plan(flat_plan(steps=1000), steps=200, time_s=None)
    assert (short.budget.steps, short.optimisation.warm_up_steps, short.optimisation.average_decay) == (200, 10, 0.9)
    whole = replace(flat_plan(), optimisation=flat_plan().optimisation.for_steps(4000), budget=Budget(time_s=1000))
    assert trial_plan(whole, steps=None, time_s=100).optimisation.average_decay == pytest.approx(1 - 20 / 400)
    with pytest.raises(PlanError, match="give both the same kind"):
        trial_plan(whole, steps=10, time_s=None)
