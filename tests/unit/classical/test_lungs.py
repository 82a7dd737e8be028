"""The lungs of synthetic chests, of which every voxel is known."""

import numpy as np
import pytest
from chests import small_chest

from vesalius.classical import find
from vesalius.classical.lungs import lung_fields
from vesalius.errors import DataError
from vesalius.image import Grid, Volume
from vesalius.transform import reorient


@pytest.fixture(scope="module")
def chest():
    return small_chest(1)


@pytest.fixture(scope="module")
def fields(chest):
    return lung_fields(chest.image)


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_left_and_right_come_apart_and_airways_are_taken_out(chest, fields):
    assert dice(fields.array == 1, chest.lungs == 3) > 0.96
    assert dice(fields.array == 2, chest.lungs == 4) > 0.96
    trachea = chest.lungs == 5
    assert (fields.array[trachea] == 3).mean() > 0.6
    assert np.isin(fields.array[trachea], (1, 2)).mean() < 0.2, "the bronchi within the lung are small"
    left, right = (fields.grid.to_points(np.argwhere(fields.array == value).mean(axis=0)) for value in (1, 2))
    assert left[0] > right[0], "x runs to the patient's left"


def test_nodules_at_the_pleura_are_kept(chest, fields):
    kinds = [nodule.kind for nodule in chest.nodules]
    for number, kind in enumerate(kinds, start=1):
        inside = np.isin(fields.array[chest.shapes == number], (1, 2)).mean()
        assert inside > (0.5 if kind == "juxtapleural" else 0.9), kind
    assert "juxtapleural" in kinds


def test_orientation_makes_no_difference(chest, fields):
    turned = lung_fields(reorient(chest.image, "RAS"))
    assert dice(reorient(turned, "LPS").array == 1, fields.array == 1) > 0.999


def test_a_lung_by_itself_is_left_or_right_by_the_spine(chest, fields):
    half = chest.image.grid.shape[0] // 2 + 8  # the spine and the side of small x: the patient's right
    part = Volume(chest.image.array[:, :half], chest.image.grid.crop((0, 0, 0), (half, *chest.image.grid.shape[1:])))
    found = lung_fields(part)
    assert dice(found.array == 2, fields.array[:half] == 2) > 0.95
    assert not (found.array == 1).sum() > 0.05 * (found.array == 2).sum()


def test_lungs_that_touch_are_cut_between_them(chest, fields):
    array = np.array(chest.image.array)
    joined = np.zeros(array.shape[1:], bool)
    middle = array.shape[1] // 2
    at = np.argwhere(fields.array == 1).mean(axis=0).astype(int)
    joined[middle - 12 : middle + 12, at[1] - 2 : at[1] + 2, at[2] + 8 : at[2] + 11] = True
    array[0][joined] = -850
    found = lung_fields(chest.image.with_array(array), masses=False)
    assert dice(found.array == 1, fields.array == 1) > 0.95
    assert dice(found.array == 2, fields.array == 2) > 0.95


def test_gas_is_no_lung():
    array = np.full((1, 80, 60, 40), -1000, np.int16)
    array[0, 5:75, 5:55] = 40
    array[0, 20:40, 20:40, 5:35] = -1000  # gut
    grid = Grid.from_spacing((80, 60, 40), (3.0, 3.0, 3.0))
    assert lung_fields(Volume(array, grid)).counts() == {0: array.size}


def test_a_mass_that_sits_in_the_lung_is_added(chest, fields):
    """It hangs on the chest wall by a narrow base, and is wider than a closing reaches."""
    array = np.array(chest.image.array)
    grid = chest.image.grid
    lung = np.argwhere(fields.array == 2)
    edge = grid.to_points(lung[lung[:, 0].argmin()])
    points = grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1))
    mass = np.linalg.norm(points - (edge + np.array([20.0, 0, 0])), axis=-1) < 24
    array[0][mass] = 40
    image = chest.image.with_array(array)
    assert (np.isin(lung_fields(image).array, (1, 2))[mass]).mean() > 0.75
    assert (np.isin(lung_fields(image, masses=False).array, (1, 2))[mass]).mean() < 0.6


def test_what_is_no_ct_of_a_chest_is_refused(chest):
    with pytest.raises(DataError, match="3D"):
        lung_fields(Volume(np.zeros((1, 8, 8)), Grid.from_spacing((8, 8), (1.0, 1.0))))
    with pytest.raises(DataError, match="HU"):
        lung_fields(chest.image.with_array(np.abs(chest.image.array)))
    with pytest.raises(DataError, match="closing_mm"):
        lung_fields(chest.image, closing_mm=-1)
    with pytest.raises(DataError, match="threshold_hu"):
        lung_fields(chest.image, threshold_hu=0)


def test_it_is_a_method_of_the_command_line():
    assert find("lung-fields") is lung_fields
