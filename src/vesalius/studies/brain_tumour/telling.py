"""Tables and sections of the report on brain tumours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vesalius.metrics import Scores, summarise
from vesalius.metrics.brats import REGIONS
from vesalius.metrics.calibration import brier_score, reliability
from vesalius.report import Section
from vesalius.report.plots import reliability_picture
from vesalius.studies.brain_tumour.finding import COMPARTMENTS, Finding

_SHOWN = {"dice": "Dice", "hd95": "HD95, mm", "lesion_dice": "lesion-wise Dice", "lesion_hd95": "lesion-wise HD95, mm"}
_FEWEST_FOR_CURVE = 20  # brains; a curve of fewer is noise


def score_section(scores: Sequence[Scores]) -> tuple[Section, dict[str, float]]:
    """The means over the cases with their intervals, and the figures by name."""
    summary = summarise(scores)
    rows = [["region", *(f"{title} [95 %]" for title in _SHOWN.values())]]
    figures = {}
    for region in REGIONS:
        cells = [region]
        for metric, title in _SHOWN.items():
            found = summary.values[region][metric]
            figures[f"{region}, {title}"] = found.mean
            digits = 1 if metric.endswith("hd95") else 3
            interval = "" if math.isnan(found.low) else f" [{found.low:.{digits}f}, {found.high:.{digits}f}]"
            cells.append(f"{found.mean:.{digits}f}{interval}")
        rows.append(cells)
    texts = [
        f"{len(scores)} cases, each by a network that had not learnt from it; the interval is a bootstrap over cases. "
        "A region that is neither drawn nor said has Dice 1 and HD95 0; one that is only drawn, or only said, has "
        "Dice 0 and 374 mm. Lesion by lesion, as BraTS scores since 2023, one that was missed or made up counts, too. "
        "What was cleaned up after the network was chosen on the same cases."
    ]
    return Section("Scores on cases that were held out", texts, rows), figures


def case_table(scores: Sequence[Scores]) -> list[list[str]]:
    """A row for each case and region."""
    rows = [["case", "region", *_SHOWN.values(), "drawn, ml", "said, ml"]]
    for one in scores:
        for region in REGIONS:
            found = one.values[region]
            figures = [f"{found[name]:.{1 if name.endswith('hd95') else 3}f}" for name in _SHOWN]
            volumes = [f"{found[f'volume_{side}_ml']:.1f}" for side in ("reference", "prediction")]
            rows.append([one.case, region, *figures, *volumes])
    return rows


def finding_table(findings: Sequence[Finding], *, plain: bool = False) -> list[list[str]]:
    """A row for each patient.

    Args:
        findings: What was found.
        plain: For a file: bare column names.
    """
    words = ["case", "tumour, probability", *(f"{name}, ml" for name in COMPARTMENTS), "whole, ml", "where",
             "midline shift, mm", "sequences"]  # fmt: skip
    bare = ["case", "probability", "necrotic_core_ml", "oedema_ml", "enhancing_tumour_ml", "whole_tumour_ml", "where",
            "midline_shift_mm", "sequences"]  # fmt: skip
    rows = [bare if plain else words]
    for one in findings:
        chance = "" if math.isnan(one.probability) else f"{one.probability:.3f}"
        volumes = [f"{one.volumes_ml.get(name, 0.0):.1f}" for name in (*COMPARTMENTS, REGIONS[0])]
        shift = f"{one.shift_mm:+.1f}"
        if math.isnan(one.shift_mm):
            shift = "" if plain else "cannot be told"
        rows.append([one.case, chance, *volumes, one.where, shift, " ".join(one.channels)])
    return rows


def presence_section(known: Sequence[tuple[float, bool]], brains: int) -> tuple[Section, float]:
    """How far the probability of a tumour can be believed, and its Brier score (NaN where it is not known)."""
    texts = [
        f"{brains} brains that the networks had not seen. Patients of such a set all have a tumour; what stands for a "
        "brain without one is the healthy half of a patient's with its mirror image, or a case whose reference is "
        "empty. Such brains of every second patient were learnt from as well. How much tumour is likely was turned "
        "into a probability by Platt's scaling. It holds where every second brain has a tumour, as here, and for "
        "brains like these; that a real healthy brain looks like such a stand-in was not shown."
    ]
    if len({present for _, present in known}) < 2:
        texts.append(
            "No probability could be checked: there are fewer than three brains with a tumour or without, or the "
            "network sees as much tumour in brains that have none."
        )
        return Section("Is there a tumour?", texts), math.nan
    said = np.array([chance for chance, _ in known])
    true = np.array([present for _, present in known])
    both = np.stack([1 - said, said])
    brier = brier_score(both, true.astype(int)) / 2
    right = int(((said >= 0.5) == true).sum())
    texts.append(
        f"Each patient was left out of the calibration once: {right} of {len(known)} brains were on the right side of "
        f"0.5, and the Brier score is {brier:.3f} (0 is best, 0.25 what guessing 0.5 gives)."
    )
    pictures = None
    if len(known) >= _FEWEST_FOR_CURVE:
        curve = reliability(both, true.astype(int), target=1, bins=5)
        pictures = {"How often what was said with a probability was so": reliability_picture({"tumour": curve})}
    return Section("Is there a tumour?", texts, (), pictures), float(brier)
