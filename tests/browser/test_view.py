"""The page with surfaces, opened from disk in Chromium: what stands where, in which colour, and what changes it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from bodies import box
from view_pages import (
    BLUE,
    CENTRES,
    COLOURS,
    GREEN,
    RED,
    VIEWS,
    at_rest,
    balls,
    centre,
    colour_at,
    coloured,
    middle_of,
    near,
    opened,
    paper_of,
    pixel_of,
    plates,
    stage,
)

from vesalius.image import Grid, Label, LabelMap, Labels
from vesalius.mesh import extract
from vesalius.mesh.colours import NOTHING, ColourScale
from vesalius.mesh.painted import Painted
from vesalius.mesh.rendering import Camera

# --- where things are -------------------------------------------------------------------------------------------------


def test_it_opens_from_disk_and_asks_for_nothing(watched, tmp_path):
    page = opened(watched.page, tmp_path, balls())
    # Its icon and a saved picture are in the page itself.
    assert [url for url in watched.asked if not url.startswith("data:")] == [(tmp_path / "view.html").as_uri()]
    assert page.inner_text("#facing") == "Seen from the front. The patient’s left is on the right of the picture."


@pytest.mark.parametrize("perspective", [False, True])
def test_every_structure_stands_where_it_is_in_every_view(watched, tmp_path, perspective):
    surfaces = balls()
    page = opened(watched.page, tmp_path, surfaces)
    for view, (right, up) in VIEWS.items():
        page.click(f"#view-{view}")
        at_rest(page)
        places = {name: pixel_of(page, point, view, middle_of(surfaces)) for name, point in CENTRES.items()}
        edges = {
            e: page.locator(f"#overlay [data-edge={e}]").text_content() for e in ("left", "right", "top", "bottom")
        }
        letters = {(1, 0, 0): "L", (-1, 0, 0): "R", (0, 1, 0): "P", (0, -1, 0): "A", (0, 0, 1): "S", (0, 0, -1): "I"}
        assert edges["right"] == letters[right]
        assert edges["left"] == letters[tuple(-x for x in right)]
        assert edges["top"] == letters[up]
        assert edges["bottom"] == letters[tuple(-x for x in up)]
        if not perspective:
            picture = stage(page)
            assert {
                n: tuple(colour_at(picture, p))
                for n, p in places.items()
                if not near(colour_at(picture, p), COLOURS[n])
            } == {}
            continue
        page.click("#perspective")
        picture = stage(at_rest(page))
        page.click("#perspective")
        at_rest(page)
        # 30° of view: what is nearer than the middle moves outwards. The balls are larger than their centres' way.
        towards = np.cross(right, up)
        height = page.locator("#picture").bounding_box()["height"]
        px_per_mm = float(page.locator("#overlay .scale").get_attribute("data-px-per-mm"))
        distance = height / px_per_mm / 2 / np.tan(np.radians(15))
        for name, (column, row) in places.items():
            grown = distance / (distance - towards @ (np.array(CENTRES[name]) - middle_of(surfaces)))
            half = np.array([picture.shape[1], picture.shape[0]]) / 2
            found = colour_at(picture, half + (np.array([column, row]) - half) * grown)
            assert near(found, COLOURS[name], by=14), (view, name, found)  # not quite turned to the viewer


def test_a_label_map_that_lies_flipped_in_its_file_shows_its_left_on_the_right(watched, tmp_path):
    # The first axis runs to the patient's right, the second to the front: a mirror image would swap the colours.
    array = np.zeros((30, 10, 10), np.uint8)
    array[3:9, 2:8, 2:8], array[18:28, 2:8, 2:8] = 1, 2
    grid = Grid.from_spacing(array.shape, (2.0, 2.0, 2.0), direction=np.diag([-1.0, -1.0, 1.0]))
    labels = Labels((Label("left kidney", 1, RED), Label("right kidney", 2, BLUE)))
    page = opened(watched.page, tmp_path, extract(LabelMap(array, grid, labels)).surfaces())
    picture = stage(page)
    where = {}
    for name, colour in (("left", RED), ("right", BLUE)):
        strongest = np.argmax(colour)
        others = [k for k in range(3) if k != strongest]
        seen = (picture[..., strongest] > picture[..., others].max(axis=-1) + 60) & (picture.sum(axis=-1) < 600)
        where[name] = np.nonzero(seen)[1].mean()
    assert where["right"] < picture.shape[1] / 2 < where["left"]


def test_arrow_keys_pointer_and_wheel_turn_and_zoom(watched, tmp_path):
    page = opened(watched.page, tmp_path, balls())
    page.focus("#picture")
    for _ in range(18):  # 5° each: the front turns to the right, what is on the patient's right comes to the front
        page.keyboard.press("ArrowRight")
    assert "Seen from the right." in at_rest(page).inner_text("#facing")
    page.keyboard.press("Home")
    for _ in range(18):
        page.keyboard.press("ArrowDown")
    assert "Seen from above." in at_rest(page).inner_text("#facing")
    page.keyboard.press("i")
    assert "Seen from below." in at_rest(page).inner_text("#facing")
    page.keyboard.press("Home")
    scale = "#overlay .scale"
    before = float(at_rest(page).locator(scale).get_attribute("data-px-per-mm"))
    area = page.locator("#picture").bounding_box()
    x, y = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y, steps=5)
    page.mouse.move(x + 200, y, steps=5)  # a quarter turn
    page.mouse.up()
    assert "Seen from the right." in at_rest(page).inner_text("#facing")
    page.mouse.wheel(0, -200)
    assert float(at_rest(page).locator(scale).get_attribute("data-px-per-mm")) == pytest.approx(before * np.exp(0.4))
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x + 50, y - 30, steps=3)
    page.mouse.up(button="right")
    assert "Seen from the right." in at_rest(page).inner_text("#facing")
    page.click("#reset")
    assert float(at_rest(page).locator(scale).get_attribute("data-px-per-mm")) == pytest.approx(before)
    assert page.inner_text("#status") == ""  # a drag is no click


def test_two_fingers_zoom_by_what_they_part(watched, tmp_path):
    page = opened(watched.page, tmp_path, balls())
    scale = page.locator("#overlay .scale")
    before = float(scale.get_attribute("data-px-per-mm"))
    page.evaluate(
        """() => {
          const canvas = document.getElementById("picture");
          canvas.setPointerCapture = () => {};  // made-up fingers cannot be captured
          const box = canvas.getBoundingClientRect();
          const send = (type, pointerId, x) => canvas.dispatchEvent(new PointerEvent(type,
            { pointerId, pointerType: "touch", button: 0, clientX: box.left + x, clientY: box.top + 300 }));
          send("pointerdown", 11, 300);
          send("pointerdown", 12, 400);
          for (let k = 1; k <= 50; k++) { send("pointermove", 11, 300 - k); send("pointermove", 12, 400 + k); }
          send("pointerup", 11, 250);
          send("pointerup", 12, 450);
        }"""
    )
    assert float(at_rest(page).locator("#overlay .scale").get_attribute("data-px-per-mm")) == pytest.approx(2 * before)
    assert "Seen from the front." in page.inner_text("#facing")


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_hiding_and_showing(watched, tmp_path):
    page = opened(watched.page, tmp_path, plates(RED, GREEN, BLUE))
    ground = paper_of(page)
    assert near(centre(page), RED)
    page.uncheck("#structure-0")
    assert near(centre(at_rest(page)), GREEN)
    page.click("button[aria-label='Only plate 2']")
    assert near(centre(at_rest(page)), BLUE)
    assert page.locator("#structures input:checked").count() == 1
    page.click("button[aria-label='Only plate 2']")  # once more: all of them
    assert near(centre(at_rest(page)), RED)
    page.click("#hide-all")
    assert near(centre(at_rest(page)), ground)
    page.click("#show-all")
    assert near(centre(at_rest(page)), RED)


@pytest.mark.parametrize("view", ["anterior", "posterior"])
@pytest.mark.parametrize("perspective", [False, True])
def test_what_is_clear_lies_over_what_is_behind_it_in_order(watched, tmp_path, view, perspective):
    # The walls towards the viewer. Over: c = a * front + (1 - a) * behind (Porter and Duff, 1984).
    shares = {"plate 0": 0.3, "plate 1": 0.6}
    page = opened(watched.page, tmp_path, plates(RED, GREEN), opacity=shares, camera=Camera(perspective=perspective))
    page.click(f"#view-{view}")
    expected = paper_of(at_rest(page))
    for name, colour in {"anterior": [("plate 1", GREEN), ("plate 0", RED)]}.get(view) or [
        ("plate 0", RED),
        ("plate 1", GREEN),
    ]:
        expected = shares[name] * np.array(colour) + (1 - shares[name]) * expected
    assert near(centre(page), expected, by=5)


def test_the_slider_sets_the_opacity_and_something_opaque_hides_what_is_clear_behind_it(watched, tmp_path):
    page = opened(watched.page, tmp_path, plates(RED, GREEN))
    ground = paper_of(page)
    page.uncheck("#structure-1")
    slider = page.get_by_label("Opacity of plate 0")
    slider.fill("50")
    assert near(centre(at_rest(page)), 0.5 * np.array(RED) + 0.5 * ground, by=5)
    slider.fill("0")
    assert near(centre(at_rest(page)), ground)
    slider.fill("50")
    page.check("#structure-1")
    page.click("#view-posterior")
    assert near(centre(at_rest(page)), GREEN)


def test_a_plane_cuts_and_shows_the_body_filled(watched, tmp_path):
    # A core within a shell, as a label map has them: the shell's wall inside is the core's outside.
    array = np.zeros((24, 24, 24), np.uint8)
    array[4:20, 4:20, 4:20] = 1
    array[8:16, 8:16, 8:16] = 2
    labels = Labels((Label("shell", 1, RED), Label("core", 2, BLUE)))
    surfaces = extract(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 1)), labels), smoothing_steps=0).surfaces()
    page = opened(watched.page, tmp_path, surfaces)
    assert near(centre(page), RED)
    page.get_by_label("Coronal", exact=True).check()  # hides what is in front of the middle
    at_rest(page)

    def cut(colour):
        return 0.88 * np.array(colour) + 0.12 * 255

    picture = stage(page)
    middle = middle_of(surfaces)
    assert near(centre(page), cut(BLUE))
    beside = pixel_of(page, middle + np.array([6.0, 0, 0]), "anterior", middle)
    assert near(colour_at(picture, beside), cut(RED))
    page.focus("#picture")
    page.keyboard.press("Enter")
    assert page.inner_text("#status").startswith("core: ")
    assert f"P {middle[1]:.1f}" in page.inner_text("#status")
    # From behind nothing is cut away that could be seen.
    page.click("#view-posterior")
    assert near(centre(at_rest(page)), RED)
    # The other side of the plane, and the plane moved to where only the shell is.
    page.get_by_label("What the coronal plane hides").select_option("behind it")
    assert near(centre(at_rest(page)), cut(BLUE))
    page.get_by_label("Coronal plane", exact=True).fill("5.5")
    assert page.locator(".plane output").nth(1).text_content() == "P 5.5 mm"
    assert near(centre(at_rest(page)), cut(RED))


def test_what_is_hollow_is_seen_from_inside_when_it_is_not_closed(watched, tmp_path):
    whole = coloured(box((30.0, 30.0, 30.0)), "bowl", GREEN)
    front = (whole.vertices[whole.faces][..., 1] < 0).all(axis=1)  # its front wall is missing
    page = opened(watched.page, tmp_path, [replace(whole, faces=whole.faces[~front])])
    assert near(centre(page), GREEN, by=8)  # without its front, the normals at the corners of its back lean inwards
    assert page.locator(".volume").text_content() == "open"


def test_values_have_the_colours_of_their_scale(watched, tmp_path):
    scale = ColourScale(-2.0, 2.0, "diverging")
    surface = box((40.0, 4.0, 40.0))
    values = np.where(surface.vertices[:, 0] > 0, 1.0, 1.0)
    shown = Painted(coloured(surface, "wall", RED), values, "change", "mm", scale)
    missing = Painted(
        coloured(box((40.0, 4.0, 40.0), centre_mm=(0, 20.0, 0)), "other", RED), values * np.nan, "change", "mm", scale
    )
    slope = box((40.0, 4.0, 40.0), centre_mm=(0, 40.0, 0))
    sloping = Painted(coloured(slope, "slope", RED), slope.vertices[:, 2] / 5, "change", "mm", scale)
    page = opened(watched.page, tmp_path, [shown, missing, sloping])
    assert near(centre(page), scale.colours([1.0])[0])
    assert page.locator("#overlay .bar").text_content() == "change (mm)"
    area = page.locator("#picture").bounding_box()
    page.mouse.click(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
    assert re.fullmatch(r"wall: [RL] 0\.0, A 2\.0, [SI] 0\.0 mm; change \(mm\): 1", page.inner_text("#status"))
    page.uncheck("#structure-0")
    assert near(centre(at_rest(page)), NOTHING)
    page.uncheck("#structure-1")
    at_rest(page)
    picture = stage(page)
    middle = (0.0, 20.0, 0.0)
    for z in (-15.0, -5.0, 5.0, 14.0):  # values beyond the scale have its last colours
        found = colour_at(picture, pixel_of(page, (3.0, 40.0, z), "anterior", middle))
        assert near(found, scale.colours([z / 5])[0], by=6), z
    page.click("#hide-all")
    assert at_rest(page).locator("#overlay .bar").count() == 0
