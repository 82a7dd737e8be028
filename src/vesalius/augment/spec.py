"""What a random augmentation may do, in numbers: frozen, JSON-able, torch-free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vesalius.errors import PlanError

Range = tuple[float, float]
"""Lowest and highest value that may be drawn."""

_ANISOTROPIC = 3.0  # a patch whose longest edge is more than this many times its shortest is rotated in-plane only
_ELONGATED_2D = 1.5  # a longer rectangle would lose its ends if turned upright
_PROBABILITIES = (
    "rotation_p", "scale_p", "mirror_p", "noise_p", "blur_p", "blur_channel_p", "brightness_p", "contrast_p",
    "low_resolution_p", "low_resolution_channel_p", "inverted_gamma_p", "gamma_p",
)  # fmt: skip
_POSITIVE = ("scale", "blur_sigma", "brightness", "contrast", "low_resolution", "gamma")
_LARGEST_SCALE = 4.0
_LARGEST_SIGMA = 8.0


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The chances and ranges of every random transform, in the order in which they are applied.

    A probability ``…_p`` is the chance that an element of a batch is changed at all; ``…_channel_p`` is the chance
    that each of its channels is, then. Values are drawn evenly from a range; those of ``brightness``, ``contrast``
    and ``gamma`` are factors around 1: half of the draws lie below 1 and half above, however lopsided the range.
    A probability of 0 switches a transform off. Intensities are taken to be normalised (mean about 0, deviation
    about 1), so that 0 is a fair value for what lies outside.

    Args:
        rotation_p: Chance of a rotation.
        rotation_degrees: A range for each axis that is rotated about: three in 3D, one in 2D. Within -180 to 180.
        scale_p: Chance of a change of size.
        scale: Size of the field that fills the patch, relative to the patch: 0.7 sees less and enlarges what it
            sees, 1.4 sees more. The same on all axes. Within 0.25 to 4.
        through_plane: The axis of a 3D patch along which nothing is rotated, scaled or made coarser, because its
            voxels are too few or too thick; None for none.
        mirror_axes: The axes along which a patch may be mirrored. Leave out those along which anatomy is not
            symmetric and left and right have labels of their own.
        mirror_p: Chance of mirroring, for each of these axes.
        noise_p: Chance of Gaussian noise, drawn for each channel by itself.
        noise_std: Standard deviation of the noise.
        blur_p: Chance of Gaussian blur.
        blur_channel_p: Then, chance for each channel.
        blur_sigma: Standard deviation of the blur, voxels, drawn for each axis by itself; at most 8.
        brightness_p: Chance that intensities are multiplied.
        brightness: The factor, drawn for each channel.
        contrast_p: Chance that intensities are stretched about their mean; they are clipped to their old range.
        contrast: The factor, drawn for each channel.
        low_resolution_p: Chance that a coarser image is simulated (nearest neighbour down, linear up).
        low_resolution_channel_p: Then, chance for each channel.
        low_resolution: Resolution relative to the patch's, at most 1.
        inverted_gamma_p: Chance of a gamma curve on the inverted intensities.
        gamma_p: Chance of a gamma curve. Mean and standard deviation of a channel stay as they were, in both.
        gamma: The exponent, drawn for each channel.

    Raises:
        PlanError: A value is out of range, or two fields contradict each other.

    Example:
        >>> Augmentation().ndim
        3
        >>> Augmentation.for_patch((256, 256)).rotation_degrees
        ((-180.0, 180.0),)

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, and the defaults of nnU-Net v2
    (``nnUNetTrainer.get_training_transforms``, batchgeneratorsv2). Its ``noise_variance`` is used there as the
    standard deviation, which is what it is called here.
    """

    rotation_p: float = 0.2
    rotation_degrees: tuple[Range, ...] = ((-30.0, 30.0), (-30.0, 30.0), (-30.0, 30.0))
    scale_p: float = 0.2
    scale: Range = (0.7, 1.4)
    through_plane: int | None = None
    mirror_axes: tuple[int, ...] = (0, 1, 2)
    mirror_p: float = 0.5
    noise_p: float = 0.1
    noise_std: Range = (0.0, 0.1)
    blur_p: float = 0.2
    blur_channel_p: float = 0.5
    blur_sigma: Range = (0.5, 1.0)
    brightness_p: float = 0.15
    brightness: Range = (0.75, 1.25)
    contrast_p: float = 0.15
    contrast: Range = (0.75, 1.25)
    low_resolution_p: float = 0.25
    low_resolution_channel_p: float = 0.5
    low_resolution: Range = (0.5, 1.0)
    inverted_gamma_p: float = 0.1
    gamma_p: float = 0.3
    gamma: Range = (0.7, 1.5)

    def __post_init__(self) -> None:
        for name in _PROBABILITIES:
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value <= 1):
                raise PlanError(f"{name} is a probability and must be 0 to 1, not {value!r}")
        for name in ("scale", "noise_std", "blur_sigma", "brightness", "contrast", "low_resolution", "gamma"):
            object.__setattr__(self, name, _to_range(name, getattr(self, name)))
        for name in _POSITIVE:
            if getattr(self, name)[0] <= 0:
                raise PlanError(f"{name} must be positive, not {getattr(self, name)}")
        if self.noise_std[0] < 0:
            raise PlanError(f"noise_std must not be negative, not {self.noise_std}")
        if self.scale[0] < 1 / _LARGEST_SCALE or self.scale[1] > _LARGEST_SCALE:
            raise PlanError(f"scale must be within {1 / _LARGEST_SCALE} to {_LARGEST_SCALE}, not {self.scale}")
        if self.blur_sigma[1] > _LARGEST_SIGMA:
            raise PlanError(f"blur_sigma must be at most {_LARGEST_SIGMA} voxels, not {self.blur_sigma}")
        if self.low_resolution[1] > 1:
            raise PlanError(f"low_resolution must be at most 1, not {self.low_resolution}")
        self._check_axes()

    def _check_axes(self) -> None:
        degrees = tuple(_to_range("rotation_degrees", r) for r in self.rotation_degrees)
        if len(degrees) not in (1, 3) or any(low < -180 or high > 180 for low, high in degrees):
            raise PlanError(f"rotation_degrees must be 3 ranges (3D) or 1 (2D) within -180 to 180, not {degrees}")
        object.__setattr__(self, "rotation_degrees", degrees)
        axes = tuple(self.mirror_axes)
        if len(set(axes)) != len(axes) or not all(_is_whole(a) and 0 <= a < self.ndim for a in axes):
            raise PlanError(f"mirror_axes must be different axes of 0 to {self.ndim - 1}, not {axes}")
        object.__setattr__(self, "mirror_axes", axes)
        if self.through_plane is None:
            return
        if self.ndim != 3 or self.through_plane not in (0, 1, 2):
            raise PlanError(f"through_plane must be an axis of a 3D patch or None, not {self.through_plane!r}")
        if any(r != (0.0, 0.0) for axis, r in enumerate(degrees) if axis != self.through_plane):
            raise PlanError(
                f"with through_plane={self.through_plane} the patch turns about that axis only: give the other axes "
                f"the range (0, 0), not {degrees}"
            )

    @property
    def ndim(self) -> int:
        """2 or 3: the axes of the patches that this is for."""
        return 3 if len(self.rotation_degrees) == 3 else 2

    @classmethod
    def for_patch(cls, patch_size: Sequence[int], *, mirror_axes: Sequence[int] | None = None) -> Augmentation:
        """The recipe for a patch of this shape: how far it may turn follows from its proportions.

        Args:
            patch_size: Voxels on each of 2 or 3 axes.
            mirror_axes: The axes along which it may be mirrored; all of them when left out.

        Returns:
            The defaults, with rotations of ±30° about every axis in 3D; ±180° in 2D, or ±15° for a rectangle more
            than 1.5 times as long as wide; and for a 3D patch whose longest edge is more than 3 times its shortest,
            ±180° in the plane across the shortest edge only.

        Raises:
            PlanError: The patch does not have 2 or 3 axes of at least 1 voxel, or a mirror axis is not one of them.

        Example:
            >>> Augmentation.for_patch((128, 128, 16)).through_plane
            2

        Source: nnU-Net v2, ``configure_rotation_dummyDA_mirroring_and_inital_patch_size``; its coarse axis is always
        the first, here it is the shortest edge.
        """
        size = _check_patch(patch_size)
        axes = tuple(range(len(size))) if mirror_axes is None else tuple(mirror_axes)
        aspect = max(size) / min(size)
        if len(size) == 2:
            turn = (-15.0, 15.0) if aspect > _ELONGATED_2D else (-180.0, 180.0)
            return cls(rotation_degrees=(turn,), mirror_axes=axes)
        if aspect <= _ANISOTROPIC:
            return cls(mirror_axes=axes)
        flat = size.index(min(size))
        turns = tuple((-180.0, 180.0) if axis == flat else (0.0, 0.0) for axis in range(3))
        return cls(rotation_degrees=turns, through_plane=flat, mirror_axes=axes)


def source_size(spec: Augmentation, patch_size: Sequence[int], *, limit: float = 1.5) -> tuple[int, ...]:
    """How large a window to read, so that rotated and scaled patches seldom look beyond it.

    Args:
        spec: What may be done to the patch.
        patch_size: Voxels on each axis of the patch that the network sees.
        limit: The most that an axis may grow by, as a factor. What then lies outside is filled.

    Returns:
        Voxels on each axis, at least those of the patch: the extent of the patch turned about each axis in turn by
        the worst angle of its range, times the largest scale, up to the limit.

    Raises:
        PlanError: The patch does not have the spec's number of axes, or the limit is below 1.

    Example:
        >>> source_size(Augmentation(), (40, 56, 40))
        (60, 84, 60)
        >>> source_size(Augmentation(rotation_p=0.0, scale=(0.8, 1.1)), (40, 56, 40))
        (44, 62, 44)

    Source: nnU-Net v2 ``get_patch_size`` for turning about each axis in turn; the limit is ours and keeps reading
    cheap.
    """
    size = _check_patch(patch_size, ndim=spec.ndim)
    if not (_is_number(limit) and limit >= 1):
        raise PlanError(f"limit must be at least 1, not {limit!r}")
    extent = [float(n) for n in size]
    if spec.rotation_p > 0:
        planes = ((0, 1),) if spec.ndim == 2 else ((1, 2), (0, 2), (0, 1))
        for (a, b), (low, high) in zip(planes, spec.rotation_degrees, strict=True):
            # The extremes of |cos| a + |sin| b lie at the ends of the range or where its diagonal is upright.
            worst = [math.degrees(math.atan2(size[b], size[a])), math.degrees(math.atan2(size[a], size[b]))]
            angles = [low, high, *(t for w in worst for t in (w, -w, 180 - w, w - 180) if low <= t <= high)]
            for t in map(math.radians, angles):
                extent[a] = max(extent[a], abs(math.cos(t)) * size[a] + abs(math.sin(t)) * size[b])
                extent[b] = max(extent[b], abs(math.sin(t)) * size[a] + abs(math.cos(t)) * size[b])
    scale = max(1.0, spec.scale[1]) if spec.scale_p > 0 else 1.0
    factors = [1.0 if axis == spec.through_plane else scale for axis in range(spec.ndim)]
    return tuple(
        max(n, min(math.ceil(round(e * f, 6)), math.floor(n * limit)))
        for n, e, f in zip(size, extent, factors, strict=True)
    )


def _check_patch(patch_size: Sequence[int], *, ndim: int | None = None) -> tuple[int, ...]:
    size = tuple(patch_size)
    allowed = (2, 3) if ndim is None else (ndim,)
    if len(size) not in allowed or not all(_is_whole(n) and n >= 1 for n in size):
        axes = " or ".join(map(str, allowed))
        raise PlanError(f"patch_size must be {axes} whole numbers of at least 1, not {size}")
    return size


def _to_range(name: str, value: Sequence[float]) -> Range:
    """JSON gives lists and whole numbers; a spec holds tuples of floats."""
    try:
        low, high = value
    except (TypeError, ValueError):
        raise PlanError(f"{name} must be a range (lowest, highest), not {value!r}") from None
    if not (_is_number(low) and _is_number(high) and low <= high):
        raise PlanError(f"{name} must be a range (lowest, highest) of finite numbers, not {tuple(value)}")
    return (float(low), float(high))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
