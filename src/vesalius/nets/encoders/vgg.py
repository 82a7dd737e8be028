"""VGG-16."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets.blocks import ConvBlock
from vesalius.nets.specs.encoder import VGG_DEPTHS, EncoderSpec


class VGG(nn.Module):
    """VGG-16's convolutions, with batch norm after each or, as published, without.

    A convolution in front of a norm has no bias here: the norm takes it away again (see `vesalius.nets.pretrained`).

    Args:
        spec: Width and norm.

    Example:
        >>> import torch
        >>> vgg = VGG(EncoderSpec(name="vgg16", ndim=2, in_channels=3, width=0.125))
        >>> [y.shape[1] for y in vgg(torch.zeros(2, 3, 64, 64))]
        [8, 16, 32, 64, 64, 64]

    Source: Simonyan and Zisserman 2015, arXiv:1409.1556, table 1, column D.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        stages = []
        inputs = spec.in_channels
        for outputs, depth in zip(spec.features, VGG_DEPTHS, strict=False):
            blocks = []
            for _ in range(depth):
                blocks.append(ConvBlock(inputs, outputs, (3,) * spec.ndim, norm=spec.norm, slope=0.0))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.pool = nn.MaxPool2d(2) if spec.ndim == 2 else nn.MaxPool3d(2)

    def forward(self, x: Float[Tensor, "b c *grid"]) -> list[Float[Tensor, "b _ *_"]]:
        """Features at strides 1, 2, 4, 8 and 16, each before its pooling, and what the last pooling leaves at 32."""
        features = []
        for stage in self.stages:
            features.append(stage(x))
            x = self.pool(features[-1])
        return [*features, x]
