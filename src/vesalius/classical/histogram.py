"""Histograms of an image, and the thresholds that they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.extra import needed
from vesalius.errors import DataError, VesaliusError, unknown_name

Criterion = Literal["otsu", "li", "triangle", "yen", "isodata", "entropy"]
"""How one threshold is found from a histogram."""

_MOST_BINS = 1 << 16  # whole numbers over a wider range are put into bins like others
_MOST_CUTS = 1 << 12  # places that `several_thresholds` weighs; more are joined


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often the values of an image occur.

    Args:
        counts: ``(bins,)``; the first and the last are not 0.
        centres: ``(bins,)``, the value that each bin stands for.
    """

    counts: NDArray[np.int64]
    centres: NDArray[Any]

    @classmethod
    def of(cls, values: NDArray[Any], *, bins: int = 256) -> Histogram:
        """Count the values: whole numbers each by itself, if they span at most 65,536, others in equal bins.

        Args:
            values: Any shape, at least one.
            bins: How many equal bins, ≥ 2, from the least value to the greatest.

        Raises:
            DataError: There are no values, or fewer than 2 bins.

        Example:
            >>> Histogram.of(np.array([3, 5, 5])).counts.tolist()
            [1, 0, 2]

        Source: the customs of ``skimage.exposure.histogram``, so that thresholds are the same as there.
        """
        if values.size == 0:
            raise DataError("there are no voxels to find a threshold from: the mask is empty")
        if bins < 2:
            raise DataError(f"a histogram needs at least 2 bins, not {bins}")
        flat = values.reshape(-1).view(np.uint8) if values.dtype.kind == "b" else values.reshape(-1)
        low, high = flat.min(), flat.max()
        if flat.dtype.kind in "iu" and int(high) - int(low) < _MOST_BINS:
            counts = np.bincount(flat.astype(np.int64) - int(low))
            return cls(counts, np.arange(int(low), int(high) + 1))
        if flat.dtype.kind in "iu" or flat.dtype == np.float16:
            flat = flat.astype(np.float64)
        if low == high:
            return cls(np.array([flat.size]), np.array([low]))
        counts, edges = np.histogram(flat, bins=bins)
        return cls(counts, (edges[:-1] + edges[1:]) / 2)


def one_threshold(values: NDArray[Any], criterion: Criterion, *, bins: int = 256) -> float:
    """Find the value that parts dark from bright; what is above it is bright.

    Args:
        values: Any shape, at least one; their places do not matter.
        criterion: ``"otsu"``: the variance between the classes is greatest. ``"li"``: the cross-entropy of the image
            and its two means is least. ``"triangle"``: the histogram is farthest below the line from its peak to its
            longer tail's end. ``"yen"``: the entropic correlation is greatest. ``"isodata"``: half way between the
            means of the classes. ``"entropy"``: the sum of the classes' entropies is greatest.
        bins: Of the histogram of values that are not whole; Li's takes them as they are.

    Returns:
        The threshold; of values that are all the same, that value, above which nothing is.

    Raises:
        DataError: There are no values, or fewer than 2 bins.
        VesaliusError: The criterion is unknown.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> one_threshold(np.array([1, 2, 2, 3, 90, 91, 91, 92]), "otsu")
        3.0

    Source: ``skimage.filters.threshold_*``, which name the papers; for the entropy see `_entropy`.
    """
    if criterion not in get_args(Criterion):
        raise VesaliusError(unknown_name("criterion of a threshold", criterion, get_args(Criterion)))
    histogram = Histogram.of(values, bins=bins)
    if len(histogram.counts) == 1:
        return float(histogram.centres[0])
    if criterion == "entropy":
        return _entropy(histogram)
    filters = needed("skimage.filters")
    hist = (histogram.counts, histogram.centres)
    if criterion in ("li", "triangle"):
        # They take images only. One that is wide is binned here as for the others; its shape does not matter.
        flat = values.reshape(-1)
        flat = flat.view(np.uint8) if flat.dtype.kind == "b" else flat
        if flat.dtype == np.float16 or (flat.dtype.kind in "iu" and int(flat.max()) - int(flat.min()) >= _MOST_BINS):
            flat = flat.astype(np.float64)
        elif flat.dtype.kind == "i" and criterion == "li":
            flat = flat.astype(np.int64)  # the range of 16 bits may not fit into them
        found = filters.threshold_li(flat) if criterion == "li" else filters.threshold_triangle(flat, nbins=bins)
        return float(found)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(getattr(filters, f"threshold_{criterion}")(hist=hist))


def several_thresholds(values: NDArray[Any], classes: int, *, bins: int = 256) -> NDArray[np.float64]:
    """Find the values that part an image into classes so that the variance between them is greatest.

    Args:
        values: Any shape, at least as many different ones as classes.
        classes: How many, 2 to 255.
        bins: Of the histogram of values that are not whole.

    Returns:
        ``(classes - 1,)`` rising; a class reaches from above one threshold to the next, that included.

    Raises:
        DataError: There are fewer different values than classes, or another number of classes.

    Example:
        >>> several_thresholds(np.array([1, 2, 50, 51, 90, 91]), 3).tolist()
        [2.0, 51.0]

    Source: Liao, Chen and Chung, Journal of Information Science and Engineering 17, 2001 (the criterion), worked out by
    dynamic programming: the time grows with the classes and the square of the bins, not with the bins' power of the
    classes. Checked against ``skimage.filters.threshold_multiotsu``. Histograms of more than 4,096 values that occur
    are joined to that many.
    """
    if not 2 <= classes <= 255:
        raise DataError(f"there can be 2 to 255 classes, not {classes}")
    histogram = Histogram.of(values, bins=bins)
    there = histogram.counts > 0
    counts, centres = histogram.counts[there].astype(np.float64), histogram.centres[there].astype(np.float64)
    if len(counts) < classes:
        raise DataError(
            f"{classes} classes need at least as many different values, and there are {len(counts)}"
            + (f" in {bins} bins: ask for more bins" if values.dtype.kind == "f" and len(counts) > 1 else "")
        )
    last = np.arange(len(counts))
    if len(counts) > _MOST_CUTS:
        last = np.linspace(0, len(counts) - 1, _MOST_CUTS).astype(int)
    # Sums about the mean, so that a large offset costs no digits. Before each place: how many there are, and their sum.
    about = centres - np.average(centres, weights=counts)
    number = np.concatenate(([0.0], np.cumsum(counts)[last]))
    total = np.concatenate(([0.0], np.cumsum(counts * about)[last]))
    places = len(last)
    best = np.full(places + 1, -np.inf)
    best[1:] = total[1:] ** 2 / number[1:]
    came = np.zeros((classes, places + 1), np.intp)
    for k in range(1, classes):
        made = np.full(places + 1, -np.inf)
        for end in range(k + 1, places + 1):
            gain = best[k:end] + (total[end] - total[k:end]) ** 2 / (number[end] - number[k:end])
            at = int(np.argmax(gain))
            made[end], came[k, end] = gain[at], at + k
        best = made
    cuts, end = [], places
    for k in range(classes - 1, 0, -1):
        end = int(came[k, end])
        cuts.append(centres[last[end - 1]])
    return np.array(cuts[::-1])


def _entropy(histogram: Histogram) -> float:
    """The threshold of greatest entropy.

    Source: Kapur, Sahoo and Wong, Computer Vision, Graphics, and Image Processing 29, 1985,
    doi:10.1016/0734-189X(85)90125-2: the entropy of the values up to the threshold, each by their share among these,
    and that of the values above it. Checked against the definition and SimpleITK's ``MaximumEntropyThreshold``.
    """
    share = histogram.counts / histogram.counts.sum()
    below = np.cumsum(share)[:-1]
    above = np.cumsum(share[::-1])[::-1][1:]
    spread = -share * np.log(np.where(share > 0, share, 1.0))
    low = np.cumsum(spread)[:-1]
    high = np.cumsum(spread[::-1])[::-1][1:]
    criterion = np.log(below) + low / below + np.log(above) + high / above
    return float(histogram.centres[int(np.argmax(criterion))])
