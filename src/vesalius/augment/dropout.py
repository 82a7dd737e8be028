"""Channel dropout."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def drop_channels(images: Float[Tensor, "b c *patch"], kept: Bool[Tensor, "b c"]) -> Float[Tensor, "b c *patch"]:
    """Set channels to 0, the mean of a normalised channel, as if they had not been acquired.

    A network that was trained with every subset of its channels can segment with any subset.

    Args:
        images: Float32.
        kept: Which channels stay.

    Returns:
        Copies.

    Example:
        >>> import torch
        >>> drop_channels(torch.ones(1, 2, 3), torch.tensor([[True, False]]))
        tensor([[[1., 1., 1.],
                 [0., 0., 0.]]])

    Source: ModDrop, Neverova et al. 2015, arXiv:1501.00102; filling with the mean and dropping any subset while
    training for missing sequences: HeMIS, Havaei et al. 2016, arXiv:1607.05194.
    """
    return images.masked_fill(~kept.to(images.device).view(*kept.shape, *[1] * (images.ndim - 2)), 0.0)
