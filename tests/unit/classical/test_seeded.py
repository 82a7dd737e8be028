"""What parts an image between seeds: region competition, watershed, random walker, graph cut."""

import numpy as np
import pytest

from vesalius.classical import find, read_seeds, seeds_at
from vesalius.classical import graph_cut as graph_cut_module
from vesalius.classical import random_walker as random_walker_module
from vesalius.classical.competition import region_competition
from vesalius.classical.graph_cut import _Edges, _energy, _expanded, graph_cut
from vesalius.classical.random_walker import random_walker
from vesalius.classical.watershed import watershed
from vesalius.errors import DataError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Volume
from vesalius.transform import label_components

SEEDED = ("region-competition", "watershed", "random-walker", "graph-cut")


def volume(array, spacing=None):
    array = np.asarray(array)
    return Volume(array[None], Grid.from_spacing(array.shape, spacing or (1.0,) * array.ndim))


def ball(spacing, rng, *, noise):
    """A bright ball in noise, with seeds in it and outside."""
    sides = tuple(round(26 / s) for s in spacing)
    grid = Grid.from_spacing(sides, spacing)
    centre = grid.to_points((np.asarray(sides) - 1) / 2)
    apart = np.linalg.norm(grid.to_points(np.moveaxis(np.indices(sides), 0, -1)) - centre, axis=-1)
    inside = apart < 8
    image = Volume((rng.normal(0, noise, sides) + inside)[None].astype(np.float32), grid)
    edge = grid.to_points(np.zeros(len(sides)) + 1.0)
    return image, inside, seeds_at(grid, {"background": [edge], "ball": [centre]}, radius_mm=3.0)


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.0), (1.0, 1.0, 1.0), (1.0, 1.0, 3.0)], ids=str)
@pytest.mark.parametrize("name", SEEDED)
def test_a_ball_is_found_in_noise(name, spacing, rng):
    image, inside, seeds = ball(spacing, rng, noise=0.12)
    found = find(name)(image, seeds=seeds)
    assert found.grid == image.grid
    assert found.labels.names == ("ball",)
    assert dice(found.array > 0, inside) > 0.93
    again = find(name)(image, seeds=seeds)
    np.testing.assert_array_equal(found.array, again.array)


@pytest.mark.parametrize("name", SEEDED)
def test_seeds_keep_their_names_and_values(name, rng):
    array = np.repeat([[0.0], [10], [20]], 8, axis=0) * np.ones((1, 12)) + rng.normal(0, 1, (24, 12))
    image = volume(array)
    values = np.zeros(array.shape, np.uint16)
    values[4, 3:9], values[12, 3:9], values[20, 3:9] = 300, 7, 40  # with gaps, and in no order
    seeds = LabelMap(values, image.grid, read_seeds("a=0,0", image.grid).labels.of({"a": 300, "b": 7, "c": 40}))
    found = find(name)(image, seeds=seeds).array
    expected = np.repeat([300, 7, 40], 8)[:, None] * np.ones((1, 12))
    assert (found == expected).mean() > 0.9
    assert set(np.unique(found)) == {300, 7, 40}


@pytest.mark.parametrize("name", ["region-competition", "random-walker", "graph-cut"])
def test_two_names_are_needed(name):
    image = volume(np.eye(4))
    with pytest.raises(DataError, match="mark 'background', too"):
        find(name)(image, seeds=read_seeds("a=1,1", image.grid))
    seeds = read_seeds("a=1,1; b=2,2", image.grid)
    elsewhere = LabelMap(seeds.array, Grid.from_spacing((4, 4), (2.0, 2.0)), seeds.labels)
    with pytest.raises(GeometryError, match="draw them on it"):
        find(name)(image, seeds=elsewhere)


@pytest.mark.parametrize("name", ["region-competition", "watershed", "graph-cut"])
def test_one_grey_value_is_shared_by_nearness(name):
    image = volume(np.full((9, 8), 5.0))
    seeds = read_seeds("a=4,0; b=4,7", image.grid)
    found = find(name)(image, seeds=seeds).array
    assert (found > 0).all()
    assert (found[4, 0], found[4, 7]) == (1, 2)
    if name != "graph-cut":  # to which borders count alone
        assert abs(int((found == 1).sum()) - 36) <= 9


def test_the_random_walker_refuses_what_it_cannot(monkeypatch):
    image = volume(np.full((4, 4), 5.0))
    seeds = read_seeds("a=1,1; b=2,2", image.grid)
    with pytest.raises(DataError, match="one grey value"):
        random_walker(image, seeds=seeds)
    everywhere = LabelMap(np.full((4, 4), 1, np.uint8) + np.eye(4, dtype=np.uint8), image.grid, seeds.labels)
    np.testing.assert_array_equal(random_walker(image, seeds=everywhere).array, everywhere.array)
    with pytest.raises(DataError, match="more than 0"):
        random_walker(volume(np.eye(4)), seeds=seeds, beta=0)
    monkeypatch.setattr(random_walker_module, "_MOST_VOXELS", 15)
    with pytest.raises(DataError, match="at most, and the image has 16: crop it"):
        random_walker(volume(np.eye(4)), seeds=seeds)


def test_the_random_walker_takes_several_channels(rng):
    left = np.zeros((2, 10, 12))
    left[0, :, :6], left[1, :, 6:] = 5, 80
    image = Volume(left + rng.normal(0, 0.1, left.shape), Grid.from_spacing((10, 12), (1.0, 1.0)))
    found = random_walker(image, seeds=read_seeds("a=5,1; b=5,10", image.grid)).array
    assert (found[:, :6] == 1).all()
    assert (found[:, 6:] == 2).all()


# --- watershed --------------------------------------------------------------------------------------------------------


def test_basins_are_regions_and_depth_joins_them():
    image = volume([[0.0, 1, 0.5, 9, 1, 0, 9, 3]])
    basins = watershed(image, relief="dark", sigma_mm=0)
    assert len(basins.labels) == 4
    deep = watershed(image, relief="dark", sigma_mm=0, depth=2)
    assert deep.array[0, 0] == deep.array[0, 2] != deep.array[0, 5]
    assert len(deep.labels) == 3
    bright = watershed(image, relief="bright", sigma_mm=0)
    assert bright.array[0, 2] == bright.array[0, 3] == bright.array[0, 4]


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 0.5)])
def test_touching_discs_part_at_their_neck(spacing):
    grid = Grid.from_spacing((30, round(50 / spacing[1])), spacing)
    at = grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1))
    discs = [np.linalg.norm(at - centre, axis=-1) < 10 for centre in ((15, 15), (15, 33))]
    mask = LabelMap((discs[0] | discs[1]).astype(np.uint8), grid, read_seeds("disc=1,1", grid).labels)
    image = Volume(np.zeros((1, *grid.shape)), grid)
    found = watershed(image, relief="distance", mask=mask, depth=1.0)
    assert len(found.labels) == 2
    assert dice(found.array == 1, discs[0] & (at[..., 1] < 24)) > 0.97
    assert (found.array[mask.array == 0] == 0).all()
    with pytest.raises(DataError, match="give one, for example what otsu makes"):
        watershed(image, relief="distance")


def test_compact_regions_are_compact_in_mm():
    grid = Grid.from_spacing((40, 10), (1.0, 4.0))
    image = Volume(np.zeros((1, 40, 10)), grid)
    seeds = seeds_at(grid, {"a": [(8, 8)], "b": [(8, 32)], "c": [(32, 8)], "d": [(32, 32)]})
    found = watershed(image, seeds=seeds, compactness=1.0).array
    at = grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1))
    apart = np.stack([np.linalg.norm(at - c, axis=-1) for c in ((8, 8), (8, 32), (32, 8), (32, 32))])
    order = np.sort(apart, axis=0)
    clear = order[1] - order[0] > 4
    np.testing.assert_array_equal(found[clear], (apart.argmin(axis=0) + 1)[clear])


def test_what_watershed_refuses(rng):
    image = volume(rng.random((6, 6)))
    seeds = read_seeds("a=1,1", image.grid)
    mask = read_seeds("body=4,4", image.grid)
    for arguments, words in [
        ({"relief": "steep"}, "unknown relief"),
        ({"depth": -1}, "at least 0"),
        ({"seeds": seeds, "mask": mask}, "no seed lies within the mask"),
    ]:
        with pytest.raises(VesaliusError, match=words):
            watershed(image, **arguments)
    assert watershed(image, seeds=seeds).counts() == {1: 36}  # one flood takes all
    assert watershed(volume(np.zeros((4, 4)))).counts() == {1: 16}
    flat = Volume(np.zeros((1, 600, 600)), Grid.from_spacing((600, 600), (0.002, 5.0)))
    with pytest.raises(DataError, match="too uneven"):
        watershed(flat, seeds=read_seeds("a=1,1", flat.grid), compactness=1, sigma_mm=0)


# --- region competition -----------------------------------------------------------------------------------------------


def test_regions_stop_at_each_other_and_what_nobody_wants_is_left():
    array = np.zeros((12, 30))
    array[:, 10:20], array[:, 20:] = 50, 100
    image = volume(array)
    seeds = read_seeds("a=5,3; c=5,27", image.grid)
    left = region_competition(image, seeds=seeds, window_mm=0, fill=False).array
    assert (left[:, :10] == 1).all()
    assert (left[:, 10:20] == 0).all()
    assert (left[:, 20:] == 2).all()
    filled = region_competition(image, seeds=seeds, window_mm=0).array
    assert (filled > 0).all()


def test_smooth_borders_cost_less(rng):
    image, _, seeds = ball((1.0, 1.0), rng, noise=0.6)
    rough, smooth = (region_competition(image, seeds=seeds, window_mm=0, smoothness=s).array for s in (0.0, 3.0))
    assert np.abs(np.diff(smooth.astype(int), axis=0)).sum() < np.abs(np.diff(rough.astype(int), axis=0)).sum()


@pytest.mark.parametrize("arguments", [{"smoothness": -1}, {"window_mm": -1}, {"reach": 0}, {"iterations": 0}])
def test_what_region_competition_refuses(arguments):
    image = volume(np.eye(4))
    with pytest.raises(DataError, match="region competition takes"):
        region_competition(image, seeds=read_seeds("a=1,1; b=2,2", image.grid), **arguments)


# --- graph cut --------------------------------------------------------------------------------------------------------


def test_a_cut_is_the_best_there_is(rng):
    # Of 2 to the power of 12 answers, by trying all.
    values = rng.normal(0, 1, (3, 4))
    grid = Grid.from_spacing((3, 4), (1.0, 2.5))
    edges = _Edges.of(values, grid, 1.3, None)
    costs = rng.random((2, 12)) * 2
    every = np.array([[(n >> bit) & 1 for bit in range(12)] for n in range(1 << 12)])
    best = min(_energy(held, costs, edges) for held in every)
    assert _energy(_expanded(np.zeros(12, np.intp), 1, costs, edges), costs, edges) == pytest.approx(best, rel=1e-3)
    # Of three names, one move is the best of its kind.
    costs, held = rng.random((3, 12)) * 2, rng.integers(0, 3, 12)
    best = min(_energy(np.where(goes == 1, 2, held), costs, edges) for goes in every)
    assert _energy(_expanded(held, 2, costs, edges), costs, edges) == pytest.approx(best, rel=1e-3)


def test_without_likeness_a_border_goes_where_the_edges_are():
    array = np.zeros((16, 16))
    array[4:12, 4:12] = 1
    array[7:9, 12:] = 1  # a bridge of the same values to seeds of the background: its cut is short
    image = volume(array)
    seeds = seeds_at(image.grid, {"in": [(8, 6)], "background": [(0, 0), (15, 0), (8, 15)]}, radius_mm=1.0)
    found = graph_cut(image, seeds=seeds, likeness=0, contrast=0.2).array
    np.testing.assert_array_equal(found[:, :12], array[:, :12])
    assert (found[7:9, 14:] == 0).all()
    assert label_components(found)[1].size == 1


def test_what_graph_cut_refuses(monkeypatch):
    image = volume(np.eye(4))
    seeds = read_seeds("a=1,1; b=2,3", image.grid)
    for arguments in ({"smoothness": -1}, {"likeness": -1}, {"contrast": 0}):
        with pytest.raises(DataError, match="a graph cut takes"):
            graph_cut(image, seeds=seeds, **arguments)
    monkeypatch.setattr(graph_cut_module, "_MOST_VOXELS", 15)
    with pytest.raises(DataError, match="and the image has 16: crop it"):
        graph_cut(image, seeds=seeds)
