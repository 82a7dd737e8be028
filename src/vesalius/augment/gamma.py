"""Gamma curves."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from vesalius.augment.intensity import per_channel

_SMALLEST = 1e-7  # of a range or a deviation: a constant channel has none to divide by


def bend(channels: Float[Tensor, " r *patch"], gamma: Float[Tensor, " r"]) -> Float[Tensor, " r *patch"]:
    """Bend the intensities of each channel by a power law over their range; mean and deviation stay as they were.

    ``(x - lowest) / range`` is raised to the power of gamma, brought back to the range, and shifted and scaled so
    that mean and standard deviation are those of before.

    Args:
        channels: ``(r, *patch)``, float32.
        gamma: Exponent; below 1 spreads the low intensities, above 1 the high ones.

    Returns:
        Bent copies; a constant channel stays what it is.

    Example:
        >>> import torch
        >>> bend(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([2.0])).round(decimals=2)
        tensor([[0.2000, 0.6800, 2.1200]])

    Source: nnU-Net v2 (``GammaTransform(p_retain_stats=1)``).
    """
    flat = channels.flatten(1)
    low, high = flat.aminmax(dim=1, keepdim=True)
    mean = flat.mean(dim=1, keepdim=True)
    spread = (flat - mean).norm(dim=1, keepdim=True)
    # exp(gamma log x) is several times faster than pow with an exponent a row; log 0 = -inf comes back as 0.
    bent = (flat - low).div_((high - low).clamp_(min=_SMALLEST))
    bent = bent.log_().mul_(per_channel(gamma, flat)).exp_()
    bent -= bent.mean(dim=1, keepdim=True)  # the range cancels out when the deviation is restored
    bent *= spread / bent.norm(dim=1, keepdim=True).clamp_(min=_SMALLEST)
    return bent.add_(mean).view_as(channels)


def bend_inverted(channels: Float[Tensor, " r *patch"], gamma: Float[Tensor, " r"]) -> Float[Tensor, " r *patch"]:
    """Do as `bend` does, to the inverted intensities: the bright ones are treated as the dark ones are there.

    Args:
        channels: ``(r, *patch)``, float32.
        gamma: Exponent; below 1 spreads the high intensities, above 1 the low ones.

    Returns:
        Bent copies; a constant channel stays what it is.

    Example:
        >>> import torch
        >>> bend_inverted(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([2.0])).round(decimals=2)
        tensor([[-0.1200,  1.3200,  1.8000]])

    Source: nnU-Net v2 (``GammaTransform(p_invert_image=1, p_retain_stats=1)``).
    """
    return bend(-channels, gamma).neg_()
