"""Names of DICOM objects: which are taken from others, where they lie on disk, and how ours are made."""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import TypeVar

from vesalius.errors import FormatError

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
_LONGEST = 64

Text = TypeVar("Text", bound=str)


def checked_uid(text: Text, what: str) -> Text:
    """A UID from outside, if it is one.

    Leading zeros, which the standard forbids, are let through: devices write them, and no harm comes of them.

    Args:
        text: As it came.
        what: Of what, for the message, for example ``"SOP Instance UID"``.

    Returns:
        The same text.

    Raises:
        FormatError: It holds anything but digits and single dots, or is longer than 64 characters.

    Source: PS3.5 2026c, chapter 9 and section 9.1: "0"-"9" and ".", at most 64 characters.

    Example:
        >>> checked_uid("1.2.840.10008.1.1", "SOP Class UID")
        '1.2.840.10008.1.1'
        >>> checked_uid("../../etc/passwd", "SOP Instance UID")
        Traceback (most recent call last):
        vesalius.errors.FormatError: the SOP Instance UID is none: digits and single dots, at most 64 characters
    """
    if len(text) > _LONGEST or not _UID.fullmatch(text):
        raise FormatError(f"the {what} is none: digits and single dots, at most {_LONGEST} characters")
    return text


def folded(uid: str) -> str:
    """A name for a file or folder that stands for a UID: whatever the UID is, 32 hexadecimal digits.

    UIDs can hold dates and the numbers of devices; file names turn up in logs and listings. These do neither, and no
    UID can be written that leads out of a folder.

    Args:
        uid: Any text.

    Example:
        >>> folded("1.2.840.10008.1.1")
        '7a96f697a695cd07561035711de364f9'
        >>> len(folded("../../etc/passwd"))
        32
    """
    return hashlib.sha256(uid.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def made_uid(*parts: str) -> str:
    """A UID that is always the same for the same parts.

    What is made again after a crash has the UID that it had before, so that whoever has it already knows it.

    Args:
        parts: What the object is made of and what it is; told apart whatever characters they hold.

    Returns:
        ``2.25.`` and the decimal number of a name-based UUID.

    Source: PS3.5 2026c, B.2 (UUID derived UIDs); RFC 9562, 5.5 (version 5). Checked against `uuid.uuid5`.

    Example:
        >>> made_uid("segmentation", "1.2.3") == made_uid("segmentation", "1.2.3")
        True
        >>> made_uid("a", "bc") == made_uid("ab", "c")
        False
    """
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, text).int}"
