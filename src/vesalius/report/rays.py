"""Parallel rays through a volume: what each keeps of the values that it meets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.report.scene import Scene
from vesalius.transform.resample import resample

Kind = Literal["maximum", "minimum", "mean"]
"""What is kept of the values along a ray: vessels, bone and PET by their maximum, airways by their minimum."""

_SLICES = 32  # that are laid out in memory at a time


class Kept:
    """What rays have kept so far, from near to far.

    Args:
        kind: What is kept.
        shape: How many rays there are, side by side.
        labelled: Whether they tell the first label that they meet, too.
    """

    def __init__(self, kind: Kind, shape: tuple[int, ...], *, labelled: bool) -> None:
        self._kind = kind
        self.shape = shape
        self._total = np.full(shape, {"maximum": -np.inf, "minimum": np.inf, "mean": 0.0}[kind])
        self._count = np.zeros(shape, np.int32)
        self.seen: NDArray[np.integer] | None = np.zeros(shape, np.uint16) if labelled else None

    def add(
        self,
        values: NDArray[Any],
        counted: NDArray[np.bool_] | None,
        labels: NDArray[np.integer] | None,
        window: Any = ...,
    ) -> None:
        """Add what the rays meet next.

        Args:
            values: ``(a, b, depth)``.
            counted: Of the same shape: which of them count; all when left out.
            labels: Of the same shape.
            window: Which rays it is that meet them, ``(a, b)`` of them.
        """
        where: Any = True if counted is None else counted
        total = self._total[window]
        if self._kind == "mean":
            total += values.sum(axis=2, dtype=np.float64, where=where)
        elif self._kind == "maximum":
            np.maximum(total, values.max(axis=2, where=where, initial=_end(values.dtype, lowest=True)), out=total)
        else:
            np.minimum(total, values.min(axis=2, where=where, initial=_end(values.dtype, lowest=False)), out=total)
        self._count[window] += np.int32(values.shape[2]) if counted is None else counted.sum(axis=2, dtype=np.int32)
        if labels is not None and self.seen is not None:
            shown = labels if counted is None else np.where(counted, labels, 0)
            first = np.take_along_axis(shown, (shown != 0).argmax(axis=2)[..., None], axis=2)[..., 0]
            before = self.seen[window]
            np.copyto(before, first.astype(np.uint16), where=before == 0)

    def values(self) -> NDArray[np.float64]:
        """By ray; NaN where nothing counted."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found = self._total / self._count if self._kind == "mean" else self._total
        return np.where(self._count > 0, found, np.nan)

    def warped(self, rays: Grid, pixels: Grid) -> tuple[NDArray[np.float64], NDArray[np.integer] | None]:
        """Values and labels on the pixels of a picture.

        Args:
            rays: 2D: where each of the rays meets the picture's plane.
            pixels: 2D, in the same plane.

        Returns:
            By pixel; NaN, and 0, where there is no ray.
        """
        there = self._count > 0
        found = self.values()
        if not there.any():
            nothing = np.full(pixels.shape, np.nan)
            return nothing, None if self.seen is None else np.zeros(pixels.shape, np.uint16)
        # Rays that met nothing must not shine into those beside them.
        worst = np.max if self._kind == "minimum" else np.min
        values = resample(Volume(np.where(there, found, worst(found[there]))[None], rays), pixels).array[0]
        hit = resample(LabelMap(there, rays, Labels.of({"there": 1})), pixels).array != 0
        seen = self.seen
        if seen is not None:
            known = Labels.of(value for value in np.unique(seen).tolist() if value)
            seen = resample(LabelMap(seen, rays, known), pixels).array
        return np.where(hit, values.astype(np.float64), np.nan), seen


def sheared(
    scene: Scene,
    kind: Kind,
    ray: NDArray[np.float64],
    depth: NDArray[np.float64],
    between_mm: float | None,
    within: Sequence[int] | None,
) -> tuple[Kept, NDArray[np.float64]]:
    """Shift the slices of an image so that rays that cross them aslant pass through them upright.

    Args:
        scene: 3D.
        kind: What is kept.
        ray: ``(3,)``: indices of the image that a ray passes in a millimetre, away from who looks.
        depth: ``(4,)``: of an index, mm: the sum of its products with the first three, and the last.
        between_mm: Only what is no deeper than this, and no less deep than its negative, counts.
        within: Only voxels with these labels count.

    Returns:
        What the rays kept, and ``(3, 3)``: the point, LPS, at which the ray ``(a, b)`` meets the first slice's plane is
        ``matrix @ (a, b, 1)``.
    """
    axis = int(np.abs(ray).argmax())
    p, q = (a for a in range(3) if a != axis)
    image = np.moveaxis(scene.volume.array[scene.channel], axis, 0)
    drawn = None if scene.drawn is None else np.moveaxis(scene.drawn.array, axis, 0)
    offsets = -np.outer(np.arange(len(image)), ray[[p, q]] / ray[axis])
    low = np.floor(offsets.min(axis=0) - 0.5)
    room = np.ceil(offsets.max(axis=0) + 0.5) - low + 1
    kept = Kept(kind, (image.shape[1] + int(room[0]), image.shape[2] + int(room[1])), labelled=drawn is not None)
    order = range(len(image)) if ray[axis] > 0 else range(len(image) - 1, -1, -1)
    chunks = [order[at : at + _SLICES] for at in range(0, len(order), _SLICES)]
    for chunk in chunks:
        first, last = min(chunk), max(chunk) + 1
        # Together, so that what lies side by side in memory is read once; with a rim, so that outer values go on.
        margin = ((0, 0), (1, 1), (1, 1))
        values = np.pad(np.asarray(image[first:last], np.float32, order="C"), margin, "edge")
        labels = None if drawn is None else np.pad(np.asarray(drawn[first:last], order="C"), margin, "edge")
        for index in chunk:
            place = offsets[index] - low
            whole = np.floor(place)
            shares = (place - whole).tolist()
            spans = [_span(share, n) for share, n in zip(shares, image.shape[1:], strict=True)]
            plane = _shifted(values[index - first], shares, spans)
            named = None if labels is None else _nearest(labels[index - first], shares, spans)
            counted = None if within is None or named is None else np.isin(named, within)
            if between_mm is not None:
                near = _between(depth, axis, index, (p, q), shares, spans, between_mm)
                if not near.any():
                    continue
                counted = near if counted is None else counted & near
            window = tuple(slice(int(w) + a, int(w) + b) for w, (a, b) in zip(whole, spans, strict=True))
            kept.add(
                plane[..., None],
                None if counted is None else counted[..., None],
                None if named is None else named[..., None],
                window,
            )
    affine = scene.volume.grid.affine
    start = affine[:3, 3] + affine[:3, [p, q]] @ low
    return kept, np.column_stack([affine[:3, p], affine[:3, q], start])


def _span(share: float, length: int) -> tuple[int, int]:
    """Which places of a row that is shifted by a share of a voxel lie within half a voxel of it, from and to."""
    return (0 if share <= 0.5 else 1), (length + 1 if share >= 0.5 else length)


def _shifted(padded: NDArray[np.float32], shares: list[float], spans: list[tuple[int, int]]) -> NDArray[np.float32]:
    """A slice moved by shares of a voxel along both axes; the rim of one voxel is left out."""
    (a, b), (c, d) = spans
    share, other = (np.float32(one) for one in shares)
    rows = padded[a + 1 : b + 1]
    if share:
        rows = rows * (1 - share) + padded[a:b] * share
    found = rows[:, c + 1 : d + 1]
    if other:
        found = found * (1 - other) + rows[:, c:d] * other
    return found


def _nearest(padded: NDArray[Any], shares: list[float], spans: list[tuple[int, int]]) -> NDArray[Any]:
    (a, b), (c, d) = spans
    row, column = (0 if share > 0.5 else 1 for share in shares)
    return padded[a + row : b + row, c + column : d + column]


def _between(
    depth: NDArray[np.float64],
    axis: int,
    index: int,
    others: tuple[int, int],
    shares: list[float],
    spans: list[tuple[int, int]],
    most: float,
) -> NDArray[np.bool_]:
    """Which places of a shifted slice lie within a slab."""
    along = [
        depth[other] * (np.arange(*span) - share) for other, share, span in zip(others, shares, spans, strict=True)
    ]
    found: NDArray[np.bool_] = np.abs(depth[axis] * index + along[0][:, None] + along[1] + depth[3]) <= most
    return found


def _end(dtype: np.dtype[Any], *, lowest: bool) -> Any:
    """The least or the greatest value of a type."""
    if dtype.kind == "b":
        return not lowest
    if dtype.kind == "f":
        return -np.inf if lowest else np.inf
    return np.iinfo(dtype).min if lowest else np.iinfo(dtype).max
