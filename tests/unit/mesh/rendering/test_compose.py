"""What is in front, what shines through, and how large things are: each with an answer from paper."""

import numpy as np
import pytest
from bodies import ball, box, flipped, ring

from vesalius.image import Label
from vesalius.mesh import Surface
from vesalius.mesh.colours import ColourScale
from vesalius.mesh.painted import Painted
from vesalius.mesh.rendering import Camera, Clip, arrange
from vesalius.mesh.rendering import compose as module
from vesalius.mesh.rendering.compose import compose
from vesalius.mesh.rendering.projection import Projection, fitted

pytest.importorskip("cv2")
RED, GREEN, BLUE = (200, 40, 40), (40, 200, 40), (40, 40, 200)
VIEWS = ["anterior", "posterior", "left", "right", "superior", "inferior"]


def drawn(surfaces, camera=None, *, size=(160, 120), samples=2, mm_per_px=None, **how):
    scene = arrange(surfaces, **how)
    projection = fitted(scene.points_mm, camera or Camera(), size, margins_px=(8, 8))
    if mm_per_px is not None:
        projection = Projection(projection.camera, np.zeros(3), mm_per_px, size, projection.radius_mm * 2)
    return compose(scene, projection, samples=samples), projection


def open_plate(*, at_mm=0.0, colour=RED, name="plate"):
    """A square across the view from the front, without an inside."""
    corners = np.array([[-20, at_mm, -20], [20, at_mm, -20], [20, at_mm, 20], [-20, at_mm, 20.0]])
    return Surface(corners, [[0, 1, 2], [0, 2, 3]], Label(name, 1, colour))


@pytest.mark.parametrize("view", VIEWS)
def test_the_silhouette_of_a_ball_is_a_disc(view):
    picture, projection = drawn([ball(20.0, steps=120)], Camera.of(view), size=(400, 300))
    area = float(picture[..., 3].sum()) * projection.mm_per_px**2
    assert area == pytest.approx(np.pi * 20**2, rel=0.002)


def test_a_box_covers_the_pixels_that_it_must():
    picture, _ = drawn([box((20, 30, 10))], size=(60, 40), samples=1, mm_per_px=1.0)
    expected = np.zeros((40, 60))
    expected[15:25, 20:40] = 1
    np.testing.assert_array_equal(picture[..., 3], expected)
    half, _ = drawn([box((21, 30, 10))], size=(60, 40), mm_per_px=1.0)
    np.testing.assert_allclose(half[20, 18:22, 3], [0, 0.5, 1, 1])


@pytest.mark.parametrize("view", VIEWS)
def test_each_side_is_where_a_person_would_see_it(view):
    """A ball on each side of the patient, each of its own colour."""
    sides = {"left": (1, 0, 0), "posterior": (0, 1, 0), "superior": (0, 0, 1)}
    sides |= {"right": (-1, 0, 0), "anterior": (0, -1, 0), "inferior": (0, 0, -1)}
    colours = {side: (60 + 30 * n, 250 - 40 * n, 20 + 37 * n) for n, side in enumerate(sides)}
    balls = [
        Surface(one.vertices, one.faces, Label(side, 1, colours[side]))
        for side, at in sides.items()
        for one in [ball(4.0, centre_mm=np.array(at) * 20.0, steps=12)]
    ]
    picture, _ = drawn(balls, Camera.of(view), size=(101, 101), mm_per_px=0.5)
    shown = {
        "anterior": ("left", "superior"), "posterior": ("right", "superior"), "left": ("posterior", "superior"),
        "right": ("anterior", "superior"), "superior": ("right", "anterior"), "inferior": ("left", "anterior"),
    }  # fmt: skip
    right, top = shown[view]
    for at, side in (((50, 90), right), ((10, 50), top), ((50, 50), view)):
        red, green, blue = picture[at][:3] / picture[at][:3].max()
        # Light changes how bright a colour is, and highlights make it a little paler.
        np.testing.assert_allclose([red, green, blue], np.array(colours[side]) / max(colours[side]), atol=0.12)


def test_the_nearer_one_hides_the_other_whatever_the_order():
    front, behind = box(centre_mm=(0, -20, 0), colour=RED), box((30, 10, 30), name="b", value=2, colour=GREEN)
    first, _ = drawn([front, behind])
    second, _ = drawn([behind, front])
    np.testing.assert_array_equal(first, second)
    assert first[60, 80, 0] > first[60, 80, 1]
    back, _ = drawn([front, behind], Camera.of("posterior"))
    assert (back[..., 0] <= back[..., 1]).all()


def test_what_can_be_seen_through_lets_through_what_its_opacity_leaves():
    plates = [
        open_plate(at_mm=0, colour=RED, name="red"),
        open_plate(at_mm=-10, colour=GREEN, name="green"),
        open_plate(at_mm=-20, colour=BLUE, name="blue"),
    ]
    alone = {plate.label.name: drawn([plate], mm_per_px=1.0)[0][60, 80, :3] for plate in plates}
    opacity = {"green": 0.25, "blue": 0.6}
    expected = 0.6 * alone["blue"] + 0.4 * (0.25 * alone["green"] + 0.75 * alone["red"])
    for order in (plates, plates[::-1]):
        picture, _ = drawn(order, opacity=opacity, mm_per_px=1.0)
        np.testing.assert_allclose(picture[60, 80, :3], expected, atol=1e-6)
        assert picture[60, 80, 3] == 1
    # With nothing behind, as much of the background shows as both leave.
    clear, _ = drawn(plates[1:], opacity=opacity, mm_per_px=1.0)
    assert clear[60, 80, 3] == pytest.approx(1 - 0.4 * 0.75)
    np.testing.assert_allclose(clear[60, 80, :3], 0.6 * alone["blue"] + 0.4 * 0.25 * alone["green"], atol=1e-6)
    behind, _ = drawn(plates, Camera.of("posterior"), opacity=opacity, mm_per_px=1.0)
    np.testing.assert_allclose(behind[60, 80, :3], alone["red"], atol=0.1)  # opaque, and in front


@pytest.mark.parametrize("perspective", [False, True])
def test_a_cut_is_filled_with_the_colour_of_the_structure(perspective):
    one = ball(20.0, steps=120)
    one = Surface(one.vertices, one.faces, Label("ball", 1, RED))
    camera = Camera.of("superior", perspective=perspective)
    picture, projection = drawn([one], camera, clips=[Clip("superior", 0.25)], size=(300, 300))
    filled = (np.abs(picture[..., :3] - np.array(RED) / 255) < 1e-3).all(axis=2)
    scale = projection.mm_per_px
    if perspective:
        scale *= (projection.distance_mm - (10 - projection.centre_mm[2])) / projection.distance_mm
    # The plane lies 10 mm above the centre of the ball.
    assert filled.sum() * scale**2 == pytest.approx(np.pi * (20**2 - 10**2), rel=0.01)
    below, _ = drawn([one], Camera.of("inferior"), clips=[Clip("superior", 0.25)], size=(300, 300))
    assert not (np.abs(below[..., :3] - np.array(RED) / 255) < 1e-3).all(axis=2)[:, 140:160].any()


def test_a_cut_through_a_ring_has_two_discs_and_a_hole():
    one = ring(20.0, 6.0, steps=120)
    picture, projection = drawn([one], Camera.of("left"), clips=[Clip("left", 0.5)], size=(600, 400), samples=1)
    colour = arrange([one]).bodies[0].colour
    filled = (np.abs(picture[..., :3] - np.array(colour) / 255) < 1e-3).all(axis=2)
    assert filled.sum() * projection.mm_per_px**2 == pytest.approx(2 * np.pi * 6**2, rel=0.01)
    assert not filled[:, 280:320].any()


def test_two_cuts_show_each_their_own_face():
    one = box((40, 40, 40), colour=RED)
    camera = Camera(45, 35)
    picture, _ = drawn([one], camera, clips=[Clip("left", 0.25), Clip("anterior", 0.25)], samples=1)
    alone, _ = drawn([box((30, 30, 40), centre_mm=(-5, 5, 0), colour=RED)], camera, samples=1)
    np.testing.assert_array_equal(picture[..., 3], alone[..., 3])  # what is left is a smaller box
    flat = (np.abs(picture[..., :3] - np.array(RED) / 255) < 1e-3).all(axis=2)
    share = flat.sum() / picture[..., 3].sum()
    left, front, top = abs(camera.towards)
    assert share == pytest.approx((left * 1200 + front * 1200) / (left * 1200 + front * 1200 + top * 900), abs=0.01)


def test_what_stays_whole_stands_out_of_the_cut():
    inner, outer = ball(5.0, name="tumour", value=2), ball(20.0, name="liver")
    pictures = [
        drawn([outer, inner], Camera.of("left"), clips=[Clip("anterior", 0.5)], whole=iter(whole), size=(300, 300))[0]
        for whole in ((), ("tumour",))
    ]
    covered = [float(picture[..., 3].sum()) for picture in pictures]
    assert covered[1] > 1.03 * covered[0]


def test_an_open_surface_is_seen_from_both_sides_and_never_filled():
    plate = open_plate()
    for view in ("anterior", "posterior"):
        picture, _ = drawn([plate], Camera.of(view), clips=[Clip("left", 0.25)], mm_per_px=1.0, size=(60, 60))
        assert picture[..., 3].sum() == pytest.approx(30 * 40)
        assert picture[30, 30, 0] > 0.4
    inside_out, _ = drawn([flipped(ball(20.0))], clips=[Clip("anterior", 0.5)])
    assert inside_out[..., 3].max() == 1


def test_values_have_the_colours_of_their_scale():
    """Across a plate of two triangles: linear, though OpenCV reckons with perspective."""
    plate = open_plate()
    tilted = Surface(plate.vertices + np.outer([-1, 1, 1, -1], [0, 15, 0]), plate.faces, plate.label)
    scale = ColourScale(-20.0, 20.0, "sequential")
    painted = Painted(tilted, tilted.vertices[:, 0], "distance", "mm", scale)
    picture, _ = drawn([painted], mm_per_px=1.0, size=(60, 60), samples=1)
    row = picture[30, 10:50, :3]
    expected = scale.colours(np.arange(40) - 19.5) / 255
    light = row.max(axis=1) / expected.max(axis=1)
    assert np.ptp(light) < 0.02  # one light on a flat face
    np.testing.assert_allclose(row, expected * light[:, None], atol=0.01)
    none = Painted(tilted, [np.nan, 1.0, 1.0, np.nan], "distance", "mm", scale)
    grey = drawn([none], mm_per_px=1.0, size=(60, 60), samples=1)[0][30, 12, :3]
    assert np.ptp(grey) < 1e-3


def test_bands_make_no_difference(monkeypatch):
    surfaces = [ring(20.0, 6.0), ball(8.0, name="ball", value=2)]
    how = {"opacity": {"ball": 0.5}, "clips": [Clip("superior", 0.3), Clip("anterior", 0.4)], "size": (200, 400)}
    whole, _ = drawn(surfaces, Camera(20, 30), **how)
    monkeypatch.setattr(module, "_BAND_PX", 1)
    bands, _ = drawn(surfaces, Camera(20, 30), **how)
    # Places in a band are rounded otherwise than those in the whole picture: far less than a shade of 255.
    np.testing.assert_allclose(bands, whole, atol=1e-4)


def test_the_same_picture_each_time_on_any_number_of_threads():
    import cv2

    before = cv2.getNumThreads()
    try:
        made = []
        for threads in (1, 4, 1):
            cv2.setNumThreads(threads)
            made.append(drawn([ring(20.0, 6.0), ball(8.0, name="ball", value=2)], Camera(20, 30))[0].tobytes())
    finally:
        cv2.setNumThreads(before)
    assert made[0] == made[1] == made[2]
