"""Balls stand out from tubes and walls; where and how large is known."""

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.transform.blobs import find_blobs

GRID = Grid.from_spacing((60, 50, 36), (1.0, 1.2, 1.5), origin_mm=(10.0, -40.0, 100.0))
POINTS = GRID.to_points(np.moveaxis(np.indices(GRID.shape), 0, -1))
CENTRES = np.array(GRID.to_points([[15, 12, 10], [42, 36, 24]]))


def far(centre):
    return np.linalg.norm(POINTS - centre, axis=-1)


def picture():
    array = np.full(GRID.shape, -860.0)
    array[far(CENTRES[0]) < 3] = 40
    array[far(CENTRES[1]) < 8] = 40
    return array


def test_place_and_size():
    first, second = find_blobs(Volume(picture()[None], GRID), least=30.0)[:2]
    found = sorted((first, second), key=lambda blob: blob.diameter_mm)
    for blob, centre, diameters in zip(found, CENTRES, ((6.0,), (13.0, 19.0)), strict=True):
        assert np.linalg.norm(np.subtract(blob.centre_mm, centre)) < 1.5
        assert blob.diameter_mm in diameters


def test_a_ball_stands_out_from_a_tube_and_a_wall():
    array = picture()
    array[np.hypot(POINTS[..., 0] - CENTRES[0][0], POINTS[..., 1] - CENTRES[1][1]) < 3] = 40  # along z
    array[:, :, :3] = 40
    found = find_blobs(Volume(array[None], GRID), least=30.0)
    near = [min(np.linalg.norm(np.subtract(blob.centre_mm, c)) for c in CENTRES) for blob in found[:2]]
    assert max(near) < 2, "the two strongest are the balls"
    assert all(blob.strength < 0.7 * found[1].strength for blob in found[2:])


def test_what_touches_the_border_stands_alone():
    array = np.full(GRID.shape, -860.0)
    array[:10] = 40
    centre = np.array(GRID.to_points((10, 25, 18)))
    array[far(centre) < 4] = 40
    inside = (np.indices(GRID.shape)[0] >= 10) | (far(centre) < 4)
    lungs = LabelMap(inside.astype(np.uint8), GRID, Labels.of({"lung": 1}))
    found = find_blobs(Volume(array[None], GRID), lungs, background=-860.0, least=30.0)
    assert np.linalg.norm(np.subtract(found[0].centre_mm, centre)) < 2
    assert all(b.centre_mm[0] >= GRID.to_points((9, 0, 0))[0] for b in found)


def test_few_are_kept_and_none_in_another():
    image = Volume(picture()[None], GRID)
    assert len(find_blobs(image, most=1)) == 1
    found = find_blobs(image)
    for n, weaker in enumerate(found):
        for stronger in found[:n]:
            assert np.linalg.norm(np.subtract(weaker.centre_mm, stronger.centre_mm)) >= stronger.diameter_mm / 2


def test_nothing_to_find():
    flat = Volume(np.full((1, *GRID.shape), -860.0), GRID)
    assert find_blobs(flat) == ()
    nowhere = LabelMap(np.zeros(GRID.shape, np.uint8), GRID, Labels.of({"lung": 1}))
    assert find_blobs(Volume(picture()[None], GRID), nowhere) == ()


def test_arguments_out_of_range():
    with pytest.raises(GeometryError, match="3D"):
        find_blobs(Volume(np.zeros((1, 4, 4)), Grid.from_spacing((4, 4), (1.0, 1.0))))
    with pytest.raises(DataError, match="one channel"):
        find_blobs(Volume(np.zeros((2, *GRID.shape)), GRID))
    with pytest.raises(DataError, match="diameters_mm"):
        find_blobs(Volume(picture()[None], GRID), diameters_mm=())
    with pytest.raises(DataError, match="diameters_mm"):
        find_blobs(Volume(picture()[None], GRID), diameters_mm=(-3.0,))
