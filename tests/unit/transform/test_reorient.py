"""Reorienting: the axes go where they are sent, and no voxel leaves its place."""

from itertools import permutations, product

import numpy as np
import pytest

from vesalius.errors import GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.transform import reorient

GRID = Grid.from_spacing((3, 4, 5), (1.0, 2.0, 3.0), origin_mm=(-7.0, 5.0, 11.0))
CODES = ["".join(c) for order in permutations(("LR", "PA", "SI")) for c in product(*order)]


def value_at(array: np.ndarray, grid: Grid, point: np.ndarray) -> int:
    return int(array[tuple(np.rint(grid.to_index(point)).astype(int))])


@pytest.mark.parametrize("codes", CODES)
def test_every_code_is_reached_and_voxels_keep_their_place(codes: str) -> None:
    volume = Volume(np.arange(60).reshape(1, 3, 4, 5), GRID)
    turned = reorient(volume, codes)
    assert turned.grid.axis_codes == codes
    assert sorted(turned.grid.shape) == [3, 4, 5]
    for index in ((0, 0, 0), (2, 3, 4), (1, 0, 3)):
        point = GRID.to_points(index)
        assert value_at(turned.array[0], turned.grid, point) == volume.array[0][index]


def test_a_label_map_keeps_its_labels() -> None:
    array = np.zeros(GRID.shape, np.uint8)
    array[0, 1, 2] = 4
    labelmap = LabelMap(array, GRID, Labels.of({"liver": 4}))
    turned = reorient(labelmap, "RAS")
    assert turned.labels is labelmap.labels
    assert value_at(turned.array, turned.grid, GRID.to_points((0, 1, 2))) == 4
    assert turned.counts() == labelmap.counts()


def test_an_oblique_image_takes_the_nearest_axes_and_stays_oblique() -> None:
    turn = np.array([[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]])
    grid = Grid.from_spacing((3, 4, 5), (1.0, 1.0, 2.0), direction=turn)
    turned = reorient(Volume(np.zeros((1, 3, 4, 5)), grid), "SAR")
    assert turned.grid.axis_codes == "SAR"
    assert np.allclose(np.abs(turned.grid.direction), np.abs(turn[:, ::-1]))


def test_nothing_is_copied() -> None:
    volume = Volume(np.zeros((1, 3, 4, 5), np.int16), GRID)
    assert np.shares_memory(reorient(volume, "IRA").array, volume.array)


def test_a_picture_stays_as_it_is() -> None:
    picture = Volume(np.zeros((3, 4, 5), np.uint8), Grid.from_spacing((4, 5), (1.0, 1.0)))
    assert reorient(picture, "RAS") is picture


@pytest.mark.parametrize("codes", ["", "LP", "LRS", "LPSI", "lps", "XYZ"])
def test_codes_that_name_no_orientation(codes: str) -> None:
    with pytest.raises(GeometryError, match="one letter of each"):
        reorient(Volume(np.zeros((1, 3, 4, 5)), GRID), codes)
