"""Percentiles, peak and metabolic volume of images whose values are known."""

import numpy as np
import pytest
from ibsi import phantom

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.metrics.uptake import measure_uptake

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


def test_the_statistics_of_the_ibsi_phantom():
    levels, grid = phantom()
    (roi,) = measure_uptake(LabelMap((levels > 0).astype(int), grid, Labels.of({"roi": 1})), Volume(levels[None], grid))
    # Source: arXiv:1612.07003, chapter 3.3: skewness, excess kurtosis, median, 10th and 90th percentile.
    assert (roi.skewness, roi.kurtosis) == (pytest.approx(1.08, abs=0.005), pytest.approx(-0.355, abs=0.0005))
    assert (roi.row()["median"], roi.row()["percentile_10"], roi.row()["percentile_90"]) == (1, 1, 4)


def test_what_does_not_go():
    labels, image = made()
    with pytest.raises(DataError, match="0 … 1"):
        measure_uptake(labels, image, share_of_maximum=41)
    with pytest.raises(GeometryError, match="another grid"):
        measure_uptake(labels, Volume(image.array, labels.grid.flip((0,))))
    with pytest.raises(DataError, match="2 channels"):
        measure_uptake(labels, Volume(np.concatenate([image.array] * 2), labels.grid))
