"""Many small regions become fewer: those that touch and are alike are joined."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels

_MOST_REGIONS = 65_535  # what a label map can hold


def merged(
    regions: NDArray[Any], values: NDArray[Any], *, tolerance: float, least_voxels: float = 0.0
) -> NDArray[np.int32]:
    """Join neighbouring regions, the most alike first, until no two that touch are alike.

    All pairs are put in order; a pair is joined when its turn comes if it is alike still, since means follow. Then the
    pairs that are left are put in order anew.

    Args:
        regions: ``(*grid.shape)``, whole numbers from 0; 0 takes no part.
        values: ``(channels, *grid.shape)``; regions are compared by their means.
        tolerance: Two regions are alike when the distance of their means is at most this, in the values' unit; a
            negative one joins none.
        least_voxels: After that, a region of fewer voxels joins the neighbour that is most like it.

    Returns:
        The regions that are left, numbered from 1 in the order of their first voxel; 0 stays.

    Example:
        >>> merged(np.array([[1, 2, 3]]), np.array([[[5.0, 6.0, 20.0]]]), tolerance=2).tolist()
        [[1, 1, 2]]

    Source: greedy merging on the region adjacency graph, as ``skimage.graph.merge_hierarchical``, a round at a time.
    """
    _, compact = np.unique(regions, return_inverse=True)
    compact = compact.reshape(regions.shape).astype(np.int64)
    if (regions != 0).all():
        compact += 1
    count = int(compact.max()) + 1
    number = np.bincount(compact.ravel(), minlength=count).astype(np.float64)
    totals = [np.bincount(compact.ravel(), one.ravel().astype(np.float64), minlength=count) for one in values]
    means = np.stack(totals, axis=1).astype(np.float64) / np.maximum(number, 1)[:, None]
    joined = _Joined(means, number, adjacent(compact))
    joined.alike(tolerance)
    joined.small(least_voxels)
    return numbered(joined.homes()[compact])


def adjacent(regions: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pairs ``(n, 2)`` of regions, each once and rising, that have a face in common; 0 is none."""
    found = []
    count = int(regions.max()) + 1
    for axis in range(regions.ndim):
        one = regions.take(np.arange(regions.shape[axis] - 1), axis).ravel()
        other = regions.take(np.arange(1, regions.shape[axis]), axis).ravel()
        meets = (one != other) & (one > 0) & (other > 0)
        one, other = one[meets], other[meets]
        found.append(np.unique(np.minimum(one, other) * count + np.maximum(one, other)))
    return np.stack(np.divmod(np.unique(np.concatenate(found)), count), axis=1)


def numbered(regions: NDArray[Any]) -> NDArray[np.int32]:
    """Regions numbered from 1 in the order of their first voxel; 0 stays 0."""
    names, first, compact = np.unique(regions, return_index=True, return_inverse=True)
    order = np.argsort(np.where(names == 0, -1, first), kind="stable")
    made = np.empty(len(names), np.int32)
    made[order] = np.arange(len(names)) + (0 if (names == 0).any() else 1)
    return made[compact.reshape(regions.shape)]


def as_labels(regions: NDArray[Any], grid: Grid) -> LabelMap:
    """A label map of numbered regions, ``"region 1"`` and so on.

    Raises:
        DataError: There are more than a label map can hold.
    """
    count = int(regions.max(initial=0))
    if count > _MOST_REGIONS:
        raise DataError(
            f"there are {count:,} regions, and a label map holds {_MOST_REGIONS:,}: make them larger, or join more"
        )
    made = regions.astype(np.uint8 if count < 256 else np.uint16)
    return LabelMap(made, grid, Labels.of({f"region {n}": n for n in range(1, count + 1)}))


class _Joined:
    """Regions of which some have become one: each is found under its home."""

    def __init__(self, means: NDArray[np.float64], number: NDArray[np.float64], pairs: NDArray[np.int64]) -> None:
        # Plain lists: single numbers are read and written far more often than rows are reckoned with.
        self.means: list[list[float]] = means.tolist()
        self.number: list[float] = number.tolist()
        self.parent = list(range(len(number)))
        self.pairs = pairs

    def homes(self) -> NDArray[np.int64]:
        """The home of every region."""
        parent = np.array(self.parent)
        while not np.array_equal(further := parent[parent], parent):
            parent = further
        self.parent = parent.tolist()
        return parent

    def alike(self, tolerance: float) -> None:
        """Join what is alike, a round at a time."""
        while True:
            apart = self._left()
            near = np.flatnonzero(apart <= tolerance)
            if near.size == 0:
                return
            for a, b in self.pairs[near[np.argsort(apart[near], kind="stable")]].tolist():
                one, other = self._home(a), self._home(b)
                if one != other and self._apart(one, other) <= tolerance:
                    self._join(one, other)

    def small(self, least: float) -> None:
        """Join what is small with the neighbour most like it, a round at a time, the smallest first."""
        while True:
            apart = self._left()
            number = np.array(self.number)
            # Both ways round, those of each region together and its nearest first.
            own, others = np.concatenate([self.pairs, self.pairs[:, ::-1]]).T
            order = np.lexsort((others, np.concatenate([apart, apart]), own))
            own, others = own[order], others[order]
            first = np.flatnonzero(np.diff(own, prepend=-1) != 0)
            waiting = first[number[own[first]] < least]
            if waiting.size == 0:
                return
            for at in waiting[np.argsort(number[own[waiting]], kind="stable")].tolist():
                one, other = self._home(int(own[at])), self._home(int(others[at]))
                if one != other and min(self.number[one], self.number[other]) < least:
                    self._join(one, other)

    def _left(self) -> NDArray[np.float64]:
        """Bring the pairs to what is left; gives how far apart their means are."""
        pairs = np.sort(self.homes()[self.pairs], axis=1)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        count = len(self.parent)
        self.pairs = np.stack(np.divmod(np.unique(pairs[:, 0] * count + pairs[:, 1]), count), axis=1)
        means = np.array(self.means)
        apart: NDArray[np.float64] = np.linalg.norm(means[self.pairs[:, 0]] - means[self.pairs[:, 1]], axis=1)
        return apart

    def _home(self, region: int) -> int:
        parent = self.parent
        while parent[region] != region:
            parent[region] = parent[parent[region]]
            region = parent[region]
        return region

    def _apart(self, one: int, other: int) -> float:
        return float(sum((a - b) ** 2 for a, b in zip(self.means[one], self.means[other], strict=True)) ** 0.5)

    def _join(self, one: int, other: int) -> None:
        """Make two regions one, under the lower number."""
        kept, gone = min(one, other), max(one, other)
        mine, theirs = self.number[kept], self.number[gone]
        self.means[kept] = [
            (a * mine + b * theirs) / (mine + theirs) for a, b in zip(self.means[kept], self.means[gone], strict=True)
        ]
        self.number[kept] = mine + theirs
        self.parent[gone] = kept
