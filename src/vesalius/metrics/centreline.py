"""How well the centrelines of vessels, airways and nerves are followed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import MissingDependencyError


def cldice(
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    *,
    step: NDArray[np.float64] | None = None,  # noqa: ARG001
) -> float:
    """Centreline Dice (clDice): whether tubes are connected alike, whatever their width.

    The harmonic mean of topology precision, the share of the prediction's centreline that lies in the reference, and
    topology sensitivity, the share of the reference's centreline that lies in the prediction. For vessels, airways and
    the like; it says nothing about blobs. Both empty: 1; one empty, or no voxel of either centreline met: 0.

    Centrelines are scikit-image's skeletons (Zhang and Suen in 2D, Lee et al. in 3D), thinned voxel by voxel: on a grid
    with thick slices the shape of the skeleton depends on the slices, as it does in the authors' code. A mask of which
    thinning leaves nothing (a small cube) stands for its own centreline.

    Args:
        reference: The mask, 2D or 3D, with a border of one voxel that is not in it.
        prediction: The other mask, alike.
        step: Not used; there because all metrics of masks are called alike.

    Returns:
        0 … 1.

    Raises:
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> one, other = np.zeros((2, 7, 20), bool)
        >>> one[2:5, 1:19], other[2:5, 1:11] = True, True
        >>> cldice(one, one), 0.5 < cldice(one, other) < 0.8
        (1.0, True)

    Source: Shit et al., CVPR 2021, doi:10.1109/CVPR46437.2021.01629; checked against the
    formula in numpy on scikit-image's skeletons.
    """
    if not reference.any() or not prediction.any():
        return 1.0 if reference.any() == prediction.any() else 0.0
    ours, theirs = (skeleton(mask) for mask in (reference, prediction))
    precision = np.count_nonzero(theirs & reference) / np.count_nonzero(theirs)
    sensitivity = np.count_nonzero(ours & prediction) / np.count_nonzero(ours)
    both = precision + sensitivity
    return float(2 * precision * sensitivity / both) if both else 0.0


def skeleton(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin a mask to lines one element wide; what thinning leaves nothing of stands for itself.

    Args:
        mask: 2D or 3D, with a border of one element that is not in it.

    Raises:
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> bar = np.zeros((5, 9), bool)
        >>> bar[1:4, 1:8] = True
        >>> int(skeleton(bar).sum(axis=0).max())
        1
    """
    try:
        from skimage.morphology import skeletonize
    except ImportError as error:
        raise MissingDependencyError("centre lines need scikit-image: pip install 'vesalius[classical]'") from error
    thin: NDArray[np.bool_] = skeletonize(mask).astype(np.bool_)
    return thin if thin.any() else mask
