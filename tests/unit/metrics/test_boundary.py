import numpy as np
import pytest

from vesalius.metrics.boundary import boundary_iou


def square(first, stop, n=20):
    mask = np.zeros((n, n), bool)
    mask[first:stop, first:stop] = True
    return mask


def test_wide_rims_are_the_masks():
    one, other = square(3, 9), square(5, 11)
    union = 36 + 36 - 16
    assert boundary_iou(one, other, step=np.eye(2), width_mm=10.0) == pytest.approx(16 / union)


def test_rim_of_one_voxel():
    # A ring of 5x5 around 3x3, against one of 7x7 around 5x5: they share nothing.
    assert boundary_iou(square(5, 10), square(4, 11), step=np.eye(2)) == 0.0
    assert boundary_iou(square(5, 10), square(5, 10), step=np.eye(2)) == 1.0


def test_width_is_in_mm():
    # Rows are 3 mm apart: within 3 mm of the outside are three columns at either side and one row above and below.
    step = np.diag([3.0, 1.0])
    mask, other = np.zeros((2, 12, 20), bool)
    mask[1:11, 1:19] = True
    other[1:11, 1:19] = True
    other[2:10, 4:16] = False  # just the rim, so that it is its own
    assert boundary_iou(mask, other, step=step, width_mm=3.0) == 1.0
    assert boundary_iou(mask, other, step=step, width_mm=4.5) < 1.0


def test_empty_masks():
    empty = np.zeros((5, 5), bool)
    assert boundary_iou(empty, empty, step=np.eye(2)) == 1.0
    assert boundary_iou(square(1, 3, 5), empty, step=np.eye(2)) == 0.0
    assert boundary_iou(empty, square(1, 3, 5), step=np.eye(2)) == 0.0
