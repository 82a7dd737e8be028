"""The factor from a PET's values to standardised uptake values by body weight, out of its headers.

Weight, dose and times stay here: what leaves is one number, or the reason why there is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset

KEYWORDS = (
    *("CorrectedImage", "DecayCorrection", "SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime"),
    *("FrameReferenceTime", "ActualFrameDuration", "PatientWeight", "SUVType"),
    "RadiopharmaceuticalInformationSequence",
)
"""Elements that the factor takes."""

PHILIPS, PHILIPS_SUV, PHILIPS_ACTIVITY = 0x70530010, 0x70531000, 0x70531009
GE, GE_SCAN = 0x00090010, 0x0009100D
PRIVATE_TAGS = (PHILIPS, PHILIPS_SUV, PHILIPS_ACTIVITY, GE, GE_SCAN)
"""Private elements that it takes, and those that say whose they are."""

_DAY_S = 86_400.0
_LONGEST = 10.0  # half-lives between injection and scan: beyond, the times do not belong together
_WEIGHT_KG = (0.01, 700.0)  # a mouse, and the heaviest people
_DOSE_BQ = (1e5, 1e11)  # MBq in place of Bq lie below


@dataclass(frozen=True, slots=True)
class Uptake:
    """What the header of one PET image says of dose and time; never shown.

    Args:
        unit: As DICOM has it: BQML, CNTS, GML …
        kind: SUV type of an image that is one already; empty for body weight.
        corrected: Whether attenuation and decay are corrected.
        decay: To when decay is corrected: START, ADMIN or NONE.
        weight_kg: Of the patient.
        dose_bq: That was injected.
        half_life_s: Of the radionuclide.
        injected: When; a datetime, or, where the header has the time of day only, the time since midnight.
        series, acquired, ge_scan: When the series, this image and, in GE's own words, the scan began.
        reference_s: From the series' reference time to the moment at which this image's counts are the average ones.
        duration_s: Of this image's acquisition.
        philips_suv, philips_activity: Philips' own factors from counts.
    """

    unit: str
    kind: str
    corrected: bool
    decay: str
    weight_kg: float | None
    dose_bq: float | None
    half_life_s: float | None
    injected: datetime | timedelta | None
    series: datetime | None
    acquired: datetime | None
    ge_scan: datetime | None
    reference_s: float | None
    duration_s: float | None
    philips_suv: float | None
    philips_activity: float | None


def uptake_of(elements: Dataset) -> Uptake | None:
    """Take from a header what the factor needs; ``None`` when it is no PET.

    Elements that are missing, empty, or make no sense count as missing.
    """
    if str(_get(elements, "Modality") or "").strip().upper() != "PT":
        return None
    tracer = (_get(elements, "RadiopharmaceuticalInformationSequence") or [Dataset()])[0]
    corrections = _get(elements, "CorrectedImage") or ()
    words = {str(word).strip().upper() for word in ([corrections] if isinstance(corrections, str) else corrections)}
    injected: datetime | timedelta | None = _instant(str(_get(tracer, "RadiopharmaceuticalStartDateTime") or ""))
    if injected is None:
        injected = _since_midnight(str(_get(tracer, "RadiopharmaceuticalStartTime") or ""))
    philips = _text(elements, PHILIPS) == "PHILIPS PET PRIVATE GROUP"
    ge = _text(elements, GE) == "GEMS_PETD_01"
    return Uptake(
        unit=str(_get(elements, "Units") or "").strip().upper(),
        kind=str(_get(elements, "SUVType") or "").strip().upper(),
        corrected={"ATTN", "DECY"} <= words,
        decay=str(_get(elements, "DecayCorrection") or "").strip().upper(),
        weight_kg=_number(_get(elements, "PatientWeight")),
        dose_bq=_number(_get(tracer, "RadionuclideTotalDose")),
        half_life_s=_number(_get(tracer, "RadionuclideHalfLife")),
        injected=injected,
        series=_moment(elements, "Series"),
        acquired=_moment(elements, "Acquisition"),
        ge_scan=_instant(_text(elements, GE_SCAN)) if ge else None,
        reference_s=_seconds(_get(elements, "FrameReferenceTime")),
        duration_s=_seconds(_get(elements, "ActualFrameDuration")),
        philips_suv=_number(_value(elements, PHILIPS_SUV)) if philips else None,
        philips_activity=_number(_value(elements, PHILIPS_ACTIVITY)) if philips else None,
    )


def suv_factor(images: Sequence[Uptake]) -> tuple[float | None, str]:
    """Work out what a PET's values must be multiplied with.

    Args:
        images: Of all the series' files.

    Returns:
        The factor, or ``None`` and a sentence that begins with "no SUV" and says what is missing or wrong, without
        any value of the header.

    Source: SUVbw = activity / (dose / weight), dose decayed to the moment to which the values are decay-corrected;
    RSNA QIBA's vendor-neutral pseudo-code (series time unless it is after the acquisition, then GE's private scan
    time, then the acquisition time less the frame reference time), DICOM PS3.3 C.8.9.1.
    """
    try:
        return _factor(images), ""
    except _NoFactorError as reason:
        return None, f"no SUV: {reason}"


class _NoFactorError(Exception):
    """Why there is no factor."""


def _factor(images: Sequence[Uptake]) -> float:
    first = images[0]
    for name, words in (
        ("unit", "unit"),
        ("kind", "type of SUV"),
        ("corrected", "corrections"),
        ("decay", "decay correction"),
        ("weight_kg", "weight"),
        ("dose_bq", "dose"),
        ("half_life_s", "half-life"),
        ("injected", "time of injection"),
        ("series", "series time"),
        ("philips_suv", "private factor"),
        ("philips_activity", "private factor"),
    ):
        if len({getattr(image, name) for image in images}) > 1:
            raise _NoFactorError(f"the {words} differs between the images of the series")
    if first.unit == "GML":
        if first.kind in ("", "BW"):
            return 1.0
        raise _NoFactorError("the values are standardised by something else than body weight")
    if first.unit not in ("BQML", "CNTS"):
        raise _NoFactorError("the values are neither Bq/ml nor counts with a factor")
    if not first.corrected:
        raise _NoFactorError("the header does not say that attenuation and decay are corrected")
    if first.unit == "BQML":
        return _by_weight(images)
    if first.philips_suv:
        return first.philips_suv
    if first.philips_activity:
        return first.philips_activity * _by_weight(images)
    raise _NoFactorError("the values are counts, and the scanner's own factor is missing")


def _by_weight(images: Sequence[Uptake]) -> float:
    first = images[0]
    weight, dose = first.weight_kg, first.dose_bq
    if weight is None or not _WEIGHT_KG[0] <= weight <= _WEIGHT_KG[1]:
        raise _NoFactorError("the patient's weight is missing or cannot be right")
    if dose is None or not _DOSE_BQ[0] <= dose <= _DOSE_BQ[1]:
        raise _NoFactorError("the injected dose is missing or cannot be right (it must be in Bq, not MBq)")
    if first.decay == "ADMIN":
        return 1000 * weight / dose
    if first.decay != "START":
        raise _NoFactorError("the header does not say to when decay is corrected (START or ADMIN)")
    half_life = first.half_life_s
    if half_life is None or half_life <= 0:
        raise _NoFactorError("the radionuclide's half-life is missing")
    start, injected = _start(images, half_life), first.injected
    if injected is None:
        raise _NoFactorError("the time of injection is missing")
    if isinstance(injected, timedelta):
        # Only the time of day is known: the last one before the scan, also across midnight.
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        elapsed = (start - midnight - injected).total_seconds() % _DAY_S
    else:
        elapsed = (start - injected).total_seconds()
    if not 0 <= elapsed <= _LONGEST * half_life:
        raise _NoFactorError("the times of injection and scan do not go together: were dates shifted?")
    decayed: float = dose * 2.0 ** (-elapsed / half_life)
    return 1000 * weight / decayed


def _start(images: Sequence[Uptake], half_life: float) -> datetime:
    """The moment to which the values are decay-corrected."""
    series = images[0].series
    acquired = [image.acquired for image in images if image.acquired is not None]
    if len(acquired) < len(images):
        raise _NoFactorError("date or time of the acquisition is missing")
    if series is not None and series <= min(acquired):
        return series
    # The series was made later than it was scanned, as after post-processing: its time says nothing.
    if images[0].ge_scan is not None and images[0].ge_scan <= min(acquired):
        return images[0].ge_scan
    found = []
    for image, at in zip(images, acquired, strict=True):
        if image.reference_s is None or not image.duration_s:
            raise _NoFactorError("the time of the series is missing or after the scan, and no other says when it began")
        rate = math.log(2) / half_life
        share = rate * image.duration_s
        average = math.log(share / -math.expm1(-share)) / rate
        found.append(at - timedelta(seconds=image.reference_s - average))
    found.sort()
    if (found[-1] - found[0]).total_seconds() > 60:
        raise _NoFactorError("the times of the images do not agree on when the scan began")
    return found[len(found) // 2]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _seconds(value: Any) -> float | None:
    """From milliseconds; 0 is a time as well."""
    try:
        number = float(value) / 1000
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _get(elements: Dataset, of: str | int) -> Any:
    """The value of an element; ``None`` also where it is damaged: an image can do without."""
    try:
        return elements.get(of) if isinstance(of, str) else elements[of].value
    except Exception:
        return None


def _value(elements: Dataset, tag: int) -> Any:
    value = _get(elements, tag)
    # Without explicit VR, private elements come as bytes.
    return value.decode("ascii", "replace").strip("\0 ") if isinstance(value, bytes) else value


def _text(elements: Dataset, tag: int) -> str:
    return str(_value(elements, tag) or "").strip().upper()


def _moment(elements: Dataset, of: str) -> datetime | None:
    date, time = (str(_get(elements, f"{of}{what}") or "").strip() for what in ("Date", "Time"))
    return _instant(date.replace(".", "") + time.replace(":", "")) if date and time else None


def _instant(text: str) -> datetime | None:
    """A date with a time of day; what follows the seconds' fraction (the time zone, that of all) is left out."""
    digits = text.strip()
    since = _since_midnight(digits[8:])
    try:
        return None if since is None else datetime.strptime(digits[:8], "%Y%m%d") + since
    except ValueError:
        return None


def _since_midnight(text: str) -> timedelta | None:
    digits, _, fraction = text.strip().replace(":", "").partition(".")
    digits, fraction = digits.partition("+")[0].partition("-")[0], fraction.partition("+")[0].partition("-")[0]
    if len(digits) not in (2, 4, 6) or not digits.isdecimal() or not (fraction or "0").isdecimal():
        return None
    hours, minutes, seconds = (int(digits[n : n + 2] or 0) for n in (0, 2, 4))
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return timedelta(hours=hours, minutes=minutes, seconds=seconds + float(f"0.{fraction or 0}"))
