"""Shapes between slices: rings that move, shells that close, balls whose size is known, walls that stay whole."""

from math import pi

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label

from vesalius.errors import DataError
from vesalius.transform.between_slices import interpolate_slices


def disc(radius, centre, size=64):
    i, j = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    return np.hypot(i - centre[0], j - centre[1]) <= radius


def between(stack, gap=8.0, count=8, values=(1, 2)):
    wanted = np.arange(0, (len(stack) - 1) * count + 1) * gap / count
    return interpolate_slices(
        np.stack(stack), np.arange(len(stack)) * gap, wanted, spacing_mm=(1, 1), values=list(values)
    )


def handles(inside):
    """Handles of one piece without cavities, from the Euler number of its voxels."""
    padded = np.pad(inside, 1)
    pieces, cavities = label(padded, np.ones((3, 3, 3)))[1], label(~padded)[1] - 1
    corners = binary_dilation(padded, np.ones((2, 2, 2)), origin=-1)
    faces = edges = 0
    for axis in range(3):
        other = [k for k in range(3) if k != axis]
        faces += int((padded | np.roll(padded, 1, axis)).sum())
        edges += int(
            (padded | np.roll(padded, 1, other[0]) | np.roll(padded, 1, other) | np.roll(padded, 1, other[1])).sum()
        )
    cubes = np.zeros_like(padded)
    for shift in np.ndindex(2, 2, 2):
        cubes |= np.roll(padded, shift, (0, 1, 2))
    assert int(cubes.sum()) == int(corners.sum())
    euler = int(cubes.sum()) - edges + faces - int(padded.sum())
    return pieces + cavities - euler


@pytest.mark.parametrize("filled", [True, False])
def test_a_ring_that_moves_by_more_than_its_wall_stays_a_ring(filled):
    stack = []
    for k in range(4):
        centre = (22 + 6 * k, 32)
        ring = disc(14, centre).astype(np.uint8)
        ring[disc(11, centre)] = 2 if filled else 0  # a wall of 3 pixels that moves by 6
        stack.append(ring)

    fine = between(stack)

    assert handles(fine == 1) == 1
    for one in fine == 1:
        assert label(one)[1] == 1
        assert label(~one)[1] == 2
    assert (fine == 2).any() == filled
    wall = (fine == 1).sum(axis=(1, 2))
    assert wall[4] == pytest.approx(wall[0], rel=0.1)


def test_what_lies_within_never_touches_what_lies_around_where_a_wall_parts_them():
    stack = []
    for k in range(4):
        centre = (16 + 11 * k, 32)
        stack.append(disc(12, centre).astype(np.uint8) + disc(10, centre))  # thin, and 11 pixels in 3 steps

    fine = between(stack, gap=3.0, count=3)

    inner, around = fine == 2, fine == 0
    touching = inner & binary_dilation(around, np.ones((3, 3, 3)))
    assert not touching[1:-1].any()
    for k in range(4):
        np.testing.assert_array_equal(fine[3 * k], stack[k])


def test_a_shell_closes_over_its_cavity():
    i = np.arange(64) - 31.3
    x, y, z = np.meshgrid(i, i, np.arange(-24, 25, 6) + 0.4, indexing="ij")
    far = np.sqrt(x**2 + y**2 + z**2)
    shell = np.moveaxis((far <= 22) & (far > 17), 2, 0).astype(np.uint8)  # its rings do not overlap near the poles

    fine = between(list(shell), gap=6.0, count=6)

    assert label(fine == 1, np.ones((3, 3, 3)))[1] == 1
    assert label(fine == 0)[1] == 2  # outside, and one cavity
    assert (fine == 1).sum() == pytest.approx(4 / 3 * pi * (22**3 - 17**3), rel=0.05)


@pytest.mark.parametrize("radius", [10.0, 15.0, 20.0])
@pytest.mark.parametrize("offset", [0.0, 0.2, 0.5])
def test_balls_have_their_volume(radius, offset):
    spacing = 0.7
    n = int(radius / spacing) + 3
    k = int(radius / 3) + 3
    i = (np.arange(-n, n + 1) + 0.13) * spacing
    z = (np.arange(-k, k + 1) + offset) * 3
    inside = (z[:, None, None] ** 2 + i[:, None] ** 2 + i**2 < radius**2).astype(np.uint8)
    wanted = np.arange(z[0], z[-1], 0.25)

    fine = interpolate_slices(inside, z, wanted, spacing_mm=(spacing, spacing), values=[1])

    assert fine.sum() * spacing**2 * 0.25 == pytest.approx(4 / 3 * pi * radius**3, rel=0.01)


def test_what_nothing_shows_the_end_of_ends_half_way_and_what_lies_within_ends_with_it():
    pipe = disc(14, (32, 32)).astype(np.uint8) + disc(9, (32, 32))
    fine = between([np.zeros_like(pipe), pipe, pipe, pipe], gap=8.0, count=8)

    shown = np.flatnonzero((fine == 1).any(axis=(1, 2)))
    assert shown[0] in (4, 5)
    assert np.flatnonzero((fine == 2).any(axis=(1, 2)))[0] == shown[0]  # open, without a lid


def test_structures_that_follow_each_other_leave_no_gap():
    one = disc(10, (32, 32)).astype(np.uint8)
    fine = between([one, one, 2 * one, 2 * one])

    column = fine[:, 32, 32]
    assert set(column.tolist()) == {1, 2}
    assert (np.diff(column.astype(int)) >= 0).all()
    assert (fine > 0).sum(axis=(1, 2)).min() >= 0.75 * one.sum()


def test_pieces_that_do_not_lie_over_each_other_are_not_joined():
    stack = [disc(5, (12, 32)), disc(5, (50, 32))]
    assert label(between([one.astype(np.uint8) for one in stack]))[1] == 2


def test_uneven_gaps_and_places_beyond_the_ends():
    one, other = (disc(r, (32, 32)).astype(np.uint8) for r in (20, 10))
    found = interpolate_slices(
        np.stack([one, one, other]), [0, 1, 11], [-3, 0, 6, 11, 20], spacing_mm=(1, 1), values=[1]
    )
    np.testing.assert_array_equal(found[0], one)
    np.testing.assert_array_equal(found[1], one)
    np.testing.assert_array_equal(found[4], other)
    assert np.sqrt(found[2].sum() / pi) == pytest.approx(15, abs=1.1)


def test_many_islands_full_slices_and_other_values_do_no_harm(rng):
    dots = np.zeros((3, 128, 128), np.uint8)
    dots[0, ::3, ::3] = 1  # 1,849 islands
    dots[1] = 1
    dots[2, ::3, ::3] = 7
    found = interpolate_slices(dots, [0, 3, 6], np.arange(7), spacing_mm=(1, 1), values=[1])
    np.testing.assert_array_equal(found[0], dots[0])
    assert (found[3] == 1).all()
    assert not found[6].any()
    noise = rng.integers(0, 4, (4, 16, 17)).astype(np.uint8)
    found = interpolate_slices(noise, [0, 3, 6, 9], np.arange(0, 9.5, 0.5), spacing_mm=(1, 0.7), values=[1, 2, 3])
    np.testing.assert_array_equal(found[::6], noise)


@pytest.mark.parametrize("places", [[0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0, 2.0]])
def test_places_must_rise(places):
    with pytest.raises(DataError, match="places that rise"):
        interpolate_slices(np.ones((2, 4, 4), np.uint8), places, [0.5], spacing_mm=(1, 1), values=[1])
