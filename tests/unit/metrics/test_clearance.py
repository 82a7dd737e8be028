"""Distances between boxes and balls, and the points between which they are."""

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics.clearance import clearance

LABELS = Labels.of({"tumour": 1, "vein": 2, "artery": 3}, regions={"vessels": (2, 3)})


def test_two_balls_on_an_oblique_grid():
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    grid = Grid.from_spacing((70, 60, 30), (0.8, 0.9, 2.0), direction=turn, origin_mm=(100, -7, 30))
    one, other = grid.to_points((17, 30, 15)), grid.to_points((55, 33, 12))
    at = grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1))
    near, far = np.linalg.norm(at - one, axis=-1) < 9, np.linalg.norm(at - other, axis=-1) < 7
    labels = LabelMap(near + 2 * far, grid, LABELS)
    found = clearance(labels, "tumour", "vein")
    apart = np.linalg.norm(other - one)
    assert found.distance_mm == pytest.approx(apart - 16, abs=1)
    way = (other - one) / apart
    np.testing.assert_allclose(found.point_mm, one + 9 * way, atol=2.5)
    np.testing.assert_allclose(found.other_point_mm, other - 7 * way, atol=2.5)
    assert np.linalg.norm(np.subtract(found.point_mm, found.other_point_mm)) == pytest.approx(found.distance_mm)
    back = clearance(labels, "vein", "tumour")
    assert (back.distance_mm, back.one) == (pytest.approx(found.distance_mm), "vein")


def test_boxes_and_every_pair_of_border_points():
    grid = Grid.from_spacing((20, 20, 12), (1.0, 1.0, 2.5))
    array = np.zeros(grid.shape, int)
    array[2:5, 3:9, 2:4], array[9:12, 3:9, 2:4], array[18, 18, 10] = 1, 2, 3
    labels = LabelMap(array, grid, LABELS)
    assert clearance(labels, "tumour", "vein").distance_mm == pytest.approx(4)
    assert clearance(labels, "tumour", "vessels").distance_mm == pytest.approx(4)
    found = clearance(labels, "vein", "artery")
    assert found.distance_mm <= np.linalg.norm([18 - 11, 18 - 8, (10 - 3) * 2.5])
    assert found.distance_mm >= np.linalg.norm([18 - 11 - 1, 18 - 8 - 1, (10 - 3 - 1) * 2.5])


def test_what_touches_and_what_overlaps():
    array = np.zeros((8, 8), int)
    array[1:4, 2:4], array[4:6, 2:4] = 1, 2
    labels = LabelMap(array, Grid.from_spacing((8, 8), (0.5, 0.5)), LABELS)
    assert clearance(labels, "tumour", "vein").distance_mm == 0
    inside = clearance(labels, "vessels", "vein")
    assert (inside.distance_mm, inside.point_mm) == (0, inside.other_point_mm)
    with pytest.raises(DataError, match="no voxel"):
        clearance(labels, "tumour", "artery")
    with pytest.raises(DataError, match="spleen"):
        clearance(labels, "tumour", "spleen")
