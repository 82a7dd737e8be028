"""Smoothing and slopes in millimetres, and the crests of slopes: what the methods share that look for boundaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError

Operator = Literal["central", "prewitt", "sobel"]
"""How a derivative is smoothed across its direction: not, by (1, 1, 1) / 3, or by (1, 2, 1) / 4."""

_ACROSS = {"central": (0.0, 1.0, 0.0), "prewitt": (1 / 3, 1 / 3, 1 / 3), "sobel": (0.25, 0.5, 0.25)}


def smoothed(array: NDArray[Any], spacing_mm: Sequence[float], sigma_mm: float) -> NDArray[np.float64]:
    """Smooth by a Gaussian of one width in space.

    Args:
        array: ``(*shape)``.
        spacing_mm: Of each axis.
        sigma_mm: Standard deviation, mm, ≥ 0; 0 leaves the values as they are.

    Raises:
        DataError: ``sigma_mm`` is negative or not finite.

    Example:
        >>> smoothed(np.array([0, 0, 4, 0, 0]), (2.0,), 0.0).tolist()
        [0.0, 0.0, 4.0, 0.0, 0.0]
    """
    from scipy.ndimage import gaussian_filter

    if not (math.isfinite(sigma_mm) and sigma_mm >= 0):
        raise DataError(f"sigma_mm must be at least 0 mm, not {sigma_mm}")
    values = np.asarray(array, np.float64)
    if sigma_mm == 0:
        return values
    made: NDArray[np.float64] = gaussian_filter(values, [sigma_mm / s for s in spacing_mm], mode="nearest")
    return made


def slopes(
    values: NDArray[np.float64], spacing_mm: Sequence[float], *, operator: Operator = "central"
) -> NDArray[np.float64]:
    """The derivative along each axis, by mm.

    Args:
        values: ``(*shape)``; it goes on beyond its border as it ends.
        spacing_mm: Of each axis.
        operator: How each derivative is smoothed across its direction.

    Returns:
        ``(axes, *shape)``.

    Example:
        >>> slopes(np.array([0.0, 2.0, 4.0]), (0.5,)).tolist()
        [[2.0, 4.0, 2.0]]

    Source: ``scipy.ndimage.sobel`` and ``prewitt``, divided by the sums of their weights and the distance.
    """
    from scipy.ndimage import correlate1d

    made = np.empty((values.ndim, *values.shape))
    for axis in range(values.ndim):
        correlate1d(values, [-0.5 / spacing_mm[axis], 0.0, 0.5 / spacing_mm[axis]], axis, made[axis], mode="nearest")
        if operator != "central":
            for other in range(values.ndim):
                if other != axis:
                    correlate1d(made[axis], _ACROSS[operator], other, made[axis], mode="nearest")
    return made


def steepness(gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    """The length of the gradient, ``(*shape)``, from ``(axes, *shape)``."""
    made: NDArray[np.float64] = np.sqrt(np.einsum("a...,a...->...", gradient, gradient))
    return made


def crests(
    gradient: NDArray[np.float64], spacing_mm: Sequence[float], least: float, *, size: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Where the gradient is steepest along its own direction: non-maximum suppression, in any number of dimensions.

    A voxel is kept when it is no less steep than the two points up and down its gradient's line in space at which that
    line leaves the cube of its neighbours; between voxels steepness is interpolated linearly.

    Args:
        gradient: ``(axes, *shape)``, by mm.
        spacing_mm: Of each axis.
        least: Less steep voxels are not kept, > 0.
        size: `steepness` of the gradient.

    Returns:
        ``(*shape)``.

    Example:
        >>> ramp = slopes(np.array([0.0, 0, 1, 4, 5, 5]), (1.0,))
        >>> crests(ramp, (1.0,), 0.1, size=steepness(ramp)).tolist()
        [False, False, True, True, False, False]

    Source: Canny, IEEE Trans. PAMI 8, 1986, doi:10.1109/TPAMI.1986.4767851; interpolation as in scikit-image, which has
    it in 2D.
    """
    from scipy.ndimage import map_coordinates

    at = np.nonzero(size >= least)
    there = size[at]
    # A direction in space, in voxels; the longest component leads to the next layer of voxels.
    step = np.stack([g[at] / s for g, s in zip(gradient, spacing_mm, strict=True)])
    step /= np.abs(step).max(axis=0, initial=1e-300)
    kept = np.ones(there.size, np.bool_)
    for way in (1.0, -1.0):
        beside = map_coordinates(size, np.stack(at) + way * step, order=1, mode="nearest")
        kept &= beside <= there * (1 + 1e-9)  # both sides of a step that lies between two voxels
    made = np.zeros(size.shape, np.bool_)
    made[tuple(axis[kept] for axis in at)] = True
    return made


def flatness(
    values: NDArray[np.float64], spacing_mm: Sequence[float], *, sigma_mm: float, edge_slope: float | None
) -> NDArray[np.float64]:
    """How flat the image is, from near 0 on edges to 1.

    Args:
        values: ``(*shape)``.
        spacing_mm: Of each axis.
        sigma_mm: Width of the Gaussian that smooths the values first, mm, ≥ 0.
        edge_slope: The slope at which half is left, by mm, > 0; half of Otsu's threshold of the slopes when left out,
            so that what is an edge by it keeps a fifth at most.

    Returns:
        ``1 / (1 + (slope / edge_slope)²)``; 1 for an image of one value.

    Raises:
        DataError: A number is out of range.

    Example:
        >>> flatness(np.array([0.0, 0, 2, 4, 4]), (1.0,), sigma_mm=0.0, edge_slope=2.0).tolist()
        [1.0, 0.8, 0.5, 0.8, 1.0]

    Source: Perona, Malik, IEEE Trans. PAMI 12, 1990, doi:10.1109/34.56205, equation 6; as edge indicator Caselles,
    Kimmel, Sapiro, Int J Computer Vision 22, 1997, doi:10.1023/A:1007979827043.
    """
    if edge_slope is not None and not edge_slope > 0:
        raise DataError(f"edge_slope must be more than 0, not {edge_slope}")
    size = steepness(slopes(smoothed(values, spacing_mm, sigma_mm), spacing_mm))
    if edge_slope is None:
        most = float(size.max())
        edge_slope = otsu_of(size) / 2.0 if most > 0 else 1.0
        edge_slope = max(edge_slope, 1e-9 * most)
    made: NDArray[np.float64] = 1.0 / (1.0 + (size / edge_slope) ** 2)
    return made


def otsu_of(values: NDArray[np.float64]) -> float:
    """The threshold that parts values into the two groups that differ most.

    Args:
        values: Any shape, not all of them alike.

    Returns:
        The middle of the last bin of the lower group, of 256.

    Example:
        >>> otsu_of(np.array([0.0, 0.1, 0.9, 1.0])) < 0.9
        True

    Source: Otsu, IEEE Trans. SMC 9, 1979, doi:10.1109/TSMC.1979.4310076.
    """
    counts, edges = np.histogram(values, bins=256)
    middles = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts)[:-1], counts.sum()
    sums = np.cumsum(counts * middles)
    low, high = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(total - below, 1)
    return float(middles[int(np.argmax(below * (total - below) * (low - high) ** 2))])
