"""Mixing of cases."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, Integer
from torch import Tensor


def paste(
    patches: Float[Tensor, "b c *patch"],
    labels: Integer[Tensor, " b *patch"],
    partner: Int64[Tensor, " b"],
    box: Float[Tensor, "b n 2"],
) -> tuple[Float[Tensor, "b c *patch"], Integer[Tensor, " b *patch"]]:
    """Replace a box of each element by what lies there in another element of the batch, labels and all.

    The one transform that looks at more than one element. What is pasted is the partner as it came, whether or not
    the partner is given a box itself.

    Args:
        patches: Float32.
        labels: Integers.
        partner: ``(b,)``: the element that gives; the element's own number for none.
        box: ``(b, n, 2)``: where the box begins and ends along each axis, as shares of the patch, rounded to voxels.

    Returns:
        Copies.

    Example:
        >>> patches, labels = torch.tensor([[[1.0, 1, 1, 1]], [[2, 2, 2, 2]]]), torch.tensor([[1] * 4, [2] * 4])
        >>> paste(patches, labels, torch.tensor([1, 1]), torch.tensor([[[0.25, 0.75]], [[0.0, 0.0]]]))[1]
        tensor([[1, 2, 2, 1],
                [2, 2, 2, 2]])

    Source: CutMix, Yun et al. 2019, arXiv:1905.04899, in as many dimensions as the patch has; the box lies wholly
    inside.
    """
    mixed, mixed_labels = patches.clone(), labels.clone()
    size = torch.tensor(patches.shape[2:])
    edges = (box * size[:, None]).round().long().tolist()
    for element, (other, ends) in enumerate(zip(partner.tolist(), edges, strict=True)):
        if other != element:
            inside = [slice(*pair) for pair in ends]
            mixed[element][:, *inside] = patches[other][:, *inside]
            mixed_labels[element][*inside] = labels[other][*inside]
    return mixed, mixed_labels
