"""The sums over voxels that Dice and cross-entropy are made of, taken block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK = 1 << 18  # chances worked on at a time on a processor: few enough for its caches, enough for all its threads
_BLOCK_DEVICE = 1 << 24


def class_sums(
    logits: Float[Tensor, "b outputs *grid"], classes: Int[Tensor, "b *grid"], *, ignored: int
) -> Float[Tensor, "4 outputs"]:
    """Sums over the batch for every output of a softmax: chance within the reference, chance, surprise, and voxels.

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
                [0.6931, 0.6931],
                [1.0000, 1.0000]])
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
        sums = torch.zeros(4, rows.shape[1], dtype=torch.float64, device=rows.device)
        for at, logits, truth, free in _blocks(rows, classes):
            logs = torch.log_softmax(logits, 0, out=free)
            chances = torch.exp(logs, out=logits)
            sums[1] += chances @ (classes[at] != ignored).float()
            sums[0] += chances.mul_(truth).sum(1)
            sums[2] -= logs.mul_(truth).sum(1)
            sums[3] += truth.sum(1)
        return sums.float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        rows, classes = ctx.saved_tensors
        within, chance, surprise = gradients[0][:3, :, None].unbind()
        found = torch.empty_like(rows)
        for at, logits, truth, free in _blocks(rows, classes):
            chances = torch.softmax(logits, 0, out=free)
            pull = torch.mul(truth, within, out=logits)
            pull += chance
            pull *= chances
            truth *= surprise
            mean = pull.sum(0) - truth.sum(0)
            # Of a softmax: d chance / d logit is chance (1 - chance), d surprise / d logit is chance - 1.
            pull -= truth
            pull -= chances.mul_(mean)
            pull *= (classes[at] != ctx.ignored).float()
            found[at].T.copy_(pull)
        return found, None, None


def _blocks(rows: Tensor, classes: Tensor) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Blocks of voxels, each with three tensors ``(outputs, voxels)`` in single precision, in memory that is reused.

    They hold the logits, 1 at the voxels' own classes and 0 elsewhere, and nothing yet. One output's numbers lie side
    by side in them, so that all operations take many at once, however few outputs there are.
    """
    outputs = rows.shape[1]
    numbers = torch.arange(outputs, dtype=classes.dtype, device=classes.device)[:, None]
    size = max(1, (_BLOCK if rows.device.type == "cpu" else _BLOCK_DEVICE) // outputs)
    memory = torch.empty(3 * outputs * min(size, len(rows)), device=rows.device)
    for start in range(0, len(rows), size):
        at = slice(start, start + size)
        voxels = len(classes[at])
        logits, truth, free = memory[: 3 * outputs * voxels].view(3, outputs, voxels).unbind()
        logits.copy_(rows[at].T)
        torch.eq(classes[at], numbers, out=truth)
        yield at, logits, truth, free
