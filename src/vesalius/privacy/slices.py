"""Text in the slices of one series, judged together: what recurs is text, what stands alone in anatomy may be none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.privacy.ocr import SURE, Piece, covered, find_text, shades

FEWEST = 5  # slices, from which on they are judged together; below, each is a picture of its own
PLAIN = 0.9
"""Confidence from which two or three letters count as read.

Source: own measurement on 60 slices of a lung, in which two letters were read with 0.72 to 0.82 where there are
vessels, and four letters or more nowhere."""
_WORD = 4  # letters from which `SURE` is enough
_ROUNDS = 3
_APART = 8  # parts of a series: what recurs in the next slices may be anatomy
_SAME = 0.7  # correlation of the fine structure, from which two places look alike
_SHARED = 0.3  # overlap over union, from which two boxes are at the same place
_EMPTY = 8.0  # shades of grey, of 255, by which the surroundings of a box differ where there is no anatomy
_CLOSER = 3  # times, by which a doubtful place is enlarged


@dataclass(frozen=True, eq=False)
class Verdict:
    """What is text in the slices of a series.

    Args:
        masks: ``(rows, columns)`` of what has to go, by the slice's number.
        doubtful: Slices in which something may be text, and nobody can be sure.
        passed_over: Slices with a lone sign of two or three letters in anatomy, which were left as they are.
    """

    masks: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    doubtful: frozenset[int] = frozenset()
    passed_over: frozenset[int] = frozenset()


def judge(found: Sequence[tuple[Piece, ...]], slice_of: Callable[[int], NDArray[Any]]) -> Verdict:
    """Decide of each piece that was found in the slices of a series whether it is text.

    Words of four letters read with a confidence of `SURE`, and shorter ones read with `PLAIN`, are text. Of the rest
    each place is looked at again, enlarged. It is text, too, where the same structure stands in the same place of
    slices far apart, or on empty ground. A word of four letters that is read no better, and a short one on empty
    ground, is a doubt; two or three letters amid anatomy, in one slice alone, are no reason to take it out.

    Args:
        found: The pieces of each slice, in the order of space.
        slice_of: Gives a slice's pixels; called for those with uncertain pieces and those that they are compared with.

    Returns:
        What has to go, and which slices are in doubt.

    Example:
        >>> name = Piece(((2, 2), (40, 2), (40, 12), (2, 12)), 0.97, 11)
        >>> verdict = judge([(), (name,), (), (), ()], lambda number: np.zeros((64, 64)))
        >>> list(verdict.masks), verdict.doubtful
        ([1], frozenset())
    """
    masks: dict[int, NDArray[np.bool_]] = {}
    doubtful, passed_over = set(), set()
    for number, pieces in enumerate(found):
        if not pieces:
            continue
        pixels = slice_of(number)
        text = []
        for piece in pieces:
            if _plain(piece) or _read_closer(pixels, piece) or _recurs(piece, number, found, slice_of):
                text.append(piece)
            elif _on_empty_ground(pixels, piece):
                text.append(piece)
                if not piece.sure:
                    doubtful.add(number)
            elif piece.characters >= _WORD:
                doubtful.add(number)
            else:
                passed_over.add(number)
        if text:
            masks[number] = covered(tuple(text), *pixels.shape[:2])
    return Verdict(masks, frozenset(doubtful), frozenset(passed_over))


def black_out_slices(slices: Sequence[NDArray[Any]], blacks: Sequence[float]) -> tuple[list[NDArray[Any]], Verdict]:
    """Black out the text in all slices of a volume, and look again.

    Args:
        slices: ``(rows, columns)`` each, in the order of space.
        blacks: The value that shows black, for each.

    Returns:
        The slices (the same arrays where nothing was changed), and what was found in them; text that is there after
        three rounds is a doubt.

    Raises:
        MissingDependencyError: RapidOCR is not installed.
    """
    made = list(slices)
    found = [find_text(pixels) for pixels in made]
    masks: dict[int, NDArray[np.bool_]] = {}
    doubtful: frozenset[int] = frozenset()
    passed_over: frozenset[int] = frozenset()
    for _ in range(_ROUNDS):
        verdict = judge(found, made.__getitem__)
        doubtful, passed_over = doubtful | verdict.doubtful, verdict.passed_over
        if not verdict.masks:
            return made, Verdict(masks, doubtful, passed_over)
        for number, mask in verdict.masks.items():
            made[number] = np.where(mask, made[number].dtype.type(blacks[number]), made[number])
            masks[number] = masks.get(number, False) | mask
            found[number] = find_text(made[number])
    last = judge(found, made.__getitem__)
    return made, Verdict(masks, doubtful | last.doubtful | frozenset(last.masks), last.passed_over)


def _plain(piece: Piece) -> bool:
    return piece.confidence >= (SURE if piece.characters >= _WORD else PLAIN)


def _read_closer(pixels: NDArray[Any], piece: Piece) -> bool:
    """Whether it is read without a doubt once it is enlarged, with the shades of its own surroundings."""
    from PIL import Image

    left, top, right, bottom = _box(piece)
    away = max(4.0, 1.5 * min(right - left, bottom - top))
    rows, columns = pixels.shape[:2]
    part = pixels[
        max(int(top - away), 0) : min(int(bottom + away) + 1, rows),
        max(int(left - away), 0) : min(int(right + away) + 1, columns),
    ]
    if min(part.shape[:2]) < 2 or part.min() == part.max():
        return False
    seen = Image.fromarray(shades(part)[..., ::-1].copy())
    large = np.asarray(seen.resize((_CLOSER * seen.width, _CLOSER * seen.height), Image.Resampling.BICUBIC))
    return any(_plain(one) for one in find_text(large))


def _recurs(
    piece: Piece, number: int, found: Sequence[tuple[Piece, ...]], slice_of: Callable[[int], NDArray[Any]]
) -> bool:
    """Whether the same structure was found in the same place of two other slices that lie far from it."""
    apart = max(2, len(found) // _APART)
    box = _box(piece)
    others = [
        other
        for other, pieces in enumerate(found)
        if abs(other - number) >= apart and any(_overlap(box, _box(one)) >= _SHARED for one in pieces)
    ]
    here = _fine(slice_of(number), box)
    alike = (other for other in others if _correlation(here, _fine(slice_of(other), box)) >= _SAME)
    return next(alike, None) is not None and next(alike, None) is not None


def _on_empty_ground(pixels: NDArray[Any], piece: Piece) -> bool:
    """Whether there is nothing around a piece: no anatomy that could look like letters."""
    rows, columns = pixels.shape[:2]
    inside = covered((piece,), rows, columns)
    left, top, right, bottom = _box(piece)
    away = max(4.0, min(right - left, bottom - top))
    around = np.zeros_like(inside)
    around[
        max(int(top - 2 * away), 0) : int(bottom + 2 * away) + 1,
        max(int(left - 2 * away), 0) : int(right + 2 * away) + 1,
    ] = True
    ring = shades(pixels)[..., 0][around & ~inside]
    return bool(ring.size and ring.std() <= _EMPTY)


def _box(piece: Piece) -> tuple[float, float, float, float]:
    columns, rows = zip(*piece.corners, strict=True)
    return min(columns), min(rows), max(columns), max(rows)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    whole = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / whole if whole > 0 else 0.0


def _fine(pixels: NDArray[Any], box: tuple[float, ...]) -> NDArray[np.float64]:
    """The fine structure within a box: what a mean over five pixels leaves."""
    from scipy.ndimage import uniform_filter

    part = pixels[max(int(box[1]), 0) : int(box[3]) + 1, max(int(box[0]), 0) : int(box[2]) + 1].astype(np.float64)
    return np.asarray(part - uniform_filter(part, 5))


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if one.shape != other.shape:
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / (np.sqrt((one**2).sum() * (other**2).sum()) or 1.0))
