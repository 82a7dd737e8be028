"""Find the face of a head by its nose: from the outline alone, whatever the contrast of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TIP_MM = (14.0, 40.0)  # by which a nose stands out from the cheeks
_CHEEKS_MM = (24.0, 34.0)  # beside the middle
_RIDGE_MM = 5.0
_BRIDGE_MM, _BRIDGE = 11.0, 0.5  # at its root the nose stands out by less, and by less of what its tip does
_SAME_MM = 15.0  # what stands out farther down than this is another thing: lips, chin
_ROOT_MM = (10.0, 56.0)  # from the tip up to the root
_VERTEX_MM = (60.0, 150.0)  # from the root up to the vertex, or to the end of the image
_LENGTH_MM = (140.0, 240.0)  # of the head above the root, from front to back
_WIDTH_MM = (120.0, 190.0)
_OFF_MIDDLE_MM = 12.0
_SMOOTH_MM = 3.0
_HALF_FACE_MM = 70.0
_MIDDLE_MM = 24.0
_HIGHEST_MM = 8.0  # above the root
_LIDS_MM, _LID_MM = (16.0, 52.0), 3.0  # up from the root and beside the middle; of what lies below the skin there
_DEPTHS_MM = ((8.0, 16.0, 0.8, 38.0), (24.0, 24.0, 0.8, 42.0))
"""Behind the skin of the root, in the middle and beside it: above the root, at it, more for each mm below, most.

Source: own measurement on twelve heads of SynthSeg's label maps: in the middle the brain lies 18 mm or more behind the
root 8 mm above it, 28 mm at its height, 54 mm 20 mm below; beside the middle 34, 44 and 54 mm."""
_SKIN_MM, _CHIN_MM = 20.0, 75.0  # farther down what lies behind the skin goes too, but not farther behind the root
_CHIN_BELOW_MM, _CHIN_BESIDE_MM = 35.0, 45.0
_MOUTH_MM, _MOST_LEFT = 55.0, 0.1  # down to there, the skin of the middle that may be left
_MOST_ROLL_DEGREES = 5.0  # by which the head may lean to a side; beyond, cheeks and nose are not where they seem


@dataclass(frozen=True)
class Nose:
    """Where the nose is, in steps of the grid.

    Args:
        middle: Along left to right.
        tip: Along up.
        root: Between the eyes, along up.
        front: Skin of the root, along back.
        out_mm: By how much the tip stands out from the cheeks.
    """

    middle: float
    tip: int
    root: int
    front: float
    out_mm: float


def find_nose(head: NDArray[np.bool_], *, step_mm: float) -> Nose | str:
    """Find the nose of a head that looks to the front, more or less upright.

    The nose is what stands out from the cheeks most; of several such places (the chin is another) it is the uppermost.

    Args:
        head: Inside of the head; axes run to the left, to the back and up.
        step_mm: Of all axes.

    Returns:
        The nose, or why there is none.
    """
    from scipy.ndimage import gaussian_filter1d

    filled = np.flatnonzero(head.any(axis=(0, 1)))
    top = int(filled.max())
    vault = head[:, :, max(0, top - round(90 / step_mm)) : max(1, top - round(20 / step_mm))]
    across = np.flatnonzero(vault.any(axis=(1, 2)))
    if across.size == 0:
        return "there is no vault of a skull in it"
    centre = (across.min() + across.max()) / 2
    noses = []
    for off in np.arange(-_OFF_MIDDLE_MM, _OFF_MIDDLE_MM + 1, step_mm):
        middle = centre + off / step_mm
        ridge, cheeks = _front(head, middle, (0, _RIDGE_MM), step_mm), _front(head, middle, _CHEEKS_MM, step_mm)
        out = gaussian_filter1d(np.nan_to_num((cheeks - ridge) * step_mm), _SMOOTH_MM / step_mm)
        out[top - round(50 / step_mm) :] = 0
        peaks = [
            place
            for place in range(1, len(out) - 1)
            if out[place] >= _TIP_MM[0] and out[place] >= out[place - 1] and out[place] > out[place + 1]
        ]
        if not peaks:
            continue
        tip = max(peaks)
        root = tip
        while root < top and out[root] > min(_BRIDGE_MM, _BRIDGE * out[tip]):
            root += 1
        if np.isfinite(ridge[root]):
            noses.append(Nose(middle, tip, root, float(ridge[root]), float(out[tip])))
    if not noses:
        return "nothing stands out of it like a nose"
    highest = max(one.tip for one in noses)
    return max((one for one in noses if (highest - one.tip) * step_mm < _SAME_MM), key=lambda one: one.out_mm)


def face_by_nose(head: NDArray[np.bool_], *, step_mm: float) -> NDArray[np.bool_] | str:
    """What lies before and below the root of the nose, so far back as no brain reaches.

    Args:
        head: As for `find_nose`.
        step_mm: Of all axes.

    Returns:
        The face with the air before it; or the reason why it is not sure that this is a whole face.
    """
    nose = find_nose(head, step_mm=step_mm)
    if isinstance(nose, str):
        return nose
    doubt = _doubt(head, nose, step_mm)
    if doubt:
        return doubt
    i, j, k = np.ogrid[tuple(slice(0, n) for n in head.shape)]
    beside = np.abs(i - nose.middle) * step_mm
    behind = (j - nose.front) * step_mm
    above = (k - nose.root) * step_mm
    depth = np.where(beside < _MIDDLE_MM, _depth(above, 0), _depth(above, 1))
    face = (above <= _HIGHEST_MM) & (behind < depth)
    skin = np.where(head.any(axis=1), head.argmax(axis=1), 0)[:, None, :]
    chin = (above < -_CHIN_BELOW_MM) & ((j - skin) * step_mm < _SKIN_MM) & (behind < _CHIN_MM)
    chin = chin & (beside < _CHIN_BESIDE_MM)
    lids = (above <= _LIDS_MM[0]) & (above > 0) & (beside < _LIDS_MM[1]) & ((j - skin) * step_mm < _LID_MM)
    found = np.asarray((face | chin | lids) & (beside < _HALF_FACE_MM), np.bool_)
    seen = head & (j == skin) & (beside < _MIDDLE_MM) & (above <= 0) & (above >= -_MOUTH_MM)
    if not seen.any() or (seen & ~found).sum() > _MOST_LEFT * seen.sum():
        return "mouth or chin lie too far behind the nose, as in a head that is bent"
    return found


def _depth(above: NDArray[np.floating], place: int) -> NDArray[np.float64]:
    over, at, more, most = _DEPTHS_MM[place]
    return np.where(above > 0, over, np.minimum(at - more * above, most))


def _doubt(head: NDArray[np.bool_], nose: Nose, step_mm: float) -> str:
    filled = np.flatnonzero(head.any(axis=(0, 1)))
    cranium = head[:, :, nose.root + round(10 / step_mm) :]
    length, width = (float(np.ptp(np.flatnonzero(cranium.any(axis=axes))) + 1) * step_mm for axes in ((0, 2), (1, 2)))
    measures = {
        "stands out from the cheeks by": (nose.out_mm, _TIP_MM),
        "is, from tip to root,": ((nose.root - nose.tip) * step_mm, _ROOT_MM),
        "lies below the vertex by": ((int(filled.max()) - nose.root) * step_mm, _VERTEX_MM),
        "belongs to a head with a length of": (length, _LENGTH_MM),
        "belongs to a head with a width of": (width, _WIDTH_MM),
    }
    for words, (found, (least, most)) in measures.items():
        if not least <= found <= most:
            return f"what looks like the nose {words} {found:.0f} mm, which no nose does"
    if abs(_roll(head, nose, step_mm)) > _MOST_ROLL_DEGREES:
        return "the head leans to one side"
    return ""


def _roll(head: NDArray[np.bool_], nose: Nose, step_mm: float) -> float:
    """Degrees by which the middle of the vault leans to a side."""
    heights = np.arange(nose.root + round(10 / step_mm), int(np.flatnonzero(head.any(axis=(0, 1))).max()))
    heights = heights[: max(2, round(60 / step_mm))]
    middles = []
    for height in heights:
        across = np.flatnonzero(head[:, :, height].any(axis=1))
        middles.append((across.min() + across.max()) / 2 if across.size else np.nan)
    known = np.isfinite(middles)
    if known.sum() < 3:
        return 90.0
    slope = np.polyfit(heights[known], np.array(middles)[known], 1)[0]
    return float(np.degrees(np.arctan(slope)))


def _front(head: NDArray[np.bool_], middle: float, beside: tuple[float, float], step_mm: float) -> NDArray[np.float64]:
    """How far back the skin begins at each height, in the median of some columns beside the middle."""
    away = np.abs(np.arange(head.shape[0]) - middle) * step_mm
    columns = head[(away >= beside[0]) & (away < beside[1])]
    if len(columns) == 0:
        return np.full(head.shape[2], np.nan)
    first = np.where(columns.any(axis=1), columns.argmax(axis=1).astype(np.float64), np.inf)
    found = np.median(first, axis=0)
    return np.where(np.isfinite(found), found, np.nan)
