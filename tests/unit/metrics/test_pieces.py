"""Metrics of the pieces of a mask."""

import numpy as np
import pytest

from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics import evaluate
from vesalius.metrics.pieces import panoptic_quality, piece_f1, piece_precision, piece_recall

EVERY = (panoptic_quality, piece_recall, piece_precision, piece_f1)


def row(text):
    return np.array([[letter == "x" for letter in text]])


@pytest.mark.parametrize(
    ("reference", "prediction", "value"), [("...", "...", 1), ("x..", "...", 0), ("...", "x..", 0)]
)
def test_empty_masks(reference, prediction, value):
    assert [metric(row(reference), row(prediction)) for metric in EVERY] == [value] * 4


def test_a_case_by_hand():
    # Pairs by IoU above a half: the first (1), the second (2/3); the third's IoU is 1/3. One is made up.
    reference, prediction = row("xx..xxx..xxx...."), row("xx..xx...x....x.")
    assert panoptic_quality(reference, prediction) == pytest.approx((1 + 2 / 3) / (2 + 2 / 2 + 1 / 2))
    # By any overlap all three are found, and three of four pieces are right.
    assert piece_recall(reference, prediction) == 1
    assert piece_precision(reference, prediction) == 3 / 4
    assert piece_f1(reference, prediction) == pytest.approx(6 / 7)


def test_a_piece_finds_one_lesion_only():
    assert piece_recall(row("xx..xx"), row("xxxxxx")) == 0.5
    assert piece_precision(row("xxxxxx"), row("xx..xx")) == 0.5


def test_pieces_touch_by_corners():
    assert piece_recall(np.eye(4, dtype=bool), np.eye(4, dtype=bool)[:, ::1]) == 1
    assert panoptic_quality(np.eye(4, dtype=bool), np.eye(4, dtype=bool)) == 1


def test_evaluate_takes_them_by_name():
    grid, labels = Grid.from_spacing((6, 16), (0.5, 2.0)), Labels.of({"lesion": 3})
    drawn, said = np.zeros((2, 6, 16), np.uint8)
    drawn[1:3, 1:4] = drawn[1:3, 8:10] = said[1:3, 1:4] = 3
    found = evaluate(
        LabelMap(said, grid, labels),
        LabelMap(drawn, grid, labels),
        metrics=("panoptic_quality", "piece_recall", "piece_precision", "piece_f1"),
    )
    assert found.values["lesion"] == {
        "panoptic_quality": pytest.approx(1 / 1.5),
        "piece_recall": 0.5,
        "piece_precision": 1.0,
        "piece_f1": pytest.approx(2 / 3),
    }
