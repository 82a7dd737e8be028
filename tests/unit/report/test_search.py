"""The pictures of a search."""

import math

import numpy as np
import pytest

from vesalius.report.search import search_course, shares

BEST = np.array([0x1F, 0x5F, 0x6B])


def ink(picture: np.ndarray) -> int:
    return int((np.abs(picture.astype(int) - BEST).sum(axis=2) < 10).sum())


def test_only_what_came_to_its_end_counts_for_the_best() -> None:
    """The line of the best is drawn from the first trial that ended on; a pruned one does not raise it."""
    dice = [0.5, 0.9, 0.6]
    whole = search_course(dice, [True, True, True])
    pruned = search_course(dice, [True, False, True])
    none = search_course(dice, [False, False, False])
    assert ink(none) < ink(pruned)
    assert not np.array_equal(whole, pruned)
    assert ink(search_course([math.nan, 0.5], [False, True])) > 0


def test_a_bar_is_as_long_as_its_share() -> None:
    picture = shares({"a": 0.8, "b": 0.2})
    lengths = (np.abs(picture.astype(int) - BEST).sum(axis=2) < 10).sum(axis=1)
    half = len(picture) // 2
    assert lengths[:half].max() == pytest.approx(4 * lengths[half:].max(), rel=0.05)
    assert shares({}).shape[1] == 860
