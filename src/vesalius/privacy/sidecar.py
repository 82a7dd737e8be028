"""The text that lies beside an image: JSON of BIDS and of dcm2niix, and tables of diffusion gradients."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from vesalius.errors import FormatError
from vesalius.privacy.findings import Findings

_NUMBERS = """
    MagneticFieldStrength ImagingFrequency EchoNumber EchoTime EchoTime1 EchoTime2 RepetitionTime
    RepetitionTimeExcitation RepetitionTimePreparation InversionTime FlipAngle SliceThickness SpacingBetweenSlices
    SliceTiming EffectiveEchoSpacing TotalReadoutTime DerivedVendorReportedEchoSpacing EchoTrainLength DwellTime
    PixelBandwidth BandwidthPerPixelPhaseEncode ParallelReductionFactorInPlane ParallelReductionFactorOutOfPlane
    MultibandAccelerationFactor PartialFourier PercentPhaseFOV PercentSampling PhaseEncodingSteps
    PhaseEncodingStepsOutOfPlane AcquisitionMatrixPE ReconMatrixPE BaseResolution NumberOfAverages PhaseResolution
    PhaseOversampling TxRefAmp RefLinesPE SAR NonlinearGradientCorrection MTState SpoilingState
    SpoilingRFPhaseIncrement WaterFatShift TriggerDelayTime NumberOfVolumesDiscardedByScanner
    NumberOfVolumesDiscardedByUser DelayTime AcquisitionDuration DelayAfterTrigger ImageOrientationPatientDICOM
    InPlanePhaseEncodingDirectionDICOM XRayExposure XRayTubeCurrent KVP ExposureTime RescaleSlope RescaleIntercept
    InjectedRadioactivity InjectedMass SpecificRadioactivity ModeOfAdministration RadionuclideTotalDose
    RadionuclidePositronFraction RadionuclideHalfLife DoseCalibrationFactor DecayFactor FrameTimesStart FrameDuration
    FrameReferenceTime ScatterFraction ReconMethodParameterValues ReconFilterSize LabelingDuration PostLabelingDelay
    BackgroundSuppression BackgroundSuppressionNumberPulses TotalAcquiredPairs VascularCrushing
    ImageDecayCorrected AttenuationCorrectionDone
"""
_WORDS = {
    "Modality": "MR CT PT PET US XA CR DX MG NM OT SEG RTSTRUCT",
    "Manufacturer": "Siemens SIEMENS GE Philips Canon Toshiba TOSHIBA Hitachi HITACHI UIH Bruker Mediso Marconi Esaote",
    "MRAcquisitionType": "1D 2D 3D",
    "PatientPosition": "HFS HFP HFDR HFDL FFS FFP FFDR FFDL",
    "BodyPartExamined": "HEAD BRAIN NECK HEADNECK CHEST ABDOMEN PELVIS SPINE CSPINE TSPINE LSPINE HEART KNEE HIP "
    "SHOULDER ANKLE FOOT HAND WRIST ELBOW LEG ARM BREAST LIVER KIDNEY PROSTATE EYE SKULL WHOLEBODY EXTREMITY",
    "ScanningSequence": "SE IR GR EP RM",
    "SequenceVariant": "SK MTC SS TRSS SP MP OSP NONE",
    "PhaseEncodingDirection": "i j k i- j- k-",
    "SliceEncodingDirection": "i j k i- j- k-",
    "PhaseEncodingAxis": "i j k",
    "PhaseEncodingPolarityGE": "Flipped Unflipped",
    "InPlanePhaseEncodingDirectionDICOM": "ROW COL",
    "ImageType": "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER M P R I ND NORM DIS2D DIS3D MOSAIC FMRI "
    "DIFFUSION NONE MEAN ADC FA TRACEW TENSOR MPR PHASE MAGNITUDE REAL IMAGINARY OTHER PERFUSION ASL MIP PROJECTION",
    "Units": "HU arbitrary rad Hz mm s BQML GML CNTS Bq/mL",
    "ConversionSoftware": "dcm2niix",
    "TracerName": "FDG FDOPA PiB florbetapir flutemetamol florbetaben flortaucipir",
    "TracerRadionuclide": "F18 C11 O15 N13 Ga68 Cu64 Zr89 Rb82 I124",
    "CoilCombinationMethod": "Sum of Squares Adaptive Combine",
    "MatrixCoilMode": "SENSE GRAPPA",
    "ParallelAcquisitionTechnique": "SENSE GRAPPA mSENSE CAIPIRINHA ARC ASSET",
}
"""Entries that are words, and the words they may be: a free text may hold a name, a word of a list cannot."""
_NUMBER_NAMES = frozenset(_NUMBERS.split())
_MOST_NUMBERS = 100_000


def strip_json(text: str) -> tuple[str, Findings]:
    """A sidecar with nothing but the entries that are known to tell of the machine and are of the kind they should be.

    Numbers stay under names that BIDS and dcm2niix use for technical settings; words stay where they are of a known
    vocabulary. Everything else goes, whatever it is called: no list of forbidden names could be long enough.

    Args:
        text: The file.

    Returns:
        The cleaned text, and what was removed, in numbers of entries. Text that is not a sidecar gives a doubt.

    Raises:
        FormatError: It is not JSON.

    Example:
        >>> kept, found = strip_json('{"EchoTime": 0.03, "PatientName": "Jane Doe", "Modality": "MR"}')
        >>> json.loads(kept), found.actions
        ({'EchoTime': 0.03, 'Modality': 'MR'}, ('removed 1 of 3 entries of the sidecar',))

    Source: names of the entries: BIDS 1.10, "Metadata" of MRI and PET, and dcm2niix 1.0.2024 (nii_dicom_batch.cpp).
    """
    try:
        told = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise FormatError("it is not JSON: write it anew") from None
    if not isinstance(told, dict):
        return "", Findings(doubts=("it is JSON but not the sidecar of an image",))
    kept = {name: value for name, value in told.items() if _harmless(name, value)}
    if told and not kept:
        return "", Findings(doubts=("it is JSON but not the sidecar of an image: none of its entries is known",))
    gone = len(told) - len(kept)
    actions = (f"removed {gone} of {len(told)} entries of the sidecar",) if gone else ()
    return json.dumps(kept, indent=2) + "\n", Findings(actions)


def strip_gradients(text: str) -> str:
    r"""A table of diffusion weights or directions (``.bval``, ``.bvec``) with nothing but its numbers.

    Raises:
        FormatError: It holds something other than numbers.

    Example:
        >>> strip_gradients("0  1000.0\t1000\n")
        '0 1000 1000\n'
    """
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if not rows or not all(
        re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", word) for row in rows for word in row
    ):
        raise FormatError("it holds something other than numbers")
    return "".join(" ".join(f"{float(word):.9g}" for word in row) + "\n" for row in rows)


def _harmless(name: str, value: Any) -> bool:
    flat = _flat(value)
    if flat is None or not flat or len(flat) > _MOST_NUMBERS:
        return False
    if name in _NUMBER_NAMES and all(isinstance(each, (bool, int, float)) for each in flat):
        # A date written as a number has eight digits and means nothing as a setting.
        return all(abs(each) < 1e6 or name in _LARGE for each in flat)
    words = _WORDS.get(name, "").split()
    # A word may stand in a list of its own or be joined to others: "GR_IR", "SK_SP_MP".
    return bool(words) and all(
        isinstance(each, str) and (each in words or all(part in words for part in re.split(r"[_ \\]", each)))
        for each in flat
    )


_LARGE = {"InjectedRadioactivity", "RadionuclideTotalDose", "SpecificRadioactivity", "DoseCalibrationFactor"}


def _flat(value: Any, depth: int = 0) -> list[Any] | None:
    """What a nest of lists holds; ``None`` where there is anything but numbers, words and lists."""
    if isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return [value]
    if not isinstance(value, list) or depth > 3:
        return None
    found: list[Any] = []
    for each in value:
        flat = _flat(each, depth + 1)
        if flat is None:
            return None
        found += flat
    return found


def _refuse_constant(_: str) -> float:
    raise ValueError
