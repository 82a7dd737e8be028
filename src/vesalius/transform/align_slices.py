"""Slices that lie askew: how each is shifted or turned against its neighbours, and what of that is anatomy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.transform.outlines import depth

_BAND = 6.0  # pixels on both sides of an outline that tell where it lies
_MOST_LABELS = 4  # the largest ones; more tell little more
_MOST_PIXELS = 256  # on a side; larger pictures are looked at more coarsely
_ROUNDS = 12  # of Gauss and Newton
_ALIKE = 50.0  # neighbouring pixels that differ for the same reason
_TYPICAL = np.asarray([8.0, 8.0, np.radians(5.0)])  # shift, pixels, and turn of a slice against its neighbour
_REACH = (1, 2)  # which neighbours a slice is measured against
_STIFFNESS = np.geomspace(1e-2, 1e5, 71)  # of the smooth curve, from which the likeliest is taken
_STILL = 0.35  # pixels: shifts that are less than this for a typical slice are how shapes are drawn, and stay


@dataclass(frozen=True, eq=False)
class Jitter:
    """How the slices of a stack lie askew.

    Args:
        shifts: ``(slices, 2)``: how far the content of each is shifted on i and j, in pixels.
        turns: ``(slices,)``: by how much it is turned about the middle, from i to j, in radians.
        middle: The point (i, j) about which it is turned.
    """

    shifts: NDArray[np.float64]
    turns: NDArray[np.float64]
    middle: tuple[float, float]

    @property
    def is_still(self) -> bool:
        """Whether nothing is to be moved."""
        return not self.shifts.any() and not self.turns.any()

    def matrix(self, k: int) -> NDArray[np.float64]:
        """``(2, 3)``: from a point of a slice put right to where it was."""
        c, s = np.cos(self.turns[k]), np.sin(self.turns[k])
        turn = np.asarray([[c, -s], [s, c]])
        middle = np.asarray(self.middle)
        return np.column_stack([turn, middle + self.shifts[k] - turn @ middle])


def find_jitter(channels: Sequence[NDArray[np.float32] | None], at: Sequence[float], *, turned: bool = False) -> Jitter:
    """Find how slices are shifted, and turned, against their neighbours, and leave to the anatomy what is smooth.

    Each slice is laid on the next and on the one after that; from the shifts that fit best follows the path that the
    content takes through the stack. A smooth curve through it is anatomy: a rod that stands askew stays askew, and a
    vessel that bends keeps its bends. What is left, from slice to slice, is jitter. How stiff the curve is follows from
    the path itself, as the likeliest mixture of bends and jitter. A jitter's own slow part cannot be told from anatomy,
    and stays. Where a typical slice is off by less than a third of a pixel, nothing is moved.

    Args:
        channels: Of each slice ``(c, i, j)``, pictures that the content is recognised by (`outline_channels`,
            `image_channels`): the first tells roughly where it lies, the others where exactly; None: it shows nothing,
            and is not moved.
        at: The place of each slice, rising, in slices.
        turned: Whether to look for rotations, too.

    Returns:
        The jitter.

    Raises:
        DataError: Fewer than three slices show anything.

    Source: the measurement: B. D. Lucas and T. Kanade, IJCAI 1981, 674, begun at the peak of the correlation; the
        curve: E. T. Whittaker, Proc. Edinburgh Math. Soc. 41 (1922) 63, doi 10.1017/S0013091500077853, on second
        differences, its stiffness by restricted maximum likelihood;
        that a smooth part of the path is anatomy: as the "banana problem" of serial sections, G. Malandain et al.,
        NeuroImage 23 (2004) 111, doi 10.1016/j.neuroimage.2004.04.038.
    """
    shown = [k for k, one in enumerate(channels) if one is not None]
    if len(shown) < 3:
        raise DataError(f"to align slices takes at least three that show something; there are {len(shown)}")
    pictures = [one for one in channels if one is not None]
    pictures, coarse, low = _reduced(pictures)
    middle = _middle(pictures)
    places = np.asarray(at, np.float64)[shown]
    total = np.zeros((len(shown), 3))
    for _ in range(2):  # the second time the slices lie nearly right, and turns do not mix with shifts
        measured = _path(pictures, total, middle, turned)
        total += _rough(measured, places)
    # What a turn moves half way to the border counts like a shift.
    moved = np.hypot(total[:, 0], total[:, 1]) + np.abs(total[:, 2]) * min(middle) / 2
    if np.median(moved) * coarse < _STILL:
        total[:] = 0
    shifts, turns = np.zeros((len(channels), 2)), np.zeros(len(channels))
    shifts[shown], turns[shown] = total[:, :2] * coarse, total[:, 2]
    return Jitter(shifts, turns, (middle[0] * coarse + low[0], middle[1] * coarse + low[1]))


def outline_channels(labels: NDArray[np.integer], values: Sequence[int]) -> NDArray[np.float32] | None:
    """What a label slice is recognised by: how deep each point lies within all structures, and near outlines in each.

    Args:
        labels: ``(i, j)``.
        values: The structures that the whole stack is judged by.
    """
    inside = np.isin(labels, list(values))
    if not inside.any():
        return None
    made = [inside, *(labels == value for value in values)] if len(values) > 1 else [inside]
    # A plateau fits anywhere in a larger one; the depth itself fits best in the middle.
    deep = np.full(inside.shape, _BAND, np.float32) if inside.all() else np.maximum(depth(inside, (1.0, 1.0)), 0)
    return np.stack([deep, *(_near(one) for one in made)])


def chosen_values(stack: NDArray[np.integer], values: Sequence[int]) -> list[int]:
    """The largest structures of a stack, at most four: those that tell where slices lie."""
    sizes = {int(value): int(np.count_nonzero(stack == value)) for value in values}
    return sorted(sorted(sizes, key=lambda value: -sizes[value])[:_MOST_LABELS])


def image_channels(image: NDArray[np.floating], smoothing: float = 2.0) -> NDArray[np.float32] | None:
    """What a slice's picture is recognised by: its channels, smoothed, with the same mean and contrast in every slice.

    Args:
        image: ``(c, i, j)``.
        smoothing: The standard deviation of the Gaussian, in pixels.
    """
    from scipy.ndimage import gaussian_filter

    made = []
    for channel in image:
        smooth = gaussian_filter(channel.astype(np.float32), smoothing)
        if smooth.std() > 0:
            made.append((smooth - smooth.mean()) / smooth.std())
        else:
            made.append(np.zeros_like(smooth))
    return np.stack([np.mean(made, axis=0), *made]) if any(one.any() for one in made) else None


def move_labels(labels: NDArray[np.integer], matrix: NDArray[np.float64]) -> NDArray[np.integer]:
    """A label slice put right: each point gets the label that has most of the four pixels around its source."""
    from scipy.ndimage import affine_transform

    best = np.full(labels.shape, -1.0, np.float32)
    made = np.zeros_like(labels)
    for value in np.unique(labels):
        share = affine_transform(
            (labels == value).astype(np.float32), matrix[:, :2], matrix[:, 2], order=1, cval=float(value == 0)
        )
        better = share > best
        best[better], made[better] = share[better], value
    return made


def move_image(image: NDArray[np.floating], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """A slice's picture ``(c, i, j)`` put right, linearly; its border goes on beyond it."""
    from scipy.ndimage import affine_transform

    return np.stack(
        [
            affine_transform(one.astype(np.float32), matrix[:, :2], matrix[:, 2], order=1, mode="nearest")
            for one in image
        ]
    )


# --- the path of the content ------------------------------------------------------------------------------------------


def _near(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    if inside.all() or not inside.any():
        return np.full(inside.shape, 2 * _BAND if inside.all() else 0, np.float32)
    return np.clip(depth(inside, (1.0, 1.0)), -_BAND, _BAND) + np.float32(_BAND)


def _middle(pictures: Sequence[NDArray[np.float32]]) -> tuple[float, float]:
    shape = pictures[0].shape[1:]
    return (shape[0] - 1) / 2, (shape[1] - 1) / 2


def _reduced(pictures: Sequence[NDArray[np.float32]]) -> tuple[list[NDArray[np.float32]], int, tuple[int, int]]:
    """The part of the pictures in which there is anything, every so many pixels; how many, and where it begins."""
    varied = np.zeros(pictures[0].shape[1:], np.bool_)
    for one in pictures:
        varied |= (one != one[:, :1, :1]).any(axis=0)
    spans = [np.flatnonzero(varied.any(axis=1 - axis)) for axis in (0, 1)]
    low = [max(int(span[0]) - int(_BAND), 0) for span in spans]
    box = tuple(slice(a, int(span[-1]) + 1 + int(_BAND)) for a, span in zip(low, spans, strict=True))
    coarse = -(-max(s.stop - s.start for s in box) // _MOST_PIXELS)
    return [one[(slice(None), *box)][:, ::coarse, ::coarse] for one in pictures], coarse, (low[0], low[1])


def _path(
    pictures: Sequence[NDArray[np.float32]], total: NDArray[np.float64], middle: tuple[float, float], turned: bool
) -> NDArray[np.float64]:
    """Where the content of each slice lies, (i, j, turn), once what is known of its jitter is taken off."""
    n = len(pictures)
    known = Jitter(total[:, :2], total[:, 2], middle)
    laid = [move_image(one, known.matrix(k)) if total[k].any() else one for k, one in enumerate(pictures)]
    rows, found = [], []
    for reach in _REACH:
        for k in range(n - reach):
            row = np.zeros(n)
            row[k + reach], row[k] = 1, -1
            rows.append(row / reach)
            found.append(_offset(laid[k], laid[k + reach], middle, turned) / reach)
    # The path as a whole may lie anywhere: its mean is 0.
    system = np.concatenate([rows, [np.ones(n)]])
    wanted = np.concatenate([found, [np.zeros(3)]])
    path = np.zeros((n, 3))
    for axis in range(2 + turned):
        weight = np.ones(len(system))
        for _ in range(6):  # pairs of slices that were laid on each other wrongly contradict the others
            root = np.sqrt(weight)
            path[:, axis] = np.linalg.lstsq(system * root[:, None], wanted[:, axis] * root, rcond=None)[0]
            weight = _huber(wanted[:, axis] - system @ path[:, axis])
    return path


def _huber(off: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of least squares by which what is far off counts less.

    Source: P. J. Huber, Ann. Math. Statist. 35 (1964) 73, doi 10.1214/aoms/1177703732; the scale is the median's.
    """
    scale = max(2 * 1.4826 * float(np.median(np.abs(off))), 1e-9)
    return np.minimum(1, scale / np.maximum(np.abs(off), 1e-12))


def _rough(path: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a path has beyond a smooth curve; single slices that are far off do not bend the curve."""
    n = len(path)
    bends = np.zeros((n - 2, n))
    for k in range(n - 2):
        a, b = places[k + 1] - places[k], places[k + 2] - places[k + 1]
        bends[k, k : k + 3] = 2 / (a * (a + b)), -2 / (a * b), 2 / (b * (a + b))
    curve = np.zeros_like(path)
    shift, turn = _stiffness(bends, path[:, :2]), _stiffness(bends, path[:, 2:])
    for axis, stiff in enumerate((shift, shift, turn)):
        weight = np.ones(n)
        for _ in range(8):
            curve[:, axis] = np.linalg.solve(np.diag(weight) + stiff * bends.T @ bends, weight * path[:, axis])
            weight = _huber(path[:, axis] - curve[:, axis])
    return path - curve


def _stiffness(bends: NDArray[np.float64], path: NDArray[np.float64]) -> float:
    """The stiffness of a curve that, with noise around it, makes a path likeliest.

    The bends of the path are Gaussian: those of the curve have the unit matrix over the stiffness for covariance, those
    of the noise ``bends bendsᵀ``; the size of both together is estimated along with it.
    """
    values, vectors = np.linalg.eigh(bends @ bends.T)
    seen = np.square(vectors.T @ bends @ path).sum(axis=1)
    if not seen.any():
        return float(_STIFFNESS[-1])
    best = []
    for stiff in _STIFFNESS:
        spread = 1 / stiff + values
        size = (seen / spread).sum() / (len(values) * path.shape[1])
        best.append(path.shape[1] * (np.log(spread).sum() + len(values) * np.log(size)))
    return float(_STIFFNESS[int(np.argmin(best))])


def _offset(
    one: NDArray[np.float32], other: NDArray[np.float32], middle: tuple[float, float], turned: bool
) -> NDArray[np.float64]:
    """By how much the content of the other lies shifted and turned against that of the one: (i, j, turn).

    Source: S. Baker and I. Matthews, IJCV 56 (2004) 221, doi 10.1023/B:VISI.0000011205.11775.fd: the slopes are those
        of the picture that stays, and so are needed once.
    """
    from scipy.ndimage import map_coordinates

    begins = {(0.0, 0.0), _peak(one[0], other[0]), _peak(one[1], other[1])}
    one, other = one[1:], other[1:]
    slopes = np.stack([np.stack(np.gradient(channel)) for channel in one])  # channel, axis, i, j
    places = np.nonzero(slopes.any(axis=(0, 1)))
    if not len(places[0]):
        return np.zeros(3)
    points = np.stack(places).astype(np.float64) - np.asarray(middle)[:, None]
    di, dj = (slopes[:, axis, places[0], places[1]] for axis in (0, 1))
    moves = np.stack([di, dj, dj * points[0] - di * points[1]] if turned else [di, dj]).reshape(2 + turned, -1)
    goal = one[:, places[0], places[1]]
    normal = moves.astype(np.float64) @ moves.T
    normal += np.eye(len(normal)) * 1e-9 * np.trace(normal)

    def off(pose: NDArray[np.float64]) -> NDArray[np.float32]:
        turn = Jitter(pose[None, :2], pose[2:], middle).matrix(0)[:, :2]
        at = turn @ points + (np.asarray(middle) + pose[:2])[:, None]
        moved = np.stack([map_coordinates(picture, at, order=1, mode="nearest") for picture in other])
        return (moved - goal).ravel()

    def cost(pose: NDArray[np.float64], left: NDArray[np.float32]) -> float:
        # Of specks, and of round or changing shapes, nobody knows where they went: then they rather stayed.
        unlikely = float(np.square(pose / _TYPICAL).sum()) * _ALIKE / len(points[0])
        return float(np.square(left).mean()) * (1 + unlikely)

    poses = [np.asarray([*start, 0.0]) for start in sorted(begins)]
    tried = [(cost(pose, off(pose)), number) for number, pose in enumerate(poses)]
    best, found = min(tried)[0], poses[min(tried)[1]]
    pose, free = found, 2 + turned
    for _ in range(_ROUNDS):
        left = off(pose)
        if cost(pose, left) < best:
            best, found = cost(pose, left), pose
        prior = float(np.square(left).mean()) * _ALIKE * len(one) / np.square(_TYPICAL[:free])
        step = np.zeros(3)
        step[:free] = np.linalg.solve(normal + np.diag(prior), moves @ left + prior * pose[:free])
        # The picture that stays, moved by the step, would fit: the other is moved by as much the other way.
        turn = Jitter(np.zeros((1, 2)), pose[2:] - step[2], middle).matrix(0)[:, :2]
        pose = np.asarray([*(pose[:2] - turn @ step[:2]), pose[2] - step[2]])
        if np.abs(step[:2]).max() < 0.01 and abs(step[2]) < 1e-4:
            break
    return pose if cost(pose, off(pose)) < best else found


def _peak(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[float, float]:
    """The whole shift at which two pictures go together best, by their correlation over all shifts."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    size = [next_fast_len(2 * n, real=True) for n in one.shape]
    both = irfft2(np.conj(rfft2(one, size)) * rfft2(other, size), size)
    at = np.unravel_index(int(np.argmax(both)), both.shape)
    shift = [int(a) if a <= s // 2 else int(a) - s for a, s in zip(at, size, strict=True)]
    return float(shift[0]), float(shift[1])
