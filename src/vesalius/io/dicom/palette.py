"""Palette pictures in their colours."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from vesalius.errors import FormatError

_COLOURS = ("Red", "Green", "Blue")
_MOST_ENTRIES = 1 << 16
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


def apply_palette(array: NDArray[Any], tables: Dataset) -> NDArray[np.uint8]:
    """Look colours up.

    Stored values below the first that the palette maps get its first colour, those above the last its last.

    Args:
        array: Stored values, of any shape.
        tables: The palette's elements, with the byte order they were read in.

    Returns:
        ``(*shape, 3)``, RGB of 8 bits: palettes of 16 bits keep their upper half, which is what screens show.

    Raises:
        FormatError: There is no palette, or it holds fewer or more entries than it declares.

    Source: DICOM PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6; checked against pydicom, which counts entries beyond the 256th of
    8-bit palettes from the start again.

    Example:
        >>> tables = Dataset()
        >>> for colour in ("Red", "Green", "Blue"):
        ...     setattr(tables, f"{colour}PaletteColorLookupTableDescriptor", [2, 10, 8])
        ...     setattr(tables, f"{colour}PaletteColorLookupTableData", bytes([5, 250]))
        >>> apply_palette(np.array([0, 10, 11, 99]), tables)[:, 0]
        array([  5,   5, 250, 250], dtype=uint8)
    """
    descriptor = tables.get("RedPaletteColorLookupTableDescriptor")
    if descriptor is None:
        raise FormatError("its colours come from a palette, but it holds none")
    entries, first, depth = (int(number) for number in descriptor)
    entries = entries or _MOST_ENTRIES  # 65,536 does not fit the 16 bits of the descriptor
    at = np.clip(array.astype(np.int64) - first, 0, entries - 1)
    coloured = np.empty((*array.shape, 3), np.uint8)
    for channel, colour in enumerate(_COLOURS):
        coloured[..., channel] = _eight_bits(_entries(tables, colour, entries, depth), depth)[at]
    return coloured


def _entries(tables: Dataset, colour: str, entries: int, depth: int) -> NDArray[Any]:
    order = "<" if tables.original_encoding[1] is not False else ">"
    name = f"{colour}PaletteColorLookupTableData"
    if name in tables:
        stored = bytes(tables[name].value)
        # Entries of 8 bits may each lie in 16; how many bytes there are tells.
        width = 2 if len(stored) >= 2 * entries else 1
        if len(stored) < width * entries or (width == 1 and depth > 8):
            raise FormatError("its palette holds fewer entries than it declares: the file is cut off or damaged")
        return np.frombuffer(stored, f"{order}u{width}", entries)
    stored = bytes(tables[f"Segmented{name}"].value)
    width = 2 if depth > 8 else 1
    words = struct.unpack(f"{order}{len(stored) // width}{'BH'[width - 1]}", stored[: len(stored) // width * width])
    expanded: list[int] = []
    _expand(words, expanded, entries, little=order == "<", wide=width == 2)
    if len(expanded) != entries:
        raise FormatError("its palette expands to another number of entries than it declares: the file is damaged")
    return np.array(expanded, f"u{width}")


def _expand(words: tuple[int, ...], out: list[int], most: int, *, little: bool, wide: bool) -> None:
    """Expand a segmented palette into ``out``, and no further than to ``most`` entries.

    Segments that refer to segments that refer to others could grow to any size from a few bytes: they may not refer to
    such as refer themselves, and each step counts.

    Source: DICOM PS3.3 C.7.9.2 (discrete, linear and indirect segments).
    """
    pending = [(0, len(words))]  # where to go on, and how many segments are left there
    steps = 0
    while pending:
        at, left = pending.pop()
        if left == 0 or at + 1 >= len(words):  # a byte of padding may follow
            continue
        steps += 1
        kind, length = words[at], words[at + 1]
        at += 2
        if kind == _DISCRETE:
            out.extend(words[at : at + length])
            at += length
        elif kind == _LINEAR and out and length:
            out.extend(np.around(np.linspace(out[-1], words[at], length + 1))[1:].astype(int).tolist())
            at += 1
        elif kind == _INDIRECT and out and not pending:
            # A number of bytes, its lower half first; halves of two entries are in the file's order.
            if wide:
                target = (words[at] | words[at + 1] << 16) // 2
                at += 2
            else:
                low, high = (words[at + n : at + n + 2][:: 1 if little else -1] for n in (0, 2))
                target = int.from_bytes(bytes((*low, *high)), "little")
                at += 4
            pending += [(at, left - 1), (target, length)]
            continue
        else:
            raise FormatError("its palette has segments that cannot be: the file is damaged")
        if len(out) > most or steps > most:
            raise FormatError("its palette expands to more entries than it declares: the file is damaged")
        pending.append((at, left - 1))


def _eight_bits(entries: NDArray[Any], depth: int) -> NDArray[np.uint8]:
    wide = depth > 8 or (entries.dtype.itemsize == 2 and int(entries.max()) > 0xFF)
    return (entries >> 8 if wide else entries).astype(np.uint8)
