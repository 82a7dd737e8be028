"""What is said of a patient: whether there is a tumour, its parts and their volumes, where it lies, what it pushes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vesalius.errors import DataError
from vesalius.image import LabelMap, Labels, Volume
from vesalius.metrics.brats import REGIONS
from vesalius.metrics.midline import Midplane, midline_shift_mm, midplane, parts_of_brain
from vesalius.metrics.platt import Platt, fit_platt
from vesalius.predict import Prediction
from vesalius.studies.brain_tumour.checks import brain_of
from vesalius.transform import reorient

COMPARTMENTS = ("necrotic core", "oedema", "enhancing tumour")
_LIKELY = 0.5  # probability, from which a voxel counts
_NOTHING_ML = 0.001  # added before the logarithm, so that no tumour at all has one
_CLEAN_ML = 0.1  # a half with less tumour than this is taken for a healthy one


@dataclass(frozen=True)
class Finding:
    """What is said of a patient.

    Args:
        case: Whose it is.
        evidence: Natural logarithm of the volume of likely tumour, ml, each voxel by its probability.
        volumes_ml: Of the compartments and regions.
        parts: Share of the tumour in each quarter of the brain, in falling order.
        shift_mm: Of the midline, to the left where positive.
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
        parts, shift_mm = {}, 0.0
    return Finding(case, evidence_of(prediction), volumes, parts, shift_mm, tuple(channels))


def as_brain(image: Volume) -> LabelMap:
    """The brain of a stripped image as a label map."""
    return LabelMap(brain_of(image).astype(np.uint8), image.grid, Labels.of({"brain": 1}))


def stand_in(image: Volume, reference: LabelMap) -> Volume | None:
    """A brain without a tumour: the healthy half of a patient's, and its mirror image in place of the other.

    Sets of tumour patients hold no brain without one, and without such no probability can be calibrated.

    Args:
        image: Stripped.
        reference: The tumour, on the same grid.

    Returns:
        The brain, its axes towards left, posterior, superior; ``None`` where both halves hold tumour.
    """
    laid, drawn = reorient(image), reorient(reference).array != 0
    plane: Midplane = midplane(as_brain(laid))
    middle = laid.grid.to_points(np.asarray([(n - 1) / 2 for n in laid.grid.shape]))
    at = float(laid.grid.to_index(np.array([plane.offset + plane.along_y * middle[1] + plane.along_z * middle[2],
                                            middle[1], middle[2]]))[0])  # fmt: skip
    index = np.arange(laid.grid.shape[0])
    halves = {"left": index > at, "right": index < at}  # axis 0 grows to the left
    ml = {side: float(drawn[half].sum()) * laid.grid.voxel_volume_mm3 / 1000 for side, half in halves.items()}
    healthy = min(ml, key=lambda side: ml[side])
    if ml[healthy] > _CLEAN_ML:
        return None
    source = round(2 * at) - index
    there = (source >= 0) & (source < index.size)
    array = laid.array.copy()
    empty = laid.array[:, :1, :1, :1]
    for i in np.flatnonzero(~halves[healthy]):
        array[:, i] = laid.array[:, source[i]] if there[i] and halves[healthy][source[i]] else (
            array[:, i] if source[i] == i else empty[:, 0])  # fmt: skip
    return laid.with_array(array)


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
    """Calibrate the probability of a tumour; ``None`` where only one outcome is known."""
    if len({one.present for one in known}) < 2:
        return None
    return fit_platt([one.value for one in known], [one.present for one in known])


def probabilities_unseen(known: Sequence[Evidence]) -> list[tuple[float, bool]]:
    """The probability of each brain by a calibration that left out its patient, and whether there is a tumour."""
    found = []
    for one in known:
        scaled = fit_presence([other for other in known if other.case != one.case])
        if scaled is not None:
            found.append((scaled(one.value), one.present))
    return found
