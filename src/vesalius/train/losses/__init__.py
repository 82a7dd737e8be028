"""Losses, with deep supervision, voxels to ignore, overlapping regions, and batches spread over processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vesalius.errors import PlanError
from vesalius.plan import Loss
from vesalius.plan.recipe import LossKind
from vesalius.train.losses.answer import Answer, Classes, Regions
from vesalius.train.losses.terms import (
    BOUNDARY,
    CENTRELINE,
    CROSS_ENTROPY,
    DICE,
    FOCAL,
    GENERALISED_DICE,
    TVERSKY,
    Term,
)

LOSSES: Mapping[LossKind, Callable[[Loss], Mapping[Term, float]]] = {
    "cross_entropy": lambda _: {CROSS_ENTROPY: 1},
    "dice": lambda _: {DICE: 1},
    "dice_cross_entropy": lambda _: {DICE: 1, CROSS_ENTROPY: 1},
    "focal": lambda _: {FOCAL: 1},
    "dice_focal": lambda _: {DICE: 1, FOCAL: 1},
    "tversky": lambda _: {TVERSKY: 1},
    "generalised_dice": lambda _: {GENERALISED_DICE: 1},
    "boundary": lambda loss: {DICE: 1 - loss.boundary_share, BOUNDARY: loss.boundary_share},
    "cldice": lambda loss: {DICE: 1 - loss.cldice_share, CENTRELINE: loss.cldice_share},
}
"""The terms of each loss and their weights. Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (Dice and
cross-entropy, equal weights); for the others see the terms."""

_DEFAULT = Loss()


def supervised(
    logits: Sequence[Tensor] | Tensor,
    classes: Int[Tensor, "b *grid"],
    loss: Loss = _DEFAULT,
    *,
    memberships: Bool[Tensor, "outputs labels"] | None = None,
    spacing_mm: Sequence[float] | None = None,
    reduce: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, ""]:
    """The loss at each resolution that the network gives logits at, weighted 1, 1/2, 1/4 … and normalised.

    Args:
        logits: ``(b, outputs, *grid)``, or several of them, finest first.
        classes: At full resolution: 0 for the background, 1 … for the labels, `vesalius.plan.prepare.IGNORE` (-1)
            where nobody looked. Coarser references are its nearest voxels.
        loss: What to minimise.
        memberships: For regions: which classes, background first, belong to each output. Outputs are then independent
            (sigmoid) and may overlap; without it they exclude each other (softmax) and the first is the background.
        spacing_mm: Of the voxels at full resolution, for losses that measure distances; in voxels without it.
        reduce: Adds a tensor up over processes, with gradients: each process's gradient of the result must flow back
            to every process's tensor, as that of `torch.distributed.nn.functional.all_reduce` does. It is called once.
            The mean over processes of the gradients is then the gradient of the loss of the joined batch.

    Returns:
        The weighted mean of the losses. Where no voxel of the batch counts, it is 0.

    Raises:
        PlanError: The number of outputs is not that of the class weights or memberships.

    Example:
        >>> classes = torch.tensor([[[0, 1], [1, -1]]])
        >>> logits = 20 * torch.stack([classes == 0, classes == 1], dim=1).float()
        >>> bool(supervised(logits, classes, Loss(kind="dice_focal")) < 1e-4)
        True

    Source: Lee et al. 2015, arXiv:1409.5185 (deep supervision); nnU-Net (the weights).
    """
    levels = [logits] if isinstance(logits, Tensor) else list(logits)
    _check(levels[0], loss, memberships)
    terms = {term: share for term, share in LOSSES[loss.kind](loss).items() if share}
    weights, found, sums = [], [], []
    for number, level in enumerate(levels):
        there = _nearest(classes, level.shape[2:])
        answer: Answer = Classes(level, there) if memberships is None else Regions(level, there, memberships)
        spacing = _spacing(classes, there, spacing_mm)
        for term, share in terms.items():
            weights.append(0.5**number * share)
            found.append(term)
            sums.append(term.sums(answer, loss, spacing))
    if reduce is not None:
        joined = reduce(torch.cat([part.flatten() for part in sums]))
        split = torch.split(joined, [part.numel() for part in sums])
        sums = [whole.view_as(part) for whole, part in zip(split, sums, strict=True)]
    total = torch.stack([w * term.value(part, loss) for w, term, part in zip(weights, found, sums, strict=True)]).sum()
    return total / sum(0.5**number for number in range(len(levels)))


def _check(logits: Tensor, loss: Loss, memberships: Tensor | None) -> None:
    outputs = logits.shape[1]
    if loss.class_weights and len(loss.class_weights) != outputs:
        raise PlanError(f"loss.class_weights must be {outputs}, one an output, not {len(loss.class_weights)}")
    if memberships is not None and len(memberships) != outputs:
        raise PlanError(f"memberships must have {outputs} rows, one an output, not {len(memberships)}")


def _spacing(fine: Tensor, coarse: Tensor, spacing_mm: Sequence[float] | None) -> tuple[float, ...]:
    """The spacing of a coarser grid."""
    spacing = spacing_mm or (1.0,) * (fine.ndim - 1)
    return tuple(s * n / m for s, n, m in zip(spacing, fine.shape[1:], coarse.shape[1:], strict=True))


def _nearest(classes: Tensor, size: Sequence[int]) -> Tensor:
    for axis, (have, want) in enumerate(zip(classes.shape[1:], size, strict=True), start=1):
        if have != want:
            step = have / want
            at = ((torch.arange(want, device=classes.device) + 0.5) * step).long()
            classes = classes.index_select(axis, at)
    return classes
