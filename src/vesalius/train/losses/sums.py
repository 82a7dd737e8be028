"""The sums over voxels that Dice and cross-entropy are made of, taken block by block."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK = 1 << 13  # voxels worked on at a time on a processor: their chances stay in its cache
_BLOCK_DEVICE = 1 << 22


def class_sums(
    logits: Float[Tensor, "b outputs *grid"], classes: Int[Tensor, "b *grid"], *, ignored: int
) -> Float[Tensor, "3 outputs"]:
    """Sums over the batch for every output of a softmax: chance within the reference, chance, and surprise.

    The surprise of a voxel is minus the logarithm of the chance that it was given its own class. The same comes of
    `torch.log_softmax` and its like; but these write the chances of all voxels and outputs to memory and read them
    again a dozen times, which takes longer than a small network does. Here they are made twice, and stay in the cache.

    Args:
        logits: Of any floating type; fastest where the channels of a voxel lie side by side.
        classes: Numbers of outputs, or ``ignored``.
        ignored: The class of voxels that count for nothing.

    Returns:
        Float32; gradients flow to the logits (once: there is no second derivative).

    Example:
        >>> class_sums(torch.zeros(1, 2, 3), torch.tensor([[0, 1, -1]]), ignored=-1)
        tensor([[0.5000, 0.5000],
                [1.0000, 1.0000],
                [0.6931, 0.6931]])
    """
    rows = logits.movedim(1, -1).reshape(-1, logits.shape[1])
    sums: Tensor = _ClassSums.apply(rows, classes.reshape(-1), ignored)  # type: ignore[no-untyped-call]
    return sums


class _ClassSums(torch.autograd.Function):
    """Of ``(n, outputs)`` logits and ``(n,)`` classes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, classes: Tensor, ignored: int) -> Tensor:
        ctx.save_for_backward(rows, classes)
        ctx.ignored = ignored
        sums = torch.zeros(3, rows.shape[1], dtype=torch.float64, device=rows.device)
        for at in _blocks(rows):
            counted, own_class = _own_class(classes[at], ignored)
            log_chances = rows[at].float().log_softmax(1)
            own = log_chances.gather(1, own_class[:, None])[:, 0]
            sums[1] += counted @ log_chances.exp()
            part = torch.zeros(2, rows.shape[1], device=rows.device)
            part.index_add_(1, own_class, torch.stack([own.exp() * counted, -own * counted]))
            sums[0] += part[0]
            sums[2] += part[1]
        return sums.float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        rows, classes = ctx.saved_tensors
        within, chance, surprise = gradients[0].unbind()
        found = torch.empty_like(rows)
        for at in _blocks(rows):
            counted, own_class = _own_class(classes[at], ctx.ignored)
            chances = rows[at].float().softmax(1)
            own = chances.gather(1, own_class[:, None])
            # Of the voxel's own class: d own / d logit is own (1 - chance), and that of its surprise is chance - 1.
            pull = within[own_class, None] * own - surprise[own_class, None]
            chances *= chance - (chances @ chance)[:, None] - pull
            chances.scatter_add_(1, own_class[:, None], pull)
            chances *= counted[:, None]
            found[at] = chances
        return found, None, None


def _blocks(rows: Tensor) -> list[slice]:
    size = _BLOCK if rows.device.type == "cpu" else _BLOCK_DEVICE
    return [slice(start, start + size) for start in range(0, len(rows), size)]


def _own_class(classes: Tensor, ignored: int) -> tuple[Tensor, Tensor]:
    """Whether each voxel counts, as 0 or 1, and its class; any class for those that don't."""
    counted = classes != ignored
    return counted.float(), torch.where(counted, classes, 0).long()
