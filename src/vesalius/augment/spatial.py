"""Rotation, scaling, mirroring and the crop from the source window to the patch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer, Real
from torch import Tensor

_PLANES = {2: ((0, 1),), 3: ((1, 2), (0, 2), (0, 1))}
"""The axes that turn into each other, for each axis that is rotated about."""


def crop(
    images: Real[Tensor, "b c *source"],
    labels: Integer[Tensor, " b *source"],
    mirror: Bool[Tensor, "b n"],
    patch_size: Sequence[int],
) -> tuple[Float[Tensor, "b c *patch"], Integer[Tensor, " b *patch"]]:
    """Take the middle of each window and reverse the axes that are to be mirrored: exact, nothing is interpolated.

    Args:
        images: ``(b, c, *source)``, any real type; not changed.
        labels: ``(b, *source)``, integers; not changed.
        mirror: ``(b, n)``, whether an axis is reversed.
        patch_size: Voxels on each axis, at most those of the source. When a window is larger by an odd number, the
            voxel more is left at its end.

    Returns:
        ``(b, c, *patch)`` float32 and ``(b, *patch)`` of the labels' type: copies.

    Example:
        >>> images, labels = torch.arange(5.0).expand(1, 1, 3, 5), torch.ones(1, 3, 5, dtype=torch.uint8)
        >>> crop(images, labels, torch.tensor([[False, True]]), (1, 3))[0]
        tensor([[[[3., 2., 1.]]]])
    """
    window = [slice(start, start + n) for start, n in zip(_starts(images, patch_size), patch_size, strict=True)]
    patches = images.new_empty((*images.shape[:2], *patch_size), dtype=torch.float32)
    patch_labels = labels.new_empty((len(labels), *patch_size))
    for element, reverse in enumerate(mirror.tolist()):
        axes = [axis for axis, reversed_ in enumerate(reverse, start=-len(reverse)) if reversed_]
        patches[element] = images[element][:, *window].flip(axes)
        patch_labels[element] = labels[element][*window].flip(axes)
    return patches, patch_labels


def warp(
    images: Real[Tensor, "b c *source"],
    labels: Integer[Tensor, " b *source"],
    matrices: Float[Tensor, "b n n"],
    patch_size: Sequence[int],
    *,
    outside_label: int = 0,
) -> tuple[Float[Tensor, "b c *patch"], Integer[Tensor, " b *patch"]]:
    """Sample a patch of each window through a linear map about the centre: images linearly, labels nearest.

    Args:
        images: ``(b, c, *source)``, any real type; not changed.
        labels: ``(b, *source)``, integers; not changed.
        matrices: ``(b, n, n)``, from `patch_to_source`.
        patch_size: Voxels on each axis, at most those of the source.
        outside_label: The label beyond the source. Images fall to 0 there, within one voxel.

    Returns:
        ``(b, c, *patch)`` float32 and ``(b, *patch)`` of the labels' type.

    Example:
        >>> images, labels = torch.arange(9.0).view(1, 1, 3, 3), torch.arange(9).view(1, 3, 3)
        >>> quarter_turn = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])
        >>> warp(images, labels, quarter_turn, (3, 3))[1]
        tensor([[[2, 5, 8],
                 [1, 4, 7],
                 [0, 3, 6]]])
    """
    source, ndim = images.shape[2:], len(patch_size)
    matrices = matrices.to(images.device, torch.float32)
    # Sums of one term an axis, not a matrix product: an element's rounding must not depend on the batch around it.
    offsets = [
        (torch.arange(n, device=images.device) - (n - 1) / 2).view(-1, *[1] * (ndim - 1 - axis))
        for axis, n in enumerate(patch_size)
    ]
    points = []
    for axis, (start, n) in enumerate(zip(_starts(images, patch_size), patch_size, strict=True)):
        rows = matrices[:, axis].view(-1, ndim, *[1] * ndim)
        points.append(sum((rows[:, k] * offsets[k] for k in range(ndim)), start=torch.tensor(start + (n - 1) / 2)))
    # grid_sample wants the last axis first, and -1 and 1 for the outer borders of the first and last voxel.
    grid = torch.stack([(2 * p + 1) / s - 1 for p, s in zip(reversed(points), reversed(source), strict=True)], dim=-1)
    patches = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return patches, _nearest(labels, points, outside=outside_label)


def patch_to_source(
    rotation: Float[Tensor, "b turns"], scale: Float[Tensor, "b n"], mirror: Bool[Tensor, "b n"]
) -> Float[Tensor, "b n n"]:
    """The linear maps from a patch's voxels to those of its window, both counted from their centres.

    Args:
        rotation: Radians about each axis (3D) or in the plane (2D). A positive angle turns as `torch.rot90` does:
            the first of the two axes of the plane towards the second. Turns about later axes come first.
        scale: Size of the field, relative, on each axis of the patch.
        mirror: Whether each axis of the patch is reversed.

    Returns:
        ``(b, n, n)``: rotation · scale · mirror.

    Example:
        >>> patch_to_source(torch.zeros(1, 1), torch.tensor([[1.0, 2.0]]), torch.tensor([[False, True]]))
        tensor([[[ 1.,  0.],
                 [ 0., -2.]]])
    """
    ndim = scale.shape[1]
    matrix = torch.diag_embed(scale.double() * torch.where(mirror, -1.0, 1.0))
    for (a, b), angle in reversed(list(zip(_PLANES[ndim], rotation.double().unbind(dim=1), strict=True))):
        turn = torch.eye(ndim, dtype=torch.float64).repeat(len(angle), 1, 1)
        turn[:, a, a] = turn[:, b, b] = angle.cos()
        turn[:, a, b], turn[:, b, a] = angle.sin(), -angle.sin()
        matrix = turn @ matrix
    return matrix.float()


def _starts(images: Tensor, patch_size: Sequence[int]) -> list[int]:
    return [(s - n) // 2 for s, n in zip(images.shape[2:], patch_size, strict=True)]


def _nearest(labels: Tensor, points: list[Tensor], *, outside: int) -> Tensor:
    """Gather whole labels: exact for every integer type."""
    flat = torch.zeros((), dtype=torch.int64, device=labels.device)
    inside = torch.ones((), dtype=torch.bool, device=labels.device)
    for at, n in zip(points, labels.shape[1:], strict=True):
        index = at.round().long()
        inside = inside & (index >= 0) & (index < n)
        flat = flat * n + index.clamp(0, n - 1)
    found = labels.flatten(1).gather(1, flat.flatten(1)).view(flat.shape)
    return found.masked_fill_(~inside, outside)
