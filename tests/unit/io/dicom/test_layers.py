"""Structures that overlap, on one label map."""

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.image import Code, Grid, Label
from vesalius.io.dicom import layers as module
from vesalius.io.dicom.layers import Layer, flatten

GRID = Grid((6, 5), np.eye(3))


@pytest.mark.parametrize("seed", range(40))
def test_every_structure_comes_back_as_it_was_drawn(seed):
    rng = np.random.default_rng(seed)
    drawn, boxes = {}, []
    for value in range(1, 2 + seed % 5):
        start = rng.integers(0, 4, 2)
        mask = rng.random([rng.integers(1, n - s + 1) for n, s in zip(GRID.shape, start, strict=True)]) < 0.6
        whole = np.zeros(GRID.shape, bool)
        whole[start[0] : start[0] + mask.shape[0], start[1] : start[1] + mask.shape[1]] = mask
        drawn[f"s{value}"] = whole
        boxes.append(Layer(Label(f"s{value}", value), tuple(start), mask))
    found = flatten(boxes, GRID)
    assert set(drawn) <= set(found.labels.targets())
    for name, mask in drawn.items():
        np.testing.assert_array_equal(found.binary(name), mask)


def test_without_overlap_nothing_changes():
    labels = [Label("a", 4, (1, 2, 3), Code("SCT", "1", "A")), Label("b", 2), Label("empty", 9)]
    boxes = [
        Layer(labels[0], (0, 0), np.ones((1, 2), bool)),
        Layer(labels[1], (1, 0), np.ones((1, 2), bool)),
        Layer(labels[2], (0, 0), np.zeros((0, 0), bool)),
    ]
    found = flatten(boxes, GRID)
    assert sorted(found.labels.labels, key=lambda one: one.name) == sorted(labels, key=lambda one: one.name)
    assert found.counts() == {0: 26, 2: 2, 4: 2}
    assert not found.labels.regions


def test_a_core_stays_a_label_and_what_holds_it_is_a_region():
    boxes = [
        Layer(Label("tumour", 1, (9, 9, 9)), (0, 0), np.ones((3, 3), bool)),
        Layer(Label("core", 2), (1, 1), np.ones((1, 1), bool)),
        Layer(Label("core again", 3), (1, 1), np.ones((1, 1), bool)),
    ]
    found = flatten(boxes, GRID)
    assert {label.name: label.value for label in found.labels.labels} == {"tumour alone": 1, "core": 2}
    assert {region.name: region.values for region in found.labels.regions} == {"tumour": (1, 2), "core again": (2,)}


def test_names_that_are_taken_get_a_number():
    boxes = [
        Layer(Label("a", 1), (0, 0), np.ones((2, 1), bool)),
        Layer(Label("b", 2), (1, 0), np.ones((2, 1), bool)),
        Layer(Label("a alone", 3), (5, 4), np.ones((1, 1), bool)),
    ]
    assert flatten(boxes, GRID).labels.names == ("a alone (2)", "b alone", "a alone", "a + b")


def test_too_many_combinations_are_an_error(monkeypatch):
    monkeypatch.setattr(module, "_MOST", 2)
    boxes = [Layer(Label(name, n), (n, 0), np.ones((2, 1), bool)) for n, name in enumerate("ab", start=1)]
    with pytest.raises(DataError, match="overlap in more than 2 ways"):
        flatten(boxes, GRID)
