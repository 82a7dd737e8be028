"""Hue, saturation and white balance."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_LUMINANCE = (0.213, 0.715, 0.072)
_QUARTER = ((-0.213, -0.715, 0.928), (0.143, 0.140, -0.283), (-0.787, 0.715, 0.072))
"""What turns the hue by a quarter, about the axis of greys, when its luminance part is left out."""


def colour_matrix(
    hue: Float[Tensor, " b"], saturation: Float[Tensor, " b"], gain: Float[Tensor, "b 3"]
) -> Float[Tensor, "b 3 3"]:
    """The linear maps of (red, green, blue) that turn the hue, then change saturation, then the gain of each.

    Greys stay as they are under the first two, and so does the luminance of every colour.

    Args:
        hue: Radians; a third of a turn takes red to green.
        saturation: Factor; 0 gives greys.
        gain: Factor on each of the three: white balance.

    Returns:
        ``(b, 3, 3)``, to be multiplied from the left.

    Example:
        >>> colour_matrix(torch.zeros(1), torch.zeros(1), torch.ones(1, 3))[0, 0]
        tensor([0.2130, 0.7150, 0.0720])

    Source: W3C, Filter Effects Module Level 1, ``feColorMatrix`` types ``hueRotate`` and ``saturate``, with its
    coefficients.
    """
    grey = torch.tensor(_LUMINANCE).expand(3, 3)
    colour = torch.eye(3) - grey
    cos, sin = hue.cos().view(-1, 1, 1), hue.sin().view(-1, 1, 1)
    turned = grey + cos * colour + sin * torch.tensor(_QUARTER)
    return gain[:, :, None] * ((grey + saturation.view(-1, 1, 1) * colour) @ turned)


def recolour(images: Float[Tensor, "b c *patch"], matrix: Float[Tensor, "b c c"]) -> Float[Tensor, "b c *patch"]:
    """Make every channel a sum of all channels.

    Nothing is clipped. Channels that make one colour must be normalised alike, so that grey is the same in all.

    Args:
        images: Float32.
        matrix: ``(b, c, c)``: what each channel becomes.

    Returns:
        Copies.

    Example:
        >>> recolour(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]))
        tensor([[[2.],
                 [1.]]])
    """
    return (matrix.to(images.device) @ images.flatten(2)).view_as(images)
