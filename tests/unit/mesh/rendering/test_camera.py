"""Left is left: directions of views, and the letters that tell them."""

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.mesh.rendering import VIEWS, Camera
from vesalius.mesh.rendering.camera import letters

LPS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


@pytest.mark.parametrize(
    ("view", "towards", "right", "up"),
    [
        ("anterior", "A", "L", "S"),  # face to face with the patient
        ("posterior", "P", "R", "S"),
        ("left", "L", "P", "S"),
        ("right", "R", "A", "S"),
        ("superior", "S", "R", "A"),  # from above: the patient's right is at the viewer's right
        ("inferior", "I", "L", "A"),  # from the feet, as axial images are shown
    ],
)
def test_what_each_view_has_at_its_right_and_top(view, towards, right, up):
    camera = Camera.of(view)
    for axis, letter in ((camera.towards, towards), (camera.right, right), (camera.up, up)):
        assert tuple(axis) == LPS[letter]
        assert letters(axis) == letter


def test_nothing_is_mirrored():
    for azimuth in range(-360, 720, 37):
        for elevation in (-90, -50, 0, 20, 90):
            axes = Camera(azimuth, elevation).axes
            np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
            assert np.linalg.det(axes) == pytest.approx(1)


def test_turning_goes_to_the_left_and_up():
    for azimuth, view in ((0, "anterior"), (90, "left"), (180, "posterior"), (-90, "right")):
        np.testing.assert_array_equal(Camera(azimuth).axes, Camera.of(view).axes)
    assert Camera.of("anterior", azimuth_deg=45).towards @ LPS["L"] == pytest.approx(np.sqrt(0.5))
    assert Camera.of("anterior", elevation_deg=30).towards @ LPS["S"] == pytest.approx(0.5)


def test_letters_between_sides():
    assert letters(Camera(30).right) == "LP"
    assert letters(Camera(10).right) == "L"  # within 15°
    assert letters(np.ones(3) / np.sqrt(3)) == "LPS"


@pytest.mark.parametrize(
    "wrong",
    [
        {"elevation_deg": 91},
        {"azimuth_deg": np.nan},
        {"zoom": 0},
        {"zoom": np.inf},
        {"zoom": 1e4},
        {"zoom": -1},
        {"elevation_deg": np.nan},
    ],
)
def test_what_is_no_camera(wrong):
    with pytest.raises(DataError):
        Camera(**wrong)


def test_an_unknown_view_names_the_known_ones():
    with pytest.raises(DataError, match="anterior"):
        Camera.of("front")
    with pytest.raises(DataError, match="elevation"):
        Camera.of("superior", elevation_deg=5)
    assert len(VIEWS) == 6
