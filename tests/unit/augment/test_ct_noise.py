"""CT noise: texture, strength, seeds."""

import pytest
import torch

from vesalius.augment.ct_noise import add_ct_noise


def noise(shape, *, std=0.2, attenuation=0.0, cutoff=0.3, seed=1, images=None):
    images = torch.zeros(1, 1, *shape) if images is None else images
    settings = [torch.full((len(images),), value) for value in (std, attenuation, cutoff)]
    return add_ct_noise(images, *settings, torch.arange(len(images)) + seed) - images


@pytest.mark.parametrize("shape", [(128, 96), (65, 64, 9)])
@pytest.mark.parametrize("cutoff", [0.15, 0.5])
def test_it_has_the_deviation_asked_for_and_no_mean(shape, cutoff):
    found = noise(shape, cutoff=cutoff)
    assert float(found.std()) == pytest.approx(0.2, rel=0.03)
    slices = found[0, 0].flatten(0, 1)
    torch.testing.assert_close(slices.mean(dim=0), torch.zeros_like(slices[0]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("cutoff", [0.15, 0.3])
def test_the_power_spectrum_is_the_ramp_under_the_kernel(cutoff):
    found = noise((64, 64, 200), cutoff=cutoff)[0, 0]
    power = torch.fft.fft2(found, dim=(0, 1)).abs().square().mean(dim=-1)
    f = torch.fft.fftfreq(64)
    radius = (f[:, None] ** 2 + f**2).sqrt()
    expected = radius * (-((radius / cutoff) ** 2)).exp()
    measured, wanted = power / power.sum(), expected / expected.sum()
    strong = wanted > 0.2 * wanted.max()
    torch.testing.assert_close(measured[strong], wanted[strong], rtol=0.45, atol=0)  # 200 slices: 7 % each, 6 sigma
    assert float((measured[strong] / wanted[strong]).mean()) == pytest.approx(1.0, abs=0.02)


def test_slices_are_independent():
    found = noise((64, 64, 2))[0, 0].flatten(0, 1)
    assert abs(float(torch.corrcoef(found.T)[0, 1])) < 0.08


def test_it_is_stronger_behind_dense_tissue():
    images = torch.zeros(64, 1, 48, 48)
    images[:, :, 16:32, 16:32] = 6.0
    found = noise((48, 48), attenuation=2.0, images=images)[:, 0]
    inside, corner = found[:, 20:28, 20:28].std(), found[:, :6, :6].std()
    assert inside > 1.5 * corner
    even = noise((48, 48), attenuation=0.0, images=images)[:, 0]
    assert float(even[:, 20:28, 20:28].std() / even[:, :6, :6].std()) == pytest.approx(1.0, abs=0.1)


def test_what_is_far_from_normalised_gives_no_infinities():
    found = noise((16, 16), attenuation=4.0, images=1e6 * torch.randn(1, 2, 16, 16))
    assert found.isfinite().all()


def test_it_depends_on_the_seed_alone_and_differs_between_channels():
    pair = noise((16, 16), images=torch.zeros(2, 2, 16, 16), seed=5)
    torch.testing.assert_close(noise((16, 16), images=torch.zeros(1, 2, 16, 16), seed=6)[0], pair[1])
    assert not torch.allclose(pair[0], pair[1])
    assert not torch.allclose(pair[0, 0], pair[0, 1])


def test_a_slice_of_one_voxel_has_none():
    assert not noise((1, 1, 5)).any()
