"""Which images a segmenter is for, in facts that any image shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from vesalius.image import Modality

Range = tuple[float, float]
"""The lowest and the highest that suits."""


@dataclass(frozen=True, kw_only=True)
class Suited:
    """Images that a segmenter is for; `vesalius.predict.proposal.propose` compares an image with it.

    Dimension, channels, and whether voxels have a size stand in the plan.

    Args:
        modalities: How they are taken.
        extent: Of each side of the image, from the shortest to the longest: mm, or pixels where these have no size.
        spacing_mm: Of all axes; ``None`` where pixels have no size.
        dark_sides: Share of the left, right, front and back face of the image that is dark: 1 where air is all around,
            little in a box that is cut out of a body; ``None`` where it doesn't matter.
        symmetry: Correlation, -1 to 1, of the image with its mirror image from left to right.

    Raises:
        ValueError: A range is upside down, or a modality unknown.

    Example:
        >>> Suited(modalities=("MR",), extent=((30, 20),))
        Traceback (most recent call last):
        ValueError: a range must be (lowest, highest), not (30.0, 20.0)
    """

    modalities: tuple[Modality, ...]
    extent: tuple[Range, ...]
    spacing_mm: Range | None = None
    dark_sides: Range | None = None
    symmetry: Range | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "modalities", tuple(self.modalities))
        object.__setattr__(self, "extent", tuple(_range(one) for one in self.extent))
        for name in ("spacing_mm", "dark_sides", "symmetry"):
            one = getattr(self, name)
            object.__setattr__(self, name, None if one is None else _range(one))
        known = get_args(Modality)
        if not self.modalities or not set(self.modalities) <= set(known):
            raise ValueError(f"modalities must be some of {', '.join(known)}, not {', '.join(self.modalities)}")


def suited_to_json(suited: Suited) -> dict[str, Any]:
    """Plain values, without what doesn't matter."""
    plain = {name: value for name, value in suited.__dict__.items() if value is not None}
    return {name: [list(one) if isinstance(one, tuple) else one for one in value] for name, value in plain.items()}


def suited_from_json(raw: Any) -> Suited:
    """The facts from plain values.

    Raises:
        TypeError, ValueError: They are something else.
    """
    if not isinstance(raw, Mapping):
        raise TypeError("suited, the images that a segmenter is for, must be facts by name")
    return Suited(**raw)


def _range(raw: Any) -> Range:
    low, high = (float(value) for value in raw)
    if not low <= high:  # so written that NaN fails it, too
        raise ValueError(f"a range must be (lowest, highest), not ({low}, {high})")
    return low, high
