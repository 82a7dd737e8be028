"""Rotation, scaling, deformation, mirroring and the crop from the source window to the patch."""

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
    window = [
        slice(start, start + n) for start, n in zip(_starts(images.shape[2:], patch_size), patch_size, strict=True)
    ]
    patches = images.new_empty((*images.shape[:2], *patch_size), dtype=torch.float32)
    patch_labels = labels.new_empty((len(labels), *patch_size))
    for element, reverse in enumerate(mirror.tolist()):
        axes = [axis for axis, reversed_ in enumerate(reverse, start=-len(reverse)) if reversed_]
        image, label = images[element][:, *window], labels[element][*window]
        patches[element] = image.flip(axes) if axes else image  # flip copies even when there is nothing to reverse
        patch_labels[element] = label.flip(axes) if axes else label
    return patches, patch_labels


def warp(
    images: Real[Tensor, "b c *source"],
    labels: Integer[Tensor, " b *source"],
    matrices: Float[Tensor, "b n n"],
    patch_size: Sequence[int],
    *,
    displaced: Float[Tensor, "n *patch"] | None = None,
    outside_label: int = 0,
    nearest: bool = False,
) -> tuple[Float[Tensor, "b c *patch"], Integer[Tensor, " b *patch"]]:
    """Sample a patch of each window where a map says: images linearly, labels nearest, each once.

    Args:
        images: ``(b, c, *source)``, any real type; not changed.
        labels: ``(b, *source)``, integers up to 2⁵³; not changed.
        matrices: ``(b, n, n)``, from `patch_to_source`: linear maps about the centre.
        patch_size: Voxels on each axis, at most those of the source.
        displaced: ``(n, *patch)``, voxels, by which every voxel of the patch is moved before the linear map.
        outside_label: The label beyond the source. Images fall to 0 there, within one voxel.
        nearest: Whether images are sampled as labels are, because they hold whole numbers, up to 32,767.

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
    grid = sampling_grid(matrices, images.shape[2:], patch_size, displaced=displaced, device=images.device)
    if nearest:
        return sample_nearest(images.to(torch.int16), grid).float(), _labels_at(labels, grid, outside_label)
    patches = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return patches, _labels_at(labels, grid, outside_label)


def _labels_at(labels: Tensor, grid: Tensor, outside: int) -> Tensor:
    return sample_nearest(labels[:, None], grid, outside=outside)[:, 0]


def sample_nearest(
    values: Integer[Tensor, "b c *source"], grid: Float[Tensor, "b *patch n"], *, outside: int = 0
) -> Integer[Tensor, "b c *patch"]:
    """Sample whole numbers at the nearest voxel.

    Args:
        values: Integers up to 2⁵³.
        grid: From `sampling_grid`.
        outside: The value beyond the source.

    Returns:
        Of the type that came in.
    """
    # They are sampled as floats that hold them exactly, shifted so that the zeros beyond the source are the fill.
    exact = torch.float32 if torch.iinfo(values.dtype).bits <= 16 else torch.float64
    shifted = values.to(exact) - outside
    found = F.grid_sample(shifted, grid.to(exact), mode="nearest", padding_mode="zeros", align_corners=False)
    return (found + outside).to(values.dtype)


def sampling_grid(
    matrices: Float[Tensor, "b n n"],
    source: Sequence[int],
    patch_size: Sequence[int],
    *,
    shift: Float[Tensor, "b n"] | None = None,
    displaced: Float[Tensor, "n *patch"] | None = None,
    device: torch.device,
) -> Float[Tensor, "b *patch n"]:
    """Where in its window each voxel of a patch is looked up, as torch's ``grid_sample`` takes it.

    Args:
        matrices: From `patch_to_source`.
        source: Voxels on each axis of the window.
        patch_size: Voxels on each axis of the patch.
        shift: Voxels of the window, added after the linear map.
        displaced: ``(n, *patch)``, voxels of the patch, added before the linear map.
        device: Where the grid is made.

    Returns:
        ``(b, *patch, n)``: -1 and 1 are the outer borders of the window, and the last axis comes first.
    """
    relative = 2.0 / torch.tensor(source)
    theta = _theta(matrices, source, patch_size)
    if shift is not None:
        theta[:, :, -1] += (shift * relative).flip(1)
    grid = F.affine_grid(theta.to(device), [len(theta), 1, *patch_size], align_corners=False)
    if displaced is not None:
        turned = (matrices * relative[:, None]).flip(1).to(device)
        grid = grid + torch.einsum("bij,j...->b...i", turned, displaced.to(device))
    return grid


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


def _starts(source: Sequence[int], patch_size: Sequence[int]) -> list[int]:
    return [(s - n) // 2 for s, n in zip(source, patch_size, strict=True)]


def _theta(matrices: Tensor, source: Sequence[int], patch_size: Sequence[int]) -> Tensor:
    """The maps as torch takes them: -1 and 1 are the outer borders of patch and window, and the last axis is first."""
    starts = _starts(source, patch_size)
    middle = [(2 * first + p) / s - 1 for first, s, p in zip(starts, source, patch_size, strict=True)]
    relative = torch.tensor(patch_size) / torch.tensor(source)[:, None]
    theta = torch.cat([matrices * relative, torch.tensor(middle).expand(len(matrices), -1)[..., None]], dim=2)
    order = [*reversed(range(len(source))), len(source)]  # the column of the shift stays where it is
    return theta.flip(1)[:, :, order]
