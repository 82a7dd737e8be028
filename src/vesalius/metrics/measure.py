"""Measure a pair of label maps once: counts and surface distances of every target, from which all metrics are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError
from vesalius.image import LabelMap
from vesalius.metrics.confusion import Box, Confusion, confusion
from vesalius.metrics.elements import find_elements
from vesalius.metrics.nearest import Target, measure_targets
from vesalius.metrics.overlap import Counts, counts_of
from vesalius.metrics.surface import Surfaces
from vesalius.metrics.surfels import surfel_sizes
from vesalius.metrics.threads import spread

_SMALL = 1 << 21  # voxels that one core has measured before several have agreed who does what
_NOWHERE = (np.empty(0), np.empty(0))  # a surface that is not there


@dataclass(frozen=True, eq=False)
class Measurement:
    """Two label maps as class numbers, and what is measured of them when it is first asked for; `measure` makes it.

    Args:
        reference: Class numbers, 0 for everything that is no target.
        prediction: The same of the prediction.
        targets: The class numbers that make up each target.
        classes: How many class numbers there are.
        ignored: The class of voxels that nobody looked at, in both.
        step: Column k is the way from a voxel to its neighbour along axis k, mm.
        voxel_mm: Volume of a voxel in mm³; in 2D the area of a pixel in mm².
        diagonal_mm: Of the image: the distance that stands for "nothing there to compare with".
    """

    reference: NDArray[np.unsignedinteger]
    prediction: NDArray[np.unsignedinteger]
    targets: Mapping[str, tuple[int, ...]]
    classes: int
    ignored: int | None
    step: NDArray[np.float64]
    voxel_mm: float
    diagonal_mm: float

    @cached_property
    def confusion(self) -> Confusion:
        """The confusion table of all classes, and the box of each; ignored voxels are a class like others."""
        return confusion(self.reference, self.prediction, self.classes, threads=self._threads)

    @cached_property
    def counts(self) -> dict[str, Counts]:
        """The confusion counts of every target; ignored voxels are in none."""
        table = self.confusion.table
        if self.ignored is not None:
            table = table.copy()
            table[self.ignored] = 0  # the prediction is held to be ignored at the same voxels
        return {name: counts_of(table, members, self.voxel_mm) for name, members in self.targets.items()}

    @cached_property
    def surfaces(self) -> dict[str, Surfaces]:
        """The distances of every target's surfaces, from one search of each map for surface elements."""
        boxes = {name: self.confusion.box(*members) for name, members in self.targets.items()}
        there = {name: box for name, box in boxes.items() if box is not None}
        measured = dict.fromkeys(boxes, (_NOWHERE, _NOWHERE))
        if there:
            wanted = sorted({member for name in there for member in self.targets[name]})
            home = self.confusion.box(*wanted)
            assert home is not None
            if self.ignored is not None:  # voxels beside a target may be ignored: they are to be seen too
                around = zip(home, self.reference.shape, strict=True)
                home = tuple(slice(max(s.start - 1, 0), min(s.stop + 1, n)) for s, n in around)
            found = [
                find_elements(side, self.classes, box=home, wanted=wanted, ignored=self.ignored, threads=self._threads)
                for side in (self.reference, self.prediction)
            ]
            targets = [Target(self.targets[name], _within(box, home)) for name, box in there.items()]
            sizes = surfel_sizes(self.step)
            measured |= zip(
                there,
                measure_targets(found[0], found[1], targets, step=self.step, sizes=sizes, threads=self._threads),
                strict=True,
            )
        return {name: Surfaces(*way, *back, self.diagonal_mm) for name, (way, back) in measured.items()}

    @property
    def _threads(self) -> int | None:
        return 1 if self.reference.size < _SMALL else None

    def masks(self, target: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Where reference and prediction have a target, in the box that holds both, with a border of one voxel."""
        members = self.targets[target]
        box = self.confusion.box(*members) or (slice(0, 0),) * self.reference.ndim
        cut = [np.isin(side[box], members) for side in (self.reference, self.prediction)]
        return np.pad(cut[0], 1), np.pad(cut[1], 1)


def measure(prediction: LabelMap, reference: LabelMap) -> Measurement:
    """Measure a prediction against its reference, for every label and region.

    Counts and surfaces are found when they are first asked for, and kept: any number of metrics, and of tolerances, is
    read off them.

    Args:
        prediction: What the segmenter said.
        reference: What is held to be right, on the same grid.

    Returns:
        The measurement; its targets are those of `vesalius.metrics.evaluate`.

    Raises:
        GeometryError: The grids differ.
        DataError: A name stands for one value in the prediction and for another in the reference.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> from vesalius.metrics.surface import surface_dice
        >>> grid, labels = Grid.from_spacing((8, 8), (1.0, 1.0)), Labels.of({"lesion": 1})
        >>> drawn, said = np.zeros((2, 8, 8), np.uint8)
        >>> drawn[1:5, 1:5], said[1:5, 2:6] = 1, 1
        >>> found = measure(LabelMap(said, grid, labels), LabelMap(drawn, grid, labels))
        >>> found.counts["lesion"].true_positive
        12
        >>> [round(surface_dice(found.surfaces["lesion"], tolerance_mm), 3) for tolerance_mm in (0.0, 1.0)]
        [0.5, 1.0]
    """
    _check_grids(prediction, reference)
    targets = _targets(prediction, reference)
    grid = reference.grid
    step = grid.affine[:-1, :-1]
    drawn, said = reference.array, prediction.array
    if drawn.flags.f_contiguous and not drawn.flags.c_contiguous:
        # Read memory in its own order: all that follows is the same on a grid with its axes reversed.
        drawn, said, step = drawn.T, said.T, step[:, ::-1]
    ignore, unsaid = reference.labels.ignore, prediction.labels.ignore
    forward = _numbering(reference.labels.declared | prediction.labels.declared, targets, ignore)
    back = forward.copy()
    back[[value for value in (ignore, unsaid) if value is not None]] = 0
    ours, theirs = _renumbered(drawn, forward), _renumbered(said, back)
    ignored = None if ignore is None else int(forward[ignore])
    if ignored is not None:
        np.copyto(theirs, theirs.dtype.type(ignored), where=ours == ignored)
    return Measurement(
        ours,
        theirs,
        {name: tuple(int(forward[value]) for value in members) for name, members in targets.items()},
        int(forward.max()) + 1,
        ignored,
        step,
        grid.voxel_volume_mm3,
        float(np.linalg.norm(np.multiply(grid.shape, grid.spacing_mm))),
    )


def _numbering(
    declared: Iterable[int], targets: Mapping[str, tuple[int, ...]], ignore: int | None
) -> NDArray[np.unsignedinteger]:
    """The class number of each value: itself where all fit into a byte, else those that matter, counted."""
    highest = max(declared)
    if highest < 256:
        return np.arange(highest + 1, dtype=np.uint8)
    values = {value for members in targets.values() for value in members} | (set() if ignore is None else {ignore})
    small = np.uint8 if len(values) < 256 else np.uint16
    forward: NDArray[np.unsignedinteger] = np.zeros(highest + 1, dtype=small)
    forward[sorted(values)] = np.arange(1, len(values) + 1)
    return forward


def _renumbered(array: NDArray[Any], numbers: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    if numbers.dtype == np.uint8 and np.array_equal(numbers, np.arange(numbers.size)):
        return array.astype(np.uint8, copy=False)
    made: NDArray[np.unsignedinteger] = np.empty(array.shape, dtype=numbers.dtype)

    def renumber(row: int) -> None:  # numpy makes 64-bit indices of what it is given: a row at a time
        made[row] = numbers[array[row]]

    spread(renumber, range(len(array)))
    return made


def _within(box: Box, home: Box) -> Box:
    return tuple(slice(s.start - h.start, s.stop - h.start) for s, h in zip(box, home, strict=True))


def _check_grids(prediction: LabelMap, reference: LabelMap) -> None:
    one, other = prediction.grid, reference.grid
    if one == other or one.is_close(other):
        return
    if one.shape != other.shape:
        how = f"shapes {one.shape} and {other.shape}"
    else:
        how = f"corners up to {one.corner_distance_mm(other):.3g} mm apart"
    raise GeometryError(
        f"prediction and reference lie on different grids ({how}): resample the prediction onto the reference's grid "
        "first, with vesalius.transform.resample(prediction, reference.grid)"
    )


def _targets(prediction: LabelMap, reference: LabelMap) -> dict[str, tuple[int, ...]]:
    targets = reference.labels.targets()
    scored = {tuple(sorted(members)) for members in targets.values()}
    for name, members in prediction.labels.targets().items():
        mine = tuple(sorted(members))
        if name in targets:
            if mine != tuple(sorted(targets[name])):
                raise DataError(
                    f"{name!r} stands for {list(members)} in the prediction and for {list(targets[name])} in the "
                    "reference: read both with the same labels"
                )
        elif mine not in scored and reference.labels.ignore not in mine:
            targets[name] = members
    return targets
