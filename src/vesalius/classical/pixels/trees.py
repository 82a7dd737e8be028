"""Decision trees as arrays: what scikit-learn has learnt, without its objects, so that no pickle is ever read."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.jobs import cores

_CHUNK = 1 << 14  # voxels at a time: what is looked up stays in the cache


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees whose leaves add up.

    Args:
        feature: ``(nodes,)``, which feature a node asks for; 0 at a leaf.
        threshold: ``(nodes,)``, a feature that is not above it goes left; infinite at a leaf.
        children: ``(nodes, 2)``, numbers of the nodes to the left and right; a leaf's own number twice.
        value: ``(nodes, outputs)``, what a leaf adds.
        roots: ``(trees,)``, where each tree begins.
        depth: Of the deepest tree.
        base: ``(outputs,)``, to which leaves are added.

    Raises:
        DataError: Numbers of nodes, features or sizes do not fit together, so that a walk could leave the arrays.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    children: NDArray[np.int32]
    value: NDArray[np.float32]
    roots: NDArray[np.int32]
    depth: int
    base: NDArray[np.float32]

    def __post_init__(self) -> None:
        nodes = len(self.feature)
        shapes = (self.threshold.shape, self.children.shape, self.value.shape[:1], self.base.shape)
        if shapes != ((nodes,), (nodes, 2), (nodes,), self.value.shape[1:]) or not nodes or not len(self.roots):
            raise DataError("the arrays of the trees do not fit together")
        for name, numbers in (("children", self.children), ("roots", self.roots)):
            if numbers.min() < 0 or numbers.max() >= nodes:
                raise DataError(f"{name} of the trees name nodes that are not there")
        if self.feature.min() < 0 or not 0 <= self.depth <= 10_000:
            raise DataError("the trees ask for features that are not there, or are too deep")

    def sum(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the leaves of all trees add up to, for each of n voxels.

        Args:
            features: One column a voxel.

        Raises:
            DataError: There are fewer features than the trees ask for.

        Example:
            >>> either = np.int32([[1, 2], [1, 1], [2, 2]]), np.float32([[0], [1], [3]])
            >>> stump = Trees(
            ...     np.int32([0, 0, 0]), np.float64([0.5, np.inf, np.inf]), *either, np.int32([0]), 1, np.float32([10])
            ... )
            >>> stump.sum(np.float32([[0.4, 0.6]])).ravel().tolist()
            [11.0, 13.0]
        """
        if self.feature.max() >= len(features):
            raise DataError(f"the trees ask for feature {self.feature.max()}, and there are {len(features)}")
        count = features.shape[1]
        made = np.empty((count, len(self.base)), np.float32)

        def one(start: int) -> None:
            stop = min(start + _CHUNK, count)
            made[start:stop] = self._sum(np.ascontiguousarray(features[:, start:stop]))

        with ThreadPoolExecutor(cores()) as threads:
            list(threads.map(one, range(0, count, _CHUNK)))
        return made

    def _sum(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        count = features.shape[1]
        flat, column = features.ravel(), np.arange(count)
        offset = self.feature.astype(np.int64) * count
        both = self.children.ravel()
        total = np.tile(self.base, (count, 1))
        for root in self.roots:
            node = np.full(count, root, np.int64)
            for _ in range(self.depth):
                right = flat.take(offset.take(node) + column) > self.threshold.take(node)
                following = both.take(2 * node + right)
                if np.array_equal(following, node):
                    break
                node = following.astype(np.int64)
            total += self.value.take(node, axis=0)
        return total


def trees_of(
    grown: Sequence[Any], outputs: Sequence[int | None], values: Sequence[NDArray[Any]], base: NDArray[Any]
) -> Trees:
    """Put scikit-learn's trees together.

    Args:
        grown: Their ``tree_``.
        outputs: For each tree the output that its leaves add to; None where they add to all.
        values: ``(nodes, outputs or 1)`` of each.
        base: ``(outputs,)``.
    """
    feature, threshold, children, value, roots = [], [], [], [], []
    start = 0
    for tree, output, added in zip(grown, outputs, values, strict=True):
        leaf = tree.children_left < 0
        own = np.arange(tree.node_count)
        feature.append(np.where(leaf, 0, tree.feature))
        threshold.append(np.where(leaf, np.inf, tree.threshold))
        sides = (np.where(leaf, own, side) for side in (tree.children_left, tree.children_right))
        children.append(start + np.stack(list(sides), axis=1))
        full = np.zeros((tree.node_count, len(base)))
        full[:, slice(None) if output is None else slice(output, output + 1)] = added
        value.append(full)
        roots.append(start)
        start += tree.node_count
    return Trees(
        np.concatenate(feature).astype(np.int32),
        np.concatenate(threshold).astype(np.float64),
        np.concatenate(children).astype(np.int32),
        np.concatenate(value).astype(np.float32),
        np.asarray(roots, np.int32),
        max(int(tree.max_depth) for tree in grown),
        np.asarray(base, np.float32),
    )
