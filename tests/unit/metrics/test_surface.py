import numpy as np
import pytest

from vesalius.metrics.surface import Surfaces, assd, hausdorff, hd95, measure_surfaces, surface_dice


def measure(reference, prediction, step=None, **more):
    step = np.eye(reference.ndim) if step is None else step
    pad = [np.pad(m.astype(np.uint8), 1) for m in (reference, prediction)]
    return measure_surfaces(*pad, step=step, diagonal_mm=100.0, **more)


def given(distances, sizes, others=(0.0,), other_sizes=(1.0,)):
    return Surfaces(*map(np.array, (distances, sizes, others, other_sizes)), diagonal_mm=100.0)


def test_scores_weigh_elements_by_size():
    found = given([0.0, 2.0], [3.0, 1.0], [0.0, 4.0], [2.0, 2.0])
    assert hausdorff(found) == 4.0
    assert assd(found) == (2 * 1 + 4 * 2) / 8
    assert surface_dice(found, 1.0) == 5 / 8
    assert surface_dice(found, 2.0) == 6 / 8


def test_hd95_is_the_larger_of_both_directions():
    # Nineteen of twenty elements are near: exactly 95 % of the reference's surface.
    found = given([1.0] * 19 + [9.0], [1.0] * 20, [2.0] * 18 + [5.0] * 2, [1.0] * 20)
    assert hd95(found) == 5.0
    assert hd95(given([1.0] * 19 + [9.0], [0.1] * 20)) == 1.0
    assert hd95(given([1.0] * 18 + [9.0] * 2, [1.0] * 20)) == 9.0


def test_tolerance_counts_distances_that_equal_it():
    cube = np.zeros((8, 8, 8))
    cube[2:5, 2:5, 2:5] = 1
    found = measure(cube, np.roll(cube, 3, 0), np.diag([0.1, 1.0, 1.0]))
    assert surface_dice(found, 0.3) == 1.0  # 3 x 0.1 is a bit more than 0.3 in binary
    assert surface_dice(found, 0.29) < 1.0


def test_empty_masks():
    full, empty = np.ones((3, 3, 3)), np.zeros((3, 3, 3))
    for pair in ((full, empty), (empty, full)):
        found = measure(*pair)
        assert [hausdorff(found), hd95(found), assd(found)] == [100.0] * 3
        assert surface_dice(found, 1.0) == 0.0
    found = measure(empty, empty)
    assert [hausdorff(found), hd95(found), assd(found)] == [0.0] * 3
    assert surface_dice(found, 1.0) == 1.0


def test_identical_masks_are_at_no_distance(rng):
    mask = rng.random((6, 7)) > 0.5
    found = measure(mask, mask)
    assert hausdorff(found) == assd(found) == 0.0
    assert surface_dice(found, 0.0) == 1.0


def test_sheared_grids_measure_in_space():
    leaning = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    index = np.stack(np.meshgrid(*[np.arange(-12, 13)] * 3, indexing="ij"), -1)
    found = {}
    for name, step in (("straight", np.eye(3)), ("leaning", leaning)):
        radius = np.linalg.norm(index @ step.T, axis=-1)
        found[name] = assd(measure(radius <= 4.0, radius <= 7.0, step))
    assert found["leaning"] == pytest.approx(found["straight"], rel=0.05)


def test_elements_that_touch_ignored_voxels_are_left_out():
    reference, prediction = np.zeros((9, 9)), np.zeros((9, 9))
    reference[2:7, 2:5] = 1
    prediction[2:7, 2:4] = 1  # one column short, at the side that nobody looked at
    ignored = np.zeros((9, 9))
    ignored[:, 4:] = 1
    reference[ignored > 0] = prediction[ignored > 0] = 0
    found = measure(reference, prediction, ignored=np.pad(ignored.astype(np.uint8), 1))
    assert hausdorff(found) == 0.0
    assert found.reference_sizes.size == found.prediction_sizes.size > 0
