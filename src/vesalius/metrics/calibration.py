"""Whether a probability of 0.8 is right eight times of ten: reliability, calibration error, Brier score, likelihood.

All take probabilities ``(c, *grid.shape)``, channel 0 being class 0 (the background), and the class of each voxel in
the reference. Voxels that nobody looked at are left out by ``counted``. In a volume the background is most of the
voxels, and easy: say which voxels were counted (the box of the organ, say) when you report such a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError, unknown_name

Spacing = Literal["width", "count"]
"""How confidences are cut into bins; see `reliability`."""

_SLACK = 1e-3  # by how much probabilities in half precision may miss a sum of 1


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often what was said with a confidence was right.

    Args:
        edges: ``(bins + 1,)``, rising; a bin holds its upper edge, and the first its lower one too.
        counts: ``(bins,)``, voxels in each bin.
        confidence: ``(bins,)``, their mean confidence; NaN in an empty bin.
        accuracy: ``(bins,)``, the share that was right; NaN in an empty bin.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def gaps(self) -> NDArray[np.float64]:
        """How far accuracy and confidence are apart in each bin; 0 in an empty one."""
        return np.where(self.counts > 0, np.abs(np.nan_to_num(self.accuracy - self.confidence)), 0.0)


def reliability(
    probabilities: NDArray[np.floating[Any]],
    reference: NDArray[np.integer],
    *,
    target: int | None = None,
    bins: int = 15,
    spacing: Spacing = "width",
    counted: NDArray[np.bool_] | None = None,
) -> Reliability:
    """The reliability curve: accuracy over confidence.

    Args:
        probabilities: ``(c, *grid.shape)``, 0 … 1, at least 2 channels that sum to 1.
        reference: ``(*grid.shape)``, 0 … c - 1.
        target: Left out, the confidence is that of the likeliest class, and right is where it is the reference's. A
            class: its own probability, and right is where the reference has it.
        bins: How many, at least 1.
        spacing: ``"width"``: bins of equal width from 0 to 1. ``"count"``: of as equal a number of voxels as
            ties allow.
        counted: ``(*grid.shape)``, True where voxels count; all when left out.

    Returns:
        The curve as values; all bins empty where no voxel counts.

    Raises:
        GeometryError: Shapes do not fit.
        DataError: Probabilities are not such, a class has no channel, or ``bins`` or ``spacing`` cannot be.

    Example:
        >>> said = np.array([[0.1, 0.4, 0.2, 0.2], [0.9, 0.6, 0.8, 0.8]])
        >>> curve = reliability(said, np.array([1, 0, 1, 1]), bins=2)
        >>> curve.counts.tolist(), curve.accuracy[1].item(), round(curve.confidence[1].item(), 3)
        ([0, 4], 0.75, 0.775)

    Source: DeGroot and Fienberg, The Statistician 32:12 (1983), doi:10.2307/2987588; Guo et al., ICML 2017,
    arXiv:1706.04599 (15 bins of equal width).
    """
    said, true = _checked(probabilities, reference, counted)
    if target is None:
        likeliest = said.argmax(axis=0)
        sure, right = np.take_along_axis(said, likeliest[None], axis=0)[0], likeliest == true
    elif 0 <= target < len(said):
        sure, right = said[target], true == target
    else:
        raise DataError(f"target must be a class of the {len(said)} channels, 0 to {len(said) - 1}, not {target}")
    if bins < 1:
        raise DataError(f"bins must be at least 1, not {bins}")
    if spacing not in get_args(Spacing):
        raise DataError(unknown_name("spacing of bins", spacing, get_args(Spacing)))
    sure = sure.astype(np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    if spacing == "count" and sure.size:
        edges[1:-1] = np.quantile(sure, edges[1:-1])
    place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    some = np.maximum(counts, 1)
    mean = np.where(counts > 0, np.bincount(place, sure, minlength=bins) / some, np.nan)
    share = np.where(counts > 0, np.bincount(place, right, minlength=bins) / some, np.nan)
    return Reliability(edges, counts.astype(np.int64), mean, share)


def expected_calibration_error(curve: Reliability) -> float:
    """ECE: the gap between accuracy and confidence, averaged over voxels; 0 is best.

    No voxel counted: NaN.

    Example:
        >>> said = np.array([[0.1, 0.4, 0.2, 0.2], [0.9, 0.6, 0.8, 0.8]])
        >>> round(expected_calibration_error(reliability(said, np.array([1, 0, 1, 1]), bins=2)), 3)
        0.025

    Source: Naeini et al., AAAI 2015, doi:10.1609/aaai.v29i1.9602; Guo et al. (2017), equation 3.
    """
    total = int(curve.counts.sum())
    return float(curve.gaps @ curve.counts) / total if total else math.nan


def maximum_calibration_error(curve: Reliability) -> float:
    """MCE: the gap of the worst bin, however few voxels it has; 0 is best. No voxel counted: NaN.

    Example:
        >>> said = np.array([[0.1, 0.4], [0.9, 0.6]])
        >>> round(maximum_calibration_error(reliability(said, np.array([1, 0]), bins=10)), 3)
        0.6

    Source: Naeini et al. (2015); Guo et al. (2017), equation 5.
    """
    return float(curve.gaps.max()) if curve.counts.any() else math.nan


def class_wise_calibration_error(
    probabilities: NDArray[np.floating[Any]],
    reference: NDArray[np.integer],
    *,
    bins: int = 15,
    spacing: Spacing = "width",
    counted: NDArray[np.bool_] | None = None,
) -> tuple[float, ...]:
    """The calibration error of each class' own probability; their mean is the class-wise (static) ECE.

    Unlike the ECE of the likeliest class it sees a rare class that is always a little too sure.

    Args:
        probabilities: As for `reliability`.
        reference: As for `reliability`.
        bins: As for `reliability`.
        spacing: As for `reliability`.
        counted: As for `reliability`.

    Returns:
        One value a class, background first; NaN where no voxel counts.

    Raises:
        GeometryError: Shapes do not fit.
        DataError: As `reliability`.

    Example:
        >>> said = np.array([[0.25, 0.25, 0.75, 0.75], [0.75, 0.75, 0.25, 0.25]])
        >>> class_wise_calibration_error(said, np.array([1, 1, 0, 0]), bins=4)
        (0.25, 0.25)

    Source: Nixon et al., CVPR Workshops 2019, arXiv:1904.01685; Kull et al., NeurIPS 2019, arXiv:1910.12656.
    """
    return tuple(
        expected_calibration_error(
            reliability(probabilities, reference, target=target, bins=bins, spacing=spacing, counted=counted)
        )
        for target in range(len(probabilities))
    )


def brier_score(
    probabilities: NDArray[np.floating[Any]],
    reference: NDArray[np.integer],
    *,
    counted: NDArray[np.bool_] | None = None,
) -> float:
    """Brier score: squared distance of the probabilities from the truth, summed over classes, averaged over voxels.

    0 is best, 2 the worst. With two classes it is twice the form that looks at one class only (scikit-learn's
    ``brier_score_loss``). No voxel counted: NaN.

    Args:
        probabilities: As for `reliability`.
        reference: As for `reliability`.
        counted: As for `reliability`.

    Raises:
        GeometryError: Shapes do not fit.
        DataError: Probabilities are not such, or a class has no channel.

    Example:
        >>> brier_score(np.array([[0.5, 0.0], [0.5, 1.0]]), np.array([0, 1]))
        0.25

    Source: Brier, Monthly Weather Review 78:1 (1950), doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    said, true = _checked(probabilities, reference, counted)
    if not true.size:
        return math.nan
    at_truth = np.take_along_axis(said, true[None], axis=0)[0].astype(np.float64)
    squares = np.einsum("cv,cv->", said, said, dtype=np.float64)
    # |p - e|² = |p|² - 2 p_true + 1, so that no second array of all classes is needed.
    return float(squares / true.size - 2 * at_truth.mean() + 1)


def negative_log_likelihood(
    probabilities: NDArray[np.floating[Any]],
    reference: NDArray[np.integer],
    *,
    least: float = 1e-7,
    counted: NDArray[np.bool_] | None = None,
) -> float:
    """Mean of -ln of the probability that the true class was given, nats; 0 is best. No voxel counted: NaN.

    Args:
        probabilities: As for `reliability`.
        reference: As for `reliability`.
        least: What a probability is taken for at least, above 0: a class that was ruled out would cost infinitely much.
        counted: As for `reliability`.

    Raises:
        GeometryError: Shapes do not fit.
        DataError: Probabilities are not such, a class has no channel, or ``least`` is not above 0 and below 1.

    Example:
        >>> round(negative_log_likelihood(np.array([[0.5, 0.0], [0.5, 1.0]]), np.array([0, 1])), 4)
        0.3466

    Source: Good, J R Stat Soc B 14:107 (1952) (the logarithmic score); 1e-7 is the step of float32 at 1, Keras' choice.
    """
    if not 0 < least < 1:
        raise DataError(f"least must be above 0 and below 1, not {least}")
    said, true = _checked(probabilities, reference, counted)
    if not true.size:
        return math.nan
    at_truth = np.take_along_axis(said, true[None], axis=0)[0].astype(np.float64)
    return float(-np.log(np.clip(at_truth, least, 1.0)).mean() + 0.0)  # + 0 makes -0 a plain 0


@dataclass(frozen=True, eq=False)
class Calibration:
    """The calibration of one image or of many.

    Args:
        curve: Accuracy over confidence of the likeliest class, in bins of equal width.
        brier: Brier score; NaN where no voxel counts.
        negative_log_likelihood: In nats; NaN where no voxel counts.
    """

    curve: Reliability
    brier: float
    negative_log_likelihood: float

    @property
    def voxels(self) -> int:
        """How many counted."""
        return int(self.curve.counts.sum())

    @property
    def expected_error(self) -> float:
        """ECE of the curve."""
        return expected_calibration_error(self.curve)

    def to_dict(self) -> dict[str, Any]:
        """The calibration as JSON has it; NaN becomes None."""

        def plain(values: NDArray[Any] | list[float]) -> list[float | None]:
            return [None if math.isnan(value) else float(value) for value in values]

        numbers = plain([self.expected_error, self.brier, self.negative_log_likelihood])
        return {
            "voxels": self.voxels,
            **dict(zip(("expected_calibration_error", "brier", "negative_log_likelihood"), numbers, strict=True)),
            "edges": plain(self.curve.edges),
            "counts": self.curve.counts.tolist(),
            "confidence": plain(self.curve.confidence),
            "accuracy": plain(self.curve.accuracy),
        }


def measure_calibration(
    probabilities: NDArray[np.floating[Any]],
    reference: NDArray[np.integer],
    *,
    bins: int = 15,
    counted: NDArray[np.bool_] | None = None,
) -> Calibration:
    """All that `Calibration` holds, of one image.

    Args:
        probabilities: As for `reliability`.
        reference: As for `reliability`.
        bins: As for `reliability`.
        counted: As for `reliability`.

    Raises:
        GeometryError: Shapes do not fit.
        DataError: As `reliability`.

    Example:
        >>> found = measure_calibration(np.array([[0.5, 0.0], [0.5, 1.0]]), np.array([0, 1]))
        >>> found.voxels, found.brier, found.expected_error
        (2, 0.25, 0.25)
    """
    return Calibration(
        reliability(probabilities, reference, bins=bins, counted=counted),
        brier_score(probabilities, reference, counted=counted),
        negative_log_likelihood(probabilities, reference, counted=counted),
    )


def pool_calibrations(parts: Sequence[Calibration]) -> Calibration:
    """The calibration of several images taken as one: every voxel counts the same.

    Args:
        parts: At least one, all with the same bins.

    Raises:
        DataError: There are none, or their bins differ.

    Example:
        >>> one = measure_calibration(np.array([[0.5, 0.0], [0.5, 1.0]]), np.array([0, 1]))
        >>> pool_calibrations([one, one]).brier, pool_calibrations([one, one]).voxels
        (0.25, 4)
    """
    if not parts or any(not np.array_equal(one.curve.edges, parts[0].curve.edges) for one in parts):
        raise DataError("calibrations are pooled from one on, and only with the same bins")
    counts = np.stack([one.curve.counts for one in parts])
    total = counts.sum(axis=0)

    def mean(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        sums = (np.nan_to_num(np.stack(values)) * counts).sum(axis=0)
        return np.where(total > 0, sums / np.maximum(total, 1), np.nan)

    known = [one for one in parts if one.voxels]
    voxels = sum(one.voxels for one in known)

    def over(values: list[float]) -> float:
        shares = zip(values, known, strict=True)
        return sum(value * one.voxels for value, one in shares) / voxels if voxels else math.nan

    return Calibration(
        Reliability(
            parts[0].curve.edges,
            total,
            mean([one.curve.confidence for one in parts]),
            mean([one.curve.accuracy for one in parts]),
        ),
        over([one.brier for one in known]),
        over([one.negative_log_likelihood for one in known]),
    )


def _checked(
    probabilities: NDArray[np.floating[Any]], reference: NDArray[np.integer], counted: NDArray[np.bool_] | None
) -> tuple[NDArray[np.floating[Any]], NDArray[np.intp]]:
    """Probabilities ``(c, v)`` and classes ``(v,)`` of the voxels that count."""
    if probabilities.ndim < 2 or len(probabilities) < 2 or probabilities.shape[1:] != reference.shape:
        raise GeometryError(
            f"probabilities must be (classes, *shape) with 2 classes or more; they are {probabilities.shape} and the "
            f"reference {reference.shape}"
        )
    said, true = probabilities.reshape(len(probabilities), -1), reference.reshape(-1)
    if counted is not None:
        if counted.shape != reference.shape:
            raise GeometryError(f"counted is {counted.shape} and the reference {reference.shape}: they must be alike")
        kept = counted.reshape(-1).astype(np.bool_)
        said, true = said[:, kept], true[kept]
    if true.size:
        if not (
            said.min() >= 0 and said.max() <= 1 + _SLACK and np.abs(said.sum(axis=0) - 1).max() <= _SLACK * len(said)
        ):
            raise DataError("probabilities must be 0 to 1 and sum to 1 over the classes: are these logits?")
        if true.min() < 0 or true.max() >= len(said):
            raise DataError(
                f"the reference holds classes {true.min()} to {true.max()}, the probabilities 0 to {len(said) - 1}: "
                "leave out voxels to ignore by `counted`"
            )
    return said, true.astype(np.intp)
