"""Broken surfaces: what was wrong is told, the result is sound, and the volume that of the body on paper."""

import numpy as np
import pytest
import trimesh
from bodies import ball, box, flipped, joined
from skimage.measure import marching_cubes

from vesalius.errors import DataError
from vesalius.image import Label
from vesalius.mesh import check, repair
from vesalius.mesh.repairing.fans import oriented, split
from vesalius.mesh.repairing.holes import fill
from vesalius.mesh.repairing.winding import winding
from vesalius.mesh.surface import Surface

BODY = Label("body", 1)
BALL = ball(10.0, steps=24)
SMALL = ball(4.0, steps=12)


def test_what_is_sound_stays_as_it_is():
    made = repair(BALL)
    assert made.surface is BALL
    assert not made.is_changed


def test_holes_are_closed(rng):
    gone = rng.choice(len(BALL.faces), 40, replace=False)
    made = repair(Surface(BALL.vertices, np.delete(BALL.faces, gone, axis=0), BODY))

    assert check(made.surface).is_sound
    assert 30 < made.filled_holes <= 40
    assert made.surface.volume_ml == pytest.approx(BALL.volume_ml, rel=3e-3)
    assert (made.surface.genus, made.surface.pieces) == (0, 1)
    assert made.resolved == "none"


def test_a_large_flat_hole_is_closed_flat_if_that_is_allowed():
    below = BALL.vertices[BALL.faces][..., 2].max(axis=1) < 2
    bowl = Surface(BALL.vertices, BALL.faces[below], BODY)
    with pytest.raises(DataError, match=r"hole (19|20)\.\d mm across"):
        repair(bowl, largest_hole_mm=10)
    made = repair(bowl, largest_hole_mm=40)

    assert made.largest_hole_mm == pytest.approx(2 * np.sqrt(100 - 4), rel=0.05)
    height = 10 + made.surface.bounds_mm[1][2]
    assert made.surface.volume_ml * 1000 == pytest.approx(np.pi * height**2 * (10 - height / 3), rel=0.04)
    assert made.surface.bounds_mm[1][2] < 2


def test_faces_are_turned_alike_and_outwards(rng):
    faces = BALL.faces.copy()
    chosen = rng.choice(len(faces), len(faces) // 5, replace=False)
    faces[chosen] = faces[chosen][:, ::-1]
    made = repair(Surface(BALL.vertices, faces, BODY))

    assert made.turned_faces == len(chosen)
    assert made.surface.volume_ml == pytest.approx(BALL.volume_ml)
    assert repair(flipped(BALL)).surface.volume_ml == pytest.approx(BALL.volume_ml)


def test_a_soup_of_triangles_is_welded_also_where_corners_are_only_nearly_the_same(rng):
    corners = BALL.vertices[BALL.faces].reshape(-1, 3)
    corners = corners + rng.uniform(-2e-4, 2e-4, corners.shape)
    soup = Surface(corners, np.arange(len(corners)).reshape(-1, 3), BODY)
    made = repair(soup)

    assert made.welded == len(corners) - len(BALL.vertices)
    assert len(made.surface.vertices) == len(BALL.vertices)
    assert made.surface.volume_ml == pytest.approx(BALL.volume_ml, rel=1e-4)


def test_faces_that_stand_there_twice_go():
    faces = np.concatenate([BALL.faces, BALL.faces[:9], BALL.faces[40:44][:, ::-1]])
    made = repair(Surface(BALL.vertices, faces, BODY))
    assert check(made.surface).is_sound
    assert made.removed_faces >= 9
    assert made.surface.volume_ml == pytest.approx(BALL.volume_ml, rel=1e-3)


@pytest.mark.parametrize(("shift", "pieces"), [((4, 4, 0), 2), ((4, 4, 4), 2), ((4, 0, 0), 1)])
def test_bodies_that_touch_are_parted_at_edges_and_corners_and_joined_at_walls(shift, pieces):
    both = joined(box((4, 4, 4)), box((4, 4, 4), centre_mm=shift))
    made = repair(both)

    assert check(made.surface).is_sound
    assert made.surface.pieces == pieces
    assert made.surface.volume_ml == pytest.approx(0.128, rel=0.03)
    # Others join what lies at one place.
    assert trimesh.Trimesh(made.surface.vertices, made.surface.faces).is_watertight


@pytest.mark.parametrize("seed", [0, 1])
def test_walls_between_boxes_go_though_their_triangles_differ(seed):
    filled = np.random.default_rng(seed).random((6, 6, 6)) < 0.4
    soup = trimesh.voxel.VoxelGrid(filled).as_boxes()
    soup.merge_vertices()
    made = repair(Surface(soup.vertices, soup.faces.astype(np.int32), BODY), step_mm=0.1)

    assert made.resolved == ("remeshed", "united")[seed]
    assert made.surface.volume_ml * 1000 == pytest.approx(filled.sum(), rel=0.03)
    assert check(made.surface).is_sound


def test_bodies_that_overlap_become_one_and_cavities_stay():
    shift = 9.0
    made = repair(joined(BALL, ball(10.0, steps=24, centre_mm=(shift, 0.1, 0.2))))
    lens = np.pi * (4 * 10 + shift) * (2 * 10 - shift) ** 2 / 12  # of two equal balls
    assert made.resolved == "united"
    assert made.surface.volume_ml * 1000 == pytest.approx(2 * 4 / 3 * np.pi * 1000 - lens, rel=0.025)

    hollow = repair(joined(flipped(BALL), SMALL))  # the outer one inside out, the inner one a body
    assert (hollow.removed_pieces, hollow.surface.pieces) == (1, 1)
    cavity = repair(joined(Surface(BALL.vertices, BALL.faces[5:], BODY), flipped(SMALL)))
    assert (cavity.removed_pieces, cavity.surface.pieces) == (0, 2)
    assert cavity.surface.volume_ml == pytest.approx(BALL.volume_ml - SMALL.volume_ml, rel=1e-3)


def test_a_few_triangles_that_cut_each_other_are_taken_out():
    vertices = BALL.vertices.copy()
    vertices[7] *= -1.5  # a spike through the other side
    spiked = Surface(vertices, BALL.faces, BODY)
    assert check(spiked).self_intersections
    made = repair(spiked)

    assert made.resolved == "patched"
    assert made.surface.volume_ml == pytest.approx(BALL.volume_ml, rel=0.01)
    assert made.error_mm == 0


@pytest.mark.parametrize(("around", "across", "resolved"), [(60, 48, "patched"), (20, 14, "remeshed")])
def test_what_cuts_itself_all_over_is_made_anew_and_the_error_told(around, across, resolved):
    """A ring whose tube is thicker than its radius: a spindle, which covers its middle twice."""
    u, v = np.meshgrid(np.arange(around) / around * 2 * np.pi, np.arange(across) / across * 2 * np.pi, indexing="ij")
    away = 4 + 6 * np.cos(v)
    points = np.stack([away * np.cos(u), away * np.sin(u), 6 * np.sin(v)], axis=-1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    a, b = i * across + j, (i + 1) % around * across + j
    c, d = (i + 1) % around * across + (j + 1) % across, i * across + (j + 1) % across
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    made = repair(Surface(points, faces.astype(np.int32), BODY), step_mm=0.3)

    assert made.resolved == resolved
    assert (0 < made.error_mm < 0.3) == (resolved == "remeshed")
    assert check(made.surface).is_sound
    # A body of revolution: a circle's larger part, from the axis outwards.
    t = np.linspace(-10, 10, 200_001)
    height = np.sqrt(np.clip(36 - (np.abs(t) - 4) ** 2, 0, None))
    volume = np.trapezoid(2 * height * np.abs(t), t) * np.pi
    volume *= np.sinc(2 / around) * np.sinc(2 / across)  # of polygons in these circles
    assert made.surface.volume_ml * 1000 == pytest.approx(volume, rel=0.03)


def test_marching_cubes_that_look_inwards_are_turned(rng):
    filled = np.pad((rng.random((8, 8, 8)) < 0.3).astype(float), 1)
    vertices, faces, _, _ = marching_cubes(filled, 0.5)
    made = repair(Surface(vertices, faces.astype(np.int32), BODY))
    assert check(made.surface).is_sound
    assert made.surface.volume_ml > 0


def test_a_thousand_islands_with_a_hole_each():
    one = box((1, 1, 1))
    places = np.stack(np.meshgrid(*[np.arange(10) * 3.0] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    corners = (one.vertices + places[:, None]).reshape(-1, 3)
    faces = (one.faces[1:] + len(one.vertices) * np.arange(len(places))[:, None, None]).reshape(-1, 3)
    made = repair(Surface(corners, faces, BODY))

    assert (made.filled_holes, made.surface.pieces, made.surface.genus) == (1000, 1000, 0)
    assert made.surface.volume_ml == pytest.approx(1.0)


def test_what_cannot_be_mended_is_refused():
    needle = Surface([[0, 0, 0], [9, 0, 0], [4, 0, 0]], [[0, 1, 2]], BODY)
    with pytest.raises(DataError, match="encloses nothing"):
        repair(needle)
    flat = Surface([[0, 0, 0], [9, 0, 0], [0, 9, 0]], [[0, 1, 2]], BODY)
    with pytest.raises(DataError, match=r"cannot be made sound|nothing"):
        repair(flat)
    with pytest.raises(DataError, match="is empty"):
        repair(Surface(np.zeros((0, 3)), np.zeros((0, 3), int), BODY))
    turn = np.arange(1600) / 1600 * 2 * np.pi
    rim = np.column_stack([np.cos(turn), np.sin(turn), 0 * turn]) * 9
    cone = np.stack([np.roll(np.arange(1600), -1), np.arange(1600), np.full(1600, 1600)], axis=1)
    with pytest.raises(DataError, match="more than 1,500 edges"):
        repair(Surface(np.concatenate([rim, [[0, 0, 5]]]), cone, BODY), largest_hole_mm=50)
    with pytest.raises(DataError, match="0 mm or more"):
        repair(BALL, largest_hole_mm=-1)
    # A strip with one side, closed by nothing.
    turn = np.arange(24) / 24 * 2 * np.pi
    ring = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1) * 10
    way = np.stack([np.cos(turn / 2) * np.cos(turn), np.cos(turn / 2) * np.sin(turn), np.sin(turn / 2)], axis=1)
    strip = np.concatenate([ring - 2 * way, ring + 2 * way])
    k = np.arange(24)
    after = np.where(k == 23, 24, k + 1)  # where it closes, the sides change places
    over = np.where(k == 23, 0, k + 25)
    faces = np.concatenate([np.stack([k, after, k + 24], 1), np.stack([after, over, k + 24], 1)])
    with pytest.raises(DataError):
        repair(Surface(strip, faces, BODY), largest_hole_mm=50)


def test_pieces_of_it():
    bowtie = np.array([[0, 1, 2], [0, 3, 4]], np.int32)
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [-1, 0, 0], [-1, -1, 0.0]])
    assert len(split(points, bowtie)[0]) == 5  # on the edge of a hole: what closes it decides
    faces, piece, changed = oriented(np.array([[0, 1, 2], [1, 2, 3], [2, 4, 3]], np.int32))
    assert changed.sum() == 1
    assert piece.max() == 0
    square = np.array([[0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0], [2, 2, -3.0]])
    pyramid = np.array([[1, 0, 4], [2, 1, 4], [3, 2, 4], [0, 3, 4]], np.int32)
    made = fill(square, pyramid, largest_mm=9)
    assert (made.count, len(made.faces)) == (1, 6)
    assert abs(winding(square, made.faces, np.array([2.0, 2.0, -1.0]))) == pytest.approx(1)
    assert fill(square, pyramid, largest_mm=1).left == 1
    assert faces.shape == (3, 3)
