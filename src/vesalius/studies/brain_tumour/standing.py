"""Brains without a tumour, made of the healthy halves of patients."""

from __future__ import annotations

import numpy as np

from vesalius.image import LabelMap, Volume
from vesalius.metrics.midplane import midplane
from vesalius.studies.brain_tumour.checks import as_brain
from vesalius.transform import reorient

_CLEAN_ML = 0.1  # a half with less tumour than this is taken for a healthy one


def stand_in(image: Volume, reference: LabelMap) -> Volume | None:
    """A brain without a tumour: the healthy half of a patient's, and its mirror image in place of the other.

    Sets of tumour patients hold no brain without one. Without such, a network never learns what such a brain looks
    like, and no probability can be calibrated.

    Args:
        image: Stripped.
        reference: The tumour, on the same grid.

    Returns:
        The brain, its axes towards left, posterior, superior; ``None`` where both halves hold tumour.
    """
    laid, drawn = reorient(image), reorient(reference).array != 0
    plane = midplane(as_brain(laid))
    middle = laid.grid.to_points(np.asarray([(n - 1) / 2 for n in laid.grid.shape]))
    x = plane.offset + plane.along_y * middle[1] + plane.along_z * middle[2]
    at = float(laid.grid.to_index(np.array([x, middle[1], middle[2]]))[0])
    index = np.arange(laid.grid.shape[0])
    halves = {"left": index > at, "right": index < at}  # axis 0 grows to the left
    ml = {side: float(drawn[half].sum()) * laid.grid.voxel_volume_mm3 / 1000 for side, half in halves.items()}
    healthy = min(ml, key=lambda side: ml[side])
    if ml[healthy] > _CLEAN_ML:
        return None
    source = round(2 * at) - index
    there = (source >= 0) & (source < index.size)
    array = laid.array.copy()
    for i in np.flatnonzero(~halves[healthy]):
        if source[i] != i:  # what lies on the plane itself stays
            array[:, i] = laid.array[:, source[i]] if there[i] else laid.array[:, :1, :1, :1][:, 0]
    return laid.with_array(array)
