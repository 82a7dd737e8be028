"""Scores lesion by lesion, as BraTS defines them: each missed or invented lesion counts like one that was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError, unknown_name
from vesalius.image import LabelMap
from vesalius.metrics import overlap, surface
from vesalius.transform import label_components

Box = tuple[slice, ...]


@dataclass(frozen=True)
class LesionTask:
    """What a challenge sets.

    Args:
        dilation: Steps by which lesions of the reference are dilated, voxels: pieces that meet then are one lesion, and
            predicted pieces that reach there belong to it.
        least_mm3: Lesions of the reference of this volume or less are left out, with what was predicted for them.
        penalty_mm: The HD95 of a lesion that was missed or made up.
    """

    dilation: int = 3
    least_mm3: float = 50.0
    penalty_mm: float = 374.0


LESION_TASKS: dict[str, LesionTask] = {
    "brats-glioma": LesionTask(),
    "brats-africa": LesionTask(),
    "brats-paediatric": LesionTask(),
    "brats-meningioma": LesionTask(dilation=1),
    "brats-metastases": LesionTask(dilation=1, least_mm3=2.0),
}
"""The settings of BraTS 2023's five tasks."""


@dataclass(frozen=True)
class Lesion:
    """One lesion of the reference.

    Args:
        volume_mm3: Its volume (area in 2D).
        dice: Of the lesion and all predicted pieces that belong to it; 0 where none does.
        hd95_mm: The same; the penalty where none does.
        pieces: How many predicted pieces belong to it.
        counted: Whether it is large enough to count.
    """

    volume_mm3: float
    dice: float
    hd95_mm: float
    pieces: int
    counted: bool


@dataclass(frozen=True)
class LesionScores:
    """The lesion-wise scores of a case.

    Args:
        dice: Sum of the lesions' Dice over the number of lesions and of false positives; 1 if there are none of both.
        hd95_mm: The same of HD95, with the penalty for each false positive; 0 if there are none of both.
        true_positive: Counted lesions to which a predicted piece belongs.
        false_negative: Counted lesions to which none does.
        false_positive: Predicted pieces that belong to no lesion, not even to one that is too small to count.
        lesions: All lesions of the reference.
    """

    dice: float
    hd95_mm: float
    true_positive: int
    false_negative: int
    false_positive: int
    lesions: tuple[Lesion, ...]


def lesion_wise(
    prediction: LabelMap,
    reference: LabelMap,
    name: str,
    *,
    task: str | LesionTask = "brats-glioma",
) -> LesionScores:
    """Score a label or region lesion by lesion.

    The reference is dilated; its pieces whose dilations meet are one lesion. The predicted pieces that touch a lesion's
    own dilation are taken together and scored against it. One predicted piece may belong to several lesions. Pieces are
    connected by faces, edges and corners (26 neighbours, 8 in 2D); dilation goes by faces and edges (18 neighbours).

    Args:
        prediction: What was said, on the reference's grid.
        reference: What is held to be right.
        name: A label or region of the reference, for example the whole tumour.
        task: A name from `LESION_TASKS`, or settings of your own.

    Returns:
        The scores, without what was said where the reference is to be ignored. Volumes and distances are in mm even
        where voxels are anisotropic; the dilation is in voxels, as defined.

    Raises:
        GeometryError: The grids differ.
        DataError: The target or task is unknown, or the settings are out of range.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> drawn, said = np.zeros((2, 30, 12, 12), np.uint8)
        >>> drawn[2:8, 2:8, 2:8] = said[2:8, 2:8, 2:8] = 1  # found
        >>> drawn[20:26, 2:8, 2:8] = 1  # missed
        >>> grid, labels = Grid.from_spacing((30, 12, 12), (1.0, 1.0, 1.0)), Labels.of({"tumour": 1})
        >>> found = lesion_wise(LabelMap(said, grid, labels), LabelMap(drawn, grid, labels), "tumour")
        >>> found.dice, found.hd95_mm, found.false_negative
        (0.5, 187.0, 1)

    Source: the BraTS 2023 challenge's evaluation, github.com/rachitsaluja/BraTS-2023-Metrics (settings of the tasks,
    dilation by an 18-neighbourhood, 374 mm for the diagonal of 240 x 240 x 155 mm); Moawad et al., arXiv:2306.00838.
    """
    if not prediction.grid.is_close(reference.grid):
        raise GeometryError(
            "prediction and reference lie on different grids: resample the prediction onto the reference's grid first, "
            "with vesalius.transform.resample(prediction, reference.grid)"
        )
    grid = reference.grid
    members = reference.labels.members(name)
    drawn, said = np.isin(reference.array, members), np.isin(prediction.array, members)
    if reference.labels.ignore is not None:
        said &= reference.array != reference.labels.ignore
    return score_lesions(drawn, said, step=grid.affine[:-1, :-1], task=task)


def lesion_dice(found: LesionScores) -> float:
    """Dice of the lesions, averaged with a 0 for each lesion missed and each made up: small ones count like large ones.

    No lesions, and none said: 1; none, and some said: 0; none said: 0.

    Source: see `lesion_wise`.
    """
    return found.dice


def lesion_hd95(found: LesionScores) -> float:
    """HD95 of the lesions, averaged with 374 mm for each lesion missed and each made up.

    No lesions, and none said: 0; only one of both: 374 mm, the diagonal of a BraTS image.

    Source: see `lesion_wise`.
    """
    return found.hd95_mm


def score_lesions(
    drawn: NDArray[np.bool_], said: NDArray[np.bool_], *, step: NDArray[np.float64], task: str | LesionTask
) -> LesionScores:
    """`lesion_wise` on masks.

    Args:
        drawn: The lesions of the reference, 2D or 3D; cropped or not, as long as all of both masks is there.
        said: What was predicted, alike.
        step: ``(n, n)``; column k is the way from a voxel to its neighbour along axis k, mm.
        task: A name from `LESION_TASKS`, or settings of your own.

    Returns:
        The scores.

    Raises:
        DataError: The task is unknown, or the settings are out of range.

    Example:
        >>> drawn, said = np.zeros((2, 12, 12), bool)
        >>> drawn[2:8, 2:8] = said[2:8, 2:8] = True
        >>> score_lesions(drawn, said, step=np.eye(2), task=LesionTask(least_mm3=4.0)).dice
        1.0
    """
    from scipy import ndimage

    chosen = lesion_task(task)
    voxel_mm3 = float(abs(np.linalg.det(step)))
    near = ndimage.generate_binary_structure(drawn.ndim, 2)
    merged, count = _merged(drawn, chosen.dilation, near)
    pieces, sizes = label_components(said)
    homes = ndimage.find_objects(pieces, sizes.size)
    belonging = np.zeros(sizes.size + 1, np.bool_)
    lesions = []
    for number, home in enumerate(ndimage.find_objects(merged, count), start=1):
        reach = _grown(home, chosen.dilation, drawn.shape)
        own = merged[reach] == number
        within = _dilated(own, chosen.dilation, near)
        touched = np.unique(pieces[reach][within])
        touched = touched[touched > 0]
        belonging[touched] = True
        box = _hull([home, *(homes[piece - 1] for piece in touched.tolist())])
        dice, hd95 = _scored(merged[box] == number, np.isin(pieces[box], touched), step, chosen.penalty_mm)
        volume = float(own.sum()) * voxel_mm3
        # A lesion of exactly the least volume is left out, whatever the rounding of the voxel's size.
        counted = volume > chosen.least_mm3 * (1 + 1e-9)
        lesions.append(Lesion(volume, dice, hd95, int(touched.size), counted))
    spurious = int(sizes.size - belonging[1:].sum())
    counting = [one for one in lesions if one.counted]
    number = len(counting) + spurious
    hit = sum(one.pieces > 0 for one in counting)
    return LesionScores(
        dice=sum(one.dice for one in counting) / number if number else 1.0,
        hd95_mm=(sum(one.hd95_mm for one in counting) + spurious * chosen.penalty_mm) / number if number else 0.0,
        true_positive=hit,
        false_negative=len(counting) - hit,
        false_positive=spurious,
        lesions=tuple(lesions),
    )


def lesion_task(task: str | LesionTask) -> LesionTask:
    """The settings of a challenge, checked.

    Raises:
        DataError: The task is unknown, or the settings are out of range.

    Example:
        >>> lesion_task("brats-metastases").least_mm3
        2.0
    """
    if isinstance(task, str):
        if task not in LESION_TASKS:
            raise DataError(unknown_name("lesion task", task, LESION_TASKS))
        return LESION_TASKS[task]
    if task.dilation < 0 or not task.least_mm3 >= 0 or not task.penalty_mm >= 0:
        raise DataError(f"dilation, least_mm3 and penalty_mm must be 0 or more, not {task}")
    return task


def _dilated(mask: NDArray[np.bool_], steps: int, near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    if steps == 0:  # which scipy takes for "until nothing changes"
        return mask
    wide: NDArray[np.bool_] = ndimage.binary_dilation(mask, near, iterations=steps)
    return wide


def _merged(mask: NDArray[np.bool_], steps: int, near: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Number the lesions: voxels of the mask by the piece of its dilation that they lie in."""
    wide, sizes = label_components(_dilated(mask, steps, near))
    return np.where(mask, wide, 0).astype(np.int32), int(sizes.size)


def _grown(box: Box, margin: int, shape: Sequence[int]) -> Box:
    return tuple(slice(max(0, s.start - margin), min(n, s.stop + margin)) for s, n in zip(box, shape, strict=True))


def _hull(boxes: Sequence[Box]) -> Box:
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))


def _scored(
    drawn: NDArray[np.bool_], said: NDArray[np.bool_], step: NDArray[np.float64], penalty_mm: float
) -> tuple[float, float]:
    both = int((drawn & said).sum())
    counts = overlap.Counts(both, int(said.sum()) - both, int(drawn.sum()) - both, int((~drawn & ~said).sum()), 1.0)
    if not said.any():
        return 0.0, penalty_mm
    masks = [np.pad(mask, 1).view(np.uint8) for mask in (drawn, said)]
    surfaces = surface.measure_surfaces(masks[0], masks[1], step=step, diagonal_mm=penalty_mm)
    return overlap.dice(counts), surface.hd95(surfaces)
