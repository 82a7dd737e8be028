import numpy as np
import pytest
from scipy import ndimage

from vesalius.metrics import confusion as module
from vesalius.metrics.confusion import confusion


def table_by_hand(reference, prediction, classes):
    return np.array([[((reference == r) & (prediction == p)).sum() for p in range(classes)] for r in range(classes)])


@pytest.mark.parametrize("shape", [(7,), (9, 1), (40, 30), (20, 13, 11), (3, 4, 5, 6)])
@pytest.mark.parametrize("voxels", [8, 1 << 19])
def test_counts_and_boxes_of_noise(rng, monkeypatch, shape, voxels):
    monkeypatch.setattr(module, "_VOXELS", voxels)  # one slab or many
    reference = rng.integers(0, 4, shape).astype(np.uint8)
    prediction = rng.integers(0, 4, shape).astype(np.uint16)
    prediction[prediction == 2] = 0
    found = confusion(reference, prediction, 5, threads=2)
    np.testing.assert_array_equal(found.table, table_by_hand(reference, prediction, 5))
    assert list(found.reference_boxes[1:]) == ndimage.find_objects(reference, 4)
    assert list(found.prediction_boxes[1:]) == ndimage.find_objects(prediction, 4)
    assert found.box(4) is None
    assert found.box(2) == ndimage.find_objects(reference, 4)[1]


def test_box_of_several_classes():
    reference, prediction = np.zeros((2, 9, 9), np.uint8)
    reference[1:3, 4], prediction[6, 2:4] = 1, 2
    found = confusion(reference, prediction, 3)
    assert found.box(1) == (slice(1, 3), slice(4, 5))
    assert found.box(1, 2) == (slice(1, 7), slice(2, 5))


def test_runs_do_not_leave_their_row():
    # One run in memory from the end of a row to the start of the next: it is at both ends of the last axis.
    labels = np.zeros((2, 6), np.uint8)
    labels[0, 5] = labels[1, 0] = 1
    assert confusion(labels, labels, 2).reference_boxes[1] == (slice(0, 2), slice(0, 6))


def test_many_classes_are_counted_where_they_are(rng):
    reference, prediction = rng.integers(0, 300, (2, 20, 30)).astype(np.uint16)
    found = confusion(reference, prediction, 300)
    expected = np.zeros((300, 300), int)
    np.add.at(expected, (reference.ravel(), prediction.ravel()), 1)
    np.testing.assert_array_equal(found.table, expected)


def test_small_types_do_not_overflow():
    labels = np.full(5, 255, np.uint8)
    table = confusion(labels, labels, 256).table
    assert table[255, 255] == table.sum() == 5


def test_memory_order_does_not_matter(rng):
    reference, prediction = rng.integers(0, 3, (2, 8, 9, 10)).astype(np.uint8)
    found = confusion(np.asfortranarray(reference), prediction[:, ::-1][:, ::-1], 3)
    np.testing.assert_array_equal(found.table, table_by_hand(reference, prediction, 3))


def test_nothing():
    empty = np.zeros((0, 0, 0), np.uint8)
    found = confusion(empty, empty, 2)
    np.testing.assert_array_equal(found.table, np.zeros((2, 2)))
    assert found.box(0, 1) is None
