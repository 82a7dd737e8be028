"""Smooth fields from few coefficients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def expand(
    coefficients: Float[Tensor, " r *order"], bases: Sequence[Float[Tensor, "_ _"]]
) -> Float[Tensor, " r *patch"]:
    """Sum products of functions of one coordinate each, axis by axis.

    Args:
        coefficients: ``(r, *order)``: for each field, one number for every product.
        bases: For each axis ``(voxels, order)``: the values of its functions at its voxels.

    Returns:
        ``(r, *patch)`` fields.

    Example:
        >>> ramp = torch.tensor([[1.0, -1.0], [1.0, 0.0], [1.0, 1.0]])  # 1 and x at three places
        >>> expand(torch.tensor([[10.0, 5.0]]), [ramp])
        tensor([[ 5., 10., 15.]])
    """
    field = coefficients
    for axis, basis in enumerate(bases, start=1):
        field = torch.tensordot(field, basis, dims=([axis], [1])).movedim(-1, axis)
    return field.contiguous()
