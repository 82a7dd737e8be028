"""Areas under curves: from paper, and equal to scikit-learn's."""

import math

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.metrics.discrimination import aupr, average_precision, mean_aupr, roc_auc


def test_average_precision_by_hand() -> None:
    """Hits at ranks 1, 3 and 6 of 6, of 4 to be found: precision 1, 2/3, 1/2 at recall 1/4, 2/4, 3/4."""
    hits, sure = np.array([1, 0, 1, 0, 0, 1]), np.arange(6, 0, -1) / 10
    assert average_precision(hits, sure, total=4) == pytest.approx((1 + 2 / 3 + 1 / 2) / 4)
    # The best precision at a recall or above is the same here; at recalls 0, .1, .2 it is 1; to .5 2/3; to .7 1/2.
    assert average_precision(hits, sure, total=4, interpolation="all-point") == pytest.approx((1 + 2 / 3 + 1 / 2) / 4)
    eleven = average_precision(hits, sure, total=4, interpolation="11-point")
    assert eleven == pytest.approx((3 * 1 + 3 * 2 / 3 + 2 * 1 / 2) / 11)


def test_all_point_takes_the_best_precision_to_come() -> None:
    """Precision 0, 1/2, 2/3: at the first hit (recall 1/2) the best to come is 2/3."""
    hits, sure = np.array([0, 1, 1]), np.array([3.0, 2.0, 1.0])
    assert average_precision(hits, sure) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert average_precision(hits, sure, interpolation="all-point") == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(4))
def test_scikit_learn(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    yes = rng.random((40, 20)) < 0.2
    sure = np.round(rng.random(yes.shape) + 0.5 * yes, 1)  # many ties
    assert roc_auc(yes, sure) == pytest.approx(metrics.roc_auc_score(yes.ravel(), sure.ravel()))
    assert average_precision(yes, sure) == pytest.approx(metrics.average_precision_score(yes.ravel(), sure.ravel()))
    precision, recall, _ = metrics.precision_recall_curve(yes.ravel(), (sure / 2).ravel())
    # scikit-learn ends at precision 1; ours holds the first point's: the same but for the triangle at recall 0.
    rest = np.trapezoid(precision[-2::-1], recall[-2::-1]) + recall[-2] * precision[-2]
    assert aupr(yes, sure / 2, thresholds=None) == pytest.approx(rest)


def test_aupr_by_hand_at_three_thresholds() -> None:
    """Thresholds 0, 1/2, 1. At 1: nothing. At 1/2: two marked, one right: recall 1/2, precision 1/2. At 0: all four
    marked, two right: recall 1, precision 1/2. Area: 1/2 * 1/2 + 1/2 * 1/2."""
    yes, said = np.array([1, 0, 1, 0]), np.array([0.9, 0.6, 0.2, 0.1])
    assert aupr(yes, said, thresholds=3) == pytest.approx(0.5)


def test_a_value_at_a_threshold_is_marked_by_it() -> None:
    assert aupr(np.array([1, 0]), np.array([0.5, 0.49]), thresholds=3) == 1


def test_images_are_pooled() -> None:
    rng = np.random.default_rng(0)
    yes, said = rng.random((3, 8, 8)) < 0.3, rng.random((3, 8, 8))
    assert aupr(list(yes), list(said)) == pytest.approx(aupr(yes.reshape(-1), said.reshape(-1)))


def test_nothing_to_tell_apart() -> None:
    none, sure = np.zeros(4), np.linspace(0, 1, 4)
    assert math.isnan(roc_auc(none, sure))
    assert math.isnan(roc_auc(none + 1, sure))
    assert math.isnan(average_precision(none, sure))
    assert math.isnan(aupr(none, sure))
    assert average_precision(none, sure, total=3) == 0
    assert average_precision(np.zeros(0), np.zeros(0), total=3, interpolation="11-point") == 0
    assert roc_auc(np.array([1, 0, 1, 0]), np.ones(4)) == 0.5
    assert math.isnan(mean_aupr({"a": math.nan}))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: roc_auc(np.ones(3), np.ones(2)), GeometryError, "shapes differ"),
        (lambda: roc_auc(np.ones(2), np.array([1, np.nan])), DataError, "finite"),
        (lambda: average_precision(np.ones(2), np.ones(2), total=1), DataError, "at least the 2 hits"),
        (lambda: average_precision(np.ones(2), np.ones(2), interpolation="voc"), DataError, "unknown interpolation"),
        (lambda: aupr(np.ones(2), np.array([0.5, 1.5])), DataError, "0 to 1"),
        (lambda: aupr(np.ones(2), np.ones(2), thresholds=1), DataError, "2 or more"),
        (lambda: aupr([np.ones(2)], [np.ones(2), np.ones(2)]), GeometryError, "one each"),
    ],
)
def test_what_cannot_be_scored(call, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
