"""Scores that come slab by slab: the same labels, bit for bit, as of the whole array."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vesalius.image import Grid
from vesalius.transform import resample_argmax, resample_painted, stream_argmax, stream_painted


def cut(array, axis, sizes):
    """Slabs of some sizes in turn; each is spoilt when the next one comes, as that of a ring buffer."""
    at, turn = 0, 0
    while at < array.shape[1 + axis]:
        rows = slice(at, at + sizes[turn % len(sizes)])
        slab = array[(slice(None),) * (1 + axis) + (rows,)].copy()
        yield at, slab
        slab[...] = 99
        at, turn = rows.stop, turn + 1


@settings(deadline=None, max_examples=60)  # machines differ; values must not
@given(data=st.data())
def test_labels_of_a_stream_are_those_of_the_whole(data):
    ndim = data.draw(st.sampled_from([2, 3]))
    shape = tuple(data.draw(st.lists(st.integers(1, 23), min_size=ndim, max_size=ndim)))
    spacings = st.sampled_from([0.23, 0.7, 1.0, 2.6])
    source = Grid.from_spacing(shape, data.draw(st.lists(spacings, min_size=ndim, max_size=ndim)))
    target = source.with_spacing(data.draw(st.lists(spacings, min_size=ndim, max_size=ndim)))
    if data.draw(st.booleans()):
        target = target.crop((-2,) * ndim, tuple(n + 3 for n in target.shape))  # beyond the source's extent
    target = target.permute(data.draw(st.permutations(range(ndim)))).flip(data.draw(st.sets(st.integers(0, ndim - 1))))
    if ndim == 3 and data.draw(st.booleans()):
        turn = target.affine.copy()
        turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]] @ turn[:2, :2]
        target = Grid(target.shape, turn)
        thick_axis = None
    else:
        thick_axis = data.draw(st.sampled_from([None, *range(ndim)]))
    axis = data.draw(st.integers(0, ndim - 1))
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    count = data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    dtype = data.draw(st.sampled_from([np.float32, np.float16]))
    scores = np.rint(rng.normal(size=(count, *shape)) * 3).astype(dtype)  # many ties
    laid = np.moveaxis(np.ascontiguousarray(np.moveaxis(scores, 1 + axis, 1)), 1, 1 + axis)
    whole = resample_argmax(laid, source, target, thick_axis=thick_axis)
    made = stream_argmax(cut(scores, axis, sizes), source, target, classes=count, axis=axis, thick_axis=thick_axis)
    assert made.dtype == whole.dtype
    assert np.array_equal(made, whole)
    painted = stream_painted(cut(scores, axis, sizes), source, target, regions=count, axis=axis, thick_axis=thick_axis)
    assert np.array_equal(painted, resample_painted(laid, source, target, thick_axis=thick_axis))
