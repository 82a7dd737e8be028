"""Livewire: contours through clicked points."""

import numpy as np
import pytest

from vesalius.classical.livewire import livewire
from vesalius.errors import DataError, VesaliusError
from vesalius.image import Grid, Volume

FOUR = (10.0, 20.0, 20.0, 30.0, 30.0, 20.0, 20.0, 10.0)


def disc(spacing=(1.0, 1.0), origin=(0.0, 0.0)):
    shape = tuple(round(40 / s) for s in spacing)
    at = [index * s - 20 for index, s in zip(np.indices(shape), spacing, strict=True)]
    inside = np.hypot(*at) <= 10
    return Volume(inside[None] * 7.0, Grid.from_spacing(shape, spacing, origin_mm=origin)), inside


def dice(found, reference) -> float:
    return 2 * ((found != 0) & reference).sum() / ((found != 0).sum() + reference.sum())


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.25)])
def test_four_clicks_find_the_disc(spacing):
    image, inside = disc(spacing)
    found = livewire(image, points=FOUR, name="cell")
    assert found.labels.names == ("cell",)
    assert dice(found.array, inside) > 0.95
    # A square through the points would have two thirds of it.
    assert found.array.sum() > 1.3 * 200 / np.prod(spacing)


def test_a_dear_way_is_straight():
    image, _ = disc()
    found = livewire(image, points=FOUR, length_weight=100.0).array
    assert 200 <= found.sum() <= 221  # the border belongs to it or not


def test_millimetres_and_indices_are_the_same_points():
    image, _ = disc((0.5, 1.25), origin=(-30.0, 12.0))
    index = (20, 16, 40, 24, 60, 16, 40, 8)
    points = image.grid.to_points(np.reshape(index, (-1, 2))).ravel()
    mm = livewire(image, points=tuple(float(x) for x in points))
    np.testing.assert_array_equal(mm.array, livewire(image, points=tuple(map(float, index)), unit="index").array)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_that_were_clicked_on_are_filled(axis):
    picture, _ = disc()
    array = np.stack([picture.array[0]] * 3, axis=axis)
    image = Volume(array[None], Grid.from_spacing(array.shape, np.insert((1.0, 1.0), axis, 4.0)))
    flat = np.reshape(FOUR, (-1, 2))
    points = np.concatenate([np.insert(flat, axis, n, axis=1) for n in (0, 2)])
    found = livewire(image, points=tuple(points.ravel()), unit="index", axis=axis).array
    one = livewire(picture, points=FOUR).array
    for number, wanted in enumerate((one, np.zeros_like(one), one)):
        np.testing.assert_array_equal(found.take(number, axis), wanted)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ((), "at least 3 points"),
        ((1.0, 2.0, 3.0, 4.0), "at least 3 points"),
        ((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0), "7 numbers"),
        ((1.0, 2.0, float("nan"), 4.0, 5.0, 6.0), "finite"),
        ((10.0, 20.0, 20.0, 45.0, 30.0, 20.0), r"point 2 at \(20, 45\) mm lies outside"),
        ((10.0, 20.0) * 3, "encloses nothing"),
    ],
)
def test_points_that_make_no_contour(points, message):
    with pytest.raises(DataError, match=message):
        livewire(disc()[0], points=points)


def test_two_points_on_a_slice_are_too_few():
    image = Volume(np.random.default_rng(0).random((1, 9, 9, 3)), Grid.from_spacing((9, 9, 3), (1.0,) * 3))
    points = (1, 1, 0, 7, 1, 0, 4, 7, 0, 1, 1, 2, 7, 7, 2)
    with pytest.raises(DataError, match="slice 2 has 2"):
        livewire(image, points=tuple(map(float, points)))


@pytest.mark.parametrize("wrong", [{"length_weight": 0.0}, {"axis": 3}, {"sigma_mm": -1.0}, {"name": ""}])
def test_numbers_out_of_range(wrong):
    with pytest.raises(DataError):
        livewire(disc()[0], points=FOUR, **wrong)


def test_a_unit_that_does_not_exist_and_a_flat_image():
    image, _ = disc()
    with pytest.raises(VesaliusError, match="unknown unit 'cm'"):
        livewire(image, points=FOUR, unit="cm")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="everywhere"):
        livewire(image.with_array(np.zeros(image.array.shape)), points=FOUR)
