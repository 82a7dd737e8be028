"""Volumes through segmenters of pictures."""

from inspect import unwrap
from itertools import permutations, product

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.predict import Prediction, segment_slices

SHAPE, SPACING = (4, 5, 6), (1.0, 2.0, 3.0)  # x, y, z of the patient
NAMES = Labels.of({"spot": 1})
STORED = [(order, flips) for order in permutations(range(3)) for flips in product((1, -1), repeat=3)]


def stored(array, order, flips):
    """A volume that is given as x, y, z, with its index axes in another order and sense."""
    grid = Grid.from_spacing(SHAPE, SPACING).permute(order)
    back = [axis for axis, sense in enumerate(flips) if sense < 0]
    return Volume(np.flip(array.transpose(order), back)[None], grid.flip(back))


def place_of(labels):
    """Where the labelled voxels lie, mm."""
    return labels.grid.to_points(np.argwhere(labels.array)).mean(axis=0)


@pytest.mark.parametrize(("order", "flips"), STORED)
@pytest.mark.parametrize(
    ("slicing", "shape", "spacing", "corner"),
    [
        ("axial", (5, 4), (2, 1), (0, 0, None)),  # the patient's right and front are at the upper left
        ("coronal", (6, 4), (3, 1), (0, None, 5)),  # right and head
        ("sagittal", (6, 5), (3, 2), (None, 0, 5)),  # front and head
    ],
)
def test_slices_lie_as_on_a_screen_however_they_are_stored(order, flips, slicing, shape, spacing, corner):
    array = np.zeros(SHAPE)
    array[tuple(slice(None) if at is None else at for at in corner)] = 1
    volume, seen = stored(array, order, flips), []

    def upper_left(picture):
        seen.append(picture)
        found = np.zeros(picture.grid.shape, np.uint8)
        found[0, 0] = 1
        return Prediction(LabelMap(found, picture.grid, NAMES))

    found = segment_slices(volume, upper_left, slicing=slicing)
    assert {one.grid.shape for one in seen} == {shape}
    assert all(one.array[0, 0, 0] == 1 == one.array.sum() for one in seen)
    assert seen[0].grid.spacing_mm == pytest.approx(spacing)
    assert found.labels.grid == volume.grid
    assert np.array_equal(found.labels.array, volume.array[0])  # each voxel back where it came from
    assert found.provenance["slices"] == slicing


def numbered(picture):
    """Says which value the slice has, and of which share it is sure."""
    value = picture.array[0, 0, 0]
    share = np.full((2, *picture.grid.shape), value / 10, np.float32)
    labels = LabelMap((picture.array[0] > 2).astype(np.uint8), picture.grid, NAMES)
    return Prediction(labels, Volume(share, picture.grid, Meta(calibrated=False)), {"bundle": "numbers"})


def test_the_coarsest_axis_is_cut_and_probabilities_come_back_with_it():
    told = []
    volume = stored(np.broadcast_to(np.arange(6.0), SHAPE).copy(), (2, 0, 1), (-1, 1, 1))
    found = segment_slices(volume, numbered, progress=lambda done, total: told.append((done, total)))
    assert found.provenance == {"bundle": "numbers", "slices": "axial"}
    assert told == [(n, 6) for n in range(1, 7)]
    assert found.probabilities.array.shape == (2, *volume.grid.shape)
    assert np.allclose(found.probabilities.array[1], volume.array[0] / 10)
    assert place_of(found.labels)[2] == pytest.approx(4 * 3.0)
    assert found.probabilities.grid == volume.grid


def test_what_has_no_slices_is_refused():
    flat = Volume(np.zeros((1, 4, 5)), Grid.from_spacing((4, 5), (1, 1)))
    with pytest.raises(GeometryError, match="the image is 2D: only a volume has slices"):
        segment_slices(flat, numbered)
    volume = stored(np.zeros(SHAPE), (0, 1, 2), (1, 1, 1))
    with pytest.raises(DataError, match="axiall"):
        unwrap(segment_slices)(volume, numbered, slicing="axiall")  # in tests types are checked before
