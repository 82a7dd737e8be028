"""What a PET image says beyond other images: its unit, its tracer, its corrections, when it was scanned."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage

from vesalius.image import Volume
from vesalius.io.dicom.derived import copy_elements
from vesalius.io.dicom.origin import Origin

_UNITS = {"Bq/ml": "BQML", "g/ml": "GML", "counts": "CNTS", "counts/s": "CPS", "%": "PCNT"}
_SERIES = (
    # C.8.9.1 PET series; its time is that to which decay is corrected, which stays true
    *("SeriesDate", "SeriesTime", "CountsSource", "CorrectedImage", "RandomsCorrectionMethod"),
    *("AttenuationCorrectionMethod", "ScatterCorrectionMethod", "DecayCorrection", "ReconstructionDiameter"),
    *("ReconstructionMethod", "CollimatorType", "AcquisitionStartCondition", "AcquisitionTerminationCondition"),
    # C.8.9.2 PET isotope
    *("RadiopharmaceuticalInformationSequence", "InterventionDrugInformationSequence"),
    # C.8.4.6 NM/PET patient orientation
    *("PatientOrientationCodeSequence", "PatientGantryRelationshipCodeSequence"),
)
_SLICE = (
    *("AcquisitionDate", "AcquisitionTime", "FrameReferenceTime", "ActualFrameDuration", "DecayFactor"),
    *("DoseCalibrationFactor", "ScatterFractionFactor", "DeadTimeFactor"),
)


def enter_pet(made: Dataset, image: Volume, origin: Origin) -> None:
    """Say what all slices of a PET share.

    Args:
        made: Begun as a PET image; from the source is taken how it was scanned, if that is a PET.
        image: Says the unit; ``NONE`` where it has no unit that DICOM has a word for.
        origin: The series that it was made from.

    Source: DICOM PS3.3 C.8.9.1 (PET Series), C.8.9.2 (PET Isotope), C.8.4.6 (NM/PET Patient Orientation; Type 2).
    """
    source = origin.headers[0]
    made.CountsSource, made.DecayCorrection = "EMISSION", "NONE"
    made.CorrectedImage = made.CollimatorType = ""
    made.RadiopharmaceuticalInformationSequence = []
    made.PatientOrientationCodeSequence, made.PatientGantryRelationshipCodeSequence = [], []
    if is_pet(source):
        copy_elements(source, made, _SERIES)
    made.Units = _UNITS.get(image.meta.unit, "NONE")
    if made.Units == "GML":
        made.SUVType = "BW"
    made.SeriesType = ["STATIC", "IMAGE"]
    made.NumberOfSlices = image.grid.shape[2]


def enter_pet_slice(made: Dataset, source: Dataset | None, number: int) -> None:
    """Say what is of one slice.

    Args:
        made: The slice.
        source: The header of the slice that it was made from, or of any where none lies at its place.
        number: Of the slice, from 1.

    Source: DICOM PS3.3 C.8.9.4 (PET Image).
    """
    made.AcquisitionDate = made.AcquisitionTime = made.ActualFrameDuration = ""
    made.FrameReferenceTime = 0
    made.ImageIndex = number
    if source is not None and is_pet(source):
        copy_elements(source, made, _SLICE)
    if made.DecayCorrection != "NONE" and "DecayFactor" not in made:
        made.DecayFactor = 1


def is_pet(header: Dataset) -> bool:
    """Whether a header is that of a PET image, one slice a file."""
    return bool(header.get("SOPClassUID") == PositronEmissionTomographyImageStorage)
