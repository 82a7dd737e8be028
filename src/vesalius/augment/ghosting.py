"""MR ghosts."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def add_ghosts(
    channels: Float[Tensor, " r *patch"],
    strength: Float[Tensor, " r"],
    count: Int64[Tensor, " r"],
    axis: Int64[Tensor, " r"],
) -> Float[Tensor, " r *patch"]:
    """Weaken every n-th line of k-space, as breathing or a pulse does: faint copies appear along the axis.

    The line at the centre is left as it is. What comes back is the magnitude, above the lowest value of the channel,
    which stands for no signal.

    Args:
        channels: ``(r, *patch)``, float32.
        strength: How much of these lines is lost, 0 to 1.
        count: Every how many lines, at least 2; the copies are as many, evenly spaced.
        axis: Along which the lines are counted.

    Returns:
        Copies with ghosts.

    Example:
        >>> line = torch.zeros(1, 8)
        >>> line[0, 1] = 8.0
        >>> add_ghosts(line, torch.tensor([1.0]), torch.tensor([2]), torch.tensor([0]))[0].round()
        tensor([1., 5., 1., 1., 1., 3., 1., 1.])

    Source: TorchIO's ``RandomGhosting``, which counts the lines from the edge of k-space, too, and keeps the real
    part.
    """
    ghosts = torch.empty_like(channels)
    low = channels.flatten(1).amin(dim=1)
    settings = zip(strength.tolist(), count.tolist(), axis.tolist(), strict=True)
    for row, (loss, n, along) in enumerate(settings):
        lines = torch.fft.fft((channels[row] - low[row]).movedim(along, -1))
        weights = torch.ones(lines.shape[-1], device=channels.device)
        weights[::n] -= loss
        weights[len(weights) // 2] = 1.0
        ghosts[row] = torch.fft.ifft(lines * torch.fft.ifftshift(weights)).abs().movedim(-1, along).add_(low[row])
    return ghosts
