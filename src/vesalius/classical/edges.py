"""Edges: where the image is steep, by Sobel, Prewitt, Canny, and Marr and Hildreth."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.classical.gradients import Operator, crests, otsu_of, slopes, smoothed, steepness
from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import LabelMap, Labels, Volume
from vesalius.transform import connected_to

Shown = Literal["edges", "bright", "dark"]
"""What `laplacian_of_gaussian` labels."""

_ZERO = 1e-6  # of the largest Laplacian: what is less is rounding


def sobel(image: Volume, *, threshold: float | None = None, sigma_mm: float = 0.0, thin: bool = True) -> LabelMap:
    """Label edges by Sobel's operator.

    Args:
        image: One channel, 2D or 3D.
        threshold: The least slope of an edge, in the image's unit by mm, > 0; Otsu's threshold of the slopes when left
            out.
        sigma_mm: Width of a Gaussian that smooths the image first, mm, ≥ 0.
        thin: Whether only the crests of the slope are kept, about one voxel wide.

    Returns:
        ``edge``; empty for an image of one grey value.

    Raises:
        DataError: The image has several channels, or a number is out of range.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0, 0, 0, 9, 9, 9]] * 3]), Grid.from_spacing((3, 6), (1.0, 1.0)))
        >>> sobel(image).array[1].tolist()
        [0, 0, 1, 1, 0, 0]

    Source: Sobel and Feldman, 1968; the slope is ``skimage.filters.sobel`` times half the root of the number of axes,
    at 1 mm.
    """
    return _by_operator(image, "sobel", threshold, sigma_mm, thin=thin)


def prewitt(image: Volume, *, threshold: float | None = None, sigma_mm: float = 0.0, thin: bool = True) -> LabelMap:
    """Label edges by Prewitt's operator; as `sobel`, with neighbours that all count alike.

    Args:
        image: One channel, 2D or 3D.
        threshold: The least slope of an edge, in the image's unit by mm, > 0; Otsu's threshold of the slopes when left
            out.
        sigma_mm: Width of a Gaussian that smooths the image first, mm, ≥ 0.
        thin: Whether only the crests of the slope are kept, about one voxel wide.

    Returns:
        ``edge``; empty for an image of one grey value.

    Raises:
        DataError: The image has several channels, or a number is out of range.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0, 0, 0, 9, 9, 9]] * 3]), Grid.from_spacing((3, 6), (1.0, 1.0)))
        >>> prewitt(image).array[1].tolist()
        [0, 0, 1, 1, 0, 0]

    Source: Prewitt, Object Enhancement and Extraction, 1970; checked against ``skimage.filters.prewitt``.
    """
    return _by_operator(image, "prewitt", threshold, sigma_mm, thin=thin)


def canny(image: Volume, *, sigma_mm: float = 1.0, low: float | None = None, high: float | None = None) -> LabelMap:
    """Label edges by Canny's method: crests of the slope that are steep somewhere and not flat anywhere.

    Args:
        image: One channel, 2D or 3D.
        sigma_mm: Width of the Gaussian that smooths the image first, mm, ≥ 0. It should be no less than the noise's
            grain; edges closer to each other than that are lost.
        low: The least slope of an edge, in the image's unit by mm, > 0; half of ``high`` when left out.
        high: The slope that an edge has somewhere, at least ``low``; Otsu's threshold of the crests when left out.

    Returns:
        ``edge``, connected with all neighbours; empty for an image of one grey value.

    Raises:
        DataError: The image has several channels, or a number is out of range.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0, 0, 0, 5, 9, 9, 9]] * 3]), Grid.from_spacing((3, 7), (1.0, 1.0)))
        >>> canny(image, sigma_mm=0.5, high=1.0).array[1].tolist()
        [0, 0, 0, 1, 0, 0, 0]

    Source: Canny, IEEE Trans. PAMI 8, 1986, doi:10.1109/TPAMI.1986.4767851 (two thresholds at 2:1 to 3:1); Otsu for
    them: Fang, Yue, Yu, ISCSCT 2009. Checked against scikit-image in 2D.
    """
    if (low is not None and not low > 0) or (high is not None and not high > 0):
        raise DataError(f"the slopes low and high must be more than 0, not {low} and {high}")
    spacing_mm = image.grid.spacing_mm
    gradient = slopes(smoothed(only_channel(image), spacing_mm, sigma_mm), spacing_mm, operator="sobel")
    size = steepness(gradient)
    least = low if low is not None else _rounding(size)
    found = crests(gradient, spacing_mm, least, size=size)
    if high is None:
        at = size[found]
        spread = at.size > 0 and float(np.ptp(at)) > 1e-9 * float(at.max())
        high = max(least, otsu_of(at) if spread else least)
    if low is None:
        low = high / 2
    if low > high:
        raise DataError(f"the slope low must be at most high, not {low:g} and {high:g}")
    found &= size >= low
    return _edges(image, connected_to(found, found & (size >= high)))


def laplacian_of_gaussian(
    image: Volume, *, sigma_mm: float = 2.0, least_slope: float = 0.0, show: Shown = "edges"
) -> LabelMap:
    """Label the zero crossings of the Laplacian of the smoothed image, which are closed, or the regions within them.

    Args:
        image: One channel, 2D or 3D.
        sigma_mm: Width of the Gaussian, mm, > 0: structures much smaller are not seen.
        least_slope: Crossings where the smoothed image is less steep are left out, in the image's unit by mm, ≥ 0.
            What is left of contours need not be closed.
        show: ``"edges"``: the voxels nearest to a crossing. ``"bright"``: where the image is brighter than around it,
            regions bounded by the crossings. ``"dark"``: where it is darker. Regions do not look at ``least_slope``.

    Returns:
        ``edge``, ``bright`` or ``dark``; empty for an image of one grey value.

    Raises:
        DataError: The image has several channels, or a number is out of range.
        VesaliusError: ``show`` is unknown.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[0, 0, 0, 0, 9, 9, 9, 9]] * 3]), Grid.from_spacing((3, 8), (1.0, 1.0)))
        >>> laplacian_of_gaussian(image, sigma_mm=1.0, show="bright").array[1].tolist()
        [0, 0, 0, 0, 1, 1, 1, 1]

    Source: Marr, Hildreth, Proceedings of the Royal Society B 207, 1980, doi:10.1098/rspb.1980.0020. The Laplacian is
    taken by differences of the smoothed image, so that it holds where voxels are thicker than ``sigma_mm``.
    """
    if show not in get_args(Shown):
        raise VesaliusError(unknown_name("result", show, get_args(Shown)))
    if not sigma_mm > 0 or not least_slope >= 0:
        raise DataError(f"sigma_mm must be above 0 and least_slope at least 0, not {sigma_mm} and {least_slope}")
    spacing_mm = image.grid.spacing_mm
    values = smoothed(only_channel(image), spacing_mm, sigma_mm)
    bend = laplacian(values, spacing_mm)
    # Rounding of the values themselves, divided by a squared distance, must not become an edge.
    tiny = max(_ZERO * float(np.abs(bend).max()), 1e-12 * float(np.abs(values).max()) / min(spacing_mm) ** 2)
    sign = (bend > tiny).astype(np.int8) - (bend < -tiny)
    if show != "edges":
        return LabelMap(sign == (-1 if show == "bright" else 1), image.grid, Labels.of({str(show): 1}))
    found = _crossings(bend, sign)
    if least_slope > 0:
        found &= steepness(slopes(values, spacing_mm)) >= least_slope
    return _edges(image, found)


def laplacian(values: NDArray[np.float64], spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """The sum of the second derivatives along the axes, by mm².

    Args:
        values: ``(*shape)``; it goes on beyond its border as it ends.
        spacing_mm: Of each axis.

    Example:
        >>> laplacian(np.array([0.0, 1.0, 4.0, 9.0]), (0.5,)).tolist()
        [4.0, 8.0, 8.0, -20.0]
    """
    from scipy.ndimage import correlate1d

    made = np.zeros_like(values)
    for axis, spacing in enumerate(spacing_mm):
        made += correlate1d(values, np.array([1.0, -2.0, 1.0]) / spacing**2, axis, mode="nearest")
    return made


def _crossings(bend: NDArray[np.float64], sign: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Of two neighbours of other sign the one nearer to zero, and a zero between two signs."""
    found = np.zeros(bend.shape, np.bool_)
    size = np.abs(bend)
    for axis in range(bend.ndim):
        s, b, f = (np.moveaxis(a, axis, 0) for a in (sign, size, found))
        change = s[1:] * s[:-1] < 0
        nearer = b[:-1] <= b[1:]
        f[:-1] |= change & nearer
        f[1:] |= change & ~nearer
        f[1:-1] |= (s[1:-1] == 0) & (s[2:] * s[:-2] < 0)
    return found


def _by_operator(
    image: Volume, operator: Operator, threshold: float | None, sigma_mm: float, *, thin: bool
) -> LabelMap:
    if threshold is not None and not threshold > 0:
        raise DataError(f"the threshold must be a slope of more than 0, not {threshold}")
    spacing_mm = image.grid.spacing_mm
    gradient = slopes(smoothed(only_channel(image), spacing_mm, sigma_mm), spacing_mm, operator=operator)
    size = steepness(gradient)
    if threshold is None:
        least = _rounding(size)
        threshold = max(otsu_of(size), least) if float(size.max()) > least else least
    found = crests(gradient, spacing_mm, threshold, size=size) if thin else size >= threshold
    return _edges(image, found)


def _rounding(size: NDArray[np.float64]) -> float:
    """A slope below which there is no edge but rounding."""
    return max(1e-6 * float(size.max()), 1e-12)


def _edges(image: Volume, found: NDArray[np.bool_]) -> LabelMap:
    return LabelMap(found, image.grid, Labels.of({"edge": 1}))
