"""How well readers agree: kappas, the distance of two sets of segmentations, and Bland and Altman's limits.

A consensus of several readers is made by `vesalius.transform.consensus`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError, unknown_name

Weights = Literal["none", "linear", "quadratic"]
"""How far apart two classes are; see `cohen_kappa`."""


def fleiss_kappa(readings: Sequence[NDArray[np.integer]]) -> float:
    """Fleiss' kappa: agreement of several readers beyond chance, on every voxel (or case).

    1 is full agreement, 0 what chance gives, below 0 less. Large backgrounds make it high: crop to where a reader saw
    something if that is not meant.

    Args:
        readings: One array of classes a reader, two or more, of one shape.

    Returns:
        Kappa; 1 where all readers use one class only, since they agree.

    Raises:
        GeometryError: Shapes differ.
        DataError: There are fewer than two readers, or no voxels.

    Example:
        >>> round(fleiss_kappa([np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])]), 4)
        0.6571

    Source: Fleiss, Psychological Bulletin 76:378 (1971), doi:10.1037/h0031619.
    """
    coded, classes = _coded(readings)
    readers = len(coded)
    votes = np.stack([(coded == c).sum(axis=0) for c in range(classes)])
    agreed = float(((votes * (votes - 1)).sum(axis=0) / (readers * (readers - 1))).mean())
    by_chance = float(((votes.mean(axis=1) / readers) ** 2).sum())
    return _beyond(agreed, by_chance)


def cohen_kappa(one: NDArray[np.integer], other: NDArray[np.integer], *, weights: Weights = "none") -> float:
    """Cohen's kappa: agreement of two readers beyond chance.

    Args:
        one: Classes, any shape.
        other: Classes of the same shape.
        weights: ``"none"``: classes are alike or not. ``"linear"`` and ``"quadratic"`` for grades: a disagreement
            counts as the (squared) distance of the classes' places among those that occur.

    Returns:
        Kappa, at most 1; 1 where both use one and the same class only.

    Raises:
        GeometryError: Shapes differ.
        DataError: There are no voxels, or the weights are unknown.

    Example:
        >>> round(cohen_kappa(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])), 4)
        0.1667

    Source: Cohen, Educ Psychol Meas 20:37 (1960), doi:10.1177/001316446002000104, and Psychological Bulletin 70:213
    (1968), doi:10.1037/h0026256 (weights); checked against scikit-learn.
    """
    if weights not in get_args(Weights):
        raise DataError(unknown_name("weights", weights, get_args(Weights)))
    (first, second), classes = _coded([one, other])
    table = np.bincount(first * classes + second, minlength=classes**2).reshape(classes, classes) / first.size
    apart = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes))).astype(np.float64)
    cost = {"none": (apart > 0).astype(np.float64), "linear": apart, "quadratic": apart**2}[weights]
    worst = max(float(cost.max()), 1.0)
    chance = np.outer(table.sum(axis=1), table.sum(axis=0))
    return _beyond(1 - float((cost * table).sum()) / worst, 1 - float((cost * chance).sum()) / worst)


def generalised_energy_distance(
    predictions: Sequence[NDArray[np.integer]], references: Sequence[NDArray[np.integer]]
) -> float:
    """Squared generalised energy distance of two sets of segmentations: samples of a model, and readers.

    2 E d(P, R) - E d(P, P') - E d(R, R'), with d = 1 - IoU averaged over the classes that occur anywhere, background
    left out. 0 when both sets are distributed alike. Two segmentations without a class are at distance 0 in it, one
    with and one without at distance 1.

    Args:
        predictions: One or more arrays of classes, 0 for background.
        references: One or more of the same shape.

    Returns:
        0 … 2; pairs of a segmentation with itself are part of the means, as published.

    Raises:
        GeometryError: Shapes differ.
        DataError: A set is empty, or there are no voxels.

    Example:
        >>> yes, no = np.array([1, 1, 0, 0]), np.array([0, 0, 0, 0])
        >>> generalised_energy_distance([yes, no], [yes, no]), generalised_energy_distance([yes], [yes, no])
        (0.0, 0.5)

    Source: Kohl et al., A Probabilistic U-Net, NeurIPS 2018, arXiv:1806.05034, equation 4 and appendix B; Székely and
    Rizzo, J Stat Plan Inference 143:1249 (2013), doi:10.1016/j.jspi.2013.03.018.
    """
    if not predictions or not references:
        raise DataError("both sets need at least one segmentation")
    everything = [*predictions, *references]
    if len({one.shape for one in everything}) > 1:
        raise GeometryError(f"segmentations must have one shape, not {sorted({one.shape for one in everything})}")
    classes = np.unique(np.concatenate([np.unique(one) for one in everything]))
    classes = classes[classes != 0]
    if not classes.size:
        return 0.0
    apart = np.zeros((len(everything), len(everything)))
    for value in classes:
        masks = np.stack([(one == value).reshape(-1) for one in everything]).astype(np.float32)
        # float32 counts exactly up to 2^24 voxels: larger images are summed in pieces.
        shared = sum(
            (part @ part.T).astype(np.float64)
            for part in (masks[:, n : n + (1 << 23)] for n in range(0, masks.shape[1], 1 << 23))
        )
        sizes = np.diag(shared)
        union = sizes[:, None] + sizes[None] - shared
        apart += 1 - np.where(union > 0, shared / np.maximum(union, 1), 1.0)
    apart /= classes.size
    n = len(predictions)
    return float(2 * apart[:n, n:].mean() - apart[:n, :n].mean() - apart[n:, n:].mean())


@dataclass(frozen=True)
class BlandAltman:
    """How two ways of measuring differ.

    Args:
        n: Pairs that were compared.
        bias: Mean of the differences, prediction minus reference.
        std: Their standard deviation (n - 1).
        low: Lower limit of agreement, bias - 1.96 std: 95 % of differences lie between the limits if they are normal.
        high: Upper limit.
        bias_interval: 95 % interval of the bias.
        low_interval: 95 % interval of the lower limit.
        high_interval: 95 % interval of the upper limit.
        means: ``(n,)``, mean of each pair: where a point goes across.
        differences: ``(n,)``, where it goes up.
    """

    n: int
    bias: float
    std: float
    low: float
    high: float
    bias_interval: tuple[float, float]
    low_interval: tuple[float, float]
    high_interval: tuple[float, float]
    means: tuple[float, ...]
    differences: tuple[float, ...]


def bland_altman(prediction: Sequence[float], reference: Sequence[float]) -> BlandAltman:
    """Bias and limits of agreement of two measurements of the same cases, such as volumes in ml.

    Args:
        prediction: A number a case; NaN leaves the case out.
        reference: The same of the reference (or of the other reader).

    Returns:
        The analysis; what needs two cases is NaN below two, and all is below one.

    Raises:
        DataError: The numbers of values differ, or one is infinite.

    Example:
        >>> found = bland_altman([10.0, 12.0, 14.0, 20.0], [10.0, 11.0, 12.0, 19.0])
        >>> found.bias, round(found.std, 4), round(found.low, 3), round(found.high, 3)
        (1.0, 0.8165, -0.6, 2.6)

    Source: Bland and Altman, Lancet 327:307 (1986), doi:10.1016/S0140-6736(86)90837-8, and Stat Methods Med Res 8:135
    (1999), doi:10.1177/096228029900800204, section 2 (the limits' variance, s² (1 / n + 1.96² / (2 (n - 1)))).
    """
    from scipy.stats import t

    one, other = np.asarray(prediction, np.float64), np.asarray(reference, np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise DataError(f"there must be as many predictions as references, not {one.shape} and {other.shape}")
    if np.isinf(one).any() or np.isinf(other).any():
        raise DataError("a measurement is infinite")
    known = ~(np.isnan(one) | np.isnan(other))
    one, other = one[known], other[known]
    apart, n = one - other, one.size
    bias = float(apart.mean()) if n else math.nan
    std = float(apart.std(ddof=1)) if n > 1 else math.nan
    reach = float(t.ppf(0.975, n - 1)) if n > 1 else math.nan
    of_bias = reach * std / math.sqrt(n) if n > 1 else math.nan
    of_limit = reach * std * math.sqrt(1 / n + 1.96**2 / (2 * (n - 1))) if n > 1 else math.nan
    low, high = bias - 1.96 * std, bias + 1.96 * std
    return BlandAltman(
        n=n,
        bias=bias,
        std=std,
        low=low,
        high=high,
        bias_interval=(bias - of_bias, bias + of_bias),
        low_interval=(low - of_limit, low + of_limit),
        high_interval=(high - of_limit, high + of_limit),
        means=tuple(((one + other) / 2).tolist()),
        differences=tuple(apart.tolist()),
    )


def _coded(readings: Sequence[NDArray[Any]]) -> tuple[NDArray[np.intp], int]:
    """Classes as places among those that occur, ``(readers, voxels)``, and how many there are."""
    if len(readings) < 2:
        raise DataError(f"agreement needs two readers or more, not {len(readings)}")
    if len({one.shape for one in readings}) > 1:
        raise GeometryError(f"readings must have one shape, not {sorted({one.shape for one in readings})}")
    if readings[0].size == 0:
        raise DataError("there are no voxels to agree on")
    values, places = np.unique(np.stack([one.reshape(-1) for one in readings]), return_inverse=True)
    return places.reshape(len(readings), -1), int(values.size)


def _beyond(agreed: float, by_chance: float) -> float:
    return 1.0 if by_chance >= 1 else (agreed - by_chance) / (1 - by_chance)
