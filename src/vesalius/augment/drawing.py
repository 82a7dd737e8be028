"""Draw the parameters of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from zlib import crc32

import torch
from torch import Tensor

from vesalius.augment.colour import colour_matrix
from vesalius.augment.generation import Generation, Range
from vesalius.augment.parameters import Parameters
from vesalius.augment.spec import Augmentation
from vesalius.errors import PlanError

_JITTER = 0.3  # of a pose's time, in mean intervals (Source: TorchIO 1.2.1, ``RandomMotion.get_params``)


def sample(spec: Augmentation, batch_size: int, *, channels: int, generator: torch.Generator) -> Parameters:
    """Draw the parameters of a batch.

    Switching one transform on or off leaves the others as they were under the same seed: every number of nnU-Net's
    list is drawn whether its transform fires or not, and each of the other transforms has a stream of numbers of its
    own, which starts from what the generator gave.

    Args:
        spec: Chances and ranges.
        batch_size: Elements of the batch, at least 1.
        channels: Channels of the images, at least 1.
        generator: The source of randomness, on the CPU. Its state is all that the result depends on.

    Returns:
        The parameters, tensors on the CPU.

    Raises:
        PlanError: The batch size or the number of channels is below 1, the generator is not on the CPU, or the spec
            speaks of colours that the images do not have.

    Example:
        >>> parameters = sample(Augmentation(), 8, channels=1, generator=torch.Generator().manual_seed(0))
        >>> tuple(parameters.brightness.shape), parameters.select([2, 5]).mirror.shape[0]
        ((8, 1), 2)
    """
    if batch_size < 1 or channels < 1:
        raise PlanError(f"batch_size and channels must be at least 1, not {batch_size} and {channels}")
    if generator.device.type != "cpu":
        raise PlanError(f"the generator must be on the CPU, so that every device gets the same, not {generator.device}")
    if max(spec.colour_channels, default=-1) >= channels:
        raise PlanError(f"colour_channels {spec.colour_channels} must be among the {channels} channels of the images")
    still = Parameters.identity(batch_size, ndim=spec.ndim, channels=channels)
    drawn = _usual(_Draw(spec, batch_size, channels, generator))
    seed = int(drawn["noise_seed"][0])
    for name, draw in _OTHERS.items():
        if getattr(spec, f"{name}_p") > 0:
            own = torch.Generator().manual_seed(seed ^ crc32(name.encode()))
            drawn |= draw(_Draw(spec, batch_size, channels, own))
    if spec.generation is not None:
        own = torch.Generator().manual_seed(seed ^ crc32(b"generation"))
        drawn |= _kinds(_Draw(spec, batch_size, channels, own), spec.generation)
    drawn["zero_outside"] = torch.full((batch_size,), spec.zero_outside)
    return replace(still, **drawn)


@dataclass(frozen=True)
class _Draw:
    """What numbers are drawn for, and ways to draw them."""

    spec: Augmentation
    b: int
    c: int
    generator: torch.Generator

    def fires(self, p: float, *shape: int) -> Tensor:
        """True with this chance."""
        return torch.rand(shape, generator=self.generator) < p

    def uniform(self, low_high: Range, *shape: int) -> Tensor:
        """Evenly from a range."""
        low, high = low_high
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def factor(self, low_high: Range, *shape: int) -> Tensor:
        """Half of the draws below 1 and half above, where the range allows."""
        low, high = low_high
        below, above = self.uniform((low, min(1.0, high)), *shape), self.uniform((max(1.0, low), high), *shape)
        share = 0.0 if low >= 1 else 1.0 if high <= 1 else 0.5
        return torch.where(self.fires(share, *shape), below, above)

    def whole(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers, both ends included."""
        return torch.randint(low, high + 1, shape, generator=self.generator)

    def seeds(self, count: int) -> Tensor:
        """Starts of further streams."""
        return torch.randint(2**63 - 1, (count,), generator=self.generator)


def _usual(draw: _Draw) -> dict[str, Tensor]:
    """NnU-Net's list."""
    spec, b, c = draw.spec, draw.b, draw.c
    n = spec.ndim
    turns = torch.cat([draw.uniform(r, b, 1) for r in spec.rotation_degrees], dim=1).deg2rad()
    rotation = torch.where(draw.fires(spec.rotation_p, b, 1), turns, 0.0)
    scale = torch.where(draw.fires(spec.scale_p, b, 1), draw.uniform(spec.scale, b, 1), 1.0).expand(b, n).clone()
    mirror = draw.fires(spec.mirror_p, b, n)
    mirror[:, [axis for axis in range(n) if axis not in spec.mirror_axes]] = False
    noise_std = torch.where(draw.fires(spec.noise_p, b), draw.uniform(spec.noise_std, b), 0.0)
    noise_seed = draw.seeds(b)
    blurred = draw.fires(spec.blur_p, b, 1, 1) & draw.fires(spec.blur_channel_p, b, c, 1)
    blur_sigma = torch.where(blurred, draw.uniform(spec.blur_sigma, b, c, n), 0.0)
    brightness = torch.where(draw.fires(spec.brightness_p, b, 1), draw.factor(spec.brightness, b, c), 1.0)
    contrast = torch.where(draw.fires(spec.contrast_p, b, 1), draw.factor(spec.contrast, b, c), 1.0)
    coarse = draw.fires(spec.low_resolution_p, b, 1, 1) & draw.fires(spec.low_resolution_channel_p, b, c, 1)
    low_resolution = torch.where(coarse, draw.uniform(spec.low_resolution, b, c, 1), 1.0).expand(b, c, n).clone()
    inverted_gamma = torch.where(draw.fires(spec.inverted_gamma_p, b, 1), draw.factor(spec.gamma, b, c), 1.0)
    gamma = torch.where(draw.fires(spec.gamma_p, b, 1), draw.factor(spec.gamma, b, c), 1.0)
    if spec.through_plane is not None:
        scale[:, spec.through_plane] = 1.0
        low_resolution[:, :, spec.through_plane] = 1.0
    return {
        "rotation": rotation,
        "scale": scale,
        "mirror": mirror,
        "noise_std": noise_std,
        "noise_seed": noise_seed,
        "blur_sigma": blur_sigma,
        "brightness": brightness,
        "contrast": contrast,
        "low_resolution": low_resolution,
        "inverted_gamma": inverted_gamma,
        "gamma": gamma,
    }


def _in_plane(spec: Augmentation) -> list[int]:
    return [axis for axis in range(spec.ndim) if axis != spec.through_plane]


def _encoding_axis(draw: _Draw) -> Tensor:
    """The axis along which an MR scanner goes from line to line of k-space: one in the plane."""
    axes = torch.tensor(_in_plane(draw.spec))
    return axes[draw.whole(0, len(axes) - 1, draw.b, draw.c)]


def _elastic(draw: _Draw) -> dict[str, Tensor]:
    spec, b = draw.spec, draw.b
    n = spec.ndim
    largest = torch.where(draw.fires(spec.elastic_p, b), draw.uniform(spec.elastic_displacement, b), 0.0)
    elastic = draw.uniform((-1.0, 1.0), b, n, *[spec.elastic_control_points] * n) * largest.view(b, *[1] * (n + 1))
    if spec.through_plane is not None:
        elastic[:, spec.through_plane] = 0.0
    return {"elastic": elastic}


def _bias_field(draw: _Draw) -> dict[str, Tensor]:
    spec, b, c = draw.spec, draw.b, draw.c
    powers = [torch.arange(spec.bias_field_order + 1)] * spec.ndim
    degree = sum(torch.meshgrid(*powers, indexing="ij"), start=torch.tensor(0))
    coefficients = draw.uniform(spec.bias_field, b, c, *degree.shape)
    fired = draw.fires(spec.bias_field_p, b, c).view(b, c, *[1] * spec.ndim)
    return {"bias_field": torch.where(fired & (degree >= 1) & (degree <= spec.bias_field_order), coefficients, 0.0)}


def _motion(draw: _Draw) -> dict[str, Tensor]:
    spec, b, c = draw.spec, draw.b, draw.c
    n, m, turns = spec.ndim, spec.motion_poses, len(spec.rotation_degrees)
    fired = draw.fires(spec.motion_p, b, c, 1, 1)
    rotation = torch.where(fired, draw.uniform(spec.motion_degrees, b, c, m, turns).deg2rad(), 0.0)
    shift = torch.where(fired, draw.uniform(spec.motion_shift, b, c, m, n), 0.0)
    if spec.through_plane is not None:
        rotation[..., _in_plane(spec)] = 0.0  # what turns in the plane turns about the axis across it
        shift[..., spec.through_plane] = 0.0
    time = (torch.arange(1, m + 1) + draw.uniform((-_JITTER, _JITTER), b, c, m)) / (m + 1)
    axis = _encoding_axis(draw)
    return {"motion_rotation": rotation, "motion_shift": shift, "motion_time": time, "motion_axis": axis}


def _ghosting(draw: _Draw) -> dict[str, Tensor]:
    spec, b, c = draw.spec, draw.b, draw.c
    return {
        "ghosting": torch.where(draw.fires(spec.ghosting_p, b, c), draw.uniform(spec.ghosting, b, c), 0.0),
        "ghosting_count": draw.whole(*spec.ghosting_count, b, c),
        "ghosting_axis": _encoding_axis(draw),
    }


def _spike(draw: _Draw) -> dict[str, Tensor]:
    spec, b, c = draw.spec, draw.b, draw.c
    return {
        "spike": torch.where(draw.fires(spec.spike_p, b, c), draw.uniform(spec.spike, b, c), 0.0),
        "spike_wave": draw.uniform((-0.5, 0.5), b, c, spec.ndim),
        "spike_phase": draw.uniform((0.0, 2 * math.pi), b, c),
    }


def _ct_noise(draw: _Draw) -> dict[str, Tensor]:
    spec, b = draw.spec, draw.b
    return {
        "ct_noise_std": torch.where(draw.fires(spec.ct_noise_p, b), draw.uniform(spec.ct_noise_std, b), 0.0),
        "ct_noise_attenuation": draw.uniform(spec.ct_noise_attenuation, b),
        "ct_noise_cutoff": draw.uniform(spec.ct_noise_cutoff, b),
        "ct_noise_seed": draw.seeds(b),
    }


def _colour(draw: _Draw) -> dict[str, Tensor]:
    spec, b, c = draw.spec, draw.b, draw.c
    hue = draw.uniform(spec.colour_hue_degrees, b).deg2rad()
    changed = colour_matrix(hue, draw.factor(spec.colour_saturation, b), draw.factor(spec.colour_gain, b, 3))
    colours = torch.tensor(spec.colour_channels)
    matrix = torch.eye(c).repeat(b, 1, 1)
    matrix[:, colours[:, None], colours] = torch.where(draw.fires(spec.colour_p, b, 1, 1), changed, torch.eye(3))
    return {"colour": matrix}


def _mix(draw: _Draw) -> dict[str, Tensor]:
    spec, b = draw.spec, draw.b
    fired = draw.fires(spec.mix_p, b)
    edge = draw.uniform(spec.mix_share, b, 1) ** (1 / spec.ndim)
    start = draw.uniform((0.0, 1.0), b, spec.ndim) * (1 - edge)
    itself = torch.arange(b)
    if b == 1:  # there is nobody to mix with
        return {}
    other = (itself + draw.whole(1, b - 1, b)) % b
    box = torch.stack([start, start + edge], dim=-1)
    return {
        "mix_partner": torch.where(fired, other, itself),
        "mix_box": torch.where(fired.view(b, 1, 1), box, 0.0),
    }


def _channel_dropout(draw: _Draw) -> dict[str, Tensor]:
    spec, b, c = draw.spec, draw.b, draw.c
    kept = ~draw.fires(spec.channel_dropout_p, b, c)
    lonely = draw.whole(0, c - 1, b, 1) == torch.arange(c)  # which one stays where none would
    return {"channel_kept": torch.where(kept.any(dim=1, keepdim=True), kept, lonely)}


def _thick_slices(draw: _Draw) -> dict[str, Tensor]:
    spec, b, c = draw.spec, draw.b, draw.c
    across = draw.whole(0, spec.ndim - 1, b, c, 1) == torch.arange(spec.ndim)
    fired = draw.fires(spec.thick_slices_p, b, c, 1)
    return {"thick_slices": torch.where(fired & across, draw.uniform(spec.thick_slices, b, c, 1), 1.0)}


def _kinds(draw: _Draw, how: Generation) -> dict[str, Tensor]:
    """Mean and deviation of every kind, and which are left away."""
    b, c, n = draw.b, draw.c, how.kinds
    mean, std = draw.uniform(how.mean, b, c, n), draw.uniform(how.std, b, c, n)
    if how.tissues:
        numbers = torch.tensor([kind for kind, _ in how.tissues])
        shares = torch.tensor([shares for _, shares in how.tissues])
        low, high = how.mean
        tissue_mean = draw.uniform(how.mean, b, c, how.tissue_count)
        tissue_std = draw.uniform(how.std, b, c, how.tissue_count)
        apart = how.tissue_spread * torch.randn(b, c, len(numbers), generator=draw.generator)
        by_tissue = draw.fires(how.tissue_p, b, 1, 1)
        mixed = (tissue_mean @ shares.T + apart).clamp_(low, high)
        mean[..., numbers] = torch.where(by_tissue, mixed, mean[..., numbers])
        std[..., numbers] = torch.where(by_tissue, tissue_std @ shares.T, std[..., numbers])
    dark = draw.fires(how.dark_p, b, 1)
    mean[..., 0], std[..., 0] = torch.where(dark, 0.0, mean[..., 0]), torch.where(dark, 0.1, 1.0) * std[..., 0]
    stripped = draw.fires(how.strip_p, b, 1)
    bare = stripped & draw.fires(how.strip_fluid_p, b, 1)
    kept = torch.ones(b, n, dtype=torch.bool)
    kept[:, list(how.outside)] = ~stripped
    kept[:, list(how.fluid)] = ~bare
    return {"kind_mean": mean, "kind_std": std, "kind_kept": kept, "paint_seed": draw.seeds(b)}


_OTHERS: dict[str, Callable[[_Draw], dict[str, Tensor]]] = {
    "elastic": _elastic,
    "bias_field": _bias_field,
    "motion": _motion,
    "ghosting": _ghosting,
    "spike": _spike,
    "ct_noise": _ct_noise,
    "thick_slices": _thick_slices,
    "colour": _colour,
    "mix": _mix,
    "channel_dropout": _channel_dropout,
}
