"""Gaussian blur."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

_REACH = 3.0  # standard deviations after which the kernel ends; 0.3 % of a Gaussian lies beyond


def blur(channels: Float[Tensor, " r *patch"], sigma: Float[Tensor, "r n"]) -> Float[Tensor, " r *patch"]:
    """Convolve with a Gaussian, axis by axis; at the border the outermost voxel is repeated.

    Args:
        channels: ``(r, *patch)``, float32.
        sigma: Standard deviation on each axis, voxels; 0 leaves an axis as it is.

    Returns:
        Blurred copies. A constant stays what it is, and the mean of an image away from its border, too.

    Example:
        >>> point = torch.tensor([[[0.0, 0, 0, 1, 0, 0, 0]]])
        >>> blur(point, torch.tensor([[0.0, 0.5]])).mul(100).round().int()
        tensor([[[ 0,  0, 11, 79, 11,  0,  0]]], dtype=torch.int32)

    Source: nnU-Net v2 (batchgeneratorsv2 ``GaussianBlurTransform``) ends the kernel at about 3 standard deviations,
    too; it reflects at the border.
    """
    blurred = channels.clone()
    for axis in range(1, channels.ndim):
        reach = math.ceil(_REACH * float(sigma[:, axis - 1].max()))
        if reach == 0:
            continue
        weights = _kernels(sigma[:, axis - 1], reach).to(channels.device)
        weights = weights.view(reach + 1, -1, *[1] * (channels.ndim - 1))
        n = channels.shape[axis]
        ends = blurred.narrow(axis, 0, 1), blurred.narrow(axis, n - 1, 1)
        wide = [-1] * axis + [reach] + [-1] * (channels.ndim - 1 - axis)
        padded = torch.cat([ends[0].expand(wide), blurred, ends[1].expand(wide)], dim=axis)
        # Sums of shifted copies: a depthwise convolution along one axis is several times slower on a processor.
        blurred.mul_(weights[0])
        for t in range(1, reach + 1):
            pair = padded.narrow(axis, reach - t, n) + padded.narrow(axis, reach + t, n)
            blurred.addcmul_(pair, weights[t])
    return blurred


def _kernels(sigma: Tensor, reach: int) -> Tensor:
    """``(reach + 1, r)``: weights of the centre and of each distance from it; those of both sides sum to 1."""
    distance = torch.arange(reach + 1, dtype=torch.float64)[:, None]
    width = sigma.double().clamp(min=1e-6)
    weights = (-0.5 * (distance / width) ** 2).exp()
    weights[distance > (_REACH * width).ceil()] = 0.0  # each row ends by its own width, whatever the others' are
    return (weights / (2 * weights.sum(dim=0) - weights[0])).float()
