"""What becomes of the value of one DICOM element: stand-ins, shifted dates, values that may stay."""

from __future__ import annotations

import re
import struct
from typing import Any

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.uid import UID

from vesalius.privacy.dates import NO_DATE, NO_TIME, is_time, shift_date, shift_date_time
from vesalius.privacy.pseudonyms import is_uid
from vesalius.privacy.words import clean_text, is_term

TEXT = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
NUMBERS = ("FL", "FD", "SL", "SS", "SV", "UL", "US", "UV", "AT")
BYTES = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")

IMAGE_BYTES = frozenset(
    {
        *("PixelData", "FloatPixelData", "DoubleFloatPixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
        *("RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData"),
        *("AlphaPaletteColorLookupTableData", "SegmentedRedPaletteColorLookupTableData"),
        *("SegmentedGreenPaletteColorLookupTableData", "SegmentedBluePaletteColorLookupTableData"),
        *("SegmentedAlphaPaletteColorLookupTableData", "LUTData", "BlendingLookupTableData", "VectorGridData"),
        *("PointCoordinatesData", "DoublePointCoordinatesData", "VectorCoordinateData", "LongPrimitivePointIndexList"),
        *("LongTrianglePointIndexList", "LongEdgePointIndexList", "LongVertexPointIndexList", "TrackPointIndexList"),
        *("FloatingPointValues", "AnnotationIndexList", "WaveformData", "WaveformPaddingValue"),
        *("ChannelMinimumValue", "ChannelMaximumValue", "SpectroscopyData", "FirstOrderPhaseCorrectionAngle"),
    }
)
"""Bytes that are the image or what its values mean; all others go, since nobody can tell what they hold."""

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_CONTEXT_GROUP = re.compile(r"1\.2\.840\.10008\.6\.1\.\d{1,4}")
_PACKED = {"FL": "f", "FD": "d", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q", "AT": "H"}
_LETTERS = re.compile(rb"[A-Za-z]{6}|[0-9.+-]{8}")
_FEW = 16
_LONG_TEXT = ("ST", "LT", "UT", "UC", "UR", "AE", "PN", "UN")
_STAND_INS: dict[str, Any] = {
    "AS": "000Y",
    "DA": NO_DATE,
    "DT": f"{NO_DATE}{NO_TIME}",
    "TM": NO_TIME,
    "DS": "0",
    "IS": "0",
    **dict.fromkeys(BYTES, b"\0\0"),
    **dict.fromkeys(NUMBERS, 0),
    **dict.fromkeys(TEXT, "REMOVED"),
    "UR": "http://removed.invalid",  # Source: RFC 2606, section 2: .invalid is nobody's
}


def fits(element: DataElement) -> bool:
    """Whether an element holds the kind of value that its attribute has: no text where numbers belong.

    Args:
        element: Of a standard attribute that pydicom's dictionary has.
    """
    allowed = dictionary_VR(element.tag).split(" or ")
    return element.VR in allowed or {_kind(element.VR)} == {_kind(vr) for vr in allowed}


def stand_in(element: DataElement) -> DataElement:
    """The element with a value that says nothing.

    Example:
        >>> stand_in(DataElement(0x00400512, "LO", "Jane")).value
        'REMOVED'
    """
    return DataElement(element.tag, element.VR, _STAND_INS[element.VR])


def emptied(element: DataElement) -> DataElement:
    """The element without a value."""
    return DataElement(element.tag, element.VR, None if element.VR in NUMBERS else b"" if element.VR in BYTES else "")


def described(element: DataElement) -> DataElement | None:
    """The words of a description that may stay; ``None`` where there are none or the element is no text."""
    if element.VR not in TEXT:
        return None
    kept = [clean_text(text) for text in texts(element)]
    if element.VR in ("LO", "SH", "CS"):
        kept = [text for text in kept if text]
    joined = "\\".join(kept).strip("\\ ")
    return DataElement(element.tag, element.VR, joined.split("\\") if "\\" in joined else joined) if joined else None


def shifted(element: DataElement, days: int) -> DataElement | None:
    """A date put back, or a time of day as it was; ``None`` for what is neither."""
    made: list[str | None] = []
    for text in texts(element):
        if not text:
            made.append("")
        elif element.VR == "DA":
            made.append(shift_date(text, days))
        elif element.VR == "DT":
            made.append(shift_date_time(text, days))
        else:
            made.append(text if element.VR == "TM" and is_time(text) else None)
    if None in made:
        return None
    return DataElement(element.tag, element.VR, made if len(made) > 1 else "".join(map(str, made)))


def retained(element: DataElement) -> DataElement | None:
    """An element that an option keeps, where its value is of the kind that it should be."""
    if element.VR in ("DA", "DT", "TM"):
        return shifted(element, 0)
    if element.VR == "UI":
        return element if all(is_uid(text) for text in texts(element) if text) else None
    if element.VR == "AS":
        return element if all(re.fullmatch(r"\d{3}[DWMY]", text) for text in texts(element) if text) else None
    if element.VR in ("DS", "IS"):
        return element if _numeric(element) else None
    return None if element.VR in BYTES else element


def harmless(element: DataElement) -> bool:
    """Whether the value of an attribute that the table does not list may stay.

    Numbers may; coded strings and short texts where they are terms (`vesalius.privacy.words`); bytes where they are
    the image. Long texts, names, addresses, dates and UIDs of instances may not.
    """
    vr = element.VR
    if vr in NUMBERS:
        return not isinstance(element.value, str | bytes) and not spells(element)
    if vr in ("DS", "IS"):
        return _numeric(element)
    if vr in BYTES:
        return element.keyword in IMAGE_BYTES
    if vr == "UI":
        return all(registered(text) for text in texts(element) if text)
    if element.keyword == "SpecificCharacterSet":
        return all(text in python_encoding for text in texts(element))
    return vr not in (*_LONG_TEXT, "DA", "DT", "TM", "AS") and all(is_term(text) for text in texts(element))


def spells(element: DataElement) -> bool:
    """Whether a few numbers are six letters, or a date's eight digits, when they are read as text: a word hides there.

    Example:
        >>> spells(DataElement(0x00720074, "FD", 2.5)), spells(DataElement(0x00720074, "FD", 4.117e-105))
        (False, False)
        >>> spells(DataElement(0x00720074, "FD", struct.unpack("<d", b"JANE DOE")[0]))
        False
        >>> spells(DataElement(0x00720074, "FD", struct.unpack("<d", b"DOERINGJ")[0]))
        True
        >>> spells(DataElement(0x00720078, "UL", list(struct.unpack("<2I", b"19470213"))))
        True
    """
    values = [] if element.value is None else element.value if element.VM > 1 else [element.value]
    if not 0 < len(values) <= _FEW:
        return False  # a table may spell anything
    if element.VR == "AT":  # group and element are numbers of their own
        values = [half for value in values for half in (int(value) >> 16, int(value) & 0xFFFF)]
    kind = _PACKED[element.VR]
    return any(_LETTERS.search(struct.pack(f"{order}{len(values)}{kind}", *values)) for order in "<>")


def registered(uid: str) -> bool:
    """Whether a UID is one of the standard's own: a class, a syntax, a scheme or a context group.

    Example:
        >>> registered("1.2.840.10008.1.2"), registered("1.2.840.10008.99.1234.5")
        (True, False)
    """
    return bool(UID(uid).keyword) or _CONTEXT_GROUP.fullmatch(uid) is not None


def texts(element: DataElement) -> list[str]:
    """The values of an element as texts; one without a value has an empty one."""
    value = element.value
    several = not isinstance(value, str | bytes) and element.VM > 1
    return [str("" if each is None else each).strip("\0 ") for each in (value if several else [value])]


def _numeric(element: DataElement) -> bool:
    return all(_NUMBER.fullmatch(text) for text in texts(element) if text)


def _kind(vr: str) -> str:
    if vr in TEXT or vr in ("UI", "DA", "TM", "DT", "AS"):
        return "text"
    if vr in ("DS", "IS"):
        return "digits"
    return "numbers" if vr in NUMBERS else vr if vr == "SQ" else "bytes"
