"""Contours that change their shape freely: what they have in common, on balls in noise, and what each does alone."""

import numpy as np
import pytest

from vesalius.classical import find
from vesalius.classical.seeds import seeds_at
from vesalius.errors import DataError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Volume

SPACINGS = [(1.0, 1.0), (0.5, 1.5), (1.3, 1.3, 1.3), (1.2, 1.3, 3.0)]
GROWING = {
    "morphological-geodesic": {"balloon": 1.0},
    "morphological-chan-vese": {},
    "threshold-level-set": {},
    "geodesic-level-set": {},
    "chan-vese": {},
}


def ball(spacing, rng=None, radius=9.0, extent=32.0):
    shape = tuple(round(extent / s) for s in spacing)
    at = np.stack([index * s - extent / 2 for index, s in zip(np.indices(shape), spacing, strict=True)])
    inside = np.linalg.norm(at, axis=0) <= radius
    array = 9.0 * inside + (0 if rng is None else rng.normal(0, 0.8, shape))
    return Volume(array[None], Grid.from_spacing(shape, spacing)), inside


def start(image, radius_mm=4.0):
    return {"centre_mm": (16.0,) * image.grid.ndim, "radius_mm": radius_mm}


def dice(found, reference) -> float:
    inside = found.array != 0
    return 2 * (inside & reference).sum() / (inside.sum() + reference.sum())


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_small_start_grows_to_the_ball(name, spacing, rng):
    image, inside = ball(spacing, rng)
    found = find(name)(image, **start(image), **GROWING[name])
    assert found.grid is image.grid
    assert found.labels.names == ("object",)
    assert dice(found, inside) > 0.93


@pytest.mark.parametrize("name", [*GROWING, "laplacian-level-set", "fast-marching"])
def test_seeds_give_the_name(name, rng):
    image, inside = ball((1.0, 1.0), rng)
    seeds = LabelMap(inside.astype(np.uint8) * 3, image.grid, Labels.of({"cyst": 3}))
    more = {"reach_mm": 1.0} if name == "fast-marching" else GROWING.get(name, {})
    found = find(name)(image, seeds=seeds, **more)
    assert found.labels.names == ("cyst",)
    assert dice(found, inside) > 0.9


@pytest.mark.parametrize("name", [*GROWING, "laplacian-level-set", "fast-marching"])
def test_one_grey_value_several_channels_and_no_start(name):
    method = find(name)
    more = {"reach_mm": 5.0} if name == "fast-marching" else {}
    image, _ = ball((1.0, 1.0))
    with pytest.raises(DataError, match="everywhere"):
        method(image.with_array(np.full(image.array.shape, 4.0)), **start(image), **more)
    if name != "chan-vese":
        with pytest.raises(DataError, match="one channel"):
            method(Volume(np.repeat(image.array, 2, 0), image.grid), **start(image), **more)
        with pytest.raises(DataError, match="seeds, or"):
            method(image, **more)
    with pytest.raises(DataError, match="outside"):
        method(image, centre_mm=(99.0, 0.0), radius_mm=3.0, **more)
    elsewhere = seeds_at(Grid.from_spacing((32, 32), (2.0, 2.0)), {"a": [(3, 3)]})
    with pytest.raises(GeometryError):
        method(image, seeds=elsewhere, **more)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("morphological-geodesic", {"threshold": 1.0}),
        ("morphological-geodesic", {"edge_slope": 0.0}),
        ("morphological-geodesic", {"iterations": 0}),
        ("morphological-chan-vese", {"smoothing": -1}),
        ("morphological-chan-vese", {"inside_weight": 0.0}),
        ("threshold-level-set", {"above": 5.0, "below": 2.0}),
        ("threshold-level-set", {"curvature": -1.0}),
        ("geodesic-level-set", {"advection": -1.0}),
        ("geodesic-level-set", {"propagation": float("inf")}),
        ("laplacian-level-set", {"iterations": 0}),
        ("fast-marching", {"reach_mm": 0.0}),
        ("chan-vese", {"length_weight_mm": -1.0}),
        ("chan-vese", {"iterations": 0}),
    ],
)
def test_numbers_out_of_range(name, wrong):
    image, _ = ball((1.0, 1.0))
    with pytest.raises(DataError):
        find(name)(image, **start(image), **wrong)


def test_choices_that_do_not_exist():
    image, _ = ball((1.0, 1.0))
    with pytest.raises(VesaliusError, match="did you mean 'bright'"):
        find("chan-vese")(image, inside="brigt")
    with pytest.raises(VesaliusError, match="did you mean 'dark'"):
        find("laplacian-level-set")(image, object_is="drak", **start(image))


def test_without_a_balloon_a_far_start_vanishes_and_a_near_one_stays(rng):
    image, inside = ball((1.0, 1.0))
    method = find("morphological-geodesic")
    assert dice(method(image, **start(image, 10.0)), inside) > 0.95
    shrunk = method(image, **start(image, 14.0), balloon=-1.0)
    assert dice(shrunk, inside) > 0.93


def test_a_surface_does_not_leak_through_a_hole_that_a_threshold_leaks_through():
    i, j = np.indices((50, 50)) - 25
    inside = np.hypot(i, j) <= 12
    array = inside * 1.0
    array[24:27, 37:] = 1.0  # a channel to the border, 3 pixels wide
    image = Volume(array[None], Grid.from_spacing((50, 50), (1.0, 1.0)))
    options = {"above": 0.5, "centre_mm": (25.0, 25.0), "radius_mm": 5.0}
    tight, loose = (find("threshold-level-set")(image, **options, curvature=c).array for c in (1.5, 0.0))
    assert loose[25, 45]
    assert not tight[25, 45]
    assert tight[25, 30]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("radius_mm", [8.0, 10.0])
@pytest.mark.parametrize("object_is", ["bright", "dark"])
def test_a_near_start_is_refined(spacing, radius_mm, object_is):
    image, inside = ball(spacing)
    if object_is == "dark":
        image = image.with_array(-image.array)
    found = find("laplacian-level-set")(image, **start(image, radius_mm), sigma_mm=1.5, object_is=object_is)
    assert dice(found, inside) > 0.94


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_front_in_the_open_is_a_ball(spacing):
    # The one bright voxel in a far corner makes an image that is flat elsewhere.
    image, _ = ball(spacing)
    array = np.zeros(image.array.shape)
    array[(0, *(0,) * image.grid.ndim)] = 1.0
    found = find("fast-marching")(image.with_array(array), reach_mm=6.0, sigma_mm=0.0, **start(image, 4.0))
    at = np.moveaxis(np.indices(image.grid.shape), 0, -1) * spacing - 16.0
    apart = np.linalg.norm(at, axis=-1)
    assert found.array[apart <= 10.0 - max(spacing)].all()
    assert not found.array[apart > 10.0 + max(spacing)].any()


def test_a_front_stops_at_a_wall_and_leaks_in_time():
    image, inside = ball((1.0, 1.0))
    short, long = (find("fast-marching")(image, reach_mm=r, **start(image)).array for r in (30.0, 200.0))
    assert not short[~inside].any()
    assert long[~inside].mean() > 0.5


def test_a_short_boundary_drops_specks_of_the_size_that_the_paper_gives():
    # A disc goes when its boundary costs more than its area: weight * 2 pi r > pi r².
    i, j = np.indices((90, 60))
    array = np.zeros((90, 60))
    for centre, radius in ((15, 3), (35, 6), (65, 14)):
        array[np.hypot(i - centre, j - 30) <= radius] = 1.0
    image = Volume(array[None], Grid.from_spacing((90, 60), (1.0, 1.0)))
    kept = [find("chan-vese")(image, length_weight_mm=w).array[[15, 35, 65], 30].tolist() for w in (0.2, 2.2, 4.0)]
    assert kept == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]


def test_lengths_are_in_millimetres():
    # A disc of 8 mm goes at a weight of 4 mm, and with it all that there was.
    i, j = np.indices((45, 60))
    array = (np.hypot((i - 22) * 2.0, j - 30) <= 8) * 1.0
    image = Volume(array[None], Grid.from_spacing((45, 60), (2.0, 1.0)))
    assert find("chan-vese")(image, length_weight_mm=3.0).array[22, 30]
    with pytest.raises(DataError, match="swallowed"):
        find("chan-vese")(image, length_weight_mm=5.5, iterations=600)


def test_dark_objects_and_several_channels(rng):
    image, inside = ball((1.0, 1.0), rng)
    method = find("chan-vese")
    assert dice(method(image.with_array(-image.array), inside="dark"), inside) > 0.98
    assert dice(method(image, inside="dark"), ~inside) > 0.98
    # Each channel is too noisy alone; together they tell.
    many = np.stack([9.0 * inside + rng.normal(0, 9, inside.shape) for _ in range(12)])
    one, all_ = (method(Volume(a, image.grid), length_weight_mm=0.8) for a in (many[:1], many))
    assert dice(all_, inside) > 0.95
    assert dice(all_, inside) > dice(one, inside)


def test_an_image_that_would_swell_is_refused():
    grid = Grid.from_spacing((40, 40, 40), (0.01, 5.0, 5.0))
    image = Volume(np.random.default_rng(0).random((1, 40, 40, 40)), grid)
    with pytest.raises(DataError, match="resample or crop"):
        find("morphological-chan-vese")(image, centre_mm=(0.2, 100.0, 100.0), radius_mm=30.0)


@pytest.mark.parametrize("name", ["threshold-level-set", "geodesic-level-set", "laplacian-level-set"])
@pytest.mark.parametrize("iterations", [10, 120])  # the boundary stays within the first box, or leaves it
def test_level_sets_look_at_a_box_and_say_what_the_whole_image_says(name, iterations, monkeypatch, rng):
    from vesalius.classical import level_set

    i, j, k = np.indices((104, 90, 9))
    ball = ((i - 50) ** 2 + (j - 45) ** 2 + (3.0 * (k - 4)) ** 2 < 38**2) * 90.0
    grid = Grid.from_spacing(ball.shape, (1.0, 1.0, 3.0))
    image = Volume((ball + rng.normal(0, 6, ball.shape))[None], grid)
    how = {"above": 50.0} if name.startswith("threshold") else {}
    started = {"centre_mm": (50.0, 45.0, 12.0), "radius_mm": 6.0, "iterations": iterations}
    monkeypatch.setattr(level_set, "_BEYOND", 28)
    sizes = []
    signed = level_set._signed
    monkeypatch.setattr(level_set, "_signed", lambda inside: sizes.append(inside.size) or signed(inside))
    found = find(name)(image, **started, **how).array
    monkeypatch.setattr(level_set, "_BEYOND", 1000)
    np.testing.assert_array_equal(found, find(name)(image, **started, **how).array)
    assert found.any() or name == "laplacian-level-set"  # in a flat ball it has nothing to hold on to, and shrinks
    assert sizes[0] < sizes[-1]  # the last one is the whole image
    if name == "threshold-level-set":
        assert (len(sizes) > 2) == (iterations == 120)
