"""Thresholds and regions agree with scikit-image and SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
from skimage import filters

from vesalius.classical import find
from vesalius.classical.histogram import one_threshold, several_thresholds
from vesalius.classical.local_threshold import adaptive_gaussian, adaptive_mean, niblack, sauvola
from vesalius.classical.threshold import hysteresis, multi_otsu
from vesalius.image import Grid, Volume
from vesalius.io import read
from vesalius.transform import grey

CRITERIA = ("otsu", "li", "triangle", "yen", "isodata")


def volume(array, spacing=None):
    return Volume(array[None], Grid.from_spacing(array.shape, spacing or (1.0,) * array.ndim))


@pytest.fixture(params=["ct", "mr", "nuclei", "float"])
def image(request, shared_data):
    if request.param == "nuclei":
        return grey(read(min((shared_data / "dsb2018_nuclei" / "images").iterdir())), channel=0)
    if request.param == "ct":
        return read(shared_data / "totalsegmentator_samples" / "ct.nii.gz")
    found = read(shared_data / "totalsegmentator_samples" / "mr.nii.gz")
    return found if request.param == "mr" else found.with_array(np.sqrt(np.abs(found.array.astype(np.float32))))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_thresholds_equal_those_of_scikit_image(criterion, image):
    array = image.array[0]
    # Flat, because scikit-image warns of pictures whose last axis has 3 or 4.
    expected = getattr(filters, f"threshold_{criterion}")(np.ascontiguousarray(array).reshape(-1).copy())
    assert one_threshold(array, criterion) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(find(criterion)(image).array, array > expected)


@pytest.mark.parametrize("classes", [2, 3])
def test_several_thresholds_equal_those_of_scikit_image(classes, image):
    array = image.array[0]
    expected = filters.threshold_multiotsu(array.reshape(-1), classes=classes)
    found = several_thresholds(array, classes)

    def within(cuts):
        part = np.searchsorted(cuts, array, side="left")
        return sum(array[part == n].astype(float).var() * (part == n).sum() for n in range(classes))

    # scikit-image reckons in single precision and may take a neighbour of the best cut; ours is never worse.
    width = 1 if array.dtype.kind in "iu" else np.ptp(array) / 256 * 1.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=width)
    if array.dtype.kind in "iu":
        assert within(found) <= within(expected) * (1 + 1e-12)
    np.testing.assert_array_equal(multi_otsu(image, classes=classes).array, np.searchsorted(found, array, side="left"))


def test_the_entropy_equals_that_of_simpleitk(rng):
    array = np.concatenate([rng.normal(60, 10, 5000), rng.normal(150, 25, 1500)]).clip(0, 255).astype(np.uint8)
    array[:2] = 0, 255  # so that SimpleITK's 256 bins are one a value
    task = sitk.MaximumEntropyThresholdImageFilter()
    task.SetNumberOfHistogramBins(256)
    task.Execute(sitk.GetImageFromArray(array.reshape(50, -1)))
    assert abs(one_threshold(array, "entropy") - task.GetThreshold()) <= 1


@pytest.mark.parametrize("window", [(5, 5, 5), (7, 7, 3)])
def test_local_thresholds_equal_those_of_scikit_image(window, shared_data):
    array = read(shared_data / "totalsegmentator_samples" / "mr.nii.gz").array[0][10:60, 10:50, 10:40].astype(float)
    array -= array.min()  # Sauvola's formula is one of values from 0
    image = volume(array, (1.0, 1.0, window[0] / window[2]))
    side = float(window[0])
    for found, expected in [
        (niblack(image, window_mm=side, k=-0.3), filters.threshold_niblack(array, window, k=-0.3)),
        (sauvola(image, window_mm=side, k=0.1, spread=90.0), filters.threshold_sauvola(array, window, k=0.1, r=90.0)),
        (adaptive_mean(image, window_mm=side, offset=-4), filters.threshold_local(array, window, "mean", -4)),
        (
            adaptive_gaussian(image, sigma_mm=2.0, offset=-4),
            filters.threshold_local(array, window, "gaussian", -4, param=tuple(2.0 / s for s in image.grid.spacing_mm)),
        ),
    ]:
        decided = np.abs(array - expected) > 1e-6
        assert decided.mean() > 0.9
        np.testing.assert_array_equal(found.array[decided], (array > expected)[decided])


def test_sauvola_of_8_bits_takes_scikit_images_range(rng):
    array = rng.integers(0, 256, (40, 50)).astype(np.uint8)
    np.testing.assert_array_equal(
        sauvola(volume(array), window_mm=15).array, array > filters.threshold_sauvola(array, 15)
    )


def test_hysteresis_equals_that_of_scikit_image(image):
    array = image.array[0]
    low, high = np.percentile(array, [70, 97])
    expected = filters.apply_hysteresis_threshold(array, low, high)
    np.testing.assert_array_equal(hysteresis(image, low=low, high=high).array, expected)
