"""Score a prediction against its reference: every metric, for every label and region."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError, VesaliusError, unknown_name
from vesalius.image import LabelMap
from vesalius.metrics import overlap, surface
from vesalius.metrics.overlap import counts_of, joint_histogram

Better = Literal["higher", "lower", "zero", "neither"]
"""Which values of a metric are good ones: high, low, near zero, or none (it describes)."""

Box = tuple[slice, ...]


@dataclass(frozen=True)
class Metric:
    """A line of `METRICS`.

    Args:
        title: Its name as people write it.
        kind: What the function is computed from: confusion counts, surface distances, or the latter at a tolerance.
        better: Which values are good ones.
        unit: Unit of the value; empty for a plain number. A distance on an uncalibrated picture is in pixels.
        function: The definition; its docstring gives formula, values for empty masks and source.
        dimensions: The dimensions of grids on which the metric has a meaning.
    """

    title: str
    kind: Literal["counts", "surface", "tolerance"]
    better: Better
    unit: str
    function: Callable[..., float]
    dimensions: tuple[int, ...] = (2, 3)


METRICS: dict[str, Metric] = {
    "dice": Metric("Dice", "counts", "higher", "", overlap.dice),
    "iou": Metric("IoU", "counts", "higher", "", overlap.iou),
    "sensitivity": Metric("sensitivity", "counts", "higher", "", overlap.sensitivity),
    "precision": Metric("precision", "counts", "higher", "", overlap.precision),
    "specificity": Metric("specificity", "counts", "higher", "", overlap.specificity),
    "accuracy": Metric("accuracy", "counts", "higher", "", overlap.accuracy),
    "relative_volume_difference": Metric(
        "relative volume difference", "counts", "zero", "", overlap.relative_volume_difference
    ),
    "surface_dice": Metric("surface Dice", "tolerance", "higher", "", surface.surface_dice),
    "hausdorff": Metric("Hausdorff distance", "surface", "lower", "mm", surface.hausdorff),
    "hd95": Metric("HD95", "surface", "lower", "mm", surface.hd95),
    "assd": Metric("average surface distance", "surface", "lower", "mm", surface.assd),
    "volume_reference_ml": Metric("volume, reference", "counts", "neither", "ml", overlap.volume_reference, (3,)),
    "volume_prediction_ml": Metric("volume, prediction", "counts", "neither", "ml", overlap.volume_prediction, (3,)),
    "area_reference_mm2": Metric("area, reference", "counts", "neither", "mm²", overlap.area_reference, (2,)),
    "area_prediction_mm2": Metric("area, prediction", "counts", "neither", "mm²", overlap.area_prediction, (2,)),
}

DEFAULT: tuple[str, ...] = tuple(METRICS)
"""All metrics; those that have no meaning on the grid (the volume of a picture) are left out."""


@dataclass(frozen=True)
class Scores:
    """What one prediction scored.

    Args:
        case: Name of the case, as the caller gave it.
        values: ``{target: {metric: value}}``; NaN where a metric has no value.
        tolerance_mm: The tolerance of the surface Dice.

    Example:
        >>> Scores("a", {"liver": {"dice": 0.5}}).to_dict()
        {'case': 'a', 'tolerance_mm': 1.0, 'values': {'liver': {'dice': 0.5}}}
    """

    case: str
    values: Mapping[str, Mapping[str, float]]
    tolerance_mm: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """The scores as JSON has them; NaN, for which JSON has no word, becomes None."""
        return {
            "case": self.case,
            "tolerance_mm": self.tolerance_mm,
            "values": {
                target: {name: None if math.isnan(value) else value for name, value in row.items()}
                for target, row in self.values.items()
            },
        }


def evaluate(
    prediction: LabelMap,
    reference: LabelMap,
    *,
    case: str = "",
    metrics: Sequence[str] = DEFAULT,
    tolerance_mm: float = 1.0,
) -> Scores:
    """Score a prediction against its reference, for every label and region.

    Both must lie on one grid: `vesalius.transform.resample` first if they don't. Targets are those that the
    reference declares, and then those that only the prediction declares. Voxels are compared by value. Where the
    reference holds its ignore value, nothing is scored; the prediction's own ignore value counts as background.
    What each metric says of empty masks stands in its docstring and in docs/reference/metrics.md.

    Args:
        prediction: What the segmenter said.
        reference: What is held to be right, on the same grid.
        case: Name for the tables; nothing that identifies a patient.
        metrics: Names from `METRICS`.
        tolerance_mm: Deviation that `surface_dice` accepts, mm (pixels on an uncalibrated picture), 0 or more.

    Returns:
        The value of every metric for every target.

    Raises:
        GeometryError: The grids differ, or a metric has no meaning on them.
        DataError: A name stands for one value in the prediction and for another in the reference.
        VesaliusError: A metric is unknown, or the tolerance is negative or not finite.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> grid, labels = Grid.from_spacing((4, 4), (1.0, 1.0)), Labels.of({"lesion": 1})
        >>> drawn, said = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
        >>> drawn[1:3, 1:3], said[1:3, 1:4] = 1, 1
        >>> reference, prediction = LabelMap(drawn, grid, labels), LabelMap(said, grid, labels)
        >>> evaluate(prediction, reference, metrics=("dice", "hausdorff")).values["lesion"]
        {'dice': 0.8, 'hausdorff': 1.0}

    Source: Metrics Reloaded (Maier-Hein et al., 2024), doi:10.1038/s41592-023-02151-z, for the choice of metrics.
    """
    chosen = _chosen(metrics, reference.grid.ndim)
    if not (math.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise VesaliusError(f"tolerance_mm must be a finite number of 0 or more, not {tolerance_mm}")
    _check_grids(prediction, reference)
    targets = _targets(prediction, reference)
    grid = reference.grid
    step = grid.affine[:-1, :-1]
    drawn, said = reference.array, prediction.array
    if drawn.flags.f_contiguous and not drawn.flags.c_contiguous:
        # Read memory in its own order: all that follows is the same on a grid with its axes reversed.
        drawn, said, step = drawn.T, said.T, step[:, ::-1]

    pair = _encode(drawn, said, targets, reference.labels.ignore, prediction.labels.ignore)
    need_surface = any(metric.kind != "counts" for metric in chosen.values())
    diagonal_mm = float(np.linalg.norm(np.multiply(grid.shape, grid.spacing_mm)))
    values: dict[str, dict[str, float]] = {}
    for target, members in targets.items():
        classes = [pair.classes[value] for value in members]
        counts = counts_of(pair.table, classes, grid.voxel_volume_mm3)
        measured = pair.surfaces(classes, step, diagonal_mm) if need_surface and counts.total else None
        row: dict[str, float] = {}
        for name, metric in chosen.items():
            if metric.kind == "counts":
                row[name] = metric.function(counts)
            elif measured is None:  # nothing was scored at all: every voxel is ignored
                row[name] = math.nan
            elif metric.kind == "tolerance":
                row[name] = metric.function(measured, tolerance_mm)
            else:
                row[name] = metric.function(measured)
        values[target] = row
    return Scores(case, values, float(tolerance_mm))


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both maps as small class numbers within the box that holds all foreground, and what was counted there.

    Class 0 is everything that is no target; ``ignored`` is the class of voxels that nobody looked at, in both.
    """

    reference: NDArray[np.unsignedinteger]
    prediction: NDArray[np.unsignedinteger]
    classes: Mapping[int, int]
    ignored: int | None
    table: NDArray[np.int64]
    boxes: Sequence[Sequence[Box | None]]

    def surfaces(self, classes: Sequence[int], step: NDArray[np.float64], diagonal_mm: float) -> surface.Surfaces:
        """Measure the surfaces of the union of some classes, within the box that holds both."""
        found = [box for one in self.boxes for c in classes if c <= len(one) and (box := one[c - 1]) is not None]
        box = tuple(
            slice(min(b[axis].start for b in found), max(b[axis].stop for b in found)) if found else slice(0, 0)
            for axis in range(self.reference.ndim)
        )
        return surface.measure_surfaces(
            _mask(self.reference, box, classes),
            _mask(self.prediction, box, classes),
            step=step,
            diagonal_mm=diagonal_mm,
            ignored=None if self.ignored is None else _mask(self.reference, box, [self.ignored]),
        )


def _encode(
    reference: NDArray[Any],
    prediction: NDArray[Any],
    targets: Mapping[str, tuple[int, ...]],
    ignore: int | None,
    unsaid: int | None,
) -> _Pair:
    """Number the classes; ``ignore`` is the reference's ignore value, ``unsaid`` the prediction's."""
    from scipy.ndimage import find_objects

    values = sorted({value for members in targets.values() for value in members})
    classes = {value: position for position, value in enumerate(values, start=1)}
    number = len(values) + 1 + (ignore is not None)
    box = _box(reference, prediction)
    small = np.uint8 if number <= 256 else np.uint16
    drawn = _renumber(reference[box], classes | ({} if ignore is None else {ignore: number - 1}), small)
    said = _renumber(prediction[box], {v: c for v, c in classes.items() if v != unsaid}, small)
    if ignore is not None:
        said[drawn == number - 1] = number - 1
    table = joint_histogram(drawn, said, number)
    table[0, 0] += reference.size - drawn.size  # outside the box both are background
    if ignore is not None:
        table = table[:-1, :-1]
    boxes = [find_objects(one, len(values)) for one in (drawn, said)]
    return _Pair(drawn, said, classes, None if ignore is None else number - 1, table, boxes)


def _renumber(array: NDArray[Any], classes: Mapping[int, int], dtype: type[np.unsignedinteger]) -> NDArray[Any]:
    highest = int(array.max(initial=0))
    if list(classes.items()) == [(n, n) for n in range(1, len(classes) + 1)] and highest <= len(classes):
        return array.astype(dtype, order="C")
    table = np.zeros(max(highest, *classes, 0) + 1, dtype=dtype)
    for value, number in classes.items():
        table[value] = number
    return np.ascontiguousarray(table[array])


def _box(*arrays: NDArray[Any]) -> Box:
    """The smallest box that holds every non-zero voxel of all arrays; each array is read about twice."""

    def span(row: NDArray[Any]) -> slice:
        hit = np.flatnonzero(row)
        return slice(int(hit[0]), int(hit[-1]) + 1) if hit.size else slice(0, 0)

    first = span(np.maximum.reduce([array.reshape(len(array), -1).max(axis=1) for array in arrays]))
    flat = np.maximum.reduce([array[first].max(axis=0, initial=0) for array in arrays])
    rest = [span(flat.max(axis=tuple(a for a in range(flat.ndim) if a != axis))) for axis in range(flat.ndim)]
    return (first, *rest)


def _mask(array: NDArray[Any], box: Box, classes: Sequence[int]) -> NDArray[np.uint8]:
    """Where a cropped array is one of some classes, as 0 and 1 with a border of zeros one voxel wide."""
    part = array[box]
    mask = np.zeros([n + 2 for n in part.shape], dtype=np.uint8)
    inner = mask[(slice(1, -1),) * part.ndim]
    if len(classes) == 1:
        np.equal(part, classes[0], out=inner, casting="unsafe")
    else:
        inner[...] = np.isin(part, classes)
    return mask


def _chosen(metrics: Sequence[str], ndim: int) -> dict[str, Metric]:
    for name in metrics:
        if name not in METRICS:
            raise VesaliusError(unknown_name("metric", name, METRICS))
    if tuple(metrics) == DEFAULT:
        return {name: metric for name, metric in METRICS.items() if ndim in metric.dimensions}
    unfit = [name for name in metrics if ndim not in METRICS[name].dimensions]
    if unfit:
        raise GeometryError(f"{', '.join(unfit)} has no meaning on a {ndim}D grid: leave it out of the metrics")
    return {name: METRICS[name] for name in metrics}


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
