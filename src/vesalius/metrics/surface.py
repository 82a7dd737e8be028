"""How far apart two surfaces are: one measurement of all distances, then the scores over it.

The surface elements are the corners between voxels that the surface runs through, each with its area (see `surfels`);
the distance of an element is that to the nearest element of the other surface. Both are measured once by
`measure_surfaces`, and Hausdorff, HD95, average distance and surface Dice are read off it.

Distances are in the unit of the grid: mm, or pixels for a picture without a physical size.

Both surfaces empty: distance 0, surface Dice 1. One empty: surface Dice 0, and the distance is the diagonal of the
image, the worst that could be.

Source: Nikolov et al., J Med Internet Res 23:e26151 (2021), doi:10.2196/26151 (elements, weights, surface Dice);
the image's diagonal is the penalty of the BraTS evaluation (373.13 mm for 240 x 240 x 155 voxels of 1 mm).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.metrics.elements import find_elements
from vesalius.metrics.nearest import Target, measure_targets
from vesalius.metrics.surfels import surfel_sizes


@dataclass(frozen=True, eq=False)
class Surfaces:
    """How far two surfaces are from one another, and how much of them lies at each distance.

    Elements at the same distance may be put together; all scores are the same then.

    Args:
        reference_distances: ``(r,)``, from elements of the reference to the nearest of the prediction, mm; infinite
            when the prediction has none.
        reference_sizes: ``(r,)``, the area that lies at each, mm² (length in mm in 2D).
        prediction_distances: ``(p,)``, the other way.
        prediction_sizes: ``(p,)``.
        diagonal_mm: Of the image: the distance that stands for "nothing there to compare with".
    """

    reference_distances: NDArray[np.float64]
    reference_sizes: NDArray[np.float64]
    prediction_distances: NDArray[np.float64]
    prediction_sizes: NDArray[np.float64]
    diagonal_mm: float

    @property
    def missing_distance(self) -> float | None:
        """The distance to report where a surface is missing: 0 if both are, the diagonal if one is, else None."""
        reference, prediction = self.reference_sizes.size > 0, self.prediction_sizes.size > 0
        if reference and prediction:
            return None
        return self.diagonal_mm if reference or prediction else 0.0


def measure_surfaces(
    reference: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    *,
    step: NDArray[np.float64],
    diagonal_mm: float,
    ignored: NDArray[np.uint8] | None = None,
) -> Surfaces:
    """Find both surfaces and all distances between them.

    Args:
        reference: 0 and 1, cropped to the box that holds both masks, with a border of zeros one voxel wide. What
            touches the edge of the image is closed there.
        prediction: The same of the prediction.
        step: ``(n, n)``; column k is the way from a voxel to its neighbour along axis k, mm.
        diagonal_mm: Length of the image's diagonal, mm.
        ignored: 1 where nobody knows, padded alike: elements that touch such a voxel are left out of both surfaces.

    Returns:
        The measurement that all surface scores share. Empty masks give empty arrays.

    Example:
        >>> cube = np.pad(np.ones((2, 2, 2), np.uint8), 2)
        >>> apart = measure_surfaces(cube, np.roll(cube, 1, 0), step=np.eye(3), diagonal_mm=10.0)
        >>> hausdorff(apart)
        1.0

    Source: Nikolov et al. (2021). Distances come from steps of the lattice and a k-d tree (see `nearest`) instead of a
    distance transform of the box: the same numbers, for the elements only, and right on sheared grids too.
    """
    border = (slice(1, -1),) * reference.ndim
    pair = [
        side[border] if ignored is None else np.where(ignored[border], 2, side[border])
        for side in (reference, prediction)
    ]
    found = [find_elements(side.astype(np.uint8, copy=False), 3, wanted=(1,), ignored=2) for side in pair]
    target = Target((1,), tuple(slice(0, n) for n in pair[0].shape))
    way, back = measure_targets(found[0], found[1], [target], step=step, sizes=surfel_sizes(step))[0]
    return Surfaces(*way, *back, diagonal_mm)


def hausdorff(surfaces: Surfaces) -> float:
    """Hausdorff distance: the largest distance from any element of either surface to the other.

    One stray voxel decides it; HD95 is the robust form. Both empty: 0; one empty: the image's diagonal.

    Source: Huttenlocher et al., IEEE TPAMI 15:850 (1993), doi:10.1109/34.232073; checked against surface-distance.
    """
    missing = surfaces.missing_distance
    if missing is not None:
        return missing
    return float(max(surfaces.reference_distances.max(), surfaces.prediction_distances.max()))


def hd95(surfaces: Surfaces) -> float:
    """Robust Hausdorff distance: the larger of the two directed 95th percentiles, weighted by area.

    The percentile of each direction is taken by itself, and the larger is reported (surface-distance, Metrics
    Reloaded); MedPy pools both directions first, which never gives more. Both empty: 0; one empty: the diagonal.

    Source: Nikolov et al., J Med Internet Res 23:e26151 (2021), doi:10.2196/26151; checked against surface-distance.
    """
    missing = surfaces.missing_distance
    if missing is not None:
        return missing
    return max(
        _percentile(surfaces.reference_distances, surfaces.reference_sizes, 0.95),
        _percentile(surfaces.prediction_distances, surfaces.prediction_sizes, 0.95),
    )


def assd(surfaces: Surfaces) -> float:
    """Average symmetric surface distance: the mean over the elements of both surfaces, weighted by area.

    Both empty: 0; one empty: the image's diagonal.

    Source: Heimann et al., IEEE TMI 28:1251 (2009), doi:10.1109/TMI.2009.2013851, with areas for counts.
    """
    missing = surfaces.missing_distance
    if missing is not None:
        return missing
    way = surfaces.reference_distances @ surfaces.reference_sizes
    back = surfaces.prediction_distances @ surfaces.prediction_sizes
    return float((way + back) / (surfaces.reference_sizes.sum() + surfaces.prediction_sizes.sum()))


def masd(surfaces: Surfaces) -> float:
    """Mean average surface distance: the mean of the two directed means, each weighted by area.

    Unlike `assd` it gives both directions the same weight, however much larger one surface is. Both empty: 0; one
    empty: the image's diagonal.

    Source: Metrics Reloaded (Maier-Hein et al., 2024), doi:10.1038/s41592-023-02151-z; checked against
    surface-distance.
    """
    missing = surfaces.missing_distance
    if missing is not None:
        return missing
    way = surfaces.reference_distances @ surfaces.reference_sizes / surfaces.reference_sizes.sum()
    back = surfaces.prediction_distances @ surfaces.prediction_sizes / surfaces.prediction_sizes.sum()
    return float((way + back) / 2)


def surface_dice(surfaces: Surfaces, tolerance_mm: float) -> float:
    """Surface Dice (normalised surface distance): the share of both surfaces that is within the tolerance.

    Both empty: 1; one empty: 0.

    Args:
        surfaces: The measurement.
        tolerance_mm: The deviation that is acceptable, mm, at least 0; a distance equal to it is within.

    Source: Nikolov et al., J Med Internet Res 23:e26151 (2021), doi:10.2196/26151; checked against surface-distance.
    """
    missing = surfaces.missing_distance
    if missing is not None:
        return 0.0 if missing > 0 else 1.0
    # Distances come out of square roots: a tolerance that equals one exactly must not hang on the last bit.
    limit = tolerance_mm + 1e-9 * max(tolerance_mm, 1.0)
    way = surfaces.reference_sizes[surfaces.reference_distances <= limit].sum()
    back = surfaces.prediction_sizes[surfaces.prediction_distances <= limit].sum()
    return float((way + back) / (surfaces.reference_sizes.sum() + surfaces.prediction_sizes.sum()))


def _percentile(distances: NDArray[np.float64], sizes: NDArray[np.float64], share: float) -> float:
    order = np.argsort(distances)
    covered = np.cumsum(sizes[order])
    # The slack keeps the answer from hanging on the rounding of the sum, so that a mirrored image scores the same.
    rank = int(np.searchsorted(covered, share * covered[-1] * (1 - 1e-12)))
    return float(distances[order[min(rank, distances.size - 1)]])
