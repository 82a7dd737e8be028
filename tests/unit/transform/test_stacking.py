"""Stacks: missing slices, islands, images that go along, and what cannot be."""

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.transform.align_slices import move_labels
from vesalius.transform.stacking import stack_slices


def rod(count=9, size=40, radius=8.0, slant=0.0, spacing=(1.0, 1.0, 3.0)):
    i, j = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    slices = [np.hypot(i - 18 - slant * k, j - 20) <= radius for k in range(count)]
    array = np.stack(slices, axis=-1).astype(np.uint8)
    return LabelMap(array, Grid.from_spacing(array.shape, spacing, origin_mm=(5, -7, 30)), Labels.of({"rod": 1}))


def test_a_missing_slice_is_filled_between_its_neighbours():
    whole = rod(slant=1.0)
    array = whole.array.copy()
    array[..., 4] = 0
    gap = LabelMap(array, whole.grid, whole.labels)

    made = stack_slices(gap, missing=[4], spacing_mm=3.0)
    np.testing.assert_array_equal(
        made.labels.array[..., [0, 1, 2, 3, 5, 6, 7, 8]], array[..., [0, 1, 2, 3, 5, 6, 7, 8]]
    )
    filled, real = made.labels.array[..., 4] == 1, whole.array[..., 4] == 1
    assert 2 * (filled & real).sum() / (filled.sum() + real.sum()) > 0.95
    assert made.filled == (4,)
    assert stack_slices(gap, fill_empty=True, spacing_mm=3.0).filled == (4,)
    kept = stack_slices(gap, spacing_mm=3.0)
    assert not kept.labels.array[..., 4].any()
    assert kept.filled == ()


def test_the_result_is_isotropic_and_covers_the_same_extent():
    thick = rod()
    made = stack_slices(thick).labels

    assert made.grid.shape == (40, 40, 27)
    assert made.grid.spacing_mm == pytest.approx((1, 1, 1))
    np.testing.assert_allclose(made.grid.to_points((0, 0, -0.5)), thick.grid.to_points((0, 0, -0.5)))
    assert made.counts()[1] == 3 * thick.counts()[1]
    across = np.moveaxis(thick.array, 2, 0)
    turned = LabelMap(across, Grid.from_spacing(across.shape, (3, 1, 1)), thick.labels)
    assert stack_slices(turned).labels.grid.shape == (27, 40, 40)


def test_jittered_slices_and_their_image_are_put_right_together(rng):
    straight = rod(count=14, slant=0.6)
    jitter = rng.normal(0, 2.5, (14, 2))
    moved = [move_labels(straight.array[..., k], np.column_stack([np.eye(2), -jitter[k]])) for k in range(14)]
    askew = LabelMap(np.stack(moved, axis=-1), straight.grid, straight.labels)
    image = Volume(100.0 * askew.array[None], askew.grid)

    made = stack_slices(askew, align="shift", image=image, spacing_mm=3.0)
    by_outline = stack_slices(askew, align="rigid", spacing_mm=3.0)

    for found in (made, by_outline):
        centres = np.asarray([np.argwhere(found.labels.array[..., k]).mean(axis=0) for k in range(14)])
        line = np.stack([np.polyval(np.polyfit(np.arange(14), c, 1), np.arange(14)) for c in centres.T], axis=1)
        assert np.abs(centres - line).max() < 0.5
        assert np.polyfit(np.arange(14), centres[:, 0], 1)[0] == pytest.approx(0.6, abs=0.35)
    both = (made.image.array[0] > 50) != (made.labels.array == 1)
    assert both.mean() < 0.002


def test_islands_that_one_slice_alone_shows_go_and_take_what_is_around_them():
    labels = rod()
    array = labels.array.copy()
    array[2:4, 2:4, 3] = 1  # in the background
    array[18:20, 19:21, 5] = 2  # in the rod
    array[30:33, 2:4, 5:7] = 2  # in two slices
    spotted = LabelMap(array, labels.grid, Labels.of({"rod": 1, "spot": 2}))

    made = stack_slices(spotted, drop_islands=True, spacing_mm=3.0)

    assert made.islands == 2
    assert not made.labels.array[2:4, 2:4, 3].any()
    assert (made.labels.array[18:20, 19:21, 5] == 1).all()
    assert made.labels.counts()[2] == 12
    assert stack_slices(spotted, spacing_mm=3.0).islands == 0


def test_what_cannot_be_is_refused():
    labels = rod(count=3)
    with pytest.raises(DataError, match="two slices or more; here 1"):
        stack_slices(labels, missing=[0, 2])
    with pytest.raises(DataError, match="3D"):
        stack_slices(LabelMap(labels.array[..., 0], Grid.from_spacing((40, 40), (1, 1)), labels.labels))
    with pytest.raises(DataError, match="above 0 mm"):
        stack_slices(labels, spacing_mm=0)
    with pytest.raises(DataError, match="axis"):
        stack_slices(labels, axis=3)
    with pytest.raises(VesaliusError, match="'rigid'"):
        stack_slices(labels, align="rigit")
    with pytest.raises(GeometryError, match="another grid"):
        stack_slices(labels, image=Volume(np.zeros((1, 40, 40, 4)), Grid.from_spacing((40, 40, 4), (1, 1, 3))))
    empty = LabelMap(np.zeros((8, 8, 4), np.uint8), Grid.from_spacing((8, 8, 4), (1, 1, 2)), labels.labels)
    assert not stack_slices(empty).labels.array.any()
    with pytest.raises(DataError, match="three that show"):
        stack_slices(empty, align="shift")
