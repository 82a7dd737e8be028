"""The page with surfaces, opened from disk in Chromium: lengths, and all that stands around the picture."""

from __future__ import annotations

import re

import numpy as np
import pytest
from bodies import ball, box
from PIL import Image
from view_pages import (
    BLUE,
    CENTRES,
    COLOURS,
    GREEN,
    RED,
    at_rest,
    balls,
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

from vesalius.report.view import view_html

# --- lengths ----------------------------------------------------------------------------------------------------------


def test_a_length_is_that_of_the_body_to_the_lattice(watched, tmp_path):
    page = opened(watched.page, tmp_path, [coloured(box((31.4, 27.3, 12.2), centre_mm=(3.0, -80.0, 7.0)), "box", RED)])
    page.click("#measure")
    page.focus("#picture")
    for view, expected in (("anterior", "27.3 mm"), ("left", "31.4 mm"), ("superior", "12.2 mm")):
        page.keyboard.press(view[0])
        page.keyboard.press("Enter")
        page.keyboard.press({"a": "p", "l": "r", "s": "i"}[view[0]])
        page.keyboard.press("Enter")
        assert page.inner_text("#status") == expected
    at_rest(page)
    assert page.locator("#lengths b").all_inner_texts() == ["27.3 mm", "31.4 mm", "12.2 mm"]
    assert page.locator("#overlay .length").count() == 3
    page.click("button[aria-label='Remove length 2']")
    assert page.locator("#lengths b").all_inner_texts() == ["27.3 mm", "12.2 mm"]
    page.focus("#picture")
    page.keyboard.press("Escape")
    assert page.get_attribute("#measure", "aria-pressed") == "false"


def test_a_length_between_two_structures_by_mouse(watched, tmp_path):
    surfaces = balls()
    page = opened(watched.page, tmp_path, surfaces)
    page.click("#measure")
    area = page.locator("#picture").bounding_box()
    for name in ("left ball", "high ball"):
        x, y = pixel_of(page, CENTRES[name], "anterior", middle_of(surfaces))
        page.mouse.click(area["x"] + x, area["y"] + y)
        at_rest(page)
    found = float(page.locator("#lengths b").inner_text().removesuffix(" mm"))
    # The points that are nearest to the viewer; a pixel is 0.3 mm, and the mouse meets whole ones.
    expected = np.linalg.norm(np.subtract(CENTRES["left ball"], CENTRES["high ball"]))
    assert found == pytest.approx(expected, abs=0.6)
    assert page.locator("#lengths span").inner_text() == "left ball to high ball"


def test_points_lie_on_the_cut_and_on_what_is_opaque(watched, tmp_path):
    block = coloured(box((60.0, 30.0, 60.0), centre_mm=(0.0, 30.0, 0.0)), "block", GREEN)
    page = opened(watched.page, tmp_path, [*plates(RED), block], opacity={"plate 0": 0.4})
    page.focus("#picture")
    page.keyboard.press("Enter")
    assert re.fullmatch(r"block: [LR] 0\.0, P 15\.0, [SI] 0\.0 mm", page.inner_text("#status"))
    page.get_by_label("Coronal", exact=True).check()
    page.get_by_label("Coronal plane", exact=True).fill("25")
    page.focus("#picture")
    page.keyboard.press("Enter")
    assert re.fullmatch(r"block: [LR] 0\.0, P 25\.0, [SI] 0\.0 mm", page.inner_text("#status"))
    page.uncheck("#structure-1")
    page.get_by_label("Coronal", exact=True).uncheck()
    page.focus("#picture")
    page.keyboard.press("Enter")
    assert re.fullmatch(r"plate 0: [LR] 0\.0, A 2\.0, [SI] 0\.0 mm", page.inner_text("#status"))


# --- the page around it -----------------------------------------------------------------------------------------------


def test_names_from_files_stay_text(watched, tmp_path):
    evil = [
        "</script><script>document.title = 'x'</script>",
        "<img src=x onerror=\"document.title='x'\">",
        "\"'&<b>\u2028",
    ]
    surfaces = [coloured(ball(5.0, centre_mm=(12.0 * k, 0, 0)), name, RED) for k, name in enumerate(evil)]
    page = opened(watched.page, tmp_path, surfaces, title=evil[1])
    assert [name.strip() for name in page.locator("#structures bdi").all_text_contents()] == [
        name.strip() for name in evil
    ]
    assert page.title() == evil[1]
    assert page.locator("img, #structures script, #structures b").count() == 0
    area = page.locator("#picture").bounding_box()
    page.click("#measure")
    x, y = pixel_of(page, (12.0, 0, 0), "anterior", (12.0, 0, 0))
    for shift in (0, 8):
        page.mouse.click(area["x"] + x + shift, area["y"] + y)
    assert page.locator("#lengths bdi").text_content() == evil[1]
    assert page.locator("#lengths img").count() == 0


def test_a_picture_is_saved_with_what_is_written_over_it(watched, tmp_path):
    surfaces = balls()
    page = opened(watched.page, tmp_path, surfaces)
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "view.png")
    saved = np.asarray(Image.open(tmp_path / "view.png").convert("RGB")).astype(int)
    shown = stage(page)
    factor = saved.shape[1] / shown.shape[1]
    for name, point in CENTRES.items():
        place = pixel_of(page, point, "anterior", middle_of(surfaces))
        assert near(colour_at(saved, np.array(place) * factor), COLOURS[name])
    bottom = saved[-round(40 * factor) :, : round(150 * factor)]
    assert (bottom.max(axis=-1) < 100).any()  # the scale bar


def test_light_and_dark(watched, tmp_path):
    page = watched.page
    page.emulate_media(color_scheme="dark")
    opened(page, tmp_path, balls())
    assert paper_of(page).max() < 40
    page.click("#theme")
    assert paper_of(at_rest(page)).min() > 200
    page.click("#theme")
    assert paper_of(at_rest(page)).max() < 40


def test_a_phone_shows_picture_and_list_without_scrolling_sideways(watched, tmp_path):
    page = watched.page
    page.set_viewport_size({"width": 360, "height": 740})
    surfaces = [coloured(ball(5.0, centre_mm=(12.0 * k, 0, 0)), f"structure {k} " + "x" * 60, RED) for k in range(14)]
    opened(page, tmp_path, surfaces)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    # All fits: the picture is wider than it is high.
    places = [pixel_of(page, (12.0 * k, 0, 0), "anterior", (78.0, 0, 0)) for k in (0, 13)]
    assert 5 < places[0][0] < places[1][0] < 355
    page.get_by_label("Find a structure").fill("13 x")
    assert page.locator("#structures li:visible").count() == 1


def test_everything_has_a_name_and_is_reached_by_keys(watched, tmp_path):
    page = opened(watched.page, tmp_path, balls())
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas")].filter((one) =>
          !one.textContent.trim() && !one.getAttribute("aria-label") && !one.labels?.length)
          .map((one) => one.outerHTML)"""
    )
    assert unnamed == []
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label')"))
    assert {"picture", "view-left", "structure-2", "Opacity of back ball", "Only high ball", "measure"} <= set(reached)


def test_a_lost_graphics_card_comes_back(watched, tmp_path):
    surfaces = balls()
    page = opened(watched.page, tmp_path, surfaces, opacity={"left ball": 0.5})
    before = stage(page)
    page.evaluate(
        """() => {
          const gl = document.getElementById("picture").getContext("webgl2");
          (window.card = gl.getExtension("WEBGL_lose_context")).loseContext();
        }"""
    )
    page.wait_for_selector("#problem:visible")
    assert "stopped drawing" in page.inner_text("#problem")
    page.click("#view-left")
    page.click("#view-anterior")
    page.evaluate("() => window.card.restoreContext()")
    page.wait_for_selector("#problem", state="hidden")
    assert np.abs(stage(at_rest(page)) - before).max() <= 2
    watched.told.clear()  # Chromium tells of the loss


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("HTMLCanvasElement.prototype.getContext = () => null", "no WebGL 2"),
        ("delete globalThis.DecompressionStream", "too old"),
    ],
)
def test_a_browser_that_cannot_is_told_so(watched, tmp_path, before, told):
    watched.page.add_init_script(before)
    view_html(balls(), tmp_path / "view.html")
    watched.page.goto((tmp_path / "view.html").as_uri())
    watched.page.wait_for_selector("#problem:visible")
    assert told in watched.page.inner_text("#problem")


def test_a_damaged_file_says_so(watched, tmp_path):
    view_html(balls(), tmp_path / "view.html")
    text = (tmp_path / "view.html").read_text(encoding="utf-8")
    data = re.search(r'id="data">([^<]+)<', text)[1]
    (tmp_path / "view.html").write_text(text.replace(data, data[: len(data) // 2]), encoding="utf-8")
    watched.page.goto((tmp_path / "view.html").as_uri())
    watched.page.wait_for_selector("#problem:visible")
    assert "damaged" in watched.page.inner_text("#problem")


def test_a_slow_machine_draws_all_of_it_when_nothing_moves(watched, tmp_path):
    # A clock that runs a thousand times as fast makes every machine slow.
    watched.page.add_init_script("const now = performance.now.bind(performance); performance.now = () => 1000 * now();")
    surfaces = [coloured(ball(30.0, steps=220), "fine", RED), coloured(box((90.0, 4.0, 4.0)), "plain", BLUE)]
    page = opened(watched.page, tmp_path, surfaces, opacity={"fine": 0.7, "plain": 0.7})  # 193,000 triangles and 12
    before = stage(page)
    widths = page.evaluate(
        """async () => {
          const canvas = document.getElementById("picture");
          const widths = [canvas.width];
          for (const key of ["ArrowLeft", "ArrowRight"]) {
            canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            widths.push(canvas.width);
          }
          return widths;
        }"""
    )
    assert widths[1] < widths[0]
    assert np.abs(stage(at_rest(page)) - before).max() <= 2
