"""What PS3.15 says of each attribute: the basic profile, and the options that keep or clean more."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

from vesalius.errors import PrivacyError, unknown_name

Option = Literal[
    "pixels",
    "faces",
    "graphics",
    "structured-content",
    "descriptors",
    "full-dates",
    "modified-dates",
    "patient-characteristics",
    "device",
    "uids",
    "safe-private",
    "institution",
]
OPTIONS: tuple[Option, ...] = get_args(Option)
CLEANED: tuple[Option, ...] = OPTIONS[:5]
"""Options that clean something; the others keep something."""

BASIC_CODE = ("113100", "Basic Application Confidentiality Profile")
CODES: dict[Option, tuple[str, str]] = {
    "pixels": ("113101", "Clean Pixel Data Option"),
    "faces": ("113102", "Clean Recognizable Visual Features Option"),
    "graphics": ("113103", "Clean Graphics Option"),
    "structured-content": ("113104", "Clean Structured Content Option"),
    "descriptors": ("113105", "Clean Descriptors Option"),
    "full-dates": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "modified-dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "patient-characteristics": ("113108", "Retain Patient Characteristics Option"),
    "device": ("113109", "Retain Device Identity Option"),
    "uids": ("113110", "Retain UIDs Option"),
    "safe-private": ("113111", "Retain Safe Private Option"),
    "institution": ("113112", "Retain Institution Identity Option"),
}
"""Code and meaning of what (0012,0064) says was done. Source: DICOM PS3.16, CID 7050."""

Action = Literal["remove", "empty", "dummy", "uid", "keep", "shift", "clean"]

# Of the actions that the table leaves open, the one that keeps every kind of object valid. Source: PS3.15, Table
# E.1-1a, where X/Z/D is X unless an object's definition needs Z or D.
_ACTIONS: dict[str, Action] = {
    "X": "remove",
    "Z": "empty",
    "D": "dummy",
    "U": "uid",
    "Z/D": "dummy",
    "X/Z": "empty",
    "X/D": "dummy",
    "X/Z/D": "dummy",
    "X/Z/U*": "uid",
}


@dataclass(frozen=True)
class Profile:
    """The basic profile with its options.

    Args:
        options: Names out of `OPTIONS`: what is kept beyond the basic profile, and what is cleaned rather than
            removed (descriptors, structured content, graphics) or looked for in the pixels (text, faces).

    Raises:
        PrivacyError: There is no such option, or two contradict each other.

    Source:
        DICOM PS3.15 2026d, Annex E.

    Example:
        >>> Profile(frozenset({"device"})).action(0x00181000), Profile().action(0x00181000)
        ('keep', 'dummy')
    """

    options: frozenset[Option] = frozenset()

    def __post_init__(self) -> None:
        for option in self.options:
            if option not in OPTIONS:
                raise PrivacyError(unknown_name("option of de-identification", option, OPTIONS))
        if {"full-dates", "modified-dates"} <= self.options:
            raise PrivacyError("dates are either kept (full-dates) or shifted (modified-dates): name one of the two")

    def action(self, tag: int) -> Action | None:
        """What the table asks for an attribute that is not private; ``None`` for one that it does not list.

        Args:
            tag: Group and element, as one number.
        """
        group, element = tag >> 16, tag & 0xFFFF
        name = f"{tag:08X}"
        # Curves and overlays repeat; of the overlays the table lists the data and the comments.
        if 0x5000 <= group <= 0x501E:
            name = "50xxxxxx"
        elif 0x6000 <= group <= 0x601E:
            name = f"60xx{element:04X}"
        row = _table().get(name)
        if row is None:
            return None
        basic, options = row
        chosen = {options[option] for option in self.options if option in options}
        # A device's date of calibration stays with the device, but not beside shifted dates: it would tell the shift.
        if "modified-dates" in self.options and options.get("modified-dates") == "C":
            return "shift"
        if "K" in chosen:
            return "keep"
        if "C" in chosen:
            return "clean"
        return _ACTIONS[basic]

    @property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """Code value and meaning of the profile and each option, in the order of `OPTIONS`."""
        return (BASIC_CODE, *(CODES[option] for option in OPTIONS if option in self.options))


def make_profile(options: Iterable[str] = ()) -> Profile:
    """A profile from names of options, as a command line gives them.

    Args:
        options: Names out of `OPTIONS`; none gives the basic profile.

    Returns:
        The profile.

    Raises:
        PrivacyError: There is no such option, or two contradict each other.

    Example:
        >>> [code for code, _ in make_profile(["modified-dates", "pixels"]).codes]
        ['113100', '113101', '113107']
    """
    return Profile(frozenset(options))  # type: ignore[arg-type]  # it checks the names itself


def safe_private(creator: str, tag: int) -> str | None:
    """The value representation of a private attribute that is known to be harmless; else ``None``.

    Args:
        creator: Of its block.
        tag: Group and element.

    Source:
        DICOM PS3.15 2026d, Table E.3.10-1.

    Example:
        >>> safe_private("Philips PET Private Group", 0x70531000)
        'DS'
    """
    return _safe().get(creator.strip(), {}).get(f"{tag >> 16:04X}xx{tag & 0xFF:02X}")


@cache
def _table() -> dict[str, tuple[str, dict[str, str]]]:
    text = (files("vesalius.privacy") / "data" / "ps315.json").read_text(encoding="utf-8")
    return {tag: (row[0], row[1] if len(row) > 1 else {}) for tag, row in json.loads(text)["attributes"].items()}


@cache
def _safe() -> dict[str, dict[str, str]]:
    text = (files("vesalius.privacy") / "data" / "safe_private.json").read_text(encoding="utf-8")
    creators: dict[str, dict[str, str]] = json.loads(text)["creators"]
    return creators
