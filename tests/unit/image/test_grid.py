import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.errors import GeometryError
from vesalius.image import Grid


def turned(degrees: float) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


OBLIQUE = Grid.from_spacing((4, 5, 6), (0.5, 1.0, 3.0), origin_mm=(10, -20, 30), direction=turned(20))


@pytest.mark.parametrize(
    ("shape", "affine", "words"),
    [
        ((4, 5, 6), np.zeros((4, 4)), "last row"),
        ((4, 5, 6), np.diag([1.0, 1, 0, 1]), "singular"),
        ((4, 5, 6), np.full((4, 4), np.nan), "NaN"),
        ((4, 5, 6), np.eye(3), "4x4"),
        ((4, 5, 0), np.eye(4), "1 to"),
        ((4,), np.eye(2), "2 or 3"),
        ((4, 5, 6, 7), np.eye(5), "2 or 3"),
        ((4.5, 5, 6), np.eye(4), "whole"),
        ((4, 5, 1 << 40), np.eye(4), "1 to"),
    ],
)
def test_grids_that_cannot_be_are_refused(shape: tuple[int, ...], affine: np.ndarray, words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        Grid(shape, affine)


@pytest.mark.parametrize("spacing", [(1.0, 0.0, 1.0), (1.0, -1.0, 1.0), (1.0, math.inf, 1.0), (1.0, 1.0)])
def test_spacings_that_cannot_be_are_refused(spacing: tuple[float, ...]) -> None:
    with pytest.raises(GeometryError, match="spacing"):
        Grid.from_spacing((4, 5, 6), spacing)


def test_nearly_parallel_axes_are_singular_whatever_the_unit() -> None:
    tiny = Grid.from_spacing((4, 4, 4), (4e-6, 4e-6, 5e-5))  # nanometre pixels in millimetres
    assert tiny.spacing_mm == pytest.approx((4e-6, 4e-6, 5e-5))
    affine = np.eye(4)
    affine[:3, 1] = affine[:3, 0] + 1e-9
    with pytest.raises(GeometryError, match="singular"):
        Grid((4, 4, 4), affine)


def test_a_grid_cannot_be_changed() -> None:
    given_affine = np.eye(4)
    grid = Grid((2, 2, 2), given_affine)
    given_affine[0, 3] = 99  # the caller's array is not the grid's
    assert grid.origin_mm == (0, 0, 0)
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 2


def test_points_and_indices_by_hand() -> None:
    grid = Grid.from_spacing((4, 5, 6), (1, 2, 3), origin_mm=(10, 20, 30), direction=np.diag([-1, 1, 1]))
    assert grid.to_points([1, 1, 1]).tolist() == [9, 22, 33]
    assert grid.to_index([9, 22, 33]).tolist() == [1, 1, 1]
    assert grid.axis_codes == "RPS"
    assert grid.voxel_volume_mm3 == pytest.approx(6)


def test_a_gantry_tilt_is_no_right_angle() -> None:
    affine = np.eye(4)
    affine[1, 2] = 0.3
    assert not Grid((4, 4, 4), affine).is_orthogonal
    assert OBLIQUE.is_orthogonal


@given(st.permutations(range(3)), st.lists(st.sampled_from(range(3)), unique=True))
def test_permuting_and_flipping_move_no_voxel(order: list[int], axes: list[int]) -> None:
    moved = OBLIQUE.permute(order).flip(axes)
    for corner in np.ndindex(2, 2, 2):
        index = np.asarray(corner) * (np.asarray(OBLIQUE.shape) - 1)
        there = index[order].astype(float)
        for axis in axes:
            there[axis] = moved.shape[axis] - 1 - there[axis]
        assert np.allclose(moved.to_points(there), OBLIQUE.to_points(index), atol=1e-9)


@given(st.floats(-180, 180))
def test_axis_codes_name_each_direction_once(degrees: float) -> None:
    grid = Grid.from_spacing((4, 5, 6), (1, 1, 1), direction=turned(degrees))
    order, _ = grid.nearest_axes()
    assert sorted(order) == [0, 1, 2]
    assert len(set(grid.axis_codes)) == 3


def test_another_spacing_covers_the_same_extent() -> None:
    finer = OBLIQUE.with_spacing((0.25, 1.0, 1.5))
    assert finer.shape == (8, 5, 12)
    ends = [(-0.5, -0.5, -0.5), tuple(n - 0.5 for n in finer.shape)]
    wanted = [(-0.5, -0.5, -0.5), tuple(n - 0.5 for n in OBLIQUE.shape)]
    for mine, theirs in zip(ends, wanted, strict=True):
        assert np.allclose(finer.to_points(mine), OBLIQUE.to_points(theirs), atol=1e-9)


def test_a_crop_keeps_places_and_may_pad() -> None:
    box = OBLIQUE.crop((-1, 2, 0), (3, 3, 3))
    assert np.allclose(box.to_points([1, 0, 0]), OBLIQUE.to_points([0, 2, 0]))


def test_closeness_is_measured_at_the_corners() -> None:
    moved = Grid(OBLIQUE.shape, OBLIQUE.affine + np.eye(4, k=3) * 0.01)
    assert OBLIQUE.corner_distance_mm(moved) == pytest.approx(0.01)
    assert OBLIQUE.is_close(moved, tolerance_mm=0.02)
    assert not OBLIQUE.is_close(moved, tolerance_mm=0.001)
    assert OBLIQUE.corner_distance_mm(Grid.from_spacing((4, 5), (1, 1))) == math.inf


def test_equality_and_hash() -> None:
    twin = Grid(OBLIQUE.shape, OBLIQUE.affine.copy())
    assert twin == OBLIQUE
    assert hash(twin) == hash(OBLIQUE)
    assert OBLIQUE.flip([0]) != OBLIQUE
    assert OBLIQUE != "a grid"
