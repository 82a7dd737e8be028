"""Gaussian noise."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def add_noise(
    images: Float[Tensor, "b c *patch"], std: Float[Tensor, " b"], seed: Int64[Tensor, " b"]
) -> Float[Tensor, "b c *patch"]:
    """Add normally distributed noise, independent in every voxel and channel.

    Args:
        images: Float32.
        std: Standard deviation of each element's noise, at least 0.
        seed: Start of each element's own stream of numbers, so that its noise does not depend on its neighbours in
            the batch. A CPU and a GPU draw different numbers from the same seed.

    Returns:
        Disturbed copies.

    Example:
        >>> noisy = add_noise(torch.zeros(1, 1, 64, 64), torch.tensor([0.5]), torch.tensor([7]))
        >>> round(float(noisy.std()), 1)
        0.5
    """
    noise = torch.empty_like(images)
    for field, deviation, start in zip(noise, std.tolist(), seed.tolist(), strict=True):
        field.normal_(0.0, deviation, generator=torch.Generator(images.device).manual_seed(start))
    return noise.add_(images)
