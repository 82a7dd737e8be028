"""Percentiles, peak and metabolic volume of images whose values are known."""

import numpy as np
import pytest
from ibsi import phantom

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import read, read_labels
from vesalius.metrics.size import measure
from vesalius.metrics.uptake import measure_uptake

# Value of the digital phantom; value and tolerance of the CT phantom in configuration A. Source: the tables of
# arXiv:1612.07003, chapters 3.2 and 3.3 (Zwanenburg et al., Radiology 2020).
IBSI = {
    "local_peak": (2.6, (-277, 10)),
    "peak": (3.1, (189, 5)),
    "mean": (2.15, (13.4, 1.1)),
    "variance": (3.05, (1.42e4, 400)),
    "skewness": (1.08, (-2.47, 0.05)),
    "kurtosis": (-0.355, (5.96, 0.24)),
    "median": (1, (46, 0.3)),
    "minimum": (1, (-500, 0)),
    "percentile_10": (1, (-129, 8)),
    "percentile_90": (4, (95, 0)),
    "maximum": (6, (377, 9)),
    "interquartile_range": (3, (56, 0.5)),
    "range": (5, (877, 9)),
    "mean_absolute_deviation": (1.55, (73.6, 1.4)),
    "robust_mean_absolute_deviation": (1.11, (27.7, 0.8)),
    "median_absolute_deviation": (1.15, (64.3, 1)),
    "coefficient_of_variation": (0.812, (8.9, 4.98)),
    "quartile_coefficient_of_dispersion": (0.6, (0.636, 0.008)),
    "energy": (567, (1.65e9, 2e7)),
    "root_mean_square": (2.77, (120, 2)),
}

LABELS = Labels.of({"tumour": 1, "node": 2})


def made(spacing=(2.0, 3.0, 4.0), shape=(20, 16, 12)):
    grid = Grid.from_spacing(shape, spacing, direction=np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0])
    array = np.zeros(shape, int)
    array[6:14, 5:11, 4:9] = 1
    values = np.random.default_rng(4).gamma(2.0, 3.0, size=shape)
    return LabelMap(array, grid, LABELS), Volume(values[None], grid)


def test_the_peak_is_the_best_of_all_balls():
    labels, image = made()
    tumour, node = measure_uptake(labels, image)
    places = labels.grid.to_points(np.moveaxis(np.indices(labels.grid.shape), 0, -1)).reshape(-1, 3)
    values = image.array[0].ravel()
    radius = 10 * (3 / (4 * np.pi)) ** (1 / 3)
    inside = labels.grid.to_points(np.argwhere(labels.array == 1))
    means = [values[np.linalg.norm(places - middle, axis=1) <= radius].mean() for middle in inside]
    assert tumour.peak == pytest.approx(max(means))
    assert (node.peak, node.percentiles, node.active_volume_ml, node.row()["median"]) == (None, None, None, None)


def test_a_ball_that_the_image_cuts():
    labels, image = made(shape=(20, 11, 12))  # the structure lies at the image's border
    ones = image.with_array(np.full_like(image.array, 7.5))
    assert measure_uptake(labels, ones)[0].peak == pytest.approx(7.5)
    hu = image.with_array(np.full_like(image.array, -1000.0))
    assert measure_uptake(labels, hu)[0].peak == pytest.approx(-1000)


def test_statistics_and_the_active_part():
    labels, image = made()
    level = image.array[0][labels.array == 1]
    tumour = measure_uptake(labels, image, share_of_maximum=0.41)[0]
    row = tumour.row()
    assert row["median"] == pytest.approx(np.median(level))
    assert row["percentile_90"] == pytest.approx(np.percentile(level, 90))
    assert tumour.skewness == pytest.approx(2 / np.sqrt(2), abs=0.5)  # of a gamma distribution of shape 2
    assert tumour.threshold == pytest.approx(0.41 * level.max())
    active = level[level >= 0.41 * level.max()]
    assert tumour.active_volume_ml == pytest.approx(len(active) * 24 / 1000)
    assert tumour.glycolysis == pytest.approx(active.sum() * 24 / 1000)
    nothing = measure_uptake(labels, image, threshold=1e9)[0]
    assert (nothing.active_volume_ml, nothing.active_mean, nothing.glycolysis) == (0, None, None)
    flat = measure_uptake(labels, image.with_array(np.full_like(image.array, 3.3)))[0]
    assert (flat.skewness, flat.kurtosis) == (0, 0)


def features(roi, size):
    return roi.row() | {"mean": size.mean, "minimum": size.minimum, "maximum": size.maximum}


def test_the_statistics_of_the_ibsi_phantom():
    levels, grid = phantom()
    labels, image = LabelMap((levels > 0).astype(int), grid, Labels.of({"roi": 1})), Volume(levels[None], grid)
    found = features(*measure_uptake(labels, image), *measure(labels, image))
    for name, (value, _) in IBSI.items():
        digits = len(str(value).lstrip("-0.").replace(".", ""))
        if name not in ("peak", "local_peak"):  # of what lies outside the phantom, which its tables do not show
            assert float(f"{found[name]:.{digits}g}") == value, name


def test_the_statistics_of_the_ibsi_ct_phantom(shared_data):
    """Configuration A: without interpolation, of the voxels from -500 to 400 HU."""
    place = shared_data / "lung_ct_rtstruct"
    image = read(place / "ct")
    labels = read_labels(next((place / "rtstruct").iterdir()), grid=image.grid)
    kept = labels.array * ((image.array[0] >= -500) & (image.array[0] <= 400))
    kept = LabelMap(kept, labels.grid, labels.labels)
    found = features(*measure_uptake(kept, image), *measure(kept, image))
    for name, (_, told) in IBSI.items():
        value, tolerance = told
        assert found[name] == pytest.approx(value, abs=tolerance + 1e-9, rel=0), name


def test_two_values_have_no_robust_middle():
    grid = Grid.from_spacing((2, 1, 1), (1.0, 1.0, 1.0))
    labels = LabelMap(np.ones(grid.shape, int), grid, LABELS)
    tumour = measure_uptake(labels, Volume(np.array([-1.0, 1.0]).reshape(1, 2, 1, 1), grid))[0]
    assert (tumour.robust_mean_absolute_deviation, tumour.coefficient_of_variation) == (None, None)
    assert (tumour.variance, tumour.quartile_coefficient_of_dispersion) == (1, None)


def test_the_local_peak_is_that_of_the_brightest_voxel():
    grid = Grid.from_spacing((40, 12, 12), (3.0, 3.0, 3.0))
    values = np.zeros(grid.shape)
    values[3:8, 4:9, 4:9] = 5  # broad, and not as bright
    values[30, 6, 6] = values[20, 6, 6] = 9
    values[31, 6, 6] = 2
    labels = LabelMap(np.ones(grid.shape, int), grid, LABELS)
    tumour = measure_uptake(labels, Volume(values[None], grid))[0]
    assert tumour.peak == pytest.approx(5)
    assert tumour.local_peak == pytest.approx(11 / 33)  # voxels of 3 mm whose centres lie within 6.2 mm


def test_what_does_not_go():
    labels, image = made()
    with pytest.raises(DataError, match="0 … 1"):
        measure_uptake(labels, image, share_of_maximum=41)
    with pytest.raises(GeometryError, match="another grid"):
        measure_uptake(labels, Volume(image.array, labels.grid.flip((0,))))
    with pytest.raises(DataError, match="2 channels"):
        measure_uptake(labels, Volume(np.concatenate([image.array] * 2), labels.grid))
