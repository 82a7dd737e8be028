"""De-identify one DICOM file: header, file meta, preamble and pixels, written under a name that tells nothing."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    MediaStorageDirectoryStorage,
)

from vesalius.errors import FormatError
from vesalius.io.dicom.header import damage_is_a_format_error, open_dicom
from vesalius.io.dicom.quiet import quiet
from vesalius.privacy.findings import Findings, joined
from vesalius.privacy.headers import clean_header
from vesalius.privacy.identities import find_identities
from vesalius.privacy.marks import patient_of
from vesalius.privacy.ocr import Piece
from vesalius.privacy.pictures import strip_jpeg
from vesalius.privacy.profile import Profile
from vesalius.privacy.pseudonyms import Pseudonyms, is_uid
from vesalius.privacy.text import clean_pixels, find_in_slice, is_slice
from vesalius.privacy.uptake import say_of_uptake

_UNSEEN_TEXT = ("US", "IVUS", "XC", "SC", "OT", "ES", "GM", "SM", "CR", "DX", "MG", "XA", "RF", "PX", "IO", "OP", "OPT")
_VIEWS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_SHORTEST_TELLING = 6
_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A DICOM file as it is written.

    Args:
        name: Its path below the folder of results: patient, study, series, object.
        data: The file.
        findings: What was done, and what is in doubt; with a doubt it must not be handed on.
        patient: Number, issuer, name and date of birth as they were, for a table of links; never shown.
        uids: The old UID by the new.
        pseudonym: The patient's.
        place: Where a slice lies along its series, mm; ``None`` for what is no slice of one.
        pieces: What looks like text in a slice, to be judged with its series.
    """

    name: Path
    data: bytes = field(repr=False)
    findings: Findings
    patient: dict[str, Any] = field(repr=False)
    uids: dict[str, str] = field(repr=False)
    pseudonym: str
    place: float | None = None
    pieces: tuple[Piece, ...] = ()


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: it has the magic, or begins as a data set without one does and names its class.

    Raises:
        FormatError: It cannot be read.
    """
    with damage_is_a_format_error(path), open_dicom(path) as opened:
        if opened is None:
            return False
        if opened[2] is not None:
            return True
    with damage_is_a_format_error(path), path.open("rb") as file:
        if file.read(132)[128:] == b"DICM":
            return True
    try:
        return "SOPClassUID" in read_dicom(path)
    except FormatError:
        return False


def clean_object(path: Path, profile: Profile, pseudonyms: Pseudonyms) -> Cleaned | None:
    """De-identify one DICOM file.

    The preamble is emptied (it can hold a program), the file meta is written anew with nothing but the class, the new
    UID and the transfer syntax. What lies behind the data set in the file is not taken over.

    Args:
        path: The file, which is not changed.
        profile: What to keep and to clean; with ``pixels`` every frame is searched for burnt-in text.
        pseudonyms: Made with the key.

    Returns:
        The file to write; ``None`` for a DICOMDIR, which repeats the identities of the files that it lists and names
        them by paths that are no more.

    Raises:
        FormatError: It is damaged.
        MissingDependencyError: RapidOCR is not installed.

    Source:
        DICOM PS3.15, Annex E; of the preamble PS3.10, section 7.1, and CVE-2019-11687.
    """
    dataset = read_dicom(path)
    meta = getattr(dataset, "file_meta", FileMetaDataset())
    with quiet, damage_is_a_format_error(path):
        kind = UID(str(dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or ""))
        if kind == MediaStorageDirectoryStorage:
            return None
        syntax = _syntax(dataset)
        cleaned, findings = clean_header(dataset, profile, pseudonyms)
        findings = findings + say_of_uptake(dataset, cleaned, profile)
        doubts = _doubts_of_kind(dataset, kind)
        cleaned.file_meta = FileMetaDataset()
        cleaned.file_meta.TransferSyntaxUID = syntax
        pieces: tuple[Piece, ...] = ()
        place = _place(dataset)
        if "pixels" in profile.options:
            cleaned, found = clean_pixels(cleaned, read=place is None)
            if place is not None and found.sure:
                pieces, unseen = find_in_slice(cleaned)
                found = found + unseen
            findings = findings + found
        else:
            doubts += _doubts_of_pixels(dataset, cleaned, syntax)
        uids = {keyword: _uid(dataset, keyword) for keyword in _VIEWS}
        new = {keyword: _uid(cleaned, keyword) for keyword in _VIEWS}
        if not uids["SOPInstanceUID"]:
            doubts.append("it has no valid UID of its own")
        data = _encoded(cleaned, kind, new["SOPInstanceUID"])
        doubts += _doubts_of_bytes(dataset, cleaned, profile, pseudonyms)
    pseudonym = str(cleaned.PatientID)
    name = Path(pseudonym, *(new[keyword] or "unknown" for keyword in _VIEWS))
    who: dict[str, Any] = {
        keyword: str(dataset.get(keyword) or "")
        for keyword in ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
    }
    who["days"] = pseudonyms.days(patient_of(dataset)) if "modified-dates" in profile.options else 0
    return Cleaned(
        name.with_name(f"{name.name}.dcm"),
        data,
        joined((findings, Findings(doubts=tuple(doubts)))),
        who,
        {new[keyword]: uids[keyword] for keyword in _VIEWS if new[keyword] and new[keyword] != uids[keyword]},
        pseudonym,
        place,
        pieces,
    )


def read_dicom(path: Path) -> Dataset:
    """Read a file that is no bomb.

    Raises:
        FormatError: It is damaged, or no DICOM.
    """
    with quiet, damage_is_a_format_error(path):
        with open_dicom(path) as opened:  # refuses bombs
            if opened is None:
                raise FormatError(f"{path.name}: not a DICOM file")
        return dcmread(path, force=True)


def _place(dataset: Dataset) -> float | None:
    """Where a slice lies along the normal of its series; ``None`` for what is none."""
    if not is_slice(dataset):
        return None
    try:
        row, column = np.array(dataset.ImageOrientationPatient, np.float64).reshape(2, 3)
        place = float(np.cross(row, column) @ np.array(dataset.ImagePositionPatient, np.float64))
    except (AttributeError, TypeError, ValueError):
        return None
    return place if np.isfinite(place) else None


def _syntax(dataset: Dataset) -> UID:
    meta = getattr(dataset, "file_meta", None)
    syntax = None if meta is None else meta.get("TransferSyntaxUID")
    if syntax is not None:
        return UID(syntax)
    implicit, little = dataset.original_encoding
    return UID("1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2")


def _doubts_of_kind(dataset: Dataset, kind: UID) -> list[str]:
    doubts = []
    if not kind:
        doubts.append("it does not say what kind of object it is")
    elif not kind.keyword:
        doubts.append("it is of a kind that the standard does not know: nobody can tell where names stand in it")
    if "EncapsulatedDocument" in dataset:
        doubts.append("it holds a document, which cannot be cleaned")
    return doubts


def _doubts_of_pixels(dataset: Dataset, cleaned: Dataset, syntax: UID) -> list[str]:
    """Where nobody looks at the pixels: what is likely to have text burnt in, or to hide something beside them."""
    if not any(keyword in cleaned for keyword in _PIXELS):
        return []
    doubts = []
    burnt = str(dataset.get("BurnedInAnnotation") or "").strip()
    if burnt == "YES" or (burnt != "NO" and str(dataset.get("Modality") or "") in _UNSEEN_TEXT):
        doubts.append("text may be burnt into its pixels, which nobody has looked at")
    # An overlay of old kept its bits beside those of the pixels.
    overlaid = any(0x6000 <= int(tag) >> 16 <= 0x601E for tag in list(dataset.keys()))
    if overlaid and dataset.get("BitsStored") != dataset.get("BitsAllocated"):
        doubts.append("an overlay may lie in the bits beside its pixels, which nobody has looked at")
    if syntax in _JPEG:
        frames = generate_frames(cleaned.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
        if any(strip_jpeg(frame)[1] for frame in frames):
            doubts.append("comments stand in its compressed frames")
    elif not syntax.is_encapsulated and "PixelData" in cleaned:
        samples = 2 if cleaned.PhotometricInterpretation == "YBR_FULL_422" else int(cleaned.SamplesPerPixel)
        bits = int(cleaned.Rows) * int(cleaned.Columns) * samples * int(cleaned.BitsAllocated)
        needed = -(-bits * max(int(dataset.get("NumberOfFrames") or 1), 1) // 8)
        if cleaned.PixelData[needed:].strip(b"\0"):
            doubts.append("bytes that are no pixels stand behind them")
    return doubts


def _doubts_of_bytes(dataset: Dataset, cleaned: Dataset, profile: Profile, pseudonyms: Pseudonyms) -> list[str]:
    """Look once more, at the bytes that are written rather than at the elements."""
    without = Dataset()
    for element in cleaned:
        if element.keyword not in _PIXELS:
            without.add(element)
    said = _encoded_as(without, cleaned.file_meta.TransferSyntaxUID).lower()
    of = find_identities(dataset, profile, pseudonyms)
    telling = [value for value in of.whole if any(sign.isalpha() for sign in value)]
    if any(value.encode("utf-8", "replace") in said for value in telling if len(value) >= _SHORTEST_TELLING):
        return ["something that identifies a person is still in its header"]
    return []


def _encoded(cleaned: Dataset, kind: UID, uid: str) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = cleaned.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = UID(uid)
    cleaned.file_meta = meta
    cleaned.preamble = bytes(128)
    return _encoded_as(cleaned, meta.TransferSyntaxUID, whole=True)


def _encoded_as(dataset: Dataset, syntax: UID, *, whole: bool = False) -> bytes:
    held = io.BytesIO()
    # Deflated bytes cannot be searched.
    if not whole and syntax == DeflatedExplicitVRLittleEndian:
        syntax = UID("1.2.840.10008.1.2.1")
    private = syntax.is_private or not syntax.is_transfer_syntax
    implicit = False if private else syntax.is_implicit_VR
    little = True if private else syntax.is_little_endian
    dcmwrite(held, dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=whole)
    return held.getvalue()


def _uid(dataset: Dataset, keyword: str) -> str:
    text = str(dataset.get(keyword) or "").strip("\0 ")
    return text if is_uid(text) else ""
