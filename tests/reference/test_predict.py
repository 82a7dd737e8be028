"""Inference agrees with SimpleITK, scipy and scikit-image, put together the plain way."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import ball_case, ball_dataset, drawn_bundle, for_regions, untrained_bundle
from scipy.special import expit, softmax
from skimage.measure import label
from skimage.morphology import remove_small_objects

from vesalius.bundle import Bundle
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.plan import prepare
from vesalius.predict import load_segmenter, logits_of, segment
from vesalius.transform import KeepLargest, Postprocessing, RemoveSmall, postprocess

SURE = 1e-4  # closer decisions may fall to either side by rounding


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    made = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))
    return replace(made, plan=replace(made.plan, spacing_mm=(1.4, 1.7, 1.2), mirror_axes=()))


@pytest.fixture(scope="module")
def image() -> Volume:
    return ball_case(1, shape=(22, 20, 18)).image


def on_the_image(scores: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Linear interpolation by SimpleITK, channel by channel; beyond the outermost samples their values go on."""
    found = []
    for one in scores:
        image = sitk.GetImageFromArray(np.ascontiguousarray(one.T))
        image.SetSpacing(source.spacing_mm)
        image.SetOrigin(source.origin_mm)
        resampler = sitk.ResampleImageFilter()
        resampler.SetInterpolator(sitk.sitkLinear)
        resampler.SetSize(target.shape)
        resampler.SetOutputSpacing(target.spacing_mm)
        resampler.SetOutputOrigin(target.origin_mm)
        resampler.UseNearestNeighborExtrapolatorOn()
        found.append(sitk.GetArrayFromImage(resampler.Execute(image)).T)
    return np.stack(found)


def logits(image: Volume, bundle: Bundle) -> tuple[np.ndarray, Grid]:
    prepared = prepare(image, bundle.plan)
    with logits_of(prepared, load_segmenter(bundle, device="cpu").run, bundle.plan) as found:
        return np.array(found), prepared.grid


def interior(array: np.ndarray) -> np.ndarray:
    """Without the rim, where SimpleITK takes the nearest sample instead of interpolating along the other axes."""
    return array[..., 1:-1, 1:-1, 1:-1]


def test_labels_are_the_argmax_of_the_resampled_logits(bundle, image):
    scores = on_the_image(*logits(image, bundle), image.grid)
    ordered = np.sort(scores, axis=0)
    sure = interior(ordered[-1] - ordered[-2] > SURE)
    found = segment(image, bundle).labels.array
    assert np.array_equal(interior(found)[sure], interior(scores.argmax(axis=0))[sure])
    assert sure.mean() > 0.99


def test_regions_are_painted_where_the_resampled_logits_are_positive(bundle, image):
    regions = drawn_bundle(replace(for_regions(bundle.plan)), seed=4)
    whole, core = on_the_image(*logits(image, regions), image.grid)
    painted = np.where(core > 0, 2, np.where(whole > 0, 1, 0))
    sure = interior((np.abs(whole) > SURE) & (np.abs(core) > SURE))
    found = segment(image, regions).labels.array
    assert np.array_equal(interior(found)[sure], interior(painted)[sure])
    assert set(np.unique(found)) == {0, 1, 2}


@pytest.mark.parametrize("regions", [False, True])
def test_partners_are_the_mean_of_scipys_probabilities(regions, bundle, image):
    plan = for_regions(bundle.plan) if regions else bundle.plan
    pair = [drawn_bundle(replace(plan, spacing_mm=spacing), seed=8) for spacing in [(1.4, 1.7, 1.2), (2.0, 1.0, 1.5)]]
    expected = []
    for one in pair:
        scores, grid = logits(image, one)
        expected.append(on_the_image(expit(scores) if regions else softmax(scores, axis=0), grid, image.grid))
    found = segment(image, replace(pair[0], partners=(pair[1],)), probabilities=True).probabilities
    assert found is not None
    np.testing.assert_allclose(interior(found.array), interior(np.mean(expected, axis=0)), atol=1e-5)


def test_clean_up_is_scikit_images(rng):
    labels = Labels.of({"a": 1, "b": 2})
    array = rng.choice(3, (20, 18, 16), p=[0.75, 0.2, 0.05]).astype(np.uint8)
    labelmap = LabelMap(array, Grid.from_spacing(array.shape, (1.0, 2.0, 5.0)), labels)
    small = Postprocessing((RemoveSmall(least=6, unit="voxels", name="a"), RemoveSmall(least=0.02, name="b")))
    expected = np.zeros_like(array)
    for value, most in ((1, 5), (2, 1)):  # 0.02 ml are two voxels
        expected[remove_small_objects(array == value, max_size=most, connectivity=3)] = value
    assert np.array_equal(postprocess(labelmap, small).array, expected)
    pieces = label(array > 0, connectivity=3)
    largest = np.argmax(np.bincount(pieces[pieces > 0]))
    kept = postprocess(labelmap, Postprocessing((KeepLargest(),))).array
    assert np.array_equal(kept, np.where(pieces == largest, array, 0))
