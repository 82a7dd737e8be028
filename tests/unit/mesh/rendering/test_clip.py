"""Surfaces with a part taken away: areas and places worked out by hand."""

import numpy as np
import pytest
from bodies import ball, box

from vesalius.errors import DataError
from vesalius.mesh import Surface
from vesalius.mesh.rendering import Clip
from vesalius.mesh.rendering.clip import Plane, clipped, plane_of


def area(vertices, faces) -> float:
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


@pytest.mark.parametrize("side", ["left", "right", "anterior", "posterior", "superior", "inferior"])
def test_a_quarter_of_a_box_goes_from_the_side_that_was_named(side):
    one = box((10.0, 20.0, 40.0), centre_mm=(5, 10, 20))
    plane = plane_of(Clip(side, 0.25), np.zeros(3), np.array([10.0, 20.0, 40.0]))
    vertices, faces, numbers = clipped(one.vertices, one.faces, one.vertices, plane)
    low, high = [0.0, 0, 0], [10.0, 20, 40]
    # LPS: left, behind and above are where coordinates grow.
    axis = {"left": 0, "right": 0, "posterior": 1, "anterior": 1, "superior": 2, "inferior": 2}[side]
    if side in ("left", "posterior", "superior"):
        high[axis] *= 0.75
    else:
        low[axis] = 0.25 * high[axis]
    used = vertices[np.unique(faces)]
    np.testing.assert_allclose(used.min(axis=0), low, atol=1e-12)
    np.testing.assert_allclose(used.max(axis=0), high, atol=1e-12)
    np.testing.assert_allclose(numbers[faces], vertices[faces], atol=1e-12)  # linear numbers stay linear
    x, y, z = np.array(high) - low
    cut = [y * z, x * z, x * y][axis]
    assert area(vertices, faces) == pytest.approx(2 * (x * y + y * z + z * x) - cut)
    assert Surface(vertices, faces, one.label).area_mm2 == pytest.approx(area(vertices, faces))


def test_a_cap_of_a_ball_and_the_sides_of_its_faces():
    one = ball(10.0, steps=90)
    vertices, faces, _ = clipped(one.vertices, one.faces, one.vertices, Plane(np.array([0, 0.6, 0.8]), 4.0))
    assert area(vertices, faces) == pytest.approx(2 * np.pi * 10 * 14, rel=0.002)  # Archimedes' hat box
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    normals = np.cross(b - a, c - a)
    large = np.linalg.norm(normals, axis=1) > 1e-6
    assert (np.einsum("ij,ij->i", normals, a)[large] > 0).all()  # outwards, as they were


def test_all_or_nothing():
    one = box()
    for at, count in ((20.0, 12), (-20.0, 0)):
        _, faces, _ = clipped(one.vertices, one.faces, one.vertices, Plane(np.array([1.0, 0, 0]), at))
        assert len(faces) == count


@pytest.mark.parametrize("wrong", [("front", 0.5), ("left", 0.0), ("left", 1.0), ("left", np.nan)])
def test_what_is_no_clip(wrong):
    with pytest.raises(DataError):
        Clip(*wrong)
