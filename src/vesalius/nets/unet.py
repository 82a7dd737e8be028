"""The U-Net."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets.attention import AttentionGate
from vesalius.nets.blocks import SCORE_DEVIATION, ConvBlock, ResidualBlock, Up, check_size, scores
from vesalius.nets.spec import UNetSpec, divisor


class UNet(nn.Module):
    """A U-Net, 2D or 3D, as its spec says.

    The encoder halves the grid stage by stage and finds *what* is there; the decoder doubles it again, and at each
    resolution is handed what the encoder saw there (the skip connection), which says *where*.

    ```text
    image ─ encoder[0] ───────── skip ───────── decoder[0] ─ heads[0] ─ logits
                └ encoder[1] ─── skip ─── decoder[1] ┘up[0]
                      └ encoder[2] ── up[1] ┘
    ```

    Args:
        spec: What to build.

    Example:
        >>> net = UNet(UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(8, 16, 32)))
        >>> net(torch.zeros(2, 1, 8, 12, 16)).shape
        torch.Size([2, 3, 8, 12, 16])

    Source: see `UNetSpec`.
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.divisor = divisor(spec)
        features, stages = spec.features, len(spec.features)
        # A residual encoder starts with one plain convolution, which takes the first stride.
        self.stem: nn.Module = nn.Identity()
        if spec.residual:
            self.stem = ConvBlock(
                spec.in_channels, features[0], spec.kernels[0], stride=spec.strides[0], norm=spec.norm
            )
        self.encoder = nn.ModuleList(_encoder_stage(spec, stage) for stage in range(stages))
        self.up = nn.ModuleList(
            Up(features[stage + 1], features[stage], spec.strides[stage + 1], kind=spec.upsample)
            for stage in range(stages - 1)
        )
        self.gates = nn.ModuleList(_gate(spec, stage) for stage in range(stages - 1))
        self.decoder = nn.ModuleList(_decoder_stage(spec, stage) for stage in range(stages - 1))
        # Supervising the coarsest stage has no use (nnU-Net gives it weight 0), so it has no head.
        heads = max(1, stages - 2) if spec.deep_supervision else 1
        self.heads = nn.ModuleList(_head(spec, stage) for stage in range(heads))

    def forward(
        self, x: Float[Tensor, "b c *grid"]
    ) -> Float[Tensor, "b classes *grid"] | list[Float[Tensor, "b classes *_"]]:
        """Logits of an image; while training with deep supervision, a list of them, finest first.

        Args:
            x: Normalised image, each axis a multiple of `divisor`.

        Raises:
            PlanError: The size does not fit.
        """
        return self.decode(self.encode(x))

    def encode(self, x: Float[Tensor, "b c *grid"]) -> list[Float[Tensor, "b _ *_"]]:
        """What the encoder sees at each resolution, finest first.

        Args:
            x: Normalised image, each axis a multiple of `divisor`.

        Raises:
            PlanError: The size does not fit.
        """
        check_size(x, self.divisor)
        x = self.stem(x)
        seen = []
        for stage in self.encoder:
            x = stage(x)
            seen.append(x)
        return seen

    def decode(
        self, seen: Sequence[Float[Tensor, "b _ *_"]]
    ) -> Float[Tensor, "b classes *grid"] | list[Float[Tensor, "b classes *_"]]:
        """Logits from what the encoder saw.

        Args:
            seen: Of `encode`.
        """
        *skips, x = seen
        found: list[Tensor] = []
        for level in reversed(range(len(self.decoder))):
            gate = self.gates[level]
            skip = gate(skips[level], x) if isinstance(gate, AttentionGate) else skips[level]
            x = self.decoder[level](torch.cat([self.up[level](x), skip], dim=1))
            found.append(x)
        if self.training and self.spec.deep_supervision:
            return [head(y) for head, y in zip(self.heads, reversed(found), strict=False)]
        logits: Tensor = self.heads[0](x)
        return logits


def _encoder_stage(spec: UNetSpec, stage: int) -> nn.Sequential:
    first = spec.in_channels if stage == 0 else spec.features[stage - 1]
    stride = spec.strides[stage]
    if spec.residual and stage == 0:
        first, stride = spec.features[0], (1,) * spec.ndim
    block = partial(ResidualBlock, silent=True) if spec.residual else ConvBlock
    return nn.Sequential(
        *(
            block(
                first if at == 0 else spec.features[stage],
                spec.features[stage],
                spec.kernels[stage],
                stride=stride if at == 0 else None,
                norm=spec.norm,
                dropout=spec.dropout,
            )
            for at in range(spec.encoder_blocks[stage])
        )
    )


def _decoder_stage(spec: UNetSpec, stage: int) -> nn.Sequential:
    features = spec.features[stage]
    return nn.Sequential(
        *(
            ConvBlock(
                2 * features if at == 0 else features,
                features,
                spec.kernels[stage],
                norm=spec.norm,
                dropout=spec.dropout,
            )
            for at in range(spec.decoder_blocks[stage])
        )
    )


def _gate(spec: UNetSpec, stage: int) -> nn.Module:
    """The gate on a stage's skip connection; the finest, which knows little of what is there, has none."""
    if not spec.attention or stage == 0:
        return nn.Identity()
    return AttentionGate(spec.features[stage], spec.features[stage + 1], spec.strides[stage + 1])


def _head(spec: UNetSpec, stage: int) -> nn.Module:
    """Features to logits; behind a strided stem the finest head also goes back to full resolution."""
    if stage == 0 and any(step > 1 for step in spec.strides[0]):
        return Up(spec.features[0], spec.out_channels, spec.strides[0], kind=spec.upsample, deviation=SCORE_DEVIATION)
    return scores(spec.features[stage], spec.out_channels, (1,) * spec.ndim)
