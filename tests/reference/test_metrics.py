"""Agreement with surface-distance, SimpleITK, scikit-learn and answers that can be worked out on paper."""

import math
import warnings

import numpy as np
import pytest

from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics import METRICS, evaluate
from vesalius.metrics.surfels import surfel_sizes

ONE = Labels.of({"x": 1})


def score(prediction, reference, spacing, *, labels=ONE, tolerance_mm=1.0, metrics=None):
    grid = Grid.from_spacing(reference.shape, spacing)
    pair = LabelMap(prediction.astype(np.uint8), grid, labels), LabelMap(reference.astype(np.uint8), grid, labels)
    metrics = metrics or [name for name, metric in METRICS.items() if reference.ndim in metric.dimensions]
    return evaluate(*pair, tolerance_mm=tolerance_mm, metrics=metrics).values


def blobs(rng, shape, sigma=2.0):
    """Two smooth random masks that mostly agree."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(rng.normal(size=shape), sigma)
    other = field + 0.3 * gaussian_filter(rng.normal(size=shape), sigma / 2)
    return field > field.std() * 0.5, other > field.std() * 0.5


@pytest.fixture
def deepmind(monkeypatch):
    """surface-distance 0.1, with the names that numpy 2 took away."""
    package = pytest.importorskip("surface_distance")
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)
    monkeypatch.setattr(np, "NaN", np.nan, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it uses scipy's old namespaces
        yield package


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.3, 4.0)])
def test_every_surfel_size(deepmind, spacing):
    from surface_distance import lookup_tables

    areas = lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
    lengths = lookup_tables.create_table_neighbour_code_to_contour_length(spacing[:2])
    np.testing.assert_allclose(surfel_sizes(np.diag(spacing)), areas, atol=1e-12)
    np.testing.assert_allclose(surfel_sizes(np.diag(spacing[:2])), lengths, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((40, 36), (1.0, 1.0)),
        ((50, 30), (0.35, 1.7)),
        ((24, 20, 28), (1.0, 1.0, 1.0)),
        ((30, 26, 9), (0.9, 1.1, 5.0)),
    ],
)
def test_surface_distance(deepmind, rng, shape, spacing):
    for _ in range(5):
        reference, prediction = blobs(rng, shape)
        found = score(prediction, reference, spacing, tolerance_mm=1.05)["x"]
        theirs = deepmind.compute_surface_distances(reference, prediction, spacing)
        sizes = theirs["surfel_areas_gt"].sum(), theirs["surfel_areas_pred"].sum()
        averages = deepmind.compute_average_surface_distance(theirs)
        assert found["dice"] == pytest.approx(deepmind.compute_dice_coefficient(reference, prediction), abs=1e-12)
        assert found["hausdorff"] == pytest.approx(deepmind.compute_robust_hausdorff(theirs, 100), abs=1e-6)
        assert found["hd95"] == pytest.approx(deepmind.compute_robust_hausdorff(theirs, 95), abs=1e-6)
        assert found["assd"] == pytest.approx(np.average(averages, weights=sizes), abs=1e-6)
        assert found["masd"] == pytest.approx(np.mean(averages), abs=1e-6)
        expected = deepmind.compute_surface_dice_at_tolerance(theirs, 1.05)
        assert found["surface_dice"] == pytest.approx(expected, abs=1e-6)


def test_surface_distance_far_apart(deepmind):
    # Surfaces that no short step joins, and stray voxels far from everything.
    reference, prediction = np.zeros((2, 60, 50, 20), bool)
    reference[2:20, 3:30, 2:10], prediction[35:55, 10:40, 4:15] = True, True
    prediction[5, 45, 18] = reference[58, 2, 1] = True
    spacing = (0.8, 0.9, 2.5)
    theirs = deepmind.compute_surface_distances(reference, prediction, spacing)
    found = score(prediction, reference, spacing, tolerance_mm=20.0)["x"]
    assert found["hausdorff"] == pytest.approx(deepmind.compute_robust_hausdorff(theirs, 100), abs=1e-6)
    assert found["hd95"] == pytest.approx(deepmind.compute_robust_hausdorff(theirs, 95), abs=1e-6)
    assert found["masd"] == pytest.approx(np.mean(deepmind.compute_average_surface_distance(theirs)), abs=1e-6)
    expected = deepmind.compute_surface_dice_at_tolerance(theirs, 20.0)
    assert found["surface_dice"] == pytest.approx(expected, abs=1e-6)


def test_surface_distance_of_many_classes(deepmind, rng):
    from scipy.ndimage import zoom

    reference, prediction = (zoom(rng.integers(0, 9, (6, 5, 4)), 5, order=0) for _ in "rp")
    prediction[:, :18] = reference[:, :18]
    spacing = (0.8, 0.8, 2.5)
    found = score(prediction, reference, spacing, labels=Labels.of(range(1, 9)))
    for value, row in enumerate(found.values(), start=1):
        theirs = deepmind.compute_surface_distances(reference == value, prediction == value, spacing)
        assert row["hausdorff"] == pytest.approx(deepmind.compute_robust_hausdorff(theirs, 100), abs=1e-6)
        assert row["hd95"] == pytest.approx(deepmind.compute_robust_hausdorff(theirs, 95), abs=1e-6)
        expected = deepmind.compute_surface_dice_at_tolerance(theirs, 1.0)
        assert row["surface_dice"] == pytest.approx(expected, abs=1e-6)


def test_simpleitk_overlap(rng):
    sitk = pytest.importorskip("SimpleITK")
    shape, labels = (20, 24, 18), Labels.of({"a": 1, "b": 2, "c": 3})
    reference, prediction = rng.integers(0, 4, (2, *shape)).astype(np.uint8)
    reference[5:15, 5:15, 5:15] = prediction[6:16, 5:15, 5:15] = 2
    found = score(prediction, reference, (1.0, 1.0, 1.0), labels=labels)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    # ITK measures the second image (target) by the first (source): the prediction is the source.
    overlap.Execute(sitk.GetImageFromArray(prediction), sitk.GetImageFromArray(reference))
    for name, value in (("a", 1), ("b", 2), ("c", 3)):
        row = found[name]
        assert row["dice"] == pytest.approx(overlap.GetDiceCoefficient(value), abs=1e-12)
        assert row["iou"] == pytest.approx(overlap.GetJaccardCoefficient(value), abs=1e-12)
        assert 1 - row["sensitivity"] == pytest.approx(overlap.GetFalseNegativeError(value), abs=1e-12)
        assert 1 - row["precision"] == pytest.approx(overlap.GetFalseDiscoveryRate(value), abs=1e-12)
        assert 1 - row["specificity"] == pytest.approx(overlap.GetFalsePositiveError(value), abs=1e-12)
        similar = 1 - abs(overlap.GetVolumeSimilarity(value)) / 2
        assert row["volumetric_similarity"] == pytest.approx(similar, abs=1e-12)


@pytest.mark.parametrize("shift", [(3, 0, 0), (0, 2, 1)])
def test_simpleitk_hausdorff_of_boxes(shift):
    # ITK measures between voxels, we between the corners of voxels: for shifted boxes these are the same distances.
    sitk = pytest.importorskip("SimpleITK")
    reference = np.zeros((24, 22, 20), np.uint8)
    reference[6:14, 5:12, 6:13] = 1
    prediction = np.roll(reference, shift, (0, 1, 2))
    spacing = (0.8, 1.0, 2.5)
    images = [sitk.GetImageFromArray(a.T) for a in (prediction, reference)]
    for image in images:
        image.SetSpacing(spacing)
    theirs = sitk.HausdorffDistanceImageFilter()
    theirs.Execute(*images)
    found = score(prediction, reference, spacing)["x"]
    assert found["hausdorff"] == pytest.approx(theirs.GetHausdorffDistance(), abs=1e-5)


def test_scikit_learn_per_voxel(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    reference, prediction = rng.random((2, 15, 17)) > 0.4
    found = score(prediction, reference, (1.0, 1.0))["x"]
    one, other = reference.ravel(), prediction.ravel()
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(one, other))
    assert found["precision"] == pytest.approx(metrics.precision_score(one, other))
    assert found["sensitivity"] == pytest.approx(metrics.recall_score(one, other))
    assert found["specificity"] == pytest.approx(metrics.recall_score(~one, ~other))
    assert found["dice"] == pytest.approx(metrics.f1_score(one, other))
    assert found["iou"] == pytest.approx(metrics.jaccard_score(one, other))
    assert found["negative_predictive_value"] == pytest.approx(metrics.precision_score(~one, ~other))
    assert found["f2"] == pytest.approx(metrics.fbeta_score(one, other, beta=2))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(one, other))
    assert found["youden"] == pytest.approx(metrics.balanced_accuracy_score(one, other, adjusted=True))
    assert found["matthews"] == pytest.approx(metrics.matthews_corrcoef(one, other))
    for weights in (None, "linear", "quadratic"):
        assert found["kappa"] == pytest.approx(metrics.cohen_kappa_score(one, other, weights=weights))


def test_monai_per_voxel(rng):
    pytest.importorskip("monai")
    import torch
    from monai.metrics import compute_confusion_matrix_metric, get_confusion_matrix

    reference, prediction = rng.random((2, 9, 8, 7)) > 0.6
    found = score(prediction, reference, (1.0, 1.0, 1.0))["x"]
    pair = [torch.from_numpy(a)[None, None].float() for a in (prediction, reference)]
    table = get_confusion_matrix(*pair, include_background=True)[0, 0]
    for ours, theirs in (
        ("sensitivity", "sensitivity"),
        ("specificity", "specificity"),
        ("precision", "precision"),
        ("negative_predictive_value", "negative predictive value"),
        ("accuracy", "accuracy"),
        ("balanced_accuracy", "balanced accuracy"),
        ("dice", "f1 score"),
        ("matthews", "matthews correlation coefficient"),
        ("youden", "informedness"),
        ("iou", "threat score"),
    ):
        assert found[ours] == pytest.approx(float(compute_confusion_matrix_metric(theirs, table)), abs=1e-6), ours


@pytest.mark.parametrize("shape", [(40, 36), (24, 20, 22)])
def test_scikit_image_rims_and_centrelines(rng, shape):
    morphology = pytest.importorskip("skimage.morphology")
    reference, prediction = blobs(rng, shape, sigma=3.0)
    found = score(prediction, reference, (1.0,) * len(shape))["x"]
    wide = [np.pad(a, 1) for a in (reference, prediction)]  # what touches the edge of the image ends there
    rims = [a & ~morphology.erosion(a, np.ones((3,) * len(shape))) for a in wide]
    assert found["boundary_iou"] == pytest.approx((rims[0] & rims[1]).sum() / (rims[0] | rims[1]).sum())
    lines = [morphology.skeletonize(a) > 0 for a in wide]
    shares = [lines[1][wide[0]].sum() / lines[1].sum(), lines[0][wide[1]].sum() / lines[0].sum()]
    assert found["cldice"] == pytest.approx(2 * shares[0] * shares[1] / sum(shares))


def test_shifted_cube_on_paper():
    # A cube of 10 voxels moved by 2 along the first axis, spacing 1.5: overlap 8 of 10, faces 3 mm apart.
    reference = np.zeros((20, 16, 16))
    reference[3:13, 3:13, 3:13] = 1
    found = score(np.roll(reference, 2, 0), reference, (1.5, 1.0, 1.0), tolerance_mm=3.0)["x"]
    assert found["dice"] == pytest.approx(0.8)
    assert found["iou"] == pytest.approx(800 / 1200)
    assert found["sensitivity"] == found["precision"] == pytest.approx(0.8)
    assert found["specificity"] == pytest.approx(1 - 200 / (20 * 16 * 16 - 1000))
    assert found["relative_volume_difference"] == 0
    assert found["hausdorff"] == found["hd95"] == pytest.approx(3.0)
    assert found["surface_dice"] == 1.0
    assert found["volume_reference_ml"] == pytest.approx(1.5)


def test_shifted_square_on_paper():
    # A square of 20 pixels, moved by 4: each contour has one edge outside the other square and one inside it. The outer
    # edge is 4 away (19 corners of length 1, two bevelled ones), and the corners that lead up to it 1, 2 and 3 on both
    # sides. The inner edge touches the other square's sides at its ends; its corners are 1, 2, 3 away, then 13 times 4.
    reference = np.zeros((32, 32))
    reference[4:24, 4:24] = 1
    found = score(np.roll(reference, 4, 0), reference, (1.0, 1.0))["x"]
    bevel = math.sqrt(0.5)
    outer = 19 * 4 + 2 * 4 * bevel + 2 * (1 + 2 + 3)
    inner = 13 * 4 + 2 * (1 + 2 + 3)
    length = 4 * 19 + 4 * bevel
    assert found["hausdorff"] == pytest.approx(4.0)
    assert found["assd"] == pytest.approx((outer + inner) / length, rel=1e-9)
    beyond = 19 + 2 * bevel + 2 * 2 + 13 + 2 * 2  # farther than 1: the edges, and the corners 2 and 3 away
    assert found["surface_dice"] == pytest.approx(1 - beyond / length, rel=1e-9)


def test_concentric_spheres_on_paper():
    x = np.arange(-32, 33) * 0.8
    squares = x[:, None, None] ** 2 + x[:, None] ** 2 + x**2
    reference, prediction = squares <= 22.0**2, squares <= 18.0**2
    found = score(prediction, reference, (0.8, 0.8, 0.8), tolerance_mm=2.5)["x"]
    assert found["volume_reference_ml"] == pytest.approx(4 / 3 * math.pi * 22**3 / 1000, rel=0.01)
    assert found["dice"] == pytest.approx(2 * 18**3 / (18**3 + 22**3), rel=0.01)
    assert found["relative_volume_difference"] == pytest.approx((18 / 22) ** 3 - 1, abs=0.01)
    assert found["assd"] == pytest.approx(4.0, abs=0.6 * 0.8)  # both surfaces are known to a voxel, not better
    assert found["hausdorff"] == pytest.approx(4.0, abs=0.8)
    assert found["surface_dice"] < 0.01
    assert score(prediction, reference, (0.8, 0.8, 0.8), tolerance_mm=5.0)["x"]["surface_dice"] == 1.0


def test_plane_distance_is_exact_and_anisotropic():
    reference, prediction = np.zeros((2, 6, 6, 12))
    reference[:, :, :3], prediction[:, :, :7] = 1, 1
    found = score(prediction, reference, (1.0, 1.0, 5.0))["x"]
    assert found["hausdorff"] == pytest.approx(20.0)


def test_real_contours_agree_with_surface_distance(deepmind, shared_data):
    import nibabel

    folder = shared_data / "msd_hippocampus" / "labels"
    paths = sorted(folder.glob("*.nii.gz"))[:2]
    arrays = [np.asarray(nibabel.load(path).dataobj).astype(np.uint8) for path in paths]
    shape = np.min([a.shape for a in arrays], axis=0)
    reference, prediction = (a[tuple(slice(0, n) for n in shape)] for a in arrays)
    found = score(prediction, reference, (1.0, 1.0, 1.0), labels=Labels.of({"anterior": 1, "posterior": 2}))
    for name, value in (("anterior", 1), ("posterior", 2)):
        theirs = deepmind.compute_surface_distances(reference == value, prediction == value, (1.0, 1.0, 1.0))
        assert found[name]["hd95"] == pytest.approx(deepmind.compute_robust_hausdorff(theirs, 95), abs=1e-6)
        expected = deepmind.compute_surface_dice_at_tolerance(theirs, 1.0)
        assert found[name]["surface_dice"] == pytest.approx(expected, abs=1e-6)
