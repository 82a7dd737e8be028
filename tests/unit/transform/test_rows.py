"""Rows of a stream: what has come, what is kept, and what is wrong with a stream."""

import tracemalloc

import numpy as np
import pytest

from vesalius.errors import GeometryError
from vesalius.image import Grid
from vesalius.transform import stream_argmax, stream_painted
from vesalius.transform.rows import Rows, followed_axis


def stream(array, rows, axis=0):
    for low in range(0, array.shape[1 + axis], rows):
        yield low, array.take(range(low, min(low + rows, array.shape[1 + axis])), 1 + axis)


def test_a_box_within_a_slab_is_a_view_and_one_across_slabs_is_the_same(rng):
    array = rng.normal(size=(2, 9, 4))
    slabs = list(stream(array, 4))
    rows = Rows(slabs, (0, 1), (9, 4), 2)
    rows.wait_for(3)
    assert rows.high == 4
    assert np.shares_memory(rows.box((slice(1, 3), slice(0, 4))), slabs[0][1])
    rows.wait_for(7)
    assert rows.high == 8
    assert np.array_equal(rows.box((slice(2, 7), slice(1, 3))), array[:, 2:7, 1:3])


def test_what_is_forgotten_is_not_kept(rng):
    array = rng.normal(size=(3, 40, 50, 50))
    rows = Rows(stream(array, 5), (0, 1, 2), (40, 50, 50), 3)
    tracemalloc.start()
    for stop in range(5, 41, 5):
        rows.forget(stop - 6)
        rows.wait_for(stop)
        assert np.array_equal(
            rows.box((slice(max(0, stop - 6), stop), slice(0, 9), slice(0, 9))),
            array[:, max(0, stop - 6) : stop, :9, :9],
        )
    top = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert top < 3 * 5 * array[:, :1].nbytes  # the slab, the one before it while it goes, and a row


def test_all_may_be_kept(rng):
    array = rng.normal(size=(1, 6, 2))
    rows = Rows(stream(array, 2), (0, 1), (6, 2), 1, keep_all=True)
    rows.forget(5)
    rows.wait_for(6)
    assert np.array_equal(rows.box((slice(0, 6), slice(0, 2))), array)


@pytest.mark.parametrize(
    ("slabs", "words"),
    [
        ([(0, np.zeros((2, 3, 4)))], "the slabs ended at row 3 of 5"),
        ([(0, np.zeros((2, 3, 4))), (4, np.zeros((2, 1, 4)))], "from row 4 does not follow row 3"),
        ([(0, np.zeros((2, 6, 4)))], "does not follow row 0 of"),
        ([(0, np.zeros((1, 5, 4)))], "does not follow row 0 of"),
        ([(0, np.zeros((2, 5, 3)))], "does not follow row 0 of"),
    ],
)
def test_streams_that_do_not_fit(slabs, words):
    grid = Grid.from_spacing((5, 4), (1.0, 1.0))
    with pytest.raises(GeometryError, match=words):
        stream_argmax(slabs, grid, grid, classes=2)
    with pytest.raises(GeometryError, match=words):
        stream_painted(slabs, grid, grid, regions=2)


def test_numbers_that_cannot_be():
    grid = Grid.from_spacing((5, 4), (1.0, 1.0))
    with pytest.raises(GeometryError, match="1 to 65536 classes, not 0"):
        stream_argmax([], grid, grid, classes=0)
    with pytest.raises(GeometryError, match="1 to 65535 regions, not 0"):
        stream_painted([], grid, grid, regions=0)
    with pytest.raises(GeometryError, match="along axis 0 to 1"):
        stream_argmax([], grid, grid, classes=1, axis=2)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_memory_is_a_slab_and_the_answer(axis, rng):
    """Not the scores: they come from nowhere, slab by slab."""
    source = Grid.from_spacing((48, 48, 48), (1.0, 1.0, 1.0))
    target = source.with_spacing((0.5, 0.5, 0.5))

    def slabs():
        one = rng.normal(size=[16, *(4 if a == axis else 48 for a in range(3))]).astype(np.float32)
        for low in range(0, 48, 4):
            yield low, one

    tracemalloc.start()
    stream_argmax(slabs(), source, target, classes=16, axis=axis)
    top = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    slab = 16 * 4 * 48 * 48 * 4
    assert top < target.size + 8 * slab < 16 * 48**3 * 4  # a tile is made of up to six such slabs


def test_the_axis_that_follows_another():
    grid = Grid.from_spacing((4, 5, 6), (1.0, 2.0, 3.0))
    turned = grid.permute((2, 0, 1)).flip((1,))
    assert [followed_axis(grid, turned, axis) for axis in range(3)] == [1, 2, 0]
    assert [followed_axis(turned, grid, axis) for axis in range(3)] == [2, 0, 1]
