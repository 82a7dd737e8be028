"""Between slices: shapes that turn into each other, nested as they are in the slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.transform.outlines import Depth, Passage, Shape, depths_at, passages

_MARGIN = 3  # pixels around a structure
_WALLED = 0.9  # of a pixel: what is thicker than this in both slices is a wall that must not tear in between


def interpolate_slices(
    stack: NDArray[np.integer],
    at_mm: Sequence[float] | NDArray[np.float64],
    wanted_mm: Sequence[float] | NDArray[np.float64],
    *,
    spacing_mm: tuple[float, float],
    values: Sequence[int],
) -> NDArray[np.integer]:
    """Make label slices between those that there are, all structures together.

    In each slice every structure has a signed distance to its outline, positive within; from slice to slice these
    change along a cubic, and each point goes to the structure that is deepest there, the background being one of them.

    *Nested structures.* A structure whose outline lies mostly against a larger one (a ventricle in its wall, a tumour
    in its organ) is interpolated within the outline of both together, and so is a hole. A ring that moves by more than
    its wall stays a ring: an outline that is w deeper than another in both slices is so in between, as are the means of
    their distances. Where a wall parts what lies within from what lies around in both slices, they do not touch in
    between, not even at a corner.

    *Ends.* A part that does not lie over a part of the next slice ends as the ball or the ellipsoid that its last three
    slices show, at most at the next slice; where they show no end it ends half way. What lies within something that
    ends, too, ends like it.

    Args:
        stack: ``(slices, i, j)``, two slices or more, labels. Other values than ``values`` count as background.
        at_mm: Where each slice lies, rising; gaps may differ.
        wanted_mm: Where slices are wanted. Beyond the first and the last slice these go on.
        spacing_mm: Of the pixels on i and j.
        values: The structures.

    Returns:
        ``(wanted, i, j)``; at the place of a slice that slice itself.

    Raises:
        DataError: There are fewer than two slices, or their places do not rise.

    Example:
        >>> stack = np.zeros((2, 1, 12), np.uint8)
        >>> stack[0, 0, 2:6] = stack[1, 0, 4:8] = 1
        >>> "".join(map(str, interpolate_slices(stack, [0, 4], [2], spacing_mm=(1, 1), values=[1])[0, 0]))
        '000111100000'

    Source: S. P. Raya and J. K. Udupa, "Shape-based interpolation of multidimensional objects", IEEE Transactions on
        Medical Imaging 9 (1990) 32, doi 10.1109/42.52980; cubic: G. T. Herman, J. Zheng and C. A. Bucholtz,
        "Shape-based interpolation", IEEE Computer Graphics and Applications 12(3) (1992) 69, doi 10.1109/38.135915.
        That the deepest of several structures takes the voxel, the nesting and the ends are this module's own.
    """
    at, wanted = np.asarray(at_mm, np.float64), np.asarray(wanted_mm, np.float64)
    if len(stack) < 2 or at.shape != (len(stack),) or not (np.diff(at) > 0).all():
        raise DataError("to interpolate takes two slices or more, at places that rise")
    below = np.clip(np.searchsorted(at, wanted, side="right") - 1, 0, len(at) - 2)
    share = np.clip((wanted - at[below]) / (at[below + 1] - at[below]), 0, 1)
    clean = np.where(np.isin(stack, list(values)), stack, 0).astype(stack.dtype)
    fine = np.zeros((len(wanted), *stack.shape[1:]), stack.dtype)
    _fill(fine, clean, _Nest(0, _nested(clean, values)), None, _Places(at, below, share, spacing_mm))
    return fine


@dataclass(frozen=True)
class _Nest:
    """A structure and those that lie within it."""

    value: int
    within: tuple[_Nest, ...]

    @property
    def values(self) -> tuple[int, ...]:
        return (self.value, *(value for one in self.within for value in one.values))


@dataclass(frozen=True, eq=False)
class _Places:
    """Where the slices lie, and of each that is wanted the one below and how far it is on the way to the next."""

    at_mm: NDArray[np.float64]
    below: NDArray[np.intp]
    share: NDArray[np.float64]
    spacing_mm: tuple[float, float]


def _fill(
    fine: NDArray[np.integer],
    stack: NDArray[np.integer],
    nest: _Nest,
    around: Sequence[Passage] | None,
    places: _Places,
) -> None:
    """Give what lies within a structure its voxels, those that have the structure's value now; then go deeper.

    Args:
        fine: The wanted slices.
        stack: Those that there are, in the same box.
        nest: The structure and all within it.
        around: The passages of the structure with all within it, in this box; None for the background.
        places: Of the slices.
    """
    inside = np.isin(stack, nest.values[1:])
    box = _box(inside)
    if box is None:
        return
    fine, stack, inside = fine[(slice(None), *box)], stack[(slice(None), *box)], inside[(slice(None), *box)]
    around = None if around is None else [one.cropped(box) for one in around]
    whole, members = _members(inside, stack, nest, around, places)
    own = fine == nest.value
    rest = np.full(fine.shape, np.inf, np.float32)  # how deep each point lies in what is left of the structure itself
    for number, found in _depths(whole, places):
        rest[number] = -found
    for one, small, its in members:
        part = (slice(None), *small)
        target, deepest, mine = fine[part], rest[part], own[part]
        for number, found in _depths(its, places):
            better = (found > deepest[number]) & mine[number]
            deepest[number][better] = found[better]
            target[number][better] = one.value
    if around is not None:
        _keep_walls(fine, own, nest.value, _walls(whole, around, places), places)
    for one, small, its in members:
        if one.within:
            part = (slice(None), *small)
            _fill(fine[part], stack[part], one, its, places)


def _keep_walls(fine: NDArray[np.integer], own: Shape, value: int, walls: Shape, places: _Places) -> None:
    """Close a structure where what lies within it would come to touch what lies around it.

    Args:
        fine: The wanted slices; what lies within the structure is painted already, with nothing yet within that.
        own: The structure's voxels before that was painted.
        value: Of the structure.
        walls: Where it parts both in the slices themselves.
        places: Of the slices.
    """
    from scipy.ndimage import binary_dilation

    cube = np.ones((3, 3, 3), np.bool_)
    made = ((places.share > 0) & (places.share < 1))[:, None, None]
    inner = own & (fine != value)
    touching = inner & walls & binary_dilation(~own, cube)
    fine[touching & made] = value
    held = touching & ~made  # in slices as they were given: what they touch in others becomes wall
    if held.any():
        fine[binary_dilation(held, cube) & ~own & walls & made] = value


def _walls(shape: Sequence[Passage], around: Sequence[Passage], places: _Places) -> Shape:
    """Where a shape keeps away from the outline of the one around it in the slices below and above."""
    pixel = min(places.spacing_mm)
    found = {}
    for k in set(places.below.tolist()):
        apart: Shape = np.asarray(True)
        for share in (0.0, 1.0):
            inner, outer = depths_at(shape, k, share, pixel), depths_at(around, k, share, pixel)
            if inner is not None and outer is not None and inner.max() > 0:
                apart = apart & (outer - inner >= _WALLED * pixel)
        for end in around[k].ends:
            if end is not None:  # what ends bluntly is open there
                apart = apart & ~np.concatenate([[False], end.blunt])[end.parts]
        found[k] = apart
    return np.stack(np.broadcast_arrays(*(found[k] for k in places.below.tolist())))


def _members(
    inside: Shape, stack: NDArray[np.integer], nest: _Nest, around: Sequence[Passage] | None, places: _Places
) -> tuple[list[Passage], list[tuple[_Nest, tuple[slice, slice], list[Passage]]]]:
    """The passages of all that lies within a structure together, and of each with its box; they end like each other."""
    members = []
    for one in nest.within:
        shape = np.isin(stack, one.values)
        small = _box(shape)
        if small is None:
            continue
        host = None if around is None else [passage.cropped(small) for passage in around]
        its = list(passages(shape[(slice(None), *small)], places.at_mm, places.spacing_mm, host))
        members.append((one, small, its))
    if len(members) == 1:
        return members[0][2], members  # the same shape, and so the same box
    whole = list(passages(inside, places.at_mm, places.spacing_mm, around))
    for k, passage in enumerate(whole):
        ends = list(passage.ends)
        for side, end in enumerate(ends):
            if end is None:
                continue
            its_ends = [(its[k].ends[side], small) for _, small, its in members]
            ends[side] = end = end.led_by([(one, small) for one, small in its_ends if one is not None])
            for _, small, its in members:
                mine = its[k].ends[side]
                if mine is not None:
                    mine_ends = list(its[k].ends)
                    mine_ends[side] = mine.within(end.cropped(small))
                    its[k] = replace(its[k], ends=(mine_ends[0], mine_ends[1]))
        whole[k] = replace(passage, ends=(ends[0], ends[1]))
    return whole, members


def _depths(shape: Sequence[Passage], places: _Places) -> Iterator[tuple[int, Depth]]:
    """The depth in each wanted slice where there is one."""
    for number, (k, share) in enumerate(zip(places.below.tolist(), places.share.tolist(), strict=True)):
        found = depths_at(shape, k, share, min(places.spacing_mm))
        if found is not None:
            yield number, found


def _nested(stack: NDArray[np.integer], values: Sequence[int]) -> tuple[_Nest, ...]:
    """Which structure lies within which: within a larger one that makes up more than half of its outline's contacts."""
    values = [int(value) for value in values]
    numbers = np.zeros(max([int(stack.max(initial=0)), *values]) + 1, np.int64)
    numbers[values] = np.arange(1, len(values) + 1)
    size = len(values) + 1
    contacts = np.zeros(size * size, np.int64)
    for one_slice in stack:
        places = numbers[one_slice]
        for one, other in ((places[1:], places[:-1]), (places[:, 1:], places[:, :-1])):
            differ = one != other
            contacts += np.bincount(one[differ] * size + other[differ], minlength=size * size)
    table = contacts.reshape(size, size)
    table = table + table.T
    outline = table.sum(axis=1)
    parents = {}
    for k in range(1, size):
        parent = int(np.argmax(table[k, 1:])) + 1
        parents[k] = parent if 2 * table[k, parent] > outline[k] and outline[parent] > outline[k] else 0

    def within(parent: int) -> tuple[_Nest, ...]:
        return tuple(_Nest(values[k - 1], within(k)) for k in parents if parents[k] == parent)

    return within(0)


def _box(inside: Shape) -> tuple[slice, slice] | None:
    """The box of a structure, some pixels larger: only there can it be deeper than the background."""
    found = []
    for axis in (1, 2):
        shown = np.flatnonzero(inside.any(axis=tuple(k for k in range(3) if k != axis)))
        if not len(shown):
            return None
        found.append(slice(max(int(shown[0]) - _MARGIN, 0), min(int(shown[-1]) + 1 + _MARGIN, inside.shape[axis])))
    return found[0], found[1]
