"""The recurrent U-Net: 2D in the slices, a memory across them."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets.blocks import check_size
from vesalius.nets.conv_lstm import BidirectionalConvLSTM
from vesalius.nets.slices import fold, in_the_plane, unfold
from vesalius.nets.specs.recurrent_unet import RecurrentUNetSpec
from vesalius.nets.unet import UNet


class RecurrentUNet(nn.Module):
    """A 2D U-Net between whose encoder and decoder a convolutional LSTM goes through the slices both ways.

    Args:
        spec: What to build.

    Example:
        >>> from vesalius.nets import UNetSpec
        >>> flat = UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16))
        >>> RecurrentUNet(RecurrentUNetSpec(inner=flat, axis=0))(torch.zeros(1, 1, 5, 16, 8)).shape
        torch.Size([1, 2, 5, 16, 8])

    Source: see `RecurrentUNetSpec`.
    """

    def __init__(self, spec: RecurrentUNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.divisor = spec.divisor
        self.inner = UNet(spec.inner)
        self.memories = nn.ModuleDict(
            {str(s): BidirectionalConvLSTM(spec.inner.features[s], spec.kernel) for s in spec.recurrent_stages}
        )

    def forward(
        self, x: Float[Tensor, "b c *grid"]
    ) -> Float[Tensor, "b classes *grid"] | list[Float[Tensor, "b classes *_"]]:
        """Logits of a 3D image; while training with deep supervision, a list of them, finest first.

        Args:
            x: Normalised image, each axis a multiple of `divisor`.

        Raises:
            PlanError: The size does not fit.
        """
        check_size(x, self.divisor)
        axis, batch = self.spec.axis, x.shape[0]  # not len(x): exported, the batch stays free
        seen = self.inner.encode(fold(x, axis))
        for stage, memory in self.memories.items():
            plane = seen[int(stage)]
            stack = plane.reshape(batch, -1, *plane.shape[1:])
            seen[int(stage)] = memory(stack).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        logits = self.inner.decode(seen)
        if isinstance(logits, list):
            return [unfold(y, batch, axis) for y in logits]
        return unfold(logits, batch, axis)

    def to(self, *args: Any, **kwargs: Any) -> RecurrentUNet:
        """As for every module; a memory format of 3D images becomes that of their slices."""
        return super().to(*args, **in_the_plane(kwargs))
