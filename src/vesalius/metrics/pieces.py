"""How well the pieces of a mask are found, lesion by lesion or nucleus by nucleus: for `vesalius.metrics.evaluate`.

A piece is what hangs together by faces, edges or corners. The functions take what all metrics of masks take; instances
that a data set numbers itself go to `vesalius.metrics.matching` directly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.metrics import detection
from vesalius.metrics.matching import Criterion, Matching, match_instances
from vesalius.transform import label_components

Mask = NDArray[np.bool_]
Step = NDArray[np.float64]


def panoptic_quality(reference: Mask, prediction: Mask, *, step: Step | None = None) -> float:  # noqa: ARG001
    """Panoptic quality of the pieces: those that overlap by an IoU above 0.5 are pairs.

    Both empty: 1; one empty: 0.

    Args:
        reference: The mask, 2D or 3D.
        prediction: The other mask, of the same shape.
        step: Not used; there because all metrics of masks are called alike.

    Returns:
        0 … 1.

    Example:
        >>> drawn, said = np.array([[1, 1, 0, 1, 1, 1]], bool), np.array([[1, 1, 0, 0, 1, 1]], bool)
        >>> round(panoptic_quality(drawn, said), 3)
        0.833

    Source: Kirillov et al., Panoptic Segmentation, CVPR 2019, doi:10.1109/CVPR.2019.00963.
    """
    return detection.panoptic_quality(_matched(reference, prediction, "iou"))


def piece_recall(reference: Mask, prediction: Mask, *, step: Step | None = None) -> float:  # noqa: ARG001
    """Share of the reference's pieces that the prediction touches, each by a piece of its own.

    Both empty: 1; nothing drawn but something said: 0, and nothing said but something drawn: 0.

    Args:
        reference: The mask, 2D or 3D.
        prediction: The other mask, of the same shape.
        step: Not used.

    Returns:
        0 … 1.

    Example:
        >>> piece_recall(np.array([[1, 0, 1, 0, 1]], bool), np.array([[1, 0, 0, 0, 1]], bool))
        0.6666666666666666

    Source: Maier-Hein et al., Nature Methods 21:195 (2024), doi:10.1038/s41592-023-02151-z (sensitivity of detection).
    """
    return detection.detection_recall(_matched(reference, prediction, "overlap"))


def piece_precision(reference: Mask, prediction: Mask, *, step: Step | None = None) -> float:  # noqa: ARG001
    """Share of the predicted pieces that touch the reference, each a piece of its own.

    Both empty: 1; one empty: 0.

    Args:
        reference: The mask, 2D or 3D.
        prediction: The other mask, of the same shape.
        step: Not used.

    Returns:
        0 … 1.

    Example:
        >>> piece_precision(np.array([[1, 0, 0, 0, 1]], bool), np.array([[1, 0, 1, 0, 1]], bool))
        0.6666666666666666

    Source: Maier-Hein et al., Nature Methods 21:195 (2024), doi:10.1038/s41592-023-02151-z.
    """
    return detection.detection_precision(_matched(reference, prediction, "overlap"))


def piece_f1(reference: Mask, prediction: Mask, *, step: Step | None = None) -> float:  # noqa: ARG001
    """Harmonic mean of the share of pieces that were found and the share that are right.

    Both empty: 1; one empty: 0.

    Args:
        reference: The mask, 2D or 3D.
        prediction: The other mask, of the same shape.
        step: Not used.

    Returns:
        0 … 1.

    Example:
        >>> piece_f1(np.array([[1, 0, 1, 0, 1]], bool), np.array([[1, 0, 0, 0, 1]], bool))
        0.8

    Source: Maier-Hein et al., Nature Methods 21:195 (2024), doi:10.1038/s41592-023-02151-z.
    """
    return detection.detection_f1(_matched(reference, prediction, "overlap"))


def _matched(reference: Mask, prediction: Mask, criterion: Criterion) -> Matching:
    (drawn, _), (said, _) = (label_components(mask) for mask in (reference, prediction))
    return match_instances(said, drawn, criterion=criterion, assignment="optimal")
