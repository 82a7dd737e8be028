"""What every object that is made from an image series shares: its patient, its study, its maker, what it refers to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from datetime import datetime
from importlib.metadata import version

import numpy as np
from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from vesalius.errors import FormatError, GeometryError, VesaliusError
from vesalius.image import Code, Grid
from vesalius.io.atomic import atomic_path
from vesalius.io.dicom.origin import Origin
from vesalius.io.dicom.quiet import quiet

MAKER = "Vesalius"
"""Manufacturer and model of all that is written."""

LARGEST_ELEMENT = (1 << 32) - 2
"""Bytes that an element can hold; its length has 32 bits and is even."""

_SEGMENTATION = Code("DCM", "113076", "Segmentation")
_SOURCE = Code("DCM", "121322", "Source image for image processing operation")

CHARACTER_SET = "ISO_IR 192"
"""UTF-8, for texts that the series' own character set cannot hold."""

_EMPTY = (  # Type 2 of patient and study: they must be there, and may be empty
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
_COPIED = (
    *_EMPTY,
    # C.7.1.1 patient
    *("PatientBirthTime", "TypeOfPatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence"),
    *("OtherPatientIDsSequence", "OtherPatientNames", "EthnicGroup", "PatientComments", "QualityControlSubject"),
    *("ReferencedPatientSequence", "PatientSpeciesDescription", "PatientSpeciesCodeSequence"),
    *("PatientBreedDescription", "PatientBreedCodeSequence", "BreedRegistrationSequence", "ResponsiblePerson"),
    *("ResponsiblePersonRole", "ResponsibleOrganization", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified"),
    # C.7.1.3 clinical trial subject, C.7.2.3 clinical trial study
    *("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID"),
    *("ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID"),
    *("ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription"),
    # C.7.2.1 general study
    *("StudyInstanceUID", "StudyDescription", "PhysiciansOfRecord", "PhysiciansOfRecordIdentificationSequence"),
    *("NameOfPhysiciansReadingStudy", "PhysiciansReadingStudyIdentificationSequence", "ProcedureCodeSequence"),
    *("IssuerOfAccessionNumberSequence", "ReferencedStudySequence", "RequestingService"),
    # C.7.2.2 patient study
    *("AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence", "PatientAge", "PatientSize"),
    *("PatientWeight", "PatientSizeCodeSequence", "MedicalAlerts", "Allergies", "SmokingStatus", "PregnancyStatus"),
    *("LastMenstrualDate", "PatientState", "Occupation", "AdditionalPatientHistory", "AdmissionID"),
    *("PatientSexNeutered", "ServiceEpisodeID", "ServiceEpisodeDescription"),
)


def begin(
    origin: Origin, storage: UID, *, modality: str, description: str, series_number: int, texts: Iterable[str] = ()
) -> Dataset:
    """Begin an object of a new series in the study of the series that it is made from.

    Patient and study are copied as they stand, so that a PACS files both together. Frame of reference, content and
    references are the caller's.

    Args:
        origin: The series.
        storage: SOP class of the object.
        modality: Of the new series, for example ``"SEG"``.
        description: Of the new series; up to 64 characters.
        series_number: Of the new series.
        texts: Further texts that will go into the object: they decide its character set.

    Returns:
        The object, with the modules Patient, General Study, Patient Study, General Series, Enhanced General Equipment
        and SOP Common.

    Raises:
        FormatError: The series does not say which study it belongs to.

    Source: DICOM PS3.3 C.7.1 to C.7.3, C.7.5.2, C.12.1.
    """
    source = origin.headers[0]
    if not source.get("StudyInstanceUID"):
        raise FormatError("the source series does not say which study it belongs to: what is derived needs that")
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    copy_elements(source, made, _COPIED)
    for keyword in _EMPTY:
        if keyword not in made:
            setattr(made, keyword, "")
    declared = source.get("SpecificCharacterSet")
    if declared:
        made.SpecificCharacterSet = declared
    if not _fits(declared, (description, *texts)):
        with quiet:
            made.decode()  # what is copied, while its own character set is known
        made.SpecificCharacterSet = CHARACTER_SET
    now = datetime.now()
    made.SOPClassUID = storage
    made.SOPInstanceUID = generate_uid()
    made.SeriesInstanceUID = generate_uid()
    made.Modality = modality
    made.SeriesNumber = series_number
    made.SeriesDescription = description[:64]
    made.InstanceNumber = 1
    for when in ("InstanceCreation", "Series", "Content"):
        setattr(made, f"{when}Date", f"{now:%Y%m%d}")
        setattr(made, f"{when}Time", f"{now:%H%M%S.%f}")
    enter_equipment(made)
    return made


def enter_equipment(made: Dataset) -> None:
    """Say which software makes an object; software has no serial number, its version stands for it.

    Source: DICOM PS3.3 C.7.5.2 (all four are Type 1).
    """
    made.Manufacturer = made.ManufacturerModelName = MAKER
    made.DeviceSerialNumber = made.SoftwareVersions = version("vesalius")


def copy_elements(source: Dataset, made: Dataset, keywords: Iterable[str]) -> None:
    """Copy elements as they stand, values and value representation.

    Those that are missing are passed over, and so are those that nobody can understand: a weight that is no number must
    not keep a segmentation from its patient.
    """
    with quiet:
        for keyword in keywords:
            with suppress(Exception):
                if keyword in source:
                    made[keyword] = deepcopy(source[keyword])


def enter_frame_of_reference(made: Dataset, origin: Origin) -> None:
    """Say in which space an object lies: that of its series.

    A series that says nothing (old or stripped headers) gets a frame of reference of its own, the same for all that is
    made from it.
    """
    source = origin.headers[0]
    own = source.get("FrameOfReferenceUID") or generate_uid(entropy_srcs=[str(source.get("SeriesInstanceUID", ""))])
    made.FrameOfReferenceUID = own
    made.PositionReferenceIndicator = source.get("PositionReferenceIndicator", "")


def refer(made: Dataset, origin: Origin) -> None:
    """List the images of the series that an object refers to.

    Source: DICOM PS3.3 C.12.2 (Common Instance Reference).
    """
    item = Dataset()
    item.SeriesInstanceUID = origin.headers[0].SeriesInstanceUID
    item.ReferencedInstanceSequence = [reference(header) for header in origin.headers]
    made.ReferencedSeriesSequence = [item]


def reference(header: Dataset, *, frame: int | None = None) -> Dataset:
    """Name an object, and one of its frames where it has several.

    Source: DICOM PS3.3 table 10-11 (SOP Instance Reference), table 10-3 (Image SOP Instance Reference).
    """
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    if frame is not None and int(header.get("NumberOfFrames") or 1) > 1:
        item.ReferencedFrameNumber = frame
    return item


def coded(code: Code) -> Dataset:
    """A code as an item of a code sequence.

    Example:
        >>> coded(Code("SCT", "10200004", "Liver")).CodeMeaning
        'Liver'

    Source: DICOM PS3.3 table 8.8-1.
    """
    item = Dataset()
    # CodeValue holds 16 characters; longer ones have an element of their own.
    setattr(item, "CodeValue" if len(code.value) <= 16 else "LongCodeValue", code.value)
    item.CodingSchemeDesignator = code.scheme[:16]
    item.CodeMeaning = code.meaning[:64]
    return item


def decimal(number: float) -> str:
    """A number as DICOM's decimal string: at most 16 characters, noise of the last binary digits rounded off.

    Example:
        >>> decimal(-123.39999999999999), decimal(1 / 3), decimal(2.5)
        ('-123.4', '0.333333333333', '2.5')

    Source: DICOM PS3.5 6.2 (DS).
    """
    tidy = float(f"{number:.12g}") + 0.0  # without the sign of a zero
    plain = f"{tidy:g}"
    return plain if float(plain) == tidy and len(plain) <= 16 else format_number_as_ds(tidy)


def position(grid: Grid, at: int) -> list[str]:
    """Image Position (Patient) of a slice of a 3D grid: the centre of its first voxel."""
    # The last digits that a matrix product leaves are no places: 1e-9 mm is less than any scanner knows.
    return [decimal(round(float(x), 9)) for x in grid.to_points((0, 0, at))]


def orientation(grid: Grid) -> list[str]:
    """Image Orientation (Patient) of a 3D grid: the direction of a row, then of a column."""
    turn = grid.direction
    return [decimal(round(float(x), 12)) for x in (*turn[:, 0], *turn[:, 1])]


def measures(grid: Grid) -> Dataset:
    """Pixel Measures of a grid; between slices as measured along their normal.

    Source: DICOM PS3.3 C.7.6.16.2.1, C.7.6.3.1.7 (Pixel Spacing: rows first).
    """
    item = Dataset()
    across, down, *_ = grid.spacing_mm
    item.PixelSpacing = [decimal(down), decimal(across)]
    if grid.ndim == 3:
        turn = grid.direction
        normal = np.cross(turn[:, 0], turn[:, 1])
        apart = abs(float(grid.affine[:3, 2] @ normal / np.linalg.norm(normal)))
        item.SliceThickness = item.SpacingBetweenSlices = decimal(apart)
    return item


def enter_dimensions(made: Dataset, pointers: Sequence[tuple[str, str]]) -> None:
    """Say what the index of a frame counts: elements, each with its functional group.

    Source: DICOM PS3.3 C.7.6.17.
    """
    organisation = Dataset()
    organisation.DimensionOrganizationUID = generate_uid()
    made.DimensionOrganizationSequence = [organisation]
    items = []
    for element, group in pointers:
        item = Dataset()
        item.DimensionOrganizationUID = organisation.DimensionOrganizationUID
        item.DimensionIndexPointer = tag_for_keyword(element)
        item.FunctionalGroupPointer = tag_for_keyword(group)
        item.DimensionDescriptionLabel = element
        items.append(item)
    made.DimensionIndexSequence = items


def require_grid(grid: Grid, origin: Origin, what: str) -> None:
    """Refuse what does not lie on the grid of the series that it is to be written with.

    Raises:
        GeometryError: The grids differ in their shape, or by more than 0.01 mm at a corner.
    """
    if not grid.is_close(origin.grid, tolerance_mm=0.01):
        apart = grid.corner_distance_mm(origin.grid)
        raise GeometryError(
            f"{what} {grid.shape} lies on another grid than the source series {origin.grid.shape} (corners up to "
            f"{apart:.3g} mm apart): resample it first, with vesalius.transform.resample(x, origin.grid)"
        )


def save(made: Dataset, path: str | os.PathLike[str]) -> None:
    """Write an object, whole or not at all.

    Raises:
        FormatError: An element that was copied cannot be written.
        VesaliusError: The system refused to write.
    """
    with atomic_path(path) as temporary, _explained():
        made.save_as(temporary, enforce_file_format=True)


@contextmanager
def _explained() -> Iterator[None]:
    """What pydicom says of a value that it cannot write holds that value."""
    try:
        with quiet:
            yield
    except (VesaliusError, OSError, MemoryError):
        raise
    except Exception:
        raise FormatError(
            "the object cannot be written: an element copied from the source series is damaged; export the series anew"
        ) from None


def _fits(declared: object, texts: Iterable[str]) -> bool:
    text = "".join(texts)
    if text.isascii():
        return True
    try:
        text.encode(python_encoding[str(declared)])  # several sets with escapes between them are none of these
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def derivation(origin: Origin, at: int) -> Dataset:
    """The derivation image of a frame: what was done to which image of the series.

    Args:
        origin: The series.
        at: Number of the slice that the frame was made from.

    Returns:
        An item of a Derivation Image Sequence: segmentation, of which probabilities and uncertainty come, too.
    """
    header, frame = origin.frames[at]
    source = reference(origin.headers[header], frame=frame)
    source.PurposeOfReferenceCodeSequence = [coded(_SOURCE)]
    source.SpatialLocationsPreserved = "YES"
    made = Dataset()
    made.SourceImageSequence = [source]
    made.DerivationCodeSequence = [coded(_SEGMENTATION)]
    return made
