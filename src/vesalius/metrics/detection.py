"""How well instances are found: precision, recall, F1 and panoptic quality of a matching.

They share the rule of `vesalius.metrics.overlap`: where nothing was there to be found and nothing was said the score is
1, where only one side has nothing it is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from vesalius.metrics.matching import Matching


def detection_precision(matching: Matching) -> float:
    """Share of the predicted instances that are right, TP / (TP + FP).

    Nothing predicted: 1 if the reference has nothing either, else 0.

    Example:
        >>> detection_precision(Matching((), (1,), ()))
        0.0

    Source: Maier-Hein et al., Nature Methods 21:195 (2024), doi:10.1038/s41592-023-02151-z.
    """
    return _share(matching.true_positive, matching.false_positive, agreed=matching.false_negative == 0)


def detection_recall(matching: Matching) -> float:
    """Share of the reference's instances that were found, TP / (TP + FN); also called sensitivity.

    Nothing to find: 1 if nothing was predicted, else 0.

    Example:
        >>> detection_recall(Matching((), (), ()))
        1.0

    Source: Maier-Hein et al., Nature Methods 21:195 (2024), doi:10.1038/s41592-023-02151-z.
    """
    return _share(matching.true_positive, matching.false_negative, agreed=matching.false_positive == 0)


def detection_f1(matching: Matching) -> float:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); nothing on both sides: 1.

    It is also the recognition quality (RQ) of panoptic quality, when instances were matched by an IoU above 0.5.

    Example:
        >>> from vesalius.metrics.matching import Pair
        >>> detection_f1(Matching((Pair(1, 1, 0.8, 0.0),), (2,), (3,)))
        0.5

    Source: van Rijsbergen, Information Retrieval (1979), ch. 7; Kirillov et al., CVPR 2019.
    """
    return _share(2 * matching.true_positive, matching.false_positive + matching.false_negative, agreed=True)


def segmentation_quality(matching: Matching) -> float:
    """Mean IoU of the pairs, SQ: how well the found instances are drawn.

    No pairs: 1 if there was nothing on either side, else 0.

    Example:
        >>> from vesalius.metrics.matching import Pair
        >>> segmentation_quality(Matching((Pair(1, 1, 0.75, 0.0), Pair(2, 2, 1.0, 0.0)), (), (3,)))
        0.875

    Source: Kirillov et al., Panoptic Segmentation, CVPR 2019, doi:10.1109/CVPR.2019.00963.
    """
    if not matching.pairs:
        return 0.0 if matching.missed or matching.spurious else 1.0
    return sum(pair.iou for pair in matching.pairs) / len(matching.pairs)


def panoptic_quality(matching: Matching) -> float:
    """Panoptic quality: SQ times RQ, the IoU of the pairs summed and divided by TP + FP / 2 + FN / 2.

    Nothing on both sides: 1. It is defined for a matching by IoU above 0.5 (the default of `match_instances`).

    Example:
        >>> from vesalius.metrics.matching import Pair
        >>> panoptic_quality(Matching((Pair(1, 1, 0.8, 0.0),), (2,), (3,)))
        0.4

    Source: Kirillov et al., Panoptic Segmentation, CVPR 2019, doi:10.1109/CVPR.2019.00963, equation 1.
    """
    return segmentation_quality(matching) * detection_f1(matching)


def pooled(matchings: Sequence[Matching]) -> Matching:
    """Several images taken as one: precision, recall and F1 over all instances, as challenges pool them.

    Numbers of instances come from different images then: they count, and name nothing.

    Example:
        >>> both = pooled([Matching((), (1,), ()), Matching((), (), (4, 5))])
        >>> both.false_negative, both.false_positive
        (1, 2)

    Source: "pooled" against "per image" aggregation, Maier-Hein et al. (2024).
    """
    return Matching(
        tuple(pair for one in matchings for pair in one.pairs),
        tuple(number for one in matchings for number in one.missed),
        tuple(number for one in matchings for number in one.spurious),
    )


def _share(right: int, wrong: int, *, agreed: bool) -> float:
    if right + wrong == 0:
        return 1.0 if agreed else 0.0
    return right / (right + wrong)
