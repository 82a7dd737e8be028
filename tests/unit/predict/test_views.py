"""Which mirror images are looked at."""

from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError

from vesalius.errors import PlanError
from vesalius.predict.answers import mirrored
from vesalius.predict.views import AS_IT_IS, View, planned_views, views_of


def axes_of(views):
    return tuple(view.axes for view in views)


def test_all_combinations():
    assert axes_of(views_of((0, 2))) == ((), (0,), (2,), (0, 2))
    assert len(views_of((0, 1, 2))) == 8


def test_the_opposite_has_every_axis_mirrored():
    assert axes_of(views_of((0, 1, 2), "opposite")) == ((), (0, 1, 2))
    assert views_of((1,), "opposite") == views_of((1,))


@pytest.mark.parametrize("mirror", [True, False, "opposite"])
def test_without_axes_there_is_but_the_window(mirror):
    assert views_of((), mirror) == AS_IT_IS


def test_other_ways_are_refused():
    with pytest.raises((PlanError, TypeCheckError), match="diagonal"):
        views_of((0,), "diagonal")


def test_outputs_change_places_where_left_and_right_do():
    assert views_of((0, 1), outputs=(0, 2, 1)) == (
        View(), View((0,), (0, 2, 1)), View((1,)), View((0, 1), (0, 2, 1)),
    )  # fmt: skip
    assert views_of((0,), outputs=(0, 1, 2)) == views_of((0,))


def test_what_is_turned_back_lies_where_it_was():
    view, x = View((0, 2), (1, 0)), torch.arange(2 * 2 * 3 * 4 * 5.0).reshape(2, 2, 3, 4, 5)
    assert torch.equal(view.of(x)[1, 0, 0, 1, 4], x[1, 0, 2, 1, 0])
    assert torch.equal(view.back(view.of(x)), x.flip(1))


@pytest.mark.parametrize("looks", [1, 3])
def test_the_mean_is_of_what_each_look_says(looks, rng):
    weight = torch.from_numpy(rng.normal(size=(3, 1, 3, 3, 3)).astype("float32"))
    windows = torch.from_numpy(rng.normal(size=(2, 1, 6, 5, 4)).astype("float32"))

    def network(x):
        return torch.nn.functional.conv3d(x, weight, padding=1)

    views = views_of((0, 2), outputs=(0, 2, 1))
    expected = torch.stack([view.back(network(view.of(windows))) for view in views]).mean(dim=0)
    torch.testing.assert_close(mirrored(network, windows, views, 3, looks=looks), expected)
    # A mirrored patient gets the mirrored answer, left for right.
    other = mirrored(network, windows.flip(2), views, 3, looks=looks)
    torch.testing.assert_close(other.flip(2)[:, [0, 2, 1]], expected)
    (alone,) = (View((0,), (0, 2, 1)),)
    torch.testing.assert_close(mirrored(network, windows, (alone,), 3), alone.back(network(alone.of(windows))))


def test_a_plan_s_axes_are_those_of_segmenting_unless_other_looks_are_asked_for(bundle):
    plan = replace(bundle.plan, mirror_axes=(1,), augmentation=replace(bundle.plan.augmentation, mirror_axes=(2,)))
    assert axes_of(planned_views(plan)) == ((), (1,))
    assert axes_of(planned_views(plan, True)) == ((), (1,), (2,), (1, 2))
    assert planned_views(plan, False) == AS_IT_IS
    never = replace(plan, mirror_axes=(), augmentation=replace(plan.augmentation, mirror_p=0.0))
    assert planned_views(never, True) == AS_IT_IS
