"""Networks in operators that phones and browsers have."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets.blocks import Up

Transposed = nn.ConvTranspose2d | nn.ConvTranspose3d


def portable(network: nn.Module) -> nn.Module:
    """A copy of a network without transposed convolutions, as far as they can do without.

    A transposed convolution whose kernel is its stride becomes a 1x1 convolution and an interleaving of its channels:
    the same sums. LiteRT crashes on it in 3D, and WebGPU does not have it. Our own `Up` is such a convolution already;
    its interleaving, one step over eight axes, becomes one step an axis over six at most, as these runtimes have no
    more. A transposed convolution whose windows overlap stays as it is.

    Args:
        network: Any; in evaluation or training mode. It is not changed.

    Returns:
        A network with the same result (up to the order of sums) and the same mode, with weights of its own.

    Example:
        >>> network = nn.ConvTranspose3d(4, 2, 2, stride=2)
        >>> same = portable(network)
        >>> x = torch.randn(1, 4, 3, 3, 3)
        >>> torch.allclose(network(x), same(x), atol=1e-5)
        True

    Source: Shi et al. 2016, arXiv:1609.07009 (the equivalence).
    """
    return _rewritten(copy.deepcopy(network)).train(network.training)


def _rewritten(module: nn.Module) -> nn.Module:
    if isinstance(module, Up) and module.kind == "transposed":
        return Interleaved(module.conv, module.stride)
    if isinstance(module, Transposed) and _does_not_overlap(module):
        return Interleaved(_pointwise(module), module.stride)
    for name, child in module.named_children():
        setattr(module, name, _rewritten(child))
    return module


class Interleaved(nn.Module):
    """A 1x1 convolution whose channels are laid out as the voxels of a finer grid, one axis after the other.

    Args:
        conv: To ``prod(stride)`` sets of channels; the last axis of the window counts fastest.
        stride: How much finer on each axis.
    """

    def __init__(self, conv: nn.Module, stride: Sequence[int]) -> None:
        super().__init__()
        self.conv = conv
        self.stride = tuple(stride)

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b d *finer"]:
        """Go to the finer grid."""
        y: Tensor = self.conv(x)
        for axis, step in enumerate(self.stride, start=2):
            if step > 1:
                y = torch.stack(y.chunk(step, dim=1), dim=axis + 1).flatten(axis, axis + 1)
        return y


def _does_not_overlap(module: Transposed) -> bool:
    ones, zeros = (1,) * len(module.stride), (0,) * len(module.stride)
    return (
        tuple(module.kernel_size) == tuple(module.stride)
        and tuple(module.dilation) == ones
        and tuple(module.padding) == zeros
        and tuple(module.output_padding) == zeros
        and module.groups == 1
    )


def _pointwise(module: Transposed) -> nn.Conv2d | nn.Conv3d:
    """The same sums as a 1x1 convolution: from (in, out, *window) to (window and out together, in)."""
    kind = nn.Conv2d if isinstance(module, nn.ConvTranspose2d) else nn.Conv3d
    places = math.prod(module.stride)
    made = kind(module.in_channels, places * module.out_channels, 1, bias=module.bias is not None)
    with torch.no_grad():
        made.weight.copy_(module.weight.flatten(2).permute(2, 1, 0).reshape(made.weight.shape))
        if module.bias is not None and made.bias is not None:
            made.bias.copy_(module.bias.repeat(places))
    return made.to(module.weight)
