"""What a random augmentation may do, in numbers: frozen, JSON-able, torch-free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vesalius.augment.generation import Generation, Range
from vesalius.errors import PlanError
from vesalius.image import Modality

_ANISOTROPIC = 3.0  # a patch whose longest edge is more than this many times its shortest is rotated in-plane only
_ELONGATED_2D = 1.5  # a longer rectangle would lose its ends if turned upright
_PROBABILITIES = (
    "rotation_p", "scale_p", "elastic_p", "mirror_p", "bias_field_p", "motion_p", "ghosting_p", "spike_p", "ct_noise_p",
    "noise_p", "blur_p", "blur_channel_p", "brightness_p", "contrast_p", "thick_slices_p", "low_resolution_p",
    "low_resolution_channel_p",
    "inverted_gamma_p", "gamma_p", "colour_p", "mix_p", "channel_dropout_p",
)  # fmt: skip
_LIMITS: dict[str, Range] = {
    "scale": (0.25, 4.0),
    "elastic_displacement": (0.0, 0.4),
    "bias_field": (-2.0, 2.0),
    "motion_degrees": (-180.0, 180.0),
    "motion_shift": (-64.0, 64.0),
    "ghosting": (0.0, 1.0),
    "spike": (0.0, 10.0),
    "ct_noise_std": (0.0, math.inf),
    "ct_noise_attenuation": (0.0, 4.0),
    "ct_noise_cutoff": (0.05, 1.0),
    "noise_std": (0.0, math.inf),
    "blur_sigma": (0.0, 8.0),
    "brightness": (0.0, math.inf),
    "contrast": (0.0, math.inf),
    "thick_slices": (1.0, 12.0),
    "low_resolution": (0.0, 1.0),
    "gamma": (0.0, math.inf),
    "colour_hue_degrees": (-180.0, 180.0),
    "colour_saturation": (0.0, 4.0),
    "colour_gain": (0.25, 4.0),
    "mix_share": (0.0, 1.0),
}
_POSITIVE = ("blur_sigma", "brightness", "contrast", "low_resolution", "gamma")  # 0 is no value of these
_COUNTS = {"elastic_control_points": (4, 32), "bias_field_order": (1, 6), "motion_poses": (1, 8)}
_GHOSTS = (2, 64)
_ARTEFACTS: dict[Modality, dict[str, float]] = {
    "MR": {"bias_field_p": 0.2, "motion_p": 0.1, "ghosting_p": 0.1, "spike_p": 0.05},
    "CT": {"ct_noise_p": 0.2},
    "RGB": {"colour_p": 0.2},
}
"""What goes wrong in pictures of a kind, and how often `Augmentation.stronger` lets it."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The chances and ranges of every random transform, in the order in which they are applied.

    A probability ``…_p`` is the chance that an element of a batch is changed at all; ``…_channel_p`` is the chance
    that each of its channels is, then. Values are drawn evenly from a range; those of ``brightness``, ``contrast``
    and ``gamma`` are factors around 1: half of the draws lie below 1 and half above, however lopsided the range.
    A probability of 0 switches a transform off: those that nnU-Net does not have are off by default. Intensities are
    taken to be normalised (mean about 0, deviation about 1), so that 0 is a fair value for what lies outside.

    Args:
        rotation_p: Chance of a rotation.
        rotation_degrees: A range for each axis that is rotated about: three in 3D, one in 2D. Within -180 to 180.
        scale_p: Chance of a change of size.
        scale: Size of the field that fills the patch, relative to the patch: 0.7 sees less and enlarges what it
            sees, 1.4 sees more. The same on all axes. Within 0.25 to 4.
        elastic_p: Chance of a smooth deformation.
        elastic_control_points: Of the B-spline along each axis, 4 to 32; the outermost lie outside the patch, so that
            neighbours are (length of the patch / (number - 3)) apart. Fewer bend more smoothly.
        elastic_displacement: How far a control point is moved along each axis at most, in distances between control
            points. Below 0.4 nothing folds.
        through_plane: The axis of a 3D patch along which nothing is rotated, scaled, displaced or made coarser,
            because its voxels are too few or too thick; None for none.
        mirror_axes: The axes along which a patch may be mirrored. Leave out those along which anatomy is not
            symmetric and left and right have labels of their own.
        mirror_p: Chance of mirroring, for each of these axes.
        bias_field_p: Chance of a smooth change of gain across the patch, as MR coils make, for each channel.
        bias_field: Coefficients of the polynomial that is the logarithm of the gain.
        bias_field_order: Of the polynomial, 1 to 6.
        motion_p: Chance that the patient moved while an MR channel was acquired, for each channel.
        motion_poses: How often, 1 to 8.
        motion_degrees: Angle of each pose about each axis.
        motion_shift: Shift of each pose along each axis, voxels.
        ghosting_p: Chance of MR ghosts along an axis, for each channel.
        ghosting: How much of every n-th line of k-space is lost, 0 to 1.
        ghosting_count: The lowest and highest n, which is the number of ghosts, too.
        spike_p: Chance of a spike in k-space, which gives stripes, for each channel.
        spike: Amplitude of the stripes in standard deviations of the channel.
        ct_noise_p: Chance of CT quantum noise: its texture is that of reconstruction, and it is stronger behind dense
            tissue. For each element; the last axis of a 3D patch must run along the scanner's, as in LPS.
        ct_noise_std: Standard deviation of this noise where the path through tissue is of average density.
        ct_noise_attenuation: By how much the logarithm of its variance rises with the mean intensity on the paths.
        ct_noise_cutoff: Of the reconstruction filter, cycles per voxel: lower is smoother noise with coarser grain.
        noise_p: Chance of Gaussian noise, drawn for each channel by itself.
        noise_std: Standard deviation of the noise.
        blur_p: Chance of Gaussian blur.
        blur_channel_p: Then, chance for each channel.
        blur_sigma: Standard deviation of the blur, voxels, drawn for each axis by itself; at most 8.
        brightness_p: Chance that intensities are multiplied.
        brightness: The factor, drawn for each channel.
        contrast_p: Chance that intensities are stretched about their mean; they are clipped to their old range.
        contrast: The factor, drawn for each channel.
        thick_slices_p: Chance that each channel looks as if acquired in thick slices across one axis (in 3D).
        thick_slices: Their thickness, voxels, 1 to 12.
        low_resolution_p: Chance that a coarser image is simulated (nearest neighbour down, linear up).
        low_resolution_channel_p: Then, chance for each channel.
        low_resolution: Resolution relative to the patch's, at most 1.
        inverted_gamma_p: Chance of a gamma curve on the inverted intensities.
        gamma_p: Chance of a gamma curve. Mean and standard deviation of a channel stay as they were, in both.
        gamma: The exponent, drawn for each channel.
        colour_p: Chance that hue, saturation and white balance change, for pictures in colour.
        colour_channels: The three channels that are red, green and blue; empty where there is no colour.
        colour_hue_degrees: Turn of the hue.
        colour_saturation: Factor on the saturation.
        colour_gain: Factor on each of the three.
        zero_outside: Whether voxels that are exactly 0 before all this, because nothing was imaged there, are 0 again
            afterwards, for each channel (nnU-Net's "mask outside").
        mix_p: Chance that a box of an element is replaced by that of another element of the batch, labels and all.
        mix_share: How much of the patch the box covers.
        channel_dropout_p: Chance, for each element and channel, that the channel is set to 0, which is its mean; one
            channel of an element always stays.
        generation: How images are painted from maps of kinds, for data sets whose images hold such maps; None for
            images that were acquired. What is painted is disturbed like an image whose values go from 0 to about 1,
            and brought to 0 … 1 at the end.

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
    elastic_p: float = 0.0
    elastic_control_points: int = 7
    elastic_displacement: Range = (0.1, 0.4)
    through_plane: int | None = None
    mirror_axes: tuple[int, ...] = (0, 1, 2)
    mirror_p: float = 0.5
    bias_field_p: float = 0.0
    bias_field: Range = (-0.3, 0.3)
    bias_field_order: int = 3
    motion_p: float = 0.0
    motion_poses: int = 2
    motion_degrees: Range = (-10.0, 10.0)
    motion_shift: Range = (-5.0, 5.0)
    ghosting_p: float = 0.0
    ghosting: Range = (0.5, 1.0)
    ghosting_count: tuple[int, int] = (4, 10)
    spike_p: float = 0.0
    spike: Range = (0.2, 1.0)
    ct_noise_p: float = 0.0
    ct_noise_std: Range = (0.0, 0.3)
    ct_noise_attenuation: Range = (0.5, 1.5)
    ct_noise_cutoff: Range = (0.15, 0.5)
    noise_p: float = 0.1
    noise_std: Range = (0.0, 0.1)
    blur_p: float = 0.2
    blur_channel_p: float = 0.5
    blur_sigma: Range = (0.5, 1.0)
    brightness_p: float = 0.15
    brightness: Range = (0.75, 1.25)
    contrast_p: float = 0.15
    contrast: Range = (0.75, 1.25)
    thick_slices_p: float = 0.0
    thick_slices: Range = (2.0, 5.0)
    low_resolution_p: float = 0.25
    low_resolution_channel_p: float = 0.5
    low_resolution: Range = (0.5, 1.0)
    inverted_gamma_p: float = 0.1
    gamma_p: float = 0.3
    gamma: Range = (0.7, 1.5)
    colour_p: float = 0.0
    colour_channels: tuple[int, ...] = ()
    colour_hue_degrees: Range = (-18.0, 18.0)
    colour_saturation: Range = (0.7, 1.4)
    colour_gain: Range = (0.9, 1.1)
    zero_outside: bool = False
    mix_p: float = 0.0
    mix_share: Range = (0.1, 0.5)
    channel_dropout_p: float = 0.0
    generation: Generation | None = None

    def __post_init__(self) -> None:
        for name in _PROBABILITIES:
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value <= 1):
                raise PlanError(f"{name} is a probability and must be 0 to 1, not {value!r}")
        for name, (least, most) in _LIMITS.items():
            low, high = _to_range(name, getattr(self, name))
            object.__setattr__(self, name, (low, high))
            if name in _POSITIVE and low <= 0:
                raise PlanError(f"{name} must be positive, not {(low, high)}")
            if not least <= low <= high <= most:
                raise PlanError(f"{name} must be within {least:g} to {most:g}, not {(low, high)}")
        for name, (fewest, largest) in _COUNTS.items():
            if not (_is_whole(getattr(self, name)) and fewest <= getattr(self, name) <= largest):
                raise PlanError(f"{name} must be a whole number of {fewest} to {largest}, not {getattr(self, name)!r}")
        ghosts = tuple(self.ghosting_count)
        if not (
            len(ghosts) == 2 and all(map(_is_whole, ghosts)) and _GHOSTS[0] <= ghosts[0] <= ghosts[1] <= _GHOSTS[1]
        ):
            raise PlanError(
                f"ghosting_count must be two whole numbers within {_GHOSTS[0]} to {_GHOSTS[1]}, not {ghosts}"
            )
        object.__setattr__(self, "ghosting_count", ghosts)
        if not isinstance(self.zero_outside, bool):
            raise PlanError(f"zero_outside must be true or false, not {self.zero_outside!r}")
        self._check_colours()
        self._check_axes()

    def _check_colours(self) -> None:
        colours = tuple(self.colour_channels)
        if (
            len(set(colours)) != len(colours)
            or len(colours) not in (0, 3)
            or not all(_is_whole(c) and c >= 0 for c in colours)
        ):
            raise PlanError(f"colour_channels must be three different channels, counted from 0, or none, not {colours}")
        if self.colour_p > 0 and not colours:
            raise PlanError("colour_p needs colour_channels: say which channels are red, green and blue")
        object.__setattr__(self, "colour_channels", colours)

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

    @property
    def mirrored_axes(self) -> tuple[int, ...]:
        """The axes along which patches are mirrored at all: none where ``mirror_p`` is 0."""
        return self.mirror_axes if self.mirror_p > 0 else ()

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
        size = check_patch(patch_size)
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

    def stronger(self, modality: Modality = "OT") -> Augmentation:
        """This recipe with elastic deformation, and with what goes wrong in images of this kind.

        For few cases, or for images that come from elsewhere than those that are trained on. The chances are those
        that are usual for such transforms (0.2, artefacts that are rare in practice less); what they are worth on a
        data set has to be measured there.

        Args:
            modality: MR adds bias field, motion, ghosts and spikes, CT its noise, RGB a change of colour to channels
                0, 1 and 2.

        Returns:
            The recipe with these chances set.

        Example:
            >>> Augmentation.for_patch((64, 64, 64)).stronger("CT").ct_noise_p
            0.2
        """
        colours = {"colour_channels": (0, 1, 2)} if modality == "RGB" and not self.colour_channels else {}
        return replace(self, elastic_p=0.2, **_ARTEFACTS.get(modality, {}), **colours)  # type: ignore[arg-type]


def check_patch(patch_size: Sequence[int], *, ndim: int | None = None) -> tuple[int, ...]:
    """A patch size as a tuple.

    Args:
        patch_size: Voxels on each axis.
        ndim: How many axes it must have; 2 or 3 when left out.

    Raises:
        PlanError: It is no list of so many whole numbers of at least 1.
    """
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
