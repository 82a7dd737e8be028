"""Residual networks."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets.blocks import ConvBlock, ResidualBlock
from vesalius.nets.specs.encoder import RESNET_CHANNELS, RESNET_DEPTHS, EncoderSpec


class ResNet(nn.Module):
    """ResNet-18, -34 or -50 without its classifier.

    Args:
        spec: Name, width, norm and shortcut.

    Example:
        >>> import torch
        >>> net = ResNet(EncoderSpec(name="resnet50", ndim=2, in_channels=3, width=0.125))
        >>> [y.shape[1] for y in net(torch.zeros(2, 3, 64, 64))]
        [8, 32, 64, 128, 256]

    Source: He et al. 2016, doi:10.1109/CVPR.2016.90, table 1; in blocks of three convolutions the one with the kernel
    takes the step, as in torchvision ("v1.5").
    """

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        n = spec.ndim
        inputs, *widths = spec.features
        self.stem = ConvBlock(spec.in_channels, inputs, (7,) * n, stride=(2,) * n, norm=spec.norm, slope=0.0)
        pool = nn.MaxPool2d if n == 2 else nn.MaxPool3d
        self.pool = pool(3, stride=2, padding=1)
        stages = []
        for stage, (outputs, depth) in enumerate(zip(widths, RESNET_DEPTHS[spec.name], strict=True)):
            narrow = spec.channels(RESNET_CHANNELS[stage]) if spec.name == "resnet50" else None
            blocks = []
            for at in range(depth):
                stride = (2,) * n if stage > 0 and at == 0 else None
                blocks.append(
                    ResidualBlock(
                        inputs,
                        outputs,
                        (3,) * n,
                        stride=stride,
                        norm=spec.norm,
                        slope=0.0,
                        narrow=narrow,
                        shortcut=spec.shortcut,
                    )
                )
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Float[Tensor, "b c *grid"]) -> list[Float[Tensor, "b _ *_"]]:
        """Features at strides 2, 4, 8, 16 and 32."""
        features = [self.stem(x)]
        x = self.pool(features[0])
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
