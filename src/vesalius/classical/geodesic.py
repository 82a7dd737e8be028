"""Morphological snakes: contours in 2D and surfaces in 3D that move by steps of erosion and dilation.

They solve the equations of geodesic active contours, and of Chan and Vese, without a signed distance, steadily and in
any number of dimensions. Both work on voxels of one size: an image of other spacing is resampled to the least of its
spacings first, and the result is brought back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.gradients import flatness
from vesalius.classical.isotropic import brought_back, isotropic
from vesalius.classical.start import starting_region, unlike
from vesalius.errors import DataError
from vesalius.image import LabelMap, Volume


def morphological_geodesic(
    image: Volume,
    *,
    seeds: LabelMap | None = None,
    centre_mm: tuple[float, ...] | None = None,
    radius_mm: float | None = None,
    balloon: float = 0.0,
    sigma_mm: float = 1.0,
    edge_slope: float | None = None,
    threshold: float = 0.7,
    smoothing: int = 1,
    iterations: int = 100,
) -> LabelMap:
    """Move a region's boundary to edges: a geodesic active contour by morphology (MorphGAC).

    Args:
        image: One channel, 2D or 3D.
        seeds: The region to start from: one name.
        centre_mm: Instead of seeds, the centre of a ball (a circle in 2D), mm, LPS.
        radius_mm: Its radius, mm, > 0.
        balloon: Where the image is flat the region grows (above 0) or shrinks (below 0); 0 moves it to near edges only.
        sigma_mm: Width of the Gaussian that smooths the image first, mm, ≥ 0. With a balloon no less than the spacing:
            a boundary a voxel thick does not hold it.
        edge_slope: The slope at which the image is half an edge, in its unit by mm, > 0; half of Otsu's threshold of
            the slopes when left out.
        threshold: With a balloon: the boundary stops where the image is less flat than this, 0 (edge) to 1 (flat).
        smoothing: Rounds of smoothing the boundary in each step, ≥ 0.
        iterations: Steps, ≥ 1; the boundary moves by one voxel a step at most.

    Returns:
        The region, under the name of the seeds (``object`` for a ball); it may be empty.

    Raises:
        DataError: There is no start, the image is of one grey value or has several channels, or a number is out of
            range.
        GeometryError: The seeds lie on another grid.

    Example:
        >>> from vesalius.image import Grid
        >>> i, j = np.indices((40, 40)) - 20
        >>> image = Volume((i**2 + j**2 <= 100)[None] * 1.0, Grid.from_spacing((40, 40), (1.0, 1.0)))
        >>> found = morphological_geodesic(image, centre_mm=(20.0, 20.0), radius_mm=4.0, balloon=1.0)
        >>> 280 < found.counts()[1] < 350
        True

    Source: Márquez-Neila, Baumela, Alvarez, IEEE Trans. PAMI 36, 2014, doi:10.1109/TPAMI.2013.106, equal to
    scikit-image's; the equation: Caselles, Kimmel, Sapiro, Int J Computer Vision 22, 1997, doi:10.1023/A:1007979827043.
    Flatness is ``1 / (1 + (slope / edge_slope)²)``.
    """
    if not 0 < threshold < 1:
        raise DataError(f"threshold must be between 0 and 1, not {threshold}")
    _check(smoothing, iterations)
    region, name = starting_region(image.grid, seeds, centre_mm, radius_mm)
    values, inside, spacing_mm = isotropic(image, region)
    unlike(values)
    from scipy.ndimage import binary_dilation, binary_erosion

    flat = flatness(values, spacing_mm, sigma_mm=sigma_mm, edge_slope=edge_slope)
    pull = _gradient(flat)
    whole = np.ones((3,) * flat.ndim, np.bool_)
    open_ground = flat > threshold / abs(balloon) if balloon else np.zeros(flat.shape, np.bool_)

    def step(u: NDArray[np.bool_], box: tuple[slice, ...]) -> NDArray[np.bool_]:
        if balloon:
            blown = binary_dilation(u, whole) if balloon > 0 else binary_erosion(u, whole)
            u = np.where(open_ground[box], blown, u)
        attraction = sum(p[box] * g for p, g in zip(pull, _gradient(u), strict=True))
        made: NDArray[np.bool_] = np.where(attraction == 0, u, attraction > 0)
        return made

    found = _run(inside, step, smoothing, iterations)
    return brought_back(found, image.grid, name)


def morphological_chan_vese(
    image: Volume,
    *,
    seeds: LabelMap | None = None,
    centre_mm: tuple[float, ...] | None = None,
    radius_mm: float | None = None,
    inside_weight: float = 1.0,
    outside_weight: float = 1.0,
    smoothing: int = 1,
    iterations: int = 100,
) -> LabelMap:
    """Move a region's boundary until inside and outside are each of one grey: Chan and Vese by morphology (MorphACWE).

    No edges are needed. `chan_vese` finds the best boundary at once; this one stays near where it starts, and can be
    stopped on the way.

    Args:
        image: One channel, 2D or 3D.
        seeds: The region to start from: one name.
        centre_mm: Instead of seeds, the centre of a ball (a circle in 2D), mm, LPS.
        radius_mm: Its radius, mm, > 0.
        inside_weight: How much it matters that the inside is of one grey, > 0.
        outside_weight: How much it matters that the outside is, > 0.
        smoothing: Rounds of smoothing the boundary in each step, ≥ 0.
        iterations: Steps, ≥ 1; the boundary moves by one voxel a step at most.

    Returns:
        The region, under the name of the seeds (``object`` for a ball); it may be empty.

    Raises:
        DataError: There is no start, the image is of one grey value or has several channels, or a number is out of
            range.
        GeometryError: The seeds lie on another grid.

    Example:
        >>> from vesalius.image import Grid
        >>> i, j = np.indices((40, 40)) - 20
        >>> image = Volume((i**2 + j**2 <= 100)[None] * 1.0, Grid.from_spacing((40, 40), (1.0, 1.0)))
        >>> morphological_chan_vese(image, centre_mm=(20.0, 20.0), radius_mm=4.0, smoothing=0).counts()[1]
        317

    Source: Márquez-Neila, Baumela, Alvarez, IEEE Trans. PAMI 36, 2014, doi:10.1109/TPAMI.2013.106, equal to
    scikit-image's.
    """
    if not (inside_weight > 0 and outside_weight > 0):
        raise DataError(f"the weights must be more than 0, not {inside_weight} and {outside_weight}")
    _check(smoothing, iterations)
    region, name = starting_region(image.grid, seeds, centre_mm, radius_mm)
    values, inside, _ = isotropic(image, region)
    scaled = unlike(values)
    everything = float(scaled.sum())

    def step(u: NDArray[np.bool_], box: tuple[slice, ...]) -> NDArray[np.bool_]:
        there, within = scaled[box], int(u.sum())
        total = float(there.sum(where=u))
        mean = total / max(within, 1), (everything - total) / max(scaled.size - within, 1)
        cost = inside_weight * (there - mean[0]) ** 2 - outside_weight * (there - mean[1]) ** 2
        # Only voxels of the boundary may change.
        edge = sum(np.abs(g) for g in _gradient(u)) * cost
        made: NDArray[np.bool_] = np.where(edge == 0, u, edge < 0)
        return made

    found = _run(inside, step, smoothing, iterations)
    return brought_back(found, image.grid, name)


def _check(smoothing: int, iterations: int) -> None:
    if smoothing < 0 or iterations < 1:
        raise DataError(f"smoothing must be at least 0 and iterations at least 1, not {smoothing} and {iterations}")


def _run(
    inside: NDArray[np.bool_],
    step: Callable[[NDArray[np.bool_], tuple[slice, ...]], NDArray[np.bool_]],
    smoothing: int,
    iterations: int,
) -> NDArray[np.bool_]:
    """Take steps and smooth after each, first from outside and inside in turn, until nothing changes any more.

    Only the box around the region is looked at: nothing happens far from its boundary.
    """
    u, before, rounds = inside, inside, 0
    for done in range(iterations):
        box = _box(u, 3 + 2 * smoothing)
        part = step(u[box], box)
        for _ in range(smoothing):
            part = _infimum(_supremum(part)) if rounds % 2 else _supremum(_infimum(part))
            rounds += 1
        fresh = np.zeros_like(u)
        fresh[box] = part
        # The smoothing alternates, so that what came back after two steps will come back for ever.
        if done and (fresh == before).all():
            return fresh if (iterations - done) % 2 else u
        before, u = u, fresh
    return u


def _box(u: NDArray[np.bool_], margin: int) -> tuple[slice, ...]:
    """The box around a region and some voxels more; of an empty one, the first voxels."""
    found = []
    for axis, length in enumerate(u.shape):
        seen = np.flatnonzero(u.any(axis=tuple(a for a in range(u.ndim) if a != axis)))
        low, high = (int(seen[0]), int(seen[-1])) if seen.size else (0, 0)
        found.append(slice(max(low - margin, 0), min(high + margin + 1, length)))
    return tuple(found)


def _gradient(values: NDArray[np.generic]) -> list[NDArray[np.float64]]:
    """Central differences along each axis, one-sided at the border; 0 where there is but one voxel."""
    wide = values.astype(np.float64)
    return [np.gradient(wide, axis=a) if n > 1 else np.zeros_like(wide) for a, n in enumerate(values.shape)]


def _elements(axes: int) -> Iterator[list[tuple[int, ...]]]:
    """Offsets of the 3-pixel lines through a pixel in 2D, of the 9-voxel planes through a voxel in 3D."""
    units = np.eye(axes, dtype=int)
    normals = [*units, *(units[a] + s * units[b] for a, b in combinations(range(axes), 2) for s in (1, -1))]
    offsets = np.stack(np.meshgrid(*[(-1, 0, 1)] * axes, indexing="ij"), -1).reshape(-1, axes)
    for normal in normals:
        yield [tuple(int(x) for x in o) for o in offsets[offsets @ normal == 0]]


def _supremum(u: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The union of the erosions by all elements: what is thinner than a line or plane goes. Outside is empty."""
    padded = np.pad(u, 1)
    made = np.zeros_like(u)
    for element in _elements(u.ndim):
        eroded = u.copy()
        for offset in element:
            eroded &= padded[tuple(slice(1 + o, 1 + o + n) for o, n in zip(offset, u.shape, strict=True))]
        made |= eroded
    return made


def _infimum(u: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The intersection of the dilations by all elements: what is narrower than a line or plane is filled."""
    padded = np.pad(u, 1)
    made = np.ones_like(u)
    for element in _elements(u.ndim):
        dilated = u.copy()
        for offset in element:
            dilated |= padded[tuple(slice(1 + o, 1 + o + n) for o, n in zip(offset, u.shape, strict=True))]
        made &= dilated
    return made
