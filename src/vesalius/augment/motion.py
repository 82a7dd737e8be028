"""MR motion artefacts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from vesalius.augment.spatial import patch_to_source, sampling_grid


def move(
    channels: Float[Tensor, " r *patch"],
    rotation: Float[Tensor, "r m turns"],
    shift: Float[Tensor, "r m n"],
    time: Float[Tensor, "r m"],
    axis: Int64[Tensor, " r"],
) -> Float[Tensor, " r *patch"]:
    """Make each channel look as if the patient had moved while it was acquired.

    A scanner acquires k-space line by line. The lines are shared out to what it would have seen in each of ``m + 1``
    poses; those about the centre, which hold the contrast, go to the pose in which the patient really lies, so that
    the labels stay true. What comes back is the magnitude, above the lowest value of the channel, which stands for
    no signal.

    Args:
        channels: ``(r, *patch)``, float32.
        rotation: ``(r, m, turns)``: radians about the centre of the patch, as in `patch_to_source`.
        shift: ``(r, m, n)``: voxels.
        time: ``(r, m)``: when each pose is taken up, as a share of the acquisition, rising.
        axis: Along which the lines follow one another.

    Returns:
        Disturbed copies. Where a pose looks beyond the patch, its border is repeated.

    Example:
        >>> picture = torch.rand(1, 8, 8)
        >>> at_rest = torch.zeros(1, 2, 1), torch.zeros(1, 2, 2), torch.tensor([[0.3, 0.6]]), torch.tensor([0])
        >>> torch.allclose(move(picture, *at_rest), picture, atol=1e-5)
        True

    Source: Shaw et al. 2019, https://proceedings.mlr.press/v102/shaw19a.html, as in TorchIO's ``RandomMotion``,
    which keeps the real part.
    """
    moved = torch.empty_like(channels)
    size = channels.shape[1:]
    low = channels.flatten(1).amin(dim=1)
    for row, (channel, along) in enumerate(zip(channels, axis.tolist(), strict=True)):
        still = torch.zeros(len(rotation[row]), len(size))
        matrices = patch_to_source(rotation[row], still + 1, still > 0)
        grid = sampling_grid(matrices, size, size, shift=shift[row], device=channels.device)
        signal = (channel - low[row]).expand(len(grid), 1, *size)
        poses = F.grid_sample(signal, grid, mode="bilinear", padding_mode="border", align_corners=False)
        # Which pose a line is from depends on its place along one axis: the other axes need no transform.
        lines = torch.fft.fft(torch.cat([signal[:1], poses])[:, 0], dim=along + 1).movedim(along + 1, -1)
        shares = poses_of_lines(time[row], size[along]).to(channels.device)
        spectrum = (lines * shares.view(len(lines), *[1] * (len(size) - 1), -1)).sum(dim=0)
        moved[row] = torch.fft.ifft(spectrum).abs().movedim(-1, along).add_(low[row])
    return moved


def poses_of_lines(time: Float[Tensor, " m"], lines: int) -> Bool[Tensor, "poses lines"]:
    """Which pose each line of k-space was acquired in.

    Args:
        time: When each of ``m`` poses is taken up, rising.
        lines: Of k-space.

    Returns:
        ``(m + 1, lines)``, lines in the order of `torch.fft.fft`: the first row is the pose that the patient really
        lies in. It has the centre of k-space; the others share out what comes before and after in their order.

    Example:
        >>> poses_of_lines(torch.tensor([0.3]), 4).int()  # frequencies 0, 1, -2, -1; the lowest is acquired first
        tensor([[1, 1, 0, 1],
                [0, 0, 1, 0]], dtype=torch.int32)
    """
    spell = torch.searchsorted(time.contiguous(), (torch.arange(lines) + 0.5) / lines)
    centre = spell[lines // 2]
    pose = torch.where(spell == centre, 0, spell + (spell < centre))
    shares: Tensor = torch.fft.ifftshift(pose) == torch.arange(len(time) + 1)[:, None]
    return shares
