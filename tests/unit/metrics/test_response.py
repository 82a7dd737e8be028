"""Responses by RECIST 1.1 and by volume, worked out by hand."""

import pytest

from vesalius.errors import DataError
from vesalius.metrics.response import diameter_course, targets, volume_course

NONE = [False] * 4


def test_targets_are_the_five_largest_that_can_be_measured():
    assert targets([9.9, 40, 12, 11, 10, 25, 30], slice_mm=5.0) == (1, 6, 5, 2, 3)
    assert targets([9.9, 13.9, 14.0], slice_mm=7.0) == (2,)
    assert targets([], slice_mm=1.0) == ()


@pytest.mark.parametrize(
    ("sums", "wanted"),
    [
        ([100, 71, 70, 0], ("stable", "partial", "complete")),
        ([100, 120, 119, 90], ("progressive", "stable", "stable")),
        ([100, 50, 59, 60], ("partial", "partial", "progressive")),  # 60 is 20 % above the least, and 10 mm
        ([20, 12, 15, 17], ("partial", "stable", "progressive")),  # 15: 25 %, but 3 mm; 17: 5 mm
        ([0, 0, 0, 0], ("not evaluable",) * 3),
    ],
)
def test_sums_of_diameters(sums, wanted):
    assert diameter_course(sums, NONE).responses == wanted


def test_a_new_lesion_is_progression_whatever_the_sum():
    assert diameter_course([100, 40], [False, True]).responses == ("progressive",)
    assert volume_course([0, 1], [False, True]).responses == ("progressive",)


def test_volumes():
    found = volume_course([10, 3.5, 4.89, 4.9], NONE)
    assert found.responses == ("partial", "stable", "progressive")


def test_an_error_makes_a_response_unsure():
    # 70 is 30 % below 100; with ± 1.96 · √(1² + 1²) = ± 2.8 mm it may be 27 %.
    close = diameter_course([100, 70], NONE[:2], errors_mm=[1, 1])
    assert (close.responses, close.low, close.high) == (("partial",), ("partial",), ("stable",))
    assert close.is_sure == (False,)
    assert diameter_course([100, 50], NONE[:2], errors_mm=[1, 1]).is_sure == (True,)


def test_courses_need_two_time_points():
    with pytest.raises(DataError, match="two time points"):
        diameter_course([1.0], [False])
    with pytest.raises(DataError, match="two time points"):
        volume_course([1.0, 2.0], [False])
