"""All transforms in their order, applied to a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Integer, Real
from torch import Tensor

from vesalius.augment.bias_field import add_bias_field
from vesalius.augment.blur import blur
from vesalius.augment.colour import recolour
from vesalius.augment.ct_noise import add_ct_noise
from vesalius.augment.dropout import drop_channels
from vesalius.augment.elastic import displacements
from vesalius.augment.gamma import bend, bend_inverted
from vesalius.augment.ghosting import add_ghosts
from vesalius.augment.intensity import brighten, stretch_contrast
from vesalius.augment.low_resolution import lower_resolution
from vesalius.augment.mix import paste
from vesalius.augment.motion import move
from vesalius.augment.noise import add_noise
from vesalius.augment.paint import paint, strip, to_unit_range
from vesalius.augment.parameters import Parameters
from vesalius.augment.spatial import crop, patch_to_source, sample_nearest, sampling_grid, warp
from vesalius.augment.spike import add_stripes
from vesalius.augment.thick_slices import thicken_slices
from vesalius.errors import PlanError


def apply(
    images: Real[Tensor, "b c *source"],
    labels: Integer[Tensor, " b *source"],
    parameters: Parameters,
    patch_size: Sequence[int],
    *,
    outside_label: int = 0,
    mirrored_labels: Sequence[int] = (),
) -> tuple[Float[Tensor, "b c *patch"], Integer[Tensor, " b *patch"]]:
    """Turn, crop, mirror and disturb a batch as its parameters say; nothing here is left to chance.

    The result for the batch is that for each element alone, to rounding, or with its partner where a box is mixed in.
    An element without rotation, scaling and deformation is cropped at the centre of its window exactly, without
    interpolation. Only what fired is worked on.

    Args:
        images: ``(b, c, *source)``, normalised intensities of any real type, on any device; not changed. The source
            window may be larger than the patch (see `source_size`), so that turned patches find their corners. Where
            the parameters have kinds, maps of these, from which images are painted.
        labels: ``(b, *source)``, integers, on the same device; not changed.
        parameters: From `sample`, for this batch size, these channels and this number of axes.
        patch_size: Voxels on each axis of the result, at most those of the source.
        outside_label: What a label becomes where the patch looks beyond the source; there images are 0. Give the
            value that the loss ignores to leave those voxels out.
        mirrored_labels: What each label from 0 on becomes where the first axis is mirrored, for structures that are one
            another's mirror image; negative labels, and all when left out, stay what they are.

    Returns:
        ``(b, c, *patch)`` images, float32, and ``(b, *patch)`` labels of the type that came in: copies.

    Raises:
        PlanError: The shapes of images, labels, parameters and patch do not fit together, or the labels' type cannot
            hold ``outside_label``.

    Example:
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
    there: all that follows the rotation treats both directions of an axis alike, so it is done in the same step. What
    nnU-Net does not have stands where it belongs: what a scanner does before the noise, colour after the grey values,
    what concerns whole voxels and channels at the end.
    """
    size = tuple(patch_size)
    _check(images, labels, parameters, size, outside_label)
    p = parameters
    patches, patch_labels = crop(images, labels, p.mirror, size)
    imaged = {k: patches[k] != 0 for k in _places(p.zero_outside)}
    _displace(images, labels, p, patches, patch_labels, imaged, outside_label)
    if mirrored_labels:
        table = patch_labels.new_tensor(mirrored_labels)
        for k in _places(p.mirror[:, 0]):
            one = patch_labels[k]
            patch_labels[k] = torch.where(one < 0, one, table[one.clamp(min=0).long()])
    if p.kinds:
        patches, patch_labels = strip(patches, patch_labels, p.kind_kept, ignored=outside_label)
        patches = paint(patches, p.kind_mean, p.kind_std, p.paint_seed)
    channels = patches.flatten(0, 1)  # a view: what works on each channel by itself changes the patches
    gain, poses = p.bias_field.flatten(0, 1), (p.motion_rotation.flatten(0, 1), p.motion_shift.flatten(0, 1))
    rested = (p.motion_time.flatten(0, 1), p.motion_axis.flatten())
    ghosts = (p.ghosting.flatten(), p.ghosting_count.flatten(), p.ghosting_axis.flatten())
    stripes = (p.spike.flatten(), p.spike_wave.flatten(0, 1), p.spike_phase.flatten())
    quantum = (p.ct_noise_std, p.ct_noise_attenuation, p.ct_noise_cutoff, p.ct_noise_seed)
    sigma, resolution = p.blur_sigma.flatten(0, 1), p.low_resolution.flatten(0, 1)
    brightness, contrast = p.brightness.flatten(), p.contrast.flatten()
    thickness = p.thick_slices.flatten(0, 1)
    inverted_gamma, gamma = p.inverted_gamma.flatten(), p.gamma.flatten()
    _change(channels, add_bias_field, (gain != 0).flatten(1).any(dim=1), gain)
    _change(channels, move, (torch.cat(poses, dim=2) != 0).flatten(1).any(dim=1), *poses, *rested)
    _change(channels, add_ghosts, ghosts[0] != 0, *ghosts)
    _change(channels, add_stripes, stripes[0] != 0, *stripes)
    _change(patches, add_ct_noise, quantum[0] != 0, *quantum)
    _change(patches, add_noise, p.noise_std != 0, p.noise_std, p.noise_seed)
    _change(channels, blur, (sigma != 0).any(dim=1), sigma)
    _change(channels, brighten, brightness != 1, brightness)
    _change(channels, stretch_contrast, contrast != 1, contrast)
    _change(channels, thicken_slices, (thickness != 1).any(dim=1), thickness)
    _change(channels, lower_resolution, (resolution != 1).any(dim=1), resolution)
    _change(channels, bend_inverted, inverted_gamma != 1, inverted_gamma)
    _change(channels, bend, gamma != 1, gamma)
    _change(patches, recolour, (p.colour != torch.eye(p.channels)).flatten(1).any(dim=1), p.colour)
    if p.kinds:
        patches.copy_(to_unit_range(channels).view_as(patches))
    for k, inside in imaged.items():
        patches[k] *= inside
    if (p.mix_partner != torch.arange(p.batch_size)).any():
        patches, patch_labels = paste(patches, patch_labels, p.mix_partner, p.mix_box)
    _change(patches, drop_channels, ~p.channel_kept.all(dim=1), p.channel_kept)
    return patches, patch_labels


def _displace(
    images: Tensor,
    labels: Tensor,
    p: Parameters,
    patches: Tensor,
    patch_labels: Tensor,
    imaged: dict[int, Tensor],
    outside_label: int,
) -> None:
    """Replace the patches whose voxels do not lie on those of their window."""
    size = patches.shape[2:]
    matrices = patch_to_source(p.rotation, p.scale, p.mirror)
    bent = (p.elastic != 0).flatten(1).any(dim=1)
    for k in _places((p.rotation != 0).any(dim=1) | (p.scale != 1).any(dim=1) | bent):
        # One at a time: gathering the large windows for a single call would take longer than sampling them.
        one = slice(k, k + 1)
        displaced = displacements(p.elastic[k].to(images.device), size) if bent[k] else None
        patches[one], patch_labels[one] = warp(
            images[one],
            labels[one],
            matrices[one],
            size,
            displaced=displaced,
            outside_label=outside_label,
            nearest=p.kinds > 0,
        )
        if k in imaged:
            grid = sampling_grid(matrices[one], images.shape[2:], size, displaced=displaced, device=images.device)
            imaged[k] = sample_nearest((images[one] != 0).to(torch.uint8), grid)[0] != 0


def _places(fired: Tensor) -> list[int]:
    places: list[int] = fired.nonzero().flatten().tolist()
    return places


def _change(x: Tensor, transform: Callable[..., Tensor], fired: Tensor, *values: Tensor) -> None:
    """Replace the rows of ``x`` whose transform fired, all in one call."""
    rows = fired.nonzero().flatten()
    if len(rows):
        at = rows.to(x.device)
        x[at] = transform(x[at], *(v[rows] for v in values))


def _check(images: Tensor, labels: Tensor, parameters: Parameters, size: tuple[int, ...], outside: int) -> None:
    b, c, source = images.shape[0], images.shape[1], tuple(images.shape[2:])
    if tuple(labels.shape) != (b, *source):
        raise PlanError(f"labels must be {(b, *source)} as the images are, not {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise PlanError(f"labels must be integers, not {labels.dtype}")
    if images.device != labels.device:
        raise PlanError(f"images and labels must be on one device, not {images.device} and {labels.device}")
    known = (parameters.batch_size, parameters.channels, parameters.ndim)
    if known != (b, c, len(source)):
        raise PlanError(
            f"the parameters are for (batch, channels, axes) = {known}, but the images have {(b, c, len(source))}"
        )
    if len(size) != len(source) or not all(1 <= n <= s for n, s in zip(size, source, strict=True)):
        raise PlanError(f"patch_size must be 1 to {source} (the source) on each axis, not {size}")
    limits = torch.iinfo(labels.dtype)
    if not limits.min <= outside <= limits.max:
        raise PlanError(f"outside_label {outside} does not fit labels of {labels.dtype}: {limits.min} to {limits.max}")
