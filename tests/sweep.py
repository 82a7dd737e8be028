"""Every attribute of DICOM's dictionary with a patient in it, in every form that a patient is written in.

    python tests/sweep.py            # all attributes in all forms, at the top and nested; prints what survives

Attributes hold what a careless or broken program may put there: text whatever their value representation asks for, as
raw bytes, as a file would bring it.
"""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Iterator, Sequence

from pydicom import dcmwrite
from pydicom.datadict import DicomDictionary, RepeatersDictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from vesalius.privacy.elements import IMAGE_BYTES, NUMBERS
from vesalius.privacy.headers import clean_header
from vesalius.privacy.profile import make_profile
from vesalius.privacy.pseudonyms import Pseudonyms

FORMS = {
    "name": ("Kanarienvogel^Piet", "kanarienvogel"),
    "name, given name first": ("Piet Kanarienvogel", "kanarienvogel"),
    "name in small letters": ("kanarienvogel, piet", "kanarienvogel"),
    "name in capitals, alone": ("KANARIENVOGEL", "kanarienvogel"),
    "number": ("KV-4711-0815", "4711-0815"),
    "date of birth": ("19470213", "19470213"),
    "date of birth with dots": ("13.02.1947", "13.02.1947"),
    "date of birth with dashes": ("1947-02-13", "1947-02-13"),
    "telephone": ("+49 30 47110815", "47110815"),
    "address": ("Finkenweg 3, Vogelheim", "finkenweg"),
    "somebody whom the header does not name": ("Zaunkoenig", "zaunkoenig"),
    "a sentence with letters beyond ASCII": ("für Frau Käfigvogel, Märta", "käfigvogel"),
}
"""What is planted, and what of it may not be found."""

PROFILES = ((), ("descriptors", "structured-content", "graphics", "modified-dates"))
_KEY = Pseudonyms(b"a key for the sweep of all attributes")
_STRUCTURE = {0x00020000, 0x00080005, 0x7FE00010, 0x7FE00008, 0x7FE00009}
"""Not swept: the encoding itself, and the pixels."""


def attributes() -> list[tuple[int, str, str]]:
    """Tag, value representation and keyword of every attribute, the repeating groups once."""
    found = [(tag, entry[0].split(" or ")[0], entry[4]) for tag, entry in DicomDictionary.items()]
    for masked, entry in RepeatersDictionary.items():
        found.append((int(re.sub("x", "0", masked), 16), entry[0].split(" or ")[0], entry[4]))
    return [
        (tag, vr, keyword)
        for tag, vr, keyword in sorted(found)
        if tag >> 16 not in (0x0000, 0x0002, 0xFFFE) and tag not in _STRUCTURE and vr != "NONE" and tag & 0xFFFF
    ]


def survivors(form: str, swept: Sequence[tuple[int, str, str]], *options: str, nested: bool = False) -> list[str]:
    """The keywords of the attributes whose canary is in the bytes of the cleaned header."""
    text, needle = FORMS[form]
    dataset = _patient()
    item = Dataset() if nested else dataset
    item.SpecificCharacterSet = dataset.SpecificCharacterSet
    for tag, vr, _ in swept:
        if tag not in dataset:
            item._dict[Tag(tag)] = _planted(tag, vr, text)
    if nested:
        dataset.SourceImageSequence = [item]  # kept by every profile, and cleaned within
    made, _ = clean_header(dataset, make_profile(options), _KEY)
    sought = needle.encode()
    return [] if sought not in _bytes(made).lower() else list(_holding(made, sought))


def _patient() -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName, made.PatientID, made.PatientBirthDate = "Kanarienvogel^Piet", "KV-4711-0815", "19470213"
    made.PatientTelephoneNumbers, made.PatientAddress = "+49 30 47110815", "Finkenweg 3, Vogelheim"
    return made


def _planted(tag: int, vr: str, text: str) -> RawDataElement:
    if vr == "SQ":
        inner = Dataset()
        for keyword in ("PatientComments", "TextValue", "PersonName", "SelectorLOValue", "CodeMeaning"):
            setattr(inner, keyword, text)
        made = Dataset()
        made.add_new(tag, "SQ", [inner])
        return made[tag]  # type: ignore[return-value]
    value = text.encode()
    value += b" " * (-len(value) % (8 if vr in NUMBERS else 2))
    return RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)


def _bytes(dataset: Dataset) -> bytes:
    held = io.BytesIO()
    dcmwrite(held, dataset, implicit_vr=False, little_endian=True, enforce_file_format=False)
    return held.getvalue()


def _holding(dataset: Dataset, sought: bytes) -> Iterator[str]:
    for tag in list(dataset.keys()):
        one = Dataset()
        one.SpecificCharacterSet = "ISO_IR 192"
        one.add(dataset[tag])
        if sought not in _bytes(one).lower():
            continue
        if dataset[tag].VR == "SQ":
            for item in dataset[tag].value:
                yield from _holding(item, sought)
        else:
            yield dataset[tag].keyword or str(tag)


def main() -> int:
    """Sweep all, and say how many places were looked at and what survives beyond the image's own bytes."""
    swept, places, said = attributes(), 0, []
    begun = time.perf_counter()
    for options in PROFILES:
        for form in FORMS:
            for nested in (False, True):
                places += len(swept)
                left = [one for one in survivors(form, swept, *options, nested=nested) if one not in IMAGE_BYTES]
                said += [f"{form}, nested={nested}, {options or 'basic'}: {one}" for one in left]
    counts = f"{len(swept)} attributes, {len(FORMS)} forms, {places} places, {len(said)} survivors"
    sys.stdout.write("\n".join([*said, f"{counts}, {time.perf_counter() - begun:.0f} s"]) + "\n")
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
