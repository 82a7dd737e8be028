"""Slices of a scan in the page with surfaces, in Chromium: the right greys at the right places, what lies over them."""

from __future__ import annotations

import numpy as np
import pytest
from bodies import ball, box
from view_pages import BLUE, RED, VIEWS, at_rest, centre, colour_at, coloured, near, opened, pixel_of, stage

from vesalius.image import Grid, Meta, Volume

PLANES = {"anterior": "Coronal", "left": "Sagittal", "superior": "Axial"}
PLANES |= {"posterior": "Coronal", "right": "Sagittal", "inferior": "Axial"}
HIDES = {"anterior": "in front of it", "left": "left of it", "superior": "above it"}
HIDES |= {"posterior": "behind it", "right": "right of it", "inferior": "below it"}


def eighths(value=0):
    """A scan whose eight eighths have greys of their own; its first axis runs to the right, its third to the feet."""
    array = np.empty((40, 48, 32), np.float32)
    for k in range(8):
        x, y, z = (
            (slice(20, None), slice(24, None), slice(16, None))[a] if k >> a & 1 else slice(None, (20, 24, 16)[a])
            for a in range(3)
        )
        array[x, y, z] = 20 * k + 40 + value
    grid = Grid.from_spacing(
        array.shape, (2.0, 2.0, 3.0), direction=np.diag([-1.0, 1.0, -1.0]), origin_mm=(39, -47, 46.5)
    )
    return Volume(array[None], grid, Meta(unit="HU"))


def grey_of(scan, point):
    """0 to 255, with the window 0 to 255."""
    at = np.rint(scan.grid.to_index(np.array(point, float))).astype(int)
    return round((np.rint(scan.array[0][tuple(at)] / 255 * 254)) / 254 * 255)


def only(page, plane):
    for name in ("Sagittal", "Coronal", "Axial"):
        page.get_by_label(name, exact=True).set_checked(name == plane)


@pytest.mark.parametrize("view", VIEWS)
def test_every_place_has_the_grey_that_the_scan_has_there(watched, tmp_path, view):
    scan = eighths()
    page = opened(watched.page, tmp_path, [coloured(ball(6.0), "ball", RED)], scan=scan, window=(0.0, 255.0))
    only(page, PLANES[view])
    page.get_by_label(f"What the {PLANES[view].lower()} plane hides").select_option(HIDES[view])
    page.click(f"#view-{view}")
    for _ in range(20):
        page.focus("#picture")
        page.keyboard.press("-")
    picture = stage(at_rest(page))
    right, up = (np.array(axis) for axis in VIEWS[view])
    towards = np.cross(right, up)
    for across in (-25.0, 25.0):
        for upwards in (-30.0, 30.0):
            point = across * right + upwards * up - 0.1 * towards  # the cut lies in the middle; the slice is its own
            found = colour_at(picture, pixel_of(page, point, view, np.zeros(3)))
            near_side = [grey_of(scan, point + k * towards) for k in (-0.5, 0.5)]
            assert min(near_side) - 3 <= found[0] <= max(near_side) + 3, (view, point, found, near_side)
            assert len(set(found.tolist())) == 1


def test_what_is_cut_tints_the_slice_and_lies_where_it_is(watched, tmp_path):
    scan = eighths()
    flat = Volume(np.full_like(scan.array, 100.0), scan.grid, scan.meta)
    surfaces = [coloured(box((20.0, 20.0, 20.0), centre_mm=(12.0, 0, 0)), "cube", BLUE, 3)]
    page = opened(watched.page, tmp_path, surfaces, scan=flat, window=(0.0, 255.0))
    assert page.get_by_label("Coronal", exact=True).is_checked()  # the first look is at a slice
    middle = np.array([12.0, 0, 0])
    cap, grey = 0.88 * np.array(BLUE) + 0.12 * 255, np.full(3, 100)
    beside = pixel_of(page, (-8.0, 0, 0), "anterior", middle)
    assert near(colour_at(stage(page), beside), grey)
    assert near(centre(page), 0.65 * grey + 0.35 * cap)
    tint = page.get_by_label("Tint of what is cut")
    tint.fill("100")
    assert near(centre(at_rest(page)), cap)
    tint.fill("0")
    assert near(centre(at_rest(page)), grey)
    # The edge of what is tinted is the surface's, to a pixel.
    tint.fill("100")
    row = stage(at_rest(page))[round(beside[1])]
    blue = np.nonzero(row[:, 2] - row[:, 0] > 60)[0]
    left, right = (pixel_of(page, (x, 0, 0), "anterior", middle)[0] for x in (2.0, 22.0))
    assert abs(blue.min() - left) <= 1.5
    assert abs(blue.max() - right) <= 1.5
    page.get_by_label("Slices of the scan").uncheck()
    assert near(centre(at_rest(page)), cap)
    assert near(colour_at(stage(page), beside), stage(page)[40, 40])


def test_a_plane_may_hide_nothing_and_what_is_clear_lies_over_the_slice(watched, tmp_path):
    flat = Volume(
        np.full((1, 40, 40, 40), 100.0, np.float32), Grid.from_spacing((40, 40, 40), (2, 2, 2), origin_mm=(-39,) * 3)
    )
    front = coloured(box((30.0, 4.0, 30.0), centre_mm=(0, -20.0, 0)), "front", RED)
    back = coloured(box((30.0, 4.0, 30.0), centre_mm=(0, 20.0, 0)), "back", BLUE, 2)
    page = opened(watched.page, tmp_path, [front, back], scan=flat, window=(0.0, 255.0))
    grey = np.full(3, 100)
    assert near(centre(page), grey)  # the one in front is hidden, the other lies behind the slice
    page.get_by_label("What the coronal plane hides").select_option("nothing")
    assert near(centre(at_rest(page)), RED)
    page.get_by_label("Opacity of front").fill("50")
    found = centre(at_rest(page))
    assert found[0] > 120 > found[2]  # the clear red over the grey
    page.get_by_label("Opacity of front").fill("0")
    assert near(centre(at_rest(page)), grey)
    page.click("#view-posterior")
    assert near(centre(at_rest(page)), BLUE)


def test_a_click_tells_structure_place_and_value_and_lengths_lie_on_slices(watched, tmp_path):
    scan = eighths()
    surfaces = [coloured(box((20.0, 20.0, 20.0), centre_mm=(12.0, 0, 0)), "cube", BLUE, 3)]
    page = opened(watched.page, tmp_path, surfaces, scan=scan, window=(0.0, 255.0))
    middle = np.array([12.0, 0, 0])

    def click(point):
        column, row = pixel_of(page, point, "anterior", middle)
        area = page.locator("#picture").bounding_box()
        page.mouse.click(area["x"] + column, area["y"] + row)
        return page.inner_text("#status")

    page.get_by_label("Coronal plane", exact=True).fill("5")
    at_rest(page)
    inside = click((16.0, 5.0, 6.0))
    assert inside.startswith("cube: L 1")
    assert "P 5.0" in inside
    assert f"the scan: about {grey_of(scan, (16.0, 5.0, 6.0)):.0f}" in inside
    assert inside.endswith(" HU")
    outside = click((-6.0, 5.0, -8.0))
    assert outside.startswith("The scan: R ")
    assert f"about {grey_of(scan, (-6.0, 5.0, -8.0)):.0f} HU" in outside
    page.click("#measure")
    click((-6.0, 5.0, 0.0))
    assert click((16.0, 5.0, 0.0)) in ("22.0 mm", "21.9 mm", "22.1 mm")
    assert "the scan to cube" in page.inner_text("#lengths")


def test_keys_go_through_the_slices(watched, tmp_path):
    scan = eighths()
    page = opened(watched.page, tmp_path, [coloured(ball(6.0), "ball", RED)], scan=scan, window=(0.0, 255.0))
    page.focus("#picture")
    where = page.locator(".plane output").nth(1)
    page.keyboard.press("PageUp")  # towards the viewer, who looks from the front: by a voxel of 2 mm
    assert where.text_content() == "A 2.0 mm"
    page.keyboard.press("PageDown")
    page.keyboard.press("PageDown")
    assert where.text_content() == "P 2.0 mm"
    page.click("#view-superior")
    at_rest(page)
    page.focus("#picture")
    page.keyboard.press("PageUp")  # the axial plane is off
    assert page.locator(".plane output").nth(2).text_content() in ("S 0.0 mm", "I 0.0 mm")
