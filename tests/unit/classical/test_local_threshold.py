"""Thresholds that follow the neighbourhood: windows in mm, and each against its formula."""

import numpy as np
import pytest

from vesalius.classical import find
from vesalius.classical.local_threshold import adaptive_mean, niblack, phansalkar, sauvola
from vesalius.errors import DataError
from vesalius.image import Grid, Volume

LOCAL = ("niblack", "sauvola", "phansalkar", "adaptive-mean", "adaptive-gaussian")


def volume(array, spacing=None):
    array = np.asarray(array)
    return Volume(array[None], Grid.from_spacing(array.shape, spacing or (1.0,) * array.ndim))


def windows(array, sides, mode):
    """Every voxel's neighbourhood."""
    padded = np.pad(array.astype(float), [(s // 2, s // 2) for s in sides], mode=mode)
    return np.lib.stride_tricks.sliding_window_view(padded, sides).reshape(*array.shape, -1)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 2.0, 8.0)])
def test_windows_are_in_mm(spacing, rng):
    array = rng.normal(100, 20, (9, 10, 8))
    sides = (5, 5, 5) if spacing[2] == 1 else (5, 3, 1)  # 5 mm: 5, 2.5 and 0.6 voxels
    around = windows(array, sides, "reflect")
    mean, spread = around.mean(-1), around.std(-1)
    image = volume(array, spacing)
    np.testing.assert_array_equal(niblack(image, window_mm=5, k=-0.5).array, array > mean + 0.5 * spread)
    np.testing.assert_array_equal(niblack(image, window_mm=5, k=0.5, dark=True).array, array < mean - 0.5 * spread)
    cut = mean * (1 + 0.3 * (spread / 25 - 1))
    np.testing.assert_array_equal(sauvola(image, window_mm=5, k=0.3, spread=25.0).array, array > cut)
    around = windows(array, sides, "symmetric").mean(-1)
    np.testing.assert_array_equal(adaptive_mean(image, window_mm=5, offset=-3).array, array > around + 3)


def test_phansalkar_by_its_formula(rng):
    array = rng.integers(0, 256, (20, 24)).astype(np.uint8)
    around = windows(array / 255, (7, 7), "reflect")
    mean, spread = around.mean(-1), around.std(-1)
    cut = mean * (1 + 2 * np.exp(-10 * mean) + 0.25 * (spread / 0.5 - 1))
    np.testing.assert_array_equal(phansalkar(volume(array), window_mm=7).array, array / 255 > cut)
    stretched = (array - 3.0 - array.min()) * 7  # other types are brought to scale by what they span
    span = (array - array.min()) / (float(array.max()) - array.min())
    np.testing.assert_array_equal(
        phansalkar(volume(stretched), window_mm=7).array, phansalkar(volume(span), window_mm=7).array
    )


def test_values_below_0_are_shifted_for_sauvola(rng):
    array = rng.normal(0, 200, (16, 16)) - 500
    lifted = sauvola(volume(array - array.min()), window_mm=5)
    np.testing.assert_array_equal(sauvola(volume(array), window_mm=5).array, lifted.array)


@pytest.mark.parametrize(
    "name", [name for name in LOCAL if name != "phansalkar"]
)  # whose dark term depends on the light
def test_uneven_light_does_not_matter(name):
    light = np.linspace(40, 200, 64)[:, None] * np.ones((1, 64))
    spots = np.zeros((64, 64), bool)
    spots[8::16, 8::16] = True
    array = light + 40 * spots
    assert array[~spots].max() > array[spots].min()  # no threshold of the whole image does it
    arguments = {"sigma_mm": 2.0, "offset": -8.0} if "gaussian" in name else {"window_mm": 9.0}
    arguments |= {"niblack": {"k": -2.0}, "adaptive-mean": {"offset": -8.0}}.get(name, {})
    if name == "sauvola":  # made for what is dark
        array = light - 35 * spots
        arguments |= {"dark": True, "spread": 40.0}
    np.testing.assert_array_equal(find(name)(volume(array), **arguments).array, spots)


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("value", [0, 7, -3.7])
def test_plain_ground_is_empty(name, value):
    image = volume(np.full((6, 7, 5), value))
    dark = name in ("sauvola", "phansalkar")
    assert find(name)(image, dark=dark).counts() == {0: 210}


@pytest.mark.parametrize("name", LOCAL)
def test_windows_that_are_refused(name):
    key = "sigma_mm" if "gaussian" in name else "window_mm"
    for value in (0.0, -1.0, np.nan):
        with pytest.raises(DataError, match="more than 0 mm"):
            find(name)(volume(np.zeros((3, 3))), **{key: value})
    if name in ("sauvola", "phansalkar"):
        with pytest.raises(DataError, match="more than 0"):
            find(name)(volume(np.zeros((3, 3))), spread=0.0)


def test_a_window_larger_than_the_image():
    array = np.arange(12.0).reshape(3, 4)
    found = adaptive_mean(volume(array), window_mm=100).array
    assert found[0, 0] == 0
    assert found[2, 3] == 1
