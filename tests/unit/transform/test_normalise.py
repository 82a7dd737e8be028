"""Normalisation: each scheme against its definition."""

import numpy as np
import pytest

from vesalius.errors import DataError, VesaliusError
from vesalius.image import Grid, Volume
from vesalius.transform import Normalisation, normalise

GRID = Grid.from_spacing((6, 7, 8), (1.0, 1.0, 1.0))


def volume(array: np.ndarray) -> Volume:
    return Volume(array, Grid.from_spacing(array.shape[1:], (1.0,) * (array.ndim - 1)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_z_score(rng: np.random.Generator, dtype: type) -> None:
    array = rng.integers(0, 200, (1, 6, 7, 8)).astype(dtype)
    made = normalise(volume(array), [Normalisation("z_score")]).array
    assert made.dtype == np.float32
    wide = array.astype(np.float64)
    np.testing.assert_allclose(made, (wide - wide.mean()) / wide.std(), atol=1e-6)


def test_z_score_of_nonzero_voxels_leaves_the_rest_at_zero(rng: np.random.Generator) -> None:
    array = rng.normal(100, 20, (1, 6, 7, 8)).astype(np.float32)
    array[:, :2] = 0
    made = normalise(volume(array), [Normalisation("z_score_nonzero")]).array
    inside = array[array != 0].astype(np.float64)
    np.testing.assert_allclose(made[array != 0], (inside - inside.mean()) / inside.std(), atol=1e-5)
    assert (made[array == 0] == 0).all()


def test_ct_clips_and_uses_the_statistics_of_the_data_set() -> None:
    array = np.array([[[-1000, -50], [100, 3000]]], np.int16)
    made = normalise(volume(array), [Normalisation("ct", mean=80, std=40, lower=-100, upper=200)]).array
    np.testing.assert_allclose(made[0], [[-4.5, -3.25], [0.5, 3.0]])


def test_range_and_rgb() -> None:
    array = np.array([[[51, 102], [153, 255]]] * 2, np.uint8)
    made = normalise(volume(array), [Normalisation("range"), Normalisation("rgb")]).array
    np.testing.assert_allclose(made[0], [[0, 0.25], [0.5, 1]], rtol=1e-6)
    np.testing.assert_allclose(made[1], [[0.2, 0.4], [0.6, 1]], rtol=1e-6)


@pytest.mark.parametrize("least", [-1, 0])
def test_rgb_refuses_values_that_are_not_colours(least: int) -> None:
    array = np.array([[[least, 255 - least if least else 256]]], np.int16)
    with pytest.raises(DataError, match="0 to 255"):
        normalise(volume(array), [Normalisation("rgb")])


def test_none_only_changes_the_type() -> None:
    array = np.array([[[True, False]]])
    made = normalise(volume(array), [Normalisation("none")]).array
    assert made.dtype == np.float32
    assert made.ravel().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("scheme", ["z_score", "z_score_nonzero", "range"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.3, -7])
def test_a_flat_image_becomes_zeros(scheme: str, value: float) -> None:
    made = normalise(volume(np.full((1, 9, 11), value, np.float32)), [Normalisation(scheme)]).array
    assert (made == 0).all()


def test_a_large_offset_costs_no_digits(rng: np.random.Generator) -> None:
    noise = rng.normal(size=(1, 50, 60))
    made = normalise(volume(noise + 1e9), [Normalisation("z_score")]).array
    np.testing.assert_allclose(made, (noise - noise.mean()) / noise.std(), atol=1e-5)


def test_each_channel_by_its_own_scheme_and_the_layout_in_memory_does_not_matter(rng: np.random.Generator) -> None:
    array = rng.normal(size=(2, 70, 40, 50)).astype(np.float32)
    schemes = [Normalisation("z_score"), Normalisation("ct", mean=0.5, std=2, lower=-1, upper=1)]
    made = normalise(volume(array), schemes).array
    turned = normalise(volume(np.asfortranarray(array)[:, ::-1]), schemes).array
    np.testing.assert_allclose(turned, made[:, ::-1], atol=1e-6)
    assert abs(made[0].mean()) < 1e-5
    assert made[1].max() == 0.25


def test_meta_and_place_stay() -> None:
    source = Volume(np.zeros((1, *GRID.shape)), GRID)
    made = normalise(source, [Normalisation("none")])
    assert made.grid is source.grid
    assert made.meta is source.meta


def test_one_scheme_for_each_channel() -> None:
    with pytest.raises(DataError, match="1 channels and there are 2"):
        normalise(Volume(np.zeros((1, *GRID.shape)), GRID), [Normalisation("none")] * 2)


def test_a_scheme_that_does_not_exist() -> None:
    with pytest.raises(VesaliusError, match="did you mean 'z_score'"):
        Normalisation("zscore")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"std": -1.0}, {"mean": float("nan")}, {"lower": 2.0, "upper": 1.0}])
def test_statistics_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(DataError):
        Normalisation("ct", **wrong)
