"""Ellipses fitted to outlines: known shapes at any turn and scale, and what is none."""

import math

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics.ellipse import Ellipse, fit_ellipse, measure_circumferences, outline_ellipse
from vesalius.metrics.size import measure

HEAD = Labels.of({"head": 1})


def ramanujan(long: float, short: float) -> float:
    """His second formula, of the two axes from end to end."""
    a, b = long / 2, short / 2
    h = ((a - b) / (a + b)) ** 2
    return math.pi * (a + b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))


def drawn(long: float, short: float, angle_deg: float, *, shape=(300, 260), pixel=(1.0, 1.0)) -> LabelMap:
    """An ellipse with axes in mm, drawn on pixels by their centres."""
    grid = Grid.from_spacing(shape, pixel)
    points = grid.to_points(np.moveaxis(np.indices(shape), 0, -1))
    x, y = np.moveaxis(points - grid.to_points((np.array(shape) - 1) / 2 + (0.3, -0.2)), -1, 0)
    turn = math.radians(angle_deg)
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    inside = (2 * along / long) ** 2 + (2 * across / short) ** 2 < 1
    return LabelMap(inside.astype(np.uint8), grid, HEAD)


@pytest.mark.parametrize("angle_deg", [0, 17, 45, 90, -60])
@pytest.mark.parametrize(("long", "short"), [(200, 160), (120, 119), (60, 30)])
def test_a_drawn_ellipse_is_found_within_half_a_percent(long, short, angle_deg):
    found = outline_ellipse(drawn(long, short, angle_deg), "head")
    assert found.circumference_mm == pytest.approx(ramanujan(long, short), rel=0.005)
    assert found.long_axis_mm == pytest.approx(long, rel=0.005)
    assert found.short_axis_mm == pytest.approx(short, rel=0.01)
    if long > 1.2 * short:
        assert abs((found.angle_deg - angle_deg + 90) % 180 - 90) < 1


@pytest.mark.parametrize("pixel", [(0.11, 0.11), (0.5, 0.25)])
def test_lengths_are_in_mm_whatever_the_pixels(pixel):
    found = outline_ellipse(drawn(200 * pixel[0], 160 * pixel[0], 30, shape=(280, 500), pixel=pixel), "head")
    assert found.circumference_mm == pytest.approx(ramanujan(200 * pixel[0], 160 * pixel[0]), rel=0.005)


def test_the_circumference_is_exact():
    assert Ellipse((0, 0), 4.0, 2.0, 0).circumference_mm == pytest.approx(9.688448220547675, rel=1e-12)  # DLMF, E(3/4)
    assert Ellipse((0, 0), 4.0, 3.0, 0).circumference_mm == pytest.approx(ramanujan(4, 3), rel=1e-8)
    assert Ellipse((0, 0), 4.0, 2.0, 0).area_mm2 == pytest.approx(2 * math.pi)


def test_holes_and_stray_pieces_do_not_count():
    whole = drawn(160, 120, 20)
    torn = whole.array.copy()
    torn[140:160, 120:140] = 0
    torn[3:10, 3:10] = 1
    torn = LabelMap(torn, whole.grid, HEAD)
    assert outline_ellipse(torn, "head") == outline_ellipse(whole, "head")


def test_exact_points_and_a_part_of_the_outline():
    turn = np.linspace(0.2, 3.4, 9)  # about half of it
    points = np.column_stack([1e4 + 80 * np.cos(turn), -300 + 50 * np.sin(turn)])
    found = fit_ellipse(points)
    assert (found.long_axis_mm, found.short_axis_mm) == pytest.approx((160, 100), rel=1e-6)
    assert found.centre_mm == pytest.approx((1e4, -300), rel=1e-6)


def test_noise_moves_it_little(rng):
    turn = rng.uniform(0, 2 * math.pi, 400)
    points = np.column_stack([90 * np.cos(turn), 70 * np.sin(turn)]) + rng.normal(0, 1, (400, 2))
    assert fit_ellipse(points).circumference_mm == pytest.approx(ramanujan(180, 140), rel=0.005)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(0, 0), (1, 0), (1, 1), (0, 1)], "5 different points; there are 4"),
        ([(0, 0), (1, 0), (1, 1), (0, 1)] * 3, "there are 4"),
        ([(n, 2 * n) for n in range(9)], "on a line"),
        ([(0, 0), (1, 0), (1, 1), (0, 1), (0.5, float("nan"))], "not finite"),
        ([(0, 0, 0)] * 6, r"not \(6, 3\)"),
    ],
)
def test_points_on_no_ellipse(points, message):
    with pytest.raises(DataError, match=message):
        fit_ellipse(np.array(points))


def test_label_maps_without_an_outline():
    grid = Grid.from_spacing((9, 9), (1.0, 1.0))
    one = np.zeros((9, 9), np.uint8)
    with pytest.raises(DataError, match="head has no pixels"):
        outline_ellipse(LabelMap(one, grid, HEAD), "head")
    with pytest.raises(DataError, match="unknown label 'haed'"):
        outline_ellipse(LabelMap(one, grid, HEAD), "haed")
    one[4, 4] = 1
    with pytest.raises(DataError, match="there are 4"):
        outline_ellipse(LabelMap(one, grid, HEAD), "head")
    with pytest.raises(GeometryError, match="3D"):
        outline_ellipse(LabelMap(one[None], Grid.from_spacing((1, 9, 9), (1.0, 1.0, 1.0)), HEAD), "head")


def test_circumferences_of_sizes():
    labels = drawn(100, 80, 30, pixel=(0.5, 0.5))
    both = LabelMap(labels.array, labels.grid, Labels.of({"head": 1, "nothing": 2}))
    head, nothing = measure_circumferences(measure(both), both)
    assert head.circumference_mm == outline_ellipse(labels, "head").circumference_mm
    assert nothing.circumference_mm is None
    with pytest.raises(GeometryError, match="no scale"):
        measure_circumferences((), LabelMap(labels.array, Grid(labels.grid.shape, np.eye(3)), HEAD))
