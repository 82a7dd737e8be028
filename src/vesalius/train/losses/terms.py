"""The terms that losses are sums of. Each is a function of sums over voxels, which processes can add up first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vesalius.plan import Loss
from vesalius.train.losses.answer import Answer
from vesalius.train.losses.distance import signed_distances
from vesalius.train.losses.skeleton import soft_skeleton

_SMOOTH = 1e-5  # Source: nnU-Net
_SMOOTH_CENTRELINE = 1.0  # Source: the reference implementation of Shit et al. 2021
_LEAST = 1e-6  # a base below it would make the slope of a power less than 1 infinite


@dataclass(frozen=True)
class Term:
    """A part of a loss.

    Args:
        sums: What it needs to know of a batch, given the spacing of its voxels: ``(rows, columns)`` of numbers that
            add up over parts of the batch.
        value: The term, from these sums.
    """

    sums: Callable[[Answer, Loss, Sequence[float]], Float[Tensor, "rows columns"]]
    value: Callable[[Float[Tensor, "rows columns"], Loss], Float[Tensor, ""]]


def _overlaps(answer: Answer, _loss: Loss, _spacing: Sequence[float]) -> Tensor:
    return answer.overlaps[:, answer.background :]


def _dice(sums: Tensor, _loss: Loss) -> Tensor:
    within, chance, reference = sums.unbind()
    return 1 - ((2 * within + _SMOOTH) / (chance + reference + _SMOOTH)).mean()


DICE = Term(_overlaps, _dice)
"""One minus the soft Dice of the structures.

Sums run over the whole batch, so that a patch without a structure does not swing the loss.

Source: Milletari et al. 2016, doi:10.1109/3DV.2016.79; Drozdzal et al. 2016, arXiv:1608.04117 (batch Dice)."""


def _tversky(sums: Tensor, loss: Loss) -> Tensor:
    within, chance, reference = sums.unbind()
    wrong = loss.tversky_alpha * (chance - within) + loss.tversky_beta * (reference - within)
    missing = 1 - (within + _SMOOTH) / (within + wrong + _SMOOTH)
    if loss.tversky_exponent == 1:
        return missing.mean()
    return (missing.clamp(min=_LEAST) ** loss.tversky_exponent).mean()


TVERSKY = Term(_overlaps, _tversky)
"""One minus the Tversky index of the structures, in which false positives and false negatives have prices of their own.

Source: Salehi et al. 2017, arXiv:1706.05721; Abraham and Khan 2019, arXiv:1810.07842 (the exponent)."""


def _all_overlaps(answer: Answer, _loss: Loss, _spacing: Sequence[float]) -> Tensor:
    return answer.overlaps


def _generalised_dice(sums: Tensor, _loss: Loss) -> Tensor:
    within, chance, reference = sums.unbind()
    weights = torch.where(reference > 0, reference.clamp(min=1) ** -2, 0)
    weights = torch.where(reference > 0, weights, weights.max())
    # They matter up to a factor only; summing to 1, they stand above the smoothing whatever the structures' size.
    weights = torch.where(weights.sum() > 0, weights / weights.sum().clamp(min=1e-30), 1 / len(weights))
    return 1 - (2 * (weights * within).sum() + _SMOOTH) / ((weights * (chance + reference)).sum() + _SMOOTH)


GENERALISED_DICE = Term(_all_overlaps, _generalised_dice)
"""One minus the Dice of all outputs together, background included, each weighed by its inverse squared volume.

An output that the batch does not hold has the largest weight of the others.

Source: Sudre et al. 2017, doi:10.1007/978-3-319-67558-9_28; MONAI (outputs that are not there)."""


def _surprise(answer: Answer, _loss: Loss, _spacing: Sequence[float]) -> Tensor:
    return answer.surprise


def _mean_cost(sums: Tensor, loss: Loss) -> Tensor:
    if loss.class_weights:
        sums = sums * sums.new_tensor(loss.class_weights)
    cost, voxels = sums.sum(1).unbind()
    return cost / voxels.clamp(min=1e-8)


CROSS_ENTROPY = Term(_surprise, _mean_cost)
"""The mean over voxels (and regions, where there are such) of the cross-entropy, weighed by class weights."""


def _focal_surprise(answer: Answer, loss: Loss, _spacing: Sequence[float]) -> Tensor:
    def price(own: Tensor) -> Tensor:
        return -own * (-torch.expm1(own)).clamp(min=_LEAST) ** loss.focal_gamma

    return answer.costs(price)


FOCAL = Term(_focal_surprise, _mean_cost)
"""Cross-entropy in which a voxel that is given its truth with chance p counts (1 - p)^γ.

Source: Lin et al. 2017, arXiv:1708.02002, equation 5; the class weights are its α."""


def _shifts(answer: Answer, _loss: Loss, spacing: Sequence[float]) -> Tensor:
    distances = signed_distances(answer.reference, answer.counted, spacing)
    moved = (distances * (answer.chances - answer.reference.float())).sum()
    return torch.stack([moved, answer.counted.sum() * float(distances.shape[1])]).unsqueeze(1)


def _mean_shift(sums: Tensor, _loss: Loss) -> Tensor:
    moved, voxels = sums[:, 0].unbind()
    return moved / voxels.clamp(min=1)


BOUNDARY = Term(_shifts, _mean_shift)
"""How far a structure strays from the reference's boundary: the mean over voxels of its chance times their distance.

What the reference itself would give, a constant that the paper leaves out, is taken off, so that the best is 0.

Source: Kervadec et al. 2019, arXiv:1812.07032."""


def _centrelines(answer: Answer, loss: Loss, _spacing: Sequence[float]) -> Tensor:
    chances, reference = answer.chances, answer.reference.float()
    lines = soft_skeleton(chances, iterations=loss.cldice_iterations)
    with torch.no_grad():
        true_lines = soft_skeleton(reference, iterations=loss.cldice_iterations)
    over = (0, *range(2, chances.ndim))
    return torch.stack([x.sum(over) for x in (lines * reference, lines, true_lines * chances, true_lines)])


def _centreline_dice(sums: Tensor, _loss: Loss) -> Tensor:
    inside, lines, found, true_lines = sums.unbind()
    precision = (inside + _SMOOTH_CENTRELINE) / (lines + _SMOOTH_CENTRELINE)
    recall = (found + _SMOOTH_CENTRELINE) / (true_lines + _SMOOTH_CENTRELINE)
    return 1 - (2 * precision * recall / (precision + recall)).mean()


CENTRELINE = Term(_centrelines, _centreline_dice)
"""One minus the centreline Dice: of the share of each one's centreline that lies within the other, the harmonic mean.

A tube that is cut loses as much as its length, however thin it is.

Source: Shit et al. 2021, arXiv:2003.07311, algorithm 2."""
