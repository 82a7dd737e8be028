"""Agreement between readers: SimpleITK's STAPLE filters, scikit-learn's kappa, and what the papers publish."""

import numpy as np
import pytest

from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics.agreement import cohen_kappa, fleiss_kappa
from vesalius.metrics.calibration import brier_score, negative_log_likelihood, reliability
from vesalius.metrics.lesions import lesion_wise
from vesalius.transform.consensus import staple

SHAPE = (24, 22, 18)
GRID = Grid.from_spacing(SHAPE, (1.0, 1.0, 2.0))


def readings(rng: np.random.Generator, labels: int, readers: int = 4) -> list[np.ndarray]:
    """Smooth labels, and readers who err more and more often."""
    from scipy.ndimage import gaussian_filter

    fields = np.stack([gaussian_filter(rng.normal(size=SHAPE), 3) for _ in range(labels)])
    truth = fields.argmax(axis=0)
    drawn = []
    for reader in range(readers):
        wrong = rng.random(SHAPE) < 0.05 + 0.08 * reader
        drawn.append(np.where(wrong, rng.integers(0, labels, SHAPE), truth).astype(np.uint8))
    return drawn


def as_labelmaps(drawn: list[np.ndarray]) -> list[LabelMap]:
    labels = Labels.of({f"label {n}": n for n in range(1, max(int(one.max()) for one in drawn) + 1)})
    return [LabelMap(one, GRID, labels) for one in drawn]


@pytest.mark.parametrize("seed", range(3))
def test_itk_staple_of_two_labels(seed: int) -> None:
    sitk = pytest.importorskip("SimpleITK")
    drawn = readings(np.random.default_rng(seed), 2)
    theirs = sitk.STAPLEImageFilter()
    theirs.SetForegroundValue(1)
    weights = sitk.GetArrayFromImage(theirs.Execute([sitk.GetImageFromArray(one) for one in drawn]))
    ours = staple(as_labelmaps(drawn))
    assert ours.converged
    np.testing.assert_allclose(ours.probability[1], weights, atol=1e-5)
    np.testing.assert_allclose(ours.sensitivity(1), theirs.GetSensitivity(), atol=1e-5)
    np.testing.assert_allclose(ours.sensitivity(0), theirs.GetSpecificity(), atol=1e-5)
    assert np.array_equal(ours.consensus.array, weights > 0.5)


@pytest.mark.parametrize("labels", [3, 5])
def test_itk_staple_of_several_labels(labels: int) -> None:
    """ITK starts from a vote and stops at 1e-5, in float32: the same place, a little less exactly."""
    sitk = pytest.importorskip("SimpleITK")
    drawn = readings(np.random.default_rng(labels), labels)
    theirs = sitk.MultiLabelSTAPLEImageFilter()
    consensus = sitk.GetArrayFromImage(theirs.Execute([sitk.GetImageFromArray(one) for one in drawn]))
    ours = staple(as_labelmaps(drawn))
    assert (ours.consensus.array == consensus).mean() > 0.9995
    for reader in range(len(drawn)):
        matrix = np.array(theirs.GetConfusionMatrix(reader)).reshape(-1, labels)[:labels]
        np.testing.assert_allclose(ours.performance[reader], matrix, atol=1e-3)


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_scikit_learns_kappa(rng: np.random.Generator, weights: str) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    one = rng.integers(0, 5, (20, 20))
    other = np.where(rng.random(one.shape) < 0.3, rng.integers(0, 5, one.shape), one)
    theirs = metrics.cohen_kappa_score(one.ravel(), other.ravel(), weights=None if weights == "none" else weights)
    assert cohen_kappa(one, other, weights=weights) == pytest.approx(theirs)


def test_fleiss_published_example() -> None:
    """Ten subjects, fourteen raters, five categories: the worked example of Fleiss' kappa, 0.210."""
    votes = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    columns = [np.repeat(np.arange(5), row) for row in votes]
    found = fleiss_kappa([np.array([column[reader] for column in columns]) for reader in range(14)])
    assert found == pytest.approx(0.2099, abs=1e-4)


def test_scikit_learns_calibration(rng: np.random.Generator) -> None:
    metrics, calibration = pytest.importorskip("sklearn.metrics"), pytest.importorskip("sklearn.calibration")
    sure = rng.random((30, 20))
    yes = (rng.random(sure.shape) < sure**1.5).astype(np.int64)
    said = np.stack([1 - sure, sure])
    assert brier_score(said, yes) == pytest.approx(2 * metrics.brier_score_loss(yes.ravel(), sure.ravel()))
    assert negative_log_likelihood(said, yes) == pytest.approx(metrics.log_loss(yes.ravel(), sure.ravel()))
    share, mean = calibration.calibration_curve(yes.ravel(), sure.ravel(), n_bins=10)
    curve = reliability(said, yes, target=1, bins=10)
    np.testing.assert_allclose(curve.accuracy, share)
    np.testing.assert_allclose(curve.confidence, mean)


@pytest.mark.parametrize("seed", range(3))
def test_lesion_wise_scores_written_from_the_definition(seed: int) -> None:
    """BraTS' rules once more, plainly: every lesion in the whole image, distances by surface-distance."""
    from scipy import ndimage

    surface = pytest.importorskip("surface_distance")
    rng = np.random.default_rng(seed)
    spots = ndimage.gaussian_filter(rng.normal(size=(48, 44, 40)), 2.2)
    reference = spots > 2.1 * spots.std()
    other = spots + 0.5 * ndimage.gaussian_filter(rng.normal(size=spots.shape), 2.2)
    prediction = other > 2.1 * spots.std()
    near, all_round = ndimage.generate_binary_structure(3, 2), np.ones((3, 3, 3))
    wide, _ = ndimage.label(ndimage.binary_dilation(reference, near, iterations=3), all_round)
    pieces, count = ndimage.label(prediction, all_round)
    lesions, touched = [], set()
    for number in range(1, wide.max() + 1):
        own = reference & (wide == number)
        members = set(np.unique(pieces[ndimage.binary_dilation(own, near, iterations=3)])) - {0}
        touched |= members
        said = np.isin(pieces, list(members))
        if own.sum() <= 50:
            continue
        distance = 374.0
        if members:
            with _quiet():
                distance = surface.compute_robust_hausdorff(
                    surface.compute_surface_distances(own, said, (1.0, 1.0, 1.0)), 95
                )
        lesions.append((2 * (own & said).sum() / (own.sum() + said.sum()), distance))
    spurious = count - len(touched)
    total = len(lesions) + spurious
    grid, labels = Grid.from_spacing(reference.shape, (1.0, 1.0, 1.0)), Labels.of({"x": 1})
    pair = [LabelMap(one.astype(np.uint8), grid, labels) for one in (prediction, reference)]
    found = lesion_wise(*pair, "x")
    assert len(lesions) > 3
    assert found.false_positive == spurious
    assert found.dice == pytest.approx(sum(dice for dice, _ in lesions) / total)
    assert found.hd95_mm == pytest.approx((sum(distance for _, distance in lesions) + 374 * spurious) / total)


def _quiet():
    """surface-distance uses scipy's old namespaces."""
    import warnings

    return warnings.catch_warnings(action="ignore")
