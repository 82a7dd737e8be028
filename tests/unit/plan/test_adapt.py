from dataclasses import replace

import pytest
from phantoms import CHANNEL, FACTS

from vesalius.errors import PlanError
from vesalius.image import Labels
from vesalius.nets.channels import replace_channels
from vesalius.plan import Budget, Loss, adapt_plan, make_cascade, make_plan
from vesalius.plan.preparation import NNUNET

FACTS_1MM = replace(FACTS, shapes=((64, 64, 48),), spacings_mm=((1.0, 1.0, 1.0),))
BASE = make_plan(FACTS_1MM, Budget(time_s=600, memory_gib=64), step_seconds=lambda *_: 0.05)
BUDGET = Budget(time_s=60)


def quick(*_: object) -> float:
    return 0.01


def test_topology_and_patch_stay_and_the_data_are_new() -> None:
    labels = Labels.of({"b": 1, "c": 2})
    facts = replace(FACTS_1MM, labels=labels, channels=(CHANNEL, replace(CHANNEL, name="CT", modality="CT")))
    plan = adapt_plan(facts, BUDGET, BASE, step_seconds=quick)
    assert (plan.patch_size, plan.batch_size, plan.configuration) == (BASE.patch_size, BASE.batch_size, "3d")
    assert plan.network == replace_channels(BASE.network, 2, 3)
    assert (plan.labels, plan.channels) == (labels, ("T1", "CT"))
    assert [scheme.scheme for scheme in plan.normalisation] == ["z_score", "ct"]
    assert plan.budget == BUDGET
    assert plan.why("network")


@pytest.mark.parametrize(("orientation", "then"), [("stored", "LPS"), ("RAS", "RAS")])
def test_customs_stay_but_images_are_turned(orientation: str, then: str) -> None:
    how = replace(NNUNET, orientation=orientation)  # type: ignore[arg-type]
    plan = adapt_plan(FACTS_1MM, BUDGET, replace(BASE, preparation=how), step_seconds=quick)
    assert plan.preparation == replace(how, orientation=then)  # type: ignore[arg-type]


def test_warm_up_and_average_follow_the_new_number_of_steps() -> None:
    base = replace(BASE, optimisation=replace(BASE.optimisation, optimiser="adamw", learning_rate=1e-3))
    plan = adapt_plan(FACTS_1MM, Budget(steps=200), base, step_seconds=quick)
    assert (plan.optimisation.optimiser, plan.optimisation.learning_rate) == ("adamw", 1e-3)
    assert (plan.optimisation.warm_up_steps, plan.optimisation.average_decay) == (10, 0.9)


@pytest.mark.parametrize(
    ("spacing", "kept"), [((1.2, 0.8, 1.4), True), ((1.0, 1.0, 1.6), False), ((0.6, 1.0, 1.0), False)]
)
def test_the_spacing_is_new_where_it_differs_much(spacing: tuple[float, ...], kept: bool) -> None:
    plan = adapt_plan(replace(FACTS_1MM, spacings_mm=(spacing,)), BUDGET, BASE, step_seconds=quick)
    assert plan.spacing_mm == (BASE.spacing_mm if kept else spacing)
    assert "factor" in plan.why("spacing_mm")


def test_old_labels_are_kept_and_new_ones_keep_their_values() -> None:
    base = make_plan(
        replace(FACTS_1MM, labels=Labels.of({"a": 1, "b": 2, "c": 3})), Budget(steps=10), step_seconds=quick
    )
    facts = replace(FACTS_1MM, labels=Labels.of({"d": 1, "b": 4}, ignore=2))
    plan = adapt_plan(facts, BUDGET, base, keep_labels=True, step_seconds=quick)
    # 1, 2 and 4 stand in the new references, so a moves to a value that is free.
    assert {label.name: label.value for label in plan.labels.labels} == {"a": 5, "b": 4, "c": 3, "d": 1}
    assert (plan.labels.names, plan.labels.ignore) == (("a", "b", "c", "d"), 2)
    assert plan.network.out_channels == 5


def test_left_and_right_are_still_told_apart() -> None:
    assert BASE.augmentation.mirror_axes == (0, 1, 2)
    facts = replace(FACTS_1MM, labels=Labels.of({"left lung": 1, "right lung": 2}))
    plan = adapt_plan(facts, BUDGET, BASE, step_seconds=quick)
    assert plan.augmentation.mirror_axes == (1, 2)
    assert 0 not in plan.mirror_axes


def test_pairs_stay_pairs_where_both_labels_are_still_there() -> None:
    labels = Labels.of({"left lung": 1, "right lung": 2})
    base = replace(BASE, labels=labels, network=replace_channels(BASE.network, 1, 3))
    base = replace(base, paired_labels=((1, 2),), mirror_axes=(0,))
    known = replace(FACTS_1MM, labels=Labels.of({"right lung": 5, "heart": 6, "left lung": 7}))
    plan = adapt_plan(known, BUDGET, base, step_seconds=quick)
    assert (plan.paired_labels, plan.mirror_axes, plan.augmentation.mirror_axes) == (((7, 5),), (0,), (0, 1, 2))
    fewer = replace(FACTS_1MM, labels=Labels.of({"left lung": 1, "heart": 2}))
    plan = adapt_plan(fewer, BUDGET, base, step_seconds=quick)
    assert (plan.paired_labels, plan.mirror_axes, plan.augmentation.mirror_axes) == ((), (), (1, 2))


def test_weights_of_the_old_classes_are_dropped() -> None:
    base = replace(BASE, loss=Loss(kind="focal", class_weights=(1.0, 2.0)))
    plan = adapt_plan(replace(FACTS_1MM, labels=Labels.of({"b": 1, "c": 2})), BUDGET, base, step_seconds=quick)
    assert plan.loss == Loss(kind="focal")


def test_what_cannot_go_on_is_refused() -> None:
    flat = replace(FACTS, ndim=2, shapes=((96, 64),), spacings_mm=((1.0, 1.0),))
    with pytest.raises(PlanError, match="2D"):
        adapt_plan(flat, BUDGET, BASE, step_seconds=quick)
    with pytest.raises(PlanError, match="at least"):
        adapt_plan(FACTS_1MM, BUDGET, BASE, step_seconds=lambda *_: 100.0)
    large = replace(FACTS, shapes=((400, 400, 300),), spacings_mm=((0.8, 0.8, 1.0),))
    _, fine = make_cascade(large, Budget(steps=10, memory_gib=1024), step_seconds=quick)
    with pytest.raises(PlanError, match="cascade"):
        adapt_plan(large, BUDGET, fine, step_seconds=quick)
    regional = replace(FACTS_1MM, labels=Labels.of({"a": 1, "b": 2}, regions={"ab": (1, 2)}))
    base = make_plan(regional, Budget(steps=10), step_seconds=quick)
    with pytest.raises(PlanError, match="regions"):
        adapt_plan(FACTS_1MM, BUDGET, base, keep_labels=True, step_seconds=quick)
