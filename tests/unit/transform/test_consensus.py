"""The consensus of readers: who is right, who is weighed how, and what cannot be joined."""

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.transform.consensus import majority, staple

GRID = Grid.from_spacing((20, 20), (1.0, 1.0))
LABELS = Labels.of({"a": 1, "b": 2})


def reading(array: np.ndarray, labels: Labels = LABELS) -> LabelMap:
    return LabelMap(array.astype(np.uint8), GRID, labels)


def drawn(seed: int, errors: tuple[float, ...]) -> tuple[np.ndarray, list[LabelMap]]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, GRID.shape)
    wrong = [(truth + rng.integers(1, 3, truth.shape)) % 3 for _ in errors]
    return truth, [
        reading(np.where(rng.random(truth.shape) < share, bad, truth)) for share, bad in zip(errors, wrong, strict=True)
    ]


def test_readers_who_agree_are_the_consensus() -> None:
    truth, readings = drawn(1, (0.0, 0.0))
    found = staple(readings)
    assert np.array_equal(found.consensus.array, truth)
    assert found.values == (0, 1, 2)
    assert found.converged
    np.testing.assert_allclose(found.performance, np.stack([np.eye(3)] * 2), atol=1e-3)


def test_two_good_readers_outweigh_three_bad_ones() -> None:
    """A vote follows the many; STAPLE learns who errs, and how often."""
    truth, readings = drawn(2, (0.02, 0.03, 0.6, 0.6, 0.6))
    found = staple(readings)
    votes = np.stack([(np.stack([r.array for r in readings]) == c).sum(axis=0) for c in range(3)]).argmax(axis=0)
    assert (found.consensus.array == truth).mean() > 0.97 > (votes == truth).mean() + 0.05
    right = [float(np.trace(one) / 3) for one in found.performance]
    assert right == pytest.approx([0.98, 0.97, 0.4, 0.4, 0.4], abs=0.06)


def test_columns_are_distributions_and_probabilities_too() -> None:
    found = staple(drawn(3, (0.1, 0.2, 0.3))[1])
    np.testing.assert_allclose(found.performance.sum(axis=1), 1)
    np.testing.assert_allclose(found.probability.sum(axis=0), 1, atol=1e-5)
    assert found.probability.shape == (3, *GRID.shape)
    assert np.array_equal(found.probability.argmax(axis=0), found.consensus.array)


def test_labels_that_only_one_reader_declares() -> None:
    one, other = np.zeros(GRID.shape), np.zeros(GRID.shape)
    one[:10], other[:10], other[15:] = 1, 1, 7
    found = staple([reading(one), reading(other, Labels.of({"a": 1, "c": 7})), reading(one)])
    assert found.values == (0, 1, 7)
    assert {label.name for label in found.consensus.labels.labels} == {"a", "b", "c"}


def test_ignored_counts_as_background() -> None:
    array = np.zeros(GRID.shape)
    array[:5], array[15:] = 1, 255
    labels = Labels.of({"a": 1}, ignore=255)
    found = staple([reading(array, labels), reading(array, labels)])
    assert found.values == (0, 1)
    assert not found.consensus.array[15:].any()


def test_nothing_drawn() -> None:
    found = staple([reading(np.zeros(GRID.shape))] * 3)
    assert found.values == (0,)
    assert not found.consensus.array.any()


def test_it_says_when_it_has_not_come_to_rest() -> None:
    readings = drawn(4, (0.3, 0.3, 0.4))[1]
    assert not staple(readings, most_iterations=1).converged
    assert staple(readings, most_iterations=1).iterations == 1


def test_many_patterns_are_the_same_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patterns are counted in a table or, where there are too many, sorted."""
    readings = drawn(5, (0.1, 0.2, 0.3))[1]
    few = staple(readings)
    monkeypatch.setattr("vesalius.transform.consensus._FEW", 0)
    many = staple(readings)
    assert np.array_equal(few.consensus.array, many.consensus.array)
    np.testing.assert_array_equal(few.performance, many.performance)


def test_what_cannot_be_joined() -> None:
    one = reading(np.zeros(GRID.shape))
    other = LabelMap(np.zeros((4, 4), np.uint8), Grid.from_spacing((4, 4), (1.0, 1.0)), LABELS)
    with pytest.raises(DataError, match="two readings or more"):
        staple([one])
    with pytest.raises(GeometryError, match="reading 1 lies on another grid"):
        staple([one, other])
    with pytest.raises(DataError, match="at least 1"):
        staple([one, one], most_iterations=0)
    with pytest.raises(DataError, match="label 5 is not one of"):
        staple([one, one]).sensitivity(5)
    some = reading(np.eye(20))
    with pytest.raises(DataError, match="too many patterns"):
        staple([some] * 62)


def test_a_majority_counts_votes_by_value_and_the_background_wins_a_tie() -> None:
    rows = ([0, 1, 1, 2, 2], [0, 1, 2, 2, 0], [0, 2, 0, 2, 2], [0, 1, 1, 1, 0])
    readings = [reading(np.tile(np.array(row), (20, 4))) for row in rows]
    assert majority(readings).array[0, :5].tolist() == [0, 1, 1, 2, 0]


def test_voxels_to_ignore_vote_for_the_background() -> None:
    unsure = Labels.of({"a": 1}, ignore=9)
    readings = [reading(np.full(GRID.shape, v), unsure) for v in (9, 9, 1)]
    assert not majority(readings).array.any()


def test_a_majority_needs_readings_on_one_grid() -> None:
    other = LabelMap(np.zeros((3, 3), np.uint8), Grid.from_spacing((3, 3), (1.0, 1.0)), LABELS)
    with pytest.raises(DataError, match="needs a reading"):
        majority([])
    with pytest.raises(GeometryError, match="reading 1"):
        majority([reading(np.zeros(GRID.shape)), other])
