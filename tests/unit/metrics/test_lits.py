"""The scores of LiTS on lesions that can be counted by hand."""

import math

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics.lits import LitsCase, count_lesions, lits_case, pool_lits, tumour_burden

LABELS = Labels.of({"liver": 1, "tumour": 2})
GRID = Grid.from_spacing((40, 12, 6), (1.0, 1.0, 5.0))


def boxes(*ends: tuple[int, int], high: int = 8) -> np.ndarray:
    array = np.zeros(GRID.shape, bool)
    for low, stop in ends:
        array[low:stop, 4:high, 2:4] = True
    return array


def test_found_missed_and_made_up() -> None:
    assert count_lesions(boxes((2, 6), (30, 34)), boxes((2, 6), (16, 20))) == (1, 1, 1)


def test_the_limit_is_passed_and_not_met() -> None:
    """Four of six rows: IoU 2/3; three of six: 1/2, which is not above it."""
    assert count_lesions(boxes((2, 6)), boxes((2, 8))) == (1, 0, 0)
    assert count_lesions(boxes((2, 5)), boxes((2, 8))) == (0, 1, 1)
    assert count_lesions(boxes((2, 5)), boxes((2, 8)), least_iou=0.0) == (1, 0, 0)


def test_pieces_two_voxels_apart_in_a_slice_are_one_lesion_of_the_reference() -> None:
    """Dilated by one voxel they meet; between slices nothing is dilated."""
    assert count_lesions(boxes(), boxes((2, 6), (8, 12))) == (0, 1, 0)
    assert count_lesions(boxes(), boxes((2, 6), (9, 13))) == (0, 2, 0)
    above = boxes((2, 6))
    above[2:6, 4:8, 5] = True
    assert count_lesions(boxes(), above) == (0, 2, 0)
    assert count_lesions(boxes((2, 6), (8, 12)), boxes()) == (0, 0, 2)


def test_a_merged_pair_is_found_with_both() -> None:
    """One piece over two lesions and the 4 rows between: 8 of 12 rows, IoU 2/3."""
    assert count_lesions(boxes((2, 14)), boxes((2, 6), (10, 14))) == (2, 0, 0)


def test_a_split_lesion_is_found_once() -> None:
    """Two pieces of 4 rows in a lesion of 10: IoU 8/10, and neither piece is made up."""
    assert count_lesions(boxes((2, 6), (8, 12)), boxes((2, 12))) == (1, 0, 0)


def test_masks_that_do_not_fit() -> None:
    with pytest.raises(GeometryError, match="one shape"):
        count_lesions(boxes(), boxes()[:-1])
    with pytest.raises(DataError, match="least_iou"):
        count_lesions(boxes(), boxes(), least_iou=1.0)


def liver(*tumours: tuple[int, int]) -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    array[1:39, 2:10, 1:5] = 1
    array[boxes(*tumours)] = 2
    return LabelMap(array, GRID, LABELS)


def test_a_case_by_hand() -> None:
    """The liver has 38 · 8 · 4 = 1216 voxels, a lesion 4 · 4 · 2 = 32."""
    found = lits_case(liver((2, 6)), liver((2, 6), (16, 20)), case="a")
    assert (found.liver_dice, found.tumour_dice) == (1, pytest.approx(2 * 32 / (32 + 64)))
    assert (found.found, found.missed, found.spurious) == (1, 1, 0)
    assert found.burden_reference == pytest.approx(64 / 1216)
    assert found.burden_prediction == pytest.approx(32 / 1216)


def test_the_set_by_hand() -> None:
    """Per case is a mean of ratios, global a ratio of sums."""
    cases = [
        LitsCase("a", (90, 100, 100), (10, 20, 20), 2, 1, 0, 0.2, 0.1),
        LitsCase("b", (100, 100, 100), (0, 0, 0), 0, 0, 1, 0.0, 0.0),
        LitsCase("c", (0, 100, 0), (0, 20, 0), 0, 1, 0, 0.2, math.nan),
    ]
    found = pool_lits(cases)
    assert found["liver Dice per case"] == pytest.approx((0.9 + 1 + 0) / 3)
    assert found["liver Dice global"] == pytest.approx(2 * 190 / (300 + 200))
    assert found["tumour Dice per case"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert found["tumour Dice global"] == pytest.approx(2 * 10 / (40 + 20))
    assert found["lesion recall"] == pytest.approx(2 / 4)
    assert found["lesion precision"] == pytest.approx(2 / 3)
    assert found["tumour burden RMSE"] == pytest.approx(math.sqrt((0.1**2 + 0 + 0.2**2) / 3))
    assert found["tumour burden largest error"] == pytest.approx(0.2)
    with pytest.raises(DataError, match="no cases"):
        pool_lits([])


def test_no_liver_has_no_burden() -> None:
    assert math.isnan(tumour_burden(LabelMap(np.zeros(GRID.shape, np.uint8), GRID, LABELS)))
