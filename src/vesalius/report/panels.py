"""Panels side by side on one scale: an image each, with what lies over it, letters, lines, a bar of mm, a legend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Labels
from vesalius.mesh.rendering.marks import bar_mm
from vesalius.report.canvas import DPI, figure, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 1."""

Arrangement = Literal["lead", "rows"]
"""The first panel on the left and the others below one another on its right, or all in rows of one length."""

_GAP, _HEAD, _LEGEND, _NARROWEST = 6, 26, 30, 360
_INK, _PAPER = "#f4f1ea", "#101113"
_FILL = 0.38  # how much of a structure's colour its pixels get
_SMALL = 150  # pixels of width below which only the first panel has letters


@dataclass(frozen=True, eq=False)
class Line:
    """A line on a panel, which lies between pixels wherever it wants.

    Args:
        name: What it outlines, for the legend.
        colour: Of the line.
        points_mm: ``(n, 2)``: right and down from the panel's upper left corner.
    """

    name: str
    colour: Colour
    points_mm: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture, rows downwards and columns to the right.

    Args:
        name: Above it.
        image: ``(rows, columns)`` or ``(rows, columns, 3)``, 0 to 1.
        spacing: Of rows and of columns.
        letters: Anatomical, at the left, right, upper and lower border; empty for a picture without orientation.
        fill: ``(rows, columns)``: labels that tint the image.
        contour: ``(rows, columns)``: labels whose outlines are drawn.
        lines: Over the image.
        cross: Where two hair lines cross: right and down from the upper left corner, in the spacing's unit.
    """

    name: str
    image: NDArray[np.float64]
    spacing: tuple[float, float]
    letters: tuple[str, str, str, str]
    fill: NDArray[np.integer] | None = None
    contour: NDArray[np.integer] | None = None
    lines: tuple[Line, ...] = ()
    cross: tuple[float, float] | None = None

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height in space."""
        rows, columns = self.image.shape[:2]
        return columns * self.spacing[1], rows * self.spacing[0]

    @property
    def present(self) -> set[int]:
        """The labels that are seen, without the background."""
        maps = [a for a in (self.fill, self.contour) if a is not None]
        return {int(value) for one in maps for value in np.unique(one)} - {0}


def draw_panels(
    panels: Sequence[Panel],
    labels: Labels,
    *,
    names: Mapping[int, str] | None = None,
    title: str = "",
    size: tuple[int, int] = (900, 520),
    arrangement: Arrangement = "lead",
    compared: bool = False,
    bar: bool = False,
    told: Iterable[int] = (),
    plain: bool = False,
) -> NDArray[np.uint8]:
    """Draw panels on one scale, pixels in their true proportions.

    Args:
        panels: At least one.
        labels: What the values mean, and their colours.
        names: More names of values.
        title: A line above; nothing that identifies a patient.
        size: The most that the panels take together, pixels.
        arrangement: Of the panels.
        compared: Whether fills are a prediction and contours a reference, which the legend tells then.
        bar: Whether the first panel has a bar of some millimetres.
        told: Labels that the legend tells though they are not seen, as in another picture of a series.
        plain: Without letters, bar, names, title and legend.

    Returns:
        ``(rows, columns, 3)``, uint8; the same for the same panels.
    """
    sizes = [panel.size_mm for panel in panels]
    places, inner_width, inner_height = (_lead if arrangement == "lead" else _rows)(sizes, size)
    entries = [] if plain else _told(panels, labels, names or {}, told)
    head = _HEAD if title and not plain else 0
    legend = _LEGEND if entries or (compared and not plain) else 0
    width = max(inner_width + 2 * _GAP, 0 if plain else _NARROWEST)
    height = inner_height + 2 * _GAP + head + legend
    made = figure(width, height, _PAPER)
    for number, (panel, (x, y, w, h)) in enumerate(zip(panels, places, strict=True)):
        left, top = (width - inner_width) / 2 + x, head + _GAP + y
        axes = made.add_axes((left / width, 1 - (top + h) / height, w / width, h / height))
        _show(axes, panel, labels, w)
        if plain:
            continue
        _annotate(axes, panel, lettered=number == 0 or w >= _SMALL)
        if bar and number == 0:
            _draw_bar(axes, panel, w)
    if head:
        made.text(
            _GAP / width,
            1 - 0.5 * (head + _GAP) / height,
            _short(title, int(width / 7)),
            color=_INK,
            fontsize=9,
            va="center",
            parse_math=False,
        )
    if legend:
        _legend(made, entries, compared=compared)
    return render(made)


def _show(axes: Axes, panel: Panel, labels: Labels, width_px: float) -> None:
    """The image, and what lies over it."""
    from matplotlib.patheffects import withStroke

    axes.set_axis_off()
    rows, columns = panel.image.shape[:2]
    extent = (0.0, columns * panel.spacing[1], rows * panel.spacing[0], 0.0)
    # Fewer pixels than there are: each shows the mean of those that it stands for, so that fine lines stay.
    smooth = "bilinear" if width_px >= columns else "hanning"
    axes.imshow(panel.image, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto", interpolation=smooth)
    if panel.fill is not None and (panel.fill != 0).any():
        tint = np.zeros((*panel.fill.shape, 4))
        for value in np.unique(panel.fill[panel.fill != 0]).tolist():
            tint[panel.fill == value] = (*_rgb(labels, value), _FILL)
        axes.imshow(tint, extent=extent, aspect="auto", interpolation="nearest")
    if panel.contour is not None:
        for value in np.unique(panel.contour[panel.contour != 0]).tolist():
            _outline(axes, panel, panel.contour == value, _rgb(labels, value))
    for line in panel.lines:
        axes.plot(
            *line.points_mm.T,
            color=line.colour,
            linewidth=1.3,
            solid_joinstyle="round",
            path_effects=[withStroke(linewidth=2.4, foreground="black", alpha=0.55)],
        )
    if panel.cross is not None:
        for hair in (axes.axvline(panel.cross[0]), axes.axhline(panel.cross[1])):
            hair.set(color="#ffd75e", linewidth=0.7, alpha=0.75)
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])


def _outline(axes: Axes, panel: Panel, inside: NDArray[np.bool_], colour: Colour) -> None:
    """The outline of some pixels, half-way between them and the others."""
    # A margin of background closes contours at the border; positions are those of pixel centres.
    box = [np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0)]
    low, high = [int(a[0]) for a in box], [int(a[-1]) + 1 for a in box]
    part = np.pad(inside[low[0] : high[0], low[1] : high[1]].astype(np.float64), 1)
    down, across = (
        (np.arange(a - 1, b + 1) + 0.5) * s for a, b, s in zip(low, high, panel.spacing, strict=True)
    )  # fmt: skip
    axes.contour(across, down, part, levels=[0.5], colors=["black"], linewidths=2.4, alpha=0.55)
    axes.contour(across, down, part, levels=[0.5], colors=[colour], linewidths=1.3)


def _lead(
    sizes_mm: list[tuple[float, float]], size: tuple[int, int]
) -> tuple[list[tuple[float, float, float, float]], float, float]:
    """Place the panels on one scale: the first on the left, the others below one another on its right.

    Returns:
        Left, top, width and height of each panel, then width and height of the whole, in pixels.
    """
    first, others = sizes_mm[0], sizes_mm[1:]
    gap = _GAP if others else 0
    wide = first[0] + max((w for w, _ in others), default=0.0)
    high = max(first[1], sum(h for _, h in others))
    scale = min((size[0] - gap) / wide, (size[1] - gap) / high)
    # A panel of a single row or of a very thin slab still has to be seen.
    scaled = [(max(w * scale, 24.0), max(h * scale, 24.0)) for w, h in sizes_mm]
    stack = sum(h for _, h in scaled[1:]) + gap * max(0, len(others) - 1)
    height = max(scaled[0][1], stack)
    places = [(0.0, (height - scaled[0][1]) / 2, *scaled[0])]
    top = (height - stack) / 2
    for w, h in scaled[1:]:
        places.append((scaled[0][0] + gap, top, w, h))
        top += h + gap
    return places, scaled[0][0] + gap + max((w for w, _ in scaled[1:]), default=0.0), height


def _rows(
    sizes_mm: list[tuple[float, float]], size: tuple[int, int]
) -> tuple[list[tuple[float, float, float, float]], float, float]:
    """Place the panels on one scale in rows of the length that leaves them largest; otherwise as `_lead`."""
    wide, high = max(w for w, _ in sizes_mm), max(h for _, h in sizes_mm)
    count = len(sizes_mm)

    def scale_of(columns: int) -> float:
        rows = -(-count // columns)
        return min((size[0] - _GAP * (columns - 1)) / columns / wide, (size[1] - _GAP * (rows - 1)) / rows / high)

    columns = max(range(1, count + 1), key=scale_of)
    columns = -(-count // -(-count // columns))  # as many rows, with as few empty places
    scale = scale_of(columns)
    w, h = max(wide * scale, 24.0), max(high * scale, 24.0)
    places = []
    for number, own in enumerate(sizes_mm):
        row, column = divmod(number, columns)
        own_w, own_h = max(own[0] * scale, 24.0), max(own[1] * scale, 24.0)
        places.append((column * (w + _GAP) + (w - own_w) / 2, row * (h + _GAP) + (h - own_h) / 2, own_w, own_h))
    rows = -(-count // columns)
    return places, columns * (w + _GAP) - _GAP, rows * (h + _GAP) - _GAP


def _annotate(axes: Axes, panel: Panel, *, lettered: bool) -> None:
    """The panel's name, and the letters of its borders."""
    spots = ((0, 0.5, 5, 0), (1, 0.5, -5, 0), (0.5, 1, 0, -4), (0.5, 0, 0, 4))
    sides = (("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom"))
    words = [(letter, *spot, *side, 11, "bold") for letter, spot, side in zip(panel.letters, spots, sides, strict=True)]
    words = words if lettered else []
    words.append((panel.name, 0, 1, 5, -4, "left", "top", 8, "normal"))
    for text, x, y, right, up, across, along, size, weight in words:
        axes.annotate(
            text,
            (x, y),
            xytext=(right, up),
            xycoords="axes fraction",
            textcoords="offset points",
            ha=across,
            va=along,
            color=_INK,
            fontsize=size,
            weight=weight,
            path_effects=_halo(),
        )


def _draw_bar(axes: Axes, panel: Panel, width_px: float) -> None:
    width, height = panel.size_mm
    length = bar_mm(width / width_px, round(width_px))
    right, low = 0.97 * width, height - 0.03 * width
    axes.plot(
        [right - length, right], [low, low], color=_INK, linewidth=2, solid_capstyle="butt", path_effects=_halo(4)
    )
    axes.annotate(
        f"{length:g} mm",
        (right, low),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        color=_INK,
        fontsize=8,
        path_effects=_halo(),
    )


def _told(
    panels: Sequence[Panel], labels: Labels, names: Mapping[int, str], more: Iterable[int]
) -> list[tuple[str, Colour, bool]]:
    """Name and colour of all that is seen, and whether it is filled: labels by value, then lines as they come."""
    called = {**names, **{one.value: one.name for one in labels.labels}}
    if labels.ignore is not None:
        called[labels.ignore] = "ignored"
    values = sorted(set(more).union(*(panel.present for panel in panels)))
    found = [(called.get(value, str(value)), _rgb(labels, value), True) for value in values]
    lines = dict.fromkeys((line.name, line.colour) for panel in panels for line in panel.lines)
    return [*found, *((*line, False) for line in lines if not any(line == known[:2] for known in found))]


def _legend(made: Figure, told: list[tuple[str, Colour, bool]], *, compared: bool) -> None:
    from matplotlib.patches import Patch

    room = max(1, int(made.get_figwidth() * DPI // 130) - (2 if compared else 0))
    handles = [
        Patch(facecolor=colour if filled else "none", edgecolor="none" if filled else colour, label=_short(name))
        for name, colour, filled in told[:room]
    ]
    if len(told) > room:
        handles.append(Patch(facecolor="none", label=f"and {len(told) - room} more"))
    if compared:
        handles.append(Patch(facecolor="#ffffff60", label="prediction"))
        handles.append(Patch(facecolor="none", edgecolor="white", label="reference"))
    if not handles:
        return
    drawn = made.legend(
        handles=handles,
        loc="lower center",
        ncols=len(handles),
        fontsize=8,
        frameon=False,
        labelcolor=_INK,
        handlelength=1.1,
        handleheight=0.9,
        columnspacing=1.4,
        borderaxespad=0.5,
    )
    for text in drawn.get_texts():
        text.set_parse_math(False)  # a name with dollar signs is a name, not a formula


def _halo(width: float = 2) -> list[object]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="black")]


def _rgb(labels: Labels, value: int) -> Colour:
    red, green, blue = labels.colour(value)
    return red / 255, green / 255, blue / 255


def _short(name: str, longest: int = 24) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
