"""How many voxels agree: the confusion counts of one target, and the scores made of them.

All scores share one rule for quotients that have nothing to divide by (nothing was there to be found, or nothing was
marked): if reference and prediction agree that there is nothing, the score is the best one, 1; if only one of them has
nothing, it is the worst, 0. Where no voxel at all was counted, because all are ignored, a score is NaN.

Source: the worst value where one side is empty follows Metrics Reloaded (Maier-Hein et al., Nature Methods 21:195,
2024, doi:10.1038/s41592-023-02151-z: replace an undefined value by the worst one when aggregating) and, like the best
value where both are, the BraTS evaluation. nnU-Net and MONAI leave such cases out instead, which rewards a segmenter
that marks what is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 16  # joint values of so many voxels, as int64, stay in the second-level cache


@dataclass(frozen=True)
class Counts:
    """The four fields of a confusion table for one target, and how large a voxel is.

    Args:
        true_positive: Voxels that reference and prediction both have in the target.
        false_positive: Voxels that only the prediction has.
        false_negative: Voxels that only the reference has.
        true_negative: Voxels that neither has; ignored voxels are in none of the four.
        voxel_mm: Volume of a voxel in mm³; in 2D the area of a pixel in mm².

    Example:
        >>> Counts(6, 2, 2, 90).reference, Counts(6, 2, 2, 90).total
        (8, 100)
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    voxel_mm: float = 1.0

    @property
    def reference(self) -> int:
        """Voxels of the reference."""
        return self.true_positive + self.false_negative

    @property
    def prediction(self) -> int:
        """Voxels of the prediction."""
        return self.true_positive + self.false_positive

    @property
    def total(self) -> int:
        """All voxels that count."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative


def accuracy(counts: Counts) -> float:
    """Share of voxels that are right, (TP + TN) / all; large backgrounds make it flattering.

    Example:
        >>> accuracy(Counts(6, 2, 2, 90))
        0.96

    Source: Taha and Hanbury, BMC Medical Imaging 15:29 (2015), doi:10.1186/s12880-015-0068-x.
    """
    return _share(counts.true_positive + counts.true_negative, counts.total, counts, agreed=True)


def sensitivity(counts: Counts) -> float:
    """Share of the reference that was found, TP / (TP + FN); also called recall.

    Empty reference: 1 if the prediction is empty too, else 0.

    Example:
        >>> sensitivity(Counts(6, 3, 2, 89))
        0.75

    Source: Taha and Hanbury, BMC Medical Imaging 15:29 (2015), doi:10.1186/s12880-015-0068-x.
    """
    return _share(counts.true_positive, counts.reference, counts, agreed=counts.prediction == 0)


def specificity(counts: Counts) -> float:
    """Share of the reference's background that was left alone, TN / (TN + FP).

    Reference without background: 1 if the prediction has none either, else 0.

    Example:
        >>> specificity(Counts(6, 10, 2, 90))
        0.9

    Source: Taha and Hanbury, BMC Medical Imaging 15:29 (2015), doi:10.1186/s12880-015-0068-x.
    """
    background = counts.true_negative + counts.false_positive
    return _share(counts.true_negative, background, counts, agreed=counts.false_negative == 0)


def precision(counts: Counts) -> float:
    """Share of the prediction that is right, TP / (TP + FP); also called positive predictive value.

    Empty prediction: 1 if the reference is empty too, else 0.

    Example:
        >>> precision(Counts(6, 2, 4, 88))
        0.75

    Source: Taha and Hanbury, BMC Medical Imaging 15:29 (2015), doi:10.1186/s12880-015-0068-x.
    """
    return _share(counts.true_positive, counts.prediction, counts, agreed=counts.reference == 0)


def dice(counts: Counts) -> float:
    """Dice's coefficient, 2 TP / (2 TP + FP + FN); the same number as F1. Both empty: 1; one empty: 0.

    Example:
        >>> dice(Counts(6, 2, 2, 90))
        0.75

    Source: Dice, Ecology 26:297 (1945), doi:10.2307/1932409; checked against SimpleITK.
    """
    return _share(2 * counts.true_positive, counts.reference + counts.prediction, counts, agreed=True)


def iou(counts: Counts) -> float:
    """Intersection over union (Jaccard), TP / (TP + FP + FN). Both empty: 1; one empty: 0.

    Example:
        >>> iou(Counts(6, 2, 2, 90))
        0.6

    Source: Jaccard, New Phytologist 11:37 (1912), doi:10.1111/j.1469-8137.1912.tb05611.x; checked against SimpleITK.
    """
    union = counts.true_positive + counts.false_positive + counts.false_negative
    return _share(counts.true_positive, union, counts, agreed=True)


def relative_volume_difference(counts: Counts) -> float:
    """How much larger the prediction is than the reference, (P - R) / R; negative when it is smaller, 0 is best.

    Both empty: 0. Only the reference empty: NaN, since no number is the worst; summaries leave it out and say so.

    Example:
        >>> relative_volume_difference(Counts(6, 4, 2, 88))
        0.25

    Source: Heimann et al., IEEE TMI 28:1251 (2009), doi:10.1109/TMI.2009.2013851.
    """
    if counts.total == 0 or (counts.reference == 0 and counts.prediction > 0):
        return float("nan")
    return (counts.prediction - counts.reference) / max(counts.reference, 1)


def volume_reference(counts: Counts) -> float:
    """Volume of the reference in ml (1000 mm³), ignored voxels left out; 0 when it is empty.

    Example:
        >>> volume_reference(Counts(1500, 0, 500, 0, voxel_mm=2.0))
        4.0

    Source: 1 ml is 1000 mm³.
    """
    return counts.reference * counts.voxel_mm / 1000


def volume_prediction(counts: Counts) -> float:
    """Volume of the prediction in ml (1000 mm³), ignored voxels left out; 0 when it is empty.

    Example:
        >>> volume_prediction(Counts(1500, 500, 0, 0, voxel_mm=0.5))
        1.0

    Source: 1 ml is 1000 mm³.
    """
    return counts.prediction * counts.voxel_mm / 1000


def area_reference(counts: Counts) -> float:
    """Area of the reference in mm² on a 2D grid, ignored pixels left out; 0 when it is empty.

    Example:
        >>> area_reference(Counts(30, 0, 10, 60, voxel_mm=0.25))
        10.0

    Source: number of pixels times a pixel's area.
    """
    return counts.reference * counts.voxel_mm


def area_prediction(counts: Counts) -> float:
    """Area of the prediction in mm² on a 2D grid, ignored pixels left out; 0 when it is empty.

    Example:
        >>> area_prediction(Counts(30, 0, 10, 60, voxel_mm=0.25))
        7.5

    Source: number of pixels times a pixel's area.
    """
    return counts.prediction * counts.voxel_mm


def joint_histogram(reference: NDArray[np.integer], prediction: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Count every pair of classes in one pass: the confusion matrix of all classes at once.

    Args:
        reference: Class numbers, 0 to ``classes - 1``, any shape.
        prediction: Class numbers of the same shape.
        classes: How many classes there are, at least 1.

    Returns:
        ``(classes, classes)``; row = class in the reference, column = class in the prediction.

    Example:
        >>> joint_histogram(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
        array([[1, 0],
               [1, 1]])

    Source: Stehman, Remote Sensing of Environment 62:77 (1997), the error matrix.
    """
    rows, columns = reference.reshape(-1), prediction.reshape(-1)
    total = np.zeros(classes * classes, dtype=np.int64)
    joint = np.empty(min(_CHUNK, rows.size), dtype=np.intp)
    for start in range(0, rows.size, _CHUNK):
        part = joint[: min(_CHUNK, rows.size - start)]
        np.multiply(rows[start : start + _CHUNK], classes, out=part, casting="unsafe", dtype=np.intp)
        np.add(part, columns[start : start + _CHUNK], out=part, casting="unsafe", dtype=np.intp)
        total += np.bincount(part, minlength=total.size)
    return total.reshape(classes, classes)


def counts_of(table: NDArray[np.int64], classes: Sequence[int], voxel_mm: float = 1.0) -> Counts:
    """Reduce a confusion matrix to the counts of one target, which may join several classes.

    Args:
        table: ``(n, n)``; row = class in the reference, column = class in the prediction.
        classes: The rows and columns that make up the target.
        voxel_mm: Volume of a voxel in mm³ (area in mm² in 2D).

    Returns:
        The four counts of the target against everything else.

    Example:
        >>> counts_of(np.array([[90, 2], [2, 6]]), [1])
        Counts(true_positive=6, false_positive=2, false_negative=2, true_negative=90, voxel_mm=1.0)

    Source: one class against the rest, Taha and Hanbury (2015).
    """
    inside = list(classes)
    both = int(table[np.ix_(inside, inside)].sum())
    reference, prediction = int(table[inside].sum()), int(table[:, inside].sum())
    neither = int(table.sum()) - reference - prediction + both
    return Counts(both, prediction - both, reference - both, neither, voxel_mm)


def _share(part: int, whole: int, counts: Counts, *, agreed: bool) -> float:
    if counts.total == 0:
        return float("nan")
    if whole == 0:
        return 1.0 if agreed else 0.0
    return part / whole
