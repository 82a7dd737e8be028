"""Soft Dice and cross-entropy, with deep supervision and voxels to ignore."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from vesalius.plan.prepare import IGNORE

_SMOOTH = 1e-5  # Source: nnU-Net


def soft_dice_loss(logits: Float[Tensor, "b classes *grid"], target: Int[Tensor, " b *grid"]) -> Float[Tensor, ""]:
    """One minus the soft Dice of the foreground classes, summed over the batch.

    Sums run over the whole batch, so that a patch without a structure does not swing the loss.

    Args:
        logits: Before the softmax.
        target: Class numbers; `IGNORE` counts for nothing.

    Returns:
        0 (perfect) to 1. Where the target holds no voxel that counts, it is 0.

    Source: Milletari et al. 2016, doi:10.1109/3DV.2016.79; Drozdzal et al. 2016, arXiv:1608.04117 (batch Dice).
    """
    counted = (target != IGNORE).unsqueeze(1)
    chances = logits.softmax(1) * counted
    # Intersections by gathering each voxel's own class: no one-hot tensor of the target is made.
    own = chances.gather(1, target.clamp(min=0).long().unsqueeze(1)).squeeze(1).reshape(-1)
    classes = logits.shape[1]
    number = target.clamp(min=0).long().reshape(-1)
    overlap = torch.zeros(classes, device=logits.device).index_add(0, number, own)
    reference = torch.zeros(classes, device=logits.device).index_add(0, number, counted.reshape(-1).to(own.dtype))
    predicted = chances.sum(dim=(0, *range(2, chances.ndim)))
    dice = (2 * overlap + _SMOOTH) / (predicted + reference + _SMOOTH)
    return 1 - dice[1:].mean()


def dice_and_cross_entropy(
    logits: Float[Tensor, "b classes *grid"], target: Int[Tensor, " b *grid"]
) -> Float[Tensor, ""]:
    """The sum of soft Dice loss and mean cross-entropy.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (equal weights).
    """
    summed = F.cross_entropy(logits, target.long(), ignore_index=IGNORE, reduction="sum")
    return soft_dice_loss(logits, target) + summed / (target != IGNORE).sum().clamp(min=1)


def supervised(logits: Sequence[Tensor] | Tensor, target: Int[Tensor, " b *grid"]) -> Float[Tensor, ""]:
    """The loss at each resolution that the network gives logits at, weighted 1, 1/2, 1/4 … and normalised.

    Args:
        logits: One tensor, or several, finest first.
        target: At full resolution; coarser targets are its nearest voxels.

    Returns:
        The weighted mean of the losses.

    Source: Lee et al. 2015, arXiv:1409.5185 (deep supervision); nnU-Net (the weights).
    """
    levels = [logits] if isinstance(logits, Tensor) else list(logits)
    weights = [0.5**level for level in range(len(levels))]
    total = torch.zeros((), device=levels[0].device)
    for weight, level in zip(weights, levels, strict=True):
        total = total + weight * dice_and_cross_entropy(level.float(), _nearest(target, level.shape[2:]))
    return total / sum(weights)


def _nearest(target: Tensor, size: Sequence[int]) -> Tensor:
    for axis, (have, want) in enumerate(zip(target.shape[1:], size, strict=True), start=1):
        if have != want:
            step = have / want
            at = ((torch.arange(want, device=target.device) + 0.5) * step).long()
            target = target.index_select(axis, at)
    return target
