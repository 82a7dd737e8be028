"""Whose a DICOM object is, and what it says of its own de-identification."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from vesalius.privacy.profile import Profile

METHOD = "Vesalius, DICOM PS3.15 2026d Annex E"
"""What (0012,0063) says."""


def patient_of(dataset: Dataset) -> str:
    """Who the patient is, as pseudonyms and shifts of dates follow from it: number and who issued it, else the name.

    Returns:
        Empty where the header has neither. Not to be shown.
    """
    number, issuer, name, born = (
        _text(dataset, keyword) for keyword in ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
    )
    if number:
        return f"{number}\0{issuer}" if issuer else number
    return f"{name}\0{born}" if name else ""


def mark(dataset: Dataset, profile: Profile) -> None:
    """Say in the object that it was de-identified, and how.

    It is said of the patient: all objects of one have to say the same, those without pixels or faces, too.

    Source:
        DICOM PS3.15, section E.1.1: (0012,0062), (0012,0063), (0012,0064) with codes of PS3.16, CID 7050.
    """
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD
    items = []
    for value, meaning in profile.codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
        items.append(item)
    dataset.DeidentificationMethodCodeSequence = Sequence(items)


def mark_dates(cleaned: Dataset, before: Dataset, profile: Profile) -> None:
    """Say what became of the dates.

    Source:
        DICOM PS3.3, section C.12.1, (0028,0303) Longitudinal Temporal Information Modified.
    """
    if "modified-dates" in profile.options:
        said = "MODIFIED"
    elif "full-dates" in profile.options:
        said = "MODIFIED" if _text(before, "LongitudinalTemporalInformationModified") == "MODIFIED" else "UNMODIFIED"
    else:
        said = "REMOVED"
    cleaned.LongitudinalTemporalInformationModified = said


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        return str(dataset.get(keyword) or "").strip("\0 ")
    except Exception:  # an element that cannot be understood names nobody
        return ""
