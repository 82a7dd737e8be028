"""Other spacings by the customs of others: scikit-image's ``resize``, which nnU-Net uses, and MONAI's ``Spacing``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import GeometryError
from vesalius.image import Grid, Volume
from vesalius.transform.kernels import Interpolation, Taps, interpolation_taps
from vesalius.transform.sampling import Tile, each_tile
from vesalius.transform.separable import parallel_tiles

_EDGE, _POINTS = 256, 1 << 19  # of a tile: large ones waste least, and this one still fits the cache


def stretched_grid(grid: Grid, shape: Sequence[int]) -> Grid:
    """The grid of another number of points whose outer half voxels end where those of ``grid`` end.

    The spacing is what follows from that; compare `Grid.with_spacing`, which keeps the spacing to the letter.

    Args:
        grid: Any.
        shape: Points on each axis, ≥ 1.

    Raises:
        GeometryError: The shape has another number of axes, or a number below 1.

    Example:
        >>> stretched_grid(Grid.from_spacing((5, 4), (1.0, 1.0)), (2, 8)).spacing_mm
        (2.5, 0.5)
    """
    wanted = tuple(int(n) for n in shape)
    if len(wanted) != grid.ndim or min(wanted) < 1:
        raise GeometryError(f"a grid of {grid.ndim} axes cannot be stretched to {tuple(shape)} points")
    steps = np.asarray(grid.shape) / np.asarray(wanted)
    affine = grid.affine.copy()
    affine[:-1, :-1] *= steps
    affine[:-1, -1] = grid.to_points(0.5 * steps - 0.5)
    return Grid(wanted, affine)


def stretch(
    volume: Volume, shape: Sequence[int], *, interpolation: Interpolation = "cubic", thick_axis: int | None = None
) -> Volume:
    """Give a volume another number of voxels over the same extent.

    A cubic spline goes on beyond the outer samples with their values, and what it overshoots the image's range by is
    cut off. With ``thick_axis`` each slice is made by itself, in its own range, and slices are copied, not mixed.

    Args:
        volume: 2D or 3D.
        shape: Voxels wanted on each axis.
        interpolation: How values are made.
        thick_axis: The axis along which the nearest slice is taken.

    Returns:
        The volume on `stretched_grid`, float32; ``volume`` itself where the shape is there already.

    Raises:
        GeometryError: As for `stretched_grid`.

    Example:
        >>> line = Volume(np.array([[[0.0], [1.0]]]), Grid.from_spacing((2, 1), (2.0, 1.0)))
        >>> stretch(line, (4, 1), interpolation="linear").array.ravel().tolist()
        [0.0, 0.25, 0.75, 1.0]

    Source: ``skimage.transform.resize(mode="edge", anti_aliasing=False)`` and nnU-Net v2's ``resample_data_or_seg``,
    both of which it is checked against.
    """
    grid = stretched_grid(volume.grid, shape)
    if grid.shape == volume.grid.shape:
        return volume
    taps = [
        _taps(
            n / m * (np.arange(m, dtype=np.float64) + 0.5) - 0.5, n, "nearest" if axis == thick_axis else interpolation
        )
        for axis, (n, m) in enumerate(zip(volume.grid.shape, grid.shape, strict=True))
    ]
    made = _made(volume, taps)
    if interpolation == "cubic":
        for source, target in zip(volume.array, made, strict=True):
            _keep_range(source, target, thick_axis, taps)
    return Volume(made, grid, volume.meta)


def anchor(
    volume: Volume, spacing_mm: Sequence[float], shape: Sequence[int], *, interpolation: Interpolation = "linear"
) -> Volume:
    """Give a volume another spacing, its first voxel staying where it is.

    Beyond the last voxel its value goes on, however far that is.

    Args:
        volume: 2D or 3D.
        spacing_mm: Distance between neighbours on each axis, mm.
        shape: Voxels wanted on each axis.
        interpolation: How values are made.

    Returns:
        The volume, float32.

    Raises:
        GeometryError: Spacing and shape cannot be a grid's.

    Example:
        >>> line = Volume(np.array([[[0.0], [1.0]]]), Grid.from_spacing((2, 1), (2.0, 1.0)))
        >>> anchor(line, (1.0, 1.0), (3, 1)).array.ravel().tolist()
        [0.0, 0.5, 1.0]

    Source: MONAI 1.6.1, ``Spacing(padding_mode="border")``.
    """
    old = volume.grid
    grid = Grid.from_spacing(shape, spacing_mm, origin_mm=old.origin_mm, direction=old.direction)
    steps = np.asarray(spacing_mm) / np.asarray(old.spacing_mm)
    taps = [
        _taps(step * np.arange(m), n, interpolation) for step, n, m in zip(steps, old.shape, grid.shape, strict=True)
    ]
    return Volume(_made(volume, taps), grid, volume.meta)


def _taps(at: NDArray[np.float64], length: int, interpolation: Interpolation) -> Taps:
    if interpolation == "nearest":
        # Rounded as scipy rounds, without our care for rounding errors, so that a tie is the same slice as theirs.
        index = np.floor(np.clip(at, 0, length - 1) + 0.5).astype(np.intp)
        return Taps(index[:, None], np.ones((len(at), 1)))
    return interpolation_taps(at, length, interpolation, border="edge")


def _made(volume: Volume, taps: Sequence[Taps]) -> NDArray[np.float32]:
    """The values of every channel, made along the axes as they lie in memory."""
    made = np.empty((volume.channels, *(len(one.index) for one in taps)), np.float32)
    order = [int(axis) for axis in np.argsort([-abs(s) for s in volume.array.strides[1:]], kind="stable")]
    for source, target in zip(volume.array, made, strict=True):
        _work(source.transpose(order), target.transpose(order), [taps[axis] for axis in order])
    return made


def _work(source: NDArray[Any], target: NDArray[np.float32], taps: Sequence[Taps]) -> None:
    fast = tuple(min(_EDGE, n) for n in target.shape[1:])
    slow = max(8, min(_POINTS // int(np.prod(fast)), -(-target.shape[0] // 8)))

    def work(tile: Tile) -> None:
        target[tile.target] = tile.interpolate(source[tile.source])

    each_tile(parallel_tiles(taps, [0] * len(taps), (slow, *fast)), work, target.size)


def _keep_range(
    source: NDArray[Any], target: NDArray[np.float32], thick_axis: int | None, taps: Sequence[Taps]
) -> None:
    """Cut off what the spline overshoots: the range of the source, or of the slice that each slice is made of."""
    if thick_axis is None:
        np.clip(target, source.min(), source.max(), out=target)
        return
    others = tuple(axis for axis in range(source.ndim) if axis != thick_axis)
    slices = taps[thick_axis].index[:, 0]
    low, high = source.min(axis=others)[slices], source.max(axis=others)[slices]
    shape = tuple(-1 if axis == thick_axis else 1 for axis in range(source.ndim))
    np.clip(target, low.reshape(shape), high.reshape(shape), out=target)
