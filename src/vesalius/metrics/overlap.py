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

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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


def f_beta(counts: Counts, *, beta: float = 2.0) -> float:
    """F-beta, (1 + β²) TP / ((1 + β²) TP + β² FN + FP): Dice in which a miss weighs β² as much as a false alarm.

    Both empty: 1; one empty: 0.

    Example:
        >>> f_beta(Counts(6, 3, 3, 88)), f_beta(Counts(6, 2, 2, 90), beta=1.0)
        (0.6666666666666666, 0.75)

    Source: van Rijsbergen, Information Retrieval (1979), chapter 7; checked against scikit-learn.
    """
    square = beta * beta
    whole = (1 + square) * counts.true_positive + square * counts.false_negative + counts.false_positive
    return _share((1 + square) * counts.true_positive, whole, counts, agreed=True)


def negative_predictive_value(counts: Counts) -> float:
    """Share of what the prediction left alone that is rightly so, TN / (TN + FN).

    Prediction without background: 1 if the reference has none either, else 0.

    Example:
        >>> negative_predictive_value(Counts(6, 2, 10, 90))
        0.9

    Source: Taha and Hanbury, BMC Medical Imaging 15:29 (2015), doi:10.1186/s12880-015-0068-x.
    """
    left = counts.true_negative + counts.false_negative
    return _share(counts.true_negative, left, counts, agreed=counts.false_positive == 0)


def balanced_accuracy(counts: Counts) -> float:
    """Mean of sensitivity and specificity, each with its own rule for empty masks; 0.5 is what chance gives.

    Example:
        >>> balanced_accuracy(Counts(6, 10, 2, 90))
        0.825

    Source: Brodersen et al., ICPR 2010, doi:10.1109/ICPR.2010.764; checked against scikit-learn.
    """
    return (sensitivity(counts) + specificity(counts)) / 2


def matthews(counts: Counts) -> float:
    """Matthews' correlation of reference and prediction, -1 … 1; 0 is what chance gives.

    Where one side is empty or full the quotient has nothing to divide by: 1 if no voxel is wrong, else 0.

    Example:
        >>> round(matthews(Counts(6, 2, 2, 90)), 4)
        0.7283

    Source: Matthews, Biochimica et Biophysica Acta 405:442 (1975), doi:10.1016/0005-2795(75)90109-9; checked against
    scikit-learn.
    """
    positive, negative = counts.true_positive, counts.true_negative
    sides = (counts.reference, counts.total - counts.reference, counts.prediction, counts.total - counts.prediction)
    if counts.total == 0 or 0 in sides:
        return _share(0, 0, counts, agreed=counts.false_positive == counts.false_negative == 0)
    # Python's integers are exact; the product of four counts would overflow numpy's.
    return (positive * negative - counts.false_positive * counts.false_negative) / math.sqrt(math.prod(sides))


def kappa(counts: Counts) -> float:
    """Cohen's kappa: agreement beyond what chance gives (0); 1 is full agreement.

    Where both sides are empty, or both full, chance alone agrees fully: 1. For classes that are grades use the weighted
    kappa, `vesalius.metrics.agreement.cohen_kappa`; with two classes all weights give the same number.

    Example:
        >>> round(kappa(Counts(20, 5, 10, 15)), 12)
        0.4

    Source: Cohen, Educational and Psychological Measurement 20:37 (1960), doi:10.1177/001316446002000104; checked
    against scikit-learn.
    """
    total = counts.total
    if total == 0:
        return float("nan")
    chance = counts.reference * counts.prediction + (total - counts.reference) * (total - counts.prediction)
    if chance == total * total:
        return 1.0
    right = counts.true_positive + counts.true_negative
    return (right * total - chance) / (total * total - chance)


def youden(counts: Counts) -> float:
    """Youden's index (informedness), sensitivity + specificity - 1: -1 … 1; 0 is what chance gives.

    Empty masks follow the rules of its two parts.

    Example:
        >>> round(youden(Counts(6, 10, 2, 90)), 12)
        0.65

    Source: Youden, Cancer 3:32 (1950), doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3.
    """
    return sensitivity(counts) + specificity(counts) - 1


def volumetric_similarity(counts: Counts) -> float:
    """How alike the volumes are, wherever they lie: 1 - |P - R| / (P + R). Both empty: 1; one empty: 0.

    Example:
        >>> volumetric_similarity(Counts(0, 6, 10, 84))
        0.75

    Source: Taha and Hanbury, BMC Medical Imaging 15:29 (2015), doi:10.1186/s12880-015-0068-x; checked against
    SimpleITK, whose "volume similarity" is 2 (P - R) / (P + R).
    """
    both = counts.reference + counts.prediction
    return _share(both - abs(counts.prediction - counts.reference), both, counts, agreed=True)


def absolute_volume_difference(counts: Counts) -> float:
    """How much the volumes differ, |P - R|, in ml (1000 mm³); 0 when both are empty, and never undefined.

    Example:
        >>> absolute_volume_difference(Counts(1500, 0, 500, 0, voxel_mm=2.0))
        1.0

    Source: Heimann et al., IEEE TMI 28:1251 (2009), doi:10.1109/TMI.2009.2013851, without the division by R.
    """
    return abs(counts.prediction - counts.reference) * counts.voxel_mm / 1000


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


def _share(part: float, whole: float, counts: Counts, *, agreed: bool) -> float:
    if counts.total == 0:
        return float("nan")
    if whole == 0:
        return 1.0 if agreed else 0.0
    return part / whole
