"""GoogLeNet, the first of the Inception networks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets.blocks import ConvBlock
from vesalius.nets.specs.encoder import GOOGLENET_POOLS, GOOGLENET_STAGES, GOOGLENET_STEM, Branches, EncoderSpec

EPS = 1e-3
"""Added to the variance by GoogLeNet's batch norm. Source: torchvision's, whose weights were trained with it."""


class GoogLeNet(nn.Module):
    """GoogLeNet's convolutions with batch norm, without the two auxiliary classifiers.

    Args:
        spec: Width and norm.

    Example:
        >>> net = GoogLeNet(EncoderSpec(name="googlenet", ndim=2, in_channels=3, width=0.125))
        >>> [y.shape[-1] for y in net(torch.zeros(2, 3, 64, 64))]
        [32, 16, 8, 4, 2]

    Source: Szegedy et al. 2015, arXiv:1409.4842, figure 3; Ioffe and Szegedy 2015, arXiv:1502.03167 (batch norm in
    place of local response norm); where torchvision's differs from the paper, it is torchvision's: the branch called
    5x5 has a 3x3 convolution, and the last pooling a window of 2.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        stem, narrow, wide = (spec.channels(n) for n in GOOGLENET_STEM)
        self.stem = _convolution(spec, spec.in_channels, stem, 7, stride=2)
        second = nn.Sequential(_convolution(spec, stem, narrow, 1), _convolution(spec, narrow, wide, 3))
        stages = [second]
        inputs = wide
        for modules in GOOGLENET_STAGES:
            stage = nn.Sequential()
            for published in modules:
                branches = spec.branches(published)
                stage.append(Inception(spec, inputs, branches))
                inputs = branches.total
            stages.append(stage)
        self.stages = nn.ModuleList(stages)
        self.pools = nn.ModuleList(_pool(spec, window, stride=2) for window in GOOGLENET_POOLS)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                module.eps = EPS

    def forward(self, x: Float[Tensor, "b c *grid"]) -> list[Float[Tensor, "b _ *_"]]:
        """Features at strides 2, 4, 8, 16 and 32."""
        features = [self.stem(x)]
        for pool, stage in zip(self.pools, self.stages, strict=True):
            features.append(stage(pool(features[-1])))
        return features


class Inception(nn.Module):
    """Four ways to look at the same features, side by side: 1x1, 3x3, "5x5", and the maximum over 3x3.

    Args:
        spec: Axes and norm.
        inputs: Channels in.
        branches: Channels of each branch.

    Source: Szegedy et al. 2015, arXiv:1409.4842, figure 2(b).
    """

    def __init__(self, spec: EncoderSpec, inputs: int, branches: Branches) -> None:
        super().__init__()
        one, narrow, three, narrower, five, pooled = branches
        self.branches = nn.ModuleList(
            (
                nn.Sequential(_convolution(spec, inputs, one, 1)),
                nn.Sequential(_convolution(spec, inputs, narrow, 1), _convolution(spec, narrow, three, 3)),
                nn.Sequential(_convolution(spec, inputs, narrower, 1), _convolution(spec, narrower, five, 3)),
                nn.Sequential(_pool(spec, 3, stride=1), _convolution(spec, inputs, pooled, 1)),
            )
        )

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b d *grid"]:
        """Look in all four ways."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def _convolution(spec: EncoderSpec, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> ConvBlock:
    n = spec.ndim
    return ConvBlock(inputs, outputs, (kernel,) * n, stride=(stride,) * n, norm=spec.norm, slope=0.0)


def _pool(spec: EncoderSpec, window: int, *, stride: int) -> nn.Module:
    """Maxima; a window that halves the grid hangs over its end, one that keeps it over both."""
    kind = nn.MaxPool2d if spec.ndim == 2 else nn.MaxPool3d
    return kind(window, stride=stride, padding=window // 2 if stride == 1 else 0, ceil_mode=True)
