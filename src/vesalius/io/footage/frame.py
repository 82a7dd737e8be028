"""Pictures that follow one another in time: a frame, and the footage that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from vesalius.image import Volume

_LUMA = (299, 587, 114)  # thousandths of red, green and blue. Source: ITU-R BT.601-7, 2.5.1


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of several.

    Args:
        index: Its number, from 0.
        image: 2D, ``(c, columns, rows)``.
        at_s: When it is to be seen, seconds after the first; None where the footage does not say.
    """

    index: int
    image: Volume
    at_s: float | None


@dataclass(frozen=True, eq=False)
class Footage:
    """What is open to be watched, once.

    Args:
        name: For messages and file names.
        shape: Of a frame: columns and rows.
        frames: In order, each made when it is asked for; what is wrong with the footage is raised there.
        rate_hz: Frames a second; None when unknown.
        count: How many frames there are, as the header says; None when unknown.
        live: Whether frames come by themselves, when they happen: a camera.
    """

    name: str
    shape: tuple[int, int]
    frames: Iterator[Frame]
    rate_hz: float | None = None
    count: int | None = None
    live: bool = False


def to_grey(image: Volume) -> Volume:
    """The luma of a colour picture, of the same type, rounded; a note says so.

    Args:
        image: Three channels, red, green and blue, of whole numbers of at most 16 bits.

    Example:
        >>> from vesalius.image import Grid
        >>> colour = np.array([255, 0, 0], np.uint8).reshape(3, 1, 1)
        >>> to_grey(Volume(colour, Grid.from_spacing((1, 1), (1, 1)))).array.item()
        76

    Source: ITU-R BT.601-7, 2.5.1.
    """
    red, green, blue = (channel.astype(np.uint32) for channel in image.array)
    luma = (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue + 500) // 1000
    meta = replace(image.meta, modality="OT", notes=(*image.meta.notes, "Colours were turned to grey (BT.601)."))
    return Volume(luma[None].astype(image.array.dtype), image.grid, meta)
