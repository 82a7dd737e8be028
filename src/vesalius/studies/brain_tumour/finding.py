"""What is said of a patient: whether there is a tumour, its parts and their volumes, where it lies, what it pushes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vesalius.errors import DataError
from vesalius.image import LabelMap, Labels, Volume
from vesalius.metrics.brats import REGIONS
from vesalius.metrics.midline import midline_shift_mm, parts_of_brain
from vesalius.metrics.platt import Platt, fit_platt
from vesalius.predict import Prediction
from vesalius.studies.brain_tumour.checks import as_brain

COMPARTMENTS = ("necrotic core", "oedema", "enhancing tumour")
_LIKELY = 0.5  # probability, from which a voxel counts
_NOTHING_ML = 0.001  # added before the logarithm, so that no tumour at all has one
_FEWEST = 2  # brains of either kind; of fewer nothing can be calibrated


@dataclass(frozen=True)
class Finding:
    """What is said of a patient.

    Args:
        case: Whose it is.
        evidence: Natural logarithm of the volume of likely tumour, ml, each voxel by its probability.
        volumes_ml: Of the compartments and regions.
        parts: Share of the tumour in each quarter of the brain, in falling order.
        shift_mm: Of the midline, to the left where positive; NaN where it cannot be told.
        channels: The sequences that it was told from.
        probability: That there is a tumour; NaN where nobody could calibrate it.
    """

    case: str
    evidence: float
    volumes_ml: Mapping[str, float]
    parts: Mapping[str, float]
    shift_mm: float
    channels: tuple[str, ...]
    probability: float = float("nan")

    @property
    def where(self) -> str:
        """The quarters that hold a tenth of it or more, in words.

        Example:
            >>> Finding("a", 0.0, {}, {"left anterior": 0.8, "left posterior": 0.2}, 0.0, ()).where
            'left anterior (80 %), left posterior (20 %)'
        """
        return ", ".join(
            f"{name} ({share:.0%})".replace("%", " %") for name, share in self.parts.items() if share > 0.1
        )


def evidence_of(prediction: Prediction) -> float:
    """How much speaks for a tumour: the logarithm of its likely volume.

    Args:
        prediction: With probabilities, the whole tumour first, as regions are.
    """
    assert prediction.probabilities is not None
    chances = prediction.probabilities.array[0]
    likely = float(chances[chances >= _LIKELY].sum(dtype=np.float64))
    return float(np.log(likely * prediction.labels.grid.voxel_volume_mm3 / 1000 + _NOTHING_ML))


def find(case: str, image: Volume, prediction: Prediction, channels: Sequence[str]) -> Finding:
    """Say all but the probability."""
    labels = prediction.labels
    brain = as_brain(image)
    tumour = LabelMap((labels.array != 0).astype(np.uint8), labels.grid, Labels.of({"tumour": 1}))
    ml = labels.grid.voxel_volume_mm3 / 1000
    named = [name for name in (*COMPARTMENTS, *REGIONS[:2]) if name in labels.labels.targets()]
    volumes = {name: float(labels.binary(name).sum()) * ml for name in named}
    try:
        parts, shift_mm = parts_of_brain(tumour, brain), midline_shift_mm(image, brain, excluded=tumour)
    except DataError:  # there is no brain to speak of
        parts, shift_mm = {}, float("nan")
    return Finding(case, evidence_of(prediction), volumes, parts, shift_mm, tuple(channels))


@dataclass(frozen=True)
class Evidence:
    """What speaks for a tumour in a brain, and whether there is one.

    Args:
        case: Whose brain, or whose half.
        value: See `evidence_of`.
        present: Whether there is a tumour.
    """

    case: str
    value: float
    present: bool


def fit_presence(known: Sequence[Evidence]) -> Platt | None:
    """Calibrate the probability of a tumour.

    Args:
        known: Brains that the network had not seen.

    Returns:
        The calibration; ``None`` where fewer than two brains have a tumour, or have none, and where more evidence
        does not mean more tumours: then the network cannot tell.
    """
    present = sum(one.present for one in known)
    if min(present, len(known) - present) < _FEWEST:
        return None
    found = fit_platt([one.value for one in known], [one.present for one in known])
    return found if found.slope > 0 else None


def probabilities_unseen(known: Sequence[Evidence]) -> list[tuple[float, bool]]:
    """The probability of each brain by a calibration that left out its patient, and whether there is a tumour."""
    found = []
    for one in known:
        scaled = fit_presence([other for other in known if other.case != one.case])
        if scaled is not None:
            found.append((scaled(one.value), one.present))
    return found
