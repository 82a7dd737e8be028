"""Colour: hue, saturation, white balance."""

import colorsys

import pytest
import torch

from vesalius.augment.colour import colour_matrix, recolour

LUMINANCE = torch.tensor([0.213, 0.715, 0.072])


def only(*, hue=0.0, saturation=1.0, gain=(1.0, 1.0, 1.0)):
    return colour_matrix(torch.tensor([hue]), torch.tensor([saturation]), torch.tensor([gain]))[0]


def test_nothing_asked_for_is_the_identity():
    torch.testing.assert_close(only(), torch.eye(3))


@pytest.mark.parametrize("hue", [-2.0, 0.3, 1.5])
@pytest.mark.parametrize("saturation", [0.0, 0.5, 1.7])
def test_greys_and_luminance_are_kept(hue, saturation):
    matrix = only(hue=hue, saturation=saturation)
    torch.testing.assert_close(matrix @ torch.ones(3), torch.ones(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(LUMINANCE @ matrix, LUMINANCE, rtol=0, atol=1e-3)


def test_turns_add_up():
    torch.testing.assert_close(only(hue=0.5) @ only(hue=-0.2), only(hue=0.3), rtol=0, atol=2e-3)


@pytest.mark.parametrize("degrees", [-18.0, 18.0])
def test_a_small_turn_of_a_muted_colour_is_about_that_of_hsv(degrees):
    """The direction and size of a turn, as another colour model sees them."""
    colour = torch.tensor([0.60, 0.50, 0.48])
    turned = only(hue=torch.tensor(degrees).deg2rad().item()) @ colour
    before, after = colorsys.rgb_to_hsv(*colour.tolist())[0], colorsys.rgb_to_hsv(*turned.tolist())[0]
    moved = 360 * ((after - before + 0.5) % 1 - 0.5)
    assert moved == pytest.approx(degrees, abs=9.0)


def test_saturation_of_zero_is_grey_and_gains_come_last():
    colour = torch.tensor([0.9, 0.2, 0.4])
    grey = only(saturation=0.0, gain=(1.0, 2.0, 0.5)) @ colour
    torch.testing.assert_close(grey, (LUMINANCE @ colour) * torch.tensor([1.0, 2.0, 0.5]))


def test_every_voxel_is_recoloured_alike():
    images = torch.rand(2, 4, 5, 6)
    matrix = torch.eye(4).repeat(2, 1, 1)
    matrix[1, 0] = torch.tensor([0.0, 0.5, 0.0, 0.5])
    found = recolour(images, matrix)
    torch.testing.assert_close(found[0], images[0])
    torch.testing.assert_close(found[1, 0], (images[1, 1] + images[1, 3]) / 2)
    torch.testing.assert_close(found[1, 1:], images[1, 1:])
