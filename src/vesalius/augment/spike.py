"""Spikes in k-space."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vesalius.augment.intensity import per_channel


def add_stripes(
    channels: Float[Tensor, " r *patch"],
    amplitude: Float[Tensor, " r"],
    wave: Float[Tensor, "r n"],
    phase: Float[Tensor, " r"],
) -> Float[Tensor, " r *patch"]:
    """Add what a spark in one sample of k-space gives: a plane wave, seen as stripes all over the image.

    Args:
        channels: ``(r, *patch)``, float32.
        amplitude: In standard deviations of the channel.
        wave: ``(r, n)``: place of the sample in k-space, cycles per voxel along each axis.
        phase: Radians.

    Returns:
        Copies with stripes.

    Example:
        >>> striped = add_stripes(
        ...     torch.tensor([[0.0, 2.0, 0.0, 2.0]]), torch.tensor([1.0]), torch.tensor([[0.25]]), torch.zeros(1)
        ... )
        >>> striped.round(decimals=3)
        tensor([[ 1.,  2., -1.,  2.]])

    Source: TorchIO's ``RandomSpike`` adds a sample to the Fourier transform and keeps the real part: this is the
    same, in closed form.
    """
    cycles = per_channel(phase / (2 * math.pi), channels)
    for axis, n in enumerate(channels.shape[1:]):
        place = torch.arange(n, device=channels.device).view(-1, *[1] * (channels.ndim - 2 - axis))
        cycles = cycles + per_channel(wave[:, axis], channels) * place
    deviation = channels.flatten(1).std(dim=1, correction=0)
    return (
        torch.cos(2 * math.pi * cycles).mul_(per_channel(amplitude.to(channels.device) * deviation, channels))
        + channels
    )
