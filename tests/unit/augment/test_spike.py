"""Spikes: stripes of one frequency."""

import pytest
import torch

from vesalius.augment.spike import add_stripes


@pytest.mark.parametrize("shape", [(32, 24), (16, 12, 20)])
def test_a_stripe_is_one_sample_of_k_space(shape):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, *shape, generator=generator)
    place = (3, 2, 5)[: len(shape)]
    wave = torch.tensor([[k / n for k, n in zip(place, shape, strict=True)]])
    added = torch.fft.fftn(add_stripes(x, torch.tensor([0.8]), wave, torch.tensor([0.4]))[0] - x[0])
    strength = added.abs()
    mirrored = tuple(-k for k in place)
    # In a real image a wave has two halves.
    expected = 0.8 * float(x.std(correction=0)) * x.numel() / 2
    torch.testing.assert_close(strength[place], torch.tensor(expected), rtol=1e-3, atol=0)
    torch.testing.assert_close(strength[mirrored], strength[place], rtol=1e-3, atol=0)
    assert added[place].angle() == pytest.approx(0.4, abs=1e-3)
    strength[place] = strength[mirrored] = 0.0
    assert strength.max() < 1e-3 * expected


def test_a_constant_has_no_deviation_and_no_stripes():
    x = torch.full((1, 6, 6), 2.0)
    assert torch.equal(add_stripes(x, torch.ones(1), torch.full((1, 2), 0.2), torch.zeros(1)), x)
