"""Files with strings planted wherever DICOM, NIfTI, sidecars and file names can hold one; none may come out."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit, MediaStorageDirectoryStorage

TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT")
BYTES = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
NUMBERS = {"FD": "d", "FL": "2f", "SL": "2i", "SS": "4h", "SV": "q", "UL": "2I", "US": "4H", "UV": "Q", "AT": "4H"}
ROOT = "1.2.826.0.1.3680043.2.4747"


@dataclass
class Planted:
    """What was planted: each string by the place where it stands."""

    places: dict[str, str] = field(default_factory=dict)
    omit: tuple[str, ...] = ()
    _numbers: Any = field(default_factory=lambda: count(1), repr=False)

    def word(self, place: str) -> str:
        """A new string of twelve letters and digits for a place."""
        return self.add(place, f"CANARY{next(self._numbers):04d}XQ")

    def add(self, place: str, text: str) -> str:
        """A string of another form."""
        assert text not in self.places
        self.places[text] = place
        return text

    def found_in(self, folder: Path) -> dict[str, str]:
        """The strings that are in the bytes or the names of the files of a folder, with their places."""
        said = bytearray()
        for path in sorted(folder.rglob("*")):
            said += path.relative_to(folder).as_posix().encode() + b"\0"
            if path.is_file():
                data = path.read_bytes()
                said += data + b"\0"
                if path.suffix == ".gz":
                    said += gzip.decompress(data)
        every = bytes(said).lower()
        forms: tuple[Callable[[str], bytes], ...] = (str.encode, lambda text: text.encode("utf-16-le"))
        return {
            text: place for text, place in self.places.items() if any(form(text.lower()) in every for form in forms)
        }


def plant(folder: Path, *, studies: int = 2, omit: tuple[str, ...] = ()) -> Planted:
    """Write a folder of canaries: CT slices of one patient, a DICOMDIR, a JPEG, a NIfTI image and its sidecar.

    Args:
        folder: To write to, which must exist.
        studies: How many the patient has, 40 days apart.
        omit: Value representations that are left out.

    Returns:
        What was planted.
    """
    planted = Planted(omit=omit)
    patient = {"name": planted.word("PatientName"), "id": planted.word("PatientID")}
    for study in range(studies):
        below = folder / planted.word("folder name")
        below.mkdir()
        for number in range(2):
            dataset = _slice(planted, patient, study, number)
            _every_vr(dataset, planted, "top level")
            inner = Dataset()
            _every_vr(inner, planted, "nested")
            _private(inner, planted, "private in a nested item")
            deeper = Dataset()
            _every_vr(deeper, planted, "nested twice")
            inner.add_new(0x00081140, "SQ", Sequence([deeper]))  # Referenced Image Sequence
            dataset.add_new(0x00400275, "SQ", Sequence([inner]))  # Request Attributes Sequence
            dataset.add_new(0x00082112, "SQ", Sequence([_copy(inner, planted)]))  # Source Image Sequence
            _private(dataset, planted, "private")
            _layers(dataset, planted)
            dataset.PixelData += planted.word("bytes behind the pixels").encode()
            _file(dataset, below / f"{planted.word('file name')}.dcm", planted)
    _compressed(folder / f"{planted.word('file name')}.dcm", planted, patient)
    _dicomdir(folder / "DICOMDIR", planted)
    _nifti(folder, planted)
    return planted


def study_dates(studies: int = 3) -> list[str]:
    """The dates of the patient's studies."""
    return ["20240120", "20240229", "20240409"][:studies]


def _slice(planted: Planted, patient: dict[str, str], study: int, number: int) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = f"{patient['name']}^Jane"
    dataset.PatientID = patient["id"]
    dataset.StudyDate = study_dates()[study]
    dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = dataset.StudyDate
    dataset.StudyTime = "101112"
    uids = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    for place, keyword in enumerate(uids):
        uid = f"{ROOT}.{study}.{place}.{number if place == 0 else 0}.90210"
        if uid not in planted.places:
            planted.add(keyword, uid)
        setattr(dataset, keyword, uid)
    dataset.SOPClassUID = CTImageStorage
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", planted.word("fourth value of ImageType")]
    dataset.InstanceNumber, dataset.SeriesNumber = number + 1, 1
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 2 * number], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [1, 1], 2
    for keyword in ("PatientComments", "StudyDescription", "ImageComments", "InstitutionName", "AccessionNumber"):
        setattr(dataset, keyword, planted.word(keyword))
    for keyword in ("ReferringPhysicianName", "OperatorsName", "Manufacturer", "BodyPartExamined", "StudyID"):
        setattr(dataset, keyword, planted.word(keyword))
    dataset.PatientBirthDate = "19470213"
    planted.places["19470213"] = "PatientBirthDate"
    # The patient's name where no table expects it.
    dataset.ConvolutionKernel = dataset.PatientName.family_name
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = planted.word("CodeValue"), planted.word("CodingSchemeDesignator")
    code.CodeMeaning = planted.word("CodeMeaning")
    dataset.AnatomicRegionSequence = Sequence([code])
    dataset.Rows = dataset.Columns = 16
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    pixels = np.arange(256, dtype="<u2").reshape(16, 16) + 1000 + number
    dataset.add_new(0x7FE00010, "OW", pixels.tobytes())
    return dataset


def _every_vr(dataset: Dataset, planted: Planted, place: str) -> None:
    """Selector Values have every VR there is."""
    for vr in TEXTS:
        setattr(dataset, f"Selector{vr}Value", planted.word(f"{vr}, {place}"))
    for vr in (vr for vr in BYTES if vr not in planted.omit):
        dataset.add(DataElement(_tag(vr), vr, planted.word(f"{vr}, {place}").encode() + bytes(4)))
    for vr, packed in ((vr, packed) for vr, packed in NUMBERS.items() if vr not in planted.omit):
        word = planted.add(f"{vr}, {place}", _letters(planted))
        values = struct.unpack(f"<{packed}", word.encode())
        if vr == "AT":  # group and element are numbers of their own
            values = tuple(group << 16 | element for group, element in zip(values[::2], values[1::2], strict=True))
        dataset.add(DataElement(_tag(vr), vr, list(values) if len(values) > 1 else values[0]))
    number = 7_000_000 + next(planted._numbers)
    dataset.SelectorUIValue = planted.add(f"UI, {place}", f"{ROOT}.99.{number}")
    dataset.SelectorURValue = f"http://{planted.word(f'UR, {place}')}.example"
    dataset.SelectorDAValue = planted.add(f"DA, {place}", f"17{number % 50 + 10:02d}1{number % 3}{number % 18 + 10}")
    dataset.SelectorDTValue = planted.add(f"DT, {place}", f"16{number % 50 + 10:02d}0102030405.{number % 1000000:06d}")
    dataset.SelectorTMValue = planted.add(f"TM, {place}", f"030405.{number % 1000000:06d}")
    # Not a number at all, in an element that no table lists.
    dataset.add(DataElement(0x00181114, "DS", "1", validation_mode=0))
    dataset[0x00181114]._value = planted.word(f"DS, {place}")
    dataset.add(DataElement(0x00201208, "IS", "1", validation_mode=0))
    dataset[0x00201208]._value = planted.word(f"IS, {place}")
    dataset.PatientAge = "047Y"
    dataset.add(DataElement(0x00101030, "LT", planted.word(f"text under a number's tag, {place}")))
    dataset.add(DataElement(0x00089998, "LO", planted.word(f"unknown standard element, {place}")))


def _letters(planted: Planted) -> str:
    number = next(planted._numbers)
    return "WQ" + "".join(chr(65 + number // 26**place % 26) for place in range(3)) + "JVK"


def _tag(vr: str) -> int:
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(f"Selector{vr}Value")
    assert tag is not None
    return tag


def _copy(item: Dataset, planted: Planted) -> Dataset:
    made = Dataset()
    _every_vr(made, planted, "nested under another sequence")
    made.ReferencedSOPInstanceUID = planted.add("ReferencedSOPInstanceUID", f"{ROOT}.98.{next(planted._numbers)}.5")
    made.ReferencedSOPClassUID = CTImageStorage
    return made


def _private(dataset: Dataset, planted: Planted, place: str) -> None:
    block = dataset.private_block(0x0009, planted.word(f"private creator, {place}"), create=True)
    block.add_new(0x01, "LO", planted.word(f"private LO, {place}"))
    block.add_new(0x02, "UN", planted.word(f"private UN, {place}").encode())
    inner = Dataset()
    inner.PatientComments = planted.word(f"standard element in a private sequence, {place}")
    deeper = inner.private_block(0x0011, planted.word(f"private creator in a private sequence, {place}"), create=True)
    deeper.add_new(0x01, "LT", planted.word(f"private in a private sequence, {place}"))
    block.add_new(0x03, "SQ", Sequence([inner]))
    # Without a creator, which nothing asks for when it is read.
    dataset.add_new(0x000D1001, "LO", planted.word(f"private without creator, {place}"))


def _layers(dataset: Dataset, planted: Planted) -> None:
    for group in (0x6000, 0x6002):
        dataset.add_new(group << 16 | 0x10, "US", 16)
        dataset.add_new(group << 16 | 0x11, "US", 16)
        dataset.add_new(group << 16 | 0x22, "LO", planted.word("OverlayDescription"))
        dataset.add_new(group << 16 | 0x1500, "LO", planted.word("OverlayLabel"))
        dataset.add_new(group << 16 | 0x3000, "OW", planted.word("OverlayData").encode() + bytes(20))
        dataset.add_new(group << 16 | 0x4000, "LT", planted.word("OverlayComments"))
    dataset.add_new(0x50002500, "LO", planted.word("CurveLabel"))
    dataset.add_new(0x50003000, "OW", planted.word("CurveData").encode())
    graphic, text = Dataset(), Dataset()
    text.UnformattedTextValue = planted.word("UnformattedTextValue")
    graphic.TextObjectSequence = Sequence([text])
    dataset.GraphicAnnotationSequence = Sequence([graphic])
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
    item.TextValue = planted.word("TextValue in a content sequence")
    item.PersonName = planted.word("PersonName in a content sequence")
    dataset.ContentSequence = Sequence([item])
    person = Dataset()
    person.CodeValue, person.CodingSchemeDesignator = "4711", "99LOCAL"
    person.CodeMeaning = planted.word("a person's code")
    observer = Dataset()
    observer.PersonIdentificationCodeSequence = Sequence([person])
    observer.InstitutionName = planted.word("InstitutionName of an observer")
    dataset.OperatorIdentificationSequence = Sequence([observer])
    dataset.DataSetTrailingPadding = planted.word("trailing padding").encode()
    dataset.DeidentificationMethod = planted.word("DeidentificationMethod")


def _file(dataset: Dataset, path: Path, planted: Planted) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = (
        dataset.file_meta.TransferSyntaxUID if "file_meta" in vars(dataset) else ExplicitVRLittleEndian
    )
    meta.SourceApplicationEntityTitle = planted.word("SourceApplicationEntityTitle")
    meta.ImplementationVersionName = planted.word("ImplementationVersionName")
    meta.PrivateInformationCreatorUID = planted.add(
        "PrivateInformationCreatorUID", f"{ROOT}.97.{next(planted._numbers)}.5"
    )
    meta.PrivateInformation = planted.word("PrivateInformation").encode()
    dataset.file_meta = meta
    dataset.preamble = planted.word("preamble").encode().ljust(128, b"\0")
    dataset.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=True)


def _compressed(path: Path, planted: Planted, patient: dict[str, str]) -> None:
    import io

    from PIL import Image

    held = io.BytesIO()
    picture = Image.fromarray(np.full((16, 16), 90, np.uint8))
    picture.save(held, "JPEG", comment=planted.word("comment in a JPEG frame"))
    dataset = _slice(planted, patient, 0, 7)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    del dataset.PixelData
    dataset.add_new(0x7FE00010, "OB", encapsulate([held.getvalue()]))
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    _file(dataset, path, planted)


def _dicomdir(path: Path, planted: Planted) -> None:
    record = Dataset()
    record.DirectoryRecordType = "PATIENT"
    record.OffsetOfTheNextDirectoryRecord = record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    record.RecordInUseFlag = 0xFFFF
    record.PatientName, record.PatientID = planted.word("PatientName of a DICOMDIR"), planted.word("its PatientID")
    record.ReferencedFileID = [planted.word("its ReferencedFileID")]
    dataset = Dataset()
    dataset.SOPClassUID = MediaStorageDirectoryStorage
    dataset.SOPInstanceUID = planted.add("UID of the DICOMDIR", f"{ROOT}.96.{next(planted._numbers)}.5")
    dataset.FileSetID = planted.word("FileSetID")
    dataset.DirectoryRecordSequence = Sequence([record])
    _file(dataset, path, planted)


def _nifti(folder: Path, planted: Planted) -> None:
    import nibabel as nib

    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([2.0, 2, 3, 1]))
    for key in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[key] = planted.word(f"NIfTI {key}").encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", planted.word("NIfTI extension").encode()))
    stem = planted.word("name of a NIfTI file")
    nib.save(image, folder / f"{stem}.nii.gz")
    sidecar = {"EchoTime": 0.03, "PatientName": planted.word("sidecar"), planted.word("key of a sidecar"): 1}
    (folder / f"{stem}.json").write_text(json.dumps(sidecar))
