"""Preprocessing agrees with SciPy, scikit-image, OpenCV and SimpleITK."""

import numpy as np
import pytest
from scipy import ndimage

from vesalius.image import Grid, Volume
from vesalius.io import read
from vesalius.transform import (
    anisotropic_diffusion,
    bilateral,
    body_mask,
    brain_mask,
    clahe,
    equalise,
    gamma,
    gaussian,
    grey,
    match_histogram,
    median,
    n4,
    non_local_means,
    quantiles,
    white_stripe,
)
from vesalius.transform.boxes import offsets_within


def volume(array, spacing=None):
    return Volume(array, Grid.from_spacing(array.shape[1:], spacing or (1.0,) * (array.ndim - 1)))


@pytest.fixture
def mr(shared_data):
    """A small body MR, 3 mm."""
    return read(shared_data / "totalsegmentator_samples" / "mr.nii.gz")


@pytest.fixture
def slice_of_mr(mr):
    return volume(np.ascontiguousarray(mr.array[:, :, :, 10]), (3.0, 3.0))


def scaled(array):
    wide = array.astype(np.float64)
    return (wide - wide.min()) / np.ptp(wide)


@pytest.mark.parametrize(
    ("shape", "spacing", "sigma_mm"),
    [((40, 50), (1.0, 0.5), 1.3), ((30, 20, 12), (0.8, 0.8, 3.0), 2.0), ((9, 8, 7), (1.0, 1.0, 1.0), 4.0)],
)
def test_gaussian_is_scipy_s(rng, shape, spacing, sigma_mm):
    array = rng.normal(100, 20, shape).astype(np.float32)
    theirs = ndimage.gaussian_filter(array.astype(np.float64), [sigma_mm / s for s in spacing], mode="nearest")
    np.testing.assert_allclose(gaussian(volume(array[None], spacing), sigma_mm=sigma_mm).array[0], theirs, rtol=2e-6)


def test_gaussian_is_simpleitk_s_in_mm(rng):
    # ITK's recursive Gaussian nears the sampled one as it widens.
    sitk = pytest.importorskip("SimpleITK")
    array = ndimage.gaussian_filter(rng.normal(0, 50, (30, 30, 30)), 1.5) + 100
    image = sitk.GetImageFromArray(array.T)
    image.SetSpacing((0.7, 1.0, 1.4))
    found = gaussian(volume(array[None], (0.7, 1.0, 1.4)), sigma_mm=2.5).array[0]
    theirs = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, 2.5)).T
    inside = (slice(8, -8),) * 3
    assert np.abs(found - theirs)[inside].max() < 0.02 * np.ptp(theirs[inside])


@pytest.mark.parametrize("radius_mm", [1.0, 1.5, 2.0, 3.0])
def test_median_is_scipy_s(mr, radius_mm):
    part = volume(mr.array[:, 30:70, 30:60], (1.0, 1.0, 2.0))
    footprint = np.zeros((7, 7, 7), bool)
    for offset in offsets_within(radius_mm, (1.0, 1.0, 2.0)):
        footprint[tuple(3 + n for n in offset)] = True
    theirs = ndimage.median_filter(part.array[0], footprint=footprint, mode="nearest")
    np.testing.assert_array_equal(median(part, radius_mm=radius_mm).array[0], theirs)


def test_median_of_cubes_is_simpleitk_s(mr):
    # A ball of √3 of the spacing is the cube of 27 voxels.
    sitk = pytest.importorskip("SimpleITK")
    part = np.ascontiguousarray(mr.array[0, 30:70, 30:60])
    theirs = sitk.GetArrayFromImage(sitk.Median(sitk.GetImageFromArray(part), [1, 1, 1]))
    np.testing.assert_array_equal(median(volume(part[None]), radius_mm=1.7321).array[0], theirs)


def test_bilateral_is_opencv_s(slice_of_mr):
    # Not scikit-image's: its table of weights in space is laid out one pixel wider than its odd window (0.26).
    cv2 = pytest.importorskip("cv2")
    picture = scaled(slice_of_mr.array[0]).astype(np.float32)
    theirs = cv2.bilateralFilter(picture, 11, 0.1, 2.0)
    ours = bilateral(volume(picture[None]), sigma_mm=2.0, sigma_value=0.1).array[0]
    inside = (slice(5, -5),) * 2  # beyond the border they mirror
    np.testing.assert_allclose(ours[inside], theirs[inside], atol=1e-5)


def test_non_local_means_is_scikit_image_s(slice_of_mr, rng):
    skimage = pytest.importorskip("skimage.restoration")
    truth = scaled(slice_of_mr.array[0])
    noisy = (truth + rng.normal(0, 0.05, truth.shape)).astype(np.float32)
    theirs = skimage.denoise_nl_means(noisy, patch_size=3, patch_distance=5, h=0.04, sigma=0.05, fast_mode=True)
    ours = non_local_means(volume(noisy[None]), strength=0.8, noise=0.05).array[0]
    # They search a square, we a disc: the pictures are as good, and alike.
    errors = [float(np.sqrt(((one - truth) ** 2).mean())) for one in (ours, theirs)]
    assert errors[0] == pytest.approx(errors[1], rel=0.1)
    assert errors[0] < 0.7 * 0.05
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.995


def test_diffusion_does_as_well_as_simpleitk_s(mr, rng):
    # ITK's edges are told by the mean gradient, ours by the noise: compared is what is left of the noise.
    sitk = pytest.importorskip("SimpleITK")
    truth = ndimage.median_filter(mr.array[0, 20:100, 20:80].astype(np.float32), 3)
    noisy = truth + rng.normal(0, 0.03 * np.ptp(truth), truth.shape).astype(np.float32)
    theirs = [
        sitk.GetArrayFromImage(sitk.GradientAnisotropicDiffusion(sitk.GetImageFromArray(noisy), 0.0625, k, 1, 5))
        for k in (0.5, 1.0, 2.0, 4.0)
    ]
    ours = anisotropic_diffusion(volume(noisy[None])).array[0]
    best = min(float(np.sqrt(((one - truth) ** 2).mean())) for one in theirs)
    assert float(np.sqrt(((ours - truth) ** 2).mean())) < 1.1 * best


@pytest.mark.parametrize("bins", [64, 256])
def test_equalisation_is_scikit_image_s(mr, bins):
    exposure = pytest.importorskip("skimage.exposure")
    theirs = exposure.equalize_hist(mr.array[0].astype(np.float64), nbins=bins)
    np.testing.assert_allclose(equalise(mr, bins=bins).array[0], theirs, atol=1e-6)
    masked = exposure.equalize_hist(mr.array[0].astype(np.float64), nbins=bins, mask=mr.array[0] != 0)
    found = equalise(mr, bins=bins, nonzero=True).array[0]
    np.testing.assert_allclose(found[mr.array[0] != 0], masked[mr.array[0] != 0], atol=1e-6)


def test_matching_is_scikit_image_s(mr, shared_data):
    exposure = pytest.importorskip("skimage.exposure")
    ct = read(shared_data / "totalsegmentator_samples" / "ct.nii.gz")
    theirs = exposure.match_histograms(mr.array[0], ct.array[0])
    np.testing.assert_allclose(match_histogram(mr, reference=ct).array[0], theirs, atol=1e-3)
    by_numbers = match_histogram(mr, reference=quantiles(ct)).array[0]
    assert np.quantile(np.abs(by_numbers - theirs), 0.99) < 0.01 * np.ptp(ct.array)


def test_matching_is_simpleitk_s(mr, rng):
    # ITK interpolates between a few quantiles; a monotone change of contrast is undone by both.
    sitk = pytest.importorskip("SimpleITK")
    wide = mr.array[0].astype(np.float64)
    wide -= wide.min()
    changed = np.sqrt(wide / wide.max()) * 400 + 30
    images = [sitk.GetImageFromArray(a) for a in (changed, wide)]
    theirs = sitk.GetArrayFromImage(sitk.HistogramMatching(*images, 1024, 50, False))
    ours = match_histogram(volume(changed[None]), reference=volume(wide[None])).array[0]
    np.testing.assert_allclose(ours, wide, atol=1e-3 * np.ptp(wide))
    assert np.abs(ours - theirs).mean() < 0.02 * np.ptp(wide)


def test_clahe_is_scikit_image_s(slice_of_mr):
    exposure = pytest.importorskip("skimage.exposure")
    picture = scaled(slice_of_mr.array[0])
    theirs = exposure.equalize_adapthist(picture, kernel_size=(20, 20), clip_limit=0.02)
    found = clahe(slice_of_mr, size_mm=60.0, clip=0.02).array[0]  # 20 voxels of 3 mm
    np.testing.assert_allclose(found, theirs, atol=1e-6)


def test_gamma_is_scikit_image_s(slice_of_mr):
    exposure = pytest.importorskip("skimage.exposure")
    theirs = exposure.adjust_gamma(scaled(slice_of_mr.array[0]), 0.7)
    assert np.abs(scaled(gamma(slice_of_mr, exponent=0.7).array[0]) - theirs).max() < 1e-5


def test_luminance_is_scikit_image_s(rng):
    colour = pytest.importorskip("skimage.color")
    array = rng.random((3, 20, 30))
    theirs = colour.rgb2gray(np.moveaxis(array, 0, -1))
    np.testing.assert_allclose(grey(volume(array)).array[0], theirs, atol=1e-6)


def test_n4_is_simpleitk_s(mr):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(mr.array[0].T.astype(np.float32))
    image.SetSpacing(mr.grid.spacing_mm)
    mask = sitk.OtsuThreshold(image, 0, 1)
    small, small_mask = (sitk.Shrink(one, [4, 4, 2]) for one in (image, mask))
    correct = sitk.N4BiasFieldCorrectionImageFilter()
    correct.Execute(small, small_mask)
    theirs = sitk.GetArrayFromImage(image / sitk.Exp(correct.GetLogBiasFieldAsImage(image))).T
    found = n4(mr).array[0]
    assert mr.grid.shape[2] // 8 == 2  # why the thin axis is shrunk by 2
    assert np.abs(found - theirs).max() < 0.01 * theirs.max()


def test_white_stripe_brings_white_matter_to_zero(shared_data):
    brain = volume(np.load(shared_data / "oasis_t1_labels" / "subject_1_vol.npz")["vol_data"][None, ::2, ::2, ::2])
    labels = np.load(shared_data / "oasis_t1_labels" / "subject_1_seg.npz")["vol_data"][::2, ::2, ::2]
    white, cortex = np.isin(labels, (2, 41)), np.isin(labels, (3, 42))
    made = white_stripe(brain, weighting="t1").array[0]
    apart = np.median(made[white]) - np.median(made[cortex])
    assert abs(np.median(made[white])) < 0.15 * apart


def test_body_holds_every_organ(shared_data):
    ct = read(shared_data / "totalsegmentator_samples" / "ct.nii.gz")
    organs = read(shared_data / "totalsegmentator_samples" / "ct_seg.nii.gz").array[0] > 0
    found = body_mask(ct).array == 1
    assert found[organs].mean() > 0.999
    assert (ct.array[0][~found] < -400).mean() > 0.95


@pytest.mark.parametrize("bias", [False, True])
def test_brain_in_a_raw_t1(shared_data, bias):
    # A defaced raw scan without a reference: an adult brain has 1,000 to 1,700 ml, and fat and air are not in it.
    scan = read(shared_data / "ms_lesion_mr" / "longitudinal_raw_patient01" / "study1_T1W.nii.gz")
    scan = n4(scan) if bias else scan
    found = brain_mask(scan).array == 1
    assert 1000 < found.sum() * scan.grid.voxel_volume_mm3 / 1000 < 1700
    values = scan.array[0][found]
    assert values.std() < 0.25 * values.mean()
