"""Which words of a header may stay: those of the DICOM dictionaries, abbreviations and short numbers."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files

_LONGEST_ABBREVIATION = 3
_LONGEST_INITIALS = 2
_LONGEST_NUMBER = 4
_LONGEST_COUNT = 4
_MOST_PARTS = 4  # of letters and digits in one word: "tfl3d1" has as many, what is drawn at random has more
_MOST_NUMBERS = 4
_PARTS = re.compile(r"[A-Za-z]+|\d+")
_DATE_LIKE = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}")
_PLAIN = re.compile(r"[\x20-\x7e]*")
_WORD = re.compile(r"[^\s^,;|]+")


def is_term(text: str) -> bool:
    """Whether a text is made of words that DICOM uses, of abbreviations of up to three letters and of short numbers.

    It is how coded strings, names of pulse sequences, kernels and makers are told from what somebody typed into the
    wrong field. The names of the very patient are looked for apart (`vesalius.privacy.identities`).

    Args:
        text: A value.

    Example:
        >>> is_term("CT_SOM5 SPI"), is_term("*tfl3d1_16ns"), is_term("MR IMAGE STORAGE"), is_term("Jane Doering")
        (True, True, True, False)
        >>> is_term("Jane Doe")
        False
    """
    if not _PLAIN.fullmatch(text) or _DATE_LIKE.search(text):
        return False
    words = [_PARTS.findall(word) for word in re.split(r"[^A-Za-z0-9]+", text)]
    if sum(part.isdecimal() for parts in words for part in parts) > _MOST_NUMBERS:
        return False
    return all(
        len(parts) <= _MOST_PARTS and all(_may_stay(part, _LONGEST_ABBREVIATION, _LONGEST_NUMBER) for part in parts)
        for parts in words
    )


def clean_text(text: str) -> str:
    """Keep the words of a description that DICOM's dictionaries have, and what cannot be a name, date or number of one.

    Args:
        text: What somebody typed, for example a series description.

    Returns:
        The words that may stay, in their order, with one space between them.

    Source:
        DICOM PS3.15, section E.3.5 (Clean Descriptors Option): keeping what is known to be harmless is one of the ways
        that it names.

    Example:
        >>> clean_text("CT Thorax 5.0 B30f, Jane Schmitz 12.03.1956")
        'CT Thorax 5.0 B30f'
    """
    kept = []
    for word in _WORD.findall(text):
        bare = word.strip(".:()[]'\"")
        parts = _PARTS.findall(bare)
        harmless = parts and _PLAIN.fullmatch(bare) and not _DATE_LIKE.search(bare)
        # Initials alone ("J") say nothing of an image; a letter beside a number ("T1", "5mm") does.
        telling = len(bare) > _LONGEST_INITIALS or any(part.isdecimal() or part.lower() in _words() for part in parts)
        if harmless and telling and all(_may_stay(part, _LONGEST_INITIALS, _LONGEST_COUNT) for part in parts):
            kept.append(bare)
    return " ".join(kept)


def is_known(word: str) -> bool:
    """Whether a word in small letters is one of DICOM's dictionaries.

    Example:
        >>> is_known("coronal"), is_known("doering")
        (True, False)
    """
    return word in _words()


def _may_stay(part: str, letters: int, digits: int) -> bool:
    if part.isdecimal():
        return len(part) <= digits
    # A short word with a capital may be a name; abbreviations are written in one case.
    named = len(part) > _LONGEST_INITIALS and part.istitle()
    return (len(part) <= letters and not named) or part.lower() in _words()


@cache
def _words() -> frozenset[str]:
    text = (files("vesalius.privacy") / "data" / "words.json").read_text(encoding="utf-8")
    return frozenset(word for line in json.loads(text)["words"] for word in line.split())
