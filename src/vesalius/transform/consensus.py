"""One label map out of several: by majority, or by STAPLE, which finds how good each reader is on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError
from vesalius.image import LabelMap, Labels

_SURE = 0.99999  # how right readers are taken to be at first
_FEW = 1 << 20  # patterns that can be counted in a table
_TINY = 1e-300  # keeps logarithms finite


@dataclass(frozen=True, eq=False)
class Staple:
    """What several readers say together.

    Args:
        consensus: The likeliest label of each voxel; of equally likely ones the one that comes first.
        values: The labels' values, background 0 first: the order of the axes below.
        performance: ``(readers, said, true)``: how often a reader says one label where the truth is another. A column
            sums to 1, or is NaN for a label that the truth has nowhere.
        prior: ``(labels,)``, how much of the image each label was taken to be.
        iterations: How many were made.
        converged: Whether it came to rest, rather than to ``most_iterations``.
        probability: ``(labels, *grid.shape)``, float32: how likely each label is.
    """

    consensus: LabelMap
    values: tuple[int, ...]
    performance: NDArray[np.float64]
    prior: NDArray[np.float64]
    iterations: int
    converged: bool
    probability: NDArray[np.float32]

    def sensitivity(self, value: int) -> tuple[float, ...]:
        """Of each reader: the share of a label that the reader found.

        Raises:
            DataError: The label is not one of ``values``.
        """
        return tuple(self.performance[:, self._place(value), self._place(value)].tolist())

    def _place(self, value: int) -> int:
        if value not in self.values:
            raise DataError(f"label {value} is not one of those that the readers drew: {list(self.values)}")
        return self.values.index(value)


def majority(readings: Sequence[LabelMap]) -> LabelMap:
    """What most readings say at each voxel.

    Args:
        readings: One or more label maps on one grid. Labels are compared by value; values to ignore count as 0.

    Returns:
        The label with most votes; of equally many, the lowest value, so that the background wins a tie.

    Raises:
        GeometryError: Grids differ.
        DataError: There is no reading.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> grid, labels = Grid.from_spacing((1, 3), (1.0, 1.0)), Labels.of({"a": 1, "b": 2})
        >>> drawn = ([[1, 2, 0]], [[1, 2, 1]], [[2, 2, 2]])
        >>> majority([LabelMap(np.array(one, np.uint8), grid, labels) for one in drawn]).array.tolist()
        [[1, 2, 0]]
    """
    if not readings:
        raise DataError("a majority needs a reading")
    _check_grids(readings)
    counted = [np.where(one.array == one.labels.ignore, 0, one.array) for one in readings]
    values = sorted({0, *(v for one in readings for v in one.counts() if v != one.labels.ignore)})
    winner = np.zeros(readings[0].grid.shape, np.result_type(*(one.array.dtype for one in readings)))
    most = np.zeros(winner.shape, np.int32)
    for value in values:  # rising: only more votes win over a lower value
        votes = np.sum([one == value for one in counted], axis=0, dtype=np.int32)
        winner[votes > most] = value
        np.maximum(most, votes, out=most)
    return LabelMap(winner, readings[0].grid, _all_labels(readings))


def staple(readings: Sequence[LabelMap], *, most_iterations: int = 1000, tolerance: float = 1e-8) -> Staple:
    """Estimate the truth behind several readings, and each reader's confusion with it.

    Readers are weighed by how well they agree with what all of them make likely: majority voting counts each as one.
    The whole image takes part: a large background makes the prior of a small structure low, as it is in ITK.

    Args:
        readings: Two or more label maps on one grid. Labels are compared by value; values to ignore count as 0.
        most_iterations: After which it stops at the latest, at least 1.
        tolerance: It stops when no entry of any confusion changes by more than this.

    Returns:
        Consensus, performance and probabilities. Where all readers agree everywhere, that is the consensus.

    Raises:
        GeometryError: Grids differ.
        DataError: There are fewer than two readings, or more patterns of labels than can be told apart.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> grid, labels = Grid.from_spacing((2, 5), (1.0, 1.0)), Labels.of({"lesion": 1})
        >>> drawn = [[[1, 1, 0, 0, 0]] * 2, [[1, 1, 0, 0, 0]] * 2, [[0, 1, 1, 0, 0]] * 2]
        >>> found = staple([LabelMap(np.array(one, np.uint8), grid, labels) for one in drawn])
        >>> found.consensus.array[0].tolist(), [round(s, 2) for s in found.sensitivity(1)]
        ([1, 1, 0, 0, 0], [1.0, 1.0, 0.5])

    Source: Warfield, Zou and Wells, IEEE TMI 23:903 (2004), doi:10.1109/TMI.2004.828354; several labels: Rohlfing,
    Russakoff and Maurer, IEEE TMI 23:983 (2004), doi:10.1109/TMI.2004.830803. Checked against SimpleITK's
    STAPLE filters.
    """
    if most_iterations < 1 or not tolerance >= 0:
        raise DataError(
            f"most_iterations must be at least 1 and tolerance at least 0, not {most_iterations} and {tolerance}"
        )
    coded, values = _coded(readings)
    grid, readers, labels = readings[0].grid, len(readings), len(values)
    # Voxels that all readers label alike are one pattern with a count: iterations need not look at voxels at all.
    patterns, where, counts = _patterns(coded, labels**readers)
    said = np.stack([patterns // labels**r % labels for r in range(readers)])
    prior = np.stack([((said == c) * counts).sum() for c in range(labels)]) / (readers * counts.sum())
    performance = np.full((readers, labels, labels), (1 - _SURE) / max(labels - 1, 1))
    performance[:, range(labels), range(labels)] = _SURE
    iterations, change = 0, np.inf
    while iterations < most_iterations and change > tolerance:
        weight = _expected(said, prior, performance)
        better = _maximised(said, weight * counts[:, None], labels)
        change = np.nanmax(np.abs(better - performance), initial=0.0)
        performance, iterations = better, iterations + 1
    weight = _expected(said, prior, performance)
    kind = np.result_type(*(one.array.dtype for one in readings))
    array = np.array(values, kind)[weight.argmax(axis=1)][where].reshape(grid.shape)
    return Staple(
        consensus=LabelMap(array, grid, _all_labels(readings)),
        values=values,
        performance=performance,
        prior=prior,
        iterations=iterations,
        converged=bool(change <= tolerance),
        probability=weight.T.astype(np.float32)[:, where.reshape(grid.shape)],
    )


def _check_grids(readings: Sequence[LabelMap]) -> None:
    for number, one in enumerate(readings):
        if not one.grid.is_close(readings[0].grid):
            raise GeometryError(
                f"reading {number} lies on another grid than the first: resample it with "
                "vesalius.transform.resample(reading, first.grid)"
            )


def _coded(readings: Sequence[LabelMap]) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """The labels of all readers at a voxel as one number, and the values that occur."""
    if len(readings) < 2:
        raise DataError(f"a consensus needs two readings or more, not {len(readings)}")
    first = readings[0]
    _check_grids(readings)
    seen = {v for one in readings for v in one.counts() if v != one.labels.ignore}
    values = tuple(sorted({0, *seen}))
    if len(values) ** len(readings) >= 1 << 62:
        raise DataError(f"{len(values)} labels of {len(readings)} readers are too many patterns: use fewer of either")
    coded = np.zeros(first.array.shape, np.int64)
    for number, one in enumerate(readings):
        table = np.zeros(int(one.array.max(initial=0)) + 1, np.int64)
        for place, value in enumerate(values):
            if value < table.size and value != one.labels.ignore:
                table[value] = place
        coded += table[one.array] * len(values) ** number
    return coded.reshape(-1), values


def _patterns(coded: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.intp]]:
    """The patterns that occur, which of them each voxel has, and how many voxels each has."""
    if most > _FEW:
        return np.unique(coded, return_inverse=True, return_counts=True)
    counts = np.bincount(coded, minlength=most)  # counting is many times faster than sorting
    patterns = np.flatnonzero(counts)
    table = np.zeros(most, np.intp)
    table[patterns] = np.arange(patterns.size)
    return patterns, table[coded], counts[patterns]


def _all_labels(readings: Sequence[LabelMap]) -> Labels:
    """The first reader's labels, and those that only others declare."""
    known = list(readings[0].labels.labels)
    for one in readings[1:]:
        values = {label.value for label in known}
        known += [label for label in one.labels.labels if label.value not in values]
    return replace(readings[0].labels, labels=tuple(known), ignore=None)


def _expected(
    said: NDArray[np.int64], prior: NDArray[np.float64], performance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How likely each label is at each pattern ``(patterns, labels)``."""
    logs = np.log(np.maximum(prior, _TINY))[None].repeat(said.shape[1], axis=0)
    for reader, row in zip(performance, said, strict=True):
        logs += np.log(np.maximum(np.nan_to_num(reader), _TINY))[row]
    weight: NDArray[np.float64] = np.exp(logs - logs.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    return weight


def _maximised(said: NDArray[np.int64], weight: NDArray[np.float64], labels: int) -> NDArray[np.float64]:
    """The confusion of each reader with weighted truth ``(readers, said, true)``."""
    total = weight.sum(axis=0)
    found = np.stack([np.stack([weight[row == c].sum(axis=0) for c in range(labels)]) for row in said])
    return np.where(total > 0, found / np.where(total > 0, total, 1.0), np.nan)
