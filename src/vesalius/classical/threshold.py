"""Thresholds: one for the whole image, fixed or found from its histogram."""

from __future__ import annotations

from vesalius.classical.channel import only_channel
from vesalius.errors import DataError
from vesalius.image import LabelMap, Labels, Volume


def threshold(image: Volume, *, above: float | None = None, below: float | None = None) -> LabelMap:
    """Label what is brighter than one value, darker than another, or between them.

    Args:
        image: One channel.
        above: The least value that is labelled, in the image's unit.
        below: The greatest value that is labelled, in the image's unit.

    Returns:
        ``foreground`` where ``above <= value <= below``; it may be empty.

    Raises:
        DataError: Neither bound is given, or the image has several channels.

    Example:
        >>> import numpy as np
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[-900, 40], [300, 900]]]), Grid.from_spacing((2, 2), (1.0, 1.0)))
        >>> threshold(image, above=200).array.tolist()
        [[0, 0], [1, 1]]
    """
    if above is None and below is None:
        raise DataError("threshold needs above, below or both")
    values = only_channel(image)
    inside = values >= above if above is not None else values <= below
    if above is not None and below is not None:
        inside &= values <= below
    return LabelMap(inside, image.grid, Labels.of({"foreground": 1}))
