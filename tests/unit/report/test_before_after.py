"""Two images in one picture: blue only before, orange only after, grey what is alike; squares by turns; a tint."""

import numpy as np
import pytest
from bodies import ball

from vesalius.errors import GeometryError
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.mesh.colours import ColourScale
from vesalius.report import before_after
from vesalius.report.panels import Panel

GRID = Grid.from_spacing((40, 32, 24), (1.0, 1.0, 1.0))
CENTRE = np.array([20.0, 16.0, 12.0])


@pytest.fixture
def panels(monkeypatch) -> list[Panel]:
    """The panels that are drawn, before matplotlib has them."""
    kept: list[Panel] = []
    drawn = before_after.draw_panels

    def keep(found, *args, **how):
        kept.extend(found)
        return drawn(found, *args, **how)

    monkeypatch.setattr(before_after, "draw_panels", keep)
    return kept


def ct(value: float, *, right: float | None = None) -> Volume:
    """A CT of one value; the patient's right half may have another."""
    array = np.full((1, *GRID.shape), value, np.float32)
    if right is not None:
        array[:, :20] = right
    return Volume(array, GRID, Meta("CT", "HU"))


def test_what_is_alike_is_grey_and_what_is_not_has_a_colour(panels):
    # Soft tissue is shown from -160 to 240 HU: 240 is white, -160 black.
    picture = before_after.fusion(ct(240.0, right=-160.0), ct(240.0), [], CENTRE, title="x")
    assert picture.dtype == np.uint8
    axial = panels[0].image
    assert [panel.name for panel in panels] == ["axial\nz = 12.0 mm", "coronal\ny = 16.0 mm", "sagittal\nx = 20.0 mm"]
    assert axial.shape == (32, 40, 3)
    np.testing.assert_allclose(axial[10, 35], 1.0)  # the patient's left lies on the right of the picture
    red, green, blue = axial[10, 5]
    assert red > green > blue  # only after: orange
    panels.clear()
    before_after.fusion(ct(240.0), ct(240.0, right=-160.0), [], CENTRE)
    red, green, blue = panels[0].image[10, 5]
    assert blue > green > red  # only before: blue


def test_outlines_of_both_are_drawn_in_their_colours(panels):
    pair = ball(6.0, centre_mm=CENTRE, steps=16), ball(9.0, centre_mm=CENTRE, steps=16)
    before_after.fusion(ct(0.0), ct(0.0), [pair], CENTRE)
    lines = {line.name: line for line in panels[0].lines}
    assert set(lines) == {"before", "after"}
    for name, radius in (("before", 6.0), ("after", 9.0)):
        points = lines[name].points_mm - (20.5, 16.5)  # from the corner of the first pixel
        np.testing.assert_allclose(np.linalg.norm(points, axis=1), radius, atol=0.15)
    assert lines["before"].colour != lines["after"].colour


def test_squares_show_the_scans_by_turns(panels):
    before_after.checkerboard(ct(-160.0), ct(240.0), [], CENTRE)
    for panel in panels:
        assert set(np.unique(panel.image)) == {0.0, 1.0}
        assert panel.image[0, 0] == 0.0
        assert 0.35 < panel.image.mean() < 0.65
    axial = panels[0].image  # squares of 4 pixels: an eighth of 32
    np.testing.assert_array_equal(axial[0, :12], [0.0] * 4 + [1.0] * 4 + [0.0] * 4)
    np.testing.assert_array_equal(axial[:12, 0], [0.0] * 4 + [1.0] * 4 + [0.0] * 4)


def test_maps_lie_over_an_image_or_over_nothing(panels):
    array = np.zeros(GRID.shape, np.uint8)
    array[18:22, 14:18, 10:14] = 2
    changes = LabelMap(array, GRID, Labels.of({"stable": 1, "gained": 2}))
    for image in (ct(40.0), None):
        panels.clear()
        before_after.over(image, changes, [], CENTRE)
        assert panels[0].present == {2}
        assert panels[0].image.max() == pytest.approx(0.0 if image is None else 0.5)


def test_numbers_have_their_colours_and_nothing_has_none(panels):
    numbers = np.full(GRID.shape, np.nan)
    numbers[:20] = 1.5  # the patient's right
    scale = ColourScale(0.5, 1.5, "diverging")
    picture = before_after.tinted(ct(240.0), numbers, scale, CENTRE, name="growth")
    axial = panels[0].image
    np.testing.assert_allclose(axial[10, 35], 1.0)
    red, green, blue = axial[10, 5]
    assert red > green > blue
    bar = before_after.colour_bar(scale, "growth", picture.shape[1])
    np.testing.assert_array_equal(picture[-len(bar) :], bar)
    row = bar[len(bar) // 2 - 1]  # from blue on the left to orange-red on the right
    left, right = row[round(0.22 * len(row))].astype(int), row[round(0.78 * len(row))].astype(int)
    assert left[2] > left[0] + 60
    assert right[0] > right[2] + 60


def test_what_does_not_fit_is_refused():
    other = Volume(np.zeros((1, 8, 8, 8)), Grid.from_spacing((8, 8, 8), (1.0, 1.0, 1.0)))
    with pytest.raises(GeometryError, match="different grids"):
        before_after.fusion(ct(0.0), other, [], CENTRE)
    with pytest.raises(GeometryError, match="do not fit"):
        before_after.tinted(ct(0.0), np.zeros((4, 4, 4)), ColourScale(0, 1, "sequential"), CENTRE, name="x")


def test_a_point_beyond_the_image_is_brought_to_its_end():
    np.testing.assert_allclose(before_after.nearest_inside(GRID, [-9.0, 16.0, 99.0]), [0.0, 16.0, 23.0])
    np.testing.assert_allclose(before_after.nearest_inside(GRID, CENTRE), CENTRE)
