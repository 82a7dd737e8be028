from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import pytest
from phantoms import FACTS

from vesalius.errors import PlanError
from vesalius.nets import NetworkSpec, UNetSpec, multiply_adds
from vesalius.plan import Budget, Network, make_plan, plan_from_json, plan_to_json, with_settings
from vesalius.plan.candidates import Task, network_sizes


def speed(operations_per_s: float):  # type: ignore[no-untyped-def]
    """A machine whose time a step is known."""

    def step_seconds(spec: NetworkSpec, patch_size: Sequence[int], batch_size: int) -> float:
        return 3 * multiply_adds(spec, tuple(patch_size)) * batch_size / operations_per_s

    return step_seconds


def test_a_faster_machine_gets_a_larger_network() -> None:
    sizes = []
    for operations in (3e10, 3e11, 3e12, 3e13):
        plan = make_plan(FACTS, Budget(time_s=600, memory_gib=64), step_seconds=speed(operations))
        sizes.append(multiply_adds(plan.network, plan.patch_size) * plan.batch_size)
    assert sizes == sorted(sizes)
    assert sizes[-1] > 2 * sizes[0]


def test_a_plan_is_a_function_of_its_arguments() -> None:
    budget = Budget(time_s=600, memory_gib=8)
    assert make_plan(FACTS, budget, step_seconds=speed(1e12)) == make_plan(FACTS, budget, step_seconds=speed(1e12))


def test_every_decision_has_a_reason() -> None:
    plan = make_plan(FACTS, Budget(time_s=600, memory_gib=8), step_seconds=speed(1e12))
    for name in ("spacing_mm", "normalisation", "patch_size", "batch_size", "network", "augmentation", "mirror_axes"):
        assert plan.why(name), name


def test_too_small_a_budget_says_the_least_that_would_do() -> None:
    with pytest.raises(PlanError, match=r"at least \d+ s") as caught:
        make_plan(FACTS, Budget(time_s=5, memory_gib=8), step_seconds=speed(1e10))
    enough = float(str(caught.value).rpartition("at least ")[2].removesuffix(" s"))
    make_plan(FACTS, Budget(time_s=enough, memory_gib=8), step_seconds=speed(1e10))


def test_too_little_memory_is_refused_and_less_memory_makes_it_smaller() -> None:
    with pytest.raises(PlanError, match="memory"):
        make_plan(FACTS, Budget(time_s=600, memory_gib=0.001), step_seconds=speed(1e13))
    small = make_plan(FACTS, Budget(time_s=600, memory_gib=0.5), step_seconds=speed(1e13))
    large = make_plan(FACTS, Budget(time_s=600, memory_gib=64), step_seconds=speed(1e13))
    assert multiply_adds(small.network, small.patch_size) < multiply_adds(large.network, large.patch_size)


FLAT = replace(FACTS, ndim=2, shapes=((96, 64),), spacings_mm=((1.0, 1.0),))
CUBES = replace(FACTS, shapes=((40, 48, 40),), spacings_mm=((1.0, 1.0, 1.0),))
SPECS = {"residual_unet": "unet", "attention_unet": "unet"}


@pytest.mark.parametrize("network", sorted(set(get_args(Network)) - {"recurrent_unet"}))
def test_each_network_can_be_planned_for_pictures(network: Network) -> None:
    plan = make_plan(FLAT, Budget(time_s=600, memory_gib=64), network=network, step_seconds=lambda *_: 0.1)
    assert (plan.configuration, plan.network.architecture) == ("2d", SPECS.get(network, network))
    assert plan_from_json(plan_to_json(plan)) == plan


@pytest.mark.parametrize("network", sorted(set(get_args(Network)) - {"recurrent_unet", "encoder_unet"}))
def test_each_network_can_be_planned_for_blocks(network: Network) -> None:
    plan = make_plan(CUBES, Budget(time_s=600, memory_gib=64), network=network, step_seconds=lambda *_: 0.1)
    assert (plan.configuration, plan.network.architecture) == ("3d", SPECS.get(network, network))
    assert plan_from_json(plan_to_json(plan)) == plan


@pytest.mark.parametrize("network", get_args(Network))
def test_sizes_go_from_the_largest_to_the_smallest(network: Network) -> None:
    recurrent = network == "recurrent_unet"
    patch = (32, 32, 2) if recurrent else (64, 32, 32)
    sizes = network_sizes(network, Task(1, 2, patch, (1.0, 1.0, 1.0), slices=(2, 0) if recurrent else None))
    costs = [multiply_adds(spec, patch) for _, spec in sizes]
    assert (costs[0], costs[-1]) == (max(costs), min(costs))
    assert 2 <= len(sizes) <= 5
    assert len({words for words, _ in sizes}) == len(sizes)


def test_mirror_images_are_averaged_only_where_they_cost_little() -> None:
    quick = make_plan(FACTS, Budget(time_s=600, memory_gib=8), step_seconds=speed(1e13))
    slow = make_plan(FACTS, Budget(time_s=6000, memory_gib=8), step_seconds=speed(1e10))
    assert quick.mirror_axes == (0, 1, 2)
    assert slow.mirror_axes == ()


PLAN = make_plan(FACTS, Budget(steps=10), step_seconds=speed(1e12))


def test_settings_are_checked_by_type() -> None:
    plan = with_settings(PLAN, ["batch_size=3", "optimisation.optimiser=adamw", "augmentation.rotation_p=0"])
    assert (plan.batch_size, plan.optimisation.optimiser, plan.augmentation.rotation_p) == (3, "adamw", 0.0)
    assert plan.why("batch_size") == "set by hand"
    assert with_settings(PLAN, ["patch_size=64, 96, 12"]).patch_size == (64, 96, 12)
    assert with_settings(PLAN, ["mirror_axes="]).mirror_axes == ()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("batch=3", "did you mean 'batch_size'"),
        ("batch_size=many", "batch_size"),
        ("batch_size", "name=value"),
        ("patch_size=17,17,17", "multiple"),
        ("network.norm=layer", "norm"),
        ("optimisation.optimiser=lion", "optimiser"),
        ("version=2", "unknown setting"),
        ("overlap=1.5", "overlap"),
        ("overlap.x=1", "no parts"),
    ],
)
def test_wrong_settings_are_refused(setting: str, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        with_settings(PLAN, [setting])


def test_damaged_plans_are_refused() -> None:
    for text in ("", "{}", "[1]", plan_to_json(PLAN).replace('"version": 4', '"version": 99')):
        with pytest.raises(PlanError):
            plan_from_json(text)


def test_the_network_is_a_unet_by_default() -> None:
    assert isinstance(PLAN.network, UNetSpec)
