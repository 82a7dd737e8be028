"""Bring an image to the form that the network sees, as the plan says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError, unknown_name
from vesalius.image import Grid, LabelMap, Volume
from vesalius.plan.plan import Plan
from vesalius.plan.preparation import Extent, thick_axis
from vesalius.plan.regions import painted_values
from vesalius.transform import Interpolation, crop_to_content, normalise, reorient, resample, respace
from vesalius.transform.stretch import anchor, stretch

IGNORE = -1
"""Class of a voxel that nobody looked at: it counts in no loss."""
Image = TypeVar("Image", Volume, LabelMap)
_MOST_VALUES = 1 << 34  # 64 GiB of float32: more than one image can be


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the network sees of an image.

    Args:
        array: ``(c, *grid.shape)``, float32, normalised.
        grid: Where its voxels are: axes turned as the plan says, cropped to the content, at the plan's spacing.
        canonical: The whole image's grid with its axes turned, to which a result is brought back.
        thick_axis: The axis along which the scores are not interpolated on the way back, but copied from the nearest
            slice; mostly none.
    """

    array: NDArray[np.float32]
    grid: Grid
    canonical: Grid
    thick_axis: int | None = None


def prepare(image: Volume, plan: Plan, *, channels: Sequence[str] | None = None) -> Prepared:
    """Turn to LPS, crop to the content, normalise, bring to the plan's spacing; or as ``plan.preparation`` says.

    Because the turn comes first, an image and its flipped or permuted copy give the same array (unless the plan takes
    images as they are stored).

    Args:
        image: Any image with the plan's channels, or some of them.
        plan: What the network was trained for.
        channels: Which of the plan's channels the image holds, in its order; all of them, in the plan's order, when
            left out. Those that are missing become 0, which is the mean of what was normalised, and have no part in
            the crop.

    Returns:
        The prepared image, with all of the plan's channels in the plan's order.

    Raises:
        DataError: The image has other channels than the plan, or no physical spacing where the plan needs one.
        GeometryError: The image has another number of dimensions.

    Source: nnU-Net normalises before it resamples, with splines of order 3 (order 0 through thick slices).
    """
    held = _places_of(plan.channels if channels is None else channels, plan)
    if image.grid.ndim != plan.ndim:
        raise GeometryError(f"the image is {image.grid.ndim}D and the plan is for {plan.ndim}D")
    if image.channels != len(held):
        told = ", ".join(plan.channels) if channels is None else f"{', '.join(channels)}, as was said"
        raise DataError(f"the image has {image.channels} channels; the plan needs {told}")
    if plan.calibrated and not image.meta.calibrated:
        raise DataError("the image has no physical spacing, which this plan needs: give a format that carries one")
    how, schemes = plan.preparation, [plan.normalisation[place] for place in held]
    turned = turn(image, plan)
    content = turned if how.crop == "none" else crop_to_content(turned)
    if how.normalised == "before":
        scaled = _respaced(normalise(content, schemes), plan)
    else:
        scaled = normalise(_respaced(content, plan), schemes)
    array = np.ascontiguousarray(scaled.array, dtype=np.float32)
    if held != list(range(len(plan.channels))):
        found = array
        array = np.zeros((len(plan.channels), *found.shape[1:]), np.float32)
        array[held] = found
    thick = None
    if plan.calibrated and how.through_plane == "image_and_scores":
        own = content.grid.spacing_mm
        thick = thick_axis(_target_mm(own, plan), own)
    return Prepared(array, scaled.grid, turned.grid, thick)


def prepare_kinds(kinds: Volume, plan: Plan) -> Prepared:
    """What training sees of a map of kinds, from which images are painted (`vesalius.augment.Generation`).

    Args:
        kinds: Whole numbers, at the plan's spacing.
        plan: With ``augmentation.generation``.

    Returns:
        The same numbers, turned and cropped as `prepare` does with an image.

    Raises:
        DataError: The spacing is another, at which numbers would have to be interpolated; or a number is no kind.
    """
    assert plan.augmentation.generation is not None
    turned = turn(kinds, plan)
    if not np.allclose(turned.grid.spacing_mm, plan.spacing_mm, rtol=1e-3, atol=0):
        raise DataError(f"a map of kinds must have the plan's spacing, {plan.spacing_mm} mm; see vesalius.synth")
    count = plan.augmentation.generation.kinds
    if not (np.isin(turned.array, np.arange(count))).all():
        raise DataError(f"a map of kinds must hold whole numbers of 0 to {count - 1}")
    content = turned if plan.preparation.crop == "none" else crop_to_content(turned)
    return Prepared(np.ascontiguousarray(content.array, dtype=np.float32), content.grid, turned.grid)


def turn(image: Image, plan: Plan) -> Image:
    """Turn the axes of a 3D image as the plan says; nothing is interpolated.

    Args:
        image: As it was read.
        plan: What the network was trained for.
    """
    return image if plan.preparation.orientation == "stored" else reorient(image, plan.preparation.orientation)


def _target_mm(own: Sequence[float], plan: Plan) -> tuple[float, ...]:
    kept = plan.preparation.own_spacing
    return tuple(
        mine if axis in kept else wanted for axis, (mine, wanted) in enumerate(zip(own, plan.spacing_mm, strict=True))
    )


def _respaced(image: Volume, plan: Plan) -> Volume:
    """Bring an image to the plan's spacing, by the plan's customs.

    Raises:
        DataError: It would become larger than any memory.
    """
    if not plan.calibrated:
        return image
    how, own = plan.preparation, image.grid.spacing_mm
    wanted = _target_mm(own, plan)
    through_plane: Interpolation | None = "nearest" if how.through_plane != "neither" else None
    shape = _target_shape(image.grid, wanted, how.extent)
    if image.channels * math.prod(shape) > _MOST_VALUES:
        raise DataError(
            f"at the plan's spacing of {plan.spacing_mm} mm this image of {image.grid.shape} would be one of {shape}: "
            "its spacing or the plan's is wrong"
        )
    if how.extent == "filled":
        thick = None if through_plane is None else thick_axis(own, wanted)
        return stretch(image, shape, interpolation=how.interpolation, thick_axis=thick)
    if np.allclose(own, wanted, rtol=1e-3, atol=0):
        return image
    if how.extent == "centred":
        return respace(image, wanted, interpolation=how.interpolation, through_plane=through_plane)
    return anchor(image, wanted, shape, interpolation=how.interpolation)


def _target_shape(grid: Grid, wanted_mm: Sequence[float], extent: Extent) -> tuple[int, ...]:
    steps = [(n, own, wanted) for n, own, wanted in zip(grid.shape, grid.spacing_mm, wanted_mm, strict=True)]
    if extent == "anchored":
        return tuple(round((n - 1) * own / wanted + 1) for n, own, wanted in steps)
    # In nnU-Net's order of operations: half a voxel is rounded as it is there.
    return tuple(max(1, round(own / wanted * n)) for n, own, wanted in steps)


def _places_of(channels: Sequence[str], plan: Plan) -> list[int]:
    for name in channels:
        if name not in plan.channels:
            raise DataError(unknown_name("channel", name, plan.channels))
    if not channels or len(set(channels)) != len(channels):
        raise DataError(f"name each of the image's channels once, not {list(channels)}")
    return [plan.channels.index(name) for name in channels]


def prepare_reference(reference: LabelMap, grid: Grid, plan: Plan) -> NDArray[np.int16]:
    """Bring a reference to the grid of a prepared image, as class numbers.

    Args:
        reference: On the image's own grid.
        grid: Of the prepared image.
        plan: Names the labels.

    Returns:
        ``(*grid.shape)``: 0 for background, 1 … for the plan's labels in order, `IGNORE` where nobody looked.

    Raises:
        DataError: The reference shows a label that the plan does not know.
    """
    turned = turn(reference, plan)
    moved = turned
    if not turned.grid.is_close(grid, tolerance_mm=0.01 * min(grid.spacing_mm)):
        same_spacing = np.allclose(turned.grid.spacing_mm, grid.spacing_mm, rtol=1e-3, atol=0)
        moved = resample(turned, grid, interpolation="nearest" if same_spacing else "label-wise")
    return to_classes(moved, plan)


def to_classes(reference: LabelMap, plan: Plan) -> NDArray[np.int16]:
    """Replace the values of a reference by class numbers.

    What counts is what a label is called, not its value: the liver may be 1 in the plan and 6 in the reference. See
    `vesalius.image.Labels.places_in`.

    Raises:
        DataError: The reference shows a label that the plan does not know.
    """
    labels = reference.labels
    places = labels.places_in(plan.labels)
    strangers = [label.name for label in labels.labels if label.value not in places]
    if strangers:
        raise DataError(
            f"the plan does not know {', '.join(strangers)}; it segments {', '.join(plan.labels.names)}. Give the "
            "data set's labels the plan's names, or make a plan for this data set"
        )
    table = np.zeros(max(labels.declared) + 1, dtype=np.int16)
    for value, place in places.items():
        table[value] = place + 1
    if labels.ignore is not None:
        table[labels.ignore] = IGNORE
    return np.ascontiguousarray(table[reference.array])


def to_values(classes: NDArray[Any], plan: Plan) -> NDArray[Any]:
    """Replace class numbers by label values, in the smallest unsigned type that holds them."""
    values = (0, *plan.labels.values)
    table = np.asarray(values, dtype=np.uint8 if max(values) < 256 else np.uint16)
    return np.asarray(table[classes])


def memberships(plan: Plan) -> NDArray[np.bool_]:
    """Which classes belong to each output of the network.

    Args:
        plan: Names labels and outputs.

    Returns:
        ``(outputs, labels + 1)``: a row for each of ``plan.outputs``, a column for each class number, background first.
    """
    values = np.asarray((0, *plan.labels.values))
    return np.stack([np.isin(values, output.values) for output in plan.outputs])


def paint(regions_on: NDArray[np.bool_], plan: Plan) -> NDArray[Any]:
    """Paint the regions that are on, later ones over earlier ones, as label values.

    Args:
        regions_on: ``(outputs, *grid)``: where each of ``plan.outputs`` is.
        plan: For regions.

    Returns:
        ``(*grid)``: label values in the smallest unsigned type that holds them; 0 where nothing is on.

    Source: nnU-Net's ``regions_class_order``.
    """
    painted = np.zeros(regions_on.shape[1:], np.uint8 if max(plan.labels.values) < 256 else np.uint16)
    for on, (value, *_) in zip(regions_on, painted_values(plan.outputs), strict=True):
        painted[on] = value
    return painted
