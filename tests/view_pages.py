"""The page with surfaces in a browser: scenes, and what is read off the screen."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from bodies import ball, box
from PIL import Image

from vesalius.image import Label
from vesalius.report.view import view_html

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

RED, GREEN, BLUE = (210, 60, 50), (60, 170, 80), (70, 90, 220)
# Right and up in the picture, LPS, as every atlas has them.
VIEWS = {
    "anterior": ((1, 0, 0), (0, 0, 1)),
    "posterior": ((-1, 0, 0), (0, 0, 1)),
    "left": ((0, 1, 0), (0, 0, 1)),
    "right": ((0, -1, 0), (0, 0, 1)),
    "superior": ((-1, 0, 0), (0, -1, 0)),
    "inferior": ((1, 0, 0), (0, -1, 0)),
}
CENTRES = {"left ball": (60.0, 5.0, 12.0), "back ball": (-15.0, 70.0, -20.0), "high ball": (-40.0, -10.0, 75.0)}
COLOURS = {"left ball": RED, "back ball": GREEN, "high ball": BLUE}


def coloured(surface, name, colour, value=1):
    return replace(surface, label=Label(name, value, colour))


def balls():
    """Three balls whose centres differ on every axis, so that no view is the mirror image of another."""
    return [coloured(ball(12.0, centre_mm=CENTRES[name]), name, COLOURS[name]) for name in CENTRES]


def opened(page: Page, folder: Path, surfaces, **how) -> Page:
    view_html(surfaces, folder / "view.html", **how)
    page.goto((folder / "view.html").as_uri())
    page.wait_for_selector("body.ready")
    return at_rest(page)


def at_rest(page: Page) -> Page:
    """When nothing moves any more, and all is drawn."""
    page.wait_for_selector("#picture[aria-busy=false]")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_selector("#picture[aria-busy=false]")
    return page


def stage(page: Page):
    """What is seen of the picture, RGB, with all that is written over it."""
    return np.asarray(Image.open(io.BytesIO(page.locator(".stage").screenshot())).convert("RGB")).astype(int)


def pixel_of(page: Page, point, view: str, middle):
    """Where a point must lie, by the scale bar and the axes of the view: column and row."""
    px_per_mm = float(page.locator("#overlay .scale").get_attribute("data-px-per-mm"))
    box_of = page.locator("#picture").bounding_box()
    right, up = (np.array(axis) @ (np.array(point) - middle) * px_per_mm for axis in VIEWS[view])
    return box_of["width"] / 2 + right, box_of["height"] / 2 - up


def middle_of(surfaces):
    bounds = np.array([surface.bounds_mm for surface in surfaces])
    return (bounds[:, 0].min(axis=0) + bounds[:, 1].max(axis=0)) / 2


def colour_at(picture, place):
    column, row = (round(x) for x in place)
    return picture[row, column]


def near(found, expected, by=4):
    return np.abs(np.asarray(found) - expected).max() <= by


def centre(page: Page):
    picture = stage(page)
    return picture[picture.shape[0] // 2 + 3, picture.shape[1] // 2 + 3]


def plates(*colours):
    """Plates 20 mm apart, one behind the other for who looks from the front, that stick out nowhere."""
    spots = [(0.0, 20.0 * k, 0.0) for k in range(len(colours))]
    return [
        coloured(box((60.0, 4.0, 60.0), centre_mm=spot), f"plate {k}", colour)
        for k, (spot, colour) in enumerate(zip(spots, colours, strict=True))
    ]


def paper_of(page: Page):
    return stage(page)[40, 40].astype(float)
