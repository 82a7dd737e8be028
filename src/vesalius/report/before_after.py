"""Two images of one place in one picture: in two colours, in squares by turns, and numbers as colours over an image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vesalius.errors import GeometryError
from vesalius.image import Grid, Label, LabelMap, Labels, Volume
from vesalius.mesh.colours import ColourScale
from vesalius.mesh.surface import Surface
from vesalius.report.canvas import figure, render
from vesalius.report.display import shown_window
from vesalius.report.panels import Panel, draw_panels
from vesalius.report.scene import Scene
from vesalius.report.sections import three_planes

_BLUE, _ORANGE = (0.05, 0.45, 0.85), (0.95, 0.55, 0.15)  # together they are white: what is alike is grey
_LINES = ((86, 180, 233), (230, 159, 0))  # Source: Okabe and Ito, Color Universal Design (2008)
_SQUARES = 8  # along the shorter side of the first panel
_TINT = 0.62
_NUMBER = re.compile(r" \d+/\d+")
_BAR_PX = 58
_INK, _PAPER = "#f4f1ea", "#101113"  # as in panels


def fusion(
    before: Volume, after: Volume, surfaces: Sequence[tuple[Surface, Surface]], point_mm: ArrayLike, *, title: str = ""
) -> NDArray[np.uint8]:
    """Two images over each other through a point: the first in blue, the second in orange, what is alike in grey.

    Each image is shown in its own window, so that brightness of the whole makes no colour. Three planes, radiological.

    Args:
        before: 3D, its first channel.
        after: On the same grid.
        surfaces: Before and after, of structures in the images' space; their outlines are drawn.
        point_mm: LPS, within the image.
        title: A line above; nothing that identifies a patient.

    Returns:
        RGB picture ``(rows, columns, 3)``.

    Raises:
        GeometryError: The images lie on different grids, or the point outside.
    """
    pairs = _pairs(before, after, surfaces, point_mm)
    panels = [
        replace(one, image=np.clip(one.image[..., None] * _BLUE + other.image[..., None] * _ORANGE, 0.0, 1.0))
        for one, other in pairs
    ]
    return draw_panels(panels, Labels(()), title=title, bar=True)


def checkerboard(
    before: Volume, after: Volume, surfaces: Sequence[tuple[Surface, Surface]], point_mm: ArrayLike, *, title: str = ""
) -> NDArray[np.uint8]:
    """The same two images in squares by turns, the first one's in the corner: edges that go on across lie right.

    Args:
        before: As for `fusion`.
        after: As for `fusion`.
        surfaces: As for `fusion`.
        point_mm: As for `fusion`.
        title: As for `fusion`.

    Returns:
        RGB picture.

    Raises:
        GeometryError: As for `fusion`.
    """
    pairs = _pairs(before, after, surfaces, point_mm)
    side_mm = min(pairs[0][0].size_mm) / _SQUARES
    panels = []
    for one, other in pairs:
        rows, columns = (
            np.floor((np.arange(count) + 0.5) * step / side_mm).astype(int)
            for count, step in zip(one.image.shape, one.spacing, strict=True)
        )
        second = (rows[:, None] + columns[None]) % 2 == 1
        panels.append(replace(one, image=np.where(second, other.image, one.image)))
    return draw_panels(panels, Labels(()), title=title, bar=True)


def over(
    image: Volume | None,
    changes: LabelMap,
    surfaces: Sequence[tuple[Surface, Surface]],
    point_mm: ArrayLike,
    *,
    title: str = "",
) -> NDArray[np.uint8]:
    """What became of each voxel, over an image, or over nothing.

    Args:
        image: On the grid of the map; ``None`` where there is none.
        changes: The map.
        surfaces: As for `fusion`.
        point_mm: As for `fusion`.
        title: As for `fusion`.

    Returns:
        RGB picture.

    Raises:
        GeometryError: Map and image lie on different grids, or the point outside.
    """
    shown = image or Volume(np.zeros((1, *changes.grid.shape), np.uint8), changes.grid)
    window = (0.0, 1.0) if image is None else shown_window(image, 0)
    scene = Scene(shown, window, fill=changes, surfaces=_outlines(surfaces))
    return draw_panels(_planes(scene, point_mm), changes.labels, title=title, bar=True)


def tinted(
    image: Volume,
    numbers: NDArray[np.floating],
    scale: ColourScale,
    point_mm: ArrayLike,
    *,
    name: str,
    title: str = "",
) -> NDArray[np.uint8]:
    """Numbers of voxels as colours over an image, with the bar of colours below.

    Args:
        image: 3D, its first channel.
        numbers: ``(*image.grid.shape)``; NaN where there is none, and the image is seen as it is.
        scale: Of the colours.
        point_mm: LPS, within the image.
        name: Of the numbers, with their unit.
        title: A line above.

    Returns:
        RGB picture.

    Raises:
        GeometryError: The numbers do not fit the image, or the point lies outside.
    """
    if numbers.shape != image.grid.shape:
        raise GeometryError(f"numbers of shape {numbers.shape} do not fit an image of {image.grid.shape}")
    # Places rather than colours go through the slices: what a number is worth is looked up there.
    known = np.isfinite(numbers)
    held = Volume(np.where(known, numbers, 0.0)[None].astype(np.float32), image.grid)
    there = Volume(known[None].astype(np.float32), image.grid)
    greys = _planes(Scene(image, shown_window(image, 0)), point_mm)
    low, high = scale.low, scale.high
    values = _planes(Scene(held, (low, high)), point_mm)
    where = _planes(Scene(there, (0.0, 1.0)), point_mm)
    panels = []
    for grey, value, seen in zip(greys, values, where, strict=True):
        colour = scale.colours(low + value.image * (high - low)) / 255
        tint = _TINT * seen.image[..., None]
        panels.append(replace(grey, image=grey.image[..., None] * (1 - tint) + colour * tint))
    drawn = draw_panels(panels, Labels(()), title=title, bar=True)
    return np.concatenate([drawn, colour_bar(scale, name, drawn.shape[1])])


def colour_bar(scale: ColourScale, name: str, width_px: int) -> NDArray[np.uint8]:
    """The colours of a scale from left to right, with numbers below them.

    Args:
        scale: Of the colours.
        name: Of the numbers, with their unit.
        width_px: Columns of the picture.

    Returns:
        RGB picture.

    Example:
        >>> colour_bar(ColourScale(-2.0, 2.0, "diverging"), "distance (mm)", 400).shape
        (58, 400, 3)
    """
    made = figure(width_px, _BAR_PX, _PAPER)
    axes = made.add_axes((0.2, 0.42, 0.6, 0.2))
    values = np.linspace(scale.low, scale.high, 256)
    axes.imshow(scale.colours(values)[None], aspect="auto", extent=(scale.low, scale.high, 0, 1))
    axes.set_yticks([])
    axes.tick_params(colors=_INK, labelsize=8, length=3)
    axes.spines[:].set_color(_INK)
    axes.set_title(name, color=_INK, fontsize=8, pad=3, parse_math=False)
    return render(made)


def _pairs(
    before: Volume, after: Volume, surfaces: Sequence[tuple[Surface, Surface]], point_mm: ArrayLike
) -> list[tuple[Panel, Panel]]:
    if not before.grid.is_close(after.grid, tolerance_mm=0.1):
        raise GeometryError("the images lie on different grids: bring one onto the other first")
    first = Scene(before, shown_window(before, 0), surfaces=_outlines(surfaces))
    second = Scene(after, shown_window(after, 0))
    return list(zip(_planes(first, point_mm), _planes(second, point_mm), strict=True))


def _planes(scene: Scene, point_mm: ArrayLike) -> list[Panel]:
    """The three planes, without the slices' numbers: these images may be parts of others, where numbers differ."""
    return [replace(one, name=_NUMBER.sub("", one.name)) for one in three_planes(scene, point_mm)]


def _outlines(surfaces: Sequence[tuple[Surface, Surface]]) -> tuple[Surface, ...]:
    """The surfaces in the colours of before and after."""
    found = []
    for pair in surfaces:
        for place, (surface, colour) in enumerate(zip(pair, _LINES, strict=True)):
            named = Label(("before", "after")[place], place + 1, colour)
            found.append(Surface(surface.vertices, surface.faces, named))
    return tuple(found)


def nearest_inside(grid: Grid, point_mm: ArrayLike) -> NDArray[np.float64]:
    """The point, or the nearest one to it that a voxel's centre of the grid is not beyond."""
    index = np.clip(grid.to_index(np.asarray(point_mm, np.float64)), 0, np.asarray(grid.shape) - 1)
    return grid.to_points(index)
