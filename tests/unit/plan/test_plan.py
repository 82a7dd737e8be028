import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from phantoms import FACTS

from vesalius.errors import PlanError
from vesalius.image import Labels
from vesalius.nets import NetworkSpec, SlicesSpec, UNetSpec
from vesalius.plan import Budget, Loss, Optimisation, Plan, make_plan, plan_from_json, plan_to_json, with_settings

PLAN = make_plan(FACTS, Budget(steps=10), step_seconds=lambda *_: 0.1)
FLAT = make_plan(
    replace(FACTS, ndim=2, shapes=((256, 256),), spacings_mm=((1.0, 1.0),)),
    Budget(steps=10),
    step_seconds=lambda *_: 0.1,
)


def other_outputs(plan: Plan, count: int) -> NetworkSpec:
    assert isinstance(plan.network, UNetSpec)
    return replace(plan.network, out_channels=count)


def as_version_1(plan: Plan) -> dict[str, Any]:
    """A plan as the first release wrote it."""
    raw: dict[str, Any] = json.loads(plan_to_json(plan))
    for name in ("configuration", "preparation", "loss", "input_scales", "regions", "coarse_labels"):
        del raw[name]
    for name in ("schedule", "patience"):
        del raw["optimisation"][name]
    return {**raw, "version": 1}


def as_version_2(plan: Plan) -> dict[str, Any]:
    """A plan from before there was more than one way to prepare an image."""
    raw: dict[str, Any] = json.loads(plan_to_json(plan))
    del raw["preparation"]
    return {**raw, "version": 2}


def as_version_3(plan: Plan) -> dict[str, Any]:
    """A plan from before labels could be one another's mirror image."""
    raw: dict[str, Any] = json.loads(plan_to_json(plan))
    del raw["paired_labels"]
    return {**raw, "version": 3}


@pytest.mark.parametrize("older", [as_version_1, as_version_2, as_version_3])
@pytest.mark.parametrize("plan", [PLAN, FLAT])
def test_a_plan_of_an_older_version_says_what_it_said(plan: Plan, older: Callable[[Plan], dict[str, Any]]) -> None:
    assert plan_from_json(json.dumps(older(plan))) == plan
    assert json.loads(plan_to_json(plan))["version"] == 4


@pytest.mark.parametrize("version", [0, 5, 99])
def test_other_versions_are_refused(version: int) -> None:
    with pytest.raises(PlanError, match=f"version {version}"):
        plan_from_json(json.dumps({**json.loads(plan_to_json(PLAN)), "version": version}))


@pytest.mark.parametrize("path", [(), ("network",), ("optimisation",), ("loss",), ("labels",), ("augmentation",)])
def test_what_a_plan_does_not_know_is_refused_and_not_ignored(path: tuple[str, ...]) -> None:
    raw = json.loads(plan_to_json(PLAN))
    inner = raw
    for name in path:
        inner = inner[name]
    inner["surprise"] = 1
    with pytest.raises(PlanError, match="surprise") as caught:
        plan_from_json(json.dumps(raw))
    assert "FCNSpec" not in str(caught.value)  # of the networks, only the one that was meant is spoken of


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"coarse_labels": 1}, "in_channels"),
        ({"coarse_labels": -1}, "coarse_labels must not be negative"),
        ({"configuration": "3d_cascade"}, "coarse_labels"),
        ({"configuration": "4d"}, "unknown configuration"),
        ({"configuration": "2d"}, "each slice by itself"),
        ({"regions": True}, "labels with regions"),
        ({"channels": ("T1", "T2")}, "normalisation has 1"),
        ({"input_scales": ()}, "input_scales"),
        ({"input_scales": (0.0,)}, "input_scales"),
        ({"input_scales": (1.0, 1.01)}, "stays as it is"),
        ({"loss": Loss(class_weights=(1.0, 2.0, 3.0))}, "class_weights"),
        ({"network": other_outputs(PLAN, 3)}, "the background, a"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        replace(PLAN, **change)


def test_pictures_have_one_configuration() -> None:
    with pytest.raises(PlanError, match="'2d'"):
        replace(FLAT, configuration="3d")


def test_a_2d_network_on_slices_is_the_2d_configuration() -> None:
    inner = UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16))
    plan = replace(PLAN, network=SlicesSpec(inner=inner, axis=2), configuration="2d", patch_size=(32, 32, 1))
    assert plan_from_json(plan_to_json(plan)) == plan
    with pytest.raises(PlanError, match="each slice by itself"):
        replace(plan, configuration="2.5d")


def test_a_cascade_sees_the_coarse_labels() -> None:
    assert isinstance(PLAN.network, UNetSpec)
    network = replace(PLAN.network, in_channels=2)
    plan = replace(PLAN, network=network, configuration="3d_cascade", coarse_labels=1)
    assert plan_from_json(plan_to_json(plan)) == plan


def test_outputs_are_the_labels_or_the_regions() -> None:
    assert [output.name for output in PLAN.outputs] == ["a"]
    labels = Labels.of({"oedema": 1, "core": 2}, regions={"whole": (1, 2)})
    plan = replace(PLAN, labels=labels, regions=True, network=other_outputs(PLAN, 2))
    assert [output.name for output in plan.outputs] == ["whole", "core"]
    with pytest.raises(PlanError, match="must be 3: the background, oedema, core"):
        replace(plan, regions=False)


def test_parts_of_parts_can_be_set() -> None:
    plan = with_settings(
        PLAN, ["loss.kind=focal", "loss.focal_gamma=1.5", "optimisation.schedule=cosine", "input_scales=0.75,1,1.25"]
    )
    assert (plan.loss.kind, plan.loss.focal_gamma, plan.optimisation.schedule) == ("focal", 1.5, "cosine")
    assert plan.input_scales == (0.75, 1.0, 1.25)
    assert plan.why("loss.kind") == "set by hand"
    assert plan.why("loss") == ""
    assert with_settings(PLAN, ["network.attention=true"]).network == replace(PLAN.network, attention=True)
    assert with_settings(PLAN, ["augmentation.elastic_p=0.2"]).augmentation.elastic_p == 0.2
    with pytest.raises(PlanError, match=r"kind='fokal'.*'focal'"):
        with_settings(PLAN, ["loss.kind=fokal"])


def test_another_optimiser_brings_the_numbers_that_suit_it() -> None:
    how = with_settings(PLAN, ["optimisation.learning_rate=0.5", "optimisation.optimiser=sgd"]).optimisation
    suited = Optimisation.for_optimiser("sgd", 1000)
    assert (how.optimiser, how.learning_rate) == ("sgd", 0.5)
    assert (how.momentum, how.schedule, how.weight_decay) == (suited.momentum, suited.schedule, suited.weight_decay)
    assert how.warm_up_steps == PLAN.optimisation.warm_up_steps
    same = with_settings(PLAN, [f"optimisation.optimiser={PLAN.optimisation.optimiser}"]).optimisation
    assert same == PLAN.optimisation


def paired(plan: Plan, *pairs: tuple[int, int], regions: dict[str, tuple[int, ...]] | None = None) -> Plan:
    """Two kidneys and a spine, of which some change places in the mirror."""
    labels = Labels.of({"left kidney": 1, "right kidney": 4, "spine": 2}, regions=regions or {})
    plan = replace(plan, labels=labels, network=other_outputs(plan, 4))
    return replace(plan, paired_labels=pairs)


def test_paired_labels_change_places_in_the_mirror() -> None:
    plan = paired(PLAN, (4, 1))
    assert plan.labels.values == (1, 4, 2)
    assert plan.mirrored_classes == plan.mirrored_outputs == (0, 2, 1, 3)
    assert plan_from_json(plan_to_json(plan)) == plan
    plain = paired(PLAN)
    assert plain.mirrored_outputs == (0, 1, 2, 3)
    assert with_settings(plain, ["paired_labels=[[4, 1]]"]).paired_labels == plan.paired_labels


def test_paired_regions_change_places_in_the_mirror() -> None:
    plan = paired(PLAN, regions={"all": (1, 2, 4), "left side": (1,), "right side": (4,)})
    plan = replace(plan, regions=True, network=other_outputs(plan, 3), paired_labels=((1, 4),))
    assert (plan.mirrored_classes, plan.mirrored_outputs) == ((0, 2, 1, 3), (0, 2, 1))
    lopsided = paired(PLAN, regions={"all": (1, 2, 4), "left half": (1, 2), "left side": (1,)})
    lopsided = replace(lopsided, regions=True, network=other_outputs(lopsided, 3))
    with pytest.raises(PlanError, match=r"\[1, 2\] become \[2, 4\]"):
        replace(lopsided, paired_labels=((1, 4),))


@pytest.mark.parametrize("pairs", [((1, 3),), ((1, 1),), ((1, 4), (4, 2)), ((0, 1),)])
def test_pairs_of_what_is_no_label_or_is_named_twice_are_refused(pairs: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(PlanError, match="paired_labels must name values"):
        paired(PLAN, *pairs)


def test_pairs_need_the_patient_s_axes() -> None:
    with pytest.raises(PlanError, match="3D images"):
        paired(FLAT, (1, 4))
    plan = replace(PLAN, preparation=replace(PLAN.preparation, orientation="stored"))
    with pytest.raises(PlanError, match="from right to left"):
        paired(plan, (1, 4))
