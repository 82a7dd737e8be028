"""Two scans of a patient in one space: that of the first, to which the second one is moved rigidly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.register import Alignment, Fitness, align, register

LinearKind = Literal["rigid", "affine"]
"""How the second scan may be moved: turned and shifted, or scaled and sheared as well."""

_MARGIN_MM = 15.0  # of what is registered around structures
_SHOWN = Labels.of({"shown": 1})


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan with its structures.

    Args:
        labels: 3D.
        image: What they were drawn on, of one channel; ``None`` where only the labels are known.

    Raises:
        GeometryError: Labels and image lie on different grids, or are flat.
        DataError: The image has several channels.
    """

    labels: LabelMap
    image: Volume | None = None

    def __post_init__(self) -> None:
        if self.labels.grid.ndim != 3:
            raise GeometryError(f"change is measured in space: the labels must be 3D, not {self.labels.grid.ndim}D")
        if self.image is None:
            return
        if not self.image.grid.is_close(self.labels.grid, tolerance_mm=0.1):
            raise GeometryError("image and labels lie on different grids: were the labels drawn on another image?")
        if self.image.channels != 1:
            raise DataError(f"an image of one channel is compared, not of {self.image.channels}")

    def present(self) -> tuple[str, ...]:
        """The labels that have a voxel, in the order of their declaration."""
        there = self.labels.counts()
        return tuple(label.name for label in self.labels.labels.labels if label.value in there)

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Where a structure is; nowhere, if the labels do not know it."""
        if name not in self.labels.labels.targets():
            return np.zeros(self.labels.grid.shape, np.bool_)
        return self.labels.binary(name)


@dataclass(frozen=True, eq=False)
class Placed:
    """The second scan in the first one's space.

    Args:
        alignment: From points of the first scan to those of the second.
        labels: Of the second scan, on the first one's grid.
        image: Its image there, if it has one.
        seen: Where on that grid the second scan shows anything.
        doubts: Why the two may not lie as they should, a sentence each.
    """

    alignment: Alignment
    labels: LabelMap
    image: Volume | None
    seen: NDArray[np.bool_]
    doubts: tuple[str, ...]


def find_place(
    before: Scan, after: Scan, *, kind: LinearKind = "rigid", changing: Sequence[str] = (), seed: int = 0
) -> Alignment:
    """Register the second scan to the first: by the images, or by the structures where there are none.

    Args:
        before: The first scan.
        after: The second scan.
        kind: How it may be moved.
        changing: Structures that are compared, and have no say in where the rest is: of images, what they cover takes
            no part; of labels alone, they take part only where there is no other structure in both.
        seed: Of the registration.

    Returns:
        The alignment, with its fitness.

    Raises:
        DataError: The scans do not cover each other, or share no structure by which they could be registered.
        MissingDependencyError: SimpleITK is not installed.
    """
    if before.image is not None and after.image is not None:
        moving = np.zeros(before.labels.grid.shape, np.bool_)
        for name in changing:
            moving |= before.mask(name)
        left_out = LabelMap(moving, before.labels.grid, Labels.of({"changing": 1})) if moving.any() else None
        return register(after.image, before.image, kind=kind, leave_out=left_out, seed=seed)
    shared = [name for name in before.present() if name in after.present()]
    steady = [name for name in shared if name not in changing] or shared
    if not steady:
        raise DataError(
            "the label maps have no structure in common by which they could be registered: name the images with "
            "--labels-before and --labels-after, a --transform, or say that they lie in one space with --aligned"
        )
    found = register(_drawn(after, steady), _drawn(before, steady), kind=kind, measure="correlation", seed=seed)
    return replace(found, fitness=None if found.fitness is None else _judged(found, steady, set(changing)))


def put(before: Scan, after: Scan, alignment: Alignment) -> Placed:
    """Show the second scan on the first one's grid.

    Args:
        before: The first scan.
        after: The second scan.
        alignment: Linear, from points of the first to those of the second.

    Raises:
        GeometryError: The alignment bends or mirrors.
        DataError: The scans do not cover each other there.
    """
    if alignment.displacement is not None or alignment.ndim != 3:
        raise GeometryError("the scans are compared by a linear map in space: one that bends would take change away")
    growth = float(np.linalg.det(alignment.matrix))
    if growth < 0:
        raise GeometryError("the transform mirrors the patient")
    grid = before.labels.grid
    seen = align(whole(after.labels.grid), alignment, grid).array > 0
    if not seen.any():
        raise DataError("the scans do not cover each other anywhere: are they in one space, or of one region?")
    doubts = [] if alignment.fitness is None else list(alignment.fitness.doubts)
    if abs(growth - 1) > 1e-3:
        doubts.append(
            f"the alignment scales volumes by a factor of {growth:.3f}: growth of everything alike is not seen as such"
        )
    return Placed(
        alignment,
        align(after.labels, alignment, grid, interpolation="label-wise"),
        None if after.image is None else align(after.image, alignment, grid),
        seen,
        tuple(doubts),
    )


def whole(grid: Grid) -> LabelMap:
    """All of a grid, labelled: what is left of it elsewhere is what it shows there."""
    return LabelMap(np.ones(grid.shape, np.uint8), grid, _SHOWN)


def _judged(found: Alignment, steady: Sequence[str], changing: set[str]) -> Fitness:
    """The fitness, with what must be said of a registration by structures."""
    assert found.fitness is not None
    said = (
        f"the scans were registered by the structures themselves ({', '.join(steady[:5])}"
        f"{' and others' if len(steady) > 5 else ''}), not by images: a shift or a turn of these is not seen"
    )
    if len(steady) == 1 or not changing.isdisjoint(steady):
        said += ", and growth to one side looks like growth all around"
    return replace(found.fitness, doubts=(*found.fitness.doubts, said))


def _drawn(scan: Scan, names: Sequence[str]) -> Volume:
    """An image of some structures, each of its own brightness, with soft borders."""
    shade = np.zeros(max(scan.labels.labels.declared) + 1, np.float32)
    for place, name in enumerate(names, start=1):
        shade[list(scan.labels.labels.members(name))] = 0.5 + 0.5 * place / len(names)
    array, grid = shade[scan.labels.array], scan.labels.grid
    filled = np.argwhere(array)
    steps = np.ceil(_MARGIN_MM / np.asarray(grid.spacing_mm)).astype(int)
    low = np.maximum(filled.min(axis=0) - steps, 0)
    high = np.minimum(filled.max(axis=0) + steps + 1, grid.shape)
    part = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    return _widened(array[part], grid.crop(low.tolist(), (high - low).tolist()))


def _widened(array: NDArray[np.float32], grid: Grid) -> Volume:
    """With a margin of nothing, so that a structure that the image cuts has an end, and enough slices."""
    steps = [max(2, int(np.ceil(_MARGIN_MM / spacing / 2))) for spacing in grid.spacing_mm]
    wide = np.pad(array, [(n, n) for n in steps])
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_points([-n for n in steps])
    soft = ndimage.gaussian_filter(wide, 1.0).astype(np.float32)
    return Volume(soft[None], Grid(wide.shape, affine))
