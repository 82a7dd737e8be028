"""Which mirror images are looked at."""

import pytest
from jaxtyping import TypeCheckError

from vesalius.errors import PlanError
from vesalius.predict.views import AS_IT_IS, views_of


def test_all_combinations():
    assert views_of((0, 2)) == ((), (0,), (2,), (0, 2))
    assert len(views_of((0, 1, 2))) == 8


def test_the_opposite_has_every_axis_mirrored():
    assert views_of((0, 1, 2), "opposite") == ((), (0, 1, 2))
    assert views_of((1,), "opposite") == views_of((1,))


@pytest.mark.parametrize("mirror", [True, False, "opposite"])
def test_without_axes_there_is_but_the_window(mirror):
    assert views_of((), mirror) == AS_IT_IS


def test_other_ways_are_refused():
    with pytest.raises((PlanError, TypeCheckError), match="diagonal"):
        views_of((0,), "diagonal")
