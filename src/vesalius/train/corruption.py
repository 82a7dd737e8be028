"""Spoil what a coarse stage found, so that the second stage of a cascade learns to look for itself.

The coarse stage has seen the training cases: there it is better than it will be on new ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from vesalius.transform.components import label_components

_MORPHOLOGY_P, _LABEL_P, _RADII = 0.4, 0.5, (1, 8)
_DROP_P, _LARGEST_DROPPED = 0.2, 0.15  # of the patch's voxels


def corrupt(
    coarse: Integer[Tensor, " b *patch"], labels: int, randoms: Sequence[np.random.Generator]
) -> Float[Tensor, "b labels *patch"]:
    """Show the classes of a coarse stage as channels of 0 and 1, some of them spoilt.

    With a chance of 0.4 each class of an element is, with a chance of a half, grown, shrunk, opened or closed by a
    ball of 1 to 8 voxels; what a class gains the others lose. With a chance of 0.2, one connected piece of each class
    is dropped, if it is smaller than 15 % of the patch.

    Args:
        coarse: 0 background, 1 … ``labels``.
        labels: Number of channels.
        randoms: For each element, decides what is done to it.

    Returns:
        The channels, on the device of ``coarse``.

    Example:
        >>> coarse = torch.tensor([[[0, 1, 2]]])
        >>> corrupt(coarse, 2, [np.random.default_rng(0)])
        tensor([[[[0., 1., 0.]],
        <BLANKLINE>
                 [[0., 0., 1.]]]])

    Source: nnU-Net v2's cascade (batchgeneratorsv2 ``ApplyRandomBinaryOperatorTransform`` and
    ``RemoveRandomConnectedComponentFromOneHotEncodingTransform``); here structures are taken to go on beyond the patch.
    """
    numbers = torch.arange(1, labels + 1, device=coarse.device).view(-1, *[1] * (coarse.ndim - 1))
    channels = coarse[:, None] == numbers
    for element, random in zip(channels, randoms, strict=True):
        if random.random() < _MORPHOLOGY_P:
            _change_shapes(element, random)
        if random.random() < _DROP_P:
            _drop_pieces(element, random)
    return channels.float()


def _change_shapes(channels: Bool[Tensor, "labels *patch"], random: np.random.Generator) -> None:
    for number in random.permutation(len(channels)).tolist():
        fired, radius = random.random() < _LABEL_P, int(random.integers(_RADII[0], _RADII[1] + 1))
        operation = int(random.integers(4))
        shape = channels[number]
        if not fired or not shape.any():
            continue
        match operation:
            case 0:
                changed = grow(shape, radius)
            case 1:
                changed = ~grow(~shape, radius)
            case 2:
                changed = grow(~grow(~shape, radius), radius)
            case _:
                changed = ~grow(~grow(shape, radius), radius)
        gained = changed & ~shape
        channels &= ~gained
        channels[number] = changed


def grow(shape: Bool[Tensor, " *patch"], radius: int) -> Bool[Tensor, " *patch"]:
    """Add all voxels that lie within a distance of the shape: a dilation by a ball.

    Args:
        shape: On any device.
        radius: Voxels, 0 to 8.

    Returns:
        The larger shape.

    Example:
        >>> grow(torch.tensor([[False, False, False, True]]), 2)
        tensor([[False,  True,  True,  True]])

    Source: the squared distance is found axis by axis, Felzenszwalb and Huttenlocher 2012,
    doi:10.4086/toc.2012.v008a019; it is exact up to the radius, beyond which nothing is asked.
    """
    far = radius**2 + 1
    distance = torch.where(shape, 0, far).to(torch.uint8)  # at most 65 + 64
    for axis, size in enumerate(shape.shape):
        nearest = distance.clone()
        for shift in range(1, min(radius, size - 1) + 1):
            inner = size - shift
            ahead, behind = distance.narrow(axis, shift, inner), distance.narrow(axis, 0, inner)
            here, there = nearest.narrow(axis, 0, inner), nearest.narrow(axis, shift, inner)
            torch.minimum(here, ahead + shift**2, out=here)
            torch.minimum(there, behind + shift**2, out=there)
        distance = nearest.clamp_(max=far)
    return distance <= radius**2


def _drop_pieces(channels: Bool[Tensor, "labels *patch"], random: np.random.Generator) -> None:
    for shape in channels:
        chance = random.random()
        pieces, sizes = label_components(shape.cpu().numpy())
        small = np.flatnonzero(sizes < _LARGEST_DROPPED * shape.numel()) + 1
        if len(small):
            dropped = pieces == small[int(chance * len(small))]
            shape &= torch.from_numpy(~dropped).to(shape.device)
