"""Sizes with answers that can be worked out on paper."""

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Code, Grid, Label, LabelMap, Labels, Meta, Volume
from vesalius.metrics.size import axes_mm, measure, slice_axis
from vesalius.transform import reorient


def _ball(grid, centre_mm, radii_mm, turn=0.0):
    points = grid.to_points(np.argwhere(np.ones(grid.shape, bool))) - centre_mm
    if turn:
        c, s = np.cos(turn), np.sin(turn)
        points[:, :2] = points[:, :2] @ np.array([[c, -s], [s, c]])
    return (np.sum((points / radii_mm) ** 2, axis=1) < 1).reshape(grid.shape)


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.2])
def test_an_ellipsoid(turn):
    grid = Grid.from_spacing((90, 70, 12), (0.8, 1.1, 5.0), origin_mm=(-40, -38, -27.5))
    mask = _ball(grid, (0, 0, 0), (30, 18, 24), turn)
    long, short = axes_mm(mask, grid)
    # Within a pixel: slices lie 2.5 mm beside the centre, where the section is 0.5 % smaller.
    assert long == pytest.approx(60, abs=1.4)
    assert short == pytest.approx(36, abs=1.4)
    (size,) = measure(LabelMap(mask, grid, Labels.of({"egg": 1})))
    assert size.volume_ml == pytest.approx(4 / 3 * np.pi * 30 * 18 * 24 / 1000, rel=0.01)
    assert size.voxels == mask.sum()


@pytest.mark.parametrize("axes", ["RAS", "SAL", "PIR"])
def test_how_an_image_is_stored_makes_no_difference(axes):
    for spacing in ((0.8, 1.1, 5.0), (0.9, 1.0, 1.0)):
        grid = Grid.from_spacing((30, 26, 14), spacing, origin_mm=(5, 6, 7))
        labels = LabelMap(_ball(grid, grid.to_points((14, 12, 6)), (9, 6, 12)), grid, Labels.of({"egg": 1}))
        one, other = measure(labels)[0], measure(reorient(labels, axes))[0]
        for name in ("volume_ml", "long_axis_mm", "short_axis_mm"):
            assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9)


def test_slices():
    assert slice_axis(Grid.from_spacing((4, 4, 4), (1, 5, 1))) == 1
    assert slice_axis(Grid.from_spacing((4, 4, 4), (1, 1.4, 1))) == 2
    assert slice_axis(Grid.from_spacing((4, 4, 4), (1, 1, 0.4))) == 2
    assert slice_axis(Grid.from_spacing((4, 4, 4), (1, 1, 1)).permute((2, 0, 1))) == 0


def test_lines_and_single_voxels_are_as_long_as_their_voxels():
    grid = Grid.from_spacing((20, 20, 4), (0.5, 2.0, 6.0))
    mask = np.zeros(grid.shape, bool)
    mask[3:13, 5, 2] = True
    assert axes_mm(mask, grid) == pytest.approx((5.0, 2.0))
    assert axes_mm(mask[:4, :6], grid) == pytest.approx((2.0, 0.5))  # one voxel
    assert axes_mm(mask[:2], grid) is None


def test_two_lesions_in_a_slice_are_not_one_long_one():
    grid = Grid.from_spacing((40, 20), (1.0, 1.0))
    mask = np.zeros(grid.shape, bool)
    mask[2:6, 3], mask[30:37, 3] = True, True
    assert axes_mm(mask, grid) == pytest.approx((7.0, 1.0))


def test_brightness():
    grid = Grid.from_spacing((3, 2, 2), (1.0, 2.0, 3.0))
    array = np.zeros(grid.shape, int)
    array[:, 0, 0], array[0, 1, 1] = 1, 4
    hu = np.full(grid.shape, -1000, np.int16)
    hu[:, 0, 0] = [10, 20, 60]
    code = Code("SCT", "10200004", "Liver")
    labels = Labels(
        (Label("liver", 1, code=code), Label("cyst", 4), Label("spleen", 6)),
        regions=Labels.of({"a": 1, "b": 4}, regions={"both": (1, 4)}).regions,
    )
    found = measure(LabelMap(array, grid, labels), Volume(hu[None], grid, Meta("CT", "HU")))
    assert [one.name for one in found] == ["liver", "cyst", "spleen", "both"]
    liver, _, spleen, both = found
    assert (liver.mean, liver.minimum, liver.maximum, liver.unit, liver.modality) == (30, 10, 60, "HU", "CT")
    assert liver.sd == pytest.approx(np.std([10, 20, 60]))
    assert (liver.value, liver.code, both.value) == (1, code, None)
    assert (both.voxels, both.mean) == (4, -227.5)
    assert (spleen.voxels, spleen.volume_ml, spleen.mean, spleen.long_axis_mm) == (0, 0.0, None, None)


def test_pictures_without_a_scale_have_no_lengths():
    mask = np.ones((4, 5), np.uint8)
    bare = Grid((4, 5), np.eye(3))
    (size,) = measure(LabelMap(mask, bare, Labels.of({"a": 1})))
    assert (size.voxels, size.area_mm2, size.long_axis_mm, size.volume_ml) == (20, None, None, None)
    scaled = Grid.from_spacing((4, 5), (0.5, 0.5))
    (size,) = measure(LabelMap(mask, scaled, Labels.of({"a": 1})))
    assert (size.area_mm2, size.volume_ml) == (5.0, None)
    image = Volume(np.ones((1, 4, 5)), scaled, Meta(calibrated=False))
    assert measure(LabelMap(mask, scaled, Labels.of({"a": 1})), image)[0].area_mm2 is None


def test_images_that_do_not_fit():
    grid = Grid.from_spacing((4, 5, 6), (1, 1, 1))
    labels = LabelMap(np.ones(grid.shape, int), grid, Labels.of({"a": 1}))
    with pytest.raises(GeometryError, match="resample"):
        measure(labels, Volume(np.ones((1, 4, 5, 6)), grid.crop((1, 0, 0), grid.shape)))
    with pytest.raises(DataError, match="2 channels"):
        measure(labels, Volume(np.ones((2, 4, 5, 6)), grid))


def test_hundreds_of_pieces_take_no_time(rng):
    grid = Grid.from_spacing((120, 120, 40), (1, 1, 1))
    labels = LabelMap(rng.random(grid.shape) < 0.02, grid, Labels.of({"dust": 1}))
    assert measure(labels)[0].long_axis_mm > 1
