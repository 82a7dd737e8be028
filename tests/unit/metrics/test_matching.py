"""Pairs of instances: each criterion, both assignments, and what is alone."""

import math

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid
from vesalius.metrics.matching import match_instances


def line(text: str) -> np.ndarray:
    """Instances on a line: one digit a voxel."""
    return np.array([[int(c) for c in text]])


def found(matching) -> tuple[list[tuple[int, int]], tuple[int, ...], tuple[int, ...]]:
    return [(pair.reference, pair.prediction) for pair in matching.pairs], matching.missed, matching.spurious


def test_iou_must_be_above_the_threshold() -> None:
    reference, prediction = line("1110222200"), line("0111022220")  # 2 of 4 voxels, 3 of 5
    assert found(match_instances(prediction, reference)) == ([(2, 2)], (1,), (1,))
    low = match_instances(prediction, reference, threshold=0.49)
    assert found(low) == ([(1, 1), (2, 2)], (), ())
    assert [pair.iou for pair in low.pairs] == [0.5, 0.6]
    assert math.isnan(low.pairs[0].distance_mm)


def test_counts() -> None:
    matching = match_instances(line("1100340"), line("1100002"))
    assert (matching.true_positive, matching.false_negative, matching.false_positive) == (1, 1, 2)


def test_any_shared_voxel() -> None:
    reference, prediction = line("111111110000"), line("000000011122")
    assert found(match_instances(prediction, reference, criterion="overlap")) == ([(1, 1)], (), (2,))


def test_centres_are_measured_in_millimetres() -> None:
    reference, prediction = line("1100000").T, line("0011000").T  # two voxels apart, along an axis of 3 mm
    grid = Grid.from_spacing(reference.shape, (3.0, 1.0))
    near = match_instances(prediction, reference, grid=grid, criterion="centre_mm", threshold=6.0)
    assert found(near) == ([(1, 1)], (), ())
    assert near.pairs[0].distance_mm == pytest.approx(6.0)
    assert near.pairs[0].iou == 0
    far = match_instances(prediction, reference, grid=grid, criterion="centre_mm", threshold=5.9)
    assert found(far) == ([], (1,), (1,))


def test_greedy_takes_the_best_first_and_optimal_the_most() -> None:
    """1 has 3 voxels of 7 and one of 5; 2 has one of 7: greedy gives 7 to 1, and 2 and 5 go alone."""
    reference, prediction = line("111112222"), line("057777000")
    greedy = match_instances(prediction, reference, threshold=0.0)
    optimal = match_instances(prediction, reference, threshold=0.0, assignment="optimal")
    assert found(greedy) == ([(1, 7)], (2,), (5,))
    assert found(optimal) == ([(1, 5), (2, 7)], (), ())


@pytest.mark.parametrize("seed", range(5))
def test_optimal_beats_every_other_choice(seed: int) -> None:
    """All assignments of up to four instances are tried."""
    from itertools import permutations

    rng = np.random.default_rng(seed)
    reference, prediction = rng.integers(0, 5, (2, 6, 6))
    chosen = match_instances(prediction, reference, threshold=0.05, assignment="optimal")
    iou = {
        (r, p): ((reference == r) & (prediction == p)).sum() / ((reference == r) | (prediction == p)).sum()
        for r in range(1, 5)
        for p in range(1, 5)
    }
    tried = [
        [iou[pair] for pair in zip(range(1, 5), order, strict=True) if iou[pair] > 0.05]
        for order in permutations(range(1, 5))
    ]
    best = max((len(values), sum(values)) for values in tried)
    assert len(chosen.pairs) == best[0]
    assert sum(pair.iou for pair in chosen.pairs) == pytest.approx(best[1])


def test_above_one_half_both_assignments_agree(rng: np.random.Generator) -> None:
    reference = np.kron(np.arange(1, 101).reshape(10, 10), np.ones((5, 5), int))
    prediction = np.roll(reference, 1, 0)[:, rng.permutation(50)]
    both = [match_instances(prediction, reference, assignment=name) for name in ("greedy", "optimal")]
    assert both[0] == both[1]


def test_empty_and_thousands() -> None:
    nothing, one = line("0000"), line("0110")
    assert found(match_instances(nothing, nothing)) == ([], (), ())
    assert found(match_instances(nothing, one)) == ([], (1,), ())
    grid = Grid.from_spacing(one.shape, (1.0, 1.0))
    for criterion in ("iou", "centre_mm", "overlap"):
        alone = match_instances(one, nothing, grid=grid, criterion=criterion, assignment="optimal")
        assert found(alone) == ([], (), (1,))
    many = np.zeros((200, 200), np.int32)
    many[::2, ::2] = np.arange(1, 10_001).reshape(100, 100)
    assert match_instances(many, many, assignment="optimal").true_positive == 10_000


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"criterion": "dice"}, DataError, "unknown criterion"),
        ({"assignment": "best"}, DataError, "unknown assignment"),
        ({"threshold": 1.0}, DataError, "0 to below 1"),
        ({"criterion": "centre_mm"}, GeometryError, "give the grid"),
        ({"grid": Grid.from_spacing((2, 2), (1.0, 1.0))}, GeometryError, "not that of the instances"),
        ({"prediction": line("000")}, GeometryError, "one grid"),
        ({"prediction": -line("0110")}, DataError, "negative"),
    ],
)
def test_what_cannot_be_matched(how: dict, error: type, words: str) -> None:
    given = {"prediction": line("0110"), "reference": line("0110")} | how
    with pytest.raises(error, match=words):
        match_instances(given.pop("prediction"), given.pop("reference"), **given)
