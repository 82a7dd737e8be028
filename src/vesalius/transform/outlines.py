"""How a shape in one slice turns into that in the next: by the depth of each point within its outline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vesalius.transform.endings import Endings, endings

Shape = NDArray[np.bool_]
Depth = NDArray[np.float32]

_BENT = 1.0  # pixels: how far an outline may lie from the straight line between two slices


def depth(shape: Shape, spacing_mm: tuple[float, float]) -> Depth:
    """How deep each point lies within a shape's outline, mm; negative outside.

    The outline runs half a (finer) pixel beyond the centres of the outer pixels.

    Args:
        shape: ``(i, j)``, neither empty nor full.
        spacing_mm: Of the pixels.

    Example:
        >>> depth(np.array([[False, True, True, True, False]]), (1.0, 1.0)).tolist()
        [[-0.5, 0.5, 1.5, 0.5, -0.5]]
    """
    from scipy.ndimage import distance_transform_edt

    half = min(spacing_mm) / 2
    found: Depth = (distance_transform_edt(shape, sampling=spacing_mm) - half).astype(np.float32)
    found[~shape] = half - distance_transform_edt(~shape, sampling=spacing_mm)[~shape]
    return found


@dataclass(frozen=True, eq=False)
class Passage:
    """A shape between two slices.

    Args:
        outer: The depths in both slices of the parts that go on, with holes filled; None: no part does.
        holes: The depths in those of the holes that go on, too.
        ends: Parts of the lower slice that end, and of the upper one that begin, here.
        hole_ends: The same of the holes, where the shape closes above or below them.
        gap_mm: From slice to slice.
    """

    outer: tuple[Depth, Depth] | None
    holes: tuple[Depth, Depth] | None
    ends: tuple[Endings | None, Endings | None]
    hole_ends: tuple[Endings | None, Endings | None]
    gap_mm: float

    def cropped(self, box: tuple[slice, ...]) -> Passage:
        """The same in a part of the slices."""
        outer = None if self.outer is None else (self.outer[0][box], self.outer[1][box])
        holes = None if self.holes is None else (self.holes[0][box], self.holes[1][box])
        ends, hole_ends = (
            tuple(None if one is None else one.cropped(box) for one in sides) for sides in (self.ends, self.hole_ends)
        )
        return Passage(outer, holes, (ends[0], ends[1]), (hole_ends[0], hole_ends[1]), self.gap_mm)


def passages(
    stack: Shape,
    at_mm: NDArray[np.float64],
    spacing_mm: tuple[float, float],
    around: Sequence[Passage] | None = None,
) -> Iterator[Passage]:
    """Follow a shape from slice to slice.

    Args:
        stack: ``(slices, i, j)``.
        at_mm: Where each slice lies, rising.
        spacing_mm: Of the pixels.
        around: Those of a shape within which this one lies: what ends with it ends as it does.

    Yields:
        One for each two neighbouring slices.
    """
    held: list[tuple[Shape, Depth]] = []  # the last shapes whose depths are known: mostly the next gap wants the same

    def known(shape: Shape, gap_mm: float) -> Depth:
        for other, its in held:
            if np.array_equal(shape, other):
                return its
        full = bool(shape.all())
        # Nobody knows how deep a slice is that is full; half of the gap makes what is not full in the next one shrink.
        made = np.full(shape.shape, gap_mm / 2, np.float32) if full else depth(shape, spacing_mm)
        held.append((shape, made))
        del held[:-4]
        return made

    def ends_of(parts: tuple[Shape, Shape], slices: Sequence[Shape] | Shape, k: int) -> list[Endings | None]:
        sides = ((slices[:k][::-1], at_mm[k] - at_mm[:k][::-1]), (slices[k + 2 :], at_mm[k + 2 :] - at_mm[k + 1]))
        gap, pixel = float(at_mm[k + 1] - at_mm[k]), spacing_mm[0] * spacing_mm[1]
        return [
            endings(part, known(part, gap), before, away, gap, pixel) if part.any() else None
            for part, (before, away) in zip(parts, sides, strict=True)
        ]

    enclosed = [_enclosed(one) for one in stack]
    for k, (low, high) in enumerate(pairwise(stack)):
        gap = float(at_mm[k + 1] - at_mm[k])
        if not low.any() and not high.any():
            yield Passage(None, None, (None, None), (None, None), gap)
            continue
        # Rings may lie one within the other: filled they overlap.
        full = low | enclosed[k], high | enclosed[k + 1]
        going, coming = _matched(*full)
        ends = ends_of((low & ~going, high & ~coming), stack, k)
        if around is not None:
            pairs = zip(ends, around[k].ends, strict=True)
            ends = [its if its is None or host is None else its.within(host) for its, host in pairs]
        if not going.any():
            yield Passage(None, None, (ends[0], ends[1]), (None, None), gap)
            continue
        inner = enclosed[k] & going, enclosed[k + 1] & coming
        on = _matched(*inner)
        closing = _covered(inner[0] & ~on[0], full[1]), _covered(inner[1] & ~on[1], full[0])
        closed = ends_of(closing, enclosed, k)
        outer = known(low & going | on[0] | closing[0], gap), known(high & coming | on[1] | closing[1], gap)
        holes = (known(on[0], gap), known(on[1], gap)) if on[0].any() else None
        yield Passage(outer, holes, (ends[0], ends[1]), (closed[0], closed[1]), gap)


def depths_at(shape: Sequence[Passage], k: int, share: float, pixel_mm: float) -> Depth | None:
    """How deep each point lies in a shape between two slices.

    Args:
        shape: All its passages.
        k: Which of them.
        share: Where between the slices, 0 … 1.
        pixel_mm: The finer spacing of the pixels.

    Returns:
        The depth, mm; None where the shape is in neither slice.
    """
    here = shape[k]
    before = shape[k - 1] if k else None
    after = shape[k + 1] if k + 1 < len(shape) else None
    found: Depth | None = None
    if here.outer is not None:
        sides = [one.outer if one is not None else None for one in (before, after)]
        found = _between(sides[0], here.outer, sides[1], (before, here, after), share, pixel_mm)
        hole = None
        if here.holes is not None:
            sides = [one.holes if one is not None else None for one in (before, after)]
            hole = _between(sides[0], here.holes, sides[1], (before, here, after), share, pixel_mm)
        hole = _with_ends(hole, here.hole_ends, here.gap_mm, share)
        found = found if hole is None else np.minimum(found, -hole)
    return _with_ends(found, here.ends, here.gap_mm, share)


def _with_ends(
    found: Depth | None, ends: tuple[Endings | None, Endings | None], gap_mm: float, share: float
) -> Depth | None:
    for ending, height in zip(ends, (share * gap_mm, (1 - share) * gap_mm), strict=True):
        if ending is not None:
            end = ending.at(height)
            found = end if found is None else np.maximum(found, end)
    return found


def _between(
    before: tuple[Depth, Depth] | None,
    here: tuple[Depth, Depth],
    after: tuple[Depth, Depth] | None,
    passages_: tuple[Passage | None, Passage, Passage | None],
    share: float,
    pixel_mm: float,
) -> Depth:
    """The depth along a cubic through the slices, which may leave the straight line by a fraction of a pixel."""
    low, high = here
    t = np.float32(share)
    straight: Depth = low + (high - low) * t
    if share in (0.0, 1.0) or (before is None and after is None):
        return straight
    gap = passages_[1].gap_mm
    slope = (high - low) / np.float32(gap)
    slopes = [
        None if side is None or one is None else (side[1] - side[0]) / np.float32(one.gap_mm)
        for side, one in ((before, passages_[0]), (after, passages_[2]))
    ]
    # How much steeper than the straight line the curve begins and ends: the mean with the neighbour's slope, and where
    # there is no neighbour as much as a parabola does.
    begins = (slopes[0] - slope) / 2 if slopes[0] is not None else None
    ends = (slopes[1] - slope) / 2 if slopes[1] is not None else None
    if begins is None:
        assert ends is not None
        begins = -ends
    elif ends is None:
        ends = -begins
    bend = np.float32(gap) * t * (1 - t) * ((1 - t) * begins - t * ends)
    limit = np.float32(_BENT * pixel_mm)
    return straight + np.clip(bend, -limit, limit)


def _matched(low: Shape, high: Shape) -> tuple[Shape, Shape]:
    """The pieces of two slices that lie over a piece of the other one."""
    both = low & high
    if not both.any():
        return np.zeros_like(low), np.zeros_like(high)
    return _pieces_at(low, both), _pieces_at(high, both)


def _pieces_at(shape: Shape, places: Shape) -> Shape:
    from scipy.ndimage import label

    pieces, count = label(shape)
    chosen = np.zeros(count + 1, np.bool_)
    chosen[pieces[places]] = True
    chosen[0] = False
    return shape if chosen[1:].all() else chosen[pieces]


def _covered(holes: Shape, by: Shape) -> Shape:
    """Those of some holes over which mostly something lies: they close, while others open to the side."""
    from scipy.ndimage import label

    if not holes.any():
        return holes
    pieces, count = label(holes, np.ones((3, 3)))
    covered = np.bincount(pieces[by], minlength=count + 1) * 2 > np.bincount(pieces.ravel(), minlength=count + 1)
    covered[0] = False
    chosen: Shape = covered[pieces]
    return chosen


def _enclosed(shape: Shape) -> Shape:
    """What a shape encloses without being of it; nothing that reaches the image's border."""
    from scipy.ndimage import label

    pieces, count = label(~shape, np.ones((3, 3)))
    open_ = np.zeros(count + 1, np.bool_)
    for side in (pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]):
        open_[side] = True
    open_[0] = True
    closed: Shape = ~open_[pieces]
    return closed
