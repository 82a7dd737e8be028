"""Names, identifiers and dates of patients that do not exist.

Phantoms carry them wherever real files carry a patient. Nothing that the suite prints, logs or reports may hold one:
the scanner of `leaks` looks for them, and for those of every DICOM file that a test writes, while all tests run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

NAME, ID, BIRTH_DATE, REMARK = "DOE^JANE", "ID-4711", "19470711", "secret remark"
STUDY_DATE = "20190213"
CANARIES = (NAME, ID, BIRTH_DATE, STUDY_DATE, REMARK)


def forms(canary: str) -> frozenset[str]:
    """How a name, identifier or date may be spelt, in lower case.

    Example:
        >>> sorted(forms("DOE^JANE"))[:3]
        ['doe jane', 'doe%5ejane', 'doe, jane']
        >>> "1947-07-11" in forms("19470711")
        True
    """
    text = canary.casefold()
    found = {text}
    if "^" in text:
        family, given = [*text.split("^"), ""][:2]
        found |= {f"{family}{mark}{given}" for mark in (" ", ", ", "_", "-", "\\^", "%5e")}
        found |= {f"{given} {family}", f"{given}_{family}"}
    if re.fullmatch(r"(19|20)\d{6}", text):
        year, month, day = text[:4], text[4:6], text[6:]
        found |= {f"{year}{mark}{month}{mark}{day}" for mark in "-/.:"}
        found |= {f"{day}{mark}{month}{mark}{year}" for mark in "-/."} | {f"{month}/{day}/{year}"}
    return frozenset(found)


def found_in(text: str, canaries: Iterable[str]) -> list[str]:
    """Which of some spellings (`forms`) a text holds; digits of a longer number are no date.

    Example:
        >>> found_in("Jane Doe, born 1947-07-11", forms(NAME) | forms(BIRTH_DATE))
        ['1947-07-11', 'jane doe']
        >>> found_in("1.2.840.1947071199", forms(BIRTH_DATE))
        []
    """
    folded = text.casefold()
    return sorted(
        one
        for one in canaries
        if one in folded and (not one.isdecimal() or re.search(rf"(?<!\d){one}(?!\d)", folded) is not None)
    )
