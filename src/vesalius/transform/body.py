"""Find the body in a CT, and the brain in a T1-like MR: classical masks for preparation, not for measurement."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import LabelMap, Labels, Volume
from vesalius.transform.boxes import positive
from vesalius.transform.components import label_components
from vesalius.transform.morphology import dilated, eroded

Outside = Literal["least", "zero"]
"""What voxels outside a mask become: the image's least value, or 0."""


def body_mask(volume: Volume, *, threshold_hu: float = -400.0, opening_mm: float = 4.0) -> LabelMap:
    """Find the body in a CT: the largest dense piece, its lungs and gut included, the table not.

    Args:
        volume: A CT in HU, 2D (one slice) or 3D, one channel.
        threshold_hu: Above it is body: between air (-1000) and fat (-100).
        opening_mm: What is thinner than twice this is cut off first: the table, sheets, tubes; ≥ 0.

    Returns:
        The label ``body`` on the image's grid; empty when nothing is above the threshold.

    Raises:
        DataError: There are several channels, or a setting is out of range.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.full((1, 40, 40), -1000, np.int16)
        >>> array[0, 8:28, 8:32] = 50
        >>> array[0, 14:20, 14:20] = -850  # lung
        >>> array[0, 34:36, 4:36] = 200  # table
        >>> body_mask(Volume(array, Grid.from_spacing((40, 40), (2.0, 2.0)))).counts()
        {0: 1120, 1: 480}

    Source: threshold, opening, largest component, holes filled slice by slice: common practice. Its limits: what
    lies on the skin (casts, thick blankets) stays, an arm that touches nothing goes.
    """
    channel = _only(volume, "a body mask")
    if not (np.isfinite(opening_mm) and opening_mm >= 0):
        raise DataError(f"opening_mm must be 0 or more, not {opening_mm}")
    dense = channel > threshold_hu
    # Distances are worked out on voxels of half the opening: what is kept of the image is decided by its own.
    step = [max(1, int(opening_mm / (2 * s))) for s in volume.grid.spacing_mm]
    spacing = tuple(n * s for n, s in zip(step, volume.grid.spacing_mm, strict=True))
    coarse = dense[tuple(slice(None, None, n) for n in step)]
    core = eroded(coarse, spacing, opening_mm)
    if not core.any():
        core = coarse
    # Half as far again: a corner lies farther from the core than a side, by √2.
    near = dilated(_largest(core), spacing, 1.5 * opening_mm)
    for axis, n in enumerate(step):
        near = np.repeat(near, n, axis=axis)
    inside = near[tuple(slice(0, n) for n in dense.shape)] & dense
    return _as_mask(volume, _filled(_largest(inside), volume), "body")


def brain_mask(volume: Volume, *, erosion_mm: float = 5.0, closing_mm: float = 6.0) -> LabelMap:
    """Find the brain in a T1-like MR of the head with classical means.

    It is made for adult heads with fat saturation or not, T1-weighted, seen whole, with little bias (run `n4` before).
    It leaves some dura and vessels, cuts thin gyri, and fails where brain and scalp touch over wide areas, after
    surgery, in infants, and on T2 or FLAIR. Look at what it makes; for measurement take a trained segmenter.

    Args:
        volume: 3D, one channel.
        erosion_mm: How far the bright tissue is eroded until brain and scalp come apart, mm, > 0.
        closing_mm: Sulci narrower than twice this are closed at the end, mm, ≥ 0.

    Returns:
        The label ``brain`` on the image's grid; empty in a flat image.

    Raises:
        DataError: The image is 2D or has several channels, or a setting is out of range.

    Example:
        >>> from vesalius.image import Grid
        >>> r = np.linalg.norm(np.mgrid[-30:31, -30:31, -30:31], axis=0)
        >>> head = np.select([r < 20, r < 24, r < 28], [100.0, 10.0, 180.0], 0.0)  # brain, skull, scalp
        >>> mask = brain_mask(Volume(head[None], Grid.from_spacing(head.shape, (3.0, 3.0, 3.0))))
        >>> bool((mask.array[r < 18] == 1).all() and (mask.array[r > 22] == 0).all())
        True

    Source: own composition: the brain's median as in BET (see `_middle_value`), thresholds at half and twice of it,
    erosion by distance, the most central large component, dilation within the tissue, closing and filling, in the
    manner of Brummer et al., IEEE TMI 12(2), 1993, doi:10.1109/42.232244.
    """
    from scipy.ndimage import binary_fill_holes

    channel = _only(volume, "a brain mask")
    if channel.ndim != 3:
        raise DataError("a brain mask needs a 3D image: in one slice, brain and scalp cannot be told apart")
    positive(erosion_mm=erosion_mm)
    if not (np.isfinite(closing_mm) and closing_mm >= 0):
        raise DataError(f"closing_mm must be 0 or more, not {closing_mm}")
    spacing = volume.grid.spacing_mm
    low, high = np.percentile(channel, [2, 99])
    if high <= low:
        return _as_mask(volume, np.zeros(channel.shape, np.bool_), "brain")
    values = np.clip(channel, low, high).astype(np.float32)
    grey = _middle_value(values, spacing)
    # Between fluid and grey matter, and below fat, so that the scalp's has less to hold on to.
    tissue = (values > low + 0.5 * (grey - low)) & (values < low + 2 * (grey - low))
    core = _central(eroded(tissue, spacing, erosion_mm), spacing)
    brain = dilated(core, spacing, erosion_mm + max(spacing) / 2) & tissue
    brain = _largest(brain)
    if closing_mm and brain.any():
        brain = eroded(dilated(brain, spacing, closing_mm), spacing, closing_mm) | brain
    return _as_mask(volume, np.asarray(binary_fill_holes(brain), np.bool_), "brain")


def body(
    volume: Volume, *, threshold_hu: float = -400.0, opening_mm: float = 4.0, outside: Outside = "least"
) -> Volume:
    """Blank what lies outside the body in a CT; see `body_mask`.

    Args:
        volume: A CT in HU, one channel.
        threshold_hu: Above it is body.
        opening_mm: What is thinner than twice this is cut off first, ≥ 0.
        outside: What voxels outside become: the image's ``"least"`` value, or ``"zero"``.

    Raises:
        DataError: As `body_mask`.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.full((1, 9, 9), -900, np.int16)
        >>> array[0, 2:7, 2:7], array[0, 0, 0] = 40, 300
        >>> body(Volume(array, Grid.from_spacing((9, 9), (2.0, 2.0)))).array[0, 0, 0]
        np.int16(-900)
    """
    return _blanked(volume, body_mask(volume, threshold_hu=threshold_hu, opening_mm=opening_mm), outside)


def brain(volume: Volume, *, erosion_mm: float = 5.0, closing_mm: float = 6.0, outside: Outside = "zero") -> Volume:
    """Blank what lies outside the brain in a T1-like MR; see `brain_mask` and its limits.

    Args:
        volume: 3D, one channel.
        erosion_mm: How far the bright tissue is eroded until brain and scalp come apart, mm, > 0.
        closing_mm: Sulci narrower than twice this are closed, mm, ≥ 0.
        outside: What voxels outside become: ``"zero"``, or the image's ``"least"`` value.

    Raises:
        DataError: As `brain_mask`.

    Example:
        >>> from vesalius.image import Grid
        >>> r = np.linalg.norm(np.mgrid[-30:31, -30:31, -30:31], axis=0)
        >>> head = np.select([r < 20, r < 24, r < 28], [100.0, 10.0, 180.0], 5.0)
        >>> made = brain(Volume(head[None], Grid.from_spacing(head.shape, (3.0, 3.0, 3.0)))).array[0]
        >>> float(made[30, 30, 30]), float(made[30, 30, 4]), float(made[0, 0, 0])
        (100.0, 0.0, 0.0)
    """
    return _blanked(volume, brain_mask(volume, erosion_mm=erosion_mm, closing_mm=closing_mm), outside)


def _blanked(volume: Volume, mask: LabelMap, outside: Outside) -> Volume:
    if outside not in ("least", "zero"):
        raise DataError(f"outside must be 'least' or 'zero', not {outside!r}")
    value = volume.array.min() if outside == "least" else volume.array.dtype.type(0)
    return volume.with_array(np.where(mask.array == 1, volume.array, value))


def _only(volume: Volume, what: str) -> NDArray[Any]:
    if volume.channels != 1:
        raise DataError(f"{what} is found in one channel, and the image has {volume.channels}: choose one with grey")
    channel: NDArray[Any] = volume.array[0]
    return channel


def _as_mask(volume: Volume, inside: NDArray[np.bool_], name: str) -> LabelMap:
    return LabelMap(inside.astype(np.uint8), volume.grid, Labels.of({name: 1}))


def _middle_value(values: NDArray[np.float32], spacing: tuple[float, ...]) -> float:
    """The median in a ball in the middle of the head, of half its radius: brain, in whatever units.

    Source: Smith, Human Brain Mapping 17(3), 2002, doi:10.1002/hbm.10062 (BET), its robust range and median.
    """
    low, high = float(values.min()), float(values.max())
    head = values > low + 0.1 * (high - low)
    places = np.argwhere(head) * np.asarray(spacing)
    centre = np.average(places, axis=0, weights=values[head])
    radius = (3 * len(places) * float(np.prod(spacing)) / (4 * np.pi)) ** (1 / 3)
    near = np.linalg.norm(places - centre, axis=1) < radius / 2
    return float(np.median(values[head][near])) if near.any() else float(np.median(values[head]))


def _largest(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    pieces, sizes = label_components(inside, connectivity=1)
    return pieces == 1 + int(sizes.argmax()) if sizes.size else inside


def _central(inside: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.bool_]:
    """The piece with the most voxels, each counting less the farther it is from the centre of what is inside."""
    pieces, sizes = label_components(inside, connectivity=1)
    if sizes.size < 2:
        return inside
    places = np.argwhere(inside) * np.asarray(spacing)
    far = np.linalg.norm(places - places.mean(axis=0), axis=1)
    weights = np.bincount(pieces[inside], 1 / (1 + (far / np.median(far)) ** 4), minlength=sizes.size + 1)
    return np.asarray(pieces == int(weights.argmax()), np.bool_)


def _filled(inside: NDArray[np.bool_], volume: Volume) -> NDArray[np.bool_]:
    """Holes filled, also those that are open only at the first and last slice: slice by slice from feet to head."""
    from scipy.ndimage import binary_fill_holes, generate_binary_structure

    plane = generate_binary_structure(2, 1)
    if volume.grid.ndim == 3:
        plane = np.expand_dims(plane, volume.grid.nearest_axes()[0].index(2))
    return np.asarray(binary_fill_holes(inside, structure=plane), np.bool_)
