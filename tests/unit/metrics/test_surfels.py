import numpy as np
import pytest

from vesalius.metrics.surfels import neighbour_codes, surfel_sizes


def area(mask, step):
    sizes = surfel_sizes(step)
    return sizes[neighbour_codes(np.pad(mask.astype(np.uint8), 1))].sum()


def test_area_of_a_long_bar_grows_by_its_girth():
    # Whatever the bevelled ends add, each further slice adds the same ring of faces and edges.
    bars = [np.ones((n, 4, 4)) for n in (6, 7, 8)]
    areas = [area(bar, np.eye(3)) for bar in bars]
    ring = 4 * (3 + np.sqrt(0.5))  # four faces of three whole steps and four bevelled edges
    assert areas[1] - areas[0] == pytest.approx(ring)
    assert areas[2] - areas[1] == pytest.approx(ring)


def test_length_of_a_rectangle():
    # Two sides of 3 and two of 2 whole steps, and four bevelled corners of half a pixel's diagonal.
    expected = 2 * 3 * 1.5 + 2 * 2 * 2.0 + 4 * 0.5 * np.hypot(1.5, 2.0)
    assert area(np.ones((4, 3)), np.diag([1.5, 2.0])) == pytest.approx(expected)


def test_empty_and_full_codes_have_no_surface():
    for n, last in ((2, 15), (3, 255)):
        sizes = surfel_sizes(np.eye(n))
        assert sizes[0] == sizes[last] == 0
        assert (sizes[1:last] > 0).all()


def test_sphere_area_is_that_of_marching_cubes():
    # A binary sphere is a staircase: its area is some 8 % above 4 pi r^2 at any resolution.
    x = np.arange(-24, 25)
    ball = x[:, None, None] ** 2 + x[:, None] ** 2 + x**2 <= 20**2
    assert 1.0 < area(ball, np.eye(3)) / (4 * np.pi * 20**2) < 1.12


def test_sheared_grid_sees_the_same_sphere():
    step = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, 0.2], [0.0, 0.0, 1.0]])
    index = np.stack(np.meshgrid(*[np.arange(-30, 31)] * 3, indexing="ij"), -1)
    straight = (index**2).sum(-1) <= 18**2
    sheared = ((index @ step.T) ** 2).sum(-1) <= 18**2
    assert area(sheared, step) == pytest.approx(area(straight, np.eye(3)), rel=0.04)


def test_code_bits():
    for position in range(8):
        mask = np.zeros((2, 2, 2), np.uint8)
        mask[np.unravel_index(position, mask.shape)] = 1
        assert neighbour_codes(mask).item() == 128 >> position
