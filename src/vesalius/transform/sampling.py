"""How one grid draws on another: axes matched, tiles cut, the work shared out over the cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import GeometryError
from vesalius.image import Grid
from vesalius.jobs import cores
from vesalius.transform.kernels import Interpolation, filter_taps, interpolation_taps, smoothing_sigma, within
from vesalius.transform.oblique import oblique_tiles, padded
from vesalius.transform.separable import parallel_tiles

_PARALLEL = 1e-3  # axes are parallel when the turn between them moves no point by more than this, in voxels
_ANISOTROPY = 3.0
_SMALL = 1 << 16  # below this many points a thread costs more than it saves


@runtime_checkable
class Tile(Protocol):
    """A box of the target that knows what it is made of."""

    @property
    def target(self) -> tuple[slice, ...]:
        """Where the tile lies in the target."""

    @property
    def source(self) -> tuple[slice, ...]:
        """The box of the source that the tile is made of."""

    @property
    def outside(self) -> NDArray[np.bool_] | None:
        """Which points lie outside the source's extent; ``None`` for none of them."""

    def interpolate(self, values: NDArray[Any]) -> NDArray[Any]:
        """Make the tile's values from those of the source box."""


@dataclass(frozen=True, eq=False)
class Sampling:
    """How the points of a target grid are made of those of a source grid.

    All is told in *work order*: the source's axes from the slowest in memory to the fastest, and with each the target
    axis that follows it. Arrays are read and written the way they lie in memory.

    Args:
        source_order: The source axis at each place of the work order.
        target_order: The target axis at each place of the work order.
        lengths: The source's shape.
        shape: The target's shape.
        affine: ``(n, n + 1)`` map from target index to source index.
        interpolation: How values are made on each axis.
        sigma: Standard deviation of the Gaussian that is applied to the source first, in voxels of each axis.
    """

    source_order: tuple[int, ...]
    target_order: tuple[int, ...]
    lengths: tuple[int, ...]
    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    interpolation: tuple[Interpolation, ...]
    sigma: tuple[float, ...]

    @property
    def is_parallel(self) -> bool:
        """Whether every target axis follows one source axis."""
        return _is_parallel(self.affine, self.shape)

    def tiles(self, edge: int, points: int) -> Iterator[Tile]:
        """Cut the target into tiles; targets that lie in none are outside the source's extent.

        Args:
            edge: The longest edge of a tile on all axes but the slowest.
            points: How many points a tile shall have; the length of the slowest axis is chosen to fit.
        """
        if not self.is_parallel:
            return oblique_tiles(self.shape, self.affine, self.lengths, self.interpolation[0])
        axes, starts = [], []
        for at, length, interpolation, sigma in zip(
            self._along_axes(), self.lengths, self.interpolation, self.sigma, strict=True
        ):
            inside = np.flatnonzero(within(at, length))
            if inside.size == 0:
                return iter(())
            axes.append(interpolation_taps(at[inside], length, interpolation, sigma))
            starts.append(int(inside[0]))
        return parallel_tiles(axes, starts, tile_shape(self.shape, edge, points))

    def blank(self, channels: int, fill: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array ``(channels, *shape)`` that holds ``fill`` wherever no tile will write."""
        if self.is_parallel and not all(
            within(at, length).all() for at, length in zip(self._along_axes(), self.lengths, strict=True)
        ):
            return np.full((channels, *self.shape), fill, dtype)
        return np.empty((channels, *self.shape), dtype)

    def _along_axes(self) -> list[NDArray[np.float64]]:
        """Where the points of each target axis lie on the source axis that it follows."""
        # The offset is that of the target's middle, so that a turn too small to count is shared by both ends.
        middle = (np.asarray(self.shape) - 1) / 2
        centre = self.affine[:, :-1] @ middle + self.affine[:, -1]
        return [centre[a] + self.affine[a, a] * (np.arange(n) - middle[a]) for a, n in enumerate(self.shape)]

    def prepare(self, array: NDArray[Any]) -> NDArray[Any]:
        """Bring a source array into work order, and through the filters that interpolation point by point needs."""
        array = array.transpose(self.source_order)
        cubic = self.interpolation[0] == "cubic"
        if self.is_parallel or not (cubic or any(self.sigma)):
            return array
        taps = [filter_taps(n, prefiltered=cubic, sigma=s) for n, s in zip(self.lengths, self.sigma, strict=True)]
        filtered = np.empty(self.lengths, np.float32)

        def work(tile: Tile) -> None:
            filtered[tile.target] = tile.interpolate(array[tile.source])

        each_tile(parallel_tiles(taps, [0] * len(taps), [64] * len(taps)), work, filtered.size)
        return padded(filtered) if cubic else filtered

    def restore(self, array: NDArray[Any]) -> NDArray[Any]:
        """View an array ``(…, *shape)`` in the target's own order of axes."""
        leading = array.ndim - len(self.target_order)
        return array.transpose(*range(leading), *(leading + int(a) for a in np.argsort(self.target_order)))


def sampling(
    source: Grid,
    target: Grid,
    strides: Sequence[int],
    interpolation: Interpolation,
    *,
    through_plane: Interpolation | None = None,
    thick_axis: int | None = None,
    antialias: bool = False,
) -> Sampling:
    """Work out how ``target`` draws on ``source``.

    Args:
        source: Where the values are.
        target: Where they are wanted.
        strides: Of the source's array, an axis each.
        interpolation: How values are made.
        through_plane: How they are made along the coarse axis, if there is one; ``None`` for no difference.
        thick_axis: The source's axis along which the nearest sample is taken, whatever the spacings.
        antialias: Whether to smooth the source on the axes on which the target is coarser.

    Raises:
        GeometryError: One grid is 2D and the other 3D, or ``through_plane`` is asked for between anisotropic grids
            that are turned against each other.
    """
    n = source.ndim
    if target.ndim != n:
        raise GeometryError(f"an image of {n} dimensions cannot be resampled onto a grid of {target.ndim}")
    affine = np.asarray(np.linalg.solve(source.affine, target.affine)[:-1], np.float64)
    source_order = tuple(int(a) for a in np.argsort([-abs(s) for s in strides], kind="stable"))
    # Each source axis and the target axis that runs along it; with oblique grids the one that fits best.
    turn = np.abs(affine[:, :-1]) / np.linalg.norm(affine[:, :-1], axis=0)
    follows = max(permutations(range(n)), key=lambda p: round(sum(float(turn[a, p[a]]) for a in range(n)), 9))
    target_order = tuple(follows[a] for a in source_order)
    shape = tuple(target.shape[a] for a in target_order)
    affine = affine[list(source_order)][:, [*target_order, n]]
    kinds = [interpolation] * n
    if through_plane is not None and through_plane != interpolation:
        coarse = coarse_axis(source)
        if coarse is None and (other := coarse_axis(target)) is not None:
            coarse = follows.index(other)
        if coarse is not None:
            if not _is_parallel(affine, shape):
                raise GeometryError(
                    "through_plane needs grids whose axes are parallel, and these are turned against each other: "
                    "leave it out, or resample onto image.grid.with_spacing(...)"
                )
            kinds[source_order.index(coarse)] = through_plane
    if thick_axis is not None:
        if not _is_parallel(affine, shape):
            raise GeometryError("thick_axis needs grids whose axes are parallel, and these are turned")
        kinds[source_order.index(thick_axis)] = "nearest"
    steps = np.linalg.norm(affine[:, :-1], axis=1)
    sigma = tuple(smoothing_sigma(float(step)) if antialias else 0.0 for step in steps)
    return Sampling(
        source_order, target_order, tuple(source.shape[a] for a in source_order), shape, affine, tuple(kinds), sigma
    )


def tile_shape(shape: Sequence[int], edge: int, points: int) -> tuple[int, ...]:
    """The largest tile of a target, on each axis from the slowest in memory to the fastest; see `Sampling.tiles`."""
    fast = tuple(min(edge, n) for n in shape[1:])
    # Several tiles even of a small target, so that every core has some.
    return (max(8, min(points // int(np.prod(fast)), -(-shape[0] // 8))), *fast)


def coarsest_axis(grid: Grid) -> int:
    """The axis of the coarsest spacing, to a millionth of it; of several the last.

    Example:
        >>> coarsest_axis(Grid.from_spacing((9, 9, 9), (3.0, 1.0, 3.0)))
        2
    """
    spacing = np.asarray(grid.spacing_mm)
    return int(np.flatnonzero(spacing > spacing.max() * (1 - 1e-6))[-1])


def coarse_axis(grid: Grid, *, threshold: float = _ANISOTROPY) -> int | None:
    """Find the through-plane axis of an anisotropic grid: the one along which interpolation cannot be trusted.

    Args:
        grid: The grid.
        threshold: How many times the finest spacing the coarsest must exceed.

    Returns:
        The axis of the coarsest spacing; ``None`` on a 2D grid, when the spacings differ less than that, and when two
        axes share the coarsest.

    Example:
        >>> coarse_axis(Grid.from_spacing((256, 256, 12), (1.4, 1.4, 10.0)))
        2
        >>> coarse_axis(Grid.from_spacing((256, 256, 12), (1.4, 1.4, 4.0))) is None
        True

    Source: nnU-Net, ``determine_do_sep_z_and_axis`` and its ``ANISO_THRESHOLD`` of 3.
    """
    spacing = np.asarray(grid.spacing_mm)
    coarsest = np.flatnonzero(spacing > spacing.max() * (1 - 1e-3))
    if grid.ndim == 2 or spacing.max() <= threshold * spacing.min() or coarsest.size != 1:
        return None
    return int(coarsest[0])


def each_tile(tiles: Iterator[Tile], work: Callable[[Tile], None], size: int) -> None:
    """Do the work of every tile, on as many threads as this process has cores.

    Args:
        tiles: The tiles; each is made when a thread is free for it, so that few exist at a time.
        work: What to do; it must write to places of its own only.
        size: Points of the whole target: a small one is not worth a thread.
    """
    turn = threading.Lock()

    def serve() -> None:
        while True:
            with turn:
                tile = next(tiles, None)
            if tile is None:
                return
            work(tile)

    threads = 1 if size < _SMALL else min(cores(), -(-size // _SMALL))
    if threads == 1:
        serve()
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(serve) for _ in range(threads)]:
            done.result()


def _is_parallel(affine: NDArray[np.float64], shape: Sequence[int]) -> bool:
    astray = np.abs(affine[:, :-1]) * (np.asarray(shape) - 1)
    return bool((astray.sum(axis=1) - np.diagonal(astray) <= _PARALLEL).all())
