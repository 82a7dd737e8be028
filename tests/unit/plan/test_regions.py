from dataclasses import replace

import numpy as np
import pytest
from phantoms import FACTS

from vesalius.errors import PlanError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.plan import Budget, Plan, make_plan, memberships, paint
from vesalius.plan.prepare import to_classes
from vesalius.plan.regions import check_order, painted_values, region_outputs

BRATS = Labels.of({"necrosis": 1, "oedema": 2, "enhancing": 4}, regions={"whole": (1, 2, 4), "core": (1, 4)})


def plan_for(labels: Labels) -> Plan:
    return make_plan(replace(FACTS, labels=labels), Budget(steps=10), step_seconds=lambda *_: 0.1)


def test_labels_that_regions_do_not_tell_apart_have_outputs_of_their_own() -> None:
    outputs = region_outputs(BRATS)
    assert [output.name for output in outputs] == ["whole", "core", "enhancing"]
    assert painted_values(outputs) == ((2,), (1,), (4,))


def test_which_classes_belong_to_an_output() -> None:
    expected = [[0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 1]]
    assert np.array_equal(memberships(plan_for(BRATS)), np.asarray(expected, bool))
    assert np.array_equal(memberships(plan_for(Labels.of({"a": 3, "b": 7}))), [[0, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize("labels", [BRATS, Labels.of({"a": 1, "b": 300, "c": 2}, regions={"ab": (1, 300)})])
def test_painting_the_outputs_of_a_reference_gives_the_reference(labels: Labels) -> None:
    plan = plan_for(labels)
    assert plan.regions
    values = np.random.default_rng(1).choice([0, *labels.values], size=(5, 6, 7)).astype(np.uint16)
    reference = LabelMap(values, Grid.from_spacing((5, 6, 7), (1.0, 1.0, 1.0)), labels)
    on = memberships(plan)[:, to_classes(reference, plan)]
    painted = paint(on, plan)
    assert np.array_equal(painted, values)
    assert painted.dtype == (np.uint8 if max(labels.values) < 256 else np.uint16)


def test_later_regions_lie_on_top() -> None:
    plan = plan_for(BRATS)
    everything = np.ones((3, 2, 2), bool)
    assert (paint(everything, plan) == 4).all()
    assert (paint(~everything, plan) == 0).all()


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        ({"core": (1, 4), "whole": (1, 2, 4)}, "large regions before"),
        ({"left": (1, 2), "right": (2, 4)}, r"a region for each of \[4\] alone"),
    ],
)
def test_regions_that_cannot_be_painted_are_refused_with_advice(
    regions: dict[str, tuple[int, ...]], words: str
) -> None:
    labels = Labels.of({"necrosis": 1, "oedema": 2, "enhancing": 4}, regions=regions)
    with pytest.raises(PlanError, match=words):
        check_order(region_outputs(labels))
    plan = plan_for(labels)  # the planner learns the labels instead, and says why
    assert not plan.regions
    assert "instead of the regions" in plan.why("regions")
