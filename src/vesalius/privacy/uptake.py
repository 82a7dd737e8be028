"""Whether a PET can still be measured in SUV once it is de-identified, said plainly."""

from __future__ import annotations

import math

from pydicom.dataset import Dataset

from vesalius.io.dicom.suv import suv_factor, uptake_of
from vesalius.privacy.findings import Findings
from vesalius.privacy.profile import Profile

KEPT = "SUV can be worked out as before"
LOST = "SUV is lost: it needs weight and times, which patient-characteristics and modified-dates (or full-dates) keep"
_WRONG = "its SUV would come out another: dose, weight and times no longer belong together"


def say_of_uptake(before: Dataset, cleaned: Dataset, profile: Profile) -> Findings:
    """Hold the SUV of a PET image against what it was.

    Args:
        before: The header as it came.
        cleaned: As it is written.
        profile: Says what was to stay.

    Returns:
        Nothing for what is no PET or never had an SUV; else whether it is kept or lost, and a doubt where it would be
        another, which nobody would notice.

    Source:
        `vesalius.io.dicom.suv`: the factor takes weight, dose, half-life, and times of injection and scan; of these
        DICOM PS3.15 Table E.1-1 lists the weight and the times.
    """
    old, new = uptake_of(before), uptake_of(cleaned)
    if old is None or new is None:
        return Findings()
    factor, _ = suv_factor([old])
    if factor is None:
        return Findings()
    after, why = suv_factor([new])
    if after is None:
        lacks = (
            "patient-characteristics" not in profile.options or not {"modified-dates", "full-dates"} & profile.options
        )
        return Findings((LOST if lacks else f"SUV is lost, for another reason than the profile: {why}",))
    if not math.isclose(after, factor, rel_tol=1e-6):
        return Findings(doubts=(_WRONG,))
    return Findings((KEPT,))
