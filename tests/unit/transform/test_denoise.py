"""Filters of a neighbourhood: each against its definition, in mm, and at the edges of what may come."""

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.image import Grid, Volume
from vesalius.transform import anisotropic_diffusion, bilateral, gaussian, median, noise_level, non_local_means
from vesalius.transform.boxes import offsets_within

FILTERS = [gaussian, median, bilateral, anisotropic_diffusion, non_local_means]


def volume(array: np.ndarray, spacing: tuple[float, ...] | None = None) -> Volume:
    return Volume(array, Grid.from_spacing(array.shape[1:], spacing or (1.0,) * (array.ndim - 1)))


def test_gaussian_of_a_point_is_as_wide_in_mm_on_every_axis() -> None:
    array = np.zeros((1, 41, 41, 21))
    array[0, 20, 20, 10] = 1
    made = gaussian(volume(array, (0.5, 0.5, 1.0)), sigma_mm=1.5).array[0].astype(float)
    assert made.sum() == pytest.approx(1, abs=1e-5)
    for axis, spacing in enumerate((0.5, 0.5, 1.0)):
        at = (np.arange(made.shape[axis]) - made.shape[axis] // 2) * spacing
        across = tuple(a for a in range(3) if a != axis)
        assert np.sqrt((made.sum(axis=across) * at**2).sum()) == pytest.approx(1.5, rel=5e-3)


def test_gaussian_leaves_a_thick_axis_alone() -> None:
    array = np.zeros((1, 31, 9))
    array[0, 15, 4] = 1
    made = gaussian(volume(array, (1.0, 20.0)), sigma_mm=2.0).array[0]
    assert (made[:, [0, 3, 5]] == 0).all()
    assert made[:, 4].sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("shape", [(40,), (9, 11), (6, 7, 8)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_median_is_the_middle_of_the_ball(rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> None:
    if len(shape) == 1:
        shape = (1, *shape)
    array = rng.integers(0, 200, shape).astype(dtype)
    spacing = (1.0, 1.5, 2.0)[: len(shape)]
    made = median(volume(array[None], spacing), radius_mm=2.1).array[0]
    assert made.dtype == dtype
    offsets = offsets_within(2.1, spacing)
    for place in ((0,) * len(shape), tuple(n // 2 for n in shape), tuple(n - 1 for n in shape)):
        near = [tuple(np.clip(np.add(place, o), 0, np.subtract(shape, 1))) for o in offsets]
        assert made[place] == np.median([array[p] for p in near])


@pytest.mark.parametrize("count", [1, 3, 5, 7, 13, 19, 27, 33, 81, 123])
def test_the_network_finds_the_median_of_any_odd_count(rng: np.random.Generator, count: int) -> None:
    from vesalius.transform.denoise import _median_network, _run

    values = rng.integers(0, 9, (count, 500)).astype(np.int16)
    before = values.copy()
    np.testing.assert_array_equal(_run(_median_network(count), list(values)), np.median(values, axis=0))
    np.testing.assert_array_equal(values, before)  # the wires begin as views of the image


def test_a_median_over_too_many_voxels_is_refused() -> None:
    with pytest.raises(DataError, match="more than 2000 voxels"):
        median(volume(np.zeros((1, 4, 4, 4))), radius_mm=50.0)


def test_bilateral_is_its_formula(rng: np.random.Generator) -> None:
    array = rng.normal(100, 20, (6, 7)).astype(np.float32)
    spacing, sigma_mm, sigma_value = (1.0, 0.7), 1.2, 15.0
    made = bilateral(volume(array[None], spacing), sigma_mm=sigma_mm, sigma_value=sigma_value).array[0]
    for i, j in ((0, 0), (3, 3), (5, 6)):
        total = weights = 0.0
        for a, b in np.ndindex(array.shape):
            squares = ((a - i) * spacing[0]) ** 2 + ((b - j) * spacing[1]) ** 2
            if squares <= (2.5 * sigma_mm) ** 2:
                away = float(array[a, b]) - float(array[i, j])
                weight = np.exp(-squares / (2 * sigma_mm**2) - away**2 / (2 * sigma_value**2))
                total, weights = total + weight * float(array[a, b]), weights + weight
        assert made[i, j] == pytest.approx(total / weights, rel=1e-5)


def test_edges_stay_and_noise_goes(rng: np.random.Generator) -> None:
    truth = np.zeros((1, 24, 24, 24), np.float32)
    truth[0, 6:18, 6:18, 6:18] = 100
    noisy = volume(truth + rng.normal(0, 5, truth.shape).astype(np.float32))

    def error(array: np.ndarray) -> float:
        return float(np.sqrt(((array - truth) ** 2).mean()))

    found = {one.__name__: error(one(noisy).array) for one in FILTERS}
    assert found["bilateral"] < 0.4 * 5
    assert found["anisotropic_diffusion"] < 0.4 * 5
    assert found["non_local_means"] < 0.3 * 5
    assert found["gaussian"] > found["median"] > found["bilateral"]  # what does not look for edges blurs them


def test_noise_is_estimated_whatever_lies_below(rng: np.random.Generator) -> None:
    ramp = np.linspace(0, 1000, 60)[:, None, None] + np.linspace(0, 500, 60)
    field = np.broadcast_to(ramp, (60, 60, 60)) + rng.normal(0, 7, (60, 60, 60))
    assert noise_level(field) == pytest.approx(7, rel=0.03)
    field[:, :30] = 0  # an empty background
    assert noise_level(field) == pytest.approx(7, rel=0.05)
    assert noise_level(np.full((5, 5), 3.0)) == 0
    assert noise_level(np.zeros((2, 2))) == 0


@pytest.mark.parametrize("one", FILTERS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (2, 3), (1, 1, 1), (2, 1, 5)])
def test_small_and_flat_images(one, shape: tuple[int, ...]) -> None:
    flat = one(volume(np.full((1, *shape), 7, np.int16)))
    np.testing.assert_allclose(flat.array, 7, rtol=1e-6)


@pytest.mark.parametrize("one", FILTERS)
def test_channels_and_layout_in_memory_make_no_difference(one, rng: np.random.Generator) -> None:
    array = rng.normal(50, 10, (2, 9, 8, 7)).astype(np.float32)
    spacing = (1.0, 1.3, 2.0)
    made = one(volume(array, spacing)).array
    other = np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 0, -1).T), 0, 0).T
    turned = one(volume(np.moveaxis(other, -1, 0), spacing)).array
    np.testing.assert_allclose(turned, made, rtol=1e-5)
    alone = one(volume(array[1:], spacing)).array
    np.testing.assert_array_equal(alone[0], made[1])
    np.testing.assert_array_equal(one(volume(array, spacing)).array, made)


@pytest.mark.parametrize("one", FILTERS)
def test_mirrored_images_are_filtered_alike(one, rng: np.random.Generator) -> None:
    array = rng.normal(50, 10, (1, 9, 8)).astype(np.float32)
    made = one(volume(array, (1.0, 1.3))).array
    np.testing.assert_allclose(one(volume(array[:, ::-1], (1.0, 1.3))).array, made[:, ::-1], rtol=1e-5)


@pytest.mark.parametrize(
    ("one", "settings"),
    [
        (gaussian, {"sigma_mm": 0.0}),
        (median, {"radius_mm": -1.0}),
        (bilateral, {"sigma_mm": 0.0}),
        (bilateral, {"sigma_value": -2.0}),
        (non_local_means, {"strength": 0.0}),
        (non_local_means, {"patch_mm": -1.0}),
        (non_local_means, {"search_mm": 0.0}),
        (non_local_means, {"noise": 0.0}),
        (anisotropic_diffusion, {"iterations": -1}),
        (anisotropic_diffusion, {"contrast": 0.0}),
        (anisotropic_diffusion, {"step_mm2": 0.0}),
    ],
)
def test_settings_out_of_range(one, settings: dict[str, float]) -> None:
    with pytest.raises(DataError, match=next(iter(settings))):
        one(volume(np.zeros((1, 3, 3))), **settings)
