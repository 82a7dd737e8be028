"""Diameters of random structures agree with what trying everything finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage
from scipy.spatial import ConvexHull

from vesalius.image import Grid
from vesalius.metrics.feret import diameters_mm, shortest_mm
from vesalius.metrics.shape import shape_of
from vesalius.metrics.size import axes_mm, slice_axis

PROFILE = settings(deadline=None, max_examples=50)
SPACINGS = st.sampled_from([0.5, 1.0, 1.4, 3.0])


@st.composite
def structures(draw, dims):
    """A mask with at least one voxel, on an oblique grid."""
    shape = draw(array_shapes(min_dims=dims, max_dims=dims, min_side=1, max_side=6))
    mask = draw(arrays(np.bool_, shape))
    mask[tuple(draw(st.integers(0, n - 1)) for n in shape)] = True
    turn = np.linalg.qr(np.random.default_rng(draw(st.integers(0, 99))).normal(size=(dims, dims)))[0]
    return mask, Grid.from_spacing(shape, [draw(SPACINGS) for _ in shape], direction=turn)


def halves(mask):
    """Every point between an element inside and its neighbour outside, one at a time."""
    found = []
    for place in np.argwhere(mask):
        for axis in range(mask.ndim):
            for way in (-1, 1):
                beyond = place.copy()
                beyond[axis] += way
                if not (0 <= beyond[axis] < mask.shape[axis] and mask[tuple(beyond)]):
                    found.append((place + beyond) / 2)
    return np.array(found)


def recist(planes, step):
    """Long axis, and all short ones: of each piece the farthest pairs, then the longest chord across, corner by corner.

    Of several longest ones any may be taken, of other pieces and slices, too.
    """
    best, shorts = 0.0, []
    for plane in planes:
        pieces, count = ndimage.label(plane, np.ones((3, 3)))
        for number in range(1, count + 1):
            points = halves(pieces == number) @ step.T
            apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
            if apart.max() < best - 1e-9:
                continue
            if apart.max() > best + 1e-9:
                best, shorts = apart.max(), []
            outline = points[ConvexHull(points).vertices]
            for one, other in np.argwhere(apart >= best - 1e-9):
                way = (points[other] - points[one]) / apart[one, other]
                along, across = outline @ way, outline @ np.array([-way[1], way[0]])
                shorts.append(max(np.ptp(_cut(along, across, at)) for at in along))
    return best, shorts


def _cut(along, across, at):
    """Where a line at right angles meets the outline of a polygon."""
    met = []
    for k in range(len(along)):
        a, b = along[k], along[(k + 1) % len(along)]
        if min(a, b) - 1e-9 <= at <= max(a, b) + 1e-9:
            share = 0.0 if abs(b - a) < 1e-9 else (at - a) / (b - a)
            met.append(across[k] + share * (across[(k + 1) % len(along)] - across[k]))
            if abs(b - a) < 1e-9:
                met.append(across[(k + 1) % len(along)])
    return met


@PROFILE
@given(structures(2))
def test_long_and_short_axis(made):
    mask, grid = made
    long, short = axes_mm(mask, grid)
    known, shorts = recist([mask], grid.affine[:2, :2])
    assert long == pytest.approx(known, rel=1e-9)
    assert any(short == pytest.approx(one, rel=1e-6) for one in shorts)


@PROFILE
@given(structures(3))
def test_long_and_short_axis_within_slices(made):
    mask, grid = made
    axis = slice_axis(grid)
    steps = np.delete(grid.affine[:3, :3], axis, axis=1)
    square = np.linalg.qr(steps)[1]  # the same lengths and angles in a plane
    long, short = axes_mm(mask, grid)
    known, shorts = recist(np.moveaxis(mask, axis, 0), square)
    assert long == pytest.approx(known, rel=1e-9)
    assert any(short == pytest.approx(one, rel=1e-6) for one in shorts)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), SPACINGS, SPACINGS)
def test_axes_of_lesions_with_holes_islands_and_cut_by_the_border(seed, first, second):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(28, 24)), 2.0, mode="nearest")
    mask = smooth > np.quantile(smooth, rng.uniform(0.5, 0.9))
    long, short = axes_mm(mask, Grid.from_spacing(mask.shape, (first, second)))
    known, shorts = recist([mask], np.diag([first, second]))
    assert long == pytest.approx(known, rel=1e-9)
    assert any(short == pytest.approx(one, rel=1e-6) for one in shorts)
    assert short <= long + 1e-9


@PROFILE
@given(structures(3))
def test_diameters_in_space(made):
    mask, grid = made
    longest, shortest = diameters_mm(mask, grid)
    points = halves(mask) @ grid.affine[:3, :3].T
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    assert longest == pytest.approx(apart.max(), rel=1e-9)
    # Every pair of edges and every face: no direction is narrower, and one is as narrow.
    hull = ConvexHull(points)
    ends = hull.points[hull.simplices]
    edges = np.concatenate([ends[:, 0] - ends[:, 1], ends[:, 1] - ends[:, 2], ends[:, 2] - ends[:, 0]])
    ways = np.concatenate([np.cross(edges[:, None], edges[None]).reshape(-1, 3), hull.equations[:, :3]])
    ways = ways[np.linalg.norm(ways, axis=1) > 1e-9]
    ways /= np.linalg.norm(ways, axis=1)[:, None]
    assert shortest == pytest.approx(np.ptp(points @ ways.T, axis=0).min(), rel=1e-6)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6))
def test_the_shortest_of_smooth_bodies(seed):
    """Many short edges, where pairs are found by a tree."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(300, 3))
    points *= rng.uniform(0.5, 1, 3) / np.linalg.norm(points, axis=1)[:, None]
    hull = ConvexHull(points)
    ways = rng.normal(size=(3000, 3))
    ways /= np.linalg.norm(ways, axis=1)[:, None]
    found = shortest_mm(hull)
    for _ in range(3):  # from the best directions so far to better ones beside them
        widths = np.ptp(points @ ways.T, axis=0)
        assert found <= widths.min() + 1e-9
        best = ways[np.argsort(widths)[:30]]
        ways = (best[:, None] + rng.normal(size=(1, 100, 3)) * 0.02).reshape(-1, 3)
        ways /= np.linalg.norm(ways, axis=1)[:, None]
    assert found == pytest.approx(np.ptp(points @ ways.T, axis=0).min(), rel=0.01)


@PROFILE
@given(structures(3))
def test_relations_of_shapes(made):
    mask, grid = made
    shape = shape_of(mask, grid, np.arange(mask.size, dtype=float).reshape(mask.shape))
    assert 0 < shape.sphericity <= 1
    assert shape.shortest_diameter_mm <= shape.longest_diameter_mm
    for name in ("box", "smallest_box", "smallest_ellipsoid", "hull"):
        assert 0 < getattr(shape, f"volume_density_{name}") <= 1 + 1e-9
    assert shape.volume_density_box <= shape.volume_density_smallest_box * (1 + 1e-9)
    assert shape.volume_density_smallest_box <= shape.volume_density_hull * (1 + 1e-9)
    values = np.arange(mask.size, dtype=float).reshape(mask.shape)[mask]
    if len(values) > 1:
        places = grid.to_points(np.argwhere(mask))
        apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
        weight = np.divide(1, apart, where=apart > 0, out=np.zeros_like(apart))
        offset = values - values.mean()
        moran = len(values) / weight.sum() * (offset @ weight @ offset) / (offset @ offset)
        squares = (weight * (values[:, None] - values[None]) ** 2).sum()
        geary = (len(values) - 1) / (2 * weight.sum()) * squares / (offset @ offset)
        assert (shape.moran_i, shape.geary_c) == pytest.approx((moran, geary), rel=1e-6, abs=1e-9)
