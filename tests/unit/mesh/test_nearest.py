"""Distances to surfaces: as by trying every triangle, on the right side, and known on paper for balls and boxes."""

import numpy as np
import pytest
from bodies import ball, box, joined, ring

from vesalius.errors import DataError
from vesalius.image import Label
from vesalius.mesh.nearest import nearest
from vesalius.mesh.surface import Surface

trimesh = pytest.importorskip("trimesh")


def _winding(surface, points):
    """How often a surface goes around each point. Source: van Oosterom and Strackee, IEEE TBME 30:125 (1983)."""
    a, b, c = (surface.vertices[surface.faces][None, :, k] - points[:, None] for k in range(3))
    lengths = [np.linalg.norm(one, axis=2) for one in (a, b, c)]
    top = np.einsum("pfx,pfx->pf", a, np.cross(b, c))
    below = np.prod(lengths, axis=0)
    for one, other, length in ((a, b, lengths[2]), (b, c, lengths[0]), (c, a, lengths[1])):
        below += (one * other).sum(axis=2) * length
    return (2 * np.arctan2(top, below)).sum(axis=1) / (4 * np.pi)


@pytest.mark.parametrize(
    "surface",
    [ball(10.0, steps=10), box((8, 4, 2)), ring(steps=20), joined(ball(3.0, steps=6), box(centre_mm=(9, 0, 0)))],
)
def test_as_by_trying_every_triangle(surface):
    low, high = np.array(surface.bounds_mm)
    points = np.random.default_rng(4).uniform(low - 8, high + 8, (250, 3))
    corners = surface.vertices[surface.faces]
    # On corners, on edges, on faces, and off the corners, where the normal of one face alone tells the wrong side.
    points = np.concatenate([points, surface.vertices[:20], corners[:20, :2].mean(axis=1), corners[:20].mean(axis=1)])
    points = np.concatenate([points, (surface.vertices[:40] - low) * 1.2 + low, surface.vertices[:20] * 0.9])
    found = nearest(surface, points)
    tried = trimesh.triangles.closest_point(
        np.tile(corners, (len(points), 1, 1)), np.repeat(points, len(corners), axis=0)
    ).reshape(len(points), len(corners), 3)
    expected = np.linalg.norm(tried - points[:, None], axis=2).min(axis=1)
    np.testing.assert_allclose(np.abs(found.distance_mm), expected, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found.points - points, axis=1), expected, atol=1e-12)
    off = expected > 1e-9
    np.testing.assert_array_equal(found.distance_mm[off] < 0, _winding(surface, points[off]) > 0.5)


def test_distances_known_on_paper():
    cube = box((10, 10, 10))
    at = [[0, 0, 9], [8, 9, 0], [8, 8, 8], [0, 0, 4], [1, -2, 0], [5, 0, 0]]
    np.testing.assert_allclose(nearest(cube, at).distance_mm, [4, 5, np.sqrt(27), -1, -3, 0], atol=1e-12)
    np.testing.assert_allclose(nearest(cube, [[8, 9, 1]]).points, [[5, 5, 1]], atol=1e-12)
    away = np.array([[30.0, 40.0, 0.0], [0.0, 0.3, 0.4]])
    found = nearest(ball(10.0, steps=120), away)
    np.testing.assert_allclose(found.distance_mm, [40, -9.5], atol=4e-3)


def test_a_cavity_is_outside():
    outer, hole = ball(10.0, steps=24), ball(5.0, steps=24)
    shell = joined(outer, Surface(hole.vertices, hole.faces[:, ::-1], hole.label))
    found = nearest(shell, [[0, 0, 0], [0, 0, 7], [0, 0, 12]]).distance_mm
    np.testing.assert_allclose(found, [5, -2, 2], atol=0.05)


def test_triangles_without_an_area_are_passed_over():
    corners = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4], [2, 0, 0.0]])
    faces = [[0, 2, 1], [0, 4, 3], [4, 1, 3], [0, 1, 4], [0, 3, 2], [1, 2, 3]]  # [0, 1, 4] is a line
    found = nearest(Surface(corners, faces, Label("corner", 1)), [[2, -3, 1], [1, 1, 1], [2, -1, -1]]).distance_mm
    np.testing.assert_allclose(found, [3, -1 / np.sqrt(3), np.sqrt(2)], atol=1e-12)


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(DataError, match="is empty"):
        nearest(Surface(np.zeros((0, 3)), np.zeros((0, 3), int), Label("none", 1)), [[0, 0, 0]])
    for points in ([0, 0, 0], [[0, 0]], [[0, 0, float("nan")]]):
        with pytest.raises(DataError, match="finite"):
            nearest(box(), points)
    assert nearest(box(), np.zeros((0, 3))).distance_mm.shape == (0,)
