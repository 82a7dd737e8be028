"""Scales of intensity: percentiles, landmarks, WhiteStripe, SUV."""

import json

import numpy as np
import pytest

from vesalius.errors import DataError, VesaliusError
from vesalius.image import Grid, Meta, Volume
from vesalius.transform import nyul, nyul_landmarks, percentile, suv, white_stripe, z_score


def volume(array, meta: Meta | None = None) -> Volume:
    array = np.asarray(array)
    return Volume(array, Grid.from_spacing(array.shape[1:], (1.0, 2.0, 3.0)[: array.ndim - 1]), meta or Meta())


def brain(rng: np.random.Generator, grey: float, white: float, gain: float = 1.0) -> Volume:
    """Half background, a quarter each of grey and white matter, and a few bright voxels."""
    array = np.zeros((1, 40, 40, 40))
    array[0, 20:30] = rng.normal(grey, 4, (10, 40, 40))
    array[0, 30:] = rng.normal(white, 4, (10, 40, 40))
    array[0, 39, :8] = 3 * white
    return volume(gain * array)


def test_z_score_over_what_is_chosen() -> None:
    source = volume([[[0.0, 0.0, 1.0, 3.0]]])
    np.testing.assert_allclose(z_score(source, over="nonzero").array[0, 0], [0, 0, -1, 1])
    np.testing.assert_allclose(z_score(source).array.mean(), 0, atol=1e-7)
    with pytest.raises(VesaliusError, match="did you mean 'nonzero'"):
        z_score(source, over="nonzeros")  # type: ignore[arg-type]


def test_percentiles_of_each_channel() -> None:
    ramp = np.arange(101.0)
    made = percentile(volume([[ramp], [5 * ramp - 100]]), lower=25, upper=75).array
    np.testing.assert_allclose(made[0], made[1], atol=1e-6)
    np.testing.assert_allclose(made[0, 0, [0, 25, 50, 75, 100]], [0, 0, 0.5, 1, 1], atol=1e-6)
    wide = percentile(volume([[ramp]]), lower=25, upper=75, clipped=False).array[0, 0]
    np.testing.assert_allclose(wide[[0, 100]], [-0.5, 1.5], atol=1e-6)


def test_percentiles_of_the_foreground() -> None:
    array = np.r_[np.zeros(900), np.arange(101.0)][None, None]
    made = percentile(volume(array), lower=0, upper=100, over="nonzero").array[0, 0]
    np.testing.assert_allclose(made[[901, 1000]], [0, 1], atol=1e-6)
    assert not percentile(volume(array), lower=0, upper=50).array.any()  # both percentiles are 0
    for lower, upper in ((-1, 5), (5, 5), (5, 101)):
        with pytest.raises(DataError, match="within 0 to 100"):
            percentile(volume(array), lower=lower, upper=upper)


def test_landmarks_bring_scanners_together(rng: np.random.Generator) -> None:
    scans = [brain(rng, 60, 100, gain) for gain in (1.0, 3.0, 17.0)]
    marks = nyul_landmarks(scans, over="nonzero")
    assert (marks[0], marks[-1]) == (0.0, 100.0)
    assert json.loads(json.dumps(marks)) == list(marks)
    made = [nyul(scan, landmarks=marks, over="nonzero").array[0] for scan in scans]
    for part in (slice(20, 30), slice(30, 39)):
        means = [one[part].mean() for one in made]
        assert np.ptp(means) < 1
    assert made[0][20:30].mean() < made[0][30:39].mean()


def test_landmarks_on_paper() -> None:
    # Values 0 to 100: the percentiles are the values; the scale 0, 100·9/98, 100·19/98 … 100.
    ramp = volume(np.arange(101.0).reshape(1, 1, 101))
    marks = nyul_landmarks([ramp, volume(7 * ramp.array + 3)], over="all")
    np.testing.assert_allclose(marks, 100 * (np.array([1, *range(10, 100, 10), 99]) - 1) / 98)
    made = nyul(volume(2 * ramp.array), landmarks=marks, over="all").array[0, 0]
    np.testing.assert_allclose(made, 100 * (np.arange(101) - 1) / 98, rtol=1e-5)  # also beyond both ends


def test_landmarks_of_few_grey_levels() -> None:
    marks = nyul_landmarks([volume(np.arange(101.0).reshape(1, 1, 101))])
    made = nyul(volume([[[0, 0, 1, 1, 1, 2]]]), landmarks=marks, over="all").array
    assert np.isfinite(made).all()
    assert (np.diff(made[0, 0]) >= 0).all()
    assert made[0, 0, -1] >= 100


def test_landmarks_that_cannot_be() -> None:
    flat, ramp = volume(np.ones((1, 4, 4))), volume(np.arange(16.0).reshape(1, 4, 4))
    with pytest.raises(DataError, match="there is none"):
        nyul_landmarks([])
    with pytest.raises(DataError, match="flat"):
        nyul_landmarks([ramp, flat])
    marks = nyul_landmarks([ramp])
    with pytest.raises(DataError, match="flat"):
        nyul(flat, landmarks=marks)
    with pytest.raises(DataError, match="11 numbers"):
        nyul(ramp, landmarks=(0.0, 100.0))
    with pytest.raises(DataError, match="11 numbers"):
        nyul(ramp, landmarks=marks[::-1])
    with pytest.raises(DataError, match="2"):
        nyul(volume(np.zeros((2, 3, 3))), landmarks=marks)
    with pytest.raises(VesaliusError, match="choice of voxels"):
        nyul(ramp, landmarks=marks, over="bright")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("weighting", "grey", "white"), [("t1", 60.0, 100.0), ("t1", 30.0, 140.0), ("t2", 110.0, 70.0)]
)
def test_white_stripe_finds_white_matter(rng, weighting: str, grey: float, white: float) -> None:
    scan = brain(rng, grey, white)
    if weighting == "t2":  # white matter is the larger tissue, and makes the higher peak
        array = scan.array.copy()
        array[0, 24:30] = rng.normal(white, 4, (6, 40, 40))
        scan = volume(array)
    made = white_stripe(scan, weighting=weighting).array[0]
    assert abs(made[30:38].mean()) < 0.02 * abs(made[20:23].mean())
    shifted = white_stripe(volume(scan.array * 40), weighting=weighting).array[0]
    np.testing.assert_allclose(shifted, made, atol=1e-3)  # the scanner's gain makes no difference


def test_white_stripe_of_what_has_no_white_matter() -> None:
    for array in (np.zeros((1, 4, 4)), np.full((1, 4, 4), 7)):
        with pytest.raises(DataError, match="one value"):
            white_stripe(volume(array))
    with pytest.raises(DataError, match="width"):
        white_stripe(volume(np.arange(16.0).reshape(1, 4, 4)), width=0.5)
    with pytest.raises(DataError, match="one channel"):
        white_stripe(volume(np.zeros((2, 4, 4))))
    with pytest.raises(VesaliusError, match="weighting"):
        white_stripe(volume(np.zeros((1, 4, 4))), weighting="pd")  # type: ignore[arg-type]
    two = white_stripe(volume(np.tile([1.0, 2.0], (1, 4, 2))), width=0.4)
    assert np.isfinite(two.array).all()


def test_suv_multiplies_once() -> None:
    pet = volume(np.array([[[0, 1000, 5000]]], np.int16), Meta("PT", "Bq/ml", suv_factor=2e-3))
    made = suv(pet)
    np.testing.assert_allclose(made.array[0, 0], [0, 2, 10])
    assert (made.meta.unit, made.meta.suv_factor) == ("g/ml", 1.0)
    assert suv(made) is made


def test_suv_says_why_not() -> None:
    with pytest.raises(DataError, match="this image is MR"):
        suv(volume(np.ones((1, 2, 2)), Meta("MR")))
    with pytest.raises(DataError, match="no SUV: the injected dose"):
        suv(volume(np.ones((1, 2, 2)), Meta("PT", "Bq/ml", notes=("x", "no SUV: the injected dose is missing"))))
    with pytest.raises(DataError, match="not read from DICOM"):
        suv(volume(np.ones((1, 2, 2)), Meta("PT")))
