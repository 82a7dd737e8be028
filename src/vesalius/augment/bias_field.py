"""MR bias fields."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from vesalius.augment.smooth import expand


def add_bias_field(
    channels: Float[Tensor, " r *patch"], coefficients: Float[Tensor, " r *order"]
) -> Float[Tensor, " r *patch"]:
    """Multiply the signal of each channel by a smooth gain, as the coil of an MR scanner does.

    The logarithm of the gain is a polynomial in the coordinates, which go from -1 to 1 across the patch; its mean
    over the patch is taken off, so that a patch becomes brighter here and darker there, but not as a whole. No signal
    at all is taken to be the lowest value of the channel: normalised intensities have lost their zero.

    Args:
        channels: ``(r, *patch)``, float32.
        coefficients: ``(r, *order)``: that of ``x^i y^j z^k`` lies at ``[i, j, k]``.

    Returns:
        Copies; the lowest value stays what it is.

    Example:
        >>> add_bias_field(torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([[0.0, 0.3]])).round(decimals=2)
        tensor([[0.0000, 1.0000, 1.2200]])

    Source: Van Leemput et al. 1999, doi:10.1109/42.811268 (a polynomial of low order for the logarithm of the
    gain), drawn coefficient by coefficient as in TorchIO's ``RandomBiasField``, whose constant term is brightness.
    """
    bases = [
        torch.linalg.vander((torch.arange(n, device=channels.device) + 0.5) * (2 / n) - 1, N=k)
        for n, k in zip(channels.shape[1:], coefficients.shape[1:], strict=True)
    ]
    gain = expand(coefficients.to(channels.device), bases).flatten(1)
    gain = gain.sub_(gain.mean(dim=1, keepdim=True)).exp_()
    flat = channels.flatten(1)
    low = flat.amin(dim=1, keepdim=True)
    return (flat - low).mul_(gain).add_(low).view_as(channels)
