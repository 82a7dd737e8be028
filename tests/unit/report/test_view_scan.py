"""The scan in a page: what is packed is what lies there, whichever way it is stored, and no more than a page holds."""

import zlib

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, Meta, Volume
from vesalius.report.view import scan as scan_module
from vesalius.report.view.scan import lattice_of, pack_scan
from vesalius.transform import reorient, resample


def greys_of(packed):
    """What the page does, in Python: ``(x, y, z)`` bytes."""
    shape = packed.grid.shape
    rows = np.frombuffer(zlib.decompress(packed.data), np.uint8).reshape(shape[::-1])
    return np.cumsum(rows, axis=2, dtype=np.uint8).transpose(2, 1, 0)


def scan_of(rng, shape=(9, 11, 7), spacing=(0.8, 0.7, 2.0), **where):
    return Volume(rng.normal(size=(1, *shape)).astype(np.float32), Grid.from_spacing(shape, spacing, **where))


def turn(degrees, axis):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = [k for k in range(3) if k != axis]
    matrix = np.eye(3)
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = c, -s, s, c
    return matrix


def test_greys_come_back_on_the_scan_s_own_voxels(rng):
    scan = scan_of(rng, origin_mm=(5.0, -7.0, 3.0))
    packed = pack_scan(scan, window=(-1.0, 1.0))
    assert packed.grid.is_close(scan.grid)
    expected = 1 + np.rint(254 * np.clip((scan.array[0].astype(float) + 1) / 2, 0, 1))
    assert np.abs(greys_of(packed).astype(int) - expected).max() <= 1  # ties
    assert {1, 255} <= set(greys_of(packed).ravel().tolist())


@pytest.mark.parametrize("stored", ["RAS", "PIR", "SAL"])
def test_a_scan_is_the_same_whichever_way_it_is_stored(rng, stored):
    scan = scan_of(rng)
    packed, other = pack_scan(scan), pack_scan(reorient(scan, stored))
    assert other.grid.is_close(packed.grid)
    assert np.array_equal(greys_of(other), greys_of(packed))
    assert other.data == packed.data


def test_of_an_oblique_scan_places_are_kept_and_around_it_there_is_none(rng):
    smooth = np.add.outer(np.add.outer(np.arange(20.0), 2 * np.arange(24.0)), 3 * np.arange(16.0))
    grid = Grid.from_spacing(smooth.shape, (1.0, 1.0, 1.5), direction=turn(20, 2) @ turn(10, 0), origin_mm=(4, 5, 6))
    scan = Volume(smooth[None].astype(np.float32), grid)
    packed = pack_scan(scan, window=(0.0, float(smooth.max())))
    assert np.allclose(packed.grid.direction, np.eye(3))
    greys = greys_of(packed)
    outer = packed.grid.to_points(np.indices(packed.grid.shape).reshape(3, -1).T)
    place = grid.to_index(outer)
    inside = ((place >= -0.5) & (place <= np.array(grid.shape) - 0.5)).all(axis=1).reshape(greys.shape)
    assert np.array_equal(greys > 0, inside)
    assert 0.3 < inside.mean() < 0.9
    values = (greys.ravel()[inside.ravel()] - 1.0) / 254 * smooth.max()
    deep = (np.abs(place - (np.array(grid.shape) - 1) / 2) < np.array(grid.shape) / 2 - 1).all(axis=1)
    np.testing.assert_allclose(values[deep[inside.ravel()]], place[deep] @ [1, 2, 3], atol=smooth.max() / 254)
    # All of the scan is on the lattice.
    corners = grid.to_points(np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1).T)
    at = packed.grid.to_index(corners)
    assert (at >= -0.5).all()
    assert (at <= np.array(packed.grid.shape) - 0.5).all()


def test_what_is_too_fine_gets_coarser_on_its_finest_axes(monkeypatch):
    monkeypatch.setattr(scan_module, "MOST_VOXELS", 1000)
    grid = Grid.from_spacing((40, 40, 8), (0.5, 0.5, 3.0), origin_mm=(1, 2, 3))
    coarse = lattice_of(grid)
    assert np.prod(coarse.shape) <= 1000
    assert coarse.shape[2] == 8
    assert coarse.shape[0] == coarse.shape[1] >= 10
    for corner in (-0.5, 0.5):  # it covers what the scan covers
        ends = [g.to_points((np.array(g.shape) - 1) / 2 + corner * np.array(g.shape)) for g in (grid, coarse)]
        np.testing.assert_allclose(*ends)
    monkeypatch.setattr(scan_module, "MOST_VOXELS", 10**7)
    assert lattice_of(grid) == grid
    assert lattice_of(Grid.from_spacing((600, 4, 4), (1.0, 1.0, 1.0))).shape == (256, 4, 4)


def test_a_coarser_scan_is_smoothed_and_not_sampled(rng, monkeypatch):
    monkeypatch.setattr(scan_module, "MOST_VOXELS", 4000)
    noise = Volume(
        rng.normal(size=(1, 40, 40, 40)).astype(np.float32), Grid.from_spacing((40, 40, 40), (1.0, 1.0, 1.0))
    )
    packed = pack_scan(noise, window=(-4.0, 4.0))
    sampled = resample(noise, packed.grid).array.std()
    assert (greys_of(packed) / 254 * 8).std() < 0.7 * sampled


def test_what_has_no_slices_or_no_place_is_refused(rng):
    flat = Volume(np.zeros((1, 4, 4), np.float32), Grid.from_spacing((4, 4), (1.0, 1.0)))
    with pytest.raises(GeometryError, match="2D"):
        pack_scan(flat)
    two = Volume(np.zeros((2, 4, 4, 4), np.float32), Grid.from_spacing((4, 4, 4), (1.0, 1.0, 1.0)))
    with pytest.raises(DataError, match="2 channels"):
        pack_scan(two)
    unplaced = Volume(two.array[:1], two.grid, Meta(calibrated=False))
    with pytest.raises(DataError, match="millimetres"):
        pack_scan(unplaced)
