import numpy as np

from vesalius.image import Grid, LabelMap, Labels
from vesalius.transform import relabel

GRID = Grid.from_spacing((1, 4), (1.0, 1.0))


def said(labels: Labels, *values: int) -> LabelMap:
    return LabelMap(np.array([values], np.uint8), GRID, labels)


def test_names_keep_their_meaning_and_get_other_values() -> None:
    found = said(Labels.of({"liver": 1, "spleen": 2}), 0, 1, 2, 2)
    moved = relabel(found, Labels.of({"spleen": 1, "liver": 300}))
    assert moved.array.tolist() == [[0, 300, 1, 1]]
    assert moved.labels.names == ("spleen", "liver")
    assert moved.grid == GRID


def test_what_has_no_name_there_becomes_background() -> None:
    assert relabel(said(Labels.of({"a": 1, "b": 2}), 0, 1, 2, 2), Labels.of({"b": 1})).array.tolist() == [[0, 0, 1, 1]]


def test_labels_without_a_name_are_known_by_their_value() -> None:
    found = said(Labels.of({"a": 1, "b": 2}), 0, 1, 2, 2)
    assert relabel(found, Labels.of([2, 1])).array.tolist() == [[0, 1, 2, 2]]


def test_what_nobody_looked_at_stays_so_where_there_is_a_word_for_it() -> None:
    found = said(Labels.of({"a": 1}, ignore=9), 0, 1, 9, 9)
    assert relabel(found, Labels.of({"a": 2}, ignore=7)).array.tolist() == [[0, 2, 7, 7]]
    assert relabel(found, Labels.of({"a": 2})).array.tolist() == [[0, 2, 0, 0]]
