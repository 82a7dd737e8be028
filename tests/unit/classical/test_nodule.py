"""Nodules of known volume, from a point in them."""

import numpy as np
import pytest

from vesalius.classical.lungs import LUNGS
from vesalius.classical.nodule import nodule_at
from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Volume

GRID = Grid.from_spacing((50, 50, 40), (0.8, 0.8, 1.0), origin_mm=(-20.0, 30.0, 5.0))
POINTS = GRID.to_points(np.moveaxis(np.indices(GRID.shape), 0, -1))
MIDDLE = np.array(GRID.to_points((25, 25, 20)))


def ball(radius_mm, centre=MIDDLE):
    """Soft edges, as a scanner makes them."""
    depth = radius_mm - np.linalg.norm(POINTS - centre, axis=-1)
    return np.clip(0.5 + depth / 1.2, 0, 1)


def image_of(share):
    noise = np.random.default_rng(0).normal(0, 20, GRID.shape)
    return Volume((-860 + 900 * share + noise)[None], GRID)


def volume_of(found):
    return found.counts().get(1, 0) * found.grid.voxel_volume_mm3


@pytest.mark.parametrize("radius", [2.5, 4.0, 8.0])
def test_the_volume_of_a_ball(radius):
    found = nodule_at(image_of(ball(radius)), MIDDLE + np.array([0.6, -0.5, 0.4]), diameter_mm=2.6 * radius)
    assert volume_of(found) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.12)


def test_a_vessel_is_cut():
    tube = np.clip(0.5 + (1.2 - np.hypot(*(POINTS - MIDDLE)[..., :2].transpose(3, 0, 1, 2))) / 1.2, 0, 1)
    found = nodule_at(image_of(np.maximum(ball(5.0), tube)), MIDDLE, diameter_mm=14.0)
    assert volume_of(found) == pytest.approx(4 / 3 * np.pi * 125, rel=0.15)


def test_the_chest_wall_is_no_nodule():
    wall = (POINTS[..., 0] > MIDDLE[0] + 3).astype(float)
    image = image_of(np.maximum(ball(5.0), wall))
    lungs = LabelMap(((POINTS[..., 0] <= MIDDLE[0] + 3) * 2).astype(np.uint8), GRID, LUNGS)
    inside = (np.linalg.norm(POINTS - MIDDLE, axis=-1) < 5) & (lungs.array > 0)
    found = nodule_at(image, MIDDLE, diameter_mm=12.0, inside=lungs)
    assert volume_of(found) == pytest.approx(inside.sum() * GRID.voxel_volume_mm3, rel=0.2)


def test_nothing_is_found_in_plain_lung():
    assert volume_of(nodule_at(image_of(np.zeros(GRID.shape)), MIDDLE, diameter_mm=8.0)) == 0


def test_arguments_out_of_range():
    image = image_of(ball(4.0))
    with pytest.raises(DataError, match="outside the image"):
        nodule_at(image, (500.0, 0.0, 0.0), diameter_mm=8.0)
    with pytest.raises(DataError, match="diameter_mm"):
        nodule_at(image, MIDDLE, diameter_mm=0)
    with pytest.raises(GeometryError, match="3D"):
        nodule_at(Volume(np.zeros((1, 4, 4)), Grid.from_spacing((4, 4), (1.0, 1.0))), (1.0, 1.0), diameter_mm=8.0)
    elsewhere = LabelMap(np.ones((4, 4, 4), np.uint8), Grid.from_spacing((4, 4, 4), (1.0,) * 3), LUNGS)
    with pytest.raises(GeometryError, match="another grid"):
        nodule_at(image, MIDDLE, diameter_mm=8.0, inside=elsewhere)
