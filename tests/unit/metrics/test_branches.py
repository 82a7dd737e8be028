"""Centre lines of tubes whose length, course and diameter are known."""

import numpy as np
import pytest

from vesalius.errors import GeometryError
from vesalius.image import Grid
from vesalius.metrics.branches import centre_lines

GRIDS = [((1.0, 1.0, 1.0), 0), ((1.0, 1.0, 1.0), 1), ((0.7, 0.7, 2.0), 0)]


def space(spacing, seed, size_mm=80.0):
    """An oblique grid, and the places of its voxels in a frame that is turned against it, from its middle."""
    grid = Grid.from_spacing(
        [round(size_mm / step) for step in spacing],
        spacing,
        origin_mm=(7, -30, 4),
        direction=np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0],
    )
    frame = np.linalg.qr(np.random.default_rng(seed + 5).normal(size=(3, 3)))[0]
    points = grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1))
    middle = grid.to_points((np.array(grid.shape) - 1) / 2)
    return grid, (points - middle) @ frame, lambda place: np.asarray(place) @ frame.T + middle


@pytest.mark.parametrize(("spacing", "seed"), GRIDS)
def test_a_rod(spacing, seed):
    grid, at, back = space(spacing, seed)
    rod = (np.hypot(at[..., 1], at[..., 2]) < 4) & (abs(at[..., 0]) < 26)
    (branch,) = centre_lines(rod, grid)
    assert branch.is_tip == (True, True)
    assert branch.length_mm == pytest.approx(52, abs=1.5)
    assert branch.tortuosity == pytest.approx(1, abs=0.02)
    assert branch.mean_diameter_mm == pytest.approx(8, rel=0.02)
    np.testing.assert_allclose(branch.diameters_mm, 8, rtol=0.05)
    ends = sorted(branch.points_mm[[0, -1]].tolist())
    np.testing.assert_allclose(ends, sorted([back((-26, 0, 0)).tolist(), back((26, 0, 0)).tolist()]), atol=2.5)


@pytest.mark.parametrize(("spacing", "seed"), GRIDS)
def test_a_ring_has_no_end(spacing, seed):
    grid, at, _ = space(spacing, seed)
    ring = (np.hypot(at[..., 0], at[..., 1]) - 22) ** 2 + at[..., 2] ** 2 < 5**2
    (branch,) = centre_lines(ring, grid)
    assert (branch.start == branch.end, branch.is_tip, branch.tortuosity) == (True, (False, False), None)
    assert branch.length_mm == pytest.approx(2 * np.pi * 22, rel=0.015)
    assert branch.mean_diameter_mm == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize(("spacing", "seed"), GRIDS)
def test_a_fork(spacing, seed):
    grid, at, back = space(spacing, seed)
    tree = (np.hypot(at[..., 1], at[..., 2]) < 4) & (at[..., 0] < 0) & (at[..., 0] > -26)
    for side in (1, -1):
        way = np.array([np.cos(0.6), side * np.sin(0.6), 0])
        along = at @ way
        off = np.linalg.norm(at - along[..., None] * way, axis=-1)
        tree |= (off < 2.5) & (along > 0) & (along < 26)
    branches = centre_lines(tree, grid)
    assert len(branches) == 3
    ends = [{branch.start, branch.end} for branch in branches]
    (fork,) = ends[0] & ends[1] & ends[2]
    assert sorted(round(branch.mean_diameter_mm) for branch in branches) == [5, 5, 8]
    for branch in branches:
        assert branch.length_mm == pytest.approx(26, abs=3)
        last = branch.points_mm[0 if branch.start == fork else -1]
        assert np.linalg.norm(last - back((0, 0, 0))) < 4
        assert branch.is_tip == (branch.start != fork, branch.end != fork)


def test_a_vessel_in_a_picture():
    grid = Grid.from_spacing((80, 60), (0.5, 0.5))
    x, y = np.moveaxis(grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    bow = (abs(np.hypot(x - 20, y) - 18) < 2) & (y > 4)  # an arc of nearly half a circle
    (branch,) = centre_lines(bow, grid)
    angle = np.pi - 2 * np.arcsin(4 / 18)
    assert branch.length_mm == pytest.approx(18 * angle, rel=0.04)
    assert branch.mean_diameter_mm == pytest.approx(4, rel=0.03)
    assert branch.tortuosity == pytest.approx(angle / (2 * np.sin(angle / 2)), rel=0.08)


def test_a_tube_that_gets_narrow():
    grid = Grid.from_spacing((80, 30, 30), (1.0, 1.0, 1.0))
    x, y, z = np.indices(grid.shape)
    radius = 7 - 4 * np.exp(-(((x - 40) / 8) ** 2))
    (branch,) = centre_lines((np.hypot(y - 14.5, z - 14.5) < radius) & (x > 3) & (x < 76), grid)
    narrowest = branch.points_mm[branch.diameters_mm.argmin(), 0]
    assert narrowest == pytest.approx(40, abs=3)
    assert branch.diameters_mm.min() == pytest.approx(6, abs=0.8)
    assert branch.diameters_mm[2] == pytest.approx(14, rel=0.05)


def test_nothing_single_voxels_and_sheared_grids():
    grid = Grid.from_spacing((9, 9, 9), (1.0, 1.0, 1.0))
    mask = np.zeros(grid.shape, bool)
    assert centre_lines(mask, grid) == ()
    mask[4, 4, 4] = True
    assert centre_lines(mask, grid) == ()
    mask[4, 4, 2:8] = True
    (line,) = centre_lines(mask, grid)
    assert line.length_mm == pytest.approx(5.5, abs=0.6)
    affine = np.diag([1.0, 1, 3, 1])
    affine[1, 2] = 1
    with pytest.raises(GeometryError, match="tilt"):
        centre_lines(mask, Grid(mask.shape, affine))


@pytest.mark.parametrize("width", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("height", [4, 5])
def test_bars_along_the_axes_of_any_width(width, height):
    """Thinning voxel by voxel eats bars of an even width from their ends."""
    bar = np.zeros((12, 44, 13), bool)
    bar[3 : 3 + width, 2:42, 4 : 4 + height] = True
    (branch,) = centre_lines(bar, Grid.from_spacing(bar.shape, (1.0, 1.0, 1.0)))
    assert branch.length_mm == pytest.approx(40, abs=1.5)
    middle = branch.points_mm[len(branch.points_mm) // 2]
    assert (middle[0], middle[2]) == pytest.approx((3 + (width - 1) / 2, 4 + (height - 1) / 2), abs=0.3)
