"""Regions that are painted as they are resampled: the same as resampling all of them first."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vesalius.image import Grid, Volume
from vesalius.transform import resample, resample_argmax, resample_painted


@settings(deadline=None, max_examples=80)  # machines differ; values must not
@given(data=st.data())
def test_painting_while_resampling_is_painting_after_it(data):
    ndim = data.draw(st.sampled_from([2, 3]))
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=ndim, max_size=ndim)))
    spacings = st.sampled_from([0.4, 0.7, 1.0, 2.5])
    source = Grid.from_spacing(shape, data.draw(st.lists(spacings, min_size=ndim, max_size=ndim)))
    target = source.with_spacing(data.draw(st.lists(spacings, min_size=ndim, max_size=ndim)))
    if data.draw(st.booleans()):
        target = target.crop((-1,) * ndim, tuple(n + 2 for n in target.shape))  # beyond the source's extent
    target = target.permute(data.draw(st.permutations(range(ndim)))).flip(data.draw(st.sets(st.integers(0, ndim - 1))))
    count = data.draw(st.integers(1, 4))
    # Interpolated values near 0 may round to either side, and are left out below.
    array = data.draw(arrays(np.int8, (count, *shape), elements=st.integers(-6, 6))).astype(np.float32) + 0.125
    made = resample_painted(array, source, target)
    plain = np.zeros(target.shape, np.uint8)
    score = resample(Volume(array, source), target, fill=-1).array
    for number, one in enumerate(score, start=1):
        plain[one > 0] = number
    sure = (np.abs(score) > 1e-4).all(axis=0)
    assert np.array_equal(made[sure], plain[sure])
    if count == 1:  # one region is a class beside a background of nothing
        two = np.concatenate([np.zeros_like(array), array])
        assert np.array_equal(made[sure], resample_argmax(two, source, target)[sure])
