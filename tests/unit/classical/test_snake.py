"""Snakes: what each energy does to a circle, and what the flow does to a field."""

import numpy as np
import pytest

from vesalius.classical.seeds import seeds_at
from vesalius.classical.snake import gradient_vector_flow, snake, vector_flow
from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels, Volume

METHODS = [snake, gradient_vector_flow]


def disc(spacing=(1.0, 1.0), radius=20.0, extent=80.0):
    shape = tuple(round(extent / s) for s in spacing)
    at = [index * s - extent / 2 for index, s in zip(np.indices(shape), spacing, strict=True)]
    inside = np.hypot(*at) <= radius
    return Volume(inside[None] * 50.0, Grid.from_spacing(shape, spacing)), inside


def dice(found: LabelMap, reference) -> float:
    inside = found.array != 0
    return 2 * (inside & reference).sum() / (inside.sum() + reference.sum())


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.5)])
def test_a_near_circle_settles_on_the_disc(spacing):
    image, inside = disc(spacing)
    found = snake(image, centre_mm=(41.0, 40.0), radius_mm=23.0, sigma_mm=3.0)
    assert found.labels.names == ("object",)
    assert dice(found, inside) > 0.96


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.5)])
@pytest.mark.parametrize("radius_mm", [8.0, 33.0])
def test_the_flow_reaches_where_edges_do_not(spacing, radius_mm):
    image, inside = disc(spacing)
    start = {"centre_mm": (40.0, 40.0), "radius_mm": radius_mm}
    assert dice(gradient_vector_flow(image, **start), inside) > 0.98
    assert dice(snake(image, **start), inside) < 0.8


def test_the_flow_reaches_further_into_a_hollow():
    i, j = np.indices((80, 80)) - 40
    inside = (abs(i) < 22) & (abs(j) < 22) & ~((abs(j) < 7) & (i > -8))
    image = Volume(inside[None] * 1.0, Grid.from_spacing((80, 80), (1.0, 1.0)))
    start = {"centre_mm": (40.0, 40.0), "radius_mm": 32.0, "sigma_mm": 1.5}
    scores = [dice(method(image, **start), inside) for method in METHODS]
    assert scores[1] > scores[0]
    assert scores[1] > 0.9


def test_a_balloon_blows_a_contour_up_to_the_edge():
    image, inside = disc()
    start = {"centre_mm": (40.0, 40.0), "radius_mm": 8.0}
    assert dice(snake(image, **start, balloon=0.4), inside) > 0.95
    assert snake(image, **start, balloon=-0.4).counts() == {0: 6400}


def test_elasticity_alone_shrinks_a_circle_as_on_paper():
    # Without other forces the radius falls by elasticity / radius a unit of time, of which a step is a half.
    image, _ = disc()
    alone = {"image_force": 0.0, "rigidity": 0.0, "elasticity": 1.0, "iterations": 200}
    found = snake(image, centre_mm=(40.0, 40.0), radius_mm=20.0, **alone).counts()[1]
    assert np.sqrt(found / np.pi) == pytest.approx(np.sqrt(20.0**2 - 2 * 100), abs=0.6)


def test_rigidity_rounds_corners():
    i, j = np.indices((60, 60)) - 30
    seeds = LabelMap((abs(i) <= 15) & (abs(j) <= 15), Grid.from_spacing((60, 60), (1.0, 1.0)), Labels.of({"box": 1}))
    image = Volume(np.add.outer(np.arange(60.0), np.arange(60.0))[None], seeds.grid)
    still = {"image_force": 0.0, "elasticity": 0.0, "iterations": 100}
    found = [snake(image, seeds=seeds, rigidity=rigidity, **still).array for rigidity in (0.0, 5.0)]
    assert found[0][17, 17]  # a corner keeps
    assert not found[1][16, 16]
    assert found[1][30, 30]


def test_each_slice_has_a_snake_of_its_own():
    picture, inside = disc()
    array = np.stack([picture.array[0], np.zeros_like(picture.array[0]), picture.array[0][:, ::-1]], axis=2)
    image = Volume(array[None], Grid.from_spacing(array.shape, (1.0, 1.0, 5.0)))
    seeds = np.zeros(array.shape, np.uint8)
    seeds[30:51, 30:51, 0] = 4
    labels = LabelMap(seeds, image.grid, Labels.of({"cyst": 4}))
    found = gradient_vector_flow(image, seeds=labels)
    assert found.labels.names == ("cyst",)
    assert not found.array[..., 1:].any()
    one = gradient_vector_flow(picture, seeds=LabelMap(seeds[..., 0], picture.grid, labels.labels))
    np.testing.assert_array_equal(found.array[..., 0], one.array)
    assert dice(one, inside) > 0.98
    turned = Volume(np.moveaxis(image.array, 3, 1), Grid.from_spacing((3, 80, 80), (5.0, 1.0, 1.0)))
    across = LabelMap(np.moveaxis(seeds, 2, 0), turned.grid, labels.labels)
    other = gradient_vector_flow(turned, seeds=across, axis=0)
    np.testing.assert_array_equal(other.array[0], one.array)


def test_the_flow_solves_its_equation_and_is_the_gradient_on_edges(rng):
    from scipy.ndimage import gaussian_filter

    edges = gaussian_filter(rng.random((30, 24)), 1.5)
    edges -= edges.min()
    spacing, diffusion = (0.5, 0.8), 0.2
    flow = vector_flow(edges, spacing, diffusion)
    padded = np.pad(edges, 1, mode="edge")
    slope = np.stack([(padded[2:, 1:-1] - padded[:-2, 1:-1]) / 1.0, (padded[1:-1, 2:] - padded[1:-1, :-2]) / 1.6])
    size = (slope**2).sum(0)
    for part, wanted in zip(flow, slope, strict=True):
        around = np.pad(part, 1, mode="edge")
        bend = (around[2:, 1:-1] + around[:-2, 1:-1] - 2 * part) / 0.25
        bend += (around[1:-1, 2:] + around[1:-1, :-2] - 2 * part) / 0.64
        left = diffusion * 0.25 * size.max() * bend - size * (part - wanted)
        assert np.abs(left).max() < 5e-3 * np.abs(size * wanted).max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"centre_mm": (40.0, 40.0)},
        {"centre_mm": (400.0, 40.0), "radius_mm": 3.0},
        {"centre_mm": (40.0, 40.0), "radius_mm": 8.0, "elasticity": -1.0},
        {"centre_mm": (40.0, 40.0), "radius_mm": 8.0, "balloon": float("nan")},
        {"centre_mm": (40.0, 40.0), "radius_mm": 8.0, "iterations": 0},
        {"centre_mm": (40.0, 40.0), "radius_mm": 8.0, "axis": 3},
    ],
)
def test_what_cannot_be(method, wrong):
    with pytest.raises(DataError):
        method(disc()[0], **wrong)


@pytest.mark.parametrize("method", METHODS)
def test_flat_images_and_starts_in_pieces(method):
    image, _ = disc()
    with pytest.raises(DataError, match="everywhere"):
        method(image.with_array(np.full(image.array.shape, 3.0)), centre_mm=(40.0, 40.0), radius_mm=8.0)
    with pytest.raises(DataError, match="one piece"):
        method(image, seeds=seeds_at(image.grid, {"a": [(20, 20), (60, 60)]}, radius_mm=4.0))
    with pytest.raises(DataError, match="one channel"):
        method(Volume(np.repeat(image.array, 2, 0), image.grid), centre_mm=(40.0, 40.0), radius_mm=8.0)


def test_a_start_of_one_pixel_collapses():
    image, _ = disc()
    assert not snake(image, seeds=seeds_at(image.grid, {"a": [(40, 40)]})).array.any()
