"""Region growing: from seeds to all that hangs together with them and is alike. Each name makes its own label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.classical.seeds import seed_values, without_background
from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Volume
from vesalius.transform import connected_to


def connected_threshold(
    image: Volume,
    *,
    seeds: LabelMap,
    low: float | None = None,
    high: float | None = None,
    tolerance: float | None = None,
    connectivity: int = 1,
) -> LabelMap:
    """Grow from seeds over all voxels that hang together and lie between two values.

    Args:
        image: One channel.
        seeds: Where each name begins; ``"background"`` grows like the others and is 0 in the end.
        low: The least value that is taken, in the image's unit; no bound when left out.
        high: The greatest value that is taken, in the image's unit; no bound when left out.
        tolerance: In place of the two: each name takes what is so near to the values of its seeds, in the image's
            unit, ≥ 0.
        connectivity: Which voxels hang together: 1 those with a common face (in 2D an edge), 2 or 3 also those with a
            common edge or corner.

    Returns:
        The names of the seeds. A seed that is not between the values grows nothing. Where several names come to, the
        one whose seeds' mean is nearer to the voxel's value has it, of equals the one of the lower value.

    Raises:
        DataError: No bound is given, or bounds and a tolerance; no seed of a name is between the values; or the image
            has several channels.
        GeometryError: The seeds lie on another grid, or ``connectivity`` is not 1 to the number of axes.

    Example:
        >>> from vesalius.classical import read_seeds
        >>> image = Volume(np.array([[[5, 6, 1, 5]]]), Grid.from_spacing((1, 4), (1.0, 1.0)))
        >>> connected_threshold(image, seeds=read_seeds("cell=0,0", image.grid), low=4).array.tolist()
        [[1, 1, 0, 0]]

    Source: held to SimpleITK's ``ConnectedThreshold``.
    """
    values = only_channel(image)
    names = seed_values(image.grid, seeds)
    bounds = {name: _bounds(values[seeds.array == name], low, high, tolerance) for name in names}
    grown = {}
    for name, (least, most) in bounds.items():
        inside = (values >= least) & (values <= most)
        marked = seeds.array == name
        if not inside[marked].any():
            found = values[marked]
            word = next(label.name for label in seeds.labels.labels if label.value == name)
            raise DataError(
                f"nothing grows from the seeds of {word!r}: their values are {found.min():g} to {found.max():g}, and "
                f"{least:g} to {most:g} is asked for"
            )
        grown[name] = connected_to(inside, marked, connectivity=connectivity)
    return _shared(values, grown, seeds)


def neighbourhood_connected(
    image: Volume,
    *,
    seeds: LabelMap,
    radius_mm: float,
    low: float | None = None,
    high: float | None = None,
    tolerance: float | None = None,
) -> LabelMap:
    """Grow from seeds over voxels whose whole neighbourhood lies between two values: it does not leak through gaps.

    Args:
        image: One channel.
        seeds: Where each name begins; ``"background"`` grows like the others and is 0 in the end.
        radius_mm: Half the side of the neighbourhood, a box, mm (pixels, on a picture without a scale), ≥ 0; on each
            axis the nearest whole number of voxels.
        low: The least value that is taken, in the image's unit; no bound when left out.
        high: The greatest value that is taken, in the image's unit; no bound when left out.
        tolerance: In place of the two: each name takes what is so near to the values of its seeds, in the image's
            unit, ≥ 0.

    Returns:
        The names of the seeds; the region ends about a radius before its edges. Seeds are always within. Beyond the
        image's edges its outermost voxels go on. Where several names come to, as for `connected_threshold`.

    Raises:
        DataError: As for `connected_threshold`, or the radius is negative.
        GeometryError: The seeds lie on another grid.

    Example:
        >>> from vesalius.classical import read_seeds
        >>> image = Volume(np.array([[[5, 6, 5, 1, 5]]]), Grid.from_spacing((1, 5), (1.0, 1.0)))
        >>> seeds = read_seeds("cell=0,0", image.grid)
        >>> neighbourhood_connected(image, seeds=seeds, radius_mm=1, low=4).array.tolist()
        [[1, 1, 0, 0, 0]]

    Source: held to SimpleITK's ``NeighborhoodConnected``.
    """
    from scipy import ndimage

    values = only_channel(image)
    names = seed_values(image.grid, seeds)
    sides = [2 * reach + 1 for reach in _reach(image.grid, radius_mm)]
    bounds = {name: _bounds(values[seeds.array == name], low, high, tolerance) for name in names}
    grown = {}
    for name, (least, most) in bounds.items():
        inside = (values >= least) & (values <= most)
        inside = ndimage.minimum_filter(inside, sides, mode="nearest")
        marked = seeds.array == name
        grown[name] = connected_to(inside | marked, marked, connectivity=1)
    return _shared(values, grown, seeds)


def confidence_connected(
    image: Volume,
    *,
    seeds: LabelMap,
    multiplier: float = 2.5,
    iterations: int = 4,
    radius_mm: float = 1.0,
) -> LabelMap:
    """Grow from seeds over what is within some standard deviations of the region's mean, and reckon these anew.

    Args:
        image: One channel.
        seeds: Where each name begins; ``"background"`` grows like the others and is 0 in the end.
        multiplier: How many standard deviations from the mean a voxel may be, ≥ 0.
        iterations: How often mean and deviation are reckoned anew from what has grown, ≥ 0.
        radius_mm: The first mean and deviation are those of boxes around the seeds, of this half side, mm (pixels, on
            a picture without a scale), ≥ 0; on each axis the nearest whole number of voxels. With 0 those of the seeds.

    Returns:
        The names of the seeds. Seeds are always within. Where several names come to, as for `connected_threshold`.

    Raises:
        DataError: The multiplier, the iterations or the radius are negative, or the image has several channels.
        GeometryError: The seeds lie on another grid.

    Example:
        >>> from vesalius.classical import read_seeds
        >>> image = Volume(np.array([[[5, 6, 5, 6, 40, 5]]]), Grid.from_spacing((1, 6), (1.0, 1.0)))
        >>> confidence_connected(image, seeds=read_seeds("cell=0,1", image.grid)).array.tolist()
        [[1, 1, 1, 1, 0, 0]]

    Source: held to SimpleITK's ``ConfidenceConnected``.
    """
    values = only_channel(image)
    names = seed_values(image.grid, seeds)
    reach = _reach(image.grid, radius_mm)
    if not (multiplier >= 0 and iterations >= 0):
        raise DataError(
            f"multiplier and iterations must not be negative, as are {multiplier} and {iterations} to grow regions"
        )
    grown = {}
    for name in names:
        marked = seeds.array == name
        mean, spread = _first_guess(values, marked, reach)
        least, most = float(values[marked].min()), float(values[marked].max())
        for turn in range(iterations + 1):
            low, high = min(mean - multiplier * spread, least), max(mean + multiplier * spread, most)
            region = connected_to((values >= low) & (values <= high) | marked, marked, connectivity=1)
            if turn < iterations:
                inside = values[region].astype(np.float64)
                mean, spread = float(inside.mean()), _spread(inside)
        grown[name] = region
    return _shared(values, grown, seeds)


def _first_guess(values: NDArray[Any], marked: NDArray[np.bool_], reach: Sequence[int]) -> tuple[float, float]:
    """Mean and spread before anything has grown: of what the boxes around the seeds hold, together."""
    if not any(reach):
        inside = values[marked].astype(np.float64)
        return float(inside.mean()), _spread(inside)
    boxes = []
    for at in np.argwhere(marked):
        box = [
            np.clip(np.arange(centre - r, centre + r + 1), 0, size - 1)
            for centre, r, size in zip(at, reach, values.shape, strict=True)
        ]
        boxes.append(values[np.ix_(*box)].astype(np.float64).ravel())
    around = np.concatenate(boxes)
    return float(around.mean()), _spread(around)


def _spread(values: NDArray[np.float64]) -> float:
    """Of a sample, as SimpleITK's."""
    return float(values.std(ddof=1)) if values.size > 1 else 0.0


def _bounds(
    values: NDArray[Any], low: float | None, high: float | None, tolerance: float | None
) -> tuple[float, float]:
    if tolerance is not None:
        if low is not None or high is not None or not tolerance >= 0:
            raise DataError("a region grows between low and high, or within a tolerance of at least 0 of its seeds")
        return float(values.min()) - tolerance, float(values.max()) + tolerance
    if low is None and high is None:
        raise DataError("a region needs bounds to grow in: low, high or both, or a tolerance")
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    if least > most:
        raise DataError(f"low ({least:g}) must not exceed high ({most:g})")
    return least, most


def _reach(grid: Grid, radius_mm: float) -> list[int]:
    if not (math.isfinite(radius_mm) and radius_mm >= 0):
        raise DataError(f"the radius must be at least 0 mm, not {radius_mm}")
    return [min(round(radius_mm / spacing), size) for spacing, size in zip(grid.spacing_mm, grid.shape, strict=True)]


def _shared(values: NDArray[Any], grown: dict[int, NDArray[np.bool_]], seeds: LabelMap) -> LabelMap:
    """One label map of the regions of all names."""
    if len(grown) == 1:
        ((name, region),) = grown.items()
        return without_background(np.multiply(region, name, dtype=np.uint16), seeds)
    made = np.zeros(values.shape, np.uint16)
    means = {name: float(values[seeds.array == name].mean()) for name in grown}
    for name, region in grown.items():
        held = made[region]
        claims = held == 0
        if not claims.all():
            inside = values[region].astype(np.float64)
            mine = np.abs(inside - means[name])
            for other, mean in means.items():
                claims |= (held == other) & (mine < np.abs(inside - mean))
        held[claims] = name
        made[region] = held
    for name, region in grown.items():
        made[region & (seeds.array == name)] = name
    return without_background(made, seeds)
