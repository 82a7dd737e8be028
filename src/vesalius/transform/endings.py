"""How parts of a shape end beyond their last slice: as a ball or an ellipsoid would, or bluntly half way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_BLUNT = 1.25  # gaps: what would end later than this, and is not in the next slice, gives no hint where it ends


@dataclass(frozen=True, eq=False)
class Endings:
    """The parts of a slice that are not in the next one.

    A disc of their size has the radius √(m² + s z - c z²) at a height z beyond the slice; the share that it loses, of
    the thickness, is taken off a part all around.

    Args:
        depth: ``(i, j)``: of each point within the parts' outlines, mm; negative outside.
        parts: ``(i, j)``: the number of each part, from 1.
        thickest_mm: ``(n,)``: the greatest depth of each part.
        scale_mm: ``(n,)``: that of the part whose profile it follows.
        square_mm2, slope_mm, bend: ``(n,)``: m², s and c.
        height_mm: ``(n,)``: where each ends.
        stretch: ``(n,)``: by how much the profile is longer than that.
        blunt: ``(n,)``: which end with a rounded edge instead.
    """

    depth: NDArray[np.float32]
    parts: NDArray[np.int32]
    thickest_mm: NDArray[np.float64]
    scale_mm: NDArray[np.float64]
    square_mm2: NDArray[np.float64]
    slope_mm: NDArray[np.float64]
    bend: NDArray[np.float64]
    height_mm: NDArray[np.float64]
    stretch: NDArray[np.float64]
    blunt: NDArray[np.bool_]

    def at(self, height_mm: float) -> NDArray[np.float32]:
        """The depth of each point at a height beyond the slice."""
        gone = self._gone(height_mm)
        table = np.concatenate([[gone.min()], gone]).astype(np.float32)
        left: NDArray[np.float32] = self.depth - table[self.parts]
        return left

    def _gone(self, height_mm: float) -> NDArray[np.float64]:
        rounding = np.minimum(self.height_mm, self.scale_mm)
        risen = np.clip(height_mm - (self.height_mm - rounding), 0, rounding)
        edge = rounding - np.sqrt(rounding**2 - risen**2)
        z = height_mm * self.stretch
        square = np.clip(self.square_mm2 + self.slope_mm * z - self.bend * z**2, 0, None)
        round_ = self.scale_mm * (1 - np.sqrt(square / self.square_mm2))
        past = self.thickest_mm + height_mm - self.height_mm
        found: NDArray[np.float64] = np.where(self.height_mm <= height_mm, past, np.where(self.blunt, edge, round_))
        return found

    def cropped(self, box: tuple[slice, ...]) -> Endings:
        """The same in a part of the slice."""
        return replace(self, depth=self.depth[box], parts=self.parts[box])

    def within(self, around: Endings) -> Endings:
        """Let parts that lie within parts of another shape that end there, too, end like these."""
        both = self.parts > 0
        hosts = np.zeros(len(self.height_mm) + 1, np.int64)
        hosts[self.parts[both]] = around.parts[both]
        return self._following(hosts[1:], around)

    def led_by(self, members: Sequence[tuple[Endings, tuple[slice, ...]]]) -> Endings:
        """Let each part end like the largest of its members.

        Args:
            members: Endings of shapes that make up this one, and the boxes in which they lie.
        """
        found, largest = self, np.zeros(len(self.height_mm), np.int64)
        for member, box in members:
            here = self.parts[box]
            both = (here > 0) & (member.parts > 0)
            pairs, sizes = np.unique(np.stack([here[both], member.parts[both]]), axis=1, return_counts=True)
            order = np.argsort(sizes, kind="stable")  # the largest last: of several, numpy keeps that
            best, size = np.zeros_like(largest), np.zeros_like(largest)
            best[pairs[0, order] - 1], size[pairs[0, order] - 1] = pairs[1, order], sizes[order]
            found = found._following(np.where(size > largest, best, 0), member)
            largest = np.maximum(largest, size)
        return found

    def _following(self, leaders: NDArray[np.int64], other: Endings) -> Endings:
        """Parts with the profile of those parts of others whose numbers are given; 0: they keep theirs."""
        led, numbers = leaders > 0, np.maximum(leaders - 1, 0)
        names = ("scale_mm", "square_mm2", "slope_mm", "bend", "height_mm", "stretch", "blunt")
        return replace(
            self, **{name: np.where(led, getattr(other, name)[numbers], getattr(self, name)) for name in names}
        )


def endings(
    ending: NDArray[np.bool_],
    depth: NDArray[np.float32],
    before: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
    away_mm: Sequence[float] | NDArray[np.float64],
    gap_mm: float,
    pixel_mm2: float,
) -> Endings:
    """Estimate how parts of a slice end before the next one.

    Three slices tell an ellipsoid (the squared radius is a parabola of the height), two a ball, one a ball around its
    own slice. What would reach the next slice ends bluntly half way to it, since nothing tells where.

    Args:
        ending: ``(i, j)``: the parts that are not in the next slice; not empty.
        depth: Of each point within them, mm.
        before: The slices that lead away from the gap, the nearest first; two are looked at.
        away_mm: How far each of these is from the slice.
        gap_mm: To the next slice.
        pixel_mm2: The area of a pixel.
    """
    from scipy.ndimage import label, maximum

    parts, count = label(ending)
    numbers = np.arange(1, count + 1)
    thickest = np.asarray(maximum(depth, parts, numbers), np.float64)
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:] * pixel_mm2
    square = np.minimum(thickest**2, area / np.pi)
    first, second = _areas(parts, count, before[:2])
    here = len(away_mm)
    a = float(away_mm[0]) if here > 0 else 1.0
    b = float(away_mm[1]) if here > 1 else 2 * a
    one, two = square * (first * pixel_mm2) / area, square * (second * pixel_mm2) / area
    # The parabola through (0, square), (-a, one) and (-b, two).
    bend = -((two - square) / b - (one - square) / a) / (b - a)
    bend = np.where(second > 0, np.clip(bend, 0, None), np.where(2 * np.sqrt(square) >= a, 1.0, 0.0))
    slope = (square - one) / a - bend * a
    alone = first == 0
    bend, slope = np.where(alone, 1.0, bend), np.where(alone, 0.0, slope)
    with np.errstate(divide="ignore", invalid="ignore"):
        height = np.where(
            bend > 0,
            (slope + np.sqrt(slope**2 + 4 * bend * square)) / (2 * np.where(bend > 0, bend, 1)),
            np.where(slope < 0, square / -slope, np.inf),
        )
    blunt = height >= _BLUNT * gap_mm
    ends = np.where(blunt, gap_mm / 2, np.minimum(height, gap_mm))
    stretch = np.where(blunt, 1.0, height / ends)
    return Endings(depth, parts, thickest, thickest, square, slope, bend, ends, stretch, blunt)


def _areas(
    parts: NDArray[np.int32], count: int, before: Sequence[NDArray[np.bool_]] | NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The pixels of the pieces that each part continues in the slices before, and of those which these continue."""
    from scipy.ndimage import label

    found: list[NDArray[np.float64]] = [np.zeros(count), np.zeros(count)]
    groups, last = np.stack([np.arange(1, count + 1)] * 2), parts  # pairs: a part and a piece that belongs to it
    for level, shape in enumerate(before):
        pieces, pieces_count = label(shape)
        touch = (last > 0) & (pieces > 0)
        links = np.unique(np.stack([last[touch], pieces[touch]]), axis=1)
        if not links.size:
            break
        # A row of the table for each piece of the slice before: which pieces of this one it touches.
        order = np.argsort(links[0], kind="stable")
        links = links[:, order]
        starts = np.searchsorted(links[0], groups[1], side="left")
        stops = np.searchsorted(links[0], groups[1], side="right")
        owners = np.repeat(groups[0], stops - starts)
        places = np.concatenate([np.arange(x, y) for x, y in zip(starts, stops, strict=True)])
        groups = np.unique(np.stack([owners, links[1][places]]), axis=1)
        sizes = np.bincount(pieces.ravel(), minlength=pieces_count + 1)
        found[level] = np.bincount(groups[0] - 1, sizes[groups[1]], count).astype(np.float64)
        last = pieces
    return found[0], found[1]
