"""Images and label maps: an array, its grid, and what the numbers mean."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError
from vesalius.image.grid import Grid
from vesalius.image.labels import Labels

_CHUNK = 1 << 16  # voxels counted at a time: their wide copy stays in the cache

Modality = Literal["CT", "MR", "PT", "US", "XR", "RGB", "OT"]
"""CT, MR, PET, ultrasound, X-ray, colour photograph, other or unknown: DICOM's words where it has one."""


@dataclass(frozen=True)
class Meta:
    """What the numbers of a `Volume` mean and where they came from; never who the patient is.

    Args:
        modality: The kind of image.
        unit: Unit of the values, for example ``"HU"``; empty when they have none.
        calibrated: Whether the grid's spacing is physical. A PNG has none: spacing 1 means one pixel.
        notes: What a reader had to decide, in sentences, so that nothing is decided silently.
        suv_factor: Of a PET: what its values must be multiplied with to be standardised uptake values by body weight
            (`vesalius.transform.suv`); ``None`` where the header does not say.
    """

    modality: Modality = "OT"
    unit: str = ""
    calibrated: bool = True
    notes: tuple[str, ...] = ()
    suv_factor: float | None = None


@dataclass(frozen=True, eq=False)
class Volume:
    """An image with its place in space.

    Args:
        array: ``(c, *grid.shape)``, real numbers, finite. Channels first: sequences of a study, colours, time points.
        grid: Where each voxel is.
        meta: What the numbers mean.

    The array is marked read-only: every operation returns a new value. It is not copied.

    Raises:
        GeometryError: The array's shape does not fit the grid.
        DataError: The array is not numeric, or holds NaN or infinity.

    Example:
        >>> grid = Grid.from_spacing((2, 3), (1.0, 1.0))
        >>> Volume(np.zeros((1, 2, 3), np.float32), grid).channels
        1
    """

    array: NDArray[Any]
    grid: Grid
    meta: Meta = field(default_factory=Meta)

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.ndim != self.grid.ndim + 1 or array.shape[1:] != self.grid.shape or array.shape[0] < 1:
            raise GeometryError(f"an array of shape {array.shape} does not fit (channels, *{self.grid.shape})")
        if array.dtype.kind not in "biuf":
            raise DataError(f"an image must hold real numbers, not {array.dtype}")
        if array.dtype.kind == "f" and not _all_finite(array):
            bad = int(array.size - np.isfinite(array).sum())
            raise DataError(f"the image holds {bad} NaN or infinite voxels of {array.size}")
        object.__setattr__(self, "array", _frozen(array))

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.array.shape[0])

    def with_array(self, array: NDArray[Any]) -> Volume:
        """The same place and meaning with other values."""
        return replace(self, array=array)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A segmentation with its place in space.

    Args:
        array: ``(*grid.shape)``, integers (bool is taken as 0 and 1).
        grid: Where each voxel is.
        labels: What the values mean.

    Not a `Volume`: that labels are never interpolated like intensities is a matter of type, not of a flag.

    Raises:
        GeometryError: The array's shape does not fit the grid.
        DataError: The array is not integer, or holds values that are not declared.

    Example:
        >>> grid = Grid.from_spacing((2, 2), (1.0, 1.0))
        >>> LabelMap(np.array([[0, 1], [1, 1]]), grid, Labels.of({"lesion": 1})).counts()
        {0: 1, 1: 3}
    """

    array: NDArray[Any]
    grid: Grid
    labels: Labels

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.shape != self.grid.shape:
            raise GeometryError(f"a label array of shape {array.shape} does not fit the grid {self.grid.shape}")
        if array.dtype.kind not in "biu":
            raise DataError(f"a label map must hold integers, not {array.dtype}")
        sure = _surely_declared(array, self.labels.declared)
        if array.dtype.kind == "b":
            array = array.view(np.uint8)
        object.__setattr__(self, "array", _frozen(array))
        strangers = [] if sure else sorted(set(self.counts()) - self.labels.declared)
        if strangers:
            shown = ", ".join(str(v) for v in strangers[:10]) + (" …" if len(strangers) > 10 else "")
            raise DataError(f"the label map holds values that are not declared: {shown}")

    def counts(self) -> dict[int, int]:
        """Voxels of each value that occurs, background included."""
        return count_values(self.array)

    def binary(self, name: str) -> NDArray[np.bool_]:
        """Where a label or region of this name is."""
        members = self.labels.members(name)
        if len(members) == 1:
            found: NDArray[np.bool_] = self.array == members[0]
            return found
        return np.isin(self.array, members)


def _surely_declared(array: NDArray[Any], declared: frozenset[int]) -> bool:
    """Whether all between the least and the greatest value is declared, so that nothing has to be counted."""
    if array.size == 0 or (array.dtype.kind == "b" and declared.issuperset((0, 1))):
        return True
    low, high = int(array.min()), int(array.max())
    return high - low < len(declared) and declared.issuperset(range(low, high + 1))


def count_values(array: NDArray[Any]) -> dict[int, int]:
    """Count how often each integer occurs, slab by slab so that memory stays small.

    Args:
        array: Integers of any shape.

    Returns:
        ``{value: voxels}`` in rising order; empty for an empty array.
    """
    if array.size == 0:
        return {}
    lowest, highest = int(array.min()), int(array.max())
    flat = array.reshape(-1) if array.flags.c_contiguous else array.ravel(order="K")
    if highest - lowest > 1 << 20:
        values, counts = np.unique(flat, return_counts=True)
        return {int(v): int(n) for v, n in zip(values, counts, strict=True)}
    total = np.zeros(highest - lowest + 1, dtype=np.int64)
    for start in range(0, flat.size, _CHUNK):
        some = flat[start : start + _CHUNK]
        # Label maps come in long runs: then only the places where a run begins are counted, each with its length.
        begins = np.flatnonzero(some[1:] != some[:-1]) + 1
        if begins.size < some.size // 16:
            begins = np.concatenate([[0], begins])
            lengths = np.diff(begins, append=some.size)
            total += np.bincount(some[begins].astype(np.int64) - lowest, lengths, total.size).astype(np.int64)
        else:
            total += np.bincount(some.astype(np.int64) - lowest, minlength=total.size)
    return {int(v) + lowest: int(total[v]) for v in np.flatnonzero(total)}


def _all_finite(array: NDArray[Any]) -> bool:
    # One pass without a temporary: any NaN or infinity makes the sum non-finite. A sum that overflows proves nothing,
    # and the exact test decides. Half precision would overflow at once.
    with np.errstate(all="ignore"):
        if np.isfinite(np.sum(array, dtype=np.float32 if array.dtype == np.float16 else None)):
            return True
    return bool(np.isfinite(array).all())


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.setflags(write=False)
    return view
