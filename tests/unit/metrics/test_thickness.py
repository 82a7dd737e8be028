"""Slabs, rods, shells and rings, whose thickness is known."""

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics.thickness import local_thickness_mm, wall_thickness

LABELS = Labels.of({"wall": 1, "cavity": 2})


def places(grid, middle):
    return grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1)) - grid.to_points(middle)


@pytest.mark.parametrize("voxels", [1, 2, 5, 6])
@pytest.mark.parametrize("large", [False, True])
def test_a_slab_is_as_thick_as_its_voxels(voxels, large, monkeypatch):
    if large:
        monkeypatch.setattr("vesalius.metrics.thickness._FINE", 0)
    grid = Grid.from_spacing((14, 20, 20), (0.5, 1.0, 0.8))
    slab = np.zeros(grid.shape, bool)
    slab[4 : 4 + voxels] = True
    found = local_thickness_mm(slab, grid)
    assert found[~slab].max() == 0
    middle = found[4 : 4 + voxels, 8:12, 8:12]
    # Balls that stand on voxels alone miss the middle of an even number of them.
    np.testing.assert_allclose(middle, 0.5 * (voxels if voxels % 2 or not large else voxels - 1), rtol=1e-5)


def test_a_ball_is_as_thick_everywhere_and_a_handle_is_thinner():
    grid = Grid.from_spacing((50, 32, 24), (1.0, 1.0, 1.4))
    at = places(grid, (15, 15.5, 11.5))
    ball = np.linalg.norm(at, axis=-1) < 12
    handle = (np.hypot(at[..., 1], at[..., 2]) < 4) & (at[..., 0] > 0) & (at[..., 0] < 32)
    found = local_thickness_mm(ball | handle, grid)
    assert found.max() == pytest.approx(24, abs=2)
    deep = np.linalg.norm(at, axis=-1) < 9
    assert found[deep].min() > 21
    far = handle & (at[..., 0] > 16) & (at[..., 0] < 28) & (np.hypot(at[..., 1], at[..., 2]) < 3)
    np.testing.assert_allclose(found[far], 8, atol=1.7)
    assert (found[ball | handle] > 0).all()


@pytest.mark.parametrize("cavity", [None, "cavity"])
def test_a_shell_on_an_oblique_grid(cavity):
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    grid = Grid.from_spacing((50, 50, 36), (1.0, 1.0, 1.4), direction=turn)
    far = np.linalg.norm(places(grid, (24.6, 24.3, 17.4)), axis=-1)
    labels = LabelMap((far < 22).astype(int) + (far < 13), grid, LABELS)
    found = wall_thickness(labels, "wall", cavity)
    assert found.mean_mm == pytest.approx(9, abs=0.6)
    assert found.minimum_mm > 7.5
    assert found.maximum_mm < 10
    assert found.points > 1000


def test_a_ventricle_that_is_open_is_measured_in_its_slices():
    grid = Grid.from_spacing((60, 60, 8), (1.2, 1.2, 9.0))
    at = places(grid, (29.5, 29.5, 4))
    far = np.hypot(at[..., 0], at[..., 1])
    inner = np.where(np.abs(at[..., 2]) < 20, 14.0, np.nan)  # five slices of a cylinder, open at both ends
    array = (far < inner + 10).astype(int) + (far < inner)
    labels = LabelMap(array, grid, LABELS)
    found = wall_thickness(labels, "wall", "cavity", within="slices")
    assert found.mean_mm == pytest.approx(10, abs=0.6)
    assert found.minimum_mm > 8.5
    assert wall_thickness(labels, "wall", "cavity").mean_mm < found.mean_mm - 1  # the ends are outside, too
    assert wall_thickness(labels, "wall", within="slices").mean_mm == pytest.approx(found.mean_mm)


def test_what_is_no_wall():
    grid = Grid.from_spacing((8, 8, 8), (1, 1, 1))
    array = np.zeros(grid.shape, int)
    array[2:5, 2:5, 2:5] = 1
    labels = LabelMap(array, grid, LABELS)
    with pytest.raises(DataError, match="it encloses nothing"):
        wall_thickness(labels, "wall")
    with pytest.raises(DataError, match="'cavity' is not in it"):
        wall_thickness(labels, "wall", "cavity")
    with pytest.raises(DataError, match="aorta"):
        wall_thickness(labels, "aorta")
    affine = np.eye(4)
    affine[1, 2] = 0.4
    with pytest.raises(GeometryError, match="tilt"):
        local_thickness_mm(array > 0, Grid(grid.shape, affine))
    assert local_thickness_mm(array > 1, grid).max() == 0
