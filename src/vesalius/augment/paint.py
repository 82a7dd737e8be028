"""Images painted from maps of kinds."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64, Integer
from torch import Tensor

LOW, HIGH = 0.005, 0.995
"""The quantiles that `to_unit_range` brings to 0 and 1; those of the scheme ``"percentiles"`` of
`vesalius.transform.Normalisation`, too, which does the same to the images that are segmented."""
_MOST = 200_000  # voxels of which the quantiles are taken
_LEAST = 1e-7  # that a range is divided by


def strip(
    kinds: Float[Tensor, "b c *patch"],
    labels: Integer[Tensor, " b *patch"],
    kept: Bool[Tensor, "b n"],
    *,
    ignored: int,
) -> tuple[Float[Tensor, "b c *patch"], Integer[Tensor, " b *patch"]]:
    """Replace kinds that are not kept by air, and their labels by background.

    Args:
        kinds: Numbers of kinds.
        labels: Of the same voxels.
        kept: Whether each kind stays, for each element.
        ignored: The label that is never replaced.

    Returns:
        Copies where something is taken away.

    Example:
        >>> kinds, labels = torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[5, 6, 7]])
        >>> strip(kinds, labels, torch.tensor([[True, True, False, True]]), ignored=-1)
        (tensor([[[1., 0., 3.]]]), tensor([[5, 0, 7]]))
    """
    stays = torch.stack([there[of.long()] for there, of in zip(kept.to(kinds.device), kinds, strict=True)])
    gone = ~stays.any(dim=1) & (labels != ignored)
    return kinds * stays, labels.masked_fill(gone, 0)


def paint(
    kinds: Float[Tensor, "b c *patch"],
    mean: Float[Tensor, "b c n"],
    std: Float[Tensor, "b c n"],
    seed: Int64[Tensor, " b"],
) -> Float[Tensor, "b c *patch"]:
    """Draw each voxel from the normal distribution of its kind; what would be below 0 is 0.

    Args:
        kinds: Numbers of kinds, 0 to ``n - 1``.
        mean: Of each kind.
        std: Of each kind, at least 0.
        seed: Start of each element's own stream of numbers. A CPU and a GPU draw different numbers from the same seed.

    Returns:
        The images.

    Example:
        >>> kinds = torch.tensor([[[0.0, 1.0, 1.0]]])
        >>> paint(kinds, torch.tensor([[[0.0, 0.5]]]), torch.zeros(1, 1, 2), torch.tensor([7]))
        tensor([[[0.0000, 0.5000, 0.5000]]])
    """
    painted = torch.empty_like(kinds)
    for element, start in enumerate(seed.tolist()):
        painted[element].normal_(generator=torch.Generator(kinds.device).manual_seed(start))
        for channel, one in enumerate(kinds[element].long()):
            centre, width = (values[element, channel].to(kinds.device) for values in (mean, std))
            painted[element, channel].mul_(width[one]).add_(centre[one])
    return painted.clamp_(min=0.0)


def to_unit_range(channels: Float[Tensor, " r *patch"]) -> Float[Tensor, " r *patch"]:
    """Bring each channel to 0 … 1 between two of its quantiles, and cut off what lies beyond.

    Args:
        channels: ``(r, *patch)``, float32.

    Returns:
        Copies; a constant channel becomes 0.

    Example:
        >>> to_unit_range(torch.tensor([[1.0, 2.0, 3.0]])).round(decimals=2)
        tensor([[0.0000, 0.5000, 1.0000]])
    """
    flat = channels.flatten(1)
    few = flat[:, :: max(1, flat.shape[1] // _MOST)]
    low, high = few.quantile(torch.tensor([LOW, HIGH], device=few.device), dim=1, keepdim=True)
    scaled: Tensor = ((flat - low) / (high - low).clamp_(min=_LEAST)).clamp_(0.0, 1.0)
    return scaled.view_as(channels)
