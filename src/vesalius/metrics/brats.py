"""The scores of BraTS: Dice and HD95 of the three regions, of the whole image and lesion by lesion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vesalius.image import LabelMap
from vesalius.metrics.lesions import LESION_TASKS
from vesalius.metrics.scores import Scores, evaluate

REGIONS = ("whole tumour", "tumour core", "enhancing tumour")
"""What is scored: nested, the first holds the second, which holds the third.

Source: Menze et al., IEEE TMI 34:1993 (2015), doi:10.1109/TMI.2014.2377694.
"""

BRATS_METRICS = ("dice", "hd95", "lesion_dice", "lesion_hd95", "sensitivity", "specificity")
"""What the challenge reports for each region."""

_VOLUMES = ("volume_reference_ml", "volume_prediction_ml")


def brats_scores(
    prediction: LabelMap, reference: LabelMap, *, case: str = "", regions: Sequence[str] = REGIONS
) -> Scores:
    """Score a prediction as BraTS 2023 does for glioma, with the volumes beside.

    A region that is neither drawn nor said has Dice 1 and HD95 0. One that is only drawn, or only said, has Dice 0 and
    HD95 374 mm, whatever the size of the image.

    Args:
        prediction: What was said, on the reference's grid.
        reference: What is held to be right; its labels declare the regions.
        case: Name for the tables.
        regions: Labels or regions of the reference.

    Returns:
        `BRATS_METRICS` and the volumes in ml, for each region.

    Raises:
        GeometryError: The grids differ.
        DataError: A label has one value in the prediction and another in the reference.

    Example:
        >>> import numpy as np
        >>> from vesalius.image import Grid, Labels
        >>> grid, labels = Grid.from_spacing((8, 8, 8), (1.0, 1.0, 1.0)), Labels.of({"enhancing tumour": 4})
        >>> drawn = np.zeros(grid.shape, np.uint8)
        >>> drawn[2:6, 2:6, 2:6] = 4
        >>> nothing = LabelMap(np.zeros(grid.shape, np.uint8), grid, labels)
        >>> found = brats_scores(nothing, LabelMap(drawn, grid, labels), regions=("enhancing tumour",))
        >>> found.values["enhancing tumour"]["dice"], found.values["enhancing tumour"]["hd95"]
        (0.0, 374.0)

    Source: the BraTS 2023 challenge's evaluation, github.com/rachitsaluja/BraTS-2023-Metrics (374 mm for infinity, the
    diagonal of 240 x 240 x 155 mm, "Legacy" scores of the whole image); BraTS 2017 to 2021 took 373.13 mm.
    """
    found = evaluate(prediction, reference, case=case, metrics=(*BRATS_METRICS, *_VOLUMES), lesion_task="brats-glioma")
    values = {}
    for name in regions:
        row = dict(found.values[name])
        if (row["volume_reference_ml"] > 0) != (row["volume_prediction_ml"] > 0):
            row["hd95"] = LESION_TASKS["brats-glioma"].penalty_mm
        values[name] = row
    return replace(found, values=values)
