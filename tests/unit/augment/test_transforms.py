"""Noise, blur, brightness, contrast, resolution, gamma: each against its definition."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from vesalius.augment.blur import blur
from vesalius.augment.gamma import bend, bend_inverted
from vesalius.augment.intensity import brighten, stretch_contrast
from vesalius.augment.low_resolution import lower_resolution
from vesalius.augment.noise import add_noise


def picture(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 20, 24), (2, 9, 10, 12)])
def test_blur_is_a_gaussian_filter(shape):
    x = picture(*shape)
    sigma = 0.4 + 0.6 * torch.rand(shape[0], len(shape) - 1, generator=torch.Generator().manual_seed(1))
    expected = np.stack(
        [
            gaussian_filter(row.double().numpy(), s, mode="nearest", truncate=3.0)
            for row, s in zip(x, sigma.tolist(), strict=True)
        ]
    )
    # scipy rounds the reach of its kernel, we round it up: they differ by the tail beyond.
    np.testing.assert_allclose(blur(x, sigma).numpy(), expected, atol=0.02)
    whole = torch.ones_like(sigma)  # here both reach three voxels
    expected = np.stack([gaussian_filter(row.double().numpy(), 1.0, mode="nearest", truncate=3.0) for row in x])
    np.testing.assert_allclose(blur(x, whole).numpy(), expected, atol=1e-5)


def test_blur_leaves_axes_of_sigma_zero_and_channels_to_themselves():
    x = picture(2, 6, 7)
    blurred = blur(x, torch.tensor([[0.0, 0.0], [0.0, 0.9]]))
    assert torch.equal(blurred[0], x[0])
    assert not torch.allclose(blurred[1], x[1])
    torch.testing.assert_close(blurred[1].sum(0), blur(x[1:].sum(1, keepdim=True), torch.tensor([[0.0, 0.9]]))[0, 0])


def test_a_wide_blur_works_on_an_axis_of_one_voxel():
    x = picture(1, 1, 5)
    torch.testing.assert_close(blur(x, torch.tensor([[8.0, 0.0]])), x)


def test_noise_has_the_deviation_asked_for_and_differs_between_channels():
    x = torch.zeros(2, 2, 64, 64)
    noisy = add_noise(x, torch.tensor([0.05, 0.2]), torch.tensor([1, 2]))
    assert noisy[0].std().item() == pytest.approx(0.05, rel=0.05)
    assert noisy[1].std().item() == pytest.approx(0.2, rel=0.05)
    assert abs(noisy.mean().item()) < 0.005
    assert abs(torch.corrcoef(noisy[0].flatten(1))[0, 1].item()) < 0.06


def test_noise_depends_on_the_seed_alone():
    x = torch.zeros(2, 1, 8, 8)
    noisy = add_noise(x, torch.tensor([0.1, 0.1]), torch.tensor([5, 6]))
    torch.testing.assert_close(add_noise(x[1:], torch.tensor([0.1]), torch.tensor([6])), noisy[1:])
    assert not torch.equal(noisy[0], noisy[1])
    assert torch.equal(x, torch.zeros_like(x))


def test_brightness_multiplies():
    x = picture(2, 4, 4)
    assert torch.equal(brighten(x, torch.tensor([0.5, 2.0])), torch.stack([x[0] * 0.5, x[1] * 2]))


def test_contrast_scales_deviations_and_keeps_mean_and_range():
    x = picture(2, 16, 16)
    less = stretch_contrast(x, torch.tensor([0.75, 0.75]))
    torch.testing.assert_close(less.flatten(1).std(1), 0.75 * x.flatten(1).std(1))
    torch.testing.assert_close(less.flatten(1).mean(1), x.flatten(1).mean(1))
    more = stretch_contrast(x, torch.tensor([3.0, 1.25]))
    assert torch.equal(more.flatten(1).aminmax(dim=1).max, x.flatten(1).max(1).values)
    assert torch.equal(more.flatten(1).aminmax(dim=1).min, x.flatten(1).min(1).values)
    inside = (more[1] > x[1].min()) & (more[1] < x[1].max())
    expected = (x[1] - x[1].mean()) * 1.25 + x[1].mean()
    torch.testing.assert_close(more[1][inside], expected[inside])


@pytest.mark.parametrize("transform", [bend, bend_inverted])
def test_gamma_keeps_mean_deviation_and_order(transform):
    x = picture(3, 12, 12)
    bent = transform(x, torch.tensor([0.7, 1.5, 1.0]))
    torch.testing.assert_close(bent.flatten(1).mean(1), x.flatten(1).mean(1), rtol=0, atol=1e-5)
    torch.testing.assert_close(bent.flatten(1).std(1), x.flatten(1).std(1))
    assert torch.equal(bent.flatten(1).argsort(dim=1), x.flatten(1).argsort(dim=1))
    torch.testing.assert_close(bent[2], x[2], rtol=0, atol=1e-5)


def test_gamma_is_the_power_law_over_the_range():
    x = picture(1, 10, 10).double()
    y = ((x - x.min()) / (x.max() - x.min())) ** 1.4
    y = (y - y.mean()) / y.std() * x.std() + x.mean()
    torch.testing.assert_close(bend(x.float(), torch.tensor([1.4])), y.float(), rtol=0, atol=1e-5)


def test_inverted_gamma_is_not_gamma():
    x = picture(1, 10, 10).exp()
    gamma = torch.tensor([1.5])
    assert not torch.allclose(bend(x, gamma), bend_inverted(x, gamma), atol=0.05)
    torch.testing.assert_close(bend_inverted(x, gamma), -bend(-x, gamma))


def test_low_resolution_keeps_what_is_coarse_and_loses_what_is_fine():
    fine = torch.tensor([0.0, 1.0]).repeat(16).expand(32, 32)[None]
    coarse = fine.repeat_interleave(8, dim=2)[..., 112:144]
    half = torch.tensor([[1.0, 0.5]])
    assert lower_resolution(fine, half).std() < 0.1 * fine.std()
    assert lower_resolution(coarse, half).std() > 0.9 * coarse.std()


def test_low_resolution_leaves_axes_of_resolution_one_and_takes_each_channel_by_itself():
    x = picture(2, 8, 10, 6)
    factors = torch.tensor([[1.0, 1.0, 1.0], [0.5, 1.0, 0.7]])
    lowered = lower_resolution(x, factors)
    assert torch.equal(lowered[0], x[0])
    torch.testing.assert_close(lowered[1, :, 3], lower_resolution(x[1:, :, 3:4], factors[1:])[0, :, 0])


def test_low_resolution_never_drops_below_one_voxel():
    x = picture(1, 1, 2)
    torch.testing.assert_close(lower_resolution(x, torch.tensor([[0.5, 0.5]])), x[..., 1:].expand(1, 1, 2))


@pytest.mark.parametrize("value", [0.0, -2.5, 1e-6, 300.0])
def test_a_constant_channel_stays_constant(value):
    x = torch.full((2, 9, 11), value)
    two = torch.tensor([0.7, 1.5])
    for changed in (
        bend(x, two),
        bend_inverted(x, two),
        stretch_contrast(x, two),
        blur(x, torch.full((2, 2), 0.8)),
        lower_resolution(x, torch.full((2, 2), 0.6)),
    ):
        torch.testing.assert_close(changed, x, rtol=1e-5, atol=1e-6)
