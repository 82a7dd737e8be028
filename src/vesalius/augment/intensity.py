"""Brightness and contrast."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def brighten(channels: Float[Tensor, " r *patch"], factor: Float[Tensor, " r"]) -> Float[Tensor, " r *patch"]:
    """Multiply the intensities of each channel.

    Args:
        channels: ``(r, *patch)``, float32.
        factor: What each is multiplied by.

    Returns:
        Brighter or darker copies.

    Example:
        >>> brighten(torch.tensor([[1.0, 2.0]]), torch.tensor([0.5]))
        tensor([[0.5000, 1.0000]])

    Source: nnU-Net v2 (``MultiplicativeBrightnessTransform``).
    """
    return channels * per_channel(factor, channels)


def stretch_contrast(channels: Float[Tensor, " r *patch"], factor: Float[Tensor, " r"]) -> Float[Tensor, " r *patch"]:
    """Stretch the intensities of each channel about their mean, clipped to the range that they had.

    Args:
        channels: ``(r, *patch)``, float32.
        factor: Above 1 for more contrast, below for less.

    Returns:
        Copies; lowest and highest value never lie further apart than they did.

    Example:
        >>> stretch_contrast(torch.tensor([[0.0, 1.0, 2.0, 5.0]]), torch.tensor([2.0]))
        tensor([[0., 0., 2., 5.]])

    Source: nnU-Net v2 (``ContrastTransform(preserve_range=True)``).
    """
    flat = channels.flatten(1)
    low, high = flat.aminmax(dim=1, keepdim=True)
    mean = flat.mean(dim=1, keepdim=True)
    stretched = (flat - mean).mul_(per_channel(factor, flat)).add_(mean)
    return torch.clamp(stretched, low, high).view_as(channels)


def per_channel(values: Float[Tensor, " r"], channels: Float[Tensor, " r *patch"]) -> Tensor:
    """Shape one number a channel so that it broadcasts over the channel's voxels, on its device.

    Args:
        values: ``(r,)``, on the CPU.
        channels: ``(r, *patch)``.
    """
    return values.to(channels.device).view(-1, *[1] * (channels.ndim - 1))
