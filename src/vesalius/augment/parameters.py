"""The random numbers of one augmented batch: drawn here, all at once, and used without chance afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from vesalius.augment.spec import Augmentation, Range
from vesalius.errors import PlanError


@dataclass(frozen=True, eq=False)
class Parameters:
    """What is done to each element of a batch; a value that changes nothing stands for "not fired".

    Tensors on the CPU, the first axis the batch, ``n`` the axes of a patch, ``c`` the channels. The order of the
    fields is the order of application, except that mirroring is done with the rotation.

    Args:
        rotation: Angles in radians: about each of three axes in 3D, one angle in 2D. 0 changes nothing.
        scale: Size of the field that fills the patch, relative to the patch, for each axis. 1 changes nothing.
        mirror: Whether each axis is reversed.
        noise_std: Standard deviation of the noise. 0 changes nothing.
        noise_seed: Where the noise starts: the field itself is as large as the image and is drawn when applied.
        blur_sigma: Standard deviation of the blur, voxels. 0 changes nothing.
        brightness: Factor. 1 changes nothing.
        contrast: Factor about the mean. 1 changes nothing.
        low_resolution: Resolution, relative. 1 changes nothing.
        inverted_gamma: Exponent on the inverted intensities. 1 changes nothing.
        gamma: Exponent. 1 changes nothing.
    """

    rotation: Float[Tensor, "b turns"]
    scale: Float[Tensor, "b n"]
    mirror: Bool[Tensor, "b n"]
    noise_std: Float[Tensor, " b"]
    noise_seed: Int64[Tensor, " b"]
    blur_sigma: Float[Tensor, "b c n"]
    brightness: Float[Tensor, "b c"]
    contrast: Float[Tensor, "b c"]
    low_resolution: Float[Tensor, "b c n"]
    inverted_gamma: Float[Tensor, "b c"]
    gamma: Float[Tensor, "b c"]

    @classmethod
    def identity(cls, batch_size: int, *, ndim: int, channels: int) -> Parameters:
        """Parameters that only take the centre crop: the start for writing one transform by hand.

        Args:
            batch_size: Elements of the batch.
            ndim: 2 or 3 axes.
            channels: Channels of the images.

        Example:
            >>> import dataclasses
            >>> still = Parameters.identity(1, ndim=3, channels=1)
            >>> flipped = dataclasses.replace(still, mirror=torch.tensor([[True, False, False]]))
            >>> flipped.ndim
            3
        """
        b, c = batch_size, channels
        return cls(
            rotation=torch.zeros(b, 3 if ndim == 3 else 1),
            scale=torch.ones(b, ndim),
            mirror=torch.zeros(b, ndim, dtype=torch.bool),
            noise_std=torch.zeros(b),
            noise_seed=torch.zeros(b, dtype=torch.int64),
            blur_sigma=torch.zeros(b, c, ndim),
            brightness=torch.ones(b, c),
            contrast=torch.ones(b, c),
            low_resolution=torch.ones(b, c, ndim),
            inverted_gamma=torch.ones(b, c),
            gamma=torch.ones(b, c),
        )

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return self.scale.shape[1]

    def select(self, elements: Sequence[int]) -> Parameters:
        """The parameters of some elements of the batch, in the order named.

        Args:
            elements: Indices into the batch.
        """
        index = torch.as_tensor(elements, dtype=torch.int64)
        return Parameters(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def sample(spec: Augmentation, batch_size: int, *, channels: int, generator: torch.Generator) -> Parameters:
    """Draw the parameters of a batch.

    Every number is drawn whether its transform fires or not, so that switching one transform on or off leaves the
    others as they were under the same seed.

    Args:
        spec: Chances and ranges.
        batch_size: Elements of the batch, at least 1.
        channels: Channels of the images, at least 1.
        generator: The source of randomness, on the CPU. Its state is all that the result depends on.

    Returns:
        The parameters, tensors on the CPU.

    Raises:
        PlanError: The batch size or the number of channels is below 1, or the generator is not on the CPU.

    Example:
        >>> parameters = sample(Augmentation(), 8, channels=1, generator=torch.Generator().manual_seed(0))
        >>> tuple(parameters.brightness.shape), parameters.select([2, 5]).mirror.shape[0]
        ((8, 1), 2)
    """
    if batch_size < 1 or channels < 1:
        raise PlanError(f"batch_size and channels must be at least 1, not {batch_size} and {channels}")
    if generator.device.type != "cpu":
        raise PlanError(f"the generator must be on the CPU, so that every device gets the same, not {generator.device}")
    b, c, n = batch_size, channels, spec.ndim

    def fires(p: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) < p

    def uniform(low_high: Range, *shape: int) -> Tensor:
        low, high = low_high
        return low + (high - low) * torch.rand(shape, generator=generator)

    def factor(low_high: Range, *shape: int) -> Tensor:
        """Half of the draws below 1 and half above, where the range allows."""
        low, high = low_high
        below, above = uniform((low, min(1.0, high)), *shape), uniform((max(1.0, low), high), *shape)
        share = 0.0 if low >= 1 else 1.0 if high <= 1 else 0.5
        return torch.where(fires(share, *shape), below, above)

    turns = torch.cat([uniform(r, b, 1) for r in spec.rotation_degrees], dim=1).deg2rad()
    rotation = torch.where(fires(spec.rotation_p, b, 1), turns, 0.0)
    scale = torch.where(fires(spec.scale_p, b, 1), uniform(spec.scale, b, 1), 1.0).expand(b, n).clone()
    mirror = fires(spec.mirror_p, b, n)
    mirror[:, [axis for axis in range(n) if axis not in spec.mirror_axes]] = False
    noise_std = torch.where(fires(spec.noise_p, b), uniform(spec.noise_std, b), 0.0)
    noise_seed = torch.randint(2**63 - 1, (b,), generator=generator)
    blurred = fires(spec.blur_p, b, 1, 1) & fires(spec.blur_channel_p, b, c, 1)
    blur_sigma = torch.where(blurred, uniform(spec.blur_sigma, b, c, n), 0.0)
    brightness = torch.where(fires(spec.brightness_p, b, 1), factor(spec.brightness, b, c), 1.0)
    contrast = torch.where(fires(spec.contrast_p, b, 1), factor(spec.contrast, b, c), 1.0)
    coarse = fires(spec.low_resolution_p, b, 1, 1) & fires(spec.low_resolution_channel_p, b, c, 1)
    low_resolution = torch.where(coarse, uniform(spec.low_resolution, b, c, 1), 1.0).expand(b, c, n).clone()
    inverted_gamma = torch.where(fires(spec.inverted_gamma_p, b, 1), factor(spec.gamma, b, c), 1.0)
    gamma = torch.where(fires(spec.gamma_p, b, 1), factor(spec.gamma, b, c), 1.0)
    if spec.through_plane is not None:
        scale[:, spec.through_plane] = 1.0
        low_resolution[:, :, spec.through_plane] = 1.0
    return Parameters(
        rotation=rotation,
        scale=scale,
        mirror=mirror,
        noise_std=noise_std,
        noise_seed=noise_seed,
        blur_sigma=blur_sigma,
        brightness=brightness,
        contrast=contrast,
        low_resolution=low_resolution,
        inverted_gamma=inverted_gamma,
        gamma=gamma,
    )
