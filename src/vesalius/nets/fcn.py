"""The fully convolutional network: FCN-32s, FCN-16s and FCN-8s on VGG-16 or a residual network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets.blocks import ConvBlock, ResidualBlock, check_size, interpolate, scores
from vesalius.nets.spec import divisor
from vesalius.nets.specs.fcn import RESNET_DEPTHS, VGG_DEPTHS, VGG_WINDOW, FCNSpec

VGG_CHANNELS = (64, 128, 256, 512, 512)
VGG_HIDDEN = 4096
"""Channels of each stage, and units of the fully connected layers. Source: arXiv:1409.1556, table 1, column D."""
RESNET_CHANNELS = (64, 128, 256, 512)
WIDENING = 4
"""Channels of each stage; a three-convolution block gives out 4 for each channel of its middle.
Source: doi:10.1109/CVPR.2016.90, table 1."""


class FCN(nn.Module):
    """A classifier's encoder made dense, its scores upsampled and fused by sums.

    A 1x1 convolution scores the classes at stride 32. FCN-32s interpolates these scores to full size. FCN-16s first
    doubles them by a transposed convolution, which starts as linear interpolation and learns from there, and adds
    scores made at stride 16; FCN-8s does so once more at stride 8. The last upsampling stays linear.

    Images are padded by half a kernel throughout, not by 100 pixels at the start, so that sizes match without crops.

    Args:
        spec: What to build.

    Example:
        >>> net = FCN(FCNSpec(ndim=2, in_channels=3, out_channels=2, encoder="resnet18", width=0.125))
        >>> net(torch.zeros(2, 3, 64, 96)).shape
        torch.Size([2, 2, 64, 96])

    Source: Long et al. 2015, doi:10.1109/CVPR.2015.7298965, sections 4.1 to 4.3.
    """

    def __init__(self, spec: FCNSpec) -> None:
        super().__init__()
        self.spec = spec
        self.divisor = divisor(spec)
        self.encoder = VGG(spec) if spec.encoder == "vgg16" else ResNet(spec)
        coarsest_first = self.encoder.channels[::-1][: len(spec.strides)]
        self.scores = nn.ModuleList(scores(n, spec.out_channels, (1,) * spec.ndim) for n in coarsest_first)
        self.up = nn.ModuleList(LinearUp(spec.out_channels, spec.ndim) for _ in coarsest_first[1:])

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b classes *grid"]:
        """Logits of an image.

        Args:
            x: Normalised image, each axis a multiple of 32.

        Raises:
            PlanError: The size does not fit.
        """
        check_size(x, self.divisor)
        coarsest, *finer = reversed(self.encoder(x))
        fused: Tensor = self.scores[0](coarsest)
        for at, up in enumerate(self.up):
            fused = up(fused) + self.scores[at + 1](finer[at])
        return interpolate(fused, (self.spec.strides[-1],) * self.spec.ndim)


class LinearUp(nn.Module):
    """A learned transposed convolution to twice the size, one filter a class, that starts as linear interpolation.

    Args:
        channels: Channels, kept apart.
        ndim: 2 or 3 axes.

    Example:
        >>> up = LinearUp(1, 2)
        >>> up.weight[0, 0, 0]
        tensor([0.0625, 0.1875, 0.1875, 0.0625], grad_fn=<SelectBackward0>)

    Source: Long et al. 2015, section 3.3; checked against `torch.nn.functional.interpolate`.
    """

    def __init__(self, channels: int, ndim: int) -> None:
        super().__init__()
        line = torch.tensor([0.25, 0.75, 0.75, 0.25])
        window = line
        for _ in range(ndim - 1):
            window = window[..., None] * line
        self.weight = nn.Parameter(window.repeat(channels, 1, *(1,) * ndim))

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b c *finer"]:
        """Double the size."""
        ndim = x.ndim - 2
        # The border is repeated, as interpolation does; with zeros there the scores would fade towards the edges.
        x = F.pad(x, (1, 1) * ndim, mode="replicate")
        transposed = F.conv_transpose2d if ndim == 2 else F.conv_transpose3d
        return transposed(x, self.weight, stride=2, padding=3, groups=x.shape[1])


class VGG(nn.Module):
    """VGG-16 with its two fully connected layers as convolutions.

    Args:
        spec: Width, norm and dropout.
    """

    def __init__(self, spec: FCNSpec) -> None:
        super().__init__()
        pool = nn.MaxPool2d if spec.ndim == 2 else nn.MaxPool3d
        drop = nn.Dropout2d if spec.ndim == 2 else nn.Dropout3d
        kernel = (3,) * spec.ndim
        stages = []
        channels = spec.in_channels
        for published, depth in zip(VGG_CHANNELS, VGG_DEPTHS, strict=True):
            blocks: list[nn.Module] = []
            for _ in range(depth):
                blocks.append(ConvBlock(channels, spec.channels(published), kernel, norm=spec.norm, slope=0.0))
                channels = spec.channels(published)
            stages.append(nn.Sequential(*blocks, pool(2)))
        hidden = spec.channels(VGG_HIDDEN)
        stages[-1].extend(
            (
                ConvBlock(channels, hidden, (VGG_WINDOW,) * spec.ndim, norm=spec.norm, slope=0.0),
                drop(spec.dropout),
                ConvBlock(hidden, hidden, (1,) * spec.ndim, norm=spec.norm, slope=0.0),
                drop(spec.dropout),
            )
        )
        self.stages = nn.ModuleList(stages)
        self.channels = (*(spec.channels(n) for n in VGG_CHANNELS[2:4]), hidden)
        """Of the features at strides 8, 16 and 32."""

    def forward(self, x: Float[Tensor, "b c *grid"]) -> list[Float[Tensor, "b _ *_"]]:
        """Features at strides 8, 16 and 32."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[2:]


class ResNet(nn.Module):
    """ResNet-18, -34 or -50 without its classifier.

    Args:
        spec: Encoder, width, norm and dropout.
    """

    def __init__(self, spec: FCNSpec) -> None:
        super().__init__()
        n = spec.ndim
        channels = spec.channels(RESNET_CHANNELS[0])
        self.stem = ConvBlock(spec.in_channels, channels, (7,) * n, stride=(2,) * n, norm=spec.norm, slope=0.0)
        pool = nn.MaxPool2d if n == 2 else nn.MaxPool3d
        self.pool = pool(3, stride=2, padding=1)
        drop = nn.Dropout2d if n == 2 else nn.Dropout3d
        self.dropout = drop(spec.dropout)
        stages = []
        outputs = []
        for stage, (published, depth) in enumerate(zip(RESNET_CHANNELS, RESNET_DEPTHS[spec.encoder], strict=True)):
            narrow = spec.channels(published) if spec.encoder == "resnet50" else None
            out = spec.channels(published * WIDENING if narrow else published)
            blocks = []
            for at in range(depth):
                stride = (2,) * n if stage > 0 and at == 0 else None
                blocks.append(
                    ResidualBlock(channels, out, (3,) * n, stride=stride, norm=spec.norm, slope=0.0, narrow=narrow)
                )
                channels = out
            stages.append(nn.Sequential(*blocks))
            outputs.append(out)
        self.stages = nn.ModuleList(stages)
        self.channels = tuple(outputs[1:])
        """Of the features at strides 8, 16 and 32."""

    def forward(self, x: Float[Tensor, "b c *grid"]) -> list[Float[Tensor, "b _ *_"]]:
        """Features at strides 8, 16 and 32."""
        x = self.pool(self.stem(x))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return [*features[1:-1], self.dropout(features[-1])]
