"""Boxes that together make an image, and neighbours counted in mm."""

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.image import Grid, Volume
from vesalius.transform.boxes import each_box, halo, moved, offsets_within, per_channel, positive


@pytest.mark.parametrize("shape", [(7,), (5, 11), (9, 4, 6), (1, 1, 1), (3, 100, 2)])
@pytest.mark.parametrize("points", [1, 10, 1000])
def test_every_voxel_is_in_one_box(shape: tuple[int, ...], points: int) -> None:
    seen = np.zeros(shape, int)

    def count(box: tuple[slice, ...]) -> None:
        seen[box] += 1

    each_box(shape, count, points=points)
    assert (seen == 1).all()


def test_an_error_in_a_box_is_not_lost() -> None:
    def fail(box: tuple[slice, ...]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        each_box((4, 4), fail, points=1)


def test_neighbours_lie_within_a_radius_in_mm() -> None:
    assert len(offsets_within(1.0, (1.0, 1.0, 1.0))) == 7
    assert len(offsets_within(1.5, (1.0, 1.0, 1.0))) == 19
    assert offsets_within(0.9, (1.0, 2.0)) == [(0, 0)]
    # 2.1 mm: two steps of 1 mm along the first axis, one of 2 mm along the second, no diagonal of (1, 2).
    assert offsets_within(2.1, (1.0, 2.0)) == [(-2, 0), (-1, 0), (0, -1), (0, 0), (0, 1), (1, 0), (2, 0)]


def test_a_moved_box_of_the_rim_is_the_neighbourhood() -> None:
    array = np.arange(12).reshape(3, 4)
    wide = halo(array, (1, 1))
    assert wide[moved((slice(0, 3), slice(0, 4)), (2, 1))].tolist() == [[4, 5, 6, 7], [8, 9, 10, 11], [8, 9, 10, 11]]


def test_channels_are_worked_on_as_they_lie_in_memory() -> None:
    array = np.asfortranarray(np.arange(24.0).reshape(1, 2, 3, 4))
    told = []

    def note(channel: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
        told.append((channel.flags.c_contiguous, spacing))
        return channel * 2

    made = per_channel(Volume(array, Grid.from_spacing((2, 3, 4), (1.0, 2.0, 3.0))), note)
    np.testing.assert_array_equal(made.array, array * 2)
    assert told == [(True, (3.0, 2.0, 1.0))]
    assert made.array.strides[1:] == array.strides[1:]


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
def test_settings_that_are_not_above_zero(value: float) -> None:
    with pytest.raises(DataError, match="sigma_mm must be a number above 0"):
        positive(sigma_mm=value)
