"""How far voxels lie from the boundary of a structure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor


def signed_distances(
    reference: Bool[Tensor, "b c *grid"], counted: Bool[Tensor, "b 1 *grid"], spacing: Sequence[float]
) -> Float[Tensor, "b c *grid"]:
    """The distance of each voxel to the boundary of a structure, negative within it.

    Args:
        reference: Where the structures are.
        counted: Where somebody looked: only a voxel that is known to lie outside ends a structure.
        spacing: Of the voxels on each axis of the grid; the distances are in its unit.

    Returns:
        float32, on the reference's device. Outside, the distance to the nearest voxel of the structure; within, minus
        that to the nearest voxel known to lie outside. 0 for a structure that is nowhere, and within one that has no
        end in sight: there is no boundary to measure from.

    Example:
        >>> line = torch.tensor([[[[False, True, True, True, False, False]]]])
        >>> signed_distances(line, torch.ones(1, 1, 1, 6, dtype=torch.bool), (1.0, 2.0))
        tensor([[[[ 2., -2., -4., -2.,  2.,  4.]]]])

    Source: Kervadec et al. 2019, arXiv:1812.07032 (φ of the boundary); Euclidean distances are SciPy's.
    """
    inside, known = reference.cpu().numpy(), counted[:, 0].cpu().numpy()
    distances = np.zeros(inside.shape, np.float32)
    for image, structure in zip(*np.nonzero(inside.any(axis=tuple(range(2, inside.ndim)))), strict=True):
        distances[image, structure] = _signed(inside[image, structure], known[image], spacing)
    return torch.from_numpy(distances).to(reference.device)


def _signed(inside: NDArray[np.bool_], known: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float32]:
    from scipy.ndimage import distance_transform_edt

    signed = distance_transform_edt(~inside, sampling=spacing)
    outside = known & ~inside
    if outside.any():
        signed -= np.where(inside, distance_transform_edt(~outside, sampling=spacing), 0)
    return np.asarray(signed, dtype=np.float32)
