"""A segmentation drawn over its frame, fast enough for videos."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.image import LabelMap, Volume

_FILLED = 90  # of 256: how much of the label's colour lies over the picture
_STALE = (255, 140, 0)
_EDGE = 4  # pixels


def draw(
    image: Volume, labels: LabelMap, *, window: tuple[float, float] = (0.0, 255.0), stale: bool = False
) -> NDArray[np.uint8]:
    """Draw labels over a picture: filled lightly, with an outline of the full colour.

    Args:
        image: 2D, one or three channels.
        labels: On the same grid.
        window: Values shown as black and as white; pictures of 8 bits are shown as they are with the default.
        stale: Draw an orange border, which says that this is not the present.

    Returns:
        ``(rows, columns, 3)``, red, green, blue.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> grid = Grid.from_spacing((4, 3), (1, 1))
        >>> nothing = LabelMap(np.zeros((4, 3), np.uint8), grid, Labels.of({"polyp": 1}))
        >>> draw(Volume(np.full((1, 4, 3), 7, np.uint8), grid), nothing)[0, 0].tolist()
        [7, 7, 7]
    """
    made = np.empty((*labels.array.T.shape, 3), np.uint8)
    made[...] = _bytes(image.array, window).transpose(2, 1, 0)
    values = labels.array.T
    at = np.nonzero(values)
    if len(at[0]):
        table = np.zeros((int(values.max()) + 1, 3), np.uint16)
        for value in labels.labels.declared - {0}:
            if value < len(table):
                table[value] = labels.labels.colour(value)
        colours = table[values[at]]
        mixed = (made[at] * np.uint16(256 - _FILLED) + colours * np.uint16(_FILLED)) >> 8
        made[at] = np.where(_outline(values)[at][:, None], colours, mixed)
    if stale:
        for edge in (made[:_EDGE], made[-_EDGE:], made[:, :_EDGE], made[:, -_EDGE:]):
            edge[...] = _STALE
    return made


def _bytes(array: NDArray[np.generic], window: tuple[float, float]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8 and window == (0.0, 255.0):
        shown: NDArray[np.uint8] = array.astype(np.uint8, copy=False)
        return shown
    low, high = window
    scaled: NDArray[np.float32] = (array.astype(np.float32) - low) * np.float32(255 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _outline(values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where a neighbour above, below, left or right has another label."""
    edge = np.zeros(values.shape, np.bool_)
    down, across = values[1:] != values[:-1], values[:, 1:] != values[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return edge
