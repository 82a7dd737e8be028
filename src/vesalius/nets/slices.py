"""A 2D network over the slices of a 3D image, and the base of all networks that work slice by slice."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets import build
from vesalius.nets.blocks import check_size
from vesalius.nets.specs.slices import SlicesSpec


class Slices(nn.Module):
    """A 2D network run over every slice of a 3D image, the neighbouring slices as further channels.

    All slices of a batch go through the network at once, as a batch of images in the channels-last layout that 2D
    convolutions are fastest in. Norms see each slice by itself (instance) or all of them (batch), as in 2D training.

    Args:
        spec: The 2D network, the axis, the number of neighbours.

    Example:
        >>> from vesalius.nets import SlicesSpec, UNetSpec
        >>> flat = UNetSpec.plain(ndim=2, in_channels=3, out_channels=2, features=(8, 16))
        >>> Slices(SlicesSpec(inner=flat, axis=2, context=1))(torch.zeros(1, 1, 16, 8, 5)).shape
        torch.Size([1, 2, 16, 8, 5])

    Source: see `SlicesSpec`; checked against a loop over the slices.
    """

    def __init__(self, spec: SlicesSpec) -> None:
        super().__init__()
        self.spec = spec
        self.divisor = spec.divisor
        self.inner = build(spec.inner)

    def forward(
        self, x: Float[Tensor, "b c *grid"]
    ) -> Float[Tensor, "b classes *grid"] | list[Float[Tensor, "b classes *_"]]:
        """Logits of a 3D image; while training with deep supervision, a list of them, finest first.

        The coarser logits are coarser within the slices only: there are as many slices in all of them.

        Args:
            x: Normalised image, each axis a multiple of `divisor`.

        Raises:
            PlanError: The size does not fit.
        """
        check_size(x, self.divisor)
        axis, batch = self.spec.axis, x.shape[0]  # not len(x): exported, the batch stays free
        logits = self.inner(fold(neighbours(x, axis, self.spec.context), axis))
        if isinstance(logits, list):
            return [unfold(y, batch, axis) for y in logits]
        return unfold(logits, batch, axis)

    def to(self, *args: Any, **kwargs: Any) -> Slices:
        """As for every module; a memory format of 3D images becomes that of their slices."""
        return super().to(*args, **in_the_plane(kwargs))


def neighbours(x: Float[Tensor, "b c *grid"], axis: int, context: int) -> Float[Tensor, "b n_c *grid"]:
    """Each slice's neighbours as channels: slice after slice from the lowest, all channels of a slice together.

    Args:
        x: A 3D image.
        axis: Slices lie across it.
        context: Neighbours on either side; outside the image, the first and the last slice are repeated.

    Example:
        >>> neighbours(torch.arange(3.0).reshape(1, 1, 3, 1, 1), 0, 1)[0, :, :, 0, 0]
        tensor([[0., 0., 1.],
                [0., 1., 2.],
                [1., 2., 2.]])
    """
    if context == 0:
        return x
    count = x.shape[axis + 2]
    at = torch.arange(count, device=x.device)
    shifts = range(-context, context + 1)
    return torch.cat([x.index_select(axis + 2, (at + shift).clamp(0, count - 1)) for shift in shifts], dim=1)


def fold(x: Float[Tensor, "b c *grid"], axis: int) -> Float[Tensor, "b_slices c *plane"]:
    """The slices of a batch of 3D images as a batch of 2D images, channels last in memory.

    Args:
        x: 3D images.
        axis: Slices lie across it.

    Example:
        >>> fold(torch.zeros(2, 3, 4, 5, 6), 1).shape
        torch.Size([10, 3, 4, 6])
    """
    return x.movedim(axis + 2, 1).flatten(0, 1).contiguous(memory_format=torch.channels_last)


def unfold(x: Float[Tensor, "b_slices c *plane"], batch: int | Tensor, axis: int) -> Float[Tensor, "b c *grid"]:
    """What `fold` folded, as 3D images again.

    Args:
        x: 2D images, the slices of one 3D image after those of another.
        batch: How many 3D images there are; while it is traced, this number is a tensor.
        axis: Slices lie across it.
    """
    return x.reshape(batch, -1, *x.shape[1:]).movedim(1, axis + 2)  # type: ignore[arg-type]


def in_the_plane(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `torch.nn.Module.to` for a network of 2D layers that takes 3D images.

    Callers lay a network out as they lay out its images, and 2D weights know no 3D memory format.

    Args:
        arguments: By name.
    """
    if arguments.get("memory_format") is torch.channels_last_3d:
        return arguments | {"memory_format": torch.channels_last}
    return arguments
