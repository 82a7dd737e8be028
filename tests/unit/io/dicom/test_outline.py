"""Borders of masks as polygons, and polygons as masks."""

import numpy as np
import pytest

from vesalius.io.dicom.filling import enclosed, fill, passed
from vesalius.io.dicom.outline import area, join_holes, trace


def _filled(loops, shape):
    plane = np.zeros(shape, bool)
    for loop in loops:
        fill(loop, plane)
    return plane


@pytest.mark.parametrize("seed", range(60))
def test_polygons_enclose_exactly_the_mask(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 14, 2)) < rng.uniform(0.2, 0.95)
    loops = trace(mask)
    joined = join_holes(loops)
    assert all(area(loop) > 0 for loop in joined)
    centres = np.argwhere(np.ones_like(mask)).astype(float)
    for some in (loops, joined):
        assert sum(area(loop) for loop in some) == pytest.approx(mask.sum())
        np.testing.assert_array_equal(_filled(some, mask.shape), mask)
        inside = np.logical_xor.reduce([enclosed(loop, centres) for loop in some] or [np.zeros(mask.size, bool)])
        np.testing.assert_array_equal(inside.reshape(mask.shape), mask)


def test_no_corner_lies_on_a_straight_line():
    for loop in trace(np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 1]], bool)):
        ways = np.roll(loop, -1, axis=0) - loop
        assert (np.count_nonzero(ways, axis=1) == 1).all()  # along the pixels
        turns = ways[:, 0] * np.roll(ways, -1, axis=0)[:, 1] - ways[:, 1] * np.roll(ways, -1, axis=0)[:, 0]
        assert turns.all()


def test_pixels_that_touch_by_a_corner_are_apart_and_their_holes_are_not():
    assert len(trace(np.eye(3, dtype=bool))) == 3
    assert len(trace(~np.pad(np.eye(2, dtype=bool), 1))) == 2  # the outer border, and one hole of two pixels


def test_a_thin_line_keeps_its_width():
    (loop,) = trace(np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]], bool))
    assert np.ptp(loop, axis=0).tolist() == [1, 3]


def test_channels_lie_between_the_samples_of_finer_lattices():
    mask = np.ones((9, 9), bool)
    mask[3:6, 2:4] = mask[4, 6] = False
    (loop,) = join_holes(trace(mask))
    for parts in (2, 4):  # pixels cut in halves and quarters
        fine = np.repeat(np.repeat(mask, parts, 0), parts, 1)
        np.testing.assert_array_equal(_filled([(loop + 0.5) * parts - 0.5], fine.shape), fine)


def test_polygons_beyond_the_plane_are_cut_off():
    square = np.array([[-5.0, -5], [2.5, -5], [2.5, 50], [-5, 50]])
    assert _filled([square], (6, 4)).tolist() == [[True] * 4] * 3 + [[False] * 4] * 3
    for away in ([100, 0], [-100, 0], [0, 100], [0, -100]):
        assert fill(square + away, np.zeros((6, 4), bool)) == 0


def test_a_centre_on_an_edge_belongs_to_one_of_two_neighbours():
    left = np.array([[0.0, 0], [2, 0], [2, 3], [0, 3]])
    planes = [_filled([left + np.array([shift, 0])], (5, 3)) for shift in (0, 2)]
    assert (planes[0] ^ planes[1]).sum() == planes[0].sum() + planes[1].sum() == 12


def test_huge_polygons_take_no_memory():
    rng = np.random.default_rng(0)
    zigzag = np.column_stack([rng.uniform(0, 40, 20_000), np.tile([-1e12, 1e12], 10_000)])
    plane = np.zeros((40, 3000), bool)
    fill(zigzag, plane)
    straight = np.column_stack([zigzag[:, 0], np.tile([0.0, 2999.0], 10_000)])
    assert fill(straight, plane) > 0


def test_lines_mark_what_they_pass_through():
    assert passed(np.array([[1.2, 0.6]]), (3, 3), closed=False).tolist() == [[1, 1]]
    assert passed(np.array([[-9.0, 1], [1e9, 1]]), (3, 3), closed=False).tolist() == [[0, 1], [1, 1], [2, 1]]
    assert not len(passed(np.array([[5.0, 5.0], [9.0, 5.0]]), (3, 3), closed=True))
    round_trip = passed(np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0]]), (3, 3, 1), closed=True)
    assert [0, 0, 0] in round_trip.tolist()
    assert [1, 1, 0] in round_trip.tolist()
