"""Slices that lie askew: known shifts and turns are found; rods and tubes that are askew or bent by themselves stay."""

from itertools import pairwise

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.transform.align_slices import (
    Jitter,
    find_jitter,
    image_channels,
    move_image,
    move_labels,
    outline_channels,
)


def disc(centre, radius=9.0, size=72):
    i, j = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    return (np.hypot(i - centre[0], j - centre[1]) <= radius).astype(np.uint8)


def bean(turn, shift=(0.0, 0.0), size=72):
    """An ellipse with a smaller one at its side, turned about the middle."""
    i, j = np.meshgrid(*[np.arange(size) - (size - 1) / 2] * 2, indexing="ij")
    i, j = i - shift[0], j - shift[1]
    x, y = np.cos(turn) * i + np.sin(turn) * j, np.cos(turn) * j - np.sin(turn) * i
    return ((np.hypot(x / 22, y / 10) <= 1) | (np.hypot((x - 10) / 8, (y - 9) / 8) <= 1)).astype(np.uint8)


def found_in(slices, **how):
    return find_jitter([outline_channels(one, [1]) for one in slices], range(len(slices)), **how)


def straight_out(shifts):
    """What is left of shifts beside a straight line through the stack, which nobody can tell from anatomy."""
    k = np.arange(len(shifts))
    return shifts - np.stack([np.polyval(np.polyfit(k, one, 1), k) for one in shifts.T], axis=1)


@pytest.mark.parametrize("slant", [0.0, 1.2])
def test_shifts_of_a_rod_are_found_to_a_fraction_of_a_pixel_and_its_slant_is_kept(slant, rng):
    jitter = rng.normal(0, 2.5, (20, 2))
    found = found_in([disc((24 + slant * k, 36) + jitter[k]) for k in range(20)])

    left = straight_out(jitter - found.shifts)
    assert np.sqrt(np.square(left).sum(axis=1)).max() < 0.4
    assert np.hypot(*np.polyfit(np.arange(20), found.shifts, 1)[0]) < 0.35  # pixels a slice
    assert not found.turns.any()


@pytest.mark.parametrize(
    "centre",
    [
        lambda k: (20 + 1.5 * k, 36),
        lambda k: (36 + 13 * np.sin(2 * np.pi * k / 22), 36),
        lambda k: (k**2 / 12 + 20, 30),
    ],
)
def test_rods_and_tubes_that_nobody_moved_stay(centre):
    assert found_in([disc(centre(k)) for k in range(22)]).is_still


def test_a_bent_tube_keeps_its_bend_when_jitter_is_taken_off(rng):
    path = np.stack([36 + 12 * np.sin(2 * np.pi * np.arange(24) / 24), np.full(24, 36)], axis=1)
    jitter = rng.normal(0, 1.5, (24, 2))
    found = found_in([disc(one) for one in path + jitter])

    left = (path + jitter - found.shifts)[:, 0]
    assert np.ptp(left) == pytest.approx(24, abs=4)
    steps = [np.abs(np.diff(one, axis=0)).mean() for one in (jitter, jitter - found.shifts)]
    assert steps[1] < 0.5 * steps[0]


def test_turns_are_found(rng):
    turns, shifts = np.radians(rng.normal(0, 4, 16)), rng.normal(0, 1.5, (16, 2))
    found = found_in([bean(turn, shift) for turn, shift in zip(turns, shifts, strict=True)], turned=True)

    left = np.degrees(turns - found.turns)
    assert np.std(np.diff(left)) < 0.5 * np.std(np.diff(np.degrees(turns)))
    put = [move_labels(bean(t, s), found.matrix(k)) for k, (t, s) in enumerate(zip(turns, shifts, strict=True))]
    alike = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairwise(put)]
    raw = [bean(t, s) for t, s in zip(turns, shifts, strict=True)]
    before = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairwise(raw)]
    assert np.mean(alike) > 0.96 > np.mean(before)


def test_images_tell_where_slices_lie(rng):
    from scipy.ndimage import gaussian_filter

    block = gaussian_filter(rng.normal(size=(14, 120, 120)), (3, 3, 3))
    jitter = rng.normal(0, 5, (14, 2))
    moved = [
        move_image(one[None], Jitter(-jitter[k][None], np.zeros(1), (0, 0)).matrix(0)) * (1 + 0.3 * (k % 3)) + k
        for k, one in enumerate(block)
    ]
    found = find_jitter([image_channels(one) for one in moved], range(14))

    assert np.sqrt(np.square(straight_out(jitter - found.shifts)).sum(axis=1)).max() < 0.8


def test_empty_slices_are_passed_over_and_large_ones_looked_at_coarsely(rng):
    jitter = rng.normal(0, 8, (12, 2))
    slices = [disc((200, 210) + jitter[k], radius=150, size=420) for k in range(12)]
    slices[5] = np.zeros_like(slices[5])
    found = found_in(slices)

    there = np.arange(12) != 5
    assert not found.shifts[5].any()
    left = straight_out(jitter[there] - found.shifts[there])
    assert np.sqrt(np.square(left).sum(axis=1)).max() < 0.6


def test_what_is_moved_and_moved_back_is_the_same():
    jitter = Jitter(np.asarray([[3.0, -2.0]]), np.asarray([np.pi / 2]), (35.5, 35.5))
    shown = bean(0.3)
    there = move_labels(shown, jitter.matrix(0))
    np.testing.assert_array_equal(there[40, 30], shown[35 + 6 + 3, 40 - 2])  # i' = 35.5 - (30 - 35.5), j' = 35.5 + 4.5
    back = Jitter(np.asarray([[2.0, 3.0]]), np.asarray([-np.pi / 2]), (35.5, 35.5))
    np.testing.assert_array_equal(move_labels(there, back.matrix(0)), shown)


def test_two_slices_are_too_few():
    with pytest.raises(DataError, match="at least three"):
        found_in([disc((30, 30)), np.zeros((72, 72), np.uint8), disc((31, 30))])
