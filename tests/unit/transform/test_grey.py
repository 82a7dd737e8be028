"""Colour pictures made grey: weights known from the standard, and what is refused."""

import numpy as np
import pytest

from vesalius.errors import DataError, VesaliusError
from vesalius.image import Grid, Meta, Volume
from vesalius.transform import grey


def picture(array: np.ndarray) -> Volume:
    return Volume(array, Grid.from_spacing(array.shape[1:], (0.5, 2.0)))


def test_primary_colours_have_the_weights_of_the_eye() -> None:
    array = np.zeros((3, 1, 4), np.uint8)
    array[0, 0, 0] = array[1, 0, 1] = array[2, 0, 2] = 100
    array[:, 0, 3] = 255
    made = grey(picture(array))
    assert made.array.dtype == np.float32
    np.testing.assert_allclose(made.array[0, 0], [21.25, 71.54, 7.21, 255.0], rtol=1e-6)
    assert made.grid.spacing_mm == (0.5, 2.0)


def test_opacity_is_left_out() -> None:
    array = np.zeros((4, 2, 2), np.uint8)
    array[3] = 255
    assert not grey(picture(array)).array.any()


def test_the_mean_of_any_number_of_channels(rng: np.random.Generator) -> None:
    array = rng.normal(size=(5, 300, 400))
    made = grey(picture(array), channel="mean")
    np.testing.assert_allclose(made.array[0], array.mean(axis=0), atol=1e-6)


def test_one_of_the_channels_is_not_copied() -> None:
    array = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    made = grey(picture(array), channel=1)
    assert np.shares_memory(made.array, array)
    assert made.array.tolist() == [[[4, 5], [6, 7]]]


@pytest.mark.parametrize("channel", ["luminance", "mean", 0])
def test_one_channel_stays_as_it_is(channel: str) -> None:
    array = np.arange(4, dtype=np.uint16).reshape(1, 2, 2)
    assert grey(picture(array), channel=channel).array.dtype == np.uint16  # type: ignore[arg-type]


@pytest.mark.parametrize("channel", ["luminance", "mean", 0])
def test_what_is_grey_is_no_colour_picture(channel: str) -> None:
    colour = Volume(np.zeros((3, 2, 2)), Grid.from_spacing((2, 2), (1.0, 1.0)), Meta("RGB", calibrated=False))
    assert grey(colour, channel=channel).meta == Meta("OT", calibrated=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("channel", [3, -1])
def test_a_channel_that_is_not_there(channel: int) -> None:
    with pytest.raises(DataError, match="channels 0 to 2"):
        grey(picture(np.zeros((3, 2, 2))), channel=channel)


def test_luminance_needs_colours() -> None:
    with pytest.raises(DataError, match="'mean'"):
        grey(picture(np.zeros((2, 2, 2))))


def test_a_way_that_does_not_exist() -> None:
    with pytest.raises(VesaliusError, match="did you mean 'mean'"):
        grey(picture(np.zeros((3, 2, 2))), channel="maen")  # type: ignore[arg-type]
