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
_BLOCK = 1 << 14  # values that are counted at a time: what is made of them stays in the cache
_WEIGHED = 1 << 16  # pairs of places that are weighed at a time


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
        if _counted_singly(flat):
            counts = np.bincount(flat.astype(np.int64) - int(low))
            return cls(counts, np.arange(int(low), int(high) + 1))
        if flat.dtype.kind in "iu" or flat.dtype == np.float16:
            flat = flat.astype(np.float64)
        if low == high:
            return cls(np.array([flat.size]), np.array([low]))
        counts, edges = equal_bins(flat, low, high, bins)
        return cls(counts, (edges[:-1] + edges[1:]) / 2)


def one_threshold(values: NDArray[Any], criterion: Criterion, *, bins: int = 256) -> float:
    """Find the value that parts dark from bright; what is above it is bright.

    Args:
        values: Any shape, at least one; their places do not matter.
        criterion: ``"otsu"``: the variance between the classes is greatest. ``"li"``: the cross-entropy of the image
            and its two means is least. ``"triangle"``: the histogram is farthest below the line from its peak to its
            longer tail's end. ``"yen"``: the entropic correlation is greatest. ``"isodata"``: half way between the
            means of the classes. ``"entropy"``: the sum of the classes' entropies is greatest.
        bins: Of the histogram of values that are not whole; Li's takes them as they are, in double precision.

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
    if criterion == "li" and values.size and not _counted_singly(values):
        return _li_of_values(values)
    histogram = Histogram.of(values, bins=bins)
    if len(histogram.counts) == 1:
        return float(histogram.centres[0])
    own = {"entropy": _entropy, "triangle": _triangle, "li": _li}
    if criterion in own:
        return own[criterion](histogram)
    filters = needed("skimage.filters")
    hist = (histogram.counts, histogram.centres)
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
    step = max(1, _WEIGHED // places)
    for k in range(1, classes):
        made = np.full(places + 1, -np.inf)
        for low in range(k + 1, places + 1, step):
            ends = np.arange(low, min(low + step, places + 1))
            begins = np.arange(k, ends[-1])
            held = number[ends, None] - number[begins]
            gain = best[begins] + (total[ends, None] - total[begins]) ** 2 / np.where(held > 0, held, 1)
            gain[begins >= ends[:, None]] = -np.inf
            came[k, ends] = k + gain.argmax(axis=1)
            made[ends] = gain.max(axis=1)
        best = made
    cuts, end = [], places
    for k in range(classes - 1, 0, -1):
        end = int(came[k, end])
        cuts.append(centres[last[end - 1]])
    return np.array(cuts[::-1])


def _counted_singly(values: NDArray[Any]) -> bool:
    """Whether each value has a bin of its own."""
    if values.dtype.kind == "b":
        return True
    return values.dtype.kind in "iu" and int(values.max()) - int(values.min()) < _MOST_BINS


def equal_bins(
    flat: NDArray[Any], low: Any, high: Any, bins: int
) -> tuple[NDArray[np.int64], NDArray[np.floating[Any]]]:
    """``np.histogram(flat, bins)`` in half its time: only values next to an edge are compared with the edges.

    Args:
        flat: ``(n,)`` of a floating type.
        low: The least of them.
        high: The greatest.
        bins: How many.

    Returns:
        The counts and the ``bins + 1`` edges, the same to the last bit.
    """
    width = (float(high) - float(low)) / bins
    # How far from its place among the bins rounding may put a value, as a share of a bin.
    extent = max(abs(float(low)), abs(float(high)))
    slack = 8 * float(np.finfo(flat.dtype).eps) * (bins + extent / width) if width > 0 else np.inf
    with np.errstate(over="ignore", divide="ignore"):
        scale = flat.dtype.type(1) / flat.dtype.type(width)
    if not (slack < 0.1 and np.isfinite(scale) and np.isfinite(high - low)):
        try:
            found = np.histogram(flat, bins=bins)
        except ValueError:  # single precision has no room for so many edges
            found = np.histogram(flat.astype(np.float64), bins=bins)
        return found[0].astype(np.int64), found[1]
    edges = np.histogram_bin_edges(flat[:1], bins, range=(low, high))
    next_edges = np.append(edges[1:-1], [np.inf, np.inf])  # the last bin holds its upper edge, too
    counts = np.zeros(bins + 1, np.int64)
    places, rounded = (np.empty(min(_BLOCK, flat.size), flat.dtype) for _ in "pr")
    whole = np.empty(places.size, np.intp)
    for start in range(0, flat.size, _BLOCK):
        some = flat[start : start + _BLOCK]
        place, near, bin_of = places[: some.size], rounded[: some.size], whole[: some.size]
        np.subtract(some, low, out=place)
        np.multiply(place, scale, out=place)
        np.copyto(bin_of, place, casting="unsafe")
        np.rint(place, out=near)
        np.subtract(place, near, out=place)
        np.abs(place, out=place)
        np.minimum(near, slack, out=near)  # 0 at the first edge, below which there is nothing
        at = np.flatnonzero(place < near)
        if at.size:
            value, found_in = some[at], np.minimum(bin_of[at], bins - 1)
            found_in -= value < edges[found_in]
            found_in += value >= next_edges[found_in]
            bin_of[at] = found_in
        counts += np.bincount(bin_of, minlength=bins + 1)
    counts[-2] += counts[-1]
    return counts[:-1], edges


def _triangle(histogram: Histogram) -> float:
    """Where the histogram lies farthest below the line from its peak to the end of its longer tail.

    Source: Zack, Rogers and Latt, Journal of Histochemistry and Cytochemistry 25, 1977, doi:10.1177/25.7.70454; of
    several such places the farthest from the peak, as ``skimage.filters.threshold_triangle``, which it is checked
    against.
    """
    counts = histogram.counts
    peak, last = int(np.argmax(counts)), len(counts) - 1
    # The first and the last bin are never empty. A tail to the right is looked at as if it were one to the left.
    turned = peak < last - peak
    if turned:
        counts, peak = counts[::-1], last - peak
    below = int(counts[peak]) * np.arange(peak) - peak * counts[:peak]
    found = int(np.argmax(below))
    return float(histogram.centres[last - found if turned else found])


def _li(histogram: Histogram) -> float:
    """Li's threshold of whole numbers, to half of one."""
    counts, centres = histogram.counts.astype(np.float64), histogram.centres.astype(np.float64)
    low = float(centres[0])
    return low + _li_iterated(centres - low, counts, tolerance=0.5)


def _li_of_values(values: NDArray[Any]) -> float:
    """Li's threshold of values as they are, to half of the least difference between two of them."""
    ordered = np.sort(values, axis=None)
    low = float(ordered[0])
    above = np.subtract(ordered, ordered[0], dtype=np.float64)
    del ordered
    if above[-1] == 0:
        return low
    steps = np.diff(above)
    least = float(np.min(steps, where=steps > 0, initial=np.inf))
    return low + _li_iterated(above, None, tolerance=least / 2)


def _li_iterated(values: NDArray[np.float64], weights: NDArray[np.float64] | None, *, tolerance: float) -> float:
    """Bring the threshold between the two means that it makes to where their cross-entropy is least.

    Args:
        values: ``(n,)``, rising from 0, not all alike.
        weights: How often each occurs; once where left out.
        tolerance: The step at which it ends.

    Source: Li and Tam, Pattern Recognition Letters 19, 1998, doi:10.1016/S0167-8655(98)00057-9, equation 17: the
    difference of the means by that of their logarithms, from the mean of all. Held to ``skimage.filters.threshold_li``.
    """
    cut, before = float(np.average(values, weights=weights)), -np.inf
    while abs(cut - before) > tolerance:
        before, at = cut, int(np.searchsorted(values, cut, side="right"))
        parts = (slice(None, at), slice(at, None))
        dark, bright = (np.average(values[p], weights=None if weights is None else weights[p]) for p in parts)
        if dark == 0:  # its logarithm has no value: nothing but the least is dark
            break
        cut = float((dark - bright) / (np.log(dark) - np.log(bright)))
    return cut


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
