import dataclasses
import math

import pytest

from vesalius.errors import PlanError
from vesalius.plan import Loss, Optimisation


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "dyce"}, "unknown loss 'dyce': did you mean 'dice'"),
        ({"class_weights": (1.0, -1.0)}, "class_weights must be 0 or more"),
        ({"class_weights": (0.0, 0.0)}, "class_weights must be 0 or more, and one more than 0"),
        ({"class_weights": (math.nan, 1.0)}, "class_weights"),
        ({"class_weights": (1.0, 2.0), "kind": "dice"}, "dice has no use for them"),
        ({"focal_gamma": -1.0}, "focal_gamma must be 0 or more, not -1.0"),
        ({"tversky_alpha": math.inf}, "tversky_alpha"),
        ({"tversky_beta": 0.0}, "tversky_beta must be more than 0"),
        ({"tversky_exponent": 0.0}, "tversky_exponent"),
        ({"boundary_share": 1.5}, "boundary_share must be 0 to 1"),
        ({"cldice_share": -0.1}, "cldice_share must be 0 to 1"),
        ({"cldice_iterations": 0}, "cldice_iterations must be at least 1"),
    ],
)
def test_a_loss_that_cannot_be_is_refused(change, words) -> None:
    with pytest.raises(PlanError, match=words):
        Loss(**change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimiser": "adamv"}, "unknown optimiser 'adamv'"),
        ({"schedule": "sine"}, "unknown schedule 'sine'.*cosine"),
        ({"learning_rate": 0.0}, "learning_rate must be more than 0"),
        ({"gradient_clip": math.nan}, "gradient_clip must be more than 0"),
        ({"momentum": 1.0}, "momentum must be 0 to less than 1"),
        ({"average_decay": -0.1}, "average_decay"),
        ({"weight_decay": -1e-5}, "weight_decay must be 0 or more"),
        ({"warm_up_steps": -1}, "warm_up_steps must be 0 or more"),
        ({"patience": -1}, "patience must be 0 or more"),
    ],
)
def test_an_optimisation_that_cannot_be_is_refused(change, words) -> None:
    with pytest.raises(PlanError, match=words):
        Optimisation(**change)


def test_the_share_of_the_boundary_grows_in_a_straight_line_and_nothing_else_does() -> None:
    loss = Loss(kind="boundary", boundary_share=0.8)
    assert [loss.at(progress).boundary_share for progress in (-0.1, 0.0, 0.5, 1.0, 1.2)] == [0, 0, 0.4, 0.8, 0.8]
    assert dataclasses.replace(loss.at(0.5), boundary_share=0.8) == loss
    other = Loss(kind="cldice", boundary_share=0.8)
    assert other.at(0.5) is other


def test_the_defaults_are_what_suits_muon() -> None:
    assert Optimisation.for_optimiser("muon", 400) == dataclasses.replace(
        Optimisation(), warm_up_steps=20, average_decay=0.95
    )


def test_each_optimiser_has_values_of_its_own() -> None:
    made = {kind: Optimisation.for_optimiser(kind, 10_000) for kind in ("muon", "adamw", "adam", "sgd")}
    assert {kind: how.schedule for kind, how in made.items()} == {
        "muon": "trapezoid", "adamw": "cosine", "adam": "linear", "sgd": "poly",
    }  # fmt: skip
    assert len({how.learning_rate for how in made.values()}) == 4
    assert all(how.optimiser == kind for kind, how in made.items())
    assert {(how.warm_up_steps, how.average_decay) for how in made.values()} == {(50, 0.998)}


def test_very_few_and_very_many_steps_stay_within_bounds() -> None:
    few, many = (Optimisation.for_optimiser("sgd", steps) for steps in (0, 10**7))
    assert (few.warm_up_steps, few.average_decay) == (0, 0.9)
    assert (many.warm_up_steps, many.average_decay) == (50, 0.999)
    with pytest.raises(PlanError, match="unknown optimiser 'lion'"):
        Optimisation.for_optimiser("lion", 100)
