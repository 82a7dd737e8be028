"""Edges of steps, balls and noise, in millimetres."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from vesalius.classical.edges import canny, laplacian_of_gaussian, prewitt, sobel
from vesalius.errors import DataError, VesaliusError
from vesalius.image import Grid, Volume
from vesalius.transform import label_components

METHODS = [sobel, prewitt, canny, laplacian_of_gaussian]


def volume(array, spacing=None) -> Volume:
    return Volume(np.asarray(array)[None], Grid.from_spacing(np.shape(array), spacing or (1.0,) * np.ndim(array)))


def ball(spacing, radius=12.0, extent=40.0):
    shape = tuple(round(extent / s) for s in spacing)
    at = (np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2) * spacing
    apart = np.linalg.norm(at, axis=-1)
    return volume(100.0 * (apart <= radius), spacing), apart


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.5), (1.0, 1.0, 1.0), (0.8, 1.0, 2.5)])
def test_the_edge_of_a_ball_is_at_its_radius_all_around(method, spacing):
    image, apart = ball(spacing)
    found = method(image)
    assert found.labels.names == ("edge",)
    edge = found.array != 0
    assert np.abs(apart[edge] - 12.0).max() <= 1.0 + 0.6 * np.linalg.norm(spacing)
    # All of the boundary is found: from anywhere on it an edge is no further than the next voxel.
    near = distance_transform_edt(~edge, sampling=spacing)
    assert near[np.abs(apart - 12.0) < 0.5].max() <= np.linalg.norm(spacing) * 1.01


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.5), (1.0, 1.0, 1.0), (0.8, 1.0, 2.5)])
def test_zero_crossings_are_closed(spacing):
    image, _ = ball(spacing)
    edge = laplacian_of_gaussian(image).array != 0
    pieces, _ = label_components(~edge, connectivity=1)
    centre = tuple(n // 2 for n in edge.shape)
    assert pieces[centre] > 0
    assert pieces[centre] != pieces[(0,) * edge.ndim]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0, 7, 1e6 + 0.1])
def test_an_image_of_one_grey_value_has_no_edge(method, value):
    assert not method(volume(np.full((6, 7, 5), value))).array.any()


@pytest.mark.parametrize("method", METHODS)
def test_a_single_slice_is_as_good_as_a_picture(method):
    picture, _ = ball((1.0, 1.0))
    thin = Volume(picture.array[..., None], Grid.from_spacing((40, 40, 1), (1.0, 1.0, 3.0)))
    np.testing.assert_array_equal(method(thin).array[..., 0], method(picture).array)


@pytest.mark.parametrize("method", METHODS)
def test_several_channels_are_refused(method):
    with pytest.raises(DataError, match="one channel"):
        method(Volume(np.zeros((3, 5, 5)), Grid.from_spacing((5, 5), (1.0, 1.0))))


def test_slopes_are_by_millimetre():
    ramp = volume(np.repeat([0.0, 3.0, 6.0, 9.0], 4).reshape(4, 4), (0.5, 1.0))  # 6 by mm
    assert sobel(ramp, threshold=5.9, thin=False).array[1:3].all()
    assert not sobel(ramp, threshold=6.1, thin=False).array.any()


def test_thin_edges_are_part_of_thick_ones(rng):
    image = volume(rng.normal(size=(20, 22)).cumsum(0))
    thick, thin = (prewitt(image, threshold=0.8, thin=thin).array != 0 for thin in (False, True))
    assert (thin <= thick).all()
    assert thin.sum() < thick.sum()


def test_weak_edges_stay_only_where_a_strong_one_goes_on():
    array = np.zeros((30, 40))
    array[:, 10:] += np.linspace(10.0, 3.0, 30)[:, None]  # one edge, strong above and weak below
    array[:, 30:] += 3.0  # an edge that is weak all along
    found = canny(volume(array), sigma_mm=0.0, low=1.0, high=4.0).array
    assert found[2, 9:11].any()
    assert found[27, 9:11].any()
    assert not found[:, 25:35].any()


def test_the_signs_of_the_laplacian_are_bright_and_dark_sides():
    image, apart = ball((0.8, 1.0, 2.5))
    bright, dark = (laplacian_of_gaussian(image, sigma_mm=1.5, show=show).array != 0 for show in ("bright", "dark"))
    assert bright[(apart > 10.5) & (apart < 11.4)].mean() > 0.95
    assert dark[(apart > 12.6) & (apart < 13.5)].mean() > 0.95
    assert not (bright & dark).any()


def test_slight_crossings_can_be_left_out(rng):
    image, apart = ball((1.0, 1.0))
    noisy = image.with_array(image.array + rng.normal(0, 1, image.array.shape))
    every = laplacian_of_gaussian(noisy, sigma_mm=1.5).array
    steep = laplacian_of_gaussian(noisy, sigma_mm=1.5, least_slope=10.0).array
    assert (every[apart > 18]).any()
    assert not steep[apart > 16].any()
    assert steep.sum() > 50


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        (sobel, {"threshold": 0.0}),
        (prewitt, {"sigma_mm": -1.0}),
        (canny, {"low": -1.0}),
        (canny, {"low": 5.0, "high": 2.0}),
        (laplacian_of_gaussian, {"sigma_mm": 0.0}),
        (laplacian_of_gaussian, {"least_slope": -1.0}),
    ],
)
def test_numbers_out_of_range(method, wrong):
    with pytest.raises(DataError):
        method(ball((1.0, 1.0))[0], **wrong)


def test_a_result_that_does_not_exist():
    with pytest.raises(VesaliusError, match="did you mean 'bright'"):
        laplacian_of_gaussian(ball((1.0, 1.0))[0], show="brigt")  # type: ignore[arg-type]
