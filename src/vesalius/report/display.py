"""From values to greys: which are shown as black and as white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, unknown_name
from vesalius.image import Volume
from vesalius.transform.contrast import WINDOWS_HU

SOFT_TISSUE_HU = (40.0, 400.0)
"""Level and width in which a CT is shown when nobody says another.

Source: Radiopaedia, "Windowing (CT)".
"""

WINDOWS = {**WINDOWS_HU, "soft-tissue": SOFT_TISSUE_HU}
"""Level and width of each window that has a name, HU."""


def named_window(name: str, volume: Volume) -> tuple[float, float]:
    """The values that a window of a name shows as black and as white.

    Args:
        name: One of `WINDOWS`.
        volume: A CT, or an image that does not say what it is.

    Raises:
        DataError: No window has this name, or the image is no CT.

    Example:
        >>> from vesalius.image import Grid, Meta
        >>> ct = Volume(np.zeros((1, 2, 2), np.int16), Grid.from_spacing((2, 2), (1.0, 1.0)), Meta("CT", "HU"))
        >>> named_window("lung", ct)
        (-1350.0, 150.0)
    """
    if name not in WINDOWS:
        raise DataError(unknown_name("window", name, WINDOWS))
    meta = volume.meta
    if meta.modality not in ("CT", "OT") or meta.unit not in ("HU", ""):
        raise DataError(
            f"the window {name!r} is for CT in HU, and the image is {meta.modality} in {meta.unit or 'no unit'}: "
            "give width and level"
        )
    level, width = WINDOWS[name]
    return level - width / 2, level + width / 2


def shown_window(volume: Volume, channel: int) -> tuple[float, float]:
    """The values shown as black and as white when nobody says which.

    Returns:
        Soft tissue for CT, the full range for colour pictures, and the 1st to 99.5th percentile of the voxels that are
        not 0 for all else.
    """
    if is_colour(volume):
        return 0.0, (1.0 if volume.array.dtype.kind == "f" and volume.array.max() <= 1 else 255.0)
    if volume.meta.modality == "CT":
        level, width = SOFT_TISSUE_HU
        return level - width / 2, level + width / 2
    return percentiles(volume.array[channel])


def percentiles(values: NDArray[np.generic]) -> tuple[float, float]:
    """The 1st and the 99.5th percentile of the values that are not 0, of a million of them at most."""
    sample = values.reshape(-1)[:: max(1, values.size // 1_000_000)]
    shown = sample[sample != 0] if (sample != 0).any() else sample
    low, high = (float(v) for v in np.percentile(shown, (1.0, 99.5)))
    return (low, high) if low < high else (low, low + 1.0)


def is_colour(volume: Volume) -> bool:
    """Whether its three channels are red, green and blue."""
    return volume.meta.modality == "RGB" and volume.channels == 3


def grey(values: NDArray[np.generic], window: tuple[float, float]) -> NDArray[np.float64]:
    """Values as 0 (black) to 1 (white)."""
    scaled: NDArray[np.float64] = (values.astype(np.float64) - window[0]) / (window[1] - window[0])
    return np.clip(scaled, 0.0, 1.0)
