"""A batch at another size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor

from vesalius.errors import PlanError

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def rescale_batch(
    images: Float[Tensor, "b c *patch"],
    classes: Integer[Tensor, " b *patch"],
    *,
    factor: float,
    multiple: Sequence[int],
) -> tuple[Float[Tensor, "b c *size"], Integer[Tensor, " b *size"]]:
    """Resize a whole batch: images linearly, classes to the nearest voxel.

    For training at several scales: the same field of view with larger or smaller voxels.

    Args:
        images: Float32.
        classes: Integers.
        factor: Of the new size to the old, more than 0.
        multiple: What the new size on each axis must be a multiple of: the network's divisor.

    Returns:
        Both at the nearest size that the network takes, at least one ``multiple``; what came in, if that is its size.

    Raises:
        PlanError: The factor is not positive, or ``multiple`` is no list of whole numbers, one for each axis.

    Example:
        >>> import torch
        >>> images, classes = torch.zeros(2, 1, 64, 48), torch.zeros(2, 64, 48, dtype=torch.int16)
        >>> rescale_batch(images, classes, factor=0.75, multiple=(16, 16))[1].shape
        torch.Size([2, 48, 32])

    Source: resizing whole batches to a random scale: Redmon and Farhadi 2016 (YOLO9000), arXiv:1612.08242, section 2.
    """
    old = tuple(images.shape[2:])
    if not (math.isfinite(factor) and factor > 0):
        raise PlanError(f"factor must be positive, not {factor!r}")
    if len(multiple) != len(old) or min(multiple) < 1:
        raise PlanError(f"multiple must be {len(old)} whole numbers of at least 1, not {tuple(multiple)}")
    size = [m * max(1, math.floor(n * factor / m + 0.5)) for n, m in zip(old, multiple, strict=True)]
    if tuple(size) == old:
        return images, classes
    # Whole numbers survive: "nearest-exact" copies values, and float64 holds every class number.
    wide = classes[:, None].double()
    return (
        F.interpolate(images, size=size, mode=_LINEAR[len(size)], align_corners=False),
        F.interpolate(wide, size=size, mode="nearest-exact")[:, 0].to(classes.dtype),
    )
