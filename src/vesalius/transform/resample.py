"""Put an image on another grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args, overload

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import Grid, LabelMap, Volume, count_values
from vesalius.transform.argmax import LABEL_TILE, put, running_argmax, shape_of
from vesalius.transform.crop import exact_fill
from vesalius.transform.kernels import Interpolation
from vesalius.transform.sampling import Sampling, Tile, each_tile, sampling

LabelInterpolation = Literal["nearest", "label-wise"]
"""How labels are made: the nearest voxel's, or the one whose own picture, interpolated linearly, is the brightest."""

_VALUE_TILE = (256, 1 << 19)  # (edge, points): large tiles waste least, and this one still fits the cache


@overload
def resample(
    x: Volume,
    grid: Grid,
    *,
    interpolation: Interpolation = ...,
    through_plane: Interpolation | None = ...,
    fill: float = ...,
    antialias: bool = ...,
) -> Volume: ...
@overload
def resample(
    x: LabelMap,
    grid: Grid,
    *,
    interpolation: LabelInterpolation = ...,
    through_plane: LabelInterpolation | None = ...,
    fill: int = ...,
) -> LabelMap: ...
def resample(
    x: Volume | LabelMap,
    grid: Grid,
    *,
    interpolation: str | None = None,
    through_plane: str | None = None,
    fill: float = 0,
    antialias: bool = False,
) -> Volume | LabelMap:
    """Put an image on another grid: each point of the grid gets the image's value at that place in space.

    An image extends half a voxel beyond the centres of its outer voxels; in that rim the outer values go on. Beyond
    it is ``fill``. Between grids whose axes are parallel (flipped and permuted ones too) the work is done axis by
    axis, between others point by point; both use every core.

    Args:
        x: A volume or a label map.
        grid: Where the values are wanted. It must have as many dimensions as the image.
        interpolation: For a volume ``"linear"`` (the default), ``"cubic"`` (B-spline of order 3 through the samples)
            or ``"nearest"``. For a label map ``"nearest"`` (the default) or ``"label-wise"``: every label is
            interpolated linearly as if it were an image of 0 and 1, and the largest wins (the lowest value, the
            background first, at a tie). Neither makes a label that was not there.
        through_plane: Another interpolation along the coarse axis of an anisotropic image (see `coarse_axis`, asked
            of the image first and then of the grid); without such an axis it makes no difference.
        fill: The value outside the image's extent.
        antialias: Smooth a volume with a Gaussian first, on each axis on which the grid is coarser (standard deviation
            ``(step - 1) / 2`` voxels). Without it a coarser grid just looks at fewer places.

    Returns:
        The image on ``grid``: a volume is float32, or keeps its type with ``"nearest"``; a label map keeps its type.
        The axes lie in memory in the order of the source's.

    Raises:
        GeometryError: The dimensions differ, or ``through_plane`` is asked for on grids turned against each other.
        DataError: ``fill`` does not fit the array's type, or is not a declared label.
        VesaliusError: An interpolation that the kind of image does not have.

    Example:
        >>> from vesalius.image import Grid
        >>> grid = Grid.from_spacing((3, 1), (2.0, 2.0))
        >>> volume = Volume(np.array([[[0.0], [10.0], [20.0]]]), grid)
        >>> resample(volume, grid.with_spacing((1.0, 2.0))).array.ravel().tolist()
        [0.0, 2.5, 7.5, 12.5, 17.5, 20.0]

    Source: Unser, IEEE Signal Processing Magazine 16(6), 1999, doi:10.1109/79.799930 (B-splines);
    ``skimage.transform.resize`` (the Gaussian's width); nnU-Net's ``resize_segmentation`` and separate z (label-wise,
    through-plane). Checked against SimpleITK's ResampleImageFilter.
    """
    allowed = get_args(Interpolation if isinstance(x, Volume) else LabelInterpolation)
    chosen = interpolation or ("linear" if isinstance(x, Volume) else "nearest")
    for name in (chosen, through_plane):
        if name is not None and name not in allowed:
            raise VesaliusError(unknown_name(f"interpolation of a {type(x).__name__}", name, allowed))
    kinds: dict[str, Interpolation] = {
        "linear": "linear",
        "cubic": "cubic",
        "nearest": "nearest",
        "label-wise": "linear",
    }
    plane = None if through_plane is None else kinds[through_plane]
    exact = kinds[chosen] == "nearest" and plane in (None, "nearest")
    if antialias and (exact or isinstance(x, LabelMap)):
        raise VesaliusError(
            "antialias smooths values, which labels and interpolation='nearest' must keep: leave it out"
        )
    dtype = x.array.dtype if exact or isinstance(x, LabelMap) else np.dtype(np.float32)
    value = exact_fill(fill, dtype)
    if isinstance(x, LabelMap):
        if fill not in x.labels.declared:
            raise DataError(f"fill is {fill}, which is not a declared label: {sorted(x.labels.declared)}")
        plan = sampling(x.grid, grid, x.array.strides, kinds[chosen], through_plane=plane)
        return LabelMap(_labels(x, plan, value, exact), grid, x.labels)
    plan = sampling(x.grid, grid, x.array.strides[1:], kinds[chosen], through_plane=plane, antialias=antialias)
    return Volume(_values(x, plan, value, dtype), grid, x.meta)


@overload
def respace(
    x: Volume,
    spacing_mm: Sequence[float],
    *,
    interpolation: Interpolation = ...,
    through_plane: Interpolation | None = ...,
    antialias: bool = ...,
) -> Volume: ...
@overload
def respace(
    x: LabelMap,
    spacing_mm: Sequence[float],
    *,
    interpolation: LabelInterpolation = ...,
    through_plane: LabelInterpolation | None = ...,
) -> LabelMap: ...
def respace(
    x: Any,
    spacing_mm: Sequence[float],
    *,
    interpolation: Any = None,
    through_plane: Any = "nearest",
    antialias: bool = False,
) -> Volume | LabelMap:
    """Give an image another spacing over the same extent in space: `resample` onto ``x.grid.with_spacing(spacing_mm)``.

    Args:
        x: A volume or a label map.
        spacing_mm: Distance between neighbours on each of the image's axes, mm, > 0.
        interpolation: As for `resample`.
        through_plane: Interpolation along the coarse axis of an anisotropic image. Neighbouring slices that are far
            apart show different things, and a mixture of them shows neither: the nearest is the default.
        antialias: As for `resample`.

    Raises:
        GeometryError: The spacing is not positive.
        VesaliusError: An interpolation that the kind of image does not have.

    Example:
        >>> volume = Volume(np.ones((1, 64, 64, 10), np.int16), Grid.from_spacing((64, 64, 10), (1.0, 1.0, 5.0)))
        >>> respace(volume, (2.0, 2.0, 5.0)).grid.shape
        (32, 32, 10)

    Source: nnU-Net resamples with order 3 in the plane and order 0 through it when the coarsest spacing is more than
    3 times the finest.
    """
    return resample(
        x,
        x.grid.with_spacing(spacing_mm),
        interpolation=interpolation,
        through_plane=through_plane,
        antialias=antialias,
    )


def _values(x: Volume, plan: Sampling, fill: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    made = plan.blank(x.channels, fill, dtype)
    for source, target in zip(x.array, made, strict=True):
        prepared = plan.prepare(source)

        def work(tile: Tile, source: NDArray[Any] = prepared, target: NDArray[Any] = target) -> None:
            put(target, tile, tile.interpolate(source[tile.source]), fill)

        each_tile(plan.tiles(*_VALUE_TILE), work, target.size)
    return plan.restore(made)


def _labels(x: LabelMap, plan: Sampling, fill: Any, exact: bool) -> NDArray[Any]:
    source, made = plan.prepare(x.array), plan.blank(1, fill, x.array.dtype)[0]

    def copy(tile: Tile) -> None:
        put(made, tile, tile.interpolate(source[tile.source]), fill)

    def vote(tile: Tile) -> None:
        values = source[tile.source]
        present = list(count_values(values))
        if len(present) == 1:
            put(made, tile, np.broadcast_to(values.flat[0], shape_of(tile)), fill)
            return
        scores = (tile.interpolate(values == label) for label in present)
        put(made, tile, np.asarray(present, made.dtype)[running_argmax(scores)], fill)

    each_tile(plan.tiles(*(_VALUE_TILE if exact else LABEL_TILE)), copy if exact else vote, made.size)
    return plan.restore(made)
