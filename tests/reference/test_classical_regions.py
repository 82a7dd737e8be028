"""Thresholds and regions agree with scikit-image and SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
from skimage import filters, segmentation

from vesalius.classical import find, seeds_at
from vesalius.classical.growing import confidence_connected, connected_threshold, neighbourhood_connected
from vesalius.classical.histogram import one_threshold, several_thresholds
from vesalius.classical.local_threshold import adaptive_gaussian, adaptive_mean, niblack, sauvola
from vesalius.classical.random_walker import random_walker
from vesalius.classical.superpixels import slic
from vesalius.classical.threshold import hysteresis, multi_otsu
from vesalius.classical.watershed import watershed
from vesalius.errors import DataError
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
    flat = np.ascontiguousarray(array).reshape(-1)
    expected = getattr(filters, f"threshold_{criterion}")(flat.copy())
    # Theirs takes Li's means in the precision of the values, ours always in double precision.
    precise = filters.threshold_li(flat.astype(float)) if criterion == "li" and flat.dtype.kind == "f" else expected
    assert one_threshold(array, criterion) == pytest.approx(precise, rel=1e-12)
    assert one_threshold(array, criterion) == pytest.approx(expected, rel=1e-6)
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


# --- regions ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["3d", "2d"])
def grown(request, shared_data, rng):
    """A CT (or a slice of it), two seeds, and both as SimpleITK takes them."""
    ct = read(shared_data / "totalsegmentator_samples" / "ct.nii.gz")
    array = ct.array[0][10:70, 10:70, 20:60].astype(np.float32)
    if request.param == "2d":
        array = array[:, :, 20]
    image = volume(array)
    inside = [tuple(int(n) for n in rng.integers(0, array.shape)) for _ in range(4)]  # at the rim now and then
    seeds = seeds_at(image.grid, {"region": [image.grid.to_points(at) for at in inside]})
    return image, seeds, sitk.GetImageFromArray(array), [at[::-1] for at in inside]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("low", "high"), [(-1100.0, -700.0), (-200.0, 300.0), (0.0, 3000.0)])
def test_connected_regions_equal_those_of_simpleitk(low, high, wide, grown):
    image, seeds, itk, indices = grown
    way = sitk.ConnectedThresholdImageFilter.FullConnectivity if wide else 0
    expected = sitk.ConnectedThreshold(itk, indices, low, high, 1, way)
    bounds = {"low": low, "high": high, "connectivity": image.grid.ndim if wide else 1}
    if not (expected := sitk.GetArrayFromImage(expected)).any():
        with pytest.raises(DataError, match="nothing grows"):  # where SimpleITK gives an empty image
            connected_threshold(image, seeds=seeds, **bounds)
        return
    np.testing.assert_array_equal(connected_threshold(image, seeds=seeds, **bounds).array, expected)


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize(("low", "high"), [(-1100.0, -700.0), (-200.0, 300.0)])
def test_neighbourhood_regions_equal_those_of_simpleitk(low, high, radius, grown):
    image, seeds, itk, indices = grown
    expected = sitk.NeighborhoodConnected(itk, indices, low, high, (radius,) * image.grid.ndim)
    found = neighbourhood_connected(image, seeds=seeds, low=low, high=high, radius_mm=float(radius))
    np.testing.assert_array_equal(found.array, sitk.GetArrayFromImage(expected))


@pytest.mark.parametrize(("iterations", "multiplier", "radius"), [(0, 2.5, 1), (4, 2.5, 1), (2, 1.5, 2), (3, 2.0, 0)])
def test_confidence_regions_equal_those_of_simpleitk(iterations, multiplier, radius, grown):
    image, seeds, itk, indices = grown
    expected = sitk.ConfidenceConnected(itk, indices, iterations, multiplier, radius)
    found = confidence_connected(
        image, seeds=seeds, iterations=iterations, multiplier=multiplier, radius_mm=float(radius)
    )
    np.testing.assert_array_equal(found.array, sitk.GetArrayFromImage(expected))


@pytest.mark.parametrize("compactness", [0.0, 20.0])
def test_watersheds_equal_those_of_scikit_image(compactness, grown):
    image, _, _, _ = grown
    markers = np.zeros(image.grid.shape, np.int32)
    markers.ravel()[:: markers.size // 7] = np.arange(1, markers.ravel()[:: markers.size // 7].size + 1)
    points = {f"m{n}": [tuple(at)] for n, at in enumerate(np.argwhere(markers), 1)}
    expected = segmentation.watershed(np.ascontiguousarray(image.array[0], float), markers, compactness=compactness)
    found = watershed(image, seeds=seeds_at(image.grid, points), relief="dark", sigma_mm=0, compactness=compactness)
    np.testing.assert_array_equal(found.array, expected)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 1.0, 3.0)])
def test_walks_equal_those_of_scikit_image(spacing, shared_data):
    ct = read(shared_data / "totalsegmentator_samples" / "ct.nii.gz")
    array = ct.array[0][40:56, 40:56, 40:48].astype(float)
    array = array if len(spacing) == 3 else array[:, :, 0]
    image = volume(array, spacing)
    markers = np.zeros(array.shape, np.int32)
    markers[:2, :2], markers[-2:, -2:] = 1, 2
    points = {name: image.grid.to_points(np.argwhere(markers == n)) for n, name in enumerate("ab", 1)}
    scaled = (array - array.mean()) / array.std()
    expected = segmentation.random_walker(scaled, markers, beta=90, mode="bf", spacing=spacing)
    found = random_walker(image, seeds=seeds_at(image.grid, points), beta=90, tolerance=1e-8)
    assert (found.array != expected).mean() < 0.005  # ties, where no walker can tell


def test_superpixels_follow_edges_as_well_as_scikit_images(shared_data):
    mr = read(shared_data / "totalsegmentator_samples" / "mr.nii.gz")
    array = mr.array[0][:, :, 10].astype(np.float32)
    ours = slic(volume(array), size_mm=6.0, compactness=10.0).array
    low, high = np.percentile(array, [0.5, 99.5])
    theirs = segmentation.slic(
        np.clip((array - low) / (high - low), 0, 1), n_segments=array.size // 36, compactness=0.1, channel_axis=None
    )

    def explained(pieces):
        _, at = np.unique(pieces, return_inverse=True)
        means = np.bincount(at.ravel(), array.ravel()) / np.bincount(at.ravel())
        return 1 - float(((array - means[at.reshape(array.shape)]) ** 2).mean() / array.var())

    assert 0.7 < len(np.unique(ours)) / len(np.unique(theirs)) < 1.4
    assert explained(ours) > explained(theirs) - 0.02
