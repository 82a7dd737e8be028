"""Scores of a matching, from paper."""

import numpy as np
import pytest

from vesalius.metrics.detection import (
    detection_f1,
    detection_precision,
    detection_recall,
    panoptic_quality,
    pooled,
    segmentation_quality,
)
from vesalius.metrics.matching import Matching, Pair, match_instances

SCORES = (detection_precision, detection_recall, detection_f1, segmentation_quality, panoptic_quality)
SOME = Matching((Pair(1, 4, 0.6, 0.0), Pair(3, 1, 0.8, 0.0)), (2,), (2, 3, 5))


def test_from_paper() -> None:
    """Two found, one missed, three made up: precision 2/5, recall 2/3, F1 4/8, SQ 0.7, PQ 1.4 / (2 + 1/2 + 3/2)."""
    assert [score(SOME) for score in SCORES] == pytest.approx([0.4, 2 / 3, 0.5, 0.7, 0.35])


@pytest.mark.parametrize(
    ("matching", "expected"),
    [
        (Matching((), (), ()), [1, 1, 1, 1, 1]),
        (Matching((), (1,), ()), [0, 0, 0, 0, 0]),
        (Matching((), (), (1,)), [0, 0, 0, 0, 0]),
        (Matching((), (1,), (1,)), [0, 0, 0, 0, 0]),
    ],
)
def test_nothing_on_a_side(matching: Matching, expected: list[float]) -> None:
    assert [score(matching) for score in SCORES] == expected


def test_panoptic_quality_is_what_the_paper_sums() -> None:
    rng = np.random.default_rng(4)
    reference = np.kron(rng.permutation(64).reshape(8, 8), np.ones((4, 4), int))
    prediction = np.where(rng.random(reference.shape) < 0.85, reference, 0)
    matching = match_instances(prediction, reference)
    halves = (matching.false_positive + matching.false_negative) / 2
    assert panoptic_quality(matching) == pytest.approx(
        sum(pair.iou for pair in matching.pairs) / (matching.true_positive + halves)
    )


def test_pooled_counts_are_sums() -> None:
    both = pooled([SOME, Matching((), (7,), ()), SOME])
    assert (both.true_positive, both.false_negative, both.false_positive) == (4, 3, 6)
