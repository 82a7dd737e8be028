"""Tables and sections of the report on liver tumours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vesalius.metrics import Scores, summarise
from vesalius.metrics.lits import LEAST_IOU, LitsCase
from vesalius.report import Section

if TYPE_CHECKING:
    from vesalius.studies.liver_tumour import Patient


def score_section(scores: Sequence[LitsCase], figures: Mapping[str, float]) -> Section:
    """The scores of the set, with an interval where they are means over cases."""
    each = [
        Scores(one.case, {"liver": {"dice": one.liver_dice}, "tumour": {"dice": one.tumour_dice}}) for one in scores
    ]
    summary = summarise(each).values
    rows = [["score", "value", "95 %"]]
    for name, value in figures.items():
        target = name.split()[0]
        interval = ""
        if name.endswith("per case"):
            found = summary[target]["dice"]
            interval = "" if math.isnan(found.low) else f"{found.low:.3f} to {found.high:.3f}"
        rows.append([name, "" if math.isnan(value) else f"{value:.3f}", interval])
    texts = [
        f"{len(scores)} cases that were not learnt from. As LiTS scores: the liver counts with its tumours; per case "
        "is the mean over cases, global is of all voxels together; a lesion is found where its intersection over union "
        f"with what was said is above {LEAST_IOU}, pieces that were merged or split taken together; the error of the "
        "tumour burden is a difference of shares of the liver. The interval is a bootstrap over cases."
    ]
    return Section("Scores on cases that were held out", texts, rows)


def case_rows(scores: Sequence[LitsCase], *, plain: bool = False) -> list[list[str]]:
    """A row for each case.

    Args:
        scores: Of the cases.
        plain: For a file: bare column names.
    """
    names = ["case", "liver Dice", "tumour Dice", "lesions found", "missed", "made up", "burden drawn", "burden said"]
    rows = [[name.lower().replace(" ", "_") for name in names] if plain else names]
    for one in scores:
        shares = [_share(one.burden_reference), _share(one.burden_prediction)]
        dice = [f"{one.liver_dice:.3f}", f"{one.tumour_dice:.3f}"]
        rows.append([one.case, *dice, *(str(n) for n in (one.found, one.missed, one.spurious)), *shares])
    return rows


def patient_rows(patients: Sequence[Patient], *, plain: bool = False) -> list[list[str]]:
    """A row for each patient: liver, tumours, burden."""
    names = ["case", "liver, ml", "tumours, ml", "tumour burden", "lesions", "largest, mm"]
    bare = ["case", "liver_ml", "tumours_ml", "tumour_burden", "lesions", "largest_mm"]
    rows = [bare if plain else names]
    for one in patients:
        tumours = sum(lesion.volume_ml for lesion in one.lesions)
        largest = max((lesion.long_mm for lesion in one.lesions), default=0.0)
        numbers = [f"{one.liver_ml:.1f}", f"{tumours:.2f}", _share(one.burden)]
        rows.append([one.case, *numbers, str(len(one.lesions)), f"{largest:.1f}"])
    return rows


def lesion_rows(patients: Sequence[Patient], *, plain: bool = False) -> list[list[str]]:
    """A row for each lesion, the largest of a patient first."""
    names = ["case", "lesion", "volume, ml", "long axis, mm", "short axis, mm"]
    rows = [["case", "lesion", "volume_ml", "long_axis_mm", "short_axis_mm"] if plain else names]
    for one in patients:
        for number, lesion in enumerate(one.lesions, start=1):
            axes = [f"{lesion.long_mm:.1f}", f"{lesion.short_mm:.1f}"]
            rows.append([one.case, str(number), f"{lesion.volume_ml:.2f}", *axes])
    return rows


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"
