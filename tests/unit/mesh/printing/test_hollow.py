"""Hollow solids: volumes that can be worked out, walls of even thickness, holes that lead somewhere."""

import numpy as np
import pytest
from bodies import ball, box, flipped, joined, ring

from vesalius.errors import DataError
from vesalius.image import Grid
from vesalius.mesh import check
from vesalius.mesh.printing import hollow, measure_walls
from vesalius.mesh.printing.inside import around, depths, inside, samples

pytest.importorskip("manifold3d")


def test_a_sealed_ball_is_a_shell():
    done = hollow(ball(15.0), wall_mm=2.0, drains=0)
    assert (done.cavities, done.drains) == (1, 0)
    assert done.cavity_ml == pytest.approx(4 / 3 * np.pi * 13**3 / 1000, rel=0.01)
    assert done.surface.volume_ml == pytest.approx(4 / 3 * np.pi * (15**3 - 13**3) / 1000, rel=0.01)
    assert (done.surface.pieces, done.surface.genus) == (2, 0)
    assert check(done.surface, intersections=False).is_manifold


@pytest.mark.parametrize("drains", [1, 2, 3])
def test_drains_make_handles(drains):
    whole = ball(15.0)
    done = hollow(whole, wall_mm=2.0, drains=drains, drain_mm=4.0)
    assert done.drains == drains
    assert (done.surface.pieces, done.surface.genus) == (1, drains - 1)
    shell = 4 / 3 * np.pi * (15**3 - 13**3)
    # Each takes a rod of the wall's length; the ends are caps instead of discs, which is little.
    assert done.surface.volume_ml * 1000 == pytest.approx(shell - drains * np.pi * 2**2 * 2, rel=0.01)
    lowest = done.surface.vertices[:, 2].min()
    assert lowest > -15 + 0.05  # the first hole is at the bottom, where the pole was


def test_the_wall_is_nowhere_thinner():
    done = hollow(ring(20.0, 6.0), wall_mm=2.0, drains=0)
    assert done.surface.genus == 2  # the ring's own hole, outside and inside
    away = np.linalg.norm(done.surface.vertices[:, :2], axis=1)
    tube = np.hypot(away - 20, done.surface.vertices[:, 2])
    inner = tube[tube < 5]
    assert len(inner)
    assert inner.max() < 4.06  # flat facets of the ring's rim are nearer by 0.03 mm
    assert inner.min() > 3.9
    assert measure_walls(done.surface).thinnest_mm == pytest.approx(2.0, abs=0.06)


def test_what_is_too_narrow_stays_solid():
    plate = box((30, 30, 3))
    done = hollow(plate, wall_mm=2.0)
    assert done.surface is plate
    assert (done.cavities, done.drains) == (0, 0)
    # Two balls with a thin neck: a cavity each, and each has its holes.
    neck = joined(ball(10.0, steps=32), ball(10.0, centre_mm=(0, 0, 30.0), steps=32))
    twice = hollow(neck, wall_mm=2.0, drains=1)
    assert (twice.cavities, twice.drains) == (2, 2)
    # A cavity narrower than a drain could not be emptied.
    small = hollow(ball(4.0), wall_mm=2.0, drain_mm=5.0)
    assert small.cavities == 0


def test_what_is_refused():
    with pytest.raises(DataError, match="inside out"):
        hollow(flipped(ball()), wall_mm=1.0)
    with pytest.raises(DataError, match="more than 0 mm"):
        hollow(ball(), wall_mm=0.0)
    with pytest.raises(DataError, match="too fine"):
        hollow(ball(100.0, steps=8), wall_mm=1.0, step_mm=0.01)
    half = ball(steps=8)
    open_ = type(half)(half.vertices, half.faces[:-3], half.label)
    with pytest.raises(DataError, match="encloses no solid"):
        hollow(open_, wall_mm=1.0)


def test_points_inside_agree_with_the_closed_form():
    surface = ball(9.0, steps=64)
    grid = around(surface, 0.5)
    away = np.linalg.norm(grid.to_points(np.stack(np.indices(grid.shape), -1)), axis=-1)
    within = inside(surface, grid)
    assert within[away < 8.98].all()
    assert not within[away > 9.0].any()
    found = depths(surface, grid, near_mm=2.0).mm
    near = within & (np.abs(9 - away - 2.0) < 0.7)
    np.testing.assert_allclose(found[near], 9 - away[near], atol=0.05)


def test_columns_that_meet_edges_and_corners_count_once():
    # Every column meets an edge or a corner of the box or lies in a face of it.
    cube = box((10, 10, 10), centre_mm=(5, 5, 5))
    grid = Grid.from_spacing((13, 13, 13), (1, 1, 1), origin_mm=(-1, -1, -1))
    within = inside(cube, grid)
    assert within[2:11, 2:11, 2:11].all()
    assert within.sum() == 1000  # half-open: of each pair of faces, one counts
    # Where pieces overlap, their union counts.
    two = joined(cube, box((4, 4, 4), centre_mm=(5, 5, 5)))
    np.testing.assert_array_equal(inside(two, grid), within)


def test_samples_leave_no_gap():
    plate = box((20, 10, 4))
    found = samples(plate, 1.0)
    rng = np.random.default_rng(2)
    at = rng.uniform(-0.5, 0.5, (200, 3)) * (20, 10, 4)
    at[:, 2] = 2  # the upper face
    nearest = np.linalg.norm(found[None] - at[:, None], axis=2).min(axis=1)
    assert nearest.max() < 0.75
