"""Make an image of one channel out of one with several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import Volume

GreyChannel = Literal["luminance", "mean"]
"""How channels become one: weighted as the eye does, or their mean."""

_LUMINANCE = (0.2125, 0.7154, 0.0721)
_BLOCK = 1 << 16  # voxels worked on at a time: their float64 copies stay in the cache


def grey(volume: Volume, *, channel: GreyChannel | int = "luminance") -> Volume:
    """Make an image of one channel: the luminance of a colour picture, the mean of all channels, or one of them.

    Values keep their scale: the luminance of a picture of 0 to 255 is 0 to 255. An image of one channel comes back
    as it is, whatever is asked for, unless a channel is asked for that it does not have.

    Args:
        volume: 2D or 3D.
        channel: ``"luminance"``: red, green and blue weighted with 0.2125, 0.7154 and 0.0721; a fourth channel
            (opacity) is left out. ``"mean"``: of all channels. A number: that channel, from 0.

    Returns:
        The image with one channel, in the same place. One of its channels keeps its type and is not copied; what is
        computed is float32.

    Raises:
        DataError: ``"luminance"`` of an image that has neither 1, 3 nor 4 channels, or a channel that is not there.
        VesaliusError: The way is unknown.

    Example:
        >>> from vesalius.image import Grid
        >>> picture = Volume(np.full((3, 2, 2), 200, np.uint8), Grid.from_spacing((2, 2), (1.0, 1.0)))
        >>> made = grey(picture)
        >>> made.channels, float(made.array.max())
        (1, 200.0)
        >>> grey(picture, channel=1).array.dtype
        dtype('uint8')

    Source: ITU-R BT.709 primaries in the rounding of Poynton's colour FAQ; checked against
    ``skimage.color.rgb2gray``.
    """
    if isinstance(channel, int):
        if not 0 <= channel < volume.channels:
            raise DataError(f"the image has the channels 0 to {volume.channels - 1}, not {channel}")
        return _single(volume, volume.array[channel : channel + 1])
    if channel not in get_args(GreyChannel):
        raise VesaliusError(unknown_name("way to make an image grey", channel, get_args(GreyChannel)))
    if volume.channels == 1:
        return volume
    if channel == "mean":
        return _single(volume, _weighted(volume.array, (1 / volume.channels,) * volume.channels))
    if volume.channels not in (3, 4):
        raise DataError(
            f"luminance is that of red, green and blue, and the image has {volume.channels} channels: choose 'mean' or "
            "the number of a channel, from 0"
        )
    return _single(volume, _weighted(volume.array[:3], _LUMINANCE))


def _single(volume: Volume, array: NDArray[Any]) -> Volume:
    """One channel, which is no colour picture any more."""
    meta = replace(volume.meta, modality="OT") if volume.meta.modality == "RGB" else volume.meta
    return replace(volume, array=array, meta=meta)


def _weighted(channels: NDArray[Any], weights: tuple[float, ...]) -> NDArray[np.float32]:
    made = np.empty((1, *channels.shape[1:]), np.float32)
    step = max(1, _BLOCK // max(1, int(np.prod(channels.shape[2:]))))
    for start in range(0, channels.shape[1], step):
        part = channels[:, start : start + step]
        # Added up one by one in a fixed order: the same bytes whatever library multiplies matrices.
        total = part[0].astype(np.float64) * weights[0]
        for source, weight in zip(part[1:], weights[1:], strict=True):
            total += source.astype(np.float64) * weight
        made[0, start : start + step] = total
    return made
