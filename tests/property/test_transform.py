"""What must hold for every image and every grid."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.transform import (
    Normalisation,
    content_box,
    crop,
    crop_to_content,
    keep_largest,
    label_components,
    normalise,
    pad,
    reorient,
    resample,
    resample_argmax,
    respace,
)

PROFILE = settings(deadline=None, max_examples=60)  # machines differ; values must not
INTERPOLATIONS = st.sampled_from(["linear", "cubic", "nearest"])
LABELS = Labels.of([1, 2, 5], ignore=9)


@st.composite
def turns(draw, ndim):
    """Rotations of any kind, right angles among them, and sometimes a shear like a gantry tilt."""
    angle = st.one_of(st.sampled_from([0.0, np.pi / 2, np.pi, -np.pi / 2]), st.floats(-3.0, 3.0))
    turn = np.eye(ndim)
    for first, second in ((0, 1), (1, 2), (0, 2))[: 1 if ndim == 2 else 3]:
        a = draw(angle)
        step = np.eye(ndim)
        step[[first, second], [first, second]] = np.cos(a)
        step[first, second], step[second, first] = -np.sin(a), np.sin(a)
        turn = turn @ step
    shear = np.eye(ndim)
    shear[0, 1] = draw(st.sampled_from([0.0, 0.0, 0.3]))
    return turn @ shear


@st.composite
def grids(draw, ndim=None, shortest=1):
    n = draw(st.sampled_from([2, 3])) if ndim is None else ndim
    spacing = draw(st.lists(st.sampled_from([0.5, 0.7, 1.0, 2.5, 5.0]), min_size=n, max_size=n))
    shape = draw(st.lists(st.integers(shortest, 6), min_size=n, max_size=n))
    affine = np.eye(n + 1)
    affine[:n, :n] = draw(turns(n)) * spacing
    affine[:n, n] = draw(st.lists(st.floats(-100, 100), min_size=n, max_size=n))
    return Grid(tuple(shape), affine)


@st.composite
def volumes(draw, dtypes=(np.uint8, np.int16, np.float32)):
    grid = draw(grids())
    dtype = draw(st.sampled_from(dtypes))
    elements = st.integers(0, 200) if dtype == np.uint8 else st.integers(-2000, 2000)
    shape = (draw(st.integers(1, 2)), *grid.shape)
    return Volume(draw(arrays(np.int16, shape, elements=elements)).astype(dtype), grid)


@st.composite
def labelmaps(draw):
    grid = draw(grids())
    return LabelMap(draw(arrays(np.uint8, grid.shape, elements=st.sampled_from([0, 1, 2, 5, 9]))), grid, LABELS)


@st.composite
def neighbours(draw, grid):
    """A grid that overlaps the given one: turned or not, finer or coarser, shifted, of any shape."""
    n = grid.ndim
    if draw(st.booleans()):
        order = draw(st.permutations(range(n)))
        flips = draw(st.sets(st.integers(0, n - 1)))
        other = grid.permute(order).flip(tuple(flips))
        factors = draw(st.lists(st.sampled_from([0.4, 0.5, 1.0, 1.7, 3.0]), min_size=n, max_size=n))
        other = other.with_spacing([f * s for f, s in zip(factors, other.spacing_mm, strict=True)])
        return other.crop(draw(st.lists(st.integers(-2, 1), min_size=n, max_size=n)), [m + 2 for m in other.shape])
    other = draw(grids(ndim=n))
    affine = other.affine.copy()
    centre = grid.to_points((np.asarray(grid.shape) - 1) / 2)
    affine[:n, n] = centre - affine[:n, :n] @ ((np.asarray(other.shape) - 1) / 2)
    return Grid(other.shape, affine)


def points(grid):
    return grid.to_points(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))


@PROFILE
@given(volumes(), INTERPOLATIONS)
def test_onto_its_own_grid_an_image_is_itself(volume, interpolation):
    made = resample(volume, volume.grid, interpolation=interpolation)
    assert np.array_equal(made.array, volume.array)


@PROFILE
@given(labelmaps(), st.sampled_from(["nearest", "label-wise"]))
def test_onto_its_own_grid_a_label_map_is_itself(labelmap, interpolation):
    assert np.array_equal(resample(labelmap, labelmap.grid, interpolation=interpolation).array, labelmap.array)


@PROFILE
@given(volumes(), INTERPOLATIONS, st.data())
def test_permuted_and_flipped_grids_only_move_the_voxels(volume, interpolation, data):
    n = volume.grid.ndim
    order = data.draw(st.permutations(range(n)))
    flips = tuple(data.draw(st.sets(st.integers(0, n - 1))))
    made = resample(volume, volume.grid.permute(order).flip(flips), interpolation=interpolation)
    expected = np.flip(volume.array.transpose(0, *(a + 1 for a in order)), tuple(a + 1 for a in flips))
    assert np.array_equal(made.array, expected)


@PROFILE
@given(volumes(), st.data())
def test_reorient_goes_back_and_keeps_every_voxel_in_its_place(volume, data):
    assume(volume.grid.ndim == 3)
    order = data.draw(st.permutations(["LR", "PA", "SI"]))
    codes = "".join(data.draw(st.sampled_from(pair)) for pair in order)
    turned = reorient(volume, codes)
    assert turned.grid.axis_codes == codes
    back = reorient(turned, volume.grid.axis_codes)
    assert np.array_equal(back.array, volume.array)
    assert back.grid.is_close(volume.grid, tolerance_mm=1e-9)
    index = np.rint(turned.grid.to_index(points(volume.grid))).astype(int)
    assert np.array_equal(turned.array[(slice(None), *np.moveaxis(index, -1, 0))], volume.array)


@PROFILE
@given(volumes(), st.data())
def test_pad_then_crop_gives_the_image_back(volume, data):
    more = data.draw(st.lists(st.integers(0, 5), min_size=volume.grid.ndim, max_size=volume.grid.ndim))
    wide = pad(volume, [n + m for n, m in zip(volume.grid.shape, more, strict=True)], fill=3)
    back = crop(wide, [m // 2 for m in more], volume.grid.shape)
    assert np.array_equal(back.array, volume.array)
    assert back.grid.is_close(volume.grid, tolerance_mm=1e-9)
    # Mapping back needs no history: the original's grid is enough.
    assert np.array_equal(resample(wide, volume.grid, interpolation="nearest").array, volume.array)


@PROFILE
@given(volumes())
def test_what_content_leaves_out_is_zero(volume):
    start, shape = content_box(volume)
    part = crop_to_content(volume)
    assert part.grid.shape == shape
    assert np.count_nonzero(part.array) == np.count_nonzero(volume.array)
    if volume.array.any():
        for axis in range(1, part.array.ndim):
            ends = part.array.take([0, -1], axis)
            assert ends.any(axis=tuple(a for a in range(ends.ndim) if a != axis)).all()
    assert crop(volume, start, shape).grid == part.grid


@PROFILE
@given(st.data())
def test_linear_interpolation_of_a_linear_function_of_position_is_exact(data):
    grid = data.draw(grids(shortest=2))
    n = grid.ndim
    slope = np.asarray(data.draw(st.lists(st.floats(-3, 3), min_size=n, max_size=n)))
    volume = Volume((points(grid) @ slope)[None], grid)
    target = data.draw(neighbours(grid))
    made = resample(volume, target, fill=12345.0).array[0]
    index = grid.to_index(points(target))
    last = np.asarray(grid.shape) - 1
    between = ((index > -1e-9) & (index < last + 1e-9)).all(axis=-1)
    expected = points(target) @ slope
    size = max(1.0, np.abs(volume.array).max())
    np.testing.assert_allclose(made[between], expected[between], atol=2e-6 * size, rtol=0)
    clearly_outside = ((index < -0.5 - 1e-5) | (index > last + 0.5 + 1e-5)).any(axis=-1)
    assert (made[clearly_outside] == 12345.0).all()


@PROFILE
@given(volumes(), st.data())
def test_linear_and_nearest_stay_within_the_range(volume, data):
    target = data.draw(neighbours(volume.grid))
    for interpolation in ("linear", "nearest"):
        made = resample(volume, target, interpolation=interpolation, fill=volume.array.min()).array
        size = max(1.0, np.abs(volume.array.astype(float)).max())
        assert made.min() >= volume.array.min() - 1e-6 * size
        assert made.max() <= volume.array.max() + 1e-6 * size


@PROFILE
@given(volumes(), INTERPOLATIONS, st.data())
def test_a_constant_stays_one(volume, interpolation, data):
    flat = volume.with_array(np.full_like(volume.array, 77))
    target = data.draw(neighbours(volume.grid))
    made = resample(flat, target, interpolation=interpolation, fill=77).array
    np.testing.assert_allclose(made, 77, rtol=1e-5)


@PROFILE
@given(labelmaps(), st.sampled_from(["nearest", "label-wise"]), st.data())
def test_labels_never_get_new_values(labelmap, interpolation, data):
    made = resample(labelmap, data.draw(neighbours(labelmap.grid)), interpolation=interpolation, fill=9)
    assert set(made.counts()) <= set(labelmap.counts()) | {9}
    assert made.array.dtype == labelmap.array.dtype


@PROFILE
@given(labelmaps(), st.data())
def test_label_wise_is_the_argmax_of_every_label_interpolated_linearly(labelmap, data):
    target = data.draw(neighbours(labelmap.grid))
    values = np.asarray(sorted(labelmap.counts()))
    each = (labelmap.array == values.reshape(-1, *[1] * labelmap.grid.ndim)).astype(np.float32)
    scores = resample(Volume(each, labelmap.grid), target, fill=-1).array
    made = resample(labelmap, target, interpolation="label-wise", fill=9).array
    outside = scores[0] == -1
    assert np.array_equal(made, np.where(outside, 9, values[scores.argmax(axis=0)]))


@PROFILE
@given(st.data())
def test_the_streamed_argmax_is_the_plain_one(data):
    grid = data.draw(grids())
    classes = data.draw(st.integers(1, 5))
    # Few different values, so that ties abound.
    scores = data.draw(arrays(np.float32, (classes, *grid.shape), elements=st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0])))
    target = data.draw(neighbours(grid))
    plain = resample(Volume(scores, grid), target, fill=-9).array.argmax(axis=0)
    assert np.array_equal(resample_argmax(scores, grid, target), plain)


@PROFILE
@given(labelmaps(), st.sampled_from([2, 3, 4]))
def test_a_finer_spacing_and_back_gives_the_labels_back(labelmap, parts):
    finer = respace(labelmap, [s / parts for s in labelmap.grid.spacing_mm])
    assert finer.grid.shape == tuple(n * parts for n in labelmap.grid.shape)
    assert np.array_equal(resample(finer, labelmap.grid).array, labelmap.array)


@PROFILE
@given(volumes(), st.floats(0.5, 20), st.floats(-500, 500))
def test_z_scores_ignore_scale_and_offset(volume, scale, offset):
    schemes = [Normalisation("z_score")] * volume.channels
    assume(min(channel.std() for channel in volume.array.astype(float)) > 0.1)
    changed = volume.with_array(volume.array.astype(np.float64) * scale + offset)
    np.testing.assert_allclose(normalise(changed, schemes).array, normalise(volume, schemes).array, atol=1e-5)


@PROFILE
@given(labelmaps())
def test_the_largest_piece_is_one_and_as_large_as_any(labelmap):
    binary = np.isin(labelmap.array, LABELS.values)
    _, sizes = label_components(binary)
    kept = np.isin(keep_largest(labelmap).array, LABELS.values)
    assert kept.sum() == (sizes.max() if sizes.size else 0)
    assert len(label_components(kept)[1]) == min(1, sizes.size)
    assert not (kept & ~binary).any()
