"""Quantum noise of computed tomography."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_MOST = 4.0  # of the logarithm of the variance: behind still denser tissue there is hardly a photon left to count


def add_ct_noise(
    images: Float[Tensor, "b c *patch"],
    std: Float[Tensor, " b"],
    attenuation: Float[Tensor, " b"],
    cutoff: Float[Tensor, " b"],
    seed: Int64[Tensor, " b"],
) -> Float[Tensor, "b c *patch"]:
    """Add noise with the texture and the strength that counting photons has after reconstruction.

    *Texture*: filtered back-projection weights the frequencies of a slice by the ramp ``f``, tamed by the kernel, here
    a Gaussian. Its noise has the power spectrum ``f exp(-(f / cutoff)²)``: no slow drifts, and a grain that a softer
    kernel makes coarser. Slices are independent.

    *Strength*: a ray that has crossed more tissue brings fewer photons, whose count varies by its square root. The
    variance at a voxel is the mean of 1 / count over all rays through it, and the logarithm of that rises with the
    mean attenuation on those rays: ``log variance = 2 log std + attenuation · (m - mean of m)``, where ``m`` is the
    image averaged over all lines through the voxel, that is, convolved with ``1 / (π r)``, per patch length. It is
    kept within ±4.

    Args:
        images: Float32, normalised. A slice lies across the last axis of a 3D patch, as it does in CT in LPS order.
        std: Standard deviation where the rays are of average density.
        attenuation: By how much the logarithm of the variance rises for each unit of ``m``. Through 30 cm of body a
            normalised unit of 100 HU is worth 0.6 (water attenuates 0.02 / mm).
        cutoff: Cycles per voxel. The power is largest at 0.71 times this.
        seed: Start of each element's own stream of numbers. A CPU and a GPU draw different numbers from the same seed.

    Returns:
        Disturbed copies. A slice of one voxel has no texture, and no noise.

    Example:
        >>> settings = [torch.tensor([0.5]), torch.tensor([1.0]), torch.tensor([0.3]), torch.tensor([7])]
        >>> noise = add_ct_noise(torch.zeros(1, 1, 64, 64), *settings)
        >>> round(float(noise.std()), 1), round(abs(float(noise.mean())), 3)
        (0.5, 0.0)

    Source: texture: Riederer, Pelc and Chesler 1978, doi:10.1088/0031-9155/23/3/008. Strength: Kak and Slaney 1988,
    Principles of Computerized Tomographic Imaging, section 5.3; the logarithm of the mean is taken as the mean of the
    logarithm, which leaves out streaks.
    """
    size = images.shape[2:4]
    squares = [torch.fft.fftfreq(n, device=images.device).square() for n in size]
    frequency = (squares[0][:, None] + squares[1]).sqrt()[:, : size[1] // 2 + 1]
    twice = 1 + (torch.arange(frequency.shape[1], device=images.device).mul(2) % size[1] != 0).float()
    blur = torch.where(frequency > 0, 1 / (math.pi * frequency), 0.0) / math.sqrt(size[0] * size[1])
    shape = (*frequency.shape, *[1] * (images.ndim - 4))
    noisy = images.clone()
    settings = zip(std.tolist(), attenuation.tolist(), cutoff.tolist(), seed.tolist(), strict=True)
    for image, (deviation, strength, end, start) in zip(noisy, settings, strict=True):
        gain = frequency.sqrt() * (-0.5 * (frequency / end).square()).exp()
        gain /= ((gain.square() * twice).sum() / (size[0] * size[1])).sqrt().clamp(min=1e-12)
        noise = torch.empty_like(image).normal_(generator=torch.Generator(images.device).manual_seed(start))
        noise = _filter(noise, gain.view(shape), size)
        log_variance = _filter(image, blur.view(shape), size).mul_(strength).clamp_(-_MOST, _MOST)
        image.add_(noise.mul_(log_variance.mul_(0.5).exp_()), alpha=deviation)
    return noisy


def _filter(image: Tensor, gain: Tensor, size: torch.Size) -> Tensor:
    """Weight the frequencies of each slice."""
    filtered: Tensor = torch.fft.irfftn(torch.fft.rfftn(image, dim=(1, 2)) * gain, s=size, dim=(1, 2))
    return filtered
