"""Which of several customs an image is prepared by, so that networks of others see what they were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from vesalius.errors import PlanError, unknown_name
from vesalius.plan.topology import ANISOTROPY

Orientation = Literal["LPS", "RAS", "stored"]
Extent = Literal["centred", "filled", "anchored"]
ThroughPlane = Literal["image", "image_and_scores", "neither"]
WindowWeight = Literal["gaussian", "gaussian_upper", "constant"]
WindowPlaces = Literal["even", "regular"]
"""Windows that are spaced evenly, or by whole steps from the first voxel with the last one pushed back to the end."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """The customs by which an image is brought to the form that the network sees, and its scores back.

    The default is our own. A network that was trained elsewhere says what was done there; see `NNUNET`.

    Args:
        orientation: To which the axes of 3D images are turned; ``"stored"`` for not at all.
        crop: To the ``"content"`` (what is not zero), or ``"none"``.
        normalised: ``"before"`` the image is resampled, or ``"after"``.
        interpolation: Of the image: a cubic spline or straight lines.
        extent: How whole voxels of a new spacing make up for the old extent. ``"centred"``: the spacing holds to the
            letter, about the same middle. ``"filled"``: the extent does, and the spacing gives way; a spline then goes
            on beyond the outer voxels with their values, and stays within the image's range. ``"anchored"``: the first
            voxel stays in its place, and the last is the nearest to the old one.
        through_plane: What is copied from the nearest slice, and not interpolated, along the coarse axis of an
            anisotropic image: only the ``"image"``, also the scores, or ``"neither"``.
        own_spacing: Axes along which each image keeps the spacing that it has.
        window_weight: What weighs the windows where they overlap: a Gaussian about the middle, one about voxel
            ``n // 2``, or nothing.
        window_places: Of the windows.

    Raises:
        PlanError: A word is unknown.

    Example:
        >>> Preparation() == Preparation(orientation="LPS"), NNUNET.extent
        (True, 'filled')
    """

    orientation: Orientation = "LPS"
    crop: Literal["content", "none"] = "content"
    normalised: Literal["before", "after"] = "before"
    interpolation: Literal["cubic", "linear"] = "cubic"
    extent: Extent = "centred"
    through_plane: ThroughPlane = "image"
    own_spacing: tuple[int, ...] = ()
    window_weight: WindowWeight = "gaussian"
    window_places: WindowPlaces = "even"

    def __post_init__(self) -> None:
        object.__setattr__(self, "own_spacing", tuple(self.own_spacing))
        for name, kind in get_type_hints(type(self)).items():
            if name != "own_spacing" and getattr(self, name) not in get_args(kind):
                raise PlanError(unknown_name(f"preparation.{name}", str(getattr(self, name)), get_args(kind)))
        if len(set(self.own_spacing)) != len(self.own_spacing) or not all(0 <= a <= 2 for a in self.own_spacing):
            raise PlanError(f"preparation.own_spacing must be different axes of 0 to 2, not {self.own_spacing}")


NNUNET = Preparation(
    orientation="stored",
    extent="filled",
    through_plane="image_and_scores",
    window_weight="gaussian_upper",
)
"""What nnU-Net v2 does with its default resampling.

Source: nnU-Net 2.8.1, ``DefaultPreprocessor``, ``resample_data_or_seg_to_shape``, ``compute_gaussian`` and
``export_prediction.py``; checked against its predictions."""


def thick_axis(before_mm: Sequence[float], after_mm: Sequence[float]) -> int | None:
    """The axis along which slices are copied rather than mixed when an image goes from one spacing to another.

    It is the coarsest of the first spacing that is anisotropic, of the one before and the one after.

    Args:
        before_mm: Spacing on each axis.
        after_mm: Spacing on each axis.

    Returns:
        None for 2D, where no spacing is more than three times as coarse on one axis as on another, and where two axes
        are equally coarse.

    Example:
        >>> thick_axis((1.0, 1.0, 8.0), (1.5, 1.5, 6.0)), thick_axis((1.0, 1.0, 1.0), (1.0, 4.0, 4.0))
        (2, None)

    Source: nnU-Net v2, ``determine_do_sep_z_and_axis``.
    """
    for spacing in (before_mm, after_mm):
        if len(spacing) == 3 and max(spacing) / min(spacing) > ANISOTROPY:
            coarsest = [axis for axis, s in enumerate(spacing) if max(spacing) / s == 1]
            return coarsest[0] if len(coarsest) == 1 else None
    return None
