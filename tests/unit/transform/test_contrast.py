"""Windows, gamma, histograms: answers from paper, and what is refused."""

import numpy as np
import pytest

from vesalius.errors import DataError, VesaliusError
from vesalius.image import Grid, Meta, Volume
from vesalius.transform import WINDOWS_HU, clahe, equalise, gamma, match_histogram, quantiles, window


def volume(array, meta: Meta | None = None) -> Volume:
    array = np.asarray(array)
    return Volume(array, Grid.from_spacing(array.shape[1:], (1.0, 2.0, 3.0)[: array.ndim - 1]), meta or Meta())


def row(*values: float) -> Volume:
    return volume(np.array([[values]], np.float32))


@pytest.mark.parametrize("preset", WINDOWS_HU)
def test_a_preset_goes_from_its_lower_to_its_upper_end(preset: str) -> None:
    centre, width = WINDOWS_HU[preset]
    ct = volume(np.array([[[centre - width / 2, centre, centre + width / 2, -5000, 5000]]]), Meta("CT", "HU"))
    assert window(ct, preset=preset).array[0, 0].tolist() == [0.0, 0.5, 1.0, 0.0, 1.0]


def test_lung_and_bone_are_those_of_radiology() -> None:
    assert WINDOWS_HU["lung"] == (-600, 1500)
    assert WINDOWS_HU["bone"] == (400, 1800)
    assert WINDOWS_HU["brain"] == (40, 80)


def test_a_window_of_ones_own() -> None:
    assert window(row(0, 10, 15, 20, 30), centre=15, width=10).array[0, 0].tolist() == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize("meta", [Meta("MR"), Meta("CT", "mg/ml")])
def test_a_preset_needs_hounsfield_units(meta: Meta) -> None:
    with pytest.raises(DataError, match="for CT in HU"):
        window(volume(np.zeros((1, 2, 2)), meta), preset="lung")


@pytest.mark.parametrize("settings", [{}, {"preset": "lung", "centre": 3.0, "width": 2.0}, {"centre": 3.0}])
def test_a_window_takes_a_preset_or_numbers(settings: dict) -> None:
    with pytest.raises(DataError, match="centre and width"):
        window(row(0, 1), **settings)


def test_what_a_window_cannot_be() -> None:
    with pytest.raises(DataError, match="width"):
        window(row(0, 1), centre=0.0, width=0.0)
    with pytest.raises(VesaliusError, match="did you mean 'lung'"):
        window(row(0, 1), preset="lungs")  # type: ignore[arg-type]


def test_gamma_keeps_the_ends_of_each_channel() -> None:
    made = gamma(volume([[[-10, 0, 10]], [[100, 125, 200]]]), exponent=0.5).array
    np.testing.assert_allclose(made[0, 0], [-10, -10 + 20 * np.sqrt(0.5), 10], rtol=1e-6)
    np.testing.assert_allclose(made[1, 0], [100, 150, 200], rtol=1e-6)
    assert gamma(row(5, 5), exponent=3).array.tolist() == [[[5, 5]]]


def test_equalise_is_the_share_of_voxels_below(rng: np.random.Generator) -> None:
    made = equalise(volume(rng.exponential(5, (1, 40, 50, 20)))).array
    shares = np.quantile(made, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(shares, [0.1, 0.5, 0.9], atol=0.02)


def test_equalise_without_the_background() -> None:
    made = equalise(row(0, 0, 0, 0, 1, 2, 3, 4), bins=1024, nonzero=True).array[0, 0]
    np.testing.assert_allclose(made, [0, 0, 0, 0, 0.25, 0.5, 0.75, 1], atol=0.05)
    assert not equalise(row(0, 0), nonzero=True).array.any()
    assert equalise(row(3, 3)).array.tolist() == [[[0.5, 0.5]]]
    with pytest.raises(DataError, match="bins"):
        equalise(row(0, 1), bins=1)


def test_matching_gives_the_other_histogram_whatever_the_own(rng: np.random.Generator) -> None:
    one = volume(rng.normal(0, 1, (1, 30, 40)) ** 3)
    other = volume(rng.integers(0, 200, (1, 20, 25)))
    exact = match_histogram(one, reference=other).array
    np.testing.assert_allclose(np.quantile(exact, [0.1, 0.5, 0.9]), np.quantile(other.array, [0.1, 0.5, 0.9]), atol=2)
    by_numbers = match_histogram(one, reference=quantiles(other)).array
    np.testing.assert_allclose(by_numbers, exact, atol=2)
    # The order of values stays.
    order = np.argsort(one.array.ravel(), kind="stable")
    assert (np.diff(exact.ravel()[order]) >= 0).all()


def test_matching_is_for_as_many_channels() -> None:
    with pytest.raises(DataError, match="2 channels and the reference 1"):
        match_histogram(volume(np.zeros((2, 2, 2))), reference=row(0, 1))
    with pytest.raises(DataError, match="make it grey"):
        match_histogram(volume(np.zeros((2, 2, 2))), reference=(0.0, 1.0))
    with pytest.raises(DataError, match="make it grey"):
        quantiles(volume(np.zeros((2, 2, 2))))


@pytest.mark.parametrize("levels", [(), (1.0,), (2.0, 1.0), (0.0, float("nan"))])
def test_quantiles_that_cannot_be(levels: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="do not fall"):
        match_histogram(row(0, 1), reference=levels)
    with pytest.raises(DataError, match="count"):
        quantiles(row(0, 1), count=1)


def test_clahe_raises_local_contrast(rng: np.random.Generator) -> None:
    pytest.importorskip("skimage")
    i = np.arange(64)
    faint = 100 * (i > 31)[:, None] + 2 * (i % 8 < 4)[None, :] + np.zeros((1, 64, 64))
    made = clahe(volume(faint), size_mm=16.0, clip=0.1).array[0]
    assert (made.min(), made.max()) == (0, 1)
    before = 2 / 102
    assert abs(made[10, 1] - made[10, 5]) > 5 * before


@pytest.mark.parametrize("slices", [3, 4])
def test_clahe_takes_few_slices_for_slices_and_not_for_colours(rng: np.random.Generator, slices: int) -> None:
    pytest.importorskip("skimage")
    array = rng.normal(size=(1, 16, 16, slices))
    made = clahe(volume(array), size_mm=6.0).array
    turned = clahe(Volume(np.moveaxis(array, 3, 1), Grid.from_spacing((slices, 16, 16), (3.0, 1.0, 2.0))), size_mm=6.0)
    np.testing.assert_allclose(np.moveaxis(turned.array, 1, 3), made, atol=2e-4)  # 14 bits of grey


def test_clahe_of_odd_images() -> None:
    pytest.importorskip("skimage")
    assert not clahe(volume(np.full((1, 8, 8), 4.0))).array.any()
    assert clahe(volume(np.arange(24).reshape(1, 2, 3, 4)), size_mm=100.0).array.max() == 1
    for settings in ({"clip": 2.0}, {"bins": 1}, {"size_mm": 0.0}):
        with pytest.raises(DataError):
            clahe(volume(np.zeros((1, 4, 4))), **settings)
