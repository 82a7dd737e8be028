"""Values of an image as DICOM stores them: 16 bits, a slope and an intercept as decimals, a window to begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError
from vesalius.image import Volume
from vesalius.io.dicom.derived import decimal

_TOP = (1 << 16) - 1
_PLACES = 14  # digits of a slope that 16 characters hold beside sign, point and exponent
_FARTHEST = 1e30
_WINDOW_CT = (40.0, 400.0)  # level and width of soft tissue, HU: Radiopaedia, "Windowing (CT)"


@dataclass(frozen=True, eq=False)
class Stored:
    """Values as they are stored, and how to get them back.

    Args:
        array: Of whole numbers.
        slope, intercept: Decimals as DICOM writes them.
        error: The largest difference between a value and what is read back.
    """

    array: NDArray[Any]
    slope: str
    intercept: str
    error: float


def store_values(array: NDArray[Any]) -> Stored:
    """Sixteen bits for any values; fewer bits would gain nothing that a PACS notices.

    Whole numbers that 16 bits hold are kept as they are; others are stored in 65,536 steps from the lowest to the
    highest.

    Args:
        array: Of any shape.

    Raises:
        FormatError: The values are too large for DICOM's decimals.

    Source: DICOM PS3.3 C.11.1 (rescaling).
    """
    lowest, highest = float(array.min()), float(array.max())
    whole = _as_they_are(array, lowest, highest)
    if whole is not None:
        return whole
    _refuse_far(lowest, highest)
    # The slope as it will be read: rounded up, so that the highest value still has a step.
    slope = f"{(highest - lowest) / _TOP * (1 + 1e-9):.{_PLACES - 5}g}" if highest > lowest else "1"
    intercept = decimal(lowest)
    steps = np.rint((array.astype(np.float64) - float(intercept)) / float(slope)).clip(0, _TOP)
    return Stored(steps.astype("<u2"), slope, intercept, _error(steps, slope, intercept, array))


def store_above_zero(array: NDArray[Any], *, signed: bool) -> Stored:
    """Sixteen bits without an intercept, as PET has them.

    Args:
        array: Of any shape.
        signed: Whether values below 0 are to fit.

    Raises:
        FormatError: The values are too large for DICOM's decimals.

    Source: DICOM PS3.3 C.8.9.4.1.4 (the rescale intercept of a PET image is 0).
    """
    lowest, highest = float(array.min()), float(array.max())
    dtype = np.dtype("<i2" if signed else "<u2")
    info = np.iinfo(dtype)
    if _is_whole(array) and info.min <= lowest and highest <= info.max:
        return Stored(array.astype(dtype), "1", "0", 0.0)
    _refuse_far(lowest, highest)
    reach = max(abs(lowest), abs(highest))
    slope = f"{reach / info.max * (1 + 1e-9):.{_PLACES - 5}g}" if reach else "1"
    steps = np.rint(array.astype(np.float64) / float(slope)).clip(info.min, info.max)
    return Stored(steps.astype(dtype), slope, "0", _error(steps, slope, "0", array))


def store_as_before(array: NDArray[Any], slope: str, intercept: str, *, signed: bool) -> Stored | None:
    """With a slope and an intercept that are known; None unless every value comes back as it is.

    What was read from DICOM and not changed, or only set to others of its values, is stored so without a loss.

    Args:
        array: Of any shape.
        slope: A decimal as DICOM writes it.
        intercept: Another.
        signed: Whether stored values may be below 0.
    """
    factor, shift = np.float64(slope), float(intercept)
    dtype = np.dtype("<i2" if signed else "<u2")
    info = np.iinfo(dtype)
    if not factor or not np.isfinite(factor):
        return None
    steps = np.rint((array.astype(np.float64) - shift) / factor)
    if not (info.min <= steps.min() and steps.max() <= info.max):
        return None
    back = steps * factor + shift
    # As the reader does it: whole numbers stay whole, others are rounded once.
    if not (factor == 1 and shift == int(shift)):
        back = back.astype(np.float32)
    return Stored(steps.astype(dtype), slope, intercept, 0.0) if np.array_equal(back, array) else None


def shown_window(image: Volume) -> tuple[float, float]:
    """Level and width to begin with: soft tissue for CT, else all but the darkest and the brightest hundredth."""
    if image.meta.modality == "CT":
        return _WINDOW_CT
    values = image.array.reshape(-1)
    low, high = (float(x) for x in np.percentile(values[:: max(1, values.size // 1_000_000)], (1, 99)))
    return (low + high) / 2, max(high - low, 1e-6)


def _as_they_are(array: NDArray[Any], lowest: float, highest: float) -> Stored | None:
    if _is_whole(array):
        for dtype in (np.uint16, np.int16):
            if np.iinfo(dtype).min <= lowest and highest <= np.iinfo(dtype).max:
                return Stored(array.astype(f"<{np.dtype(dtype).str[1:]}"), "1", "0", 0.0)
    return None


def _is_whole(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "biu" or bool((np.rint(array) == array).all())


def _refuse_far(lowest: float, highest: float) -> None:
    if max(abs(lowest), abs(highest)) > _FARTHEST:
        raise FormatError("the values are too large for the decimals of a DICOM image")


def _error(steps: NDArray[Any], slope: str, intercept: str, array: NDArray[Any]) -> float:
    return float(np.abs(steps * float(slope) + float(intercept) - array).max())
