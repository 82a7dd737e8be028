"""Choose the clean-up of a segmenter's results, on cases that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.image import LabelMap, Labels
from vesalius.transform import keep_largest, label_components
from vesalius.transform.postprocess import KeepLargest, Postprocessing, RemoveSmall, SizeUnit, Step

_SHARES = (0.01, 0.05, 0.1)  # of the reference's pieces that may be smaller than what is removed
_FEWEST = 3  # cases: with fewer there is no telling help from chance
_SURELY = 2.0  # standard errors

Pairs = Callable[[], Iterable[tuple[LabelMap, LabelMap]]]


def choose_clean_up(pairs: Pairs, labels: Labels, *, calibrated: bool, all_labels: bool = True) -> Postprocessing:
    """Choose what is cleaned away, from out-of-fold predictions.

    First it is asked whether only the largest piece of all labels together should stay. Then, of each label, whether
    only its largest piece should stay or its small ones should go: those smaller than all but 1, 5 or 10 % of the
    reference's. A step is taken where the mean Dice rises by more than two standard errors; the first one only
    where no label's mean falls.

    Args:
        pairs: Gives (prediction, reference) of each case, on one grid; called twice at most, so that they need not be
            held in memory.
        labels: What is segmented.
        calibrated: Whether spacings are physical: sizes are then in ml (mm² in 2D), otherwise in voxels.
        all_labels: Whether these are all that the segmenter knows. If not, nothing is done to all of them together.

    Returns:
        The steps; none where nothing helps or there are fewer than three cases.

    Source: nnU-Net's ``remove_connected_components.py`` (the order, and that no label may lose); the margin of two
    standard errors is ours: a step that helps by chance will not help the next patient.
    """
    plain, together = [], []
    ndim = 3
    for prediction, reference in pairs():
        ndim = prediction.grid.ndim
        plain.append(_structures(prediction, reference, labels, calibrated=calibrated))
        if all_labels and len(labels) > 1:
            cleaned = keep_largest(prediction)
            together.append([s.dice() for s in _structures(cleaned, reference, labels, calibrated=calibrated)])
    if len(plain) < _FEWEST:
        return Postprocessing()
    steps: list[Step] = []
    before = np.asarray([[structure.dice() for structure in case] for case in plain])
    after = np.asarray(together) if together else before
    if _helps(before.mean(axis=1), after.mean(axis=1)) and (after.mean(axis=0) >= before.mean(axis=0)).all():
        steps.append(KeepLargest())
        plain = [_structures(keep_largest(p), r, labels, calibrated=calibrated) for p, r in pairs()]
    unit: SizeUnit = "voxels" if not calibrated else "ml" if ndim == 3 else "mm2"
    for number, name in enumerate(labels.names):
        step = _step(name, [case[number] for case in plain], unit)
        if step is not None:
            steps.append(step)
    return Postprocessing(tuple(steps))


@dataclass(frozen=True)
class _Structure:
    """A label in one case: the pieces that were predicted, what of them is right, and the pieces of the reference."""

    sizes: NDArray[np.float64]
    hits: NDArray[np.float64]
    reference_sizes: NDArray[np.float64]

    def dice(self, kept: NDArray[np.bool_] | slice = slice(None)) -> float:
        total = float(self.sizes[kept].sum() + self.reference_sizes.sum())
        return 1.0 if total == 0 else 2 * float(self.hits[kept].sum()) / total  # 1: nothing there, nothing found

    def dice_of_largest(self) -> float:
        return self.dice(np.arange(len(self.sizes)) == (self.sizes.argmax() if len(self.sizes) else -1))

    def dice_above(self, least: float) -> float:
        return self.dice(self.sizes >= least)


def _structures(prediction: LabelMap, reference: LabelMap, labels: Labels, *, calibrated: bool) -> list[_Structure]:
    grid = prediction.grid
    voxel = 1.0 if not calibrated else grid.voxel_volume_mm3 / (1000 if grid.ndim == 3 else 1)
    looked_at = np.ones(grid.shape, bool) if labels.ignore is None else reference.array != labels.ignore
    found = []
    for value in labels.values:
        there = reference.array == value
        pieces, sizes = label_components((prediction.array == value) & looked_at)
        hits = np.bincount(pieces[there], minlength=len(sizes) + 1)[1:]
        _, reference_sizes = label_components(there)
        found.append(_Structure(*(np.asarray(each, np.float64) * voxel for each in (sizes, hits, reference_sizes))))
    return found


def _step(name: str, found: Sequence[_Structure], unit: SizeUnit) -> Step | None:
    """The step that raises the Dice of a label most, if one helps."""
    before = np.asarray([structure.dice() for structure in found])
    best: tuple[float, Step | None] = (0.0, None)
    choices: list[tuple[Step, NDArray[np.float64]]] = [
        (KeepLargest(name=name), np.asarray([structure.dice_of_largest() for structure in found]))
    ]
    true_sizes = np.concatenate([structure.reference_sizes for structure in found])
    if len(true_sizes):
        for share in _SHARES:
            # Two digits are as much as a handful of cases can tell.
            least = float(f"{np.quantile(true_sizes, share):.2g}")
            after = np.asarray([structure.dice_above(least) for structure in found])
            choices.append((RemoveSmall(least=least, unit=unit, name=name), after))
    for step, after in choices:
        gain = float((after - before).mean())
        if _helps(before, after) and gain > best[0]:
            best = gain, step
    return best[1]


def _helps(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    gains = after - before
    return float(gains.mean()) > _SURELY * float(gains.std(ddof=1)) / math.sqrt(len(gains))
