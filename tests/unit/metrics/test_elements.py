import numpy as np
import pytest

from vesalius.metrics import elements as module
from vesalius.metrics.elements import find_elements
from vesalius.metrics.surfels import neighbour_codes


def codes_of(found, label):
    """The neighbour codes of a class as an array of all corners."""
    codes = np.zeros(found.shape, np.uint8)
    at, code = found.of(label)
    assert len(set(at.tolist())) == at.size
    codes.reshape(-1)[at] = code
    return codes


def codes_by_hand(mask, shape):
    codes = neighbour_codes(np.pad(mask.astype(np.uint8), 1))
    codes[codes == (15 if mask.ndim == 2 else 255)] = 0  # inside
    expected = np.zeros(shape, np.uint8)
    expected[tuple(slice(0, n) for n in codes.shape)] = codes
    return expected


@pytest.mark.parametrize("shape", [(1, 1), (9, 13), (1, 1, 1), (11, 6, 9)])
@pytest.mark.parametrize("voxels", [64, 1 << 20])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_class_as_if_it_were_alone(rng, monkeypatch, shape, voxels, dtype):
    monkeypatch.setattr(module, "_VOXELS", voxels)  # one slab or many
    labels = rng.integers(0, 5, shape).astype(dtype)
    found = find_elements(labels, 5, threads=2)
    for label in range(1, 5):
        np.testing.assert_array_equal(codes_of(found, label), codes_by_hand(labels == label, found.shape))


def test_a_box_is_closed_at_its_edge(rng):
    labels = rng.integers(0, 3, (8, 9, 7)).astype(np.uint8)
    box = np.s_[2:7, 1:5, 3:6]
    found = find_elements(labels, 3, box=box)
    np.testing.assert_array_equal(codes_of(found, 2), codes_by_hand(labels[box] == 2, found.shape))


def test_only_what_is_wanted_is_kept(rng):
    labels = rng.integers(0, 4, (9, 9)).astype(np.uint8)
    found = find_elements(labels, 4, wanted=(3,))
    assert found.of(1)[0].size == found.of(0)[0].size == 0
    np.testing.assert_array_equal(codes_of(found, 3), codes_by_hand(labels == 3, found.shape))


def test_corners_that_touch_ignored_voxels_are_left_out():
    labels = np.zeros((6, 6), np.uint8)
    labels[1:5, 1:3], labels[:, 4:] = 1, 2
    labels[1, 3] = 1
    found = find_elements(labels, 3, wanted=(1,), ignored=2)
    expected = codes_by_hand(labels == 1, found.shape)
    expected[:, 4:] = 0
    np.testing.assert_array_equal(codes_of(found, 1), expected)


def test_a_stretch_of_slabs(monkeypatch):
    monkeypatch.setattr(module, "_VOXELS", 1)
    found = find_elements(np.ones((4, 3), np.uint8), 2)
    assert found.rows == 1
    assert sorted(found.of(1, 1, 2)[0].tolist()) == [5, 8]  # the row between the first two of voxels: its ends
    assert sorted(found.of(1, -3, 1)[0].tolist()) == [0, 1, 2, 3]
    assert found.of(1, 5)[0].size == 0


def test_nothing():
    assert find_elements(np.zeros((0, 3), np.uint8), 2).of(1)[0].size == 0
    assert find_elements(np.zeros((4, 3), np.uint8), 2).of(1)[0].size == 0
