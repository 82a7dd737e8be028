"""The lungs in a CT of the chest: left and right apart, the airways taken out, nodules at the pleura kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.airways import grow_airways
from vesalius.classical.channel import only_channel
from vesalius.classical.enclosed import enclosed_masses
from vesalius.errors import DataError
from vesalius.image import Code, Label, LabelMap, Labels, Region, Volume
from vesalius.transform import label_components, reorient, resample
from vesalius.transform.morphology import closed, eroded

LUNGS = Labels(
    (
        Label("left lung", 1, (90, 160, 230), Code("SCT", "44029006", "Left lung")),
        Label("right lung", 2, (240, 170, 80), Code("SCT", "3341006", "Right lung")),
        Label("airways", 3, (120, 220, 160), Code("SCT", "44567001", "Trachea")),
    ),
    (Region("lungs", (1, 2)),),
)
"""What `lung_fields` finds."""

_WORK_MM = 2.5  # voxels on which shapes are worked out
_GAS_HU = (-972.0, -955.0)  # quarter and half of gut gas and the air outside are darker; of lung with emphysema not
_SMALLEST = 0.03  # of the largest piece
_SMALLEST_ML = 10.0
_LOWER = 0.4  # of the lungs' height lies below the trachea's fork, at least
_MIDDLE_MM = (2.5, 5.0, 7.5, 10.0, 15.0)  # shrunk so far until left and right come apart
_EVEN = 0.2  # of the larger, at least, is the smaller of two that came apart
_BONE_HU, _SPINE_ML, _SPINE_MM = 200.0, 5.0, 15.0  # so much bone tells the middle; the spine is some 40 mm wide


def lung_fields(
    image: Volume, *, threshold_hu: float = -400.0, closing_mm: float = 10.0, masses: bool = True
) -> LabelMap:
    """Find the lungs in a CT with classical means: thresholds, growing, distances.

    What is dark and not as dark as gas is lung; trachea and main bronchi are grown from a dark disc that goes on from
    slice to slice; where left and right touch they are cut at the neck; vessels and nodules within are filled, bays
    narrower than twice ``closing_mm`` (nodules at the pleura, the hilum's vessels) closed, and large masses that lie in
    lung are added. Not for lungs that are consolidated or collapsed throughout: they are not dark.

    Args:
        image: A CT in HU, 3D, one channel. A part of a chest will do, with one lung or two.
        threshold_hu: Below it is lung or air: halfway between lung (-850) and soft tissue (50).
        closing_mm: Bays narrower than twice this belong to the lung, mm, ≥ 0.
        masses: Whether soft tissue more than half of whose surface lies against lung belongs to it: tumours that a
            closing does not reach; see `vesalius.classical.enclosed.enclosed_masses`.

    Returns:
        The labels ``left lung``, ``right lung`` and ``airways``, and the region ``lungs``, on the image's grid. Empty
        where nothing is lung. A lung by itself is left or right by which half of the body it lies in.

    Raises:
        DataError: The image is 2D, has several channels, or is no CT in HU (nothing below -500), or a setting is out of
            range.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.full((1, 100, 70, 40), -1000, np.int16)
        >>> x, y, _ = np.ogrid[-50:50, -35:35, :40]  # x to the patient's left
        >>> array[0, np.broadcast_to((x / 46) ** 2 + (y / 30) ** 2 < 1, array.shape[1:])] = 40
        >>> for side in (-20, 20):
        ...     array[0, np.broadcast_to(((x - side) / 14) ** 2 + (y / 20) ** 2 < 1, array.shape[1:])] = -850
        >>> found = lung_fields(Volume(array, Grid.from_spacing(array.shape[1:], (3.0, 3.0, 3.0))))
        >>> found.array[70, 35, 20], found.array[30, 35, 20], found.array[50, 35, 20]
        (np.uint8(1), np.uint8(2), np.uint8(0))

    Source: threshold, airways, the cut between left and right, closing: Hu, Hoffman and Reinhardt, IEEE TMI 20(6),
    2001, doi:10.1109/42.929615; airways: see `vesalius.classical.airways.grow_airways`. The composition, the removal of
    gas by its darkness and the masses are ours, checked against label maps of TotalSegmentator.
    """
    values = only_channel(image)
    if image.grid.ndim != 3:
        raise DataError("lungs are found in a 3D CT: in one slice, left and right and airways cannot be told apart")
    if not (np.isfinite(closing_mm) and closing_mm >= 0):
        raise DataError(f"closing_mm must be 0 or more, not {closing_mm}")
    if not -900 <= threshold_hu <= -100:
        raise DataError(f"threshold_hu must be -900 to -100, between lung and soft tissue, not {threshold_hu}")
    if values.min() > -500:
        raise DataError("nothing is below -500: lungs are found in a CT in HU, not in an image of other values")
    upright = reorient(image, "LPS")
    spacing = [max(_WORK_MM, s) for s in upright.grid.spacing_mm]
    work = resample(upright, upright.grid.with_spacing(spacing), antialias=True)
    work = work.with_array(np.clip(work.array, -1024, 600))
    spacing_mm = work.grid.spacing_mm
    made = np.zeros(work.grid.shape, np.uint8)
    dark = _dark_pieces(work, threshold_hu)
    if not dark:
        return resample(LabelMap(made, work.grid, LUNGS), image.grid)
    lungs = np.logical_or.reduce(dark)
    middle = _midline(work, lungs)
    airways = grow_airways(work, middle=middle, levels=_upper(lungs))
    sides = _sides(dark, airways, middle, spacing_mm)
    for value, side in sides.items():
        full = _filled(closed(side, spacing_mm, closing_mm))
        made[full & (made == 0)] = value
    if masses:
        mass = enclosed_masses(work, made)
        for value in sides:
            if (mass == value).any():
                full = _filled(closed((made == value) | (mass == value), spacing_mm, closing_mm / 2))
                made[full & (made == 0)] = value
    made[airways] = 3
    return resample(LabelMap(made, work.grid, LUNGS), image.grid, interpolation="label-wise")


def _dark_pieces(work: Volume, threshold_hu: float) -> list[NDArray[np.bool_]]:
    """What is dark but not gas: the lungs, perhaps with the airways."""
    values = work.array[0]
    pieces, sizes = label_components(values < threshold_hu, connectivity=1)
    dark: list[tuple[int, NDArray[np.bool_]]] = []
    for number in 1 + np.flatnonzero(sizes * work.grid.voxel_volume_mm3 / 1000 >= _SMALLEST_ML):
        piece = pieces == number
        if (np.percentile(values[piece], (25, 50)) > _GAS_HU).all():
            dark.append((int(sizes[number - 1]), piece))
    most = max((size for size, _ in dark), default=0)
    return [piece for size, piece in dark if size >= _SMALLEST * most]


def _sides(
    dark: list[NDArray[np.bool_]], airways: NDArray[np.bool_], middle: float, spacing: tuple[float, ...]
) -> dict[int, NDArray[np.bool_]]:
    """The dark tissue of the left (1) and the right (2) lung."""
    parts: list[NDArray[np.bool_]] = []
    for piece in dark:
        if (lung := piece & ~airways).any():
            parts += _apart(lung, spacing)
    centres = [float(np.argwhere(part)[:, 0].mean()) for part in parts]
    two = sorted(range(len(parts)), key=lambda n: -int(parts[n].sum()))[:2]
    if len(two) == 2 and min(centres[n] for n in two) < middle < max(centres[n] for n in two):
        middle = sum(centres[n] for n in two) / 2  # what lies between the lungs is better known than the body's middle
    sides: dict[int, NDArray[np.bool_]] = {}
    for part, centre in zip(parts, centres, strict=True):
        value = 1 if centre > middle else 2  # x runs to the patient's left
        sides[value] = sides[value] | part if value in sides else part
    return sides


def _upper(lungs: NDArray[np.bool_]) -> slice:
    """The levels at which a trachea can begin: above the lower part of the lungs."""
    levels = np.flatnonzero(lungs.any(axis=(0, 1)))
    return slice(int(levels[0] + _LOWER * np.ptp(levels)), None)


def _midline(work: Volume, lungs: NDArray[np.bool_]) -> float:
    """The index towards the left at which the spine stands, where behind the lungs most bone is; else the body's."""
    from scipy.ndimage import gaussian_filter1d

    values = work.array[0]
    behind = round(float(np.argwhere(lungs)[:, 1].mean()))
    bone = (values[:, behind:] > _BONE_HU).sum(axis=(1, 2))
    if bone.sum() * work.grid.voxel_volume_mm3 / 1000 >= _SPINE_ML:
        return float(
            gaussian_filter1d(bone.astype(np.float64), _SPINE_MM / work.grid.spacing_mm[0], mode="constant").argmax()
        )
    body = np.flatnonzero((values > -200).any(axis=(1, 2)))
    return float(body.mean()) if body.size else values.shape[0] / 2


def _apart(part: NDArray[np.bool_], spacing: tuple[float, ...]) -> list[NDArray[np.bool_]]:
    """A piece cut in two at its neck, if it has two halves of like size beside each other; else the piece."""
    from scipy.ndimage import distance_transform_edt

    across = np.flatnonzero(part.any(axis=(1, 2)))
    if np.ptp(across) * spacing[0] < 160:  # one lung is narrower
        return [part]
    for radius in _MIDDLE_MM:
        cores, sizes = label_components(eroded(part, spacing, radius), connectivity=1)
        if sizes.size < 2:
            continue
        first, second = (int(n) for n in 1 + np.argsort(sizes)[::-1][:2])
        if sizes[second - 1] < _EVEN * sizes[first - 1]:
            continue
        marks = np.where(cores == first, 1, np.where(cores == second, 2, 0))
        nearest = distance_transform_edt(marks == 0, sampling=spacing, return_distances=False, return_indices=True)
        owner = marks[tuple(nearest)]
        return [part & (owner == 1), part & (owner == 2)]
    return [part]


def _filled(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_fill_holes

    return np.asarray(binary_fill_holes(inside), np.bool_)
