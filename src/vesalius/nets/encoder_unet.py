"""The U-Net on a classifier's encoder."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets.blocks import ConvBlock, Up, check_size, scores
from vesalius.nets.encoders import build_encoder
from vesalius.nets.specs.encoder_unet import EncoderUNetSpec


class EncoderUNet(nn.Module):
    """A U-Net whose way down is VGG-16, a residual network or GoogLeNet.

    ```text
    image ─ edges ─────────────────── skip ─────────── decoder[0] ─ heads[0] ─ logits
        └─ encoder, stride 2 ──────── skip ───── decoder[1] ┘up[0]
              └─ …                     …              ┘up[1]
                  └─ stride 16 ────── skip ─ decoder[4] ┘up[3]
                        └─ stride 32 ─ up[4] ┘
    ```

    Args:
        spec: What to build.

    Example:
        >>> spec = EncoderUNetSpec(ndim=2, in_channels=3, out_channels=2, encoder="resnet18", width=0.125)
        >>> EncoderUNet(spec)(torch.zeros(2, 3, 64, 96)).shape
        torch.Size([2, 2, 64, 96])

    Source: see `EncoderUNetSpec`.
    """

    def __init__(self, spec: EncoderUNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.divisor = spec.divisor
        self.encoder = build_encoder(spec.encoder_spec)
        *skips, coarsest = spec.encoder_spec.features
        kernel, two = (3,) * spec.ndim, (2,) * spec.ndim
        self.edges: nn.Module | None = None
        if spec.encoder_spec.strides[0] > 1:
            self.edges = ConvBlock(spec.in_channels, spec.features[0], kernel, norm=spec.norm)
            skips = [spec.features[0], *skips]
        below = (*spec.features[1:], coarsest)
        self.up = nn.ModuleList(
            Up(inputs, outputs, two, kind=spec.upsample) for inputs, outputs in zip(below, spec.features, strict=True)
        )
        self.decoder = nn.ModuleList(
            _level(spec, skip + features, features) for skip, features in zip(skips, spec.features, strict=True)
        )
        # The coarsest level has no head, as in the U-Net: its scores would help nothing.
        heads = spec.features[:-1] if spec.deep_supervision else spec.features[:1]
        self.heads = nn.ModuleList(scores(features, spec.out_channels, (1,) * spec.ndim) for features in heads)

    def forward(
        self, x: Float[Tensor, "b c *grid"]
    ) -> Float[Tensor, "b classes *grid"] | list[Float[Tensor, "b classes *_"]]:
        """Logits of an image; while training with deep supervision, a list of them, finest first.

        Args:
            x: Normalised image, each axis a multiple of 32.

        Raises:
            PlanError: The size does not fit.
        """
        check_size(x, self.divisor)
        *skips, y = self.encoder(x)
        if self.edges is not None:
            skips = [self.edges(x), *skips]
        seen = []
        for level in reversed(range(len(self.decoder))):
            y = self.decoder[level](torch.cat([self.up[level](y), skips[level]], dim=1))
            seen.append(y)
        if self.training and self.spec.deep_supervision:
            return [head(level) for head, level in zip(self.heads, reversed(seen), strict=False)]
        logits: Tensor = self.heads[0](y)
        return logits


def _level(spec: EncoderUNetSpec, inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        *(
            ConvBlock(inputs if at == 0 else outputs, outputs, (3,) * spec.ndim, norm=spec.norm, dropout=spec.dropout)
            for at in range(spec.decoder_blocks)
        )
    )
