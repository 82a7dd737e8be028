"""The gate on a skip connection."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets.blocks import convolution, interpolate

OPEN = 3.0
"""What the sum of a gate starts from: at 0.95 it lets all pass, and its slope still lets it learn to close.
Source: Oktay et al. 2018, arXiv:1804.03999, section 3 (gates start so that they pass everything; no number given)."""


class AttentionGate(nn.Module):
    """Let through what the coarser stage asks for: each voxel of a skip connection times a number between 0 and 1.

    What the encoder saw (at ``fine``) is brought to the coarser grid by a convolution whose kernel is its stride, what
    the decoder has found there (``coarse``) by a 1x1 convolution; their sum, through ReLU, another 1x1 convolution and
    a sigmoid, says how far the gate is open, and is interpolated back to the finer grid.

    Args:
        fine: Channels of the skip connection.
        coarse: Channels of the stage below.
        stride: From one to the other on each axis.

    Example:
        >>> gate = AttentionGate(8, 16, (1, 2, 2))
        >>> gate(torch.ones(1, 8, 4, 4, 4), torch.ones(1, 16, 4, 2, 2)).shape
        torch.Size([1, 8, 4, 4, 4])

    Source: Oktay et al. 2018, arXiv:1804.03999, equations 1 and 2; half the skip's channels between, as in its code.
    """

    def __init__(self, fine: int, coarse: int, stride: Sequence[int]) -> None:
        super().__init__()
        self.stride = tuple(stride)
        one = (1,) * len(self.stride)
        between = max(1, fine // 2)
        self.fine = convolution(fine, between, self.stride, stride=self.stride, padded=False, bias=False, slope=0.0)
        self.coarse = convolution(coarse, between, one, slope=0.0)
        self.open = convolution(between, 1, one, slope=1.0)
        assert self.open.bias is not None
        nn.init.constant_(self.open.bias, OPEN)

    def forward(
        self, skip: Float[Tensor, "b c *grid"], below: Float[Tensor, "b d *coarser"]
    ) -> Float[Tensor, "b c *grid"]:
        """Weigh the voxels of a skip connection.

        Args:
            skip: What the encoder saw.
            below: What the decoder (or the coarsest stage of the encoder) found at the next coarser resolution.
        """
        openness = torch.sigmoid(self.open(F.relu(self.fine(skip) + self.coarse(below))))
        return skip * interpolate(openness, self.stride)
