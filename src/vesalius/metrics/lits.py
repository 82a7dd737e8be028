"""The scores of LiTS: Dice over cases and over voxels, lesions found, and how much of the liver is tumour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesalius.errors import DataError, GeometryError
from vesalius.image import LabelMap
from vesalius.metrics.size import slice_axis
from vesalius.transform import label_components

LEAST_IOU = 0.5
"""Above which a lesion counts as found. Source: Bilic et al. (2023), 3.3; the challenge's evaluation also has 0."""


@dataclass(frozen=True)
class LitsCase:
    """What one prediction scored.

    Args:
        case: Its name.
        liver: Voxels of the liver with its tumours: drawn and said, drawn, said.
        tumour: The same of the tumours.
        found: Lesions of the reference that were found.
        missed: Those that were not.
        spurious: Predicted lesions that found none.
        burden_reference: Share of the liver that is tumour, by the reference; NaN where it has no liver.
        burden_prediction: The same by the prediction.
    """

    case: str
    liver: tuple[int, int, int]
    tumour: tuple[int, int, int]
    found: int
    missed: int
    spurious: int
    burden_reference: float
    burden_prediction: float

    @property
    def liver_dice(self) -> float:
        """Dice of the liver with its tumours; 1 where there is none on either side."""
        return _dice(self.liver)

    @property
    def tumour_dice(self) -> float:
        """Dice of the tumours; 1 where there is none on either side."""
        return _dice(self.tumour)


def lits_case(prediction: LabelMap, reference: LabelMap, *, case: str = "", least_iou: float = LEAST_IOU) -> LitsCase:
    """Score a prediction as LiTS does.

    Args:
        prediction: 3D, with the labels "liver" and "tumour".
        reference: The same, on the same grid.
        case: Name for the tables.
        least_iou: See `count_lesions`.

    Returns:
        The counts that all scores are made of.

    Raises:
        GeometryError: The grids differ, or are not 3D.
        DataError: A label is missing.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> array = np.ones((10, 10, 4), np.uint8)
        >>> array[2:5, 2:5, 1:3] = 2
        >>> drawn = LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 5)), Labels.of({"liver": 1, "tumour": 2}))
        >>> found = lits_case(drawn, drawn)
        >>> found.tumour_dice, found.found, found.burden_reference
        (1.0, 1, 0.045)

    Source: Bilic et al., Medical Image Analysis 84:102680 (2023), doi:10.1016/j.media.2022.102680; the challenge's
    evaluation, github.com/PatrickChrist/lits-challenge-scoring.
    """
    if not prediction.grid.is_close(reference.grid) or reference.grid.ndim != 3:
        raise GeometryError("prediction and reference must lie on one grid, a 3D one")
    livers = [
        np.isin(one.array, [*one.labels.members("liver"), *one.labels.members("tumour")])
        for one in (reference, prediction)
    ]
    tumours = [one.binary("tumour") for one in (reference, prediction)]
    found, missed, spurious = count_lesions(
        tumours[1], tumours[0], axis=slice_axis(reference.grid), least_iou=least_iou
    )
    return LitsCase(
        case,
        _overlap(*livers),
        _overlap(*tumours),
        found,
        missed,
        spurious,
        tumour_burden(reference),
        tumour_burden(prediction),
    )


def count_lesions(
    prediction: NDArray[np.bool_], reference: NDArray[np.bool_], *, axis: int = 2, least_iou: float = LEAST_IOU
) -> tuple[int, int, int]:
    """Count the lesions that were found, missed and made up.

    Pieces hang together by faces. Pieces of the reference that are one voxel apart within a slice, or two, are one
    lesion. Lesions of the reference that have the same predicted piece as their largest overlap are taken together, and
    so are predicted pieces whose largest overlap is with the same of these groups: a merged or split lesion is judged
    by its whole. A group is found where the IoU is above the limit, with all of its lesions.

    Args:
        prediction: 3D.
        reference: The same shape.
        axis: Of the slices.
        least_iou: 0 to below 1; 0 counts every overlap.

    Returns:
        Lesions found, lesions missed, and predicted pieces in no group that was found.

    Raises:
        GeometryError: The shapes differ.
        DataError: ``least_iou`` is out of range.

    Example:
        >>> drawn = np.zeros((12, 4, 3), bool)
        >>> drawn[0:3, 1:3, 1] = drawn[6:9, 1:3, 1] = True
        >>> said = drawn.copy()
        >>> said[6:9] = False
        >>> count_lesions(said, drawn)
        (1, 1, 0)

    Source: the challenge's evaluation, github.com/PatrickChrist/lits-challenge-scoring (dilation of the reference by a
    voxel in the plane, merging, IoU); it counts predicted pieces less found lesions as spurious, we those without a
    partner, which differs where pieces are merged.
    """
    if prediction.shape != reference.shape or reference.ndim != 3:
        raise GeometryError("both masks must be 3D and of one shape")
    if not 0 <= least_iou < 1:
        raise DataError(f"least_iou must be 0 to below 1, not {least_iou}")
    plane = np.expand_dims(ndimage.generate_binary_structure(2, 1), axis)
    wide, count = label_components(ndimage.binary_dilation(reference, plane), connectivity=1)
    drawn, total = np.where(reference, wide, 0), int(count.size)
    said, pieces = label_components(prediction, connectivity=1)
    both = np.zeros((pieces.size + 1, total + 1), np.int64)
    np.add.at(both, (said[reference], drawn[reference]), 1)
    shared = both[1:, 1:]
    if not shared.any():
        return 0, total, int(pieces.size)
    # The reference's lesions by their largest piece, then the pieces by their largest group.
    touched = shared.any(axis=0)
    group = np.where(touched, shared.argmax(axis=0), -1)
    joined = {int(g): np.flatnonzero(group == g) for g in np.unique(group[touched])}
    names = list(joined)
    with_group = np.stack([shared[:, joined[g]].sum(axis=1) for g in names], axis=1)
    home = np.where(with_group.any(axis=1), with_group.argmax(axis=1), -1)
    sizes = np.bincount(drawn[reference], minlength=total + 1)[1:]
    found, partners = 0, 0
    for number, g in enumerate(names):
        members = np.flatnonzero(home == number)
        overlap = int(with_group[members, number].sum())
        union = int(sizes[joined[g]].sum()) + int(pieces[members].sum()) - overlap
        if overlap and overlap / union > least_iou:
            found += joined[g].size
            partners += members.size
    return found, total - found, int(pieces.size) - partners


def tumour_burden(labels: LabelMap) -> float:
    """Share of the liver, its tumours included, that is tumour: 0 to 1; NaN where there is neither.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> array, labels = np.array([[[1, 1, 1, 2]]], np.uint8), Labels.of({"liver": 1, "tumour": 2})
        >>> tumour_burden(LabelMap(array, Grid.from_spacing((1, 1, 4), (1, 1, 1)), labels))
        0.25

    Source: Bilic et al. (2023), 3.3.
    """
    counts = labels.counts()
    liver, tumour = (sum(counts.get(value, 0) for value in labels.labels.members(name)) for name in ("liver", "tumour"))
    return tumour / (liver + tumour) if liver + tumour else math.nan


def pool_lits(cases: Sequence[LitsCase]) -> Mapping[str, float]:
    """The scores of a set of cases.

    Where the prediction has no liver, its burden counts as 0 (the challenge puts 9001 in its place).

    Returns:
        Dice per case and global of liver and tumour, precision and recall of the lesions, and of the tumour burden the
        root mean square error and the largest error.

    Raises:
        DataError: There are no cases.

    Example:
        >>> one = LitsCase("a", (9, 10, 10), (1, 2, 2), 1, 1, 0, 0.2, 0.1)
        >>> other = LitsCase("b", (10, 10, 10), (0, 0, 0), 0, 0, 1, 0.0, 0.1)
        >>> found = pool_lits([one, other])
        >>> found["tumour Dice per case"], found["tumour Dice global"], round(found["tumour burden RMSE"], 3)
        (0.75, 0.5, 0.1)

    Source: Bilic et al. (2023), 3.3; the challenge's evaluation as above.
    """
    if not cases:
        raise DataError("there are no cases to pool")
    found, missed, spurious = (sum(getattr(one, name) for one in cases) for name in ("found", "missed", "spurious"))
    errors = np.array(
        [
            one.burden_reference - (0.0 if math.isnan(one.burden_prediction) else one.burden_prediction)
            for one in cases
            if not math.isnan(one.burden_reference)
        ]
    )

    def pooled(name: str) -> float:
        sums = np.sum([getattr(one, name) for one in cases], axis=0)
        return _dice((int(sums[0]), int(sums[1]), int(sums[2])))

    return {
        "liver Dice per case": float(np.mean([one.liver_dice for one in cases])),
        "liver Dice global": pooled("liver"),
        "tumour Dice per case": float(np.mean([one.tumour_dice for one in cases])),
        "tumour Dice global": pooled("tumour"),
        "lesion precision": found / (found + spurious) if found + spurious else math.nan,
        "lesion recall": found / (found + missed) if found + missed else math.nan,
        "tumour burden RMSE": float(np.sqrt(np.mean(errors**2))) if errors.size else math.nan,
        "tumour burden largest error": float(np.abs(errors).max()) if errors.size else math.nan,
    }


def _overlap(drawn: NDArray[np.bool_], said: NDArray[np.bool_]) -> tuple[int, int, int]:
    return int((drawn & said).sum()), int(drawn.sum()), int(said.sum())


def _dice(counts: tuple[int, int, int]) -> float:
    both, drawn, said = counts
    return 2 * both / (drawn + said) if drawn + said else 1.0
