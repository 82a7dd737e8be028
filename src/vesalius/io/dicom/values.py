"""From stored values to the array of a `Volume`: rescaling, inversion, data type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_modality_lut

from vesalius.errors import FormatError
from vesalius.io.dicom.frame import Frame, Source
from vesalius.io.dicom.header import damage_is_a_format_error
from vesalius.io.dicom.pixels import decode
from vesalius.io.stream import refuse_unholdable


def assemble(frames: Sequence[Sequence[Frame]]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Decode frames into one array and rescale each by its own slope and intercept.

    With slope 1 and whole intercepts the numbers stay integers: as they are stored when the intercept is 0, else the
    narrowest of int16, int32 and int64 that holds the data. Other slopes give float32 (float64 for more than 24 stored
    bits, which float32 cannot tell apart).

    ``MONOCHROME1`` (0 is white) is inverted to ``lowest + highest - value``, where lowest and highest are the bounds of
    the stored bits, not of the data: so that bright means bright as in every other image, the same way for all
    images of a scanner. Values with a unit (HU, Bq/ml) mean what they say, however they are displayed, and stay.

    Args:
        frames: ``frames[channel][slice]``, all of one size.

    Returns:
        ``(channels, columns, rows, slices)``, a view on memory in which a row is contiguous; colours are three
        channels. And notes.

    Raises:
        FormatError: The pixels cannot be decoded, or rescale beyond what float32 holds.

    Source: DICOM PS3.3 C.11.1 (modality LUT), C.7.6.3.1.2 (photometric interpretation).
    """
    place = {(frame.source.path, frame.index): at for at, frame in _enumerate(frames)}
    first = frames[0][0]
    pixels = first.source.pixels
    whole = all(
        frame.slope == 1 and frame.intercept == int(frame.intercept) and not _has_lut(frame.source)
        for _, frame in _enumerate(frames)
    )
    stored = max(frame.source.pixels.stored for _, frame in _enumerate(frames))
    colours = pixels.channels
    # The array is made with the first decoded frame, when its type is known; frames of any type then fit in.
    array: NDArray[Any] | None = None
    low, high = 0, 0
    for source, members in _by_source(frames).items():
        for frame, picture in decode(source, members):
            values = _upright(source, picture)
            values = values if whole else _rescaled(frame, values, np.float64 if stored > 24 else np.float32)
            if array is None:
                shape = (len(frames), colours, len(frames[0]), pixels.rows, pixels.columns)
                _refuse_unholdable(source, math.prod(shape) * values.itemsize)
                array = np.empty(shape, values.dtype)
            elif values.dtype != array.dtype:
                array = array.astype(np.promote_types(values.dtype, array.dtype), copy=False)
            channel, position = place[source.path, frame.index]
            array[channel, :, position] = values if colours == 1 else np.moveaxis(values, -1, 0)
            if whole and frame.intercept:
                low = min(low, int(values.min()) + int(frame.intercept))
                high = max(high, int(values.max()) + int(frame.intercept))
    assert array is not None
    if whole:
        intercepts = np.array([[int(frame.intercept) for frame in channel] for channel in frames])
        array = _shifted(array, intercepts, low, high)
    notes = _inversion_notes(first.source)
    flat = array.reshape(-1, *array.shape[2:])
    return flat.transpose(0, 3, 2, 1), notes


def to_values(frame: Frame, picture: NDArray[Any]) -> NDArray[Any]:
    """The values of one decoded frame: rescaled and upright, see `assemble`.

    Args:
        frame: Where the picture comes from.
        picture: As `vesalius.io.dicom.pixels.decode` gives it.

    Returns:
        Of the picture's shape. Whole numbers stay whole; those with an intercept become int32, or int64 for more than
        24 stored bits.
    """
    source = frame.source
    wide = source.pixels.stored > 24
    values = _upright(source, picture)
    if frame.slope != 1 or frame.intercept != int(frame.intercept) or _has_lut(source):
        return _rescaled(frame, values, np.float64 if wide else np.float32)
    if not frame.intercept:
        return values
    shifted: NDArray[Any] = values.astype(np.int64 if wide else np.int32) + int(frame.intercept)
    return shifted


def same_pixels(one: Frame, other: Frame) -> bool:
    """Whether two copies of a frame hold the same stored values, however each is encoded."""
    (_, first), (_, second) = (next(decode(frame.source, [frame])) for frame in (one, other))
    return bool(np.array_equal(first, second))


def _enumerate(frames: Sequence[Sequence[Frame]]) -> list[tuple[tuple[int, int], Frame]]:
    return [((c, k), frame) for c, channel in enumerate(frames) for k, frame in enumerate(channel)]


def _by_source(frames: Sequence[Sequence[Frame]]) -> dict[Source, list[Frame]]:
    """The frames of each file together, so that each is opened once."""
    found: dict[Source, list[Frame]] = {}
    for _, frame in _enumerate(frames):
        found.setdefault(frame.source, []).append(frame)
    return found


def _refuse_unholdable(source: Source, size: int) -> None:
    try:
        refuse_unholdable(size)
    except FormatError as error:
        raise FormatError(f"{source.path.name} and its series: {error}") from None


def _has_lut(source: Source) -> bool:
    return source.tables is not None and "ModalityLUTSequence" in source.tables


def _inverted(source: Source) -> bool:
    return source.pixels.photometric == "MONOCHROME1" and not source.unit


def _inversion_notes(source: Source) -> tuple[str, ...]:
    if source.pixels.photometric != "MONOCHROME1":
        return ()
    if _inverted(source):
        return ("stored with white as 0 (MONOCHROME1): inverted, so that bright is bright",)
    return (f"stored with white as 0 (MONOCHROME1): not inverted, since the values are in {source.unit}",)


def _upright(source: Source, values: NDArray[Any]) -> NDArray[Any]:
    if not _inverted(source):
        return values
    pixels = source.pixels
    if pixels.signed:
        inverse: NDArray[Any] = ~values  # lowest + highest is -1
        return inverse
    top = (1 << pixels.stored) - 1
    if int(values.max()) > top:
        raise FormatError(f"{source.path.name}: holds values of more than the {pixels.stored} bits it declares")
    mirrored: NDArray[Any] = values.dtype.type(top) - values
    return mirrored


def _rescaled(frame: Frame, values: NDArray[Any], dtype: type[np.floating[Any]]) -> NDArray[Any]:
    if _has_lut(frame.source) and frame.source.tables is not None:
        with damage_is_a_format_error(frame.source.path):
            found: NDArray[Any] = apply_modality_lut(values, frame.source.tables).astype(dtype)
        return found
    reach = abs(frame.slope) * 2.0**frame.source.pixels.stored + abs(frame.intercept)
    if reach > np.finfo(dtype).max:
        raise FormatError(f"{frame.name}: rescale slope and intercept lead beyond what {np.dtype(dtype)} can hold")
    # In double precision, then rounded once.
    return (values * np.float64(frame.slope) + frame.intercept).astype(dtype)


def _shifted(array: NDArray[Any], intercepts: NDArray[np.int64], low: int, high: int) -> NDArray[Any]:
    """Add whole intercepts ``(channels, slices)``; 16 bits stay 16 bits, in place, when the sums fit int16."""
    if not intercepts.any():
        return array
    # Slices without an intercept count with what they hold.
    low, high = min(low, int(array.min())), max(high, int(array.max())) if not intercepts.all() else high
    target = next(
        (t for t in (np.int16, np.int32, np.int64) if np.iinfo(t).min <= low and high <= np.iinfo(t).max), None
    )
    if target is None:
        raise FormatError("the rescale intercept leads beyond what 64-bit integers can hold")
    added = intercepts[:, None, :, None, None]
    if array.dtype.itemsize == 2 and target is np.int16:
        bits = array.view(np.uint16)
        bits += (added % 65536).astype(np.uint16)  # modulo 2**16, as two's complement adds
        return bits.view(np.int16)
    shifted: NDArray[Any] = array.astype(target) + added.astype(target)
    return shifted
