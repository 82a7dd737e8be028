"""The one channel that a method works on."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import Volume


def only_channel(image: Volume) -> NDArray[Any]:
    """The values of an image that has one channel.

    Args:
        image: The image.

    Returns:
        ``(*grid.shape)``, a read-only view. Whether an image of one grey value makes sense is each method's business.

    Raises:
        DataError: The image has several channels; the message says how to choose.

    Example:
        >>> import numpy as np
        >>> from vesalius.image import Grid
        >>> only_channel(Volume(np.zeros((1, 2, 3)), Grid.from_spacing((2, 3), (1.0, 1.0)))).shape
        (2, 3)
    """
    if image.channels > 1:
        raise DataError(
            f"this method works on one channel, and the image has {image.channels}: choose with --channel N (from 0), "
            "or luminance or mean for a colour picture; in Python vesalius.transform.grey(image, channel=...)"
        )
    values: NDArray[Any] = image.array[0]
    return values
