"""Which predicted instance is which of the reference: pairs of lesions, nuclei or nodules.

Instances are numbers in an array, 0 being background: the connected pieces of a mask, as
`vesalius.transform.label_components` makes them, or what a data set numbers itself. What the pairs say is scored in
`vesalius.metrics.detection`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError, unknown_name
from vesalius.image import Grid

Criterion = Literal["iou", "centre_mm", "overlap"]
"""When two instances may be a pair; see `match_instances`."""

Assignment = Literal["greedy", "optimal"]
"""Who gets whom where several pairs are possible; see `match_instances`."""


@dataclass(frozen=True)
class Pair:
    """A predicted instance and the one of the reference that it found.

    Args:
        reference: Number of the instance in the reference.
        prediction: Number of the instance in the prediction.
        iou: Their intersection over union, 0 … 1, whatever the criterion was.
        distance_mm: Between their centres of mass; NaN where no grid was given.
    """

    reference: int
    prediction: int
    iou: float
    distance_mm: float


@dataclass(frozen=True)
class Matching:
    """What was found, what was missed, and what was made up.

    Args:
        pairs: In order of the reference's numbers; each instance is in one pair at most.
        missed: Instances of the reference without a partner.
        spurious: Instances of the prediction without a partner.
    """

    pairs: tuple[Pair, ...]
    missed: tuple[int, ...]
    spurious: tuple[int, ...]

    @property
    def true_positive(self) -> int:
        """Instances of the reference that were found."""
        return len(self.pairs)

    @property
    def false_negative(self) -> int:
        """Instances of the reference that were not."""
        return len(self.missed)

    @property
    def false_positive(self) -> int:
        """Predicted instances that nothing of the reference answers to."""
        return len(self.spurious)


def match_instances(
    prediction: NDArray[np.integer],
    reference: NDArray[np.integer],
    *,
    grid: Grid | None = None,
    criterion: Criterion = "iou",
    threshold: float = 0.5,
    assignment: Assignment = "greedy",
) -> Matching:
    """Pair predicted instances with those of the reference, each with one at most.

    Above an IoU of 0.5 at most one partner is possible and both assignments agree (instances do not overlap). Below, or
    by the other criteria, they may differ.

    Args:
        prediction: ``(*grid.shape)``, numbers of instances, 0 for background; any numbers above.
        reference: The same, of the same shape.
        grid: Where the voxels are; obligatory for ``"centre_mm"``.
        criterion: ``"iou"``: their IoU is above ``threshold``. ``"centre_mm"``: their centres of mass are at most
            ``threshold`` mm apart. ``"overlap"``: they share a voxel; ``threshold`` says nothing then.
        threshold: Of the criterion: 0 … below 1 for ``"iou"``, mm ≥ 0 for ``"centre_mm"``.
        assignment: ``"greedy"``: the best pair first (highest IoU, smallest distance), then the best of what is left.
            ``"optimal"``: as many pairs as there can be, and of these choices the one whose IoU (distances) add up to
            the most (least).

    Returns:
        The pairs and who is alone. Empty arrays give no pairs.

    Raises:
        GeometryError: The shapes differ, or ``"centre_mm"`` has no grid.
        DataError: A name is unknown, the threshold is out of range, or an instance is negative.

    Example:
        >>> drawn = np.array([[1, 1, 0, 2, 2, 2]])
        >>> said = np.array([[7, 0, 0, 4, 4, 0]])
        >>> found = match_instances(said, drawn)
        >>> [(pair.reference, pair.prediction) for pair in found.pairs], found.missed, found.spurious
        ([(2, 4)], (1,), (7,))

    Source: Kirillov et al., CVPR 2019, doi:10.1109/CVPR.2019.00963 (IoU above 0.5 is unique); Maier-Hein et al., Nature
    Methods 21:195, 2024, doi:10.1038/s41592-023-02151-z (criteria and assignments); Kuhn, Naval Research Logistics
    Quarterly 2:83, 1955, doi:10.1002/nav.3800020109 (optimal).
    """
    _check(prediction, reference, grid, criterion, threshold, assignment)
    ours, their = _numbered(prediction), _numbered(reference)
    rows, columns, iou = _overlaps(their, ours)
    centres = [None if grid is None else _centres(one, grid) for one in (their, ours)]
    if criterion == "centre_mm":
        rows, columns, iou = _near(centres[0], centres[1], threshold, (rows, columns, iou))
    elif criterion == "iou":
        good = iou > threshold
        rows, columns, iou = rows[good], columns[good], iou[good]
    distance = np.full(rows.size, np.nan)
    if centres[0] is not None and centres[1] is not None and rows.size:
        distance = np.linalg.norm(centres[0][rows] - centres[1][columns], axis=1)
    # One number says how good a pair is, 0 to 1: distances are turned round.
    worth = 1 - distance / max(threshold, 1e-12) if criterion == "centre_mm" else iou
    chosen = (_greedy if assignment == "greedy" else _optimal)(rows, columns, worth)
    chosen = chosen[np.argsort(rows[chosen], kind="stable")]
    pairs = tuple(
        Pair(int(their.numbers[rows[n]]), int(ours.numbers[columns[n]]), float(iou[n]), float(distance[n]))
        for n in chosen.tolist()
    )
    alone = [np.setdiff1d(np.arange(s.numbers.size), at[chosen]) for s, at in ((their, rows), (ours, columns))]
    return Matching(
        pairs, tuple(their.numbers[alone[0]].astype(int).tolist()), tuple(ours.numbers[alone[1]].astype(int).tolist())
    )


@dataclass(frozen=True, eq=False)
class _Instances:
    """The voxels of all instances, and the numbers that these had.

    Args:
        voxels: Flat indices of the foreground.
        owner: For each the instance that it belongs to, as a place in ``numbers``.
        numbers: As they were given.
        sizes: Voxels of each.
        shape: Of the array.
    """

    voxels: NDArray[np.intp]
    owner: NDArray[np.intp]
    numbers: NDArray[Any]
    sizes: NDArray[np.intp]
    shape: tuple[int, ...]


def _check(
    prediction: NDArray[np.integer],
    reference: NDArray[np.integer],
    grid: Grid | None,
    criterion: str,
    threshold: float,
    assignment: str,
) -> None:
    for kind, name, known in (("criterion", criterion, Criterion), ("assignment", assignment, Assignment)):
        if name not in get_args(known):
            raise DataError(unknown_name(kind, name, get_args(known)))
    if prediction.shape != reference.shape:
        raise GeometryError(
            f"instances must be numbered on one grid; the prediction has shape {prediction.shape} and the reference "
            f"{reference.shape}"
        )
    if criterion == "centre_mm" and grid is None:
        raise GeometryError('the criterion "centre_mm" measures in mm: give the grid of the instances')
    if grid is not None and grid.shape != prediction.shape:
        raise GeometryError(f"the grid {grid.shape} is not that of the instances {prediction.shape}")
    if not (0 <= threshold < 1 if criterion == "iou" else 0 <= threshold < np.inf):
        allowed = "0 to below 1" if criterion == "iou" else "0 or more, and finite"
        raise DataError(f"the threshold of {criterion!r} must be {allowed}, not {threshold}")
    if min(prediction.min(initial=0), reference.min(initial=0)) < 0:
        raise DataError("instances are numbered from 1, with 0 for background; there are negative numbers")


def _numbered(array: NDArray[np.integer]) -> _Instances:
    flat = array.reshape(-1)
    voxels = np.flatnonzero(flat)  # all that follows looks at the foreground only, which is a small part of most images
    numbers, owner, sizes = np.unique(flat[voxels], return_inverse=True, return_counts=True)
    return _Instances(voxels, owner, numbers, sizes, array.shape)


def _overlaps(their: _Instances, ours: _Instances) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Pairs that share voxels, by place in the lists of instances, with their IoU."""
    dense = np.full(math.prod(their.shape), -1, np.int32)
    dense[their.voxels] = their.owner
    found = dense[ours.voxels]
    both = found >= 0
    # Only pairs that occur are kept: with thousands of instances a full table would not fit.
    keys, shared = np.unique(found[both] * np.intp(ours.numbers.size) + ours.owner[both], return_counts=True)
    rows, columns = np.divmod(keys, max(ours.numbers.size, 1))
    return rows, columns, shared / (their.sizes[rows] + ours.sizes[columns] - shared)


def _centres(one: _Instances, grid: Grid) -> NDArray[np.float64]:
    """Centres of mass ``(instances, n)``, mm."""
    if not one.numbers.size:
        return np.zeros((0, grid.ndim))
    at = np.unravel_index(one.voxels, one.shape)
    mean = [np.bincount(one.owner, axis, minlength=one.numbers.size) / one.sizes for axis in at]
    return grid.to_points(np.column_stack(mean))


def _near(
    centres: NDArray[np.float64] | None,
    others: NDArray[np.float64] | None,
    reach_mm: float,
    overlaps: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Pairs whose centres are near enough, with the IoU that they have, if any."""
    from scipy.spatial import cKDTree

    assert centres is not None  # because the grid was asked for
    assert others is not None
    if not len(centres) or not len(others):
        return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0)
    near = cKDTree(others).query_ball_point(centres, reach_mm * (1 + 1e-12))
    rows = np.repeat(np.arange(len(centres)), [len(one) for one in near])
    columns = np.array([n for one in near for n in one], np.intp)
    known = {(r, c): value for r, c, value in zip(*(part.tolist() for part in overlaps), strict=True)}
    return (
        rows,
        columns,
        np.array([known.get((r, c), 0.0) for r, c in zip(rows.tolist(), columns.tolist(), strict=True)]),
    )


def _greedy(rows: NDArray[np.intp], columns: NDArray[np.intp], worth: NDArray[np.float64]) -> NDArray[np.intp]:
    taken: tuple[set[int], set[int]] = (set(), set())
    chosen = []
    for n in np.lexsort((columns, rows, -worth)).tolist():
        row, column = int(rows[n]), int(columns[n])
        if row not in taken[0] and column not in taken[1]:
            taken[0].add(row)
            taken[1].add(column)
            chosen.append(n)
    return np.array(chosen, np.intp)


def _optimal(rows: NDArray[np.intp], columns: NDArray[np.intp], worth: NDArray[np.float64]) -> NDArray[np.intp]:
    """Groups of instances that no possible pair joins are solved one by one: that keeps the tables small."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not rows.size:
        return rows
    high = int(rows.max()) + 1
    size = high + int(columns.max()) + 1
    joined = coo_array((np.ones(rows.size), (rows, columns + high)), shape=(size, size))
    group = connected_components(joined, directed=False)[1][rows]
    chosen = []
    order = np.argsort(group, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        r, row = np.unique(rows[members], return_inverse=True)
        c, column = np.unique(columns[members], return_inverse=True)
        table = np.zeros((r.size, c.size))
        place = np.full(table.shape, -1, np.intp)
        # A pair more is worth more than all that the others could gain.
        table[row, column] = worth[members] + min(table.shape) + 1
        place[row, column] = members
        found = place[linear_sum_assignment(table, maximize=True)]
        chosen.extend(found[found >= 0].tolist())
    return np.array(chosen, np.intp)
