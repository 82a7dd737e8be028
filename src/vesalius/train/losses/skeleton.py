"""Centrelines of what is only likely to be there."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def soft_skeleton(chances: Float[Tensor, "b c *grid"], *, iterations: int) -> Float[Tensor, "b c *grid"]:
    """Thin tubes to their centrelines, with slopes to learn from.

    Eroded again and again, a tube vanishes at last; what an opening takes away just before is its centreline.

    Args:
        chances: 0 to 1, on a grid of 2 or 3 axes.
        iterations: At least the radius of the widest tube, in voxels.

    Returns:
        About 1 on the centrelines, 0 elsewhere.

    Example:
        >>> tube = torch.zeros(1, 1, 7, 9)
        >>> tube[..., 2:5, 1:8] = 1
        >>> soft_skeleton(tube, iterations=2)[0, 0, 3].tolist()
        [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]

    Source: Shit et al. 2021, arXiv:2003.07311, algorithm 1.
    """
    thinner = _erode(chances)
    skeleton = F.relu(chances - _dilate(thinner))
    for _ in range(iterations):
        chances, thinner = thinner, _erode(thinner)
        ridge = F.relu(chances - _dilate(thinner))
        skeleton = skeleton + F.relu(ridge - skeleton * ridge)
    return skeleton


def _erode(x: Tensor) -> Tensor:
    """The least of a voxel and its neighbours along the axes."""
    axes = x.ndim - 2
    crosses = ([3 if at == axis else 1 for at in range(axes)] for axis in range(axes))
    return -torch.stack([_largest(-x, size) for size in crosses]).amax(0)


def _dilate(x: Tensor) -> Tensor:
    """The largest of a voxel and all that touch it."""
    return _largest(x, [3] * (x.ndim - 2))


def _largest(x: Tensor, size: list[int]) -> Tensor:
    pool = F.max_pool2d if x.ndim == 4 else F.max_pool3d
    return pool(x, size, stride=1, padding=[n // 2 for n in size])
