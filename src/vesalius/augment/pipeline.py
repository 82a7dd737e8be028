# ruff: noqa: F722 (jaxtyping's shapes are not forward references)
"""All transforms in their order, applied to a batch."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Integer, Real
from torch import Tensor

from vesalius.augment.blur import blur_
from vesalius.augment.gamma import gamma_
from vesalius.augment.intensity import brighten_, stretch_contrast_
from vesalius.augment.low_resolution import lower_resolution_
from vesalius.augment.noise import add_noise_
from vesalius.augment.parameters import Parameters
from vesalius.augment.spatial import warp


def apply(
    images: Real[Tensor, "b c *source"],
    labels: Integer[Tensor, "b *source"],
    parameters: Parameters,
    patch_size: Sequence[int],
    *,
    outside_label: int = 0,
) -> tuple[Float[Tensor, "b c *patch"], Integer[Tensor, "b *patch"]]:
    """Turn, crop, mirror and disturb a batch as its parameters say; nothing here is left to chance.

    The result for the batch is that for each element alone. An element without rotation and scaling is cropped at
    the centre of its window exactly, without interpolation. Only the elements whose transform fired are worked on.

    Args:
        images: ``(b, c, *source)``, normalised intensities of any real type, on any device; not changed. The source
            window may be larger than the patch (see `source_size`), so that turned patches find their corners.
        labels: ``(b, *source)``, integers; not changed.
        parameters: From `sample`, for this batch size, these channels and this number of axes.
        patch_size: Voxels on each axis of the result, at most those of the source.
        outside_label: What a label becomes where the patch looks beyond the source; there images are 0. Give the
            value that the loss ignores to leave those voxels out.

    Returns:
        ``(b, c, *patch)`` images, float32, and ``(b, *patch)`` labels of the type that came in: copies.

    Raises:
        PlanError: The shapes of images, labels, parameters and patch do not fit together, or the labels' type cannot
            hold ``outside_label``.

    Example:
        >>> import torch
        >>> from vesalius.augment import Augmentation, sample, source_size
        >>> spec = Augmentation.for_patch((16, 16))
        >>> window = source_size(spec, (16, 16))
        >>> parameters = sample(spec, 2, channels=3, generator=torch.Generator().manual_seed(0))
        >>> images, labels = apply(
        ...     torch.randn(2, 3, *window), torch.zeros(2, *window, dtype=torch.uint8), parameters, (16, 16)
        ... )
        >>> tuple(images.shape), tuple(labels.shape)
        ((2, 3, 16, 16), (2, 16, 16))

    Source: the order is nnU-Net v2's (``nnUNetTrainer.get_training_transforms``), but for mirroring, which comes last
    there: it commutes with all that follows the rotation, and is free when it is done with it.
    """
    images, labels = warp(images, labels, parameters, patch_size, outside_label=outside_label)
    add_noise_(images, parameters.noise_std, parameters.noise_seed)
    blur_(images, parameters.blur_sigma)
    brighten_(images, parameters.brightness)
    stretch_contrast_(images, parameters.contrast)
    lower_resolution_(images, parameters.low_resolution)
    gamma_(images, parameters.inverted_gamma, inverted=True)
    gamma_(images, parameters.gamma)
    return images, labels
