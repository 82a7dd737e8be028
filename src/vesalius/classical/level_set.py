"""Level sets, by SimpleITK: a boundary is where a function is zero, and moves as that function changes.

The boundary splits and merges by itself. What drives it: *propagation* blows it up where the image allows, *curvature*
keeps it smooth, *advection* draws it to edges. ITK's level sets are right on voxels of one size only, so that an image
of other spacing is resampled to the least of its spacings first, and the result is brought back. `fast_marching` knows
spacings and does without.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.classical.extra import needed
from vesalius.classical.gradients import flatness, smoothed
from vesalius.classical.isotropic import brought_back, isotropic
from vesalius.classical.start import starting_region, unlike
from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import LabelMap, Labels, Volume

Inside = Literal["bright", "dark"]
"""Whether an object is brighter or darker than what is around it."""

_BEYOND = 32  # voxels around the start that are looked at first
_NEAR = 16  # voxels within which the image may count for a boundary: its slopes are smoothed by a voxel in all ways
_WHOLE = 0.8  # of an axis: a box that is longer gains nothing
_RESTING = 0.005  # voxels that a boundary moves in a step, on average, when it is done


def threshold_level_set(
    image: Volume,
    *,
    above: float | None = None,
    below: float | None = None,
    seeds: LabelMap | None = None,
    centre_mm: tuple[float, ...] | None = None,
    radius_mm: float | None = None,
    propagation: float = 1.0,
    curvature: float = 0.2,
    iterations: int = 500,
) -> LabelMap:
    """Grow a region over a range of values, with a smooth boundary that does not leak through small gaps.

    Args:
        image: One channel, 2D or 3D.
        above: The least value of the object, in the image's unit. When both bounds are left out they are the mean of
            the start, less and plus 2.5 of its standard deviations (at least a twentieth of the image's range); one
            that is left out alone does not bind.
        below: The greatest value of the object.
        seeds: The region to start from: one name.
        centre_mm: Instead of seeds, the centre of a ball (a circle in 2D), mm, LPS.
        radius_mm: Its radius, mm, > 0.
        propagation: Weight of growing into the range and shrinking out of it, > 0.
        curvature: Weight of smoothness, ≥ 0.
        iterations: The most steps, ≥ 1; the boundary moves by a fraction of a voxel in each.

    Returns:
        The region, under the name of the seeds (``object`` for a ball); it may be empty.

    Raises:
        DataError: There is no start, the image is of one grey value or has several channels, or a number is out of
            range.
        GeometryError: The seeds lie on another grid.
        MissingDependencyError: SimpleITK is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> i, j = np.indices((40, 40)) - 20
        >>> image = Volume((i**2 + j**2 <= 100)[None] * 9.0, Grid.from_spacing((40, 40), (1.0, 1.0)))
        >>> found = threshold_level_set(image, above=5.0, centre_mm=(20.0, 20.0), radius_mm=4.0)
        >>> 300 < found.counts()[1] < 330
        True

    Source: Lefohn, Cates, Whitaker, MICCAI 2003, doi:10.1007/978-3-540-39899-8_70; ITK's
    ThresholdSegmentationLevelSetImageFilter.
    """
    region, name = starting_region(image.grid, seeds, centre_mm, radius_mm)
    values, inside, _ = isotropic(image, region)
    unlike(values)
    if above is None and below is None:
        there = only_channel(image)[region].astype(np.float64)
        reach = max(2.5 * float(there.std()), 0.05 * float(np.ptp(values)))
        above, below = float(there.mean()) - reach, float(there.mean()) + reach
    least, most = float(values.min()), float(values.max())
    # A bound that is not given is so far away that it is never the nearer one.
    low = 2 * least - most if above is None else above
    high = 2 * most - least if below is None else below
    if not low < high:
        raise DataError(f"the range of the object must go up, not from {low:g} to {high:g}: give above and below")
    made = needed("SimpleITK").ThresholdSegmentationLevelSetImageFilter()
    made.SetLowerThreshold(low)
    made.SetUpperThreshold(high)
    # ITK's speed is the distance to the nearer end of the range, in the image's unit; here 1 is half of the range.
    scale = propagation * 2.0 / max(min(high, most) - max(low, least), 1e-6 * (most - least))
    return brought_back(_evolved(made, values, inside, scale, curvature, iterations), image.grid, name)


def geodesic_level_set(
    image: Volume,
    *,
    seeds: LabelMap | None = None,
    centre_mm: tuple[float, ...] | None = None,
    radius_mm: float | None = None,
    propagation: float = 1.0,
    curvature: float = 0.2,
    advection: float = 2.0,
    sigma_mm: float = 1.0,
    edge_slope: float | None = None,
    iterations: int = 800,
) -> LabelMap:
    """Blow up a region until it meets edges: a geodesic active contour.

    Args:
        image: One channel, 2D or 3D.
        seeds: The region to start from: one name.
        centre_mm: Instead of seeds, the centre of a ball (a circle in 2D), mm, LPS.
        radius_mm: Its radius, mm, > 0.
        propagation: Weight of growing where the image is flat; negative shrinks.
        curvature: Weight of smoothness, ≥ 0.
        advection: Weight of what draws the boundary to edges, ≥ 0.
        sigma_mm: Width of the Gaussian that smooths the image first, mm, ≥ 0.
        edge_slope: The slope at which the image is half an edge, in its unit by mm, > 0; half of Otsu's threshold of
            the slopes when left out.
        iterations: The most steps, ≥ 1; the boundary moves by a fraction of a voxel in each.

    Returns:
        The region, under the name of the seeds (``object`` for a ball); it may be empty.

    Raises:
        DataError: There is no start, the image is of one grey value or has several channels, or a number is out of
            range.
        GeometryError: The seeds lie on another grid.
        MissingDependencyError: SimpleITK is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> i, j = np.indices((40, 40)) - 20
        >>> image = Volume((i**2 + j**2 <= 100)[None] * 9.0, Grid.from_spacing((40, 40), (1.0, 1.0)))
        >>> found = geodesic_level_set(image, centre_mm=(20.0, 20.0), radius_mm=4.0)
        >>> 300 < found.counts()[1] < 330
        True

    Source: Caselles, Kimmel, Sapiro, Int J Computer Vision 22, 1997, doi:10.1023/A:1007979827043; ITK's
    GeodesicActiveContourLevelSetImageFilter. Flatness is ``1 / (1 + (slope / edge_slope)²)``.
    """
    region, name = starting_region(image.grid, seeds, centre_mm, radius_mm)
    values, inside, spacing_mm = isotropic(image, region)
    unlike(values)
    if not advection >= 0:
        raise DataError(f"advection must be at least 0, not {advection}")
    flat = flatness(values, spacing_mm, sigma_mm=sigma_mm, edge_slope=edge_slope)
    made = needed("SimpleITK").GeodesicActiveContourLevelSetImageFilter()
    made.SetAdvectionScaling(advection)
    return brought_back(_evolved(made, flat, inside, propagation, curvature, iterations), image.grid, name)


def laplacian_level_set(
    image: Volume,
    *,
    seeds: LabelMap | None = None,
    centre_mm: tuple[float, ...] | None = None,
    radius_mm: float | None = None,
    object_is: Inside = "bright",
    propagation: float = 1.0,
    curvature: float = 0.2,
    sigma_mm: float = 1.0,
    iterations: int = 500,
) -> LabelMap:
    """Move a region's boundary to where the smoothed image bends from one way to the other: to refine a near start.

    Args:
        image: One channel, 2D or 3D.
        seeds: The region to start from: one name.
        centre_mm: Instead of seeds, the centre of a ball (a circle in 2D), mm, LPS.
        radius_mm: Its radius, mm, > 0.
        object_is: Whether the object is ``"bright"`` or ``"dark"`` against what is around it.
        propagation: Weight of the image, > 0.
        curvature: Weight of smoothness, ≥ 0.
        sigma_mm: Width of the Gaussian that smooths the image first, mm, ≥ 0. The boundary is drawn from about so far.
        iterations: The most steps, ≥ 1; the boundary moves by a fraction of a voxel in each.

    Returns:
        The region, under the name of the seeds (``object`` for a ball); it may be empty.

    Raises:
        DataError: There is no start, the image is of one grey value or has several channels, or a number is out of
            range.
        GeometryError: The seeds lie on another grid.
        MissingDependencyError: SimpleITK is not installed.
        VesaliusError: ``object_is`` is unknown.

    Example:
        >>> from vesalius.image import Grid
        >>> i, j = np.indices((40, 40)) - 20
        >>> image = Volume((i**2 + j**2 <= 100)[None] * 9.0, Grid.from_spacing((40, 40), (1.0, 1.0)))
        >>> found = laplacian_level_set(image, centre_mm=(20.0, 20.0), radius_mm=8.0, sigma_mm=2.0)
        >>> 290 < found.counts()[1] < 345
        True

    Source: ITK's LaplacianSegmentationLevelSetImageFilter (Ibáñez et al., The ITK Software Guide, 4.3.3).
    """
    if object_is not in get_args(Inside):
        raise VesaliusError(unknown_name("object_is", object_is, get_args(Inside)))
    region, name = starting_region(image.grid, seeds, centre_mm, radius_mm)
    values, inside, spacing_mm = isotropic(image, region)
    feature = smoothed(unlike(values), spacing_mm, sigma_mm)
    made = needed("SimpleITK").LaplacianSegmentationLevelSetImageFilter()
    # On the bright side of an edge the Laplacian is below 0: there a bright object is to grow.
    made.SetReverseExpansionDirection(object_is == "bright")
    # From -1 to 1, whatever the contrast and the smoothing.
    scale = propagation * _per_bend(feature)
    return brought_back(_evolved(made, feature, inside, scale, curvature, iterations), image.grid, name)


def fast_marching(
    image: Volume,
    *,
    reach_mm: float,
    seeds: LabelMap | None = None,
    centre_mm: tuple[float, ...] | None = None,
    radius_mm: float | None = None,
    sigma_mm: float = 1.0,
    edge_slope: float | None = None,
) -> LabelMap:
    """Let a front run from a start over flat parts and creep over edges; label where it has been in a given time.

    Quick, and a good start for a level set. It leaks where edges have gaps and the time allows.

    Args:
        image: One channel, 2D or 3D.
        reach_mm: How far the front comes where the image is flat, mm, > 0.
        seeds: The region to start from: one name.
        centre_mm: Instead of seeds, the centre of a ball (a circle in 2D), mm, LPS.
        radius_mm: Its radius, mm, > 0.
        sigma_mm: Width of the Gaussian that smooths the image first, mm, ≥ 0.
        edge_slope: The slope at which the front goes at half its speed, in the image's unit by mm, > 0; half of
            Otsu's threshold of the slopes when left out.

    Returns:
        The region, the start included, under the name of the seeds (``object`` for a ball).

    Raises:
        DataError: There is no start, the image is of one grey value or has several channels, or a number is out of
            range.
        GeometryError: The seeds lie on another grid.
        MissingDependencyError: SimpleITK is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> i, j = np.indices((40, 40)) - 20
        >>> image = Volume((i**2 + j**2 <= 100)[None] * 9.0, Grid.from_spacing((40, 40), (1.0, 1.0)))
        >>> found = fast_marching(image, reach_mm=25.0, centre_mm=(20.0, 20.0), radius_mm=4.0)
        >>> 260 < found.counts()[1] < 330
        True

    Source: Sethian, PNAS 93, 1996, doi:10.1073/pnas.93.4.1591; ITK's FastMarchingImageFilter, of first order. The speed
    is ``1 / (1 + (slope / edge_slope)²)``.
    """
    if not (math.isfinite(reach_mm) and reach_mm > 0):
        raise DataError(f"reach_mm must be more than 0, not {reach_mm}")
    region, name = starting_region(image.grid, seeds, centre_mm, radius_mm)
    values = np.asarray(only_channel(image), np.float64)
    unlike(values)
    spacing_mm = image.grid.spacing_mm
    speed = flatness(values, spacing_mm, sigma_mm=sigma_mm, edge_slope=edge_slope)
    made = needed("SimpleITK").FastMarchingImageFilter()
    made.SetTrialPoints(np.argwhere(_border(region)).tolist())
    made.SetStoppingValue(reach_mm)
    arrival = _array(made.Execute(_image(speed, spacing_mm)))
    return LabelMap((arrival <= reach_mm) | region, image.grid, Labels.of({name: 1}))


def _evolved(
    made: Any,
    feature: NDArray[np.float64],
    inside: NDArray[np.bool_],
    propagation: float,
    curvature: float,
    iterations: int,
) -> NDArray[np.bool_]:
    """Run one of ITK's filters on voxels of size 1, from a region."""
    if not (math.isfinite(propagation) and math.isfinite(curvature) and curvature >= 0) or iterations < 1:
        raise DataError(
            "propagation must be finite, curvature at least 0 and iterations at least 1, not "
            f"{propagation}, {curvature} and {iterations}"
        )
    if inside.all() or not inside.any():
        raise DataError("the start is all of the image, or lost when brought to voxels of one size: draw another")
    made.SetPropagationScaling(propagation)
    made.SetCurvatureScaling(curvature)
    made.SetNumberOfIterations(iterations)
    made.SetMaximumRMSError(_RESTING)
    # The boundary looks at voxels beside it only: a box that it stays well within has the same answer as the image.
    found = np.zeros(inside.shape, np.bool_)
    beyond = _BEYOND
    while True:
        box = _box(inside, beyond)
        part: NDArray[np.bool_] = _array(made.Execute(_image(_signed(inside[box])), _image(feature[box]))) < 0
        if not _comes_near(part, box, inside.shape):
            found[box] = part
            return found
        beyond *= 2


def _box(region: NDArray[np.bool_], beyond: int) -> tuple[slice, ...]:
    """The box that holds a region, and so many voxels around it; an axis along which little is left is taken whole."""
    box = []
    for axis, size in enumerate(region.shape):
        there = np.flatnonzero(region.any(axis=tuple(a for a in range(region.ndim) if a != axis)))
        low, high = max(0, int(there[0]) - beyond), min(size, int(there[-1]) + 1 + beyond)
        box.append(slice(low, high) if high - low < _WHOLE * size else slice(0, size))
    return tuple(box)


def _comes_near(found: NDArray[np.bool_], box: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    """Whether a region has come so near to a side of its box that more of the image may count."""
    sides = []
    for axis, (part, size) in enumerate(zip(box, shape, strict=True)):
        layers = np.moveaxis(found, axis, 0)
        sides += [layers[:_NEAR]] if part.start > 0 else []
        sides += [layers[-_NEAR:]] if part.stop < size else []
    return any(bool(side.any()) for side in sides)


def _signed(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The distance to the boundary, negative inside, in voxels."""
    from scipy.ndimage import distance_transform_edt

    made: NDArray[np.float64] = distance_transform_edt(~inside) - distance_transform_edt(inside)
    return made + np.where(inside, 0.5, -0.5)


def _per_bend(feature: NDArray[np.float64]) -> float:
    from scipy.ndimage import laplace

    return 1.0 / max(float(np.abs(laplace(feature, mode="nearest")).max()), 1e-12)


def _border(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Its voxels next to what is not in it: the front needs no others."""
    from scipy.ndimage import binary_erosion

    made: NDArray[np.bool_] = region & ~binary_erosion(region, border_value=0)
    return made


def _image(array: NDArray[np.float64], spacing_mm: tuple[float, ...] | None = None) -> Any:
    # ITK's first index is the fastest in memory; the axes keep their order.
    made = needed("SimpleITK").GetImageFromArray(np.ascontiguousarray(array.T, np.float32))
    if spacing_mm is not None:
        made.SetSpacing(spacing_mm)
    return made


def _array(image: Any) -> NDArray[np.float32]:
    made: NDArray[np.float32] = needed("SimpleITK").GetArrayFromImage(image).T
    return made
