"""Boxes: cut, extended and found."""

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.transform import content_box, crop, crop_to_content, pad

GRID = Grid.from_spacing((4, 5, 6), (1.0, 2.0, 3.0), origin_mm=(10.0, 0.0, -5.0))


def ramp() -> Volume:
    return Volume(np.arange(2 * GRID.size, dtype=np.int16).reshape(2, *GRID.shape), GRID)


def test_crop_takes_the_box_and_moves_the_origin() -> None:
    part = crop(ramp(), (1, 2, 0), (2, 3, 4))
    assert np.array_equal(part.array, ramp().array[:, 1:3, 2:5, 0:4])
    assert part.grid.origin_mm == (11.0, 4.0, -5.0)


def test_crop_of_a_label_map() -> None:
    labelmap = LabelMap(np.eye(4, dtype=np.uint8), Grid.from_spacing((4, 4), (1.0, 1.0)), Labels.of([1]))
    part = crop(labelmap, (1, 2), (1, 2))
    assert part.array.tolist() == [[0, 0]]
    assert part.labels is labelmap.labels


@pytest.mark.parametrize(
    ("start", "shape"),
    [((-1, 0, 0), (2, 2, 2)), ((0, 0, 0), (5, 1, 1)), ((0, 0, 0), (1, 0, 1)), ((0, 0), (1, 1)), ((3, 4, 5), (2, 1, 1))],
)
def test_a_box_that_is_not_inside(start: tuple[int, ...], shape: tuple[int, ...]) -> None:
    with pytest.raises(GeometryError):
        crop(ramp(), start, shape)


def test_pad_puts_the_odd_voxel_after() -> None:
    wide = pad(ramp(), (7, 5, 2), fill=-9)
    assert wide.grid.shape == (7, 5, 6)
    assert wide.array.dtype == np.int16
    assert np.array_equal(wide.array[:, 1:5], ramp().array)
    assert (wide.array[:, [0, 5, 6]] == -9).all()
    assert wide.grid.to_points((1, 0, 0)).tolist() == GRID.to_points((0, 0, 0)).tolist()


def test_pad_with_nothing_to_add_is_the_image_itself() -> None:
    volume = ramp()
    assert pad(volume, (1, 1, 6)) is volume


def test_pad_of_a_label_map_keeps_to_declared_labels() -> None:
    labelmap = LabelMap(np.ones((2, 2), np.uint8), Grid.from_spacing((2, 2), (1.0, 1.0)), Labels.of([1], ignore=255))
    assert pad(labelmap, (4, 2), fill=255).counts() == {1: 4, 255: 4}
    with pytest.raises(DataError, match="not declared"):
        pad(labelmap, (4, 2), fill=3)


@pytest.mark.parametrize("fill", [-1, 256, 0.5, float("nan")])
def test_a_fill_that_the_type_cannot_hold(fill: float) -> None:
    volume = Volume(np.zeros((1, 2, 2), np.uint8), Grid.from_spacing((2, 2), (1.0, 1.0)))
    with pytest.raises(DataError, match="cannot hold"):
        pad(volume, (3, 3), fill=fill)


def test_pad_needs_a_number_for_each_axis() -> None:
    with pytest.raises(GeometryError, match="takes 3 numbers"):
        pad(ramp(), (9, 9))


def test_content_of_all_channels_counts_and_holes_do_not() -> None:
    array = np.zeros((2, *GRID.shape), np.float32)
    array[0, 1, 1:4, 2] = 1
    array[1, 2, 3, 5] = -1
    volume = Volume(array, GRID)
    assert content_box(volume) == ((1, 1, 2), (2, 3, 4))
    assert crop_to_content(volume).grid == GRID.crop((1, 1, 2), (2, 3, 4))


def test_an_image_of_zeros_is_its_own_box() -> None:
    volume = Volume(np.zeros((1, *GRID.shape)), GRID)
    assert content_box(volume) == ((0, 0, 0), GRID.shape)
    assert crop_to_content(volume).grid == GRID


def test_content_up_to_every_edge() -> None:
    volume = Volume(np.ones((1, *GRID.shape), np.bool_), GRID)
    assert content_box(volume) == ((0, 0, 0), GRID.shape)
