"""Slopes in millimetres and their crests, on ramps and spheres whose answers are known."""

import numpy as np
import pytest

from vesalius.classical.gradients import crests, flatness, otsu_of, slopes, smoothed, steepness
from vesalius.errors import DataError


@pytest.mark.parametrize("operator", ["central", "sobel", "prewitt"])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 2.0), (0.7, 1.3, 4.0)])
def test_a_ramp_has_the_slope_that_it_was_made_with(operator, spacing):
    wanted = np.array([3.0, -1.0, 0.5])[: len(spacing)]
    at = np.indices((7, 8, 6)[: len(spacing)])
    values = np.einsum("a,a...->...", wanted * spacing, at)
    found = slopes(values, spacing, operator=operator)
    inner = (slice(None), *(slice(1, -1),) * len(spacing))
    np.testing.assert_allclose(
        found[inner], np.broadcast_to(wanted.reshape(-1, *(1,) * len(spacing)), found[inner].shape)
    )


def test_smoothing_is_as_wide_in_space_on_every_axis():
    values = np.zeros((81, 41))
    values[40, 20] = 1.0
    made = smoothed(values, (0.5, 1.0), 2.0)
    i, j = np.indices(values.shape)
    for axis, coordinate in enumerate(((i - 40) * 0.5, (j - 20) * 1.0)):
        assert np.sqrt((made * coordinate**2).sum() / made.sum()) == pytest.approx(2.0, rel=0.01), axis


def test_crests_of_a_blurred_ball_lie_on_its_surface():
    spacing = (0.8, 1.0, 2.0)
    shape = (50, 40, 20)
    points = (np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2) * spacing
    radius = np.linalg.norm(points, axis=-1)
    values = 1.0 / (1.0 + np.exp((radius - 12.0) / 1.2))  # steepest at 12 mm
    gradient = slopes(values, spacing)
    size = steepness(gradient)
    found = crests(gradient, spacing, 0.3 * size.max(), size=size)
    assert found.any()
    assert np.abs(radius[found] - 12.0).max() < 1.5
    # One voxel thick: as many voxels as the sphere has, seen along the axis that each part faces most.
    area = 4 * np.pi * 12**2
    assert 0.3 * area / 0.8 < found.sum() < 1.2 * area / 0.8


def test_otsu_of_two_heaps_lies_between_them(rng):
    values = np.concatenate((rng.normal(1, 0.1, 900), rng.normal(5, 0.1, 100)))
    assert 1.3 < otsu_of(values) < 4.7


def test_flatness_is_a_half_at_the_slope_that_was_asked_for():
    ramp = np.arange(20.0) * 3.0
    assert flatness(ramp, (1.5,), sigma_mm=0.0, edge_slope=2.0)[10] == pytest.approx(0.5)
    assert (flatness(np.full(9, 4.0), (1.0,), sigma_mm=1.0, edge_slope=None) == 1.0).all()
    with pytest.raises(DataError, match="edge_slope"):
        flatness(ramp, (1.0,), sigma_mm=0.0, edge_slope=0.0)


@pytest.mark.parametrize("sigma", [-1.0, float("nan")])
def test_a_width_that_cannot_be(sigma):
    with pytest.raises(DataError, match="sigma_mm"):
        smoothed(np.zeros(3), (1.0,), sigma)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.7, 1.0)])
@pytest.mark.parametrize("shape", [(40,), (30, 24), (11, 17, 14), (1, 9, 9)])
def test_crests_are_those_of_points_that_scipy_interpolates(shape, spacing, rng):
    from scipy.ndimage import map_coordinates

    spacing = spacing[: len(shape)]
    for values in (rng.normal(size=shape), rng.integers(0, 3, shape).astype(float)):  # and slopes that are alike
        gradient = slopes(values, spacing, operator="sobel")
        size = steepness(gradient)
        at = np.argwhere(size >= 0.1)
        step = np.stack([g[tuple(at.T)] / s for g, s in zip(gradient, spacing, strict=True)], axis=1)
        step /= np.abs(step).max(axis=1, keepdims=True)
        sides = [map_coordinates(size, (at + way * step).T, order=1, mode="nearest") for way in (1, -1)]
        expected = np.zeros(shape, bool)
        expected[tuple(at.T)] = np.maximum(*sides) <= size[tuple(at.T)] * (1 + 1e-9)
        assert 0 < expected.sum() < size.size
        np.testing.assert_array_equal(crests(gradient, spacing, 0.1, size=size), expected)
        turned = np.asfortranarray(size)  # laid out otherwise in memory
        np.testing.assert_array_equal(crests(gradient, spacing, 0.1, size=turned), expected)
