"""Ejection fraction: worked out by hand, and what must not pass for one."""

import math

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics.ejection import ejection, ejection_of

LABELS = Labels.of({"right ventricle": 1, "myocardium": 2, "left ventricle": 3})


def heart(voxels: int, *, spacing=(2.0, 2.0, 10.0), labels=LABELS) -> LabelMap:
    array = np.zeros((10, 10, 6), np.uint8)
    array.reshape(-1)[:voxels] = 3
    return LabelMap(array, Grid.from_spacing(array.shape, spacing), labels)


def test_by_hand():
    found = ejection(heart(500), heart(200), cavity="left ventricle")  # voxels of 0.04 ml
    assert found.end_diastolic_ml == pytest.approx(20)
    assert found.end_systolic_ml == pytest.approx(8)
    assert found.stroke_volume_ml == pytest.approx(12)
    assert found.ejection_fraction_percent == pytest.approx(60)


def test_each_map_has_its_own_voxels():
    found = ejection(heart(500), heart(200, spacing=(1.0, 1.0, 10.0)), cavity="left ventricle")
    assert found.ejection_fraction_percent == pytest.approx(90)


def test_a_region_may_be_the_cavity():
    joined = Labels.of({"cavity": 3, "papillary muscle": 1}, regions={"blood pool": (1, 3)})
    found = ejection(heart(500, labels=joined), heart(100, labels=joined), cavity="blood pool")
    assert found.ejection_fraction_percent == pytest.approx(80)


@pytest.mark.parametrize(
    ("full", "empty", "cavity", "message"),
    [
        (heart(200), heart(500), "left ventricle", "were the two exchanged"),
        (heart(0), heart(5), "left ventricle", "no voxel at end-diastole"),
        (heart(500), heart(0), "left ventricle", "no voxel at end-systole"),
        (heart(500), heart(200), "left ventrical", "did you mean 'left ventricle'"),
        (heart(500), heart(200, labels=Labels.of([3])), "left ventricle", "unknown label"),
    ],
)
def test_what_is_no_ejection(full, empty, cavity, message):
    with pytest.raises(DataError, match=message):
        ejection(full, empty, cavity=cavity)


def test_pictures_have_no_volume():
    flat = LabelMap(np.ones((4, 4), int), Grid.from_spacing((4, 4), (1.0, 1.0)), Labels.of({"left ventricle": 1}))
    with pytest.raises(GeometryError, match="3D"):
        ejection(flat, flat, cavity="left ventricle")


@pytest.mark.parametrize("volumes", [(0.0, 0.0), (math.nan, 1.0), (5.0, -1.0), (5.0, math.inf), (4.0, 5.0)])
def test_volumes_that_cannot_be(volumes):
    with pytest.raises(DataError):
        ejection_of(*volumes)


def test_nothing_or_all_is_thrown_out():
    assert ejection_of(80, 80).ejection_fraction_percent == 0
    assert ejection_of(80, 0).ejection_fraction_percent == 100
