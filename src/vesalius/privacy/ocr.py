"""Find text that is burnt into a picture, and black it out. The text itself is never kept: only where it is."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import MissingDependencyError
from vesalius.privacy.glyphs import may_hold_text

SURE = 0.6
"""Confidence from which a piece of text counts as read.

Source: own measurement on CT and MR slices with a name and a date stamped on them: letters of 10 pixels and more are
read with 0.95 and more, of 8 with 0.6 to 0.9; on 60 pictures of nine kinds the one thing found where there is no text
had 0.36."""

_LEAST = 0.3  # below it, what was found is texture
_WINDOW = (1.0, 99.0)  # percentiles between which most of the shades of grey lie
_SHADES = (
    16.0,
    208.0,
)  # of 255: what lies beyond the window keeps some, so that text far brighter than all else is seen
_FAR = 0.25  # of the window, by which something far brighter or darker than all else lies beyond it
_LONGEST_SIDE, _LARGER = 736, 2
"""The shorter side to which the recogniser enlarges a picture: its own, but never more than twice the picture's.

Source: own measurement, `docs/reference/privacy-pixels.md`: slices of 200 pixels are looked at in a third of the time,
and letters of 7 pixels are found as before."""
_ROUNDS = 3
_MARGINS = (1.0, 0.33)  # at the ends of a line and beside it, in heights of the line
_reading = threading.Lock()  # one recogniser a process, which one thread uses at a time


@dataclass(frozen=True)
class Piece:
    """A line of text in a picture.

    Args:
        corners: Four points (column, row), in pixels, in order around the line.
        confidence: How sure the recogniser is of what it read, 0 to 1.
        characters: Letters and digits that it read.
    """

    corners: tuple[tuple[float, float], ...]
    confidence: float
    characters: int

    @property
    def sure(self) -> bool:
        """Whether this is text, without a doubt."""
        return self.confidence >= SURE


def find_text(picture: NDArray[Any]) -> tuple[Piece, ...]:
    """Find lines of two or more letters or digits in a picture.

    Of pictures of more than 8 bits most shades show the values between the 1st and the 99th percentile, and some what
    lies beyond, since text may be hardly brighter than the anatomy; what is far brighter or darker than all else is
    looked at once more by itself. Single letters, such as the mark of a side, say nothing of a person and are not
    reported. Pictures in which nothing is drawn like letters are not read (`vesalius.privacy.glyphs`).

    Args:
        picture: ``(rows, columns)`` grey or ``(rows, columns, 3)`` RGB, of any numeric type.

    Returns:
        The pieces, both certain and doubtful; empty where nothing was found.

    Raises:
        MissingDependencyError: RapidOCR is not installed.

    Example:
        >>> find_text(np.zeros((64, 64), np.uint8))
        ()

    Source: RapidOCR 3 (Apache-2.0) with the models PP-OCRv6 that its wheel holds; nothing is fetched.
    """
    if picture.size == 0 or picture.min() == picture.max():
        return ()
    found: list[Piece] = []
    side = min(_LONGEST_SIDE, _LARGER * min(picture.shape[:2]))
    for look in (shades(picture), *_beyond(picture)):
        if not any(may_hold_text(look[..., channel]) for channel in range(3)):
            continue
        with _reading:
            result = _engine(-(-side // 32) * 32)(look)
        for corners, text, confidence in zip(*_columns(result), strict=True):
            characters = sum(letter.isalnum() for letter in text)
            if characters >= 2 and confidence >= _LEAST:
                around = tuple((float(x), float(y)) for x, y in corners)
                found.append(Piece(around, float(confidence), characters))
    return tuple(found)


def covered(pieces: tuple[Piece, ...], rows: int, columns: int) -> NDArray[np.bool_]:
    """Where the pieces lie, with a margin of a line's height at its ends and of a third of it above and below.

    Returns:
        ``(rows, columns)``, true where pixels have to go.

    Example:
        >>> box = Piece(((2, 2), (8, 2), (8, 5), (2, 5)), 0.9, 4)
        >>> covered((box,), 8, 12).sum(axis=1)
        array([ 0, 12, 12, 12, 12, 12, 12,  0])
    """
    from PIL import Image, ImageDraw

    mask = Image.new("1", (columns, rows))
    draw = ImageDraw.Draw(mask)
    for piece in pieces:
        points = np.array(piece.corners)
        away = points - points.mean(axis=0)
        along, across = _axes(points)
        height = float(min(np.linalg.norm(points[1] - points[0]), np.linalg.norm(points[3] - points[0])))
        # Boxes end inside the first and last letter rather than above or below the line.
        longer = max(1.0, _MARGINS[0] * height) * np.sign(away @ along)[:, None] * along
        wider = max(1.0, _MARGINS[1] * height) * np.sign(away @ across)[:, None] * across
        moved = points + longer + wider
        draw.polygon([(float(x), float(y)) for x, y in moved], fill=1, outline=1)
    return np.array(mask, np.bool_)


def black_out(
    picture: NDArray[Any], *, black: float = 0, shown: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[np.bool_], bool]:
    """Black out all text of a picture, look again, and say whether the last look found none.

    Args:
        picture: ``(rows, columns)`` or ``(rows, columns, 3)``.
        black: The value that shows black.
        shown: How a person sees the picture where that differs (a palette's colours), of the same rows and columns.

    Returns:
        The picture (the same array where nothing was found), where it was changed, and whether all is certain: nothing
        doubtful was found, and nothing is left.

    Raises:
        MissingDependencyError: RapidOCR is not installed.
    """
    rows, columns = picture.shape[:2]
    everywhere = np.zeros((rows, columns), np.bool_)
    made, certain = picture, True
    view = picture if shown is None else shown
    for _ in range(_ROUNDS):
        pieces = find_text(view)
        if not pieces:
            return made, everywhere, certain
        certain = certain and all(piece.sure for piece in pieces)
        mask = covered(pieces, rows, columns)
        everywhere |= mask
        made, view = made.copy(), view.copy()
        made[mask] = black
        view[mask] = black if shown is None else 0
    return made, everywhere, False


def _axes(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors along the line and across it, of which the line's box is the longer side and the shorter."""
    one, other = points[1] - points[0], points[3] - points[0]
    if np.linalg.norm(other) > np.linalg.norm(one):
        one, other = other, one
    return one / (np.linalg.norm(one) or 1.0), other / (np.linalg.norm(other) or 1.0)


def shades(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """The picture as the recogniser sees it: ``(rows, columns, 3)``, 8 bits, blue first.

    Example:
        >>> shades(np.array([[0, 600, 1200, 60000]] * 200, np.uint16))[0, :, 0].tolist()
        [0, 2, 5, 255]
    """
    values = picture
    if picture.dtype != np.uint8 or picture.max() <= 1:
        values = picture.astype(np.float32)
        least, low, high, most = _ends(values)
        if high > low:
            known, shown = [least, low, high, most], [0.0, *_SHADES, 255.0]
            # Without anything beyond an end of the window, the window has its shades.
            shown[1] = 0.0 if low <= least else shown[1]
            shown[2] = 255.0 if high >= most else shown[2]
            values = np.interp(values, known, shown)
        else:
            return _all_shades(picture)
    return _blue_first(values.astype(np.uint8))


def _all_shades(picture: NDArray[Any]) -> NDArray[np.uint8]:
    values = picture.astype(np.float32)
    return _between(values, float(values.min()), float(values.max()))


def _beyond(picture: NDArray[Any]) -> list[NDArray[np.uint8]]:
    """What is far brighter than all else, and what is far darker, each on even ground."""
    if picture.dtype == np.uint8:
        return []
    values = picture.astype(np.float32)
    least, low, high, most = _ends(values)
    far = _FAR * (high - low)
    bright = [_between(values, high, most)] if most - high > far else []
    return bright + ([_between(values, least, low)] if low - least > far else [])


def _between(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    return _blue_first((np.clip((values - low) / ((high - low) or 1.0), 0, 1) * 255).astype(np.uint8))


def _ends(values: NDArray[np.float32]) -> tuple[float, float, float, float]:
    low, high = (float(end) for end in np.percentile(values, _WINDOW))
    return float(values.min()), low, high, float(values.max())


def _blue_first(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(grey[..., ::-1] if grey.ndim == 3 else np.repeat(grey[..., None], 3, axis=2))


def _columns(result: Any) -> tuple[Any, Any, Any]:
    if getattr(result, "boxes", None) is None or getattr(result, "txts", None) is None:
        return (), (), ()
    return result.boxes, result.txts, result.scores


@functools.cache
def _engine(side: int) -> Any:
    try:
        from rapidocr import RapidOCR
    except ImportError:
        raise MissingDependencyError(
            "text in pixels is found with RapidOCR, which is not installed; pip install 'vesalius[privacy]'"
        ) from None
    # Every score comes through, so that the doubtful ones can be told from none; nothing of it is logged.
    said = {"Global.log_level": "critical", "Global.text_score": 0.0, "Det.limit_side_len": side}
    return RapidOCR(params=said)
