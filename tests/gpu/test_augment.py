"""Augmentation on a CUDA device is that on the processor, but for the noise fields."""

from dataclasses import replace

import pytest
import torch

from vesalius.augment import Augmentation, apply, sample, source_size

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("patch", [(24, 20), (16, 20, 12)])
def test_the_devices_agree(patch):
    spec = replace(
        Augmentation.for_patch(patch).stronger("MR"),
        noise_p=0.0,  # each device draws fields of its own
        colour_p=0.5,
        colour_channels=(0, 1, 2),
        zero_outside=True,
        mix_p=0.5,
        channel_dropout_p=0.2,
    )
    generator = torch.Generator().manual_seed(0)
    window = source_size(spec, patch)
    images = torch.rand(16, 3, *window, generator=generator)
    labels = torch.randint(0, 4, (16, *window), generator=generator, dtype=torch.int16)
    drawn = sample(spec, 16, channels=3, generator=generator)
    here, here_labels = apply(images, labels, drawn, patch)
    there, there_labels = apply(images.cuda(), labels.cuda(), drawn, patch)
    # Where a nearest neighbour is a matter of rounding, the devices may choose differently.
    assert float((there.cpu() - here).abs().gt(1e-3).float().mean()) < 1e-3
    assert float((there_labels.cpu() != here_labels).float().mean()) < 1e-3


def test_noise_on_a_device_follows_from_the_seed():
    spec = replace(Augmentation.for_patch((16, 16)), noise_p=1.0, ct_noise_p=1.0)
    drawn = sample(spec, 4, channels=1, generator=torch.Generator().manual_seed(0))
    images, labels = torch.rand(4, 1, 24, 24).cuda(), torch.zeros(4, 24, 24, dtype=torch.int16).cuda()
    first, again = (apply(images, labels, drawn, (16, 16))[0] for _ in range(2))
    assert torch.equal(first, again)
