"""Remove the face from an image of the head; what is not surely a whole head is refused.

The face is found from the brain: the brain mask of the upper head gives the frontal pole, the level of the orbits and
the brain's hull, and the face is what lies before and below them. Everything is worked out in patient space (LPS) on
a coarse grid of its own, so that the order and the sense of the array's axes do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import GeometryError, PrivacyError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.privacy.noses import face_by_nose
from vesalius.transform.body import brain_mask
from vesalius.transform.components import label_components
from vesalius.transform.resample import resample

_STEP_MM = 3.0
_UPPER_HEAD_MM = 125.0
"""Of the head from the vertex down: what holds the brain, and little else that looks like it.

Source: own measurement on the twelve heads of SynthSeg's label maps; with the neck in view the mask takes the neck."""
_EROSION_MM = 6.0
_GUARD_MM = 8.0  # around the hull of the brain nothing is touched
_ABOVE_ORBIT_MM = 6.0
_BELOW_POLE_MM = 20.0  # the eyes lie lower still, even where the mask of the brain has some of what lies behind them
_LEVEL_DEGREES = -12.0
"""The brain's long axis against the horizontal in a head held straight: its back lies lower.

Source: own measurement on the twelve heads; they lie at -28 to 0 degrees, and -12 levels their orbits."""
_MOST_TILT_DEGREES = 22.0
_FACE_DEPTH_MM = 32.0  # behind the frontal pole: eyes, nose and mouth, but not the temporal poles
_SKIN_DEPTH_MM = 24.0  # behind the skin, where the chin lies farther back than the frontal pole
_SHALLOW_MM = 8.0  # of skin and skull, from front to back
_EYES_MM = 45.0  # beside the middle
_MOST_SPARED_ML = 1.0
_FARTHEST_MM = 70.0  # and never farther behind the frontal pole than this
_HALF_FACE_MM = 75.0
_AIR_HU = -300.0
_LEAST_HEAD_ML = 2000.0  # brain, skull and skin above the mouth; a brain alone has 1,700 at most
_CAP_MM2 = 4000.0  # of the head's last slice; more is a head that is cut off
_NEAR_BRAIN_MM = 3.0  # around a brain that is given, in a face that is found by the nose

_BRAIN_ML = (650.0, 2100.0)
_BRAIN_MM = ((100.0, 175.0), (125.0, 210.0), (70.0, 135.0))
"""Of an adult's or a child's brain from two years on, along left to right, front to back, and up in the part seen.

Source: Dekaban and Sadowsky, Ann Neurol 4:345-356 (1978), weights; widths and lengths as measured here, with a tenth
more at both ends."""
_COVER_MM = (4.0, 40.0)  # skin, skull and sinus before the frontal pole and above the brain
_LEAST_FACE_ML = 60.0
_LOBE_MM = (10.0, 40.0)  # from the frontal pole down to the base of the frontal lobe; more is a mask that has the eyes
_MOST_BROW_MM = 12.0  # by which brows stand out from the forehead at the height of the frontal pole
_LEAST_SLOPE_MM = 6.0  # by which the base of the brain lies lower behind than in front


@dataclass(frozen=True, eq=False)
class _Head:
    """A head on the working grid, whose axes run to the left, to the back and up."""

    grid: Grid
    inside: NDArray[np.bool_]
    brain: NDArray[np.bool_]
    hull: NDArray[np.bool_]


def deface(volume: Volume, *, brain: LabelMap | None = None) -> Volume:
    """Remove nose, eyes, mouth and chin from a whole head in MR or CT; the brain keeps every value.

    Voxels of the face and the air before it get the image's least value. What is left of a head has ears and a
    forehead: recognising a person from them is harder, not impossible.

    Args:
        volume: 3D, any orientation; with several channels the first says where the face is, and all lose it.
        brain: Where the brain is, if something better than `vesalius.transform.brain_mask` has found it, for example a
            trained segmenter: every label counts. It is kept at a distance in either way of finding the face, and no
            voxel of it is touched.

    Returns:
        The image on the same grid.

    Raises:
        PrivacyError: It is not sure that this is a whole head with a face and a brain where its place in space says
            they are: such an image is for a person to look at.

    Example:
        >>> from vesalius.image import Grid
        >>> deface(Volume(np.zeros((1, 64, 64, 64), np.int16), Grid.from_spacing((64, 64, 64), (3, 3, 3))))
        Traceback (most recent call last):
        ...
        vesalius.errors.PrivacyError: the image cannot be defaced: it holds nothing that looks like a head

    Source: own method; the idea of guarding the brain while the face goes is that of Bischoff-Grethe et al., Human
    Brain Mapping 28:892-903 (2007), doi:10.1002/hbm.20312. What was measured stands in
    `docs/reference/privacy-pixels.md`.
    """
    face = face_mask(volume, brain=brain)
    array = volume.array.copy()
    array[:, face.array > 0] = array.min()
    return volume.with_array(array)


def face_mask(volume: Volume, *, brain: LabelMap | None = None) -> LabelMap:
    """Where the face is, and the air before it, in a whole head; see `deface`.

    It is found from the brain, where its mask is surely one (T1-weighted MR, CT); else from the nose, by the outline of
    the head alone (`vesalius.privacy.noses`).

    Args:
        volume: As for `deface`.
        brain: As for `deface`.

    Returns:
        The label ``face`` on the image's grid.

    Raises:
        PrivacyError: As `deface`.
    """
    if volume.grid.ndim != 3 or min(volume.grid.shape) < 2:
        raise _unsure("it is not a volume")
    if max(volume.grid.spacing_mm) > 8:
        raise _unsure("its slices lie more than 8 mm apart")
    outline = _outline(volume)
    try:
        head = _head(outline, brain)
        _refuse_doubtful(head)
        face = _face(head)
    except PrivacyError:
        head, face = _by_nose(outline, brain)
    mask = LabelMap(face, head.grid, Labels.of({"face": 1}))
    try:
        found = resample(mask, volume.grid)
        return found if brain is None else _without(found, resample(brain, volume.grid))
    except GeometryError:
        raise _unsure("its grid is not one that can be followed") from None


def _without(face: LabelMap, brain: LabelMap) -> LabelMap:
    """The face without the brain: what was worked out coarsely may reach over the brain's edge by a voxel."""
    both = (face.array > 0) & (brain.array > 0)
    if float(both.sum()) * face.grid.voxel_volume_mm3 / 1000 > _MOST_SPARED_ML:
        raise _unsure("the brain that was given reaches the face")
    return LabelMap(np.where(both, 0, face.array), face.grid, face.labels)


@dataclass(frozen=True, eq=False)
class _Outline:
    """The inside of a head on the working grid, without and with what is dark, and its values there."""

    grid: Grid
    inside: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    values: NDArray[Any]


def _outline(volume: Volume) -> _Outline:
    from scipy.ndimage import binary_opening

    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in volume.grid.shape], indexing="ij")).reshape(3, -1).T
    points = volume.grid.to_points(corners)
    low, high = points.min(axis=0), points.max(axis=0)
    shape = tuple(int(np.ceil(length / _STEP_MM)) for length in high - low)
    if min(shape) * _STEP_MM < 90 or max(shape) * _STEP_MM > 700:
        raise _unsure("it is smaller than a head, or much larger")
    grid = Grid.from_spacing(shape, (_STEP_MM,) * 3, origin_mm=tuple(low + _STEP_MM / 2))
    first = volume.with_array(volume.array[:1].astype(np.float32))
    coarse = resample(first, grid, antialias=True, fill=float(first.array.min()))
    is_ct = _is_ct(volume)
    values = coarse.array[0]
    above = np.asarray(values > (_AIR_HU if is_ct else _background(values)), np.bool_)
    inside = binary_opening(above, iterations=1)
    inside = _largest(inside)
    if inside.sum() * grid.voxel_volume_mm3 < 1e6:
        raise _unsure("it holds nothing that looks like a head")
    # Of a CT only the soft tissue: bone is then as far from the brain's grey as fat is in MR.
    return _Outline(grid, inside, _whole(above), np.clip(values, 0, 100) if is_ct else values)


def _by_nose(outline: _Outline, brain: LabelMap | None) -> tuple[_Head, NDArray[np.bool_]]:
    """The face by the nose; a brain that is given is kept at a distance, and must not be where the face is."""
    from scipy.ndimage import distance_transform_edt

    grid, inside = outline.grid, outline.whole
    top = int(np.flatnonzero(inside.any(axis=(0, 1))).max())
    if inside[:, :, top].sum() * _STEP_MM**2 > _CAP_MM2:
        raise _unsure("the top of the head is cut off")
    if inside.sum() * grid.voxel_volume_mm3 / 1000 < _LEAST_HEAD_ML:
        raise _unsure("it is smaller than a head with its skin, as if that had been removed")
    face = face_by_nose(inside, step_mm=_STEP_MM)
    if isinstance(face, str):
        raise _unsure(face)
    taken_ml = float((face & inside).sum()) * grid.voxel_volume_mm3 / 1000
    if taken_ml < _LEAST_FACE_ML:
        raise _unsure("there is no face where it should be; it may have been removed, or lies outside the image")
    near = np.zeros(inside.shape, np.bool_)
    if brain is not None:
        there = resample(brain, grid).array > 0
        if not there.any():
            raise _unsure("the brain that was given lies elsewhere")
        near = np.asarray(distance_transform_edt(~there, sampling=_STEP_MM) <= _NEAR_BRAIN_MM, np.bool_)
        if float((face & near).sum()) * grid.voxel_volume_mm3 / 1000 > _MOST_SPARED_ML:
            raise _unsure("the brain that was given reaches the face")
    return _Head(grid, inside, near, near), face & ~near


def _whole(above: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The head with its bones and airways, which are as dark as air: thin skin over dark bone must not get lost.

    What is dark is closed over up to 12 mm and filled in each plane across the body; then what is thin goes.
    """
    from scipy.ndimage import binary_closing, binary_fill_holes, binary_opening

    wide = np.pad(above, 3)
    closed = np.asarray(binary_closing(wide, iterations=2), np.bool_)
    for height in range(closed.shape[2]):
        closed[:, :, height] = binary_fill_holes(closed[:, :, height])
    opened = binary_opening(closed[3:-3, 3:-3, 3:-3], iterations=1)
    return _largest(np.asarray(opened, np.bool_))


def _head(outline: _Outline, given: LabelMap | None) -> _Head:
    from scipy.ndimage import distance_transform_edt

    grid, inside, shape = outline.grid, outline.inside, outline.inside.shape
    top = int(np.flatnonzero(inside.any(axis=(0, 1))).max())
    bottom = max(0, top - round(_UPPER_HEAD_MM / _STEP_MM))
    upper = grid.crop((0, 0, bottom), (*shape[:2], shape[2] - bottom))
    brain = np.zeros(shape, np.bool_)
    if given is None:
        seen = Volume(outline.values[None, :, :, bottom:], upper)
        brain[:, :, bottom:] = brain_mask(seen, erosion_mm=_EROSION_MM).array > 0
    else:
        brain[:, :, bottom:] = resample(given, grid).array[:, :, bottom:] > 0
    if brain.sum() < 100:
        raise _unsure("no brain was found in it")
    hull = np.asarray(distance_transform_edt(~_hull(brain), sampling=_STEP_MM) <= _GUARD_MM, np.bool_)
    return _Head(grid, inside, brain, hull)


def _refuse_doubtful(head: _Head) -> None:
    """Hold what was found against what a head is; every doubt ends in a refusal."""
    sizes = [(np.ptp(where) + 1) * _STEP_MM for where in np.nonzero(head.brain)]
    volume_ml = float(head.brain.sum()) * head.grid.voxel_volume_mm3 / 1000
    if not _BRAIN_ML[0] <= volume_ml <= _BRAIN_ML[1]:
        raise _unsure(f"what looks like the brain has {volume_ml:.0f} ml, which no brain has")
    for size, (least, most), along in zip(sizes, _BRAIN_MM, ("wide", "long", "high"), strict=True):
        if not least <= size <= most:
            raise _unsure(f"what looks like the brain is {size:.0f} mm {along}, which no brain is")
    x, y, z = np.nonzero(head.brain)
    middle = int(np.median(x))
    # The vertex is in view, with air above it: the last slice of the head is a small cap.
    above = head.inside[:, :, -1].sum() * _STEP_MM**2
    if above > _CAP_MM2:
        raise _unsure("the top of the head is cut off")
    near = slice(max(middle - 5, 0), middle + 6)
    front = np.flatnonzero(head.inside[near, :, z[y == y.min()].min() : z[y == y.min()].max() + 1].any(axis=(0, 2)))
    covers = {
        "before": (y.min() - front.min()) * _STEP_MM,
        "above": (np.flatnonzero(head.inside.any(axis=(0, 1))).max() - z.max()) * _STEP_MM,
    }
    for place, cover in covers.items():
        if not _COVER_MM[0] <= cover <= _COVER_MM[1]:
            raise _unsure(f"skin and skull {place} the brain are {cover:.0f} mm thick, which they are in no head")
    if abs(_tilt(head.brain)) > _MOST_TILT_DEGREES:
        raise _unsure("the head is tilted far forwards or back")
    length = np.ptp(y)
    in_front = z[y <= y.min() + 0.1 * length].min()  # the temporal poles lie farther back
    behind = z[(y >= y.min() + 0.5 * length) & (y <= y.min() + 0.85 * length)].min()
    if (in_front - behind) * _STEP_MM < _LEAST_SLOPE_MM:
        raise _unsure("the base of the brain does not fall towards the back, as if the image were turned or tilted")


def _face(head: _Head) -> NDArray[np.bool_]:
    x, y, z = np.nonzero(head.brain)
    turn = np.radians(_tilt(head.brain))
    back, up = _tilted(y, z, turn)
    pole = float(back.min())
    pole_up = float(up[back < pole + _STEP_MM].mean())
    base = float(up[back <= pole + 15].min())
    if not _LOBE_MM[0] <= pole_up - base <= _LOBE_MM[1]:
        raise _unsure("the frontal lobes do not look like any")
    i, j, k = np.ogrid[tuple(slice(0, n) for n in head.inside.shape)]
    back, up = _tilted(j, k, turn)
    beside = np.abs(i - int(np.median(x))) * _STEP_MM
    # The skin of each line from front to back; where there is none, the line goes on to the end.
    skin = np.where(head.inside.any(axis=1), head.inside.argmax(axis=1), 0)[:, None, :]
    behind_skin = (beside < 0.6 * _HALF_FACE_MM) & ((j - skin) * _STEP_MM < _SKIN_DEPTH_MM)
    behind_skin = behind_skin & (back < pole + _FARTHEST_MM)
    brows = max(base + _ABOVE_ORBIT_MM, pole_up - _BELOW_POLE_MM)
    region = (up < brows) & (beside < _HALF_FACE_MM)
    below = region & ~head.hull
    # No brain lies just below the skin of a face: where its guard does, the mask of the brain reaches into an orbit.
    shallow = head.inside & ((j - skin) * _STEP_MM < _SHALLOW_MM) & (beside < _EYES_MM)
    spared_ml = float((region & shallow & head.hull).sum()) * head.grid.voxel_volume_mm3 / 1000
    if spared_ml > _MOST_SPARED_ML:
        raise _unsure("what looks like the brain reaches the skin of the face")
    front = below & (back < pole + _FACE_DEPTH_MM)
    if float((front & head.inside).sum()) * head.grid.voxel_volume_mm3 / 1000 < _LEAST_FACE_ML:
        raise _unsure("there is no face where it should be; it may have been removed, or lies outside the image")
    face = np.asarray(front | (below & behind_skin), np.bool_)
    # A nose that is still there stands out from the forehead.
    back = np.broadcast_to(back, face.shape)
    forehead = head.inside & (beside < 40) & (np.abs(up - pole_up) < 2 * _STEP_MM)
    left = head.inside & ~face & (beside < 40)
    if not forehead.any() or back[left].min() < back[forehead].min() - _MOST_BROW_MM:
        raise _unsure("something stands out from the forehead where the face should have gone")
    return face


def _tilt(brain: NDArray[np.bool_]) -> float:
    """Degrees by which a head is turned about the axis from ear to ear; negative when the nose points up."""
    places = np.argwhere(brain)[:, 1:].astype(np.float64)
    places -= places.mean(axis=0)
    _, vectors = np.linalg.eigh(places.T @ places)
    long_axis = vectors[:, 1] * np.sign(vectors[0, 1])
    return float(np.degrees(np.arctan2(long_axis[1], long_axis[0]))) - _LEVEL_DEGREES


def _tilted(j: NDArray[Any], k: NDArray[Any], turn: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """How far back and how far up a place lies in a head that is held straight, mm."""
    back = (np.cos(turn) * j + np.sin(turn) * k) * _STEP_MM
    up = (np.cos(turn) * k - np.sin(turn) * j) * _STEP_MM
    return back, up


def _is_ct(volume: Volume) -> bool:
    if volume.meta.modality != "OT":
        return volume.meta.modality == "CT"
    # Files without a word for it: only CT has air a thousand below its water.
    return bool(np.percentile(volume.array[0], 5) < -500)


def _background(values: NDArray[Any]) -> float:
    """Half of Otsu's threshold between the noise of the air and tissue, of which some is dark."""
    low, high = (float(end) for end in np.percentile(values, (1, 99)))
    if high <= low:
        return high
    counts, edges = np.histogram(np.clip(values, low, high), 256)
    weights = counts.cumsum() / max(counts.sum(), 1)
    means = (counts * (edges[:-1] + edges[1:]) / 2).cumsum() / max(counts.sum(), 1)
    between = (means[-1] * weights - means) ** 2 / np.maximum(weights * (1 - weights), 1e-9)
    return low + 0.5 * (float(edges[between.argmax() + 1]) - low)


def _largest(inside: NDArray[Any]) -> NDArray[np.bool_]:
    pieces, sizes = label_components(np.asarray(inside, np.bool_), connectivity=1)
    return np.asarray(pieces == 1 + int(sizes.argmax()) if sizes.size else inside, np.bool_)


def _hull(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The voxels in the convex hull of a mask: sulci and thin gyri that the mask lacks are in it."""
    from scipy.spatial import ConvexHull

    surface = np.argwhere(inside)
    hull = ConvexHull(surface)
    low, high = surface.min(axis=0), surface.max(axis=0) + 1
    box = np.stack(np.meshgrid(*[np.arange(a, b) for a, b in zip(low, high, strict=True)], indexing="ij"), axis=-1)
    made = np.ones(box.shape[:3], np.bool_)
    for plane in hull.equations:
        made &= box @ plane[:3] + plane[3] <= 1e-6
    whole = np.zeros(inside.shape, np.bool_)
    whole[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = made
    return whole


def _unsure(why: str) -> PrivacyError:
    return PrivacyError(f"the image cannot be defaced: {why}")
