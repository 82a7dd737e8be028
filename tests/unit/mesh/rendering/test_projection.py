"""Where points land, worked out by hand."""

import numpy as np
import pytest

from vesalius.mesh.rendering import Camera
from vesalius.mesh.rendering.projection import Projection, fitted

SIZE = (80, 60)


def test_a_millimetre_is_a_millimetre_at_any_depth():
    projection = Projection(Camera(), np.array([10.0, 20.0, 30.0]), 0.5, SIZE, 25.0)
    points = np.array([[10, 20, 30], [15, 20, 30], [10, 5, 33], [10, 45, 30], [10, -5, 30.0]])
    found = projection.project(points)
    np.testing.assert_allclose(found[:, :2], [[40, 30], [50, 30], [40, 24], [40, 30], [40, 30]])
    np.testing.assert_allclose(projection.depth_mm(found[:, 2].astype(np.float32)), [25, 25, 10, 50, 0], atol=1e-4)


def test_what_is_nearer_is_larger_with_perspective():
    projection = Projection(Camera(perspective=True), np.zeros(3), 0.5, SIZE, 25.0)
    away = projection.distance_mm
    assert away == pytest.approx(25 / np.sin(np.radians(15)))
    near, middle, far = projection.project(np.array([[5, -20, 0], [5, 0, 0], [5, 20, 0.0]]))
    assert middle[0] == pytest.approx(50)
    assert near[0] - 40 == pytest.approx(10 * away / (away - 20))
    assert far[0] - 40 == pytest.approx(10 * away / (away + 20))
    np.testing.assert_allclose(projection.depth_mm(np.float32([near[2], middle[2], far[2]])), [5, 25, 45], atol=1e-4)


@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("view", ["anterior", "left", "inferior"])
@pytest.mark.parametrize("turning", [False, True])
def test_all_fits_and_no_more_room_is_left_than_asked(rng, perspective, view, turning):
    points = rng.normal(size=(500, 3)) * (30, 10, 50) + (100, -40, 7)
    camera = Camera.of(view, perspective=perspective)
    projection = fitted(points, camera, SIZE, margins_px=(8.0, 5.0), turning=turning)
    x, y, z = projection.project(points).T
    assert x.min() >= 8 - 1e-6
    assert x.max() <= 72 + 1e-6
    assert y.min() >= 5 - 1e-6
    assert y.max() <= 55 + 1e-6
    assert z.min() >= 1
    assert z.max() <= projection.farthest
    if not turning:
        edges = np.abs([x.min() - 8, x.max() - 72, y.min() - 5, y.max() - 55])
        assert edges.min() < 1e-6


def test_a_turning_figure_keeps_its_size(rng):
    points = rng.normal(size=(100, 3)) * (30, 10, 50)
    made = [fitted(points, Camera(azimuth), SIZE, turning=True) for azimuth in range(0, 360, 45)]
    assert len({(one.mm_per_px, *one.centre_mm, one.radius_mm) for one in made}) == 1


def test_zoom_and_a_single_point():
    points = np.array([[0, 0, 0], [10, 0, 0.0]])
    assert fitted(points, Camera(zoom=2), SIZE).mm_per_px == fitted(points, Camera(), SIZE).mm_per_px / 2
    alone = fitted(np.zeros((1, 3)), Camera(), SIZE)
    np.testing.assert_allclose(alone.project(np.zeros((1, 3)))[0, :2], [40, 30])


@pytest.mark.parametrize("perspective", [False, True])
def test_lines_of_sight_meet_planes_where_points_of_the_plane_are(rng, perspective):
    camera = Camera(35, 20, perspective=perspective)
    projection = Projection(camera, np.array([1.0, 2, 3]), 0.7, SIZE, 30.0, offset=(3, 9))
    normal = np.array([0.6, -0.8, 0.0])
    points = rng.uniform(-10, 10, (200, 3)) + projection.centre_mm
    points += np.outer(4.0 - points @ normal, normal)
    x, y, z = projection.project(points).T
    found = projection.met(x, y, normal, 4.0)
    away = camera.towards + 0.0
    if not perspective:
        expected = z if normal @ away > 0 else np.zeros(200)
    else:
        eye = projection.centre_mm + projection.distance_mm * away
        expected = z if normal @ eye > 4 else np.zeros(200)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(projection.met(x, y, -normal, -4.0) == 0, expected > 0)
