"""Bias fields: a smooth gain on the signal."""

import math

import pytest
import torch

from vesalius.augment.bias_field import add_bias_field


def test_the_gain_is_the_exponential_of_the_polynomial():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 20, 30, generator=generator) + 5
    x[0, 0, 0] = 3.0  # no signal
    coefficients = torch.zeros(1, 3, 3)
    coefficients[0, 1, 0], coefficients[0, 0, 2], coefficients[0, 1, 1] = 0.4, -0.3, 0.2
    found = add_bias_field(x, coefficients)
    i = (torch.arange(20)[:, None] + 0.5) / 10 - 1
    j = (torch.arange(30) + 0.5) / 15 - 1
    field = 0.4 * i - 0.3 * j**2 + 0.2 * i * j
    torch.testing.assert_close(found[0], 3 + (x[0] - 3) * (field - field.mean()).exp())


@pytest.mark.parametrize("shape", [(12, 9), (6, 7, 8)])
def test_the_gain_is_one_on_average_and_no_signal_stays_none(shape):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, *shape, generator=generator)
    field = torch.randn(3, *[3] * len(shape), generator=generator) * 0.2
    found = add_bias_field(x, field).flatten(1)
    low = x.flatten(1).amin(dim=1, keepdim=True)
    torch.testing.assert_close(found.amin(dim=1, keepdim=True), low)
    signal = x.flatten(1) > low
    for before, after, least, there in zip(x.flatten(1), found, low, signal, strict=True):
        gains = ((after - least)[there] / (before - least)[there]).log()
        # All voxels but the one without signal: its gain cannot be seen.
        assert abs(float(gains.sum())) < 3.0
        assert float(gains.std()) > 0.05


def test_brightness_is_another_transforms_business():
    x = torch.rand(1, 8, 8)
    constant = torch.tensor([[[math.log(2.0), 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(add_bias_field(x, constant), x)
