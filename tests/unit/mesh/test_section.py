import numpy as np
import pytest

from vesalius.image import Label
from vesalius.mesh import Surface
from vesalius.mesh.section import section
from vesalius.transform.partition import Plane

CUBE = np.array([[i, j, k] for i in (0, 10) for j in (0, 10) for k in (0, 10.0)])
FACES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
        *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
    ]
)


def cube(shift=(0.0, 0.0, 0.0)) -> Surface:
    return Surface(CUBE + shift, FACES, Label("cube", 1))


def ball(radius_mm=10.0, rings=96) -> Surface:
    """A ball around the origin: its vertices lie on the sphere."""
    polar = np.pi * np.arange(1, rings) / rings
    around = 2 * np.pi * np.arange(2 * rings) / (2 * rings)
    flat = [np.outer(np.sin(polar), np.cos(around)), np.outer(np.sin(polar), np.sin(around))]
    body = np.stack([*flat, np.repeat(np.cos(polar)[:, None], len(around), axis=1)], axis=-1).reshape(-1, 3)
    count, last = len(around), len(body)
    faces = []
    for ring in range(rings - 2):
        for at in range(count):
            a, b = ring * count + at, ring * count + (at + 1) % count
            faces += [[a, a + count, b], [b, a + count, b + count]]
    for at in range(count):
        faces.append([last, at, (at + 1) % count])
        faces.append([last + 1, last - count + (at + 1) % count, last - count + at])
    points = np.concatenate([body, [[0, 0, 1], [0, 0, -1]]])
    return Surface(points * radius_mm, np.array(faces), Label("ball", 1))


def area_mm2(line, normal) -> float:
    """Positive where the line runs counter-clockwise seen from the tip of the normal."""
    return float(np.cross(line[:-1], line[1:]).sum(axis=0) @ np.asarray(normal)) / 2


@pytest.mark.parametrize("normal", [(0, 0, 1), (1, 0, 0), (1, 2, -3), (-0.3, 0.2, 0.9)])
@pytest.mark.parametrize("at_mm", [0.0, 6.0, -8.0])
def test_a_ball_is_cut_in_a_circle(normal, at_mm):
    unit = np.asarray(normal) / np.linalg.norm(normal)
    plane = Plane(tuple(unit * at_mm), normal)
    (line,) = section(ball(), plane)
    np.testing.assert_array_equal(line[0], line[-1])
    np.testing.assert_allclose(plane.side_mm(line), 0, atol=1e-9)
    radii = np.linalg.norm(line - unit * at_mm, axis=1)
    np.testing.assert_allclose(radii, np.sqrt(100 - at_mm**2), atol=0.02)
    assert area_mm2(line, unit) == pytest.approx(np.pi * (100 - at_mm**2), rel=2e-3)


@pytest.mark.parametrize("shift", [0.0, 1e-9])
def test_a_plane_through_vertices_makes_closed_lines(shift):
    """Through a cube's edges and corners: what lies in the plane counts as above it."""
    for normal in ((1, 1, 0), (1, -1, 0), (1, 1, 1), (0, 0, 1)):
        for line in section(cube(), Plane((shift, 0.0, 0.0), normal)):
            np.testing.assert_array_equal(line[0], line[-1])
    assert section(cube(), Plane((0, 0, 0.0), (0, 0, 1))) == ()  # its floor lies in the plane, and all else above
    (roof,) = section(cube(), Plane((0, 0, 10.0), (0, 0, 1)))
    assert area_mm2(roof, (0, 0, 1)) == pytest.approx(100)


def test_two_pieces_are_two_lines_and_a_cavity_runs_the_other_way():
    one, hollow, count = ball(), ball(6.0), len(ball().vertices)
    points = np.concatenate([one.vertices, hollow.vertices, one.vertices + np.array([30.0, 0.0, 0.0])])
    faces = np.concatenate([one.faces, hollow.faces[:, ::-1] + count, one.faces + 2 * count])
    both = Surface(points, faces, Label("shell and ball", 1))
    areas = sorted(area_mm2(line, (0, 0, 1)) for line in section(both, Plane((0, 0, 1.0), (0, 0, 1))))
    np.testing.assert_allclose(areas, [-np.pi * 35, np.pi * 99, np.pi * 99], rtol=3e-3)


def test_an_open_surface_gives_an_open_line():
    half = Surface(CUBE, FACES[2:], Label("open", 1))  # without its side at x = 0
    (line,) = section(half, Plane((0, 0, 5.0), (0, 0, 1)))
    np.testing.assert_allclose(sorted([line[0].tolist(), line[-1].tolist()]), [[0, 0, 5], [0, 10, 5]])


def test_a_plane_that_misses():
    assert section(cube(), Plane((0, 0, 20.0), (0, 0, 1))) == ()
    assert (
        section(Surface(np.zeros((0, 3)), np.zeros((0, 3), int), Label("none", 1)), Plane((0, 0, 0), (0, 0, 1))) == ()
    )
