"""What identifies the people of a header, and where else in it that is said again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset

from vesalius.privacy.profile import Profile
from vesalius.privacy.pseudonyms import Pseudonyms
from vesalius.privacy.words import is_known

_IDENTIFIERS = {
    *("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "AdmissionID", "PatientBirthDate"),
    *(
        "PatientAddress",
        "PatientTelephoneNumbers",
        "MedicalRecordLocator",
        "MilitaryRank",
        "InsurancePlanIdentification",
    ),
    *("PatientBirthName", "PatientMotherBirthName", "OtherPatientNames", "ResponsibleOrganization"),
    *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber"),
    *("ReferringPhysicianTelephoneNumbers", "ReferringPhysicianAddress", "RequestingService", "PersonAddress"),
    *("PersonTelephoneNumbers", "FillerOrderNumberImagingServiceRequest", "PlacerOrderNumberImagingServiceRequest"),
    *("CurrentPatientLocation", "ServiceEpisodeID", "ClinicalTrialSubjectID"),
}
_SHORTEST_NAME = 3
_SHORTEST_NUMBER = 4
_SHORTEST_INSIDE = 6
_WORDS = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Identities:
    """Names and numbers of the people and places of one header; never shown.

    Args:
        words: Each by itself, in small letters.
        whole: Values of six characters and more, in small letters, that are looked for inside others, too.
    """

    words: frozenset[str] = field(repr=False)
    whole: frozenset[str] = field(repr=False)

    def in_text(self, text: str, *, coded: bool = False) -> bool:
        """Whether a text repeats one of them.

        Args:
            text: A value that would stay.
            coded: It is a coded string: a word of DICOM's dictionaries is one, even if somebody has it for a name.

        Example:
            >>> of = Identities(frozenset({"doering", "left"}), frozenset({"mrn-0815"}))
            >>> of.in_text("Scan of Doering"), of.in_text("LEFT", coded=True), of.in_text("nr mrn-0815b")
            (True, False, True)
        """
        said = text.lower()
        found = self.words.intersection(_WORDS.findall(said))
        if coded:
            found = frozenset(word for word in found if not is_known(word))
        return bool(found) or any(value in said for value in self.whole)


def find_identities(dataset: Dataset, profile: Profile, pseudonyms: Pseudonyms) -> Identities:
    """Gather what identifies people and places, at any depth.

    Args:
        dataset: A header as it came.
        profile: What it keeps is not looked for.
        pseudonyms: Those of ours are nobody's identity.

    Example:
        >>> header = Dataset()
        >>> header.PatientName = "Doering^Jane"
        >>> sorted(find_identities(header, Profile(), Pseudonyms(bytes(16))).words)
        ['doering', 'jane']
    """
    words: set[str] = set()
    whole: set[str] = set()
    for element in _elements(dataset):
        person = element.VR == "PN"
        if not person and element.keyword not in _IDENTIFIERS:
            continue
        if profile.action(int(element.tag)) == "keep":
            continue
        values = element.value if element.VM > 1 else [element.value]
        for value in values:
            text = str(value or "").strip()
            if not text or pseudonyms.made(text) or text.upper() in ("REMOVED", "ANONYMOUS", "UNKNOWN", "19000101"):
                continue
            if len(text) >= _SHORTEST_INSIDE and (not person or "^" in text) and not is_known(text.lower()):
                whole.add(text.lower())
            for word in _WORDS.findall(text.lower()):
                shortest = _SHORTEST_NUMBER if any(sign.isdecimal() for sign in word) else _SHORTEST_NAME
                # An address or an institution is made of common words; a person's name counts even if it is one.
                if len(word) >= shortest and (person or not is_known(word)):
                    words.add(word)
    return Identities(frozenset(words), frozenset(whole))


def _elements(dataset: Dataset) -> Iterator[Any]:
    for tag in dataset.keys():  # noqa: SIM118  # iterating a data set converts its elements, which may fail
        try:
            element = dataset[tag]
            if element.VR == "SQ":
                for item in element.value:
                    yield from _elements(item)
            else:
                yield element
        except RecursionError:
            raise
        except Exception:  # pydicom raises a dozen kinds; what it cannot read, the cleaning drops
            continue
