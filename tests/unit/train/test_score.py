import numpy as np
import pytest

from vesalius.image import Grid, LabelMap, Labels
from vesalius.train.score import mean_scores, score

GRID = Grid.from_spacing((2, 4), (1.0, 1.0))


def drawn(labels: Labels, *values: int) -> LabelMap:
    return LabelMap(np.array([values, [0] * 4], np.uint8), GRID, labels)


def test_labels_are_compared_by_name() -> None:
    prediction = drawn(Labels.of({"liver": 1, "spleen": 2}), 1, 1, 2, 0)
    reference = drawn(Labels.of({"liver": 6, "spleen": 1}), 6, 0, 1, 0)
    values = score(prediction, reference, case="a").values
    assert values["liver"]["dice"] == pytest.approx(2 / 3)
    assert values["spleen"]["dice"] == 1


def test_what_nobody_drew_is_not_scored() -> None:
    prediction = drawn(Labels.of({"kept": 1, "new": 2}), 1, 1, 2, 0)
    scores = [score(prediction, drawn(Labels.of({"new": 1}), 0, 0, 1, 0), case="a")]
    assert mean_scores(scores, Labels.of({"new": 1})) == {"new": 1.0, "mean": 1.0}


def test_regions_are_scored_and_have_no_part_in_the_mean() -> None:
    labels = Labels.of({"a": 1, "b": 2}, regions={"both": (1, 2)})
    found = mean_scores([score(drawn(labels, 1, 1, 0, 0), drawn(labels, 1, 2, 0, 0), case="x")], labels)
    assert found == {"a": 0.6667, "b": 0.0, "both": 1.0, "mean": 0.3333}


def test_no_cases_have_no_means() -> None:
    assert mean_scores([], Labels.of({"a": 1})) == {}
