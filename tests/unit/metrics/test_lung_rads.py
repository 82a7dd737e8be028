"""The size classes of Lung-RADS v2022, by its table."""

import pytest

from vesalius.errors import DataError
from vesalius.metrics.lung_rads import course_of, mean_diameter_mm, size_class


@pytest.mark.parametrize(
    ("course", "limits"),
    [
        ("baseline", {5.9: "2", 6.0: "3", 7.9: "3", 8.0: "4A", 14.9: "4A", 15.0: "4B"}),
        ("new", {3.9: "2", 4.0: "3", 5.9: "3", 6.0: "4A", 7.9: "4A", 8.0: "4B"}),
        ("growing", {3.0: "4A", 7.9: "4A", 8.0: "4B"}),
    ],
)
def test_limits_belong_to_the_class_above(course, limits):
    assert {mm: size_class(mm, course) for mm in limits} == limits


def test_mean_diameter_is_reported_to_one_decimal():
    assert mean_diameter_mm(8.0, 5.5) == 6.8
    assert mean_diameter_mm(6.04, 5.9) == 6.0
    assert size_class(mean_diameter_mm(6.0, 5.94)) == "3", "6.0 after rounding, as a reader would say"


def test_growth_is_more_than_a_millimetre_and_a_half_in_twelve_months():
    assert course_of(7.5, 6.0, days=300) == "baseline"
    assert course_of(7.6, 6.0, days=300) == "growing"
    assert course_of(7.6, 6.0, days=731) == "baseline", "over two years twice as much"
    assert course_of(4.0, None, days=300) == "new"


def test_no_diameter():
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(DataError, match="diameter"):
            size_class(wrong)
    with pytest.raises(DataError, match="course"):
        size_class(5.0, "stable")
