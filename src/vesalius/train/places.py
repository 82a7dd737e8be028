"""Where the classes of a case are, so that a patch can be centred on one without looking at the whole case."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.plan.prepare import IGNORE
from vesalius.train.tiles import ReadsWindows

_MOST, _LEAST_SHARE = 10_000, 0.01  # voxels remembered of a class (Source: nnU-Net)
_SEED = 20_240_229  # of which voxels: the same for the same case


@dataclass(frozen=True, eq=False)
class Places:
    """Voxels of each class, evenly chosen.

    Args:
        voxels: ``(n,)``, numbers of voxels in C order, class after class; where nothing occurs, one that stands for
            nothing.
        classes: The classes that occur, in that order; `IGNORE` stands for *any annotated voxel*, the background
            included, and is there only if some voxels are not annotated.
        starts: Where each class starts in ``voxels``, and where the last ends.
        shape: Of the case.
    """

    voxels: ReadsWindows
    classes: tuple[int, ...]
    starts: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def foreground(self) -> tuple[int, ...]:
        """The classes above the background that occur."""
        return tuple(number for number in self.classes if number > 0)

    @property
    def is_sparse(self) -> bool:
        """Whether some voxels are not annotated."""
        return IGNORE in self.classes

    def draw(self, number: int, random: np.random.Generator) -> NDArray[np.int64]:
        """One of the remembered voxels of a class.

        Args:
            number: The class; `IGNORE` for any annotated voxel of a case that `is_sparse`.
            random: Decides which.

        Returns:
            ``(ndim,)`` indices.
        """
        at = self.classes.index(number)
        chosen = int(random.integers(self.starts[at], self.starts[at + 1]))
        return np.asarray(np.unravel_index(int(self.voxels[chosen : chosen + 1,][0]), self.shape))


def find_places(classes: NDArray[np.int16]) -> Places:
    """Choose voxels of each class: 10,000, or one in a hundred if that is more, or all if there are not so many.

    They are chosen evenly along the case: one of every n, at random among these n, so that no pattern of the grid is
    preferred.

    Args:
        classes: ``(*grid)``, class numbers, `IGNORE` where nobody looked.

    Example:
        >>> places = find_places(np.array([[0, 0, 2], [0, 2, 2]], np.int16))
        >>> places.foreground, places.is_sparse, places.voxels[:].tolist()
        ((2,), False, [2, 4, 5])

    Source: nnU-Net (``DefaultPreprocessor._sample_foreground_locations``).
    """
    flat = classes.reshape(-1)
    random = np.random.default_rng(_SEED)
    kind = np.int32 if flat.size < 2**31 else np.int64
    counts = np.bincount(flat.astype(np.int64) - IGNORE)
    numbers: Iterable[int] = (number for number in range(1, len(counts) + IGNORE) if counts[number - IGNORE])
    found = {number: _spread(np.flatnonzero(flat == number), random) for number in numbers}
    if counts[0]:
        found[IGNORE] = _spread(np.flatnonzero(flat != IGNORE), random)
    starts = np.cumsum([0, *(len(voxels) for voxels in found.values())])
    return Places(
        np.concatenate([*found.values()] or [np.zeros(1, np.int64)]).astype(kind),
        tuple(found),
        tuple(int(start) for start in starts),
        classes.shape,
    )


def _spread(voxels: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    count = min(len(voxels), max(_MOST, math.ceil(_LEAST_SHARE * len(voxels))))
    if count == len(voxels):
        return voxels
    edges = np.linspace(0, len(voxels), count + 1)
    return voxels[np.minimum((edges[:-1] + random.random(count) * np.diff(edges)).astype(np.int64), len(voxels) - 1)]
