"""Cut images to a box, extend them to a shape, and find the box that holds their content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError
from vesalius.image import LabelMap, Volume

Image = TypeVar("Image", Volume, LabelMap)


def crop(x: Image, start: Sequence[int], shape: Sequence[int]) -> Image:
    """Take a box out of an image; every voxel keeps its place in space.

    Args:
        x: A volume or a label map.
        start: Index of the box's first voxel, one number an axis, ≥ 0.
        shape: Voxels of the box on each axis, ≥ 1; it must lie inside the image.

    Returns:
        The box, its array a view.

    Raises:
        GeometryError: The box does not lie inside the image. `pad` goes beyond it.

    Example:
        >>> from vesalius.image import Grid
        >>> volume = Volume(np.arange(12.0).reshape(1, 3, 4), Grid.from_spacing((3, 4), (2.0, 1.0)))
        >>> part = crop(volume, (1, 2), (2, 2))
        >>> part.array[0].tolist(), part.grid.origin_mm
        ([[6.0, 7.0], [10.0, 11.0]], (2.0, 2.0))
    """
    whole = x.grid.shape
    if len(start) != len(whole) or len(shape) != len(whole):
        raise GeometryError(f"a box in an image of shape {whole} needs {len(whole)} numbers, not {start} and {shape}")
    if not all(0 <= s and 1 <= n and s + n <= size for s, n, size in zip(start, shape, whole, strict=True)):
        raise GeometryError(
            f"the box from {tuple(start)} of shape {tuple(shape)} does not lie inside the image of shape {whole}; "
            "crop takes what is there, pad adds to it"
        )
    box: tuple[Any, ...] = (..., *(slice(s, s + n) for s, n in zip(start, shape, strict=True)))
    return replace(x, array=x.array[box], grid=x.grid.crop(start, shape))


def pad(x: Image, shape: Sequence[int], *, fill: float = 0) -> Image:
    """Extend an image on both sides until it has at least the given shape; every voxel keeps its place in space.

    Args:
        x: A volume or a label map.
        shape: The least number of voxels on each axis. An axis that is long enough stays as it is.
        fill: Value of the new voxels. It must be one that the array's type can hold.

    Returns:
        The larger image, of the same type. On each axis ``(wanted - there) // 2`` voxels are added before the first
        and the rest after the last; ``x`` itself comes back when nothing has to be added.

    Raises:
        GeometryError: ``shape`` has the wrong number of axes.
        DataError: The array's type cannot hold ``fill``, or it is not a declared label.

    Example:
        >>> from vesalius.image import Grid
        >>> volume = Volume(np.ones((1, 2, 4), np.uint8), Grid.from_spacing((2, 4), (1.0, 1.0)))
        >>> larger = pad(volume, (3, 6))
        >>> larger.array[0].tolist(), larger.grid.origin_mm
        ([[0, 1, 1, 1, 1, 0], [0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]], (0.0, -1.0))

    Source: the split of an odd number is that of nnU-Net's ``pad_nd_image``.
    """
    there: tuple[int, ...] = x.grid.shape
    if len(shape) != len(there):
        raise GeometryError(f"to pad an image of shape {there} takes {len(there)} numbers, not {tuple(shape)}")
    wanted: tuple[int, ...] = tuple(max(int(n), size) for n, size in zip(shape, there, strict=True))
    value = exact_fill(fill, x.array.dtype)
    if wanted == there:
        return x
    before: tuple[int, ...] = tuple((n - size) // 2 for n, size in zip(wanted, there, strict=True))
    inner: tuple[Any, ...] = (..., *(slice(b, b + size) for b, size in zip(before, there, strict=True)))
    array = np.full((*x.array.shape[: -len(there)], *wanted), value, x.array.dtype)
    array[inner] = x.array
    return replace(x, array=array, grid=x.grid.crop(tuple(-b for b in before), wanted))


def content_box(volume: Volume) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the smallest box that holds every voxel that is not zero in some channel.

    Args:
        volume: The image. Holes inside the content make no difference.

    Returns:
        ``(start, shape)`` as `crop` takes them; the whole image when every voxel is zero.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.zeros((1, 5, 6))
        >>> array[0, 1:3, 4] = 7
        >>> content_box(Volume(array, Grid.from_spacing((5, 6), (1.0, 1.0))))
        ((1, 4), (2, 1))

    Source: nnU-Net crops to the box of its non-zero mask; that mask's filled holes cannot change its box.
    """
    inside: NDArray[Any] = volume.array
    start, shape = [], []
    # Slabs are looked at from both ends until one has content, so that the content itself is hardly read.
    for axis in range(1, inside.ndim):
        slabs = np.moveaxis(inside, axis, 0)
        first = next((n for n in range(len(slabs)) if slabs[n].any()), None)
        if first is None:
            return (0,) * volume.grid.ndim, volume.grid.shape
        last = next(n for n in range(len(slabs) - 1, -1, -1) if slabs[n].any())
        inside = np.moveaxis(slabs[first : last + 1], 0, axis)
        start.append(first)
        shape.append(last + 1 - first)
    return tuple(start), tuple(shape)


def content_mask(volume: Volume) -> NDArray[np.bool_]:
    """Where the content is: what is not zero in some channel, and the holes that it encloses.

    Args:
        volume: 2D or 3D.

    Returns:
        ``(*grid.shape)``.

    Example:
        >>> from vesalius.image import Grid
        >>> ring = np.array([[[0, 0, 0, 0], [0, 5, 5, 5], [0, 5, 0, 5], [0, 5, 5, 5]]])
        >>> content_mask(Volume(ring, Grid.from_spacing((4, 4), (1.0, 1.0)))).sum()
        np.int64(9)

    Source: nnU-Net's ``create_nonzero_mask``.
    """
    from scipy.ndimage import binary_fill_holes

    inside: NDArray[np.bool_] = (volume.array != 0).any(axis=0)
    return np.asarray(binary_fill_holes(inside), dtype=np.bool_)


def crop_to_content(volume: Volume) -> Volume:
    """Cut away the border that is zero in every channel; see `content_box`.

    Args:
        volume: 2D or 3D.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.pad(np.ones((1, 2, 3)), 2)[2:3]
        >>> crop_to_content(Volume(array, Grid.from_spacing((6, 7), (1.0, 1.0)))).grid.shape
        (2, 3)
    """
    return crop(volume, *content_box(volume))


def exact_fill(fill: float, dtype: np.dtype[Any]) -> Any:
    """The fill value in the array's own type.

    Raises:
        DataError: The type cannot hold it.
    """
    with np.errstate(all="ignore"):
        value = np.asarray(fill).astype(dtype)
    if (dtype.kind == "f" and np.isfinite(value)) or value == fill:
        return value[()]
    raise DataError(f"fill is {fill}, which an array of {dtype} cannot hold: choose another, or convert the array")
