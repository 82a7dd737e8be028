"""What is written into a picture: letters of the patient's sides, a scale bar, text."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.rendering.camera import letters
from vesalius.mesh.rendering.projection import Projection
from vesalius.mesh.rendering.raster import opencv

Ink = tuple[int, int, int]
"""RGB, 0 to 255."""

_BAR = 0.22  # of the picture's width that a scale bar has at most


def text_px(size: tuple[int, int]) -> int:
    """How high text is in a picture of so many columns and rows."""
    return round(min(28, max(10, min(size) / 42)))


def margins_px(size: tuple[int, int]) -> tuple[float, float]:
    """What letters at the edges take of a picture: at left and right, and at top and bottom."""
    height = _letters_px(size)
    return 2.8 * height, 2.0 * height


def mask_of(text: str, height_px: int, *, bold: bool = False) -> NDArray[np.float32]:
    """Text as a picture of how much of each pixel it covers.

    Args:
        text: In any script that OpenCV's own font holds (Latin, Greek, Cyrillic, Chinese). What cannot be printed,
            such as the end of a line, becomes a space.
        height_px: Of the type.
        bold: Heavier.

    Returns:
        ``(rows, columns)``, 0 to 1; all texts of one height have as many rows, and stand on one line.
    """
    cv2 = opencv()
    text = "".join(one if one.isprintable() else " " for one in text)
    font, weight = cv2.FontFace("sans"), 700 if bold else 400
    rows = math.ceil(1.5 * height_px)
    at = (2, math.ceil(1.1 * height_px))
    columns = cv2.getTextSize((1 << 14, rows), text, at, font, height_px, weight)[2] + 4
    drawn = np.zeros((rows, max(columns, 1)), np.uint8)
    cv2.putText(drawn, text, at, (255,), font, height_px, weight)
    covered: NDArray[np.float32] = drawn.astype(np.float32) / np.float32(255)
    return covered


def lay(canvas: NDArray[np.float32], mask: NDArray[np.float32], at: tuple[int, int], ink: Ink) -> None:
    """Draw a colour over a picture where a mask says so; what lies outside the picture is left out.

    Args:
        canvas: ``(rows, columns, 4)``, colours times opacity, and opacity.
        mask: ``(rows, columns)``, 0 to 1.
        at: Column and row of the mask's upper left corner.
        ink: The colour.
    """
    column, row = at
    first = (max(0, -row), max(0, -column))
    part = canvas[max(0, row) : max(0, row + mask.shape[0]), max(0, column) : max(0, column + mask.shape[1])]
    share = mask[first[0] : first[0] + part.shape[0], first[1] : first[1] + part.shape[1], None]
    colour = np.array([*ink, 255], np.float32) / 255
    part[: share.shape[0], : share.shape[1]] *= 1 - share
    part[: share.shape[0], : share.shape[1]] += share * colour


def write(
    canvas: NDArray[np.float32],
    text: str,
    at: tuple[float, float],
    *,
    height_px: int,
    ink: Ink,
    anchor: tuple[float, float] = (0.0, 0.0),
    bold: bool = False,
) -> None:
    """Write a line of text.

    Args:
        canvas: As for `lay`.
        text: One line.
        at: Column and row.
        height_px: Of the type.
        ink: Its colour.
        anchor: Which part of the text stands there, from 0 (left, top) to 1 (right, bottom).
        bold: Heavier.
    """
    mask = mask_of(text, height_px, bold=bold)
    rows, columns = mask.shape
    lay(canvas, mask, (round(at[0] - anchor[0] * columns), round(at[1] - anchor[1] * rows)), ink)


def mark_sides(canvas: NDArray[np.float32], projection: Projection, ink: Ink) -> None:
    """Write at each edge of the picture towards which side of the patient it lies."""
    columns, rows = projection.size
    height = _letters_px(projection.size)
    camera, gap = projection.camera, 0.4 * height
    for direction, at, anchor in (
        (camera.right, (columns - gap, rows / 2), (1.0, 0.5)),
        (-camera.right, (gap, rows / 2), (0.0, 0.5)),
        (camera.up, (columns / 2, gap / 2), (0.5, 0.0)),
        (-camera.up, (columns / 2, rows - gap / 2), (0.5, 1.0)),
    ):
        write(canvas, letters(direction), at, height_px=height, ink=ink, anchor=anchor, bold=True)


def _letters_px(size: tuple[int, int]) -> int:
    return round(1.35 * text_px(size))


def bar_mm(mm_per_px: float, columns: int) -> float:
    """The longest round length that a scale bar may have: 1, 2 or 5 times a power of ten.

    Example:
        >>> bar_mm(0.5, 800), bar_mm(0.02, 300)
        (50.0, 1.0)
    """
    most = _BAR * columns * mm_per_px
    power = 10.0 ** math.floor(math.log10(most))
    # What is a hair less than 5 by rounding of floating point is 5.
    digit = next(digit for digit in (5, 2, 1) if digit * power <= most * (1 + 1e-9))
    return float(f"{digit * power:.6g}")


def mark_scale(canvas: NDArray[np.float32], projection: Projection, ink: Ink) -> None:
    """Draw a bar of a round number of millimetres into the lower left corner."""
    columns, rows = projection.size
    height = text_px(projection.size)
    length = bar_mm(projection.mm_per_px, columns)
    left, wide = round(1.2 * height), length / projection.mm_per_px
    base, thick = rows - round(1.2 * height), max(2, round(height / 7))
    mask = np.zeros((2 * thick + thick, math.ceil(wide)), np.float32)
    mask[thick : 2 * thick] = 1
    mask[:, :thick] = mask[:, -thick:] = 1
    lay(canvas, mask, (left, base - mask.shape[0]), ink)
    write(
        canvas,
        f"{length:g} mm",
        (left + wide / 2, base - mask.shape[0]),
        height_px=height,
        ink=ink,
        anchor=(0.5, 1.0),
    )
