"""A small synthetic set of retinas in exactly the form of DRIVE and of IDRiD.

Not a likeness that would deceive anybody: a round field, an optic disc, a dark macula, two vascular trees with their
reflex, pigment, uneven light; for IDRiD the four lesions of diabetes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from vesalius.io.atomic import make_folder

_DRIVE = (565, 584)  # columns, rows, as in the set
_IDRID = (858, 570)  # a fifth of 4288 × 2848
_FINER = 3  # vessels are drawn so many times larger: thin ones get soft edges
_LESIONS = {
    "MA": ("1. Microaneurysms", 14, (1.2, 2.2), (-0.30, -0.22, -0.12)),
    "HE": ("2. Haemorrhages", 5, (4.0, 9.0), (-0.34, -0.24, -0.10)),
    "EX": ("3. Hard Exudates", 16, (2.0, 4.5), (0.22, 0.30, 0.06)),
    "SE": ("4. Soft Exudates", 2, (9.0, 15.0), (0.14, 0.17, 0.14)),
}
"""By IDRiD's mark: its folder, how many, radii in pixels, and what they add to red, green and blue."""


@dataclass(frozen=True)
class _Look:
    """A drawn eye: rows × columns throughout."""

    picture: NDArray[np.float64]
    field: NDArray[np.bool_]
    vessels: NDArray[np.bool_]
    thin: NDArray[np.bool_]
    disc: tuple[float, float]
    radius: float


def write_sample(folder: Path, *, seed: int = 0) -> None:
    """Write 8 photographs as DRIVE has them and 8 as IDRiD has them.

    Args:
        folder: Gets ``DRIVE/`` and ``A. Segmentation/``.
        seed: Another one draws other eyes.
    """
    rng = np.random.default_rng(seed)
    for number in (21, 22, 23, 24, 25, 1, 2, 3):
        _write_drive(folder / "DRIVE", number, rng)
    for number in (1, 2, 3, 4, 5, 55, 56, 57):
        _write_idrid(folder / "A. Segmentation", number, rng)


def _write_drive(folder: Path, number: int, rng: np.random.Generator) -> None:
    part, word = ("training", "training") if number > 20 else ("test", "test")
    places = {name: make_folder(folder / part / name) for name in ("images", "1st_manual", "mask")}
    look = _eye(_DRIVE, rng)
    _photograph(look, rng).save(places["images"] / f"{number:02d}_{word}.tif")
    _mask(look.vessels).save(places["1st_manual"] / f"{number:02d}_manual1.gif")
    _mask(look.field).save(places["mask"] / f"{number:02d}_{word}_mask.gif")
    if part == "test":  # the second reader leaves out what is thinnest, and draws a little off
        drawn = ndimage.shift((look.vessels & ~look.thin).astype(np.float32), rng.uniform(-0.4, 0.4, 2), order=1) > 0.5
        _mask(drawn).save(make_folder(folder / part / "2nd_manual") / f"{number:02d}_manual2.gif")


def _write_idrid(folder: Path, number: int, rng: np.random.Generator) -> None:
    part = "a. Training Set" if number <= 54 else "b. Testing Set"
    look = _eye(_IDRID, rng)
    picture, name = look.picture.copy(), f"IDRiD_{number:02d}"
    for mark, (place, count, radii, colour) in _LESIONS.items():
        if mark == "SE" and number % 2:  # half of the eyes have none, and then there is no file
            continue
        drawn = _lesions(look, count, radii, rng)
        soft = ndimage.gaussian_filter(drawn.astype(np.float64), 3.0 if mark == "SE" else 0.6)
        picture += soft[..., None] * np.asarray(colour)
        target = make_folder(folder / "2. All Segmentation Groundtruths" / part / place) / f"{name}_{mark}.tif"
        marked = Image.fromarray(drawn.astype(np.uint8))
        marked.putpalette([0, 0, 0, 255, 0, 0])
        marked.save(target)
    originals = make_folder(folder / "1. Original Images" / part)
    look = _Look(picture, look.field, look.vessels, look.thin, look.disc, look.radius)
    _photograph(look, rng).save(originals / f"{name}.jpg", quality=95)


def _eye(size: tuple[int, int], rng: np.random.Generator) -> _Look:
    columns, rows = size
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    centre, radius = ((rows - 1) / 2, (columns - 1) / 2), 0.47 * min(rows, columns)
    field = np.hypot(y - centre[0], x - centre[1]) < radius
    side = rng.choice([-1, 1])
    disc = (centre[0] + rng.uniform(-0.06, 0.06) * radius, centre[1] + side * rng.uniform(0.42, 0.52) * radius)
    macula = (centre[0] + rng.uniform(0, 0.08) * radius, centre[1] - side * rng.uniform(0.05, 0.15) * radius)
    picture = np.empty((rows, columns, 3))
    picture[:] = rng.normal([0.62, 0.33, 0.15], 0.03)
    pigment = ndimage.gaussian_filter(rng.normal(size=(rows, columns)), radius / 12)
    picture += (0.03 * pigment / pigment.std())[..., None] * [1.0, 0.7, 0.3]
    picture -= (0.13 * np.exp(-((y - macula[0]) ** 2 + (x - macula[1]) ** 2) / (0.13 * radius) ** 2))[..., None]
    near = np.hypot((y - disc[0]) / 1.08, x - disc[1])
    picture += (1 / (1 + np.exp((near - 0.15 * radius) / 2.5)))[..., None] * [0.28, 0.38, 0.22]
    vessels, thin, depth = _vessels(size, disc, macula, radius, side, rng)
    picture -= (depth * field)[..., None] * [0.16, 0.20, 0.07]
    light = 1 - 0.35 * ((y - centre[0] - rng.uniform(-0.3, 0.3) * radius) ** 2
                        + (x - centre[1] - rng.uniform(-0.3, 0.3) * radius) ** 2) / radius**2  # fmt: skip
    picture *= np.clip(light, 0.3, 1)[..., None]
    return _Look(picture, field, vessels & field, thin & field, disc, radius)


def _vessels(
    size: tuple[int, int],
    disc: tuple[float, float],
    macula: tuple[float, float],
    radius: float,
    side: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]:
    """Drawn vessels, which of them are thin, and how dark they make the picture."""
    canvas = Image.new("F", (size[0] * _FINER, size[1] * _FINER), 0)
    slim = Image.new("1", canvas.size, 0)
    pens = ImageDraw.Draw(canvas), ImageDraw.Draw(slim)
    for upwards in (-1, 1):
        for outwards, width in ((-side, rng.uniform(3.4, 4.4)), (-side, rng.uniform(2.6, 3.4)), (side, 2.4)):
            angle = math.atan2(upwards * rng.uniform(0.8, 1.3), outwards * rng.uniform(0.2, 0.6))
            _grow(pens, disc, angle, width * radius / 265, radius, macula, upwards, rng)
    depth = np.asarray(canvas.resize(size, Image.Resampling.BOX), np.float64)
    thin = np.asarray(slim.convert("F").resize(size, Image.Resampling.BOX), np.float64) > 127
    return depth > 0.35, thin, ndimage.gaussian_filter(depth, 0.5)


def _grow(
    pens: tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw],
    start: tuple[float, float],
    angle: float,
    width: float,
    radius: float,
    macula: tuple[float, float],
    bend: int,
    rng: np.random.Generator,
) -> None:
    """Draw a vessel step by step: it wanders, arches around the macula, tapers, and sends out branches."""
    y, x = start
    step = 0.02 * radius
    for _ in range(90):
        if width < 0.7:
            return
        to_macula = math.atan2(macula[0] - y, macula[1] - x)
        apart = math.hypot(macula[0] - y, macula[1] - x) / radius
        turn = math.remainder(to_macula - angle, math.tau)
        # The great vessels bow around the macula, and none enters it.
        angle += rng.normal(0, 0.05) + (
            0.035 * math.copysign(1, turn) if apart > 0.55 else -0.10 * math.copysign(1, turn)
        )
        there = (y + step * math.sin(angle), x + step * math.cos(angle))
        line = [(x * _FINER, y * _FINER), (there[1] * _FINER, there[0] * _FINER)]
        pens[0].line(line, fill=min(1.0, 0.55 + 0.12 * width), width=max(1, round(width * _FINER)))
        if width < 1.3:
            pens[1].line(line, fill=1, width=max(1, round(width * _FINER)))
        y, x = there
        if rng.random() < 0.045 + 0.02 * (width < 2):
            smaller = width * rng.uniform(0.5, 0.75)
            _grow(pens, (y, x), angle + rng.choice([-1, 1]) * rng.uniform(0.4, 0.9), smaller, radius, macula, bend, rng)
            width *= 0.9
        width *= 0.985


def _lesions(look: _Look, count: int, radii: tuple[float, float], rng: np.random.Generator) -> NDArray[np.bool_]:
    rows, columns = look.field.shape
    y, x = np.mgrid[:rows, :columns]
    # Not at the rim, not on the disc, not on a large vessel.
    free = ndimage.binary_erosion(look.field, iterations=20) & (
        np.hypot(y - look.disc[0], x - look.disc[1]) > 0.25 * look.radius
    )
    free &= ~ndimage.binary_dilation(look.vessels, iterations=3)
    places = np.argwhere(free)
    drawn = np.zeros(look.field.shape, np.bool_)
    for row, column in places[rng.integers(0, len(places), count)]:
        size = rng.uniform(*radii) * look.radius / 268
        phases = rng.uniform(0, math.tau, 2)
        reach = math.ceil(1.4 * size)
        box = slice(max(0, row - reach), row + reach + 1), slice(max(0, column - reach), column + reach + 1)
        down, across = y[box] - row, x[box] - column
        angle = np.arctan2(down, across)
        wavy = size * (1 + 0.2 * np.sin(3 * angle + phases[0]) + 0.1 * np.sin(5 * angle + phases[1]))
        drawn[box] |= np.hypot(down, across) <= wavy
    return drawn


def _photograph(look: _Look, rng: np.random.Generator) -> Image.Image:
    picture = look.picture + rng.normal(0, 0.012, look.picture.shape)
    picture = np.where(look.field[..., None], picture, 0.01)
    return Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))


def _mask(drawn: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(drawn.astype(np.uint8) * 255)
