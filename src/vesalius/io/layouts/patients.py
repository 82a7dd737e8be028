"""Whose the cases are, so that a split never has one patient on both sides."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vesalius.errors import DataError
from vesalius.image import Record

_BIDS = re.compile(r"(sub-[A-Za-z0-9]+).*")
_SUBJECT = re.compile(r"((?:.*[_-])?(?:patient|subject|subj|pat|pt)[_-]?\d+).*", re.IGNORECASE)
_PART = re.compile(r"(.*\d.*?)[_-](?:frame|slice|time|visit|session|ses|view|z|t)[_-]?\d+.*", re.IGNORECASE)
_SIDE = re.compile(r"(.*\d)[_-]?(?:L|R|left|right|OD|OS)", re.IGNORECASE)
_NAMES = (
    (_BIDS, "BIDS subject (sub-…)"),
    (_SUBJECT, "the patient's number at the start of the name"),
    (_PART, "the name without its frame, slice, time or visit"),
    (_SIDE, "the name without its side (left, right)"),
)


def assign_patients(
    records: Sequence[Record], folders: Mapping[str, tuple[str, ...]], pattern: str | None
) -> tuple[tuple[Record, ...], str]:
    """Say whose each case is.

    What counts, in this order: what the manifest or the layout says; ``pattern``; a folder for each patient; the form
    of the names; else each case counts as a patient of its own.

    Args:
        records: The cases.
        folders: The folders in which each lies, outermost first.
        pattern: Regular expression searched for in the case's name; its first group, or all that it matched, is the
            patient.

    Returns:
        The records with a patient each, and a sentence that says on what basis.

    Raises:
        DataError: The pattern is not valid, fits no case, or the data set names the patients already.

    Example:
        >>> from pathlib import Path
        >>> eyes = [Record("07L", (Path("07L.png"),)), Record("07R", (Path("07R.png"),))]
        >>> assign_patients(eyes, {}, None)[1]
        '1 patient in 2 cases: told by the name without its side (left, right)'
    """
    if any(record.patient for record in records):
        if pattern is not None:
            raise DataError("the data set names its patients itself: leave patient_pattern out")
        owners, basis = [record.patient or record.id for record in records], "told by the data set itself"
    elif pattern is not None:
        owners, basis = _by_pattern(records, pattern)
    else:
        owners, basis = _by_folder(records, folders) or _by_name(records) or _by_case(records)
    number = len(set(owners))
    sentence = f"{number} patient{'s' * (number != 1)} in {len(records)} case{'s' * (len(records) != 1)}: {basis}"
    return tuple(replace(r, patient=owner) for r, owner in zip(records, owners, strict=True)), sentence


def group_by_folder(records: Sequence[Record], folders: Mapping[str, tuple[str, ...]]) -> tuple[Record, ...]:
    """Keep the outermost folder as the group ``folder`` where it is a class (``benign/``) and not a patient.

    Folders whose names hold a number are taken for patients or sequences and make no group.
    """
    outer = {record.id: folders.get(record.id, ())[:1] for record in records}
    names = {part for parts in outer.values() for part in parts}
    if len(names) < 2 or not all(outer.values()) or any(_numbered(name) for name in names):
        return tuple(records)
    return tuple(replace(r, groups={**r.groups, "folder": outer[r.id][0]}) for r in records)


_Owners = tuple[list[str], str]


def _by_pattern(records: Sequence[Record], pattern: str) -> _Owners:
    try:
        search: Callable[[str], re.Match[str] | None] = re.compile(pattern).search
    except re.error as error:
        raise DataError(f"patient_pattern={pattern!r} is not a regular expression: {error}") from error
    matches = {record.id: search(record.id) for record in records}
    owners = [_matched(matches[record.id]) or record.id for record in records]
    strangers = [case for case, match in matches.items() if not _matched(match)]
    if len(strangers) == len(records):
        raise DataError(f"patient_pattern={pattern!r} fits none of the {len(records)} cases, such as {strangers[:3]}")
    basis = f"told by patient_pattern {pattern!r}"
    if strangers:
        basis += f"; it does not fit {len(strangers)} cases, which count for themselves: {', '.join(strangers[:5])}"
    return owners, basis


def _matched(match: re.Match[str] | None) -> str:
    if match is None:
        return ""
    return (match[1] if match.re.groups else match[0]) or ""


def _by_folder(records: Sequence[Record], folders: Mapping[str, tuple[str, ...]]) -> _Owners | None:
    paths = [folders.get(record.id, ()) for record in records]
    for depth in range(min((len(path) for path in paths), default=0)):
        owners = ["/".join(path[: depth + 1]) for path in paths]
        # A class (benign/, malignant/) has no number; a patient has.
        if len(set(owners)) > 1 and all(_numbered(path[depth]) for path in paths):
            return owners, "told by the folder in which a case lies"
    return None


def _by_name(records: Sequence[Record]) -> _Owners | None:
    for form, basis in _NAMES:
        matches = [form.fullmatch(record.id) for record in records]
        owners = [match[1] for match in matches if match]
        # A form that joins no two cases says no more than the case's own name.
        if len(owners) == len(records) and len(set(owners)) < len(records):
            return owners, f"told by {basis}"
    return None


def _by_case(records: Sequence[Record]) -> _Owners:
    basis = "each counts for itself, as nothing tells which are of one patient (patient_pattern would)"
    return [record.id for record in records], basis


def _numbered(name: str) -> bool:
    return any(character.isdigit() for character in name)
