"""Livewire: a person clicks a few points on a boundary, and the shortest way along edges joins them."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.classical.extra import needed
from vesalius.classical.gradients import flatness
from vesalius.classical.start import unlike
from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import Grid, LabelMap, Labels, Volume

Unit = Literal["mm", "index"]
"""What the coordinates of clicked points are."""


def livewire(
    image: Volume,
    *,
    points: tuple[float, ...],
    unit: Unit = "mm",
    name: str = "object",
    length_weight: float = 0.05,
    sigma_mm: float = 1.0,
    edge_slope: float | None = None,
    axis: int = 2,
) -> LabelMap:
    """Close a contour through clicked points, along edges, and fill it.

    In 3D every slice that points lie on gets a contour of its own, and the slices between stay empty.

    Args:
        image: One channel, 2D or 3D.
        points: The coordinates of the points one after the other, in the order in which the contour runs: x, y, x, y, …
            (in 3D x, y, z, …). At least 3 points on each slice.
        unit: ``"mm"`` (LPS) or ``"index"``.
        name: What the contour bounds.
        length_weight: What a mm costs on the steepest edge, against 1 more where the image is flat, > 0. More makes the
            way straighter.
        sigma_mm: Width of the Gaussian that smooths the slice first, mm, ≥ 0.
        edge_slope: The slope at which the image is half an edge, in its unit by mm, > 0; half of Otsu's threshold of
            the slopes of the slice when left out.
        axis: In 3D: the axis across the slices, 0, 1 or 2.

    Returns:
        What the contours enclose.

    Raises:
        DataError: A point lies outside, a slice has fewer than 3, the contour encloses nothing, the image is of one
            grey value or has several channels, or a number is out of range.
        VesaliusError: The unit is unknown.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> i, j = np.indices((40, 40)) - 20
        >>> image = Volume((i**2 + j**2 <= 100)[None] * 1.0, Grid.from_spacing((40, 40), (1.0, 1.0)))
        >>> found = livewire(image, points=(10.0, 20.0, 20.0, 30.0, 30.0, 20.0, 20.0, 10.0))
        >>> 270 < found.counts()[1] < 350
        True

    Source: Mortensen, Barrett, Graphical Models and Image Processing 60, 1998, doi:10.1006/gmip.1998.0480. The cost of
    a mm is that of their gradient term, ``length_weight + 1 / (1 + (slope / edge_slope)²)``, over 8 neighbours; their
    terms for zero crossings and directions are not used.
    """
    if unit not in get_args(Unit):
        raise VesaliusError(unknown_name("unit", unit, get_args(Unit)))
    if not (math.isfinite(length_weight) and length_weight > 0) or axis not in (0, 1, 2) or not name:
        raise DataError(
            "livewire needs a name, a length_weight above 0 and an axis of 0, 1 or 2, not "
            f"{name!r}, {length_weight} and {axis}"
        )
    clicked = _clicked(image.grid, points, unit)
    values = np.asarray(only_channel(image), np.float64)
    unlike(values)
    array = np.zeros(image.grid.shape, np.uint8)
    if image.grid.ndim == 2:
        array[_enclosed(values, clicked, image.grid.spacing_mm, length_weight, sigma_mm, edge_slope)] = 1
    else:
        spacing_mm = tuple(s for a, s in enumerate(image.grid.spacing_mm) if a != axis)
        slices, drawn = np.moveaxis(values, axis, 0), np.moveaxis(array, axis, 0)
        for number in np.unique(clicked[:, axis]):
            flat = np.delete(clicked[clicked[:, axis] == number], axis, axis=1)
            if len(flat) < 3:
                raise DataError(f"slice {number} has {len(flat)} of the points: a contour needs at least 3")
            found = _enclosed(slices[number], flat, spacing_mm, length_weight, sigma_mm, edge_slope)
            drawn[number][found] = 1
    return LabelMap(array, image.grid, Labels.of({name: 1}))


def _clicked(grid: Grid, points: tuple[float, ...], unit: Unit) -> NDArray[np.intp]:
    """The voxels of the points, ``(n, axes)``."""
    axes = grid.ndim
    if len(points) % axes or len(points) < 3 * axes or not np.isfinite(points).all():
        raise DataError(
            f"points must be the {axes} coordinates of at least 3 points one after the other, finite, and are "
            f"{len(points)} numbers"
        )
    given = np.asarray(points, np.float64).reshape(-1, axes)
    at: NDArray[np.intp] = np.rint(grid.to_index(given) if unit == "mm" else given).astype(np.intp)
    for number, (index, point) in enumerate(zip(at, given, strict=True), 1):
        if (index < 0).any() or (index >= grid.shape).any():
            shown = ", ".join(f"{x:g}" for x in point)
            raise DataError(f"point {number} at ({shown}) {unit} lies outside the image of shape {grid.shape}")
    return at


def _enclosed(
    picture: NDArray[np.float64],
    clicked: NDArray[np.intp],
    spacing_mm: tuple[float, ...],
    length_weight: float,
    sigma_mm: float,
    edge_slope: float | None,
) -> NDArray[np.bool_]:
    """What the cheapest closed way through points of a slice encloses."""
    cost = length_weight + flatness(picture, spacing_mm, sigma_mm=sigma_mm, edge_slope=edge_slope)
    graph = needed("skimage.graph")
    way: list[tuple[int, int]] = []
    for start, end in zip(clicked, np.roll(clicked, -1, axis=0), strict=True):
        search = graph.MCP_Geometric(cost, fully_connected=True, sampling=spacing_mm)
        search.find_costs([tuple(start)], [tuple(end)])
        way += search.traceback(tuple(end))[:-1]
    corners = np.asarray(way or clicked, np.float64)
    after = np.roll(corners, -1, axis=0)
    # The area of the polygon: a way there and back has none.
    if abs(float((corners[:, 0] * after[:, 1] - after[:, 0] * corners[:, 1]).sum())) < 1.0:
        raise DataError("the contour through these points encloses nothing: click points around the object, in order")
    found: NDArray[np.bool_] = needed("skimage.draw").polygon2mask(picture.shape, corners)
    return found
