"""De-identify the header of a DICOM object: the table of PS3.15 at every depth, and what the table does not list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from vesalius.errors import FormatError
from vesalius.io.dicom.quiet import quiet
from vesalius.privacy.elements import (
    NUMBERS,
    TEXT,
    described,
    emptied,
    fits,
    harmless,
    registered,
    retained,
    shifted,
    stand_in,
    texts,
)
from vesalius.privacy.findings import Findings
from vesalius.privacy.identities import Identities, find_identities
from vesalius.privacy.marks import mark, mark_dates, patient_of
from vesalius.privacy.profile import Action, Profile, safe_private
from vesalius.privacy.pseudonyms import Pseudonyms

_DEEPEST = 32
_PATIENT = (0x00100010, 0x00100020)
_TEXT_VALUE = 0x0040A160
_PERSON_CODES = 0x00401101
_REPLACED = ("CS", "LO", "SH", "ST", "LT", "UT", "UC")
_CONTEXT = 0x00400555  # Acquisition Context Sequence: Type 2, may be empty
# Sequences for which the table asks a dummy: their items, each cleaned, are it. All others with a choice are removed.
_CLEANED_WITHIN = (0x0040A730, 0x00700001, 0x0040A073)
_STATUS = (0x00120062, 0x00120063, 0x00120064, 0x00280303)  # set anew at the end
_BORN = {0x00100033, 0x00100034}  # dates of birth and death in another calendar: text that no table lists
_OLDEST_YEARS = 89
_FEW_NUMBERS = 16  # of which one may be somebody's number; tables hold every number
_FIRST_BLOCK, _LAST_BLOCK = 0x10, 0xFF  # elements that name the creators of private blocks
_UNLISTED_GROUPS = (0x0014, 0x4010)  # of other trades: testing of materials, security of airports


@dataclass
class _Work:
    """One object's de-identification: what it follows, and what it did."""

    profile: Profile
    pseudonyms: Pseudonyms
    identities: Identities
    days: int
    actions: dict[str, None] = field(default_factory=dict)
    doubts: dict[str, None] = field(default_factory=dict)

    def did(self, tag: int, what: str) -> None:
        name = keyword_for_tag(tag)
        group, element = tag >> 16, tag & 0xFFFF
        self.actions[f"({group:04X},{element:04X}) {name}: {what}" if name else f"unknown elements: {what}"] = None


def clean_header(dataset: Dataset, profile: Profile, pseudonyms: Pseudonyms) -> tuple[Dataset, Findings]:
    """De-identify a header; pixels are left as they are.

    Every attribute that PS3.15's table lists gets its action there, at every depth of sequences. Of those that it does
    not list, numbers stay, coded strings and short texts stay where they are terms of DICOM, and bytes where they are
    the image: names, long texts, addresses, dates and unknown elements go, as do private elements, curves and overlays.
    What would stay is searched for the names and numbers of the people whom the header names.

    Args:
        dataset: The object; it is not changed.
        profile: What to keep and to clean beyond the basic profile.
        pseudonyms: Made with the key.

    Returns:
        A new object that shares the pixels with the old, and what was done. It names all options of the profile as
        done: those that concern the pixels are for the caller (`vesalius.privacy.objects`, `vesalius.privacy.heads`).

    Raises:
        FormatError: Sequences are nested too deeply.

    Source:
        DICOM PS3.15 2026d, Annex E.

    Example:
        >>> header = Dataset()
        >>> header.PatientName, header.PatientID, header.StudyDate = "Doering^Jane", "4711", "20260301"
        >>> cleaned, findings = clean_header(header, Profile(frozenset({"modified-dates"})), Pseudonyms(bytes(16)))
        >>> cleaned.PatientID == cleaned.PatientName, cleaned.StudyDate < "20260301", findings.actions[-1]
        (True, True, '(0010,0020) PatientID: replaced by a pseudonym')
    """
    with quiet:
        try:
            identity = patient_of(dataset)
            found = find_identities(dataset, profile, pseudonyms)
            work = _Work(profile, pseudonyms, found, pseudonyms.days(identity))
            cleaned = _item(dataset, work, 0)
        except RecursionError:
            raise FormatError("sequences are nested too deeply for a real DICOM header") from None
        pseudonym = pseudonyms.name(identity)
        for tag, vr in zip(_PATIENT, ("PN", "LO"), strict=True):
            cleaned.add_new(tag, vr, pseudonym)
            work.actions.pop(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword_for_tag(tag)}: replaced", None)
            work.did(tag, "replaced by a pseudonym")
        mark_dates(cleaned, dataset, profile)
        mark(cleaned, profile)
    if not identity:
        work.doubts["it names no patient, so that nobody can tell whose it is"] = None
    return cleaned, Findings(tuple(work.actions), tuple(work.doubts))


def _item(dataset: Dataset, work: _Work, depth: int) -> Dataset:
    if depth > _DEEPEST:
        work.doubts[f"sequences are nested more than {_DEEPEST} deep; what lies below was removed"] = None
        return Dataset()
    cleaned = Dataset()
    for tag in sorted(int(tag) for tag in dataset.keys()):  # noqa: SIM118  # iterating would convert every element
        group, element = tag >> 16, tag & 0xFFFF
        if element == 0 or tag in _STATUS:  # a group's length; what is set anew
            continue
        made = _private(dataset, tag, cleaned, work, depth) if group % 2 else _standard(dataset, tag, work, depth)
        if made is not None:
            cleaned.add(made)
    return cleaned


def _standard(dataset: Dataset, tag: int, work: _Work, depth: int) -> DataElement | None:
    group = tag >> 16
    if 0x5000 <= group <= 0x501E or 0x6000 <= group <= 0x601E:
        work.actions[f"({group:04X}) {'curves' if group < 0x6000 else 'overlays'}: removed"] = None
        return None
    try:
        element = dataset[tag]
        known = dictionary_VR(tag) is not None and fits(element)
    except RecursionError:
        raise
    except KeyError:
        work.did(tag, "removed, not in DICOM's dictionary")
        return None
    except Exception:
        work.did(tag, "removed, it cannot be understood")
        return None
    if not known:
        work.did(tag, "removed, it holds another kind of value than it should")
        return None
    if element.VR == "SQ":
        return _sequence(element, work, depth)
    made = _value(element, work)
    return None if made is None else _unless_repeating(made, work)


def _sequence(element: DataElement, work: _Work, depth: int) -> DataElement | None:
    tag = int(element.tag)
    action = work.profile.action(tag)
    if action == "empty" and tag == _CONTEXT:
        work.did(tag, "emptied")
        return DataElement(tag, "SQ", Sequence([]))
    if action in ("remove", "empty") or (action == "dummy" and tag not in (*_CLEANED_WITHIN, _PERSON_CODES)):
        work.did(tag, "removed")
        return None
    if action == "dummy" and tag == _PERSON_CODES:
        work.did(tag, "replaced")
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "REMOVED", "99VESALIUS", "Removed"
        return DataElement(tag, "SQ", Sequence([code]))
    if action in ("dummy", "clean"):
        work.did(tag, "cleaned within")
    return DataElement(tag, "SQ", Sequence([_item(item, work, depth + 1) for item in element.value]))


def _value(element: DataElement, work: _Work) -> DataElement | None:
    """What becomes of a value by the table, or by its kind where the table does not list it."""
    tag = int(element.tag)
    if tag in _PATIENT and element.value:
        work.did(tag, "replaced")
        made = work.pseudonyms.name(texts(element)[0])
        return DataElement(tag, element.VR, made)
    action = work.profile.action(tag)
    if action is None:
        return _unlisted(element, work)
    return _ACTS[action](element, work)


def _removed(element: DataElement, work: _Work) -> None:
    work.did(int(element.tag), "removed")


def _empty(element: DataElement, work: _Work) -> DataElement:
    if element.value not in (None, "", b""):
        work.did(int(element.tag), "emptied")
    return emptied(element)


def _dummy(element: DataElement, work: _Work) -> DataElement:
    if element.VR == "UI":
        return _uid(element, work)
    work.did(int(element.tag), "replaced")
    return stand_in(element)


def _uid(element: DataElement, work: _Work) -> DataElement:
    tag = int(element.tag)
    made = [text if not text or registered(text) else work.pseudonyms.uid(text) for text in texts(element)]
    if made != texts(element):
        work.did(tag, "replaced")
    return DataElement(tag, "UI", made if len(made) > 1 else made[0])


def _keep(element: DataElement, work: _Work) -> DataElement | None:
    made = retained(element)
    if made is None:
        return _without(element, work)
    if element.keyword == "PatientAge" and _age_years(texts(element)[0]) > _OLDEST_YEARS:
        # Source: 45 CFR 164.514(b)(2)(i)(C), HIPAA's safe harbour: ages over 89 are put together.
        work.did(int(element.tag), "replaced by 90 years")
        return DataElement(element.tag, "AS", f"{_OLDEST_YEARS + 1:03d}Y")
    work.did(int(element.tag), "kept")
    return made


def _shift(element: DataElement, work: _Work) -> DataElement | None:
    made = shifted(element, work.days)
    if made is None:
        return _without(element, work)
    if element.VR != "TM" and any(texts(element)):
        work.did(int(element.tag), "shifted")
    return made


def _clean(element: DataElement, work: _Work) -> DataElement | None:
    made = described(element)
    if made is None:
        return _without(element, work)
    if texts(made) != texts(element):
        work.did(int(element.tag), "cleaned")
    return made


def _without(element: DataElement, work: _Work) -> DataElement | None:
    """Fall back on the basic profile, where a value cannot be kept, shifted or cleaned."""
    action = Profile().action(int(element.tag))
    if element.VR == "SQ" or action in (None, "remove", "keep", "shift", "clean"):
        _removed(element, work)
        return None
    assert action is not None
    return _ACTS[action](element, work)


_ACTS: dict[Action, Callable[[DataElement, _Work], DataElement | None]] = {
    "remove": _removed,
    "empty": _empty,
    "dummy": _dummy,
    "uid": _uid,
    "keep": _keep,
    "shift": _shift,
    "clean": _clean,
}


def _unlisted(element: DataElement, work: _Work) -> DataElement | None:
    tag, vr = int(element.tag), element.VR
    if vr == "UI" and "uids" not in work.profile.options:
        return _uid(element, work)
    if vr == "UI":
        return retained(element)
    if vr in ("DA", "DT", "TM") and "full-dates" in work.profile.options:
        return retained(element)
    if vr in ("DA", "DT", "TM") and "modified-dates" in work.profile.options:
        return _shift(element, work)
    if tag not in _BORN and tag >> 16 not in _UNLISTED_GROUPS and harmless(element):
        return element
    if tag == _TEXT_VALUE and "structured-content" in work.profile.options:
        return _clean(element, work) or _dummy(element, work)
    if vr == "CS" and element.VM > 1:
        # Of an image type the first values say what it is; makers append their own.
        return _terms(element, work)
    if vr in _REPLACED and tag not in _BORN and tag >> 16 not in _UNLISTED_GROUPS:
        # It may be one without which the object is not valid, and nobody can tell what it says.
        return _dummy(element, work) if any(texts(element)) else element
    _removed(element, work)
    return None


def _terms(element: DataElement, work: _Work) -> DataElement:
    work.did(int(element.tag), "values that are no terms replaced")
    kept = [
        text
        if harmless(DataElement(element.tag, "CS", text)) and not work.identities.in_text(text, coded=True)
        else "REMOVED"
        for text in texts(element)
    ]
    return DataElement(element.tag, "CS", kept)


def _unless_repeating(element: DataElement, work: _Work) -> DataElement:
    """Take out what repeats the names and numbers that identify people, wherever somebody put them."""
    if element.VR in (*NUMBERS, "DS", "IS") and element.VM <= _FEW_NUMBERS:
        if not any(text.removesuffix(".0") in work.identities.whole for text in texts(element)):
            return element
        work.did(int(element.tag), "replaced, it repeated what identifies a person")
        return stand_in(element)
    if element.VR not in TEXT or int(element.tag) in _PATIENT:
        return element
    coded = element.VR == "CS"
    if not any(work.identities.in_text(text, coded=coded) for text in texts(element)):
        return element
    if coded and element.VM > 1:
        return _terms(element, work)
    work.did(int(element.tag), "replaced, it repeated what identifies a person")
    return stand_in(element)


def _private(dataset: Dataset, tag: int, cleaned: Dataset, work: _Work, depth: int) -> DataElement | None:
    """A private element that is known to be safe, if those are wanted; its block's creator goes with it.

    The standard's list is of attributes; their values are looked at all the same: of a sequence every item is cleaned,
    UIDs become pseudonyms, texts stay where they are terms, and bytes, of which nobody can tell what they hold, go.
    """
    creator_tag = tag >> 16 << 16 | (tag & 0xFF00) >> 8
    if "safe-private" in work.profile.options and creator_tag & 0xFF >= _FIRST_BLOCK:
        try:
            creator, element = str(dataset[creator_tag].value).strip(), dataset[tag]
            made = _safe(element, work, depth) if safe_private(creator, tag) == element.VR else None
            if made is not None:
                cleaned.add_new(creator_tag, "LO", creator)
                work.actions["private elements that are known to be safe: kept"] = None
                return made
        except RecursionError:
            raise
        except Exception:  # what cannot be understood is removed
            pass
    if tag & 0xFFFF > _LAST_BLOCK or "safe-private" not in work.profile.options:
        work.actions["private elements: removed"] = None
    return None


def _safe(element: DataElement, work: _Work, depth: int) -> DataElement | None:
    if element.VR == "SQ":
        return DataElement(element.tag, "SQ", Sequence([_item(item, work, depth + 1) for item in element.value]))
    if element.VR == "UI":
        return retained(element) if "uids" in work.profile.options else _uid(element, work)
    return _unless_repeating(element, work) if harmless(element) else None


def _age_years(text: str) -> int:
    return int(text[:3]) if text[:3].isdecimal() and text.endswith("Y") else 0
