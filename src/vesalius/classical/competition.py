"""Region competition: seeds grow until they meet, and then a voxel goes to the region that explains it best."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.classical.seeds import seed_values, without_background
from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Volume

_PRIOR = 10.0  # voxels that the noise of the image counts for in a region's spread: one seed has none of its own


def region_competition(
    image: Volume,
    *,
    seeds: LabelMap,
    smoothness: float = 1.0,
    window_mm: float = 1.0,
    reach: float = 3.0,
    fill: bool = True,
    iterations: int = 1000,
) -> LabelMap:
    """Let several seeded regions compete for the voxels at their borders by the statistics of what they hold.

    Each region has a mean and a spread. In each turn every voxel at a border goes to the region beside it for which it
    is the most likely, less what the border's length then costs; means and spreads follow. Regions only move at their
    borders, so that they stay about their seeds. Mark a few voxels of each: one says little about mean and spread.

    Args:
        image: One channel.
        seeds: Where each name begins, at least two; ``"background"`` competes like the others and is 0 in the end.
            Seeds stay with their name.
        smoothness: What borders cost, ≥ 0: in the logarithm of the likelihood, for a face of the size of the mean one.
        window_mm: Voxels are judged by the mean of a box of this half side around them, mm (pixels, on a picture
            without a scale), ≥ 0, and only in the end each by itself; 0 judges each by itself from the start.
        reach: A region does not take what is further than so many spreads from its mean, > 0, as long as nobody holds
            it; so it stops at edges and waits for the others.
        fill: Share out what is left when all have stopped; else it is 0.
        iterations: Turns at most, ≥ 1. A region advances by a voxel a turn.

    Returns:
        The names of the seeds.

    Raises:
        DataError: Fewer than two names, an argument out of range, or the image has several channels.
        GeometryError: The seeds lie on another grid.

    Example:
        >>> from vesalius.classical import read_seeds
        >>> image = Volume(np.array([[[5.0, 6, 5, 30, 31, 30]]]), Grid.from_spacing((1, 6), (1.0, 1.0)))
        >>> seeds = read_seeds("a=0,0; b=0,5", image.grid)
        >>> region_competition(image, seeds=seeds, window_mm=0).array.tolist()
        [[1, 1, 1, 2, 2, 2]]

    Source: Zhu and Yuille, IEEE Transactions on Pattern Analysis and Machine Intelligence 18, 1996,
    doi:10.1109/34.537343, equation 12 for Gaussian regions, on the lattice of voxels. Their merging is left out, since
    names are to stay apart.
    """
    values = only_channel(image).astype(np.float64)
    names = seed_values(image.grid, seeds, least=2)
    if not (smoothness >= 0 and window_mm >= 0 and iterations >= 1 and reach > 0):
        raise DataError(
            "region competition takes a smoothness and a window of at least 0, a reach above 0 and at least 1 turn, "
            f"not {smoothness}, {window_mm}, {reach} and {iterations}"
        )
    contest = _Contest(seeds.array, names, image.grid, smoothness)
    limit = math.inf if fill else reach
    judged, noise = _judged(values, image.grid, window_mm)
    contest.judge_by(judged, noise)
    for near in sorted({reach, limit}):
        contest.run(near, iterations)
    if judged is not values:
        # A window blurs the edges: in the end each voxel there speaks for itself.
        contest.judge_by(values, _noise(values))
        contest.run(limit, iterations)
    return without_background(contest.owners(), seeds)


class _Contest:
    """Who holds which voxel, on a flat array with a rim of one voxel that nobody can hold."""

    def __init__(
        self,
        seeds: NDArray[Any],
        names: tuple[int, ...],
        grid: Grid,
        smoothness: float,
    ) -> None:
        self.shape = tuple(n + 2 for n in seeds.shape)
        owner = np.zeros(seeds.shape, np.int32)
        for n, name in enumerate(names, 1):
            owner[seeds == name] = n
        self.names = names
        self.owner = np.pad(owner, 1, constant_values=-1).ravel()
        self.fixed = self.owner != 0
        steps = [int(np.prod(self.shape[axis + 1 :], dtype=int)) for axis in range(seeds.ndim)]
        self.steps = np.array([*steps, *(-s for s in steps)])
        # What a face across each axis costs: by its area, the mean one costing `smoothness`.
        spacing = np.asarray(grid.spacing_mm)
        areas = spacing.prod() / spacing
        self.costs = smoothness * np.tile(areas / areas.mean(), 2)
        self.parity = np.pad(np.indices(seeds.shape).sum(axis=0) % 2, 1).ravel().astype(np.int8)

    def judge_by(self, values: NDArray[np.float64], noise: float) -> None:
        """Take the values that voxels are judged by, and reckon the regions' statistics from them."""
        self.values, self.noise = np.pad(values, 1).ravel(), noise
        held = self.owner > 0
        count = len(self.names) + 1
        self.number = np.bincount(self.owner[held], minlength=count).astype(np.float64)
        self.total = np.bincount(self.owner[held], self.values[held], minlength=count)
        self.square = np.bincount(self.owner[held], self.values[held] ** 2, minlength=count)

    def run(self, reach: float, iterations: int) -> None:
        """Take turns until nothing changes."""
        band = self.borders()
        for _ in range(iterations):
            if not (changed := self.turn(band, reach)).size:
                return
            band = np.union1d(band[self.at_border(band)], self.beside(changed))

    def borders(self) -> NDArray[np.intp]:
        """All that can change hands and is at a border."""
        found = np.zeros(self.owner.shape, np.bool_)
        for step in self.steps:
            around = np.roll(self.owner, -step)  # what comes round is the rim, which nobody holds
            found |= (around > 0) & (around != self.owner)
        return np.flatnonzero(found & ~self.fixed)

    def beside(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """These and their neighbours, as far as they can change hands and are at a border."""
        every = np.unique(np.concatenate([places, *(places + step for step in self.steps)]))
        free = every[~self.fixed[every]] if every.size else every
        return free[self.at_border(free)]

    def at_border(self, places: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether a neighbour is held by another region."""
        around = self.owner[places[:, None] + self.steps]
        found: NDArray[np.bool_] = ((around > 0) & (around != self.owner[places][:, None])).any(axis=1)
        return found

    def turn(self, band: NDArray[np.intp], reach: float) -> NDArray[np.intp]:
        """One turn over the voxels at borders, every second one at a time: neighbours never change at once."""
        changed = []
        for parity in (0, 1):
            places = band[self.parity[band] == parity]
            was, now = self.owner[places], self._winners(places, reach)
            moves = was != now
            places, was, now = places[moves], was[moves], now[moves]
            self.owner[places] = now
            for sums, weights in ((self.number, None), (self.total, 1), (self.square, 2)):
                given = None if weights is None else self.values[places] ** weights
                sums += np.bincount(now, given, minlength=len(sums)) - np.bincount(was, given, minlength=len(sums))
            changed.append(places)
        return np.concatenate(changed)

    def _winners(self, places: NDArray[np.intp], reach: float) -> NDArray[np.int32]:
        mean = self.total / np.maximum(self.number, 1)
        own = np.maximum(self.square / np.maximum(self.number, 1) - mean**2, 0)
        variance = (self.number * own + _PRIOR * self.noise) / (self.number + _PRIOR)
        around = self.owner[places[:, None] + self.steps]
        was = self.owner[places]
        best = np.where(was > 0, was, 0).astype(np.int32)
        least = np.full(len(places), np.inf)
        for n in range(1, len(self.names) + 1):
            touches = (around == n).any(axis=1) | (was == n)
            if not touches.any():
                continue
            apart = (self.values[places[touches]] - mean[n]) ** 2 / variance[n]
            near = around[touches]
            border = ((near > 0) & (near != n)) @ self.costs
            cost = 0.5 * (apart + math.log(variance[n])) + border
            # A voxel that somebody holds stays held; one that nobody holds may be too strange for all.
            cost[(apart > reach**2) & (was[touches] == 0)] = np.inf
            rows = np.flatnonzero(touches)
            # A tie leaves a voxel where it is.
            wins = (cost < least[rows]) | ((cost == least[rows]) & (was[rows] == n))
            least[rows[wins]], best[rows[wins]] = cost[wins], n
        return best

    def owners(self) -> NDArray[np.int32]:
        """The value of the name that holds each voxel, or 0."""
        inner = self.owner.reshape(self.shape)[(slice(1, -1),) * len(self.shape)]
        return np.array([0, *self.names], np.int32)[inner]


def _judged(values: NDArray[np.float64], grid: Grid, window_mm: float) -> tuple[NDArray[np.float64], float]:
    """What voxels are judged by, and the variance of the noise in it."""
    from scipy import ndimage

    sides = [2 * min(round(window_mm / s), n) + 1 for s, n in zip(grid.spacing_mm, grid.shape, strict=True)]
    noise = _noise(values)
    if max(sides) == 1:
        return values, noise
    return ndimage.uniform_filter(values, sides, mode="nearest"), noise / math.prod(sides)


def _noise(values: NDArray[np.float64]) -> float:
    """The variance of the noise, from how much neighbours differ: edges are few and do not move the median.

    Source: the median of the absolute difference of two normal values is 0.6745 times the root of twice their variance.
    """
    apart = np.concatenate([np.abs(np.diff(values, axis=axis)).ravel() for axis in range(values.ndim)])
    typical = float(np.median(apart)) if apart.size else 0.0
    spread = float(values.std())
    # An image without noise: a small share of its contrast keeps spreads from 0.
    return max((typical / 0.6745) ** 2 / 2, (0.01 * spread) ** 2, 1e-12)
