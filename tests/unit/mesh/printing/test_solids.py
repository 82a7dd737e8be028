"""Cuts, connectors, bases, unions, walls, proofs: closed forms and what manifold3d and trimesh say."""

from dataclasses import replace

import numpy as np
import pytest
from bodies import ball, box, flipped, joined, ring

from vesalius.errors import DataError
from vesalius.mesh import check
from vesalius.mesh.printing import (
    Base,
    Connectors,
    Cut,
    Hollowing,
    cut,
    measure_walls,
    prepare,
    prove,
    scale_to_fit,
    scaled,
    size_of,
    stand,
    united,
)
from vesalius.mesh.printing.solid import SEGMENTS, upright
from vesalius.mesh.surface import Surface

pytest.importorskip("manifold3d")
BLOCK = box((40.0, 30.0, 20.0), centre_mm=(100.0, -7.0, 3.0), name="block")
DISC = SEGMENTS / 2 * np.sin(2 * np.pi / SEGMENTS)  # area of what stands for a circle of radius 1


@pytest.mark.parametrize(("direction", "axis"), [("sagittal", 0), ("coronal", 1), ("axial", 2)])
def test_a_cut_block_with_connectors(direction, axis):
    at = (104.0, -5.0, 1.0)[axis]
    wanted = Connectors(count=2, diameter_mm=4.0, length_mm=5.0, clearance_mm=0.25)
    done = cut(BLOCK, direction, at, connectors=wanted)
    assert done.connectors == 2
    np.testing.assert_allclose(done.centres_mm[:, axis], at)
    low = BLOCK.bounds_mm[0][axis]
    share = (at - low) / (40, 30, 20)[axis]
    pins, holes = 2 * DISC * 2.0**2 * 5.0, 2 * DISC * 2.25**2 * 5.25
    assert done.lower.volume_ml * 1000 == pytest.approx(24000 * share + pins, rel=1e-9)
    assert done.upper.volume_ml * 1000 == pytest.approx(24000 * (1 - share) - holes, rel=1e-9)
    assert done.lower.bounds_mm[1][axis] == pytest.approx(at + 5.0)
    assert done.upper.bounds_mm[0][axis] == pytest.approx(at)
    assert (done.lower.genus, done.upper.genus) == (0, 0)
    assert all(check(half).is_sound for half in (done.lower, done.upper))


def test_halves_without_connectors_are_the_whole():
    done = cut(ring(), "sagittal", 1.0)
    assert done.lower.volume_ml + done.upper.volume_ml == pytest.approx(ring().volume_ml, rel=1e-9)
    assert (done.lower.genus, done.upper.genus) == (0, 0)
    assert done.lower.label.name == "ring, part 1"


def test_connectors_need_room_and_material():
    thin = box((40, 5, 20))  # no hole of 4 mm with walls of 1.5 mm
    assert cut(thin, "axial", 0.0, connectors=Connectors(diameter_mm=4)).connectors == 0
    # Wide at the cut, but hollow just above it: a pin would stand in the air.
    lid = box((40, 40, 4), centre_mm=(0, 0, 2))
    assert cut(lid, "axial", 0.5, connectors=Connectors(length_mm=5)).connectors == 0
    assert cut(lid, "axial", 0.5, connectors=Connectors(length_mm=1.5, wall_mm=1)).connectors == 2
    # Both arms of a ring have a pin: they stand far apart.
    arms = cut(ring(20, 6), "sagittal", 0.0, connectors=Connectors(diameter_mm=4, length_mm=3, wall_mm=1))
    assert arms.connectors == 2
    assert np.linalg.norm(np.diff(arms.centres_mm, axis=0)) > 38


def test_cuts_that_miss():
    with pytest.raises(DataError, match="leaves nothing on one side"):
        cut(BLOCK, "axial", 500.0)
    with pytest.raises(DataError, match="unknown plane"):
        cut(BLOCK, "oblique", 0.0)
    with pytest.raises(DataError, match="connectors have"):
        Connectors(diameter_mm=0)
    with pytest.raises(DataError, match="between 0 and 1"):
        Cut("axial", 1.0)


def test_a_base_carries_and_joins():
    ground = stand(box((10, 10, 10)), thickness_mm=3, margin_mm=0, sink_mm=1)
    assert ground.volume_ml * 1000 == pytest.approx(1000 + 10 * 10 * 2)
    assert size_of([ground]) == pytest.approx((10, 10, 12))
    wide = stand(box((10, 10, 10)), thickness_mm=3, margin_mm=2, sink_mm=1)
    plate = 100 + 4 * 10 * 2 + DISC * 4  # a square, its sides and rounded corners
    assert wide.volume_ml * 1000 == pytest.approx(1000 + plate * 3 - 100 * 1, rel=1e-3)
    apart = joined(box((5, 5, 5)), box((5, 5, 5), centre_mm=(20, 0, 0)))
    assert (apart.pieces, stand(apart).pieces) == (2, 1)
    with pytest.raises(DataError, match="sinks"):
        stand(BLOCK, sink_mm=9)


def test_a_union_takes_inner_walls_away():
    left, right = box((10, 10, 10)), box((10, 10, 10), centre_mm=(10, 0, 0), name="right", value=2)
    whole = united([left, right], name="both")
    assert whole.volume_ml * 1000 == pytest.approx(2000)
    assert (whole.pieces, whole.area_mm2) == (1, pytest.approx(2 * 100 + 4 * 200))
    assert whole.label.name == "both"
    with pytest.raises(DataError, match="nothing to unite"):
        united([])


def test_walls_of_closed_forms():
    slab = measure_walls(box((30, 20, 2.5)))
    assert (slab.thinnest_mm, slab.thickest_mm) == (pytest.approx(2.5, rel=0.01), pytest.approx(2.5, rel=0.01))
    tube = measure_walls(ring(20, 5, steps=96))
    assert tube.thinnest_mm == pytest.approx(10, rel=0.04)  # flat facets of a tube are nearer to each other
    assert tube.thickest_mm == pytest.approx(10, rel=0.02)
    # A block with a blade: thin where the blade is, thick where the block is.
    blade = united([box((20, 20, 20)), box((0.6, 10, 10), centre_mm=(0, 0, 14))])
    found = measure_walls(blade)
    assert found.thinnest_mm == pytest.approx(0.6, rel=0.02)
    assert found.thinnest_at[2] > 10
    assert found.thickest_mm == pytest.approx(20, rel=0.02)
    with pytest.raises(DataError, match="more than 0 mm apart"):
        measure_walls(BLOCK, apart_mm=0)


def test_a_wedge_gets_thin_towards_its_edge_and_a_box_does_not():
    corners = np.array([[0, 0, 0], [20, 0, 3], [20, 0, -3], [0, 10, 0], [20, 10, 3], [20, 10, -3]], float)
    faces = [[0, 2, 1], [3, 4, 5], [0, 1, 4], [0, 4, 3], [0, 3, 5], [0, 5, 2], [1, 2, 5], [1, 5, 4]]
    wedge = Surface(corners, np.array(faces), box().label)
    assert check(wedge).is_sound
    found = measure_walls(wedge)
    assert found.thinnest_mm < 0.3
    assert found.thinnest_at[0] < 1


def test_proofs():
    fine = prove(BLOCK, build_volume_mm=(45, 45, 45), material="pla")
    assert fine.is_printable
    assert (fine.volume_cm3, fine.mass_g) == (pytest.approx(24), pytest.approx(24 * 1.24))
    # It fits lying down, though not as it stands.
    assert prove(BLOCK, build_volume_mm=(21, 31, 41)).is_printable
    assert "more than the printer's" in prove(BLOCK, build_volume_mm=(100, 35, 19)).problems[0]
    thin = prove(box((30, 30, 0.5)), least_wall_mm=0.8)
    assert "thinnest wall is 0.50 mm" in thin.problems[0]
    assert prove(box((30, 30, 0.5)), least_wall_mm=0.4).is_printable
    open_ = Surface(BLOCK.vertices, BLOCK.faces[1:], BLOCK.label)
    assert "not watertight: 3 edges" in prove(open_).problems[0]
    assert prove(open_).thinnest_mm is None
    assert "outwards" in prove(flipped(BLOCK)).problems[0]
    doubled = joined(BLOCK, BLOCK)
    twice = Surface(BLOCK.vertices, np.concatenate([BLOCK.faces, BLOCK.faces]), BLOCK.label)
    assert "not manifold" in prove(twice).problems[0]
    assert doubled.pieces == 2
    empty = Surface(np.zeros((0, 3)), np.zeros((0, 3), np.int32), BLOCK.label)
    assert prove(empty).problems == ("it is empty",)
    with pytest.raises(DataError, match="unknown material 'wood'"):
        prove(BLOCK, material="wood")


def test_scales():
    assert scaled(BLOCK, 0.5).volume_ml == pytest.approx(3)
    assert scale_to_fit([BLOCK], (400, 300, 200)) == 1
    factor = scale_to_fit([BLOCK], (20, 300, 200))
    assert size_of([scaled(BLOCK, factor)])[0] == pytest.approx(20, rel=1e-3)
    assert size_of([scaled(BLOCK, factor)])[0] < 20
    with pytest.raises(DataError, match="scale"):
        scaled(BLOCK, 0)
    with pytest.raises(DataError, match="build volume"):
        scale_to_fit([BLOCK], (0, 1, 1))


def test_prepared_solids_stand_on_the_bed():
    other = box((5, 5, 5), centre_mm=(130, -7, 3), name="other", value=2)
    done = prepare([BLOCK, other], scale=0.5)
    assert done.assembled
    low = np.min([surface.bounds_mm[0] for surface in done.surfaces], axis=0)
    np.testing.assert_allclose(low, 0, atol=1e-9)
    gap = np.mean(done.surfaces[1].bounds_mm, axis=0) - np.mean(done.surfaces[0].bounds_mm, axis=0)
    np.testing.assert_allclose(gap, (15, 0, 0), atol=1e-9)  # half of 30 mm
    assert sum(one.volume_ml for one in done.surfaces) == pytest.approx((24 + 0.125) / 8)


def test_what_hangs_in_the_air_is_laid_on_the_bed():
    above = box((5, 5, 5), centre_mm=(100, -7, 90), name="above", value=2)
    together, apart = (prepare([BLOCK, above], apart=choice) for choice in (False, True))
    assert [surface.bounds_mm[0][2] for surface in together.surfaces] == pytest.approx([0, 94.5])
    assert [surface.bounds_mm[0][2] for surface in apart.surfaces] == pytest.approx([0, 0])
    assert apart.surfaces[0].bounds_mm[1][0] < apart.surfaces[1].bounds_mm[0][0]
    assert (together.assembled, apart.assembled) == (True, False)


def test_the_whole_preparation():
    done = prepare(
        [BLOCK, replace(box((10, 10, 40), centre_mm=(100, -7, 3)), label=BLOCK.label)],
        fit_mm=(40, 40, 20),
        unite=True,
        base=Base(thickness_mm=2),
        cut_at=Cut("sagittal", 0.5),
        connectors=Connectors(count=1, diameter_mm=3, length_mm=2, wall_mm=1),
        hollowing=Hollowing(wall_mm=1.5, drains=1, drain_mm=2),
    )
    assert done.scale == pytest.approx(0.5, rel=1e-3)
    assert (len(done.surfaces), done.connectors, done.assembled) == (2, 1, False)
    assert done.cavities == done.drains >= 2
    assert len({surface.label.value for surface in done.surfaces}) == 2
    left, right = done.surfaces
    assert left.bounds_mm[1][0] < right.bounds_mm[0][0]  # side by side
    for surface in done.surfaces:
        assert surface.bounds_mm[0][2] == pytest.approx(0)
        assert prove(surface, least_wall_mm=0.8).is_printable


def test_preparations_that_do_not_go_together():
    with pytest.raises(DataError, match="unite them"):
        prepare([BLOCK, ball()], base=Base())
    with pytest.raises(DataError, match="say where to cut"):
        prepare([BLOCK], connectors=Connectors())
    with pytest.raises(DataError, match="nothing to print"):
        prepare([])
    with pytest.raises(DataError, match="inside out"):
        prepare([flipped(BLOCK)])


def test_turning_is_a_rotation():
    rng = np.random.default_rng(4)
    for normal in [*np.eye(3), *-np.eye(3), *rng.normal(size=(20, 3))]:
        way = normal / np.linalg.norm(normal)
        turn = upright(way)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)
        np.testing.assert_allclose(turn @ (0, 0, 1), way, atol=1e-12)
