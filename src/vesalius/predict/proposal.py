"""Which of several segmenters suits an image: what is measured in the image against what their cards say of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.bundle import Bundle
from vesalius.bundle.suited import Range, Suited
from vesalius.errors import DataError
from vesalius.image import Modality, Volume
from vesalius.transform import reorient

SURE_ENOUGH = 0.5
"""From here on a proposal is used: with one doubt in an image whose kind is known, with none where it isn't.
`docs/how-to/segment.md` shows what real images get."""
FAR_ENOUGH = 0.2
"""How much surer than the next the best must be, or the choice is somebody else's."""

_AT_BEST = 0.9  # outlines are compared, not anatomy: never certain
_UNKNOWN_KIND = 0.8  # NIfTI and its like don't say how an image was taken
_DOUBT = 0.6  # a fact that is just outside what suits; two of them are too many
_PICTURE = 0.5  # a picture without a scale may show anything: with this it never is sure enough
_NEAR = 0.15  # of a length, and as much of a share or a correlation: how far outside is a doubt rather than a misfit
_HU_BELOW = -200  # CT in HU has air, -1000; MR has no negative values, or small ones where it was normalised
_VALUES_OF_LABELS = 32  # an image has more
_PLAIN = 0.6  # share of neighbours with the same value: an image has noise, label maps none, however many labels
_LOOKED_AT = 48  # voxels along each axis are enough for outlines


@dataclass(frozen=True)
class Proposal:
    """A segmenter for an image.

    Args:
        name: Of the segmenter.
        sureness: That it suits, 0 to 1: 0 where something rules it out. Not a probability of a right result.
        reasons: In words, what speaks for and against it.
    """

    name: str
    sureness: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ImageFacts:
    """What is seen of an image without knowing what it shows.

    Args:
        ndim, channels, modality, calibrated: As the image says.
        extent: Of its sides from the shortest to the longest, mm, or pixels without a scale.
        spacing_mm: The finest and the coarsest.
        lowest: Value.
        few_values: Whether it rather holds labels: few values, or wide places of one value that is not the background.
        dark_sides, symmetry: As in `vesalius.bundle.suited.Suited`; 0 for pictures, which have no sides.
    """

    ndim: int
    channels: int
    modality: Modality
    calibrated: bool
    extent: tuple[float, ...]
    spacing_mm: Range
    lowest: float
    few_values: bool
    dark_sides: float
    symmetry: float


def facts_of(image: Volume) -> ImageFacts:
    """Look at an image.

    Example:
        >>> from vesalius.image import Grid
        >>> facts = facts_of(Volume(np.zeros((1, 8, 6, 4)), Grid.from_spacing((8, 6, 4), (1.0, 1.0, 2.0))))
        >>> facts.extent, facts.spacing_mm, facts.few_values
        ((6.0, 8.0, 8.0), (1.0, 2.0), True)
    """
    spacings = image.grid.spacing_mm
    array = reorient(image).array[0]
    array = array[tuple(slice(None, None, max(1, n // _LOOKED_AT)) for n in array.shape)]
    array = array.astype(np.float32)
    deep = array.ndim == 3
    low, high = np.percentile(array, (1, 99))
    shades = np.clip((array - low) / max(float(high - low), 1e-9), 0, 1)
    return ImageFacts(
        ndim=image.grid.ndim,
        channels=image.channels,
        modality=image.meta.modality,
        calibrated=image.meta.calibrated,
        extent=tuple(sorted(n * mm for n, mm in zip(image.grid.shape, spacings, strict=True))),
        spacing_mm=(min(spacings), max(spacings)),
        lowest=float(image.array.min()),
        few_values=len(np.unique(array)) <= _VALUES_OF_LABELS or (deep and _alike(image.array[0]) > _PLAIN),
        dark_sides=_dark_sides(shades) if deep else 0.0,
        symmetry=_symmetry(shades) if deep else 0.0,
    )


def propose(image: Volume, bundles: Mapping[str, Bundle]) -> tuple[Proposal, ...]:
    """Say of each segmenter how surely an image is one that it is for, and why.

    Each fact of the image is compared with the card's `vesalius.bundle.suited.Suited`. One that is far off rules the
    segmenter out; one that is just outside, and an image that doesn't say how it was taken, make it less sure.

    Args:
        image: To be segmented.
        bundles: By name.

    Returns:
        A proposal for each, the surest first.

    Source: the factors are ours; see `SURE_ENOUGH` for what they were chosen by.
    """
    facts = facts_of(image)
    found = [_judge(name, bundle, facts) for name, bundle in bundles.items()]
    return tuple(sorted(found, key=lambda one: -one.sureness))


def choose(proposals: Sequence[Proposal]) -> Proposal:
    """The proposal to use.

    Args:
        proposals: The surest first, as `propose` gives them.

    Raises:
        DataError: None is sure enough, or two are nearly as sure as each other.

    Example:
        >>> choose((Proposal("brain", 0.9, ("MR",)), Proposal("knee", 0.0, ("it is no MR",)))).name
        'brain'
    """
    best = proposals[0] if proposals else None
    if best is None or best.sureness < SURE_ENOUGH:
        raise DataError(f"no built-in segmenter surely suits this image:\n{_listed(proposals)}\n{_NAME_ONE}")
    others = [one for one in proposals[1:] if best.sureness - one.sureness < FAR_ENOUGH]
    if others:
        raise DataError(f"more than one built-in segmenter may suit this image:\n{_listed(proposals)}\n{_NAME_ONE}")
    return best


_NAME_ONE = "If you know that one of them suits, name it with --bundle"


def _listed(proposals: Sequence[Proposal]) -> str:
    return "\n".join(f"  {one.name} ({one.sureness:.0%}): {'; '.join(one.reasons)}" for one in proposals)


# --- what is compared -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Finding:
    """A reason, and what it does to the sureness."""

    factor: float
    reason: str


def _judge(name: str, bundle: Bundle, facts: ImageFacts) -> Proposal:
    suited = bundle.card.suited
    if suited is None:
        return Proposal(name, 0.0, ("its card doesn't say which images it is for",))
    found = [*_of_plan(bundle, facts)]
    if not found:  # lengths of 2D and 3D, or of mm and pixels, can't be compared
        found = [*_of_values(suited, facts), *_of_places(suited, facts)]
    against = [one for one in found if one.factor == 0]
    if against:
        return Proposal(name, 0.0, tuple(one.reason for one in against))
    sureness = _AT_BEST * float(np.prod([one.factor for one in found]))
    return Proposal(name, round(sureness, 3), tuple(one.reason for one in found))


def _of_plan(bundle: Bundle, facts: ImageFacts) -> Iterator[_Finding]:
    """What rules it out at once."""
    plan = bundle.plan
    if facts.ndim != plan.ndim:
        yield _Finding(0, f"it is for {plan.ndim}D images, this is {facts.ndim}D")
    if facts.channels != len(plan.channels):
        wanted = "one channel" if len(plan.channels) == 1 else f"{len(plan.channels)} channels"
        yield _Finding(0, f"it is for images of {wanted}, this has {facts.channels}")
    if plan.calibrated and not facts.calibrated:
        yield _Finding(0, "it needs to know how large a voxel is, and this image doesn't say")
    if facts.calibrated and not plan.calibrated:
        yield _Finding(0, "it is for pictures without a scale, and this image has one")
    if facts.few_values:
        yield _Finding(0, "this image holds few values, or wide places of one: it is a label map, or empty")


def _of_values(suited: Suited, facts: ImageFacts) -> Iterator[_Finding]:
    kinds = " or ".join(suited.modalities)
    if not facts.calibrated:
        yield _Finding(_PICTURE, "a picture without a scale doesn't say what it shows")
    if facts.modality != "OT":
        fits = facts.modality in suited.modalities
        yield _Finding(
            float(fits), f"{facts.modality} suits" if fits else f"it is for {kinds}, this is {facts.modality}"
        )
    elif facts.lowest < _HU_BELOW and "CT" not in suited.modalities:
        yield _Finding(0, f"it is for {kinds}, and values down to {facts.lowest:.0f} are rather those of CT")
    else:
        yield _Finding(_UNKNOWN_KIND, f"the file doesn't say whether it is {kinds}")


def _of_places(suited: Suited, facts: ImageFacts) -> Iterator[_Finding]:
    unit = "mm" if facts.calibrated else "pixels"
    sides = " × ".join(f"{side:.0f}" for side in facts.extent)
    apart = max(_outside_length(side, one) for side, one in zip(facts.extent, suited.extent, strict=True))
    wanted = " × ".join(f"{low:g}–{high:g}" for low, high in suited.extent)
    yield _graded(apart, f"{sides} {unit}", wanted, "its size")
    if suited.spacing_mm is not None and facts.calibrated:
        fine, coarse = facts.spacing_mm
        apart = max(_outside_length(fine, suited.spacing_mm), _outside_length(coarse, suited.spacing_mm))
        yield _graded(apart, f"{fine:.2g}–{coarse:.2g} mm", _words(suited.spacing_mm), "its spacing")
    if suited.dark_sides is not None:
        apart = _outside(facts.dark_sides, suited.dark_sides)
        yield _graded(apart, f"{facts.dark_sides:.2f}", _words(suited.dark_sides), "the dark share of its sides")
    if suited.symmetry is not None:
        apart = _outside(facts.symmetry, suited.symmetry)
        yield _graded(apart, f"{facts.symmetry:.2f}", _words(suited.symmetry), "how alike its left and right are")


def _graded(apart: float, seen: str, wanted: str, what: str) -> _Finding:
    if apart <= 0:
        return _Finding(1, f"{what}, {seen}, suits")
    return _Finding(_DOUBT if apart <= _NEAR else 0, f"{what} is {seen}, and {wanted} would suit")


def _words(one: Range) -> str:
    return f"{one[0]:g}–{one[1]:g}"


def _outside(value: float, one: Range) -> float:
    return max(one[0] - value, value - one[1])


def _outside_length(value: float, one: Range) -> float:
    """How far outside a length is, as a share of the end that it passes."""
    return max((one[0] - value) / one[0] if one[0] else 0.0, (value - one[1]) / one[1])


# --- what is measured -------------------------------------------------------------------------------------------------


def _alike(array: NDArray[Any]) -> float:
    """Share of voxels of any but the commonest value, the background, whose next along the last axis is the same."""
    values, counts = np.unique(array[::2, ::2], return_counts=True)
    here, there = array[..., :-1], array[..., 1:]
    content = here != values[counts.argmax()]
    return float(np.mean((here == there)[content])) if content.any() else 1.0


def _dark_sides(shades: NDArray[Any]) -> float:
    """Share of the left, right, front and back face (of an image in LPS) below a tenth of the range."""
    faces = (shades[0], shades[-1], shades[:, 0], shades[:, -1])
    return float(np.mean(np.concatenate([face.ravel() for face in faces]) < 0.1))


def _symmetry(shades: NDArray[Any]) -> float:
    """The highest correlation of an image in LPS with its mirror image, shifted by up to a third of its width."""
    width = len(shades)
    mirrored = shades[::-1]
    best = -1.0
    for shift in range(-(width // 3), width // 3 + 1):
        one = shades[max(0, shift) : width + min(0, shift)]
        other = mirrored[max(0, -shift) : width + min(0, -shift)]
        spread = float(one.std() * other.std())
        if spread > 0:
            best = max(best, float(np.mean((one - one.mean()) * (other - other.mean()))) / spread)
    return best
