"""Arrange frames in space: which of them form a stack, in what order, on which grid.

Slices are ordered by the projection of their position on the slice normal, never by file name or instance number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import GeometryError
from vesalius.image import Grid
from vesalius.io.dicom.frame import Frame

_SAME_DIRECTION = 1e-3
"""Largest difference of direction cosines between slices of a stack; 0.25 mm over half of a 500 mm field of view."""

_SAME_PLACE = 0.01
"""Two frames are at one position when they are closer than this share of a pixel."""

_UNIFORM = 0.1
"""How far a slice may lie from its place on the grid, as a share of the voxel: positions are often rounded to 0.1 mm.

A missing slice shifts its neighbours by at least a quarter of the spacing, so that none passes."""

_TILT = 1e-3
"""Angle in radians between slice normal and stacking direction from which it is called a gantry tilt."""

_TIMES = frozenset({"trigger time", "cardiac delay", "acquisition number", "temporal position"})
"""Traits whose values may differ from slice to slice within a channel; the others must be the same."""


@dataclass(frozen=True)
class Arrangement:
    """Frames in their places.

    Args:
        grid: 3D for frames with a place in the patient, else 2D.
        frames: ``frames[channel][slice]``; one slice on a 2D grid.
        notes: What was decided.
    """

    grid: Grid
    frames: tuple[tuple[Frame, ...], ...]
    notes: tuple[str, ...]


def split(frames: Iterable[Frame]) -> list[tuple[Frame, ...]]:
    """Split the frames of one series into stacks that can each be a `Volume`.

    Frames with a place in the patient belong together when size, colour, spacing and orientation agree (a multi-frame
    file stands by itself); each file of frames without a place is a stack of its own.

    Args:
        frames: Of one series, each only once.

    Returns:
        The stacks, by the instance number of their first frame.
    """
    stacks: list[list[Frame]] = []
    buckets: dict[object, list[list[Frame]]] = {}
    for frame in frames:
        pixels = frame.source.pixels
        alone = pixels.frames > 1 or frame.position is None
        key = (
            pixels.rows,
            pixels.columns,
            pixels.channels,
            frame.source.path if alone else None,
            frame.position is None,
        )
        for stack in buckets.setdefault(key, []):
            if _parallel(stack[0], frame):
                stack.append(frame)
                break
        else:
            stacks.append([frame])
            buckets[key].append(stacks[-1])
    return [tuple(stack) for stack in sorted(stacks, key=lambda stack: min(map(_rank, stack)))]


def _rank(frame: Frame) -> tuple[int, str, int]:
    number = frame.source.instance_number
    return (1 << 40 if number is None else number, frame.source.instance, frame.index)


def _parallel(one: Frame, other: Frame) -> bool:
    if not np.allclose(one.spacing_mm, other.spacing_mm, rtol=1e-3, atol=0):
        return False
    if one.orientation is None or other.orientation is None:
        return True
    return bool(np.abs(np.subtract(one.orientation, other.orientation)).max() <= _SAME_DIRECTION)


def outline(frames: Sequence[Frame]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Shape and spacing of a stack for a list, without judging it.

    Returns:
        Shape in index order (columns, rows, slices) and spacing, mm; with gaps, the spacing is the median.
    """
    first = frames[0]
    shape: tuple[int, ...] = (first.source.pixels.columns, first.source.pixels.rows)
    spacing: tuple[float, ...] = first.spacing_mm[::-1]
    if first.position is None:
        return shape, spacing
    groups = _positions(frames)
    points = np.array([group[0].position for group in groups])
    gaps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    step = float(np.median(gaps)) if len(gaps) else (first.thickness_mm or 1.0)
    return (*shape, len(groups)), (*spacing, step)


def arrange(frames: Sequence[Frame], name: str) -> Arrangement:
    """Put the frames of a stack in their places.

    Args:
        frames: One of the stacks of `split`.
        name: Of the folder or file, for messages.

    Returns:
        The grid, and the frames by channel and slice.

    Raises:
        GeometryError: A slice is missing, the spacing is not uniform, slices are shifted against each other, or
            several frames lie at a position and nothing tells them apart.

    Source: DICOM PS3.3 C.7.6.2.1.1: index (column, row) to point is
    ``position + row direction * column spacing * column + column direction * row spacing * row``.
    """
    first = frames[0]
    columns, rows = first.source.pixels.columns, first.source.pixels.rows
    row_mm, column_mm = first.spacing_mm
    if first.position is None:
        grid = Grid.from_spacing((columns, rows), (column_mm, row_mm))
        inside = sorted(frames, key=lambda frame: frame.index)
        cine = (f"{len(inside)} frames without positions are read as channels",) if len(inside) > 1 else ()
        return Arrangement(grid, tuple((frame,) for frame in inside), cine)
    groups = _positions(frames)
    first = groups[0][0]
    across, down, normal = directions(first)
    channels, notes = _channels(groups, normal, name)
    points = np.array([group[0].position for group in groups], dtype=np.float64)
    if len(groups) == 1:
        step, more = _single_slice(first, normal)
    else:
        step, more = _step(points, normal, (column_mm, row_mm), name)
    affine = np.eye(4)
    affine[:3] = np.stack([across * column_mm, down * row_mm, step, points[0]], axis=1)
    return Arrangement(Grid((columns, rows, len(groups)), affine), channels, notes + more)


def directions(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors along a row, along a column, and of the normal."""
    cosines = np.asarray(frame.orientation, dtype=np.float64)
    across = cosines[:3] / np.linalg.norm(cosines[:3])
    normal = np.cross(across, cosines[3:])
    normal /= np.linalg.norm(normal)
    # The header's digits leave rows and columns not quite at right angles; the row is kept, as ITK does.
    return across, np.cross(normal, across), normal


def _positions(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group the frames by position, along the slice normal."""
    _, _, normal = directions(frames[0])
    offsets = np.array([frame.position for frame in frames], dtype=np.float64) @ normal
    near = _SAME_PLACE * min(frames[0].spacing_mm)
    groups: list[list[Frame]] = []
    last = -np.inf
    for at in np.argsort(offsets, kind="stable"):
        if offsets[at] - last > near:
            groups.append([])
            last = offsets[at]
        groups[-1].append(frames[at])
    return groups


def _channels(
    groups: list[list[Frame]], normal: NDArray[np.float64], name: str
) -> tuple[tuple[tuple[Frame, ...], ...], tuple[str, ...]]:
    """Deal frames that share a position into channels."""
    count = Counter(len(group) for group in groups).most_common(1)[0][0]
    odd = [group for group in groups if len(group) != count]
    if odd:
        offsets = np.array([group[0].position for group in odd]) @ normal - np.dot(groups[0][0].position or (), normal)
        raise GeometryError(
            f"{name}: {count} image{'s' * (count > 1)} at each of {len(groups) - len(odd)} positions, but another "
            f"number at {_offsets(offsets)} along the normal: duplicated or missing slices; remove or add those files"
        )
    if count == 1:
        return (tuple(group[0] for group in groups),), ()
    names = tuple(dict.fromkeys(trait for group in groups for trait in _differing(group)))
    dealt = []
    for group in groups:
        keyed = sorted(((_key(frame, names), frame) for frame in group), key=lambda pair: pair[0])
        if any(a[0] == b[0] for a, b in pairwise(keyed)):
            raise GeometryError(
                f"{name}: {count} different images at each position (for example {group[0].name} and "
                f"{group[1].name}), and nothing in their headers tells them apart; separate them into folders"
            )
        dealt.append([frame for _, frame in keyed])
    fixed = tuple(trait for trait in names if trait not in _TIMES)
    for channel in range(count):
        if len({_key(group[channel], fixed) for group in dealt}) > 1:
            raise GeometryError(
                f"{name}: {count} images at each position, but their {' and '.join(fixed)} are not the same at all "
                "positions, so that they do not form channels; separate them into folders"
            )
    note = f"{count} images at each position are read as channels, by {', '.join(names)}"
    return tuple(zip(*dealt, strict=True)), (note,)


def _differing(group: list[Frame]) -> list[str]:
    names = dict.fromkeys(trait for frame in group for trait, _ in frame.traits)
    return [trait for trait in names if len({dict(frame.traits).get(trait) for frame in group}) > 1]


def _key(frame: Frame, names: tuple[str, ...]) -> tuple[object, ...]:
    traits = dict(frame.traits)
    return tuple((trait in traits, traits.get(trait, 0)) for trait in names)


def _single_slice(frame: Frame, normal: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    if frame.thickness_mm:
        return normal * frame.thickness_mm, ("a single slice: the spacing along its normal is the slice thickness",)
    return normal, ("a single slice of unknown thickness: 1 mm is assumed along its normal",)


def _step(
    points: NDArray[np.float64], normal: NDArray[np.float64], in_plane_mm: tuple[float, float], name: str
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The vector from a slice to the next; the slices must lie on the line that it spans."""
    step = (points[-1] - points[0]) / (len(points) - 1)
    off = points - points[0] - np.arange(len(points))[:, None] * step
    along = off @ normal
    sideways = np.linalg.norm(off - along[:, None] * normal, axis=1)
    spacing = float(step @ normal)
    if np.abs(along).max() > _UNIFORM * spacing:
        raise GeometryError(f"{name}: {_irregularity((points - points[0]) @ normal)}")
    if sideways.max() > _UNIFORM * min(in_plane_mm):
        worst = int(sideways.argmax())
        raise GeometryError(
            f"{name}: the slices are shifted against each other within their plane, by up to {sideways.max():.3g} mm "
            f"at {_offsets((points[worst : worst + 1] - points[0]) @ normal)} along the normal; "
            "they form no regular grid: check that they are of one acquisition"
        )
    notes: tuple[str, ...] = ()
    angle = float(np.arctan2(np.linalg.norm(step - spacing * normal), spacing))
    if angle > _TILT:
        notes += (f"gantry tilt of {np.degrees(angle):.1f} degrees: read exactly, on a sheared grid",)
    largest = float(np.linalg.norm(off, axis=1).max())
    if largest > 0.01 * spacing:
        notes += (f"slice positions differ from the uniform grid by up to {largest:.3g} mm",)
    return step, notes


def _irregularity(offsets: NDArray[np.float64]) -> str:
    """Word what is wrong with slice positions (mm along the normal, rising from 0)."""
    gaps = np.diff(offsets)
    usual = float(np.median(np.sort(gaps)[: (len(gaps) + 1) // 2]))  # the lower half: gaps only grow
    wide = np.flatnonzero(gaps > (1 + _UNIFORM) * usual)
    multiples = gaps / usual
    if len(wide) and np.abs(multiples - np.round(multiples)).max() <= 2 * _UNIFORM and multiples.min() > 0.5:
        missing = int(np.round(multiples[wide] - 1).sum())
        between = ", ".join(f"{offsets[at]:.4g} and {offsets[at + 1]:.4g} mm" for at in wide[:5])
        return (
            f"{missing} slice{'s' * (missing > 1)} missing: the spacing is {usual:.4g} mm, but nothing lies between "
            f"{between}{' …' * (len(wide) > 5)} (offsets along the normal from the first slice); "
            "add the missing files, or read the part on one side of the gap from a folder of its own"
        )
    worst = int(np.abs(gaps - np.median(gaps)).argmax())
    return (
        f"the slice spacing is not uniform: {gaps.min():.4g} to {gaps.max():.4g} mm (furthest from the median between "
        f"{offsets[worst]:.4g} and {offsets[worst + 1]:.4g} mm along the normal from the first slice); "
        "resample the series to a uniform spacing first, or read its uniform part from a folder of its own"
    )


def _offsets(offsets: NDArray[np.float64]) -> str:
    shown = ", ".join(f"{offset:.4g}" for offset in offsets[:5])
    return f"{shown}{' …' * (len(offsets) > 5)} mm"
