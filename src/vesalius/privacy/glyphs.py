"""Whether a picture could hold text at all: a cheap look for steps as sharp and as dense as strokes of letters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_CONTRAST = 24.0  # of 255 within a look
_SHARP = 0.6
"""Of the contrast around it, how much of a step a single pixel must be: a drawn stroke begins within a pixel or two,
what a scanner resolves takes more."""
_BLOCK = 5  # pixels, in which steps are counted
_LINES = ((2, 4, 0.075), (4, 8, 0.05), (8, 16, 0.025))
"""Windows of one line of letters of about 10, 20 and 40 pixels, in blocks, and the least share of steps in them.

Source: own measurement, `docs/reference/privacy-pixels.md`."""


def may_hold_text(look: NDArray[np.uint8]) -> bool:
    """Whether OCR is worth its time: false only where nothing in the picture is drawn like letters.

    Steps of one pixel that make up most of the contrast around them are counted, those up and those down apart, since a
    stroke has both and the edge of an organ one. Where they are nowhere as dense as in a line of letters, there is no
    text that could be read. Noise, ultrasound's speckle and screenshots pass; soft anatomy does not.

    Args:
        look: ``(rows, columns)``, grey of 8 bits.

    Example:
        >>> rows, columns = np.mgrid[:64, :96]
        >>> may_hold_text((100 + 80 * np.sin(columns / 9)).astype(np.uint8))
        False
        >>> may_hold_text(np.where((columns % 6 < 2) & (rows % 14 < 9), 255, 20).astype(np.uint8))
        True
    """
    if min(look.shape) < 4 * _BLOCK:
        return True
    rows, columns = (size // 2 for size in look.shape)
    half = look[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean(axis=(1, 3)).astype(np.uint8)
    return _has_lines(look) or _has_lines(half)


def _has_lines(look: NDArray[np.uint8]) -> bool:
    from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

    contrast = maximum_filter(look, 5).astype(np.int16) - minimum_filter(look, 5)
    least = np.where(contrast >= _LEAST_CONTRAST, _SHARP * contrast, np.inf)
    shares = []
    for axis in (0, 1):
        step = np.diff(look.astype(np.int16), axis=axis, append=np.take(look, [-1], axis=axis).astype(np.int16))
        shares.append((_counted(step >= least), _counted(-step >= least)))
    for high, wide, share in _LINES:
        for window in ((high, wide), (wide, high)):
            # The smaller of both senses: the strokes' two edges.
            found: Any = sum(
                2 * np.minimum(*(uniform_filter(one, window, mode="constant") for one in both)) for both in shares
            )
            if found.max() >= share:
                return True
    return False


def _counted(there: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The share of each block that is true; what is left over at the ends is filled up with nothing."""
    padded = np.pad(there, [(0, -size % _BLOCK) for size in there.shape])
    rows, columns = (size // _BLOCK for size in padded.shape)
    return np.asarray(padded.reshape(rows, _BLOCK, columns, _BLOCK).mean(axis=(1, 3), dtype=np.float32))
