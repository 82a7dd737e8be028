"""OpenCV's rasteriser against exact arithmetic, pixel by pixel."""

import sys

import numpy as np
import pytest

from vesalius.errors import MissingDependencyError
from vesalius.mesh.rendering.raster import opencv, rasterise

pytest.importorskip("cv2")
ROWS, COLUMNS = 60, 80


def exactly(corners, faces, numbers):
    """What is nearest at the middle of each pixel; and the pixels that lie on an edge, where either is right."""
    y, x = np.mgrid[:ROWS, :COLUMNS] + 0.5
    inverse, found = np.zeros((ROWS, COLUMNS)), np.zeros((ROWS, COLUMNS, 3))
    edge = np.zeros((ROWS, COLUMNS), bool)
    for face in faces:
        (ax, ay, _), (bx, by, _), (cx, cy, _) = corners[face]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        first = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
        second = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
        shares = np.stack([first, second, 1 - first - second], -1) / corners[face, 2]
        least = np.minimum(np.minimum(first, second), 1 - first - second)
        edge |= np.abs(least * area) < 0.05
        nearer = (least >= 0) & (shares.sum(-1) > inverse)
        inverse[nearer] = shares.sum(-1)[nearer]
        found[nearer] = (shares @ numbers[face] / shares.sum(-1, keepdims=True))[nearer]
    with np.errstate(divide="ignore"):
        return 1 / inverse, found, edge


@pytest.mark.parametrize(("size", "start"), [(1.0, 0.0), (0.2, 0.5), (3.0, -1.0)])
def test_coverage_depth_and_numbers_are_exact(rng, size, start):
    """Also of triangles that reach out of the picture on all sides."""
    compared = 0
    for _ in range(15):
        corners = np.column_stack([(rng.random((24, 2)) * size + start) * (COLUMNS, ROWS), rng.uniform(1, 1.25, 24)])
        faces = np.array([rng.choice(24, 3, replace=False) for _ in range(6)], np.int32)
        numbers = rng.random((24, 3)).astype(np.float32)
        z, found = rasterise(corners, faces, numbers, (ROWS, COLUMNS))
        expected_z, expected, edge = exactly(corners, faces, numbers)
        inside = ~edge
        np.testing.assert_array_equal(np.isfinite(z)[inside], np.isfinite(expected_z)[inside])
        # Where two triangles cross, which is nearer is a matter of rounding.
        covered = inside & np.isfinite(z) & np.isfinite(expected_z)
        apart = np.abs(z[covered] - expected_z[covered])
        assert (apart > 1e-5).sum() <= 2
        away = np.abs(found - expected).max(axis=-1)[covered]
        assert (away > 1e-4).sum() <= 2
        compared += int(covered.sum())
    assert compared > 500


def test_triangles_that_share_an_edge_leave_no_gap(rng):
    steps = 24
    lattice = np.stack(np.meshgrid(np.linspace(2, 78, steps), np.linspace(2, 58, steps)), -1)
    lattice[1:-1, 1:-1] += rng.normal(0, 0.3, (steps - 2, steps - 2, 2))
    corners = np.column_stack([lattice.reshape(-1, 2), np.full(steps**2, 1.1)])
    i = np.arange(steps**2).reshape(steps, steps)
    halves = ((i[:-1, :-1], i[1:, :-1], i[:-1, 1:]), (i[1:, :-1], i[1:, 1:], i[:-1, 1:]))
    faces = np.concatenate([np.stack(three, -1).reshape(-1, 3) for three in halves]).astype(np.int32)
    for facing, covered in (("both", 76 * 56), ("front", 76 * 56), ("back", 0)):
        z, _ = rasterise(corners, faces, np.ones((steps**2, 3), np.float32), (ROWS, COLUMNS), facing=facing)
        assert np.isfinite(z).sum() == covered


@pytest.mark.parametrize("farthest", np.linspace(1.0, 1.3, 41))
def test_nothing_is_nothing_whatever_the_depth(farthest):
    """OpenCV gives back the depth that it was given a hair nearer, at some depths."""
    corners = np.array([[5, 5, farthest], [5, 6, 1.0], [6, 5, farthest]])
    z, _ = rasterise(corners, np.array([[0, 1, 2]], np.int32), np.zeros((3, 3), np.float32), (ROWS, COLUMNS))
    assert np.isfinite(z).sum() <= 1


def test_no_triangles():
    z, found = rasterise(np.zeros((0, 3)), np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32), (2, 3))
    assert np.isinf(z).all()
    assert not found.any()


@pytest.mark.parametrize("version", ["none", "old"])
def test_without_opencv_5_there_is_advice(monkeypatch, version):
    old = type(sys)("cv2") if version == "old" else None
    monkeypatch.setitem(sys.modules, "cv2", old)
    with pytest.raises(MissingDependencyError, match=r"vesalius\[pictures\]"):
        opencv()
