"""The fully convolutional network: FCN-32s, FCN-16s and FCN-8s on VGG-16, a residual network or GoogLeNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets.blocks import ConvBlock, check_size, interpolate, scores
from vesalius.nets.encoders import build_encoder
from vesalius.nets.specs.encoder import VGG_HIDDEN, VGG_WINDOW
from vesalius.nets.specs.fcn import FCNSpec


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
        self.divisor = spec.divisor
        self.encoder = build_encoder(spec.encoder_spec)
        coarsest, *finer = reversed(spec.encoder_spec.features)
        drop, pool = (nn.Dropout2d, nn.MaxPool2d) if spec.ndim == 2 else (nn.Dropout3d, nn.MaxPool3d)
        self.hidden: nn.Module = drop(spec.dropout)
        self.pool: nn.Module = nn.Identity()
        if spec.encoder == "vgg16":
            # Two fully connected layers as convolutions, without norm as published. Scores are made behind a pooling,
            # so those at stride 16 come from the features at stride 8.
            hidden = spec.encoder_spec.channels(VGG_HIDDEN)
            window, one = (VGG_WINDOW,) * spec.ndim, (1,) * spec.ndim
            self.hidden = nn.Sequential(
                ConvBlock(coarsest, hidden, window, norm="none", slope=0.0),
                drop(spec.dropout),
                ConvBlock(hidden, hidden, one, norm="none", slope=0.0),
                drop(spec.dropout),
            )
            self.pool = pool(2)
            coarsest, finer = hidden, finer[1:]
        inputs = (coarsest, *finer)[: len(spec.strides)]
        self.scores = nn.ModuleList(scores(n, spec.out_channels, (1,) * spec.ndim) for n in inputs)
        self.up = nn.ModuleList(LinearUp(spec.out_channels, spec.ndim) for _ in inputs[1:])

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b classes *grid"]:
        """Logits of an image.

        Args:
            x: Normalised image, each axis a multiple of 32.

        Raises:
            PlanError: The size does not fit.
        """
        check_size(x, self.divisor)
        coarsest, *finer = reversed(self.encoder(x))
        if self.spec.encoder == "vgg16":
            finer = finer[1:]
        fused: Tensor = self.scores[0](self.hidden(coarsest))
        for at, up in enumerate(self.up):
            fused = up(fused) + self.scores[at + 1](self.pool(finer[at]))
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
