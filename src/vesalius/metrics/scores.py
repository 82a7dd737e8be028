"""Score a prediction against its reference: every metric, for every label and region."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vesalius.errors import GeometryError, VesaliusError, unknown_name
from vesalius.image import LabelMap
from vesalius.metrics import boundary, centreline, lesions, overlap, pieces, surface
from vesalius.metrics.measure import measure

Better = Literal["higher", "lower", "zero", "neither"]
"""Which values of a metric are good ones: high, low, near zero, or none (it describes)."""


@dataclass(frozen=True)
class Metric:
    """A line of `METRICS`.

    Args:
        title: Its name as people write it.
        kind: What the function is computed from: confusion counts, surface distances, the latter at a tolerance, the
            masks themselves, or the lesions that were found in them.
        better: Which values are good ones.
        unit: Unit of the value; empty for a plain number. A distance on an uncalibrated picture is in pixels.
        function: The definition; its docstring gives formula, values for empty masks and source.
        dimensions: The dimensions of grids on which the metric has a meaning.
    """

    title: str
    kind: Literal["counts", "surface", "tolerance", "masks", "lesions"]
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
    "negative_predictive_value": Metric(
        "negative predictive value", "counts", "higher", "", overlap.negative_predictive_value
    ),
    "f2": Metric("F2", "counts", "higher", "", overlap.f_beta),
    "balanced_accuracy": Metric("balanced accuracy", "counts", "higher", "", overlap.balanced_accuracy),
    "matthews": Metric("Matthews' correlation", "counts", "higher", "", overlap.matthews),
    "kappa": Metric("Cohen's kappa", "counts", "higher", "", overlap.kappa),
    "youden": Metric("Youden's index", "counts", "higher", "", overlap.youden),
    "volumetric_similarity": Metric("volumetric similarity", "counts", "higher", "", overlap.volumetric_similarity),
    "absolute_volume_difference_ml": Metric(
        "absolute volume difference", "counts", "lower", "ml", overlap.absolute_volume_difference, (3,)
    ),
    "surface_dice": Metric("surface Dice", "tolerance", "higher", "", surface.surface_dice),
    "hausdorff": Metric("Hausdorff distance", "surface", "lower", "mm", surface.hausdorff),
    "hd95": Metric("HD95", "surface", "lower", "mm", surface.hd95),
    "assd": Metric("average surface distance", "surface", "lower", "mm", surface.assd),
    "masd": Metric("mean average surface distance", "surface", "lower", "mm", surface.masd),
    "boundary_iou": Metric("boundary IoU", "masks", "higher", "", boundary.boundary_iou),
    "cldice": Metric("clDice", "masks", "higher", "", centreline.cldice),
    "panoptic_quality": Metric("panoptic quality", "masks", "higher", "", pieces.panoptic_quality),
    "piece_recall": Metric("pieces found", "masks", "higher", "", pieces.piece_recall),
    "piece_precision": Metric("pieces right", "masks", "higher", "", pieces.piece_precision),
    "piece_f1": Metric("F1 of pieces", "masks", "higher", "", pieces.piece_f1),
    "lesion_dice": Metric("lesion-wise Dice", "lesions", "higher", "", lesions.lesion_dice),
    "lesion_hd95": Metric("lesion-wise HD95", "lesions", "lower", "mm", lesions.lesion_hd95),
    "volume_reference_ml": Metric("volume, reference", "counts", "neither", "ml", overlap.volume_reference, (3,)),
    "volume_prediction_ml": Metric("volume, prediction", "counts", "neither", "ml", overlap.volume_prediction, (3,)),
    "area_reference_mm2": Metric("area, reference", "counts", "neither", "mm²", overlap.area_reference, (2,)),
    "area_prediction_mm2": Metric("area, prediction", "counts", "neither", "mm²", overlap.area_prediction, (2,)),
}

DEFAULT: tuple[str, ...] = (
    *("dice", "iou", "sensitivity", "precision", "specificity", "accuracy", "relative_volume_difference"),
    *("surface_dice", "hausdorff", "hd95", "assd"),
    *("volume_reference_ml", "volume_prediction_ml", "area_reference_mm2", "area_prediction_mm2"),
)
"""The metrics of a report; those that have no meaning on the grid (the volume of a picture) are left out. The others
are for special questions, or slow, and are asked for by name."""


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
    lesion_task: str | lesions.LesionTask = "brats-glioma",
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
        lesion_task: What the lesion-wise metrics count as a lesion: a name from
            `vesalius.metrics.lesions.LESION_TASKS`, or settings of your own.

    Returns:
        The value of every metric for every target.

    Raises:
        GeometryError: The grids differ, or a metric has no meaning on them.
        DataError: A name stands for one value in the prediction and for another in the reference, or the lesion task is
            unknown.
        VesaliusError: A metric is unknown, or the tolerance is negative or not finite.

    Example:
        >>> import numpy as np
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
    task = lesions.lesion_task(lesion_task)
    found = measure(prediction, reference)
    values: dict[str, dict[str, float]] = {}
    for target in found.targets:
        scored = found.counts[target].total > 0  # else every voxel is ignored
        row: dict[str, float] = {}
        pieces_found: lesions.LesionScores | None = None  # both lesion-wise metrics are read off it
        for name, metric in chosen.items():
            if metric.kind == "counts":
                row[name] = metric.function(found.counts[target])
            elif not scored:
                row[name] = math.nan
            elif metric.kind == "masks":
                row[name] = metric.function(*found.masks(target), step=found.step)
            elif metric.kind == "lesions":
                if pieces_found is None:
                    drawn, said = found.masks(target)
                    pieces_found = lesions.score_lesions(drawn, said, step=found.step, task=task)
                row[name] = metric.function(pieces_found)
            else:
                more = (tolerance_mm,) if metric.kind == "tolerance" else ()
                row[name] = metric.function(found.surfaces[target], *more)
        values[target] = row
    return Scores(case, values, float(tolerance_mm))


def _chosen(metrics: Sequence[str], ndim: int) -> dict[str, Metric]:
    for name in metrics:
        if name not in METRICS:
            raise VesaliusError(unknown_name("metric", name, METRICS))
    if tuple(metrics) == DEFAULT:
        return {name: METRICS[name] for name in DEFAULT if ndim in METRICS[name].dimensions}
    unfit = [name for name in metrics if ndim not in METRICS[name].dimensions]
    if unfit:
        raise GeometryError(f"{', '.join(unfit)} has no meaning on a {ndim}D grid: leave it out of the metrics")
    return {name: METRICS[name] for name in metrics}
