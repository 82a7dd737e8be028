"""The centre lines of tubes (vessels, airways, ducts) as branches between forks, with lengths and diameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from vesalius.errors import GeometryError
from vesalius.image import Grid, Volume
from vesalius.metrics.centreline import skeleton
from vesalius.metrics.size import border_points
from vesalius.transform import respace

_CUBIC = 1.05  # times the finest spacing, up to which voxels count as cubes
_SMOOTH = 4.0  # places on a line; standard deviation of the Gauss bell that it is smoothed with
_FINE = 1 << 25  # points up to which a structure is thinned at half-steps
_SPUR = 1.2  # times the radius at a fork, and one of the coarsest voxels: as far a bump of a wall may reach
_ROUNDS = 100  # of pruning; each takes one spur off every fork


@dataclass(frozen=True, eq=False)
class Branch:
    """A piece of a centre line between two ends or forks.

    Args:
        start: Number of the end or fork that it begins at; branches that share a number meet there.
        end: Number of the other; the same as ``start`` in a ring.
        points_mm: ``(n, ndim)``, LPS, along the line, at least two.
        diameters_mm: ``(n,)``: twice the mean distance of the wall around each point.
        is_tip: Whether the start, and whether the end, is a free end.
    """

    start: int
    end: int
    points_mm: NDArray[np.float64]
    diameters_mm: NDArray[np.float64]
    is_tip: tuple[bool, bool]

    @property
    def length_mm(self) -> float:
        """Along the line."""
        return float(np.linalg.norm(np.diff(self.points_mm, axis=0), axis=1).sum())

    @property
    def tortuosity(self) -> float | None:
        """Length ÷ distance between the ends: 1 for a straight one; ``None`` for a ring.

        Source: the distance metric of Bullitt et al., IEEE TMI 22:1163 (2003), doi:10.1109/TMI.2003.816964.
        """
        apart = float(np.linalg.norm(self.points_mm[-1] - self.points_mm[0]))
        return None if self.start == self.end or apart < 1e-9 else self.length_mm / apart

    @property
    def mean_diameter_mm(self) -> float:
        """Over its length."""
        steps = np.linalg.norm(np.diff(self.points_mm, axis=0), axis=1)
        if not steps.sum():
            return float(self.diameters_mm.mean())
        return float(((self.diameters_mm[1:] + self.diameters_mm[:-1]) / 2 * steps).sum() / steps.sum())


def centre_lines(mask: NDArray[np.bool_], grid: Grid) -> tuple[Branch, ...]:
    """Find the centre lines of tubes.

    The structure is thinned to a skeleton, on cubic voxels (others are interpolated by their distance from the border,
    so that the line does not follow the slices), and the skeleton is cut at its forks. Spurs that reach less than a
    voxel and a fifth of a radius beyond the wall of the tube that they leave are bumps of it and are taken off, as are
    loops shorter than the tube is wide. Lines are smoothed and go on to the wall at free ends. A diameter is twice the
    mean distance of those points of the wall that are nearest to a place of the line and the two before and behind it;
    as near to an end or a fork as the tube is wide, it is that of the next place beyond. Diameters of tubes thinner
    than three voxels are rough.

    Args:
        mask: 2D or 3D, the whole of the structure; it may be cut out of an image, for what lies beyond is outside.
        grid: On which the mask lies.

    Returns:
        The branches, the longest first; none of an empty mask, nor of a blob that is thinned to one voxel.

    Raises:
        GeometryError: The grid is sheared (gantry tilt) and not cubic: resample the labels first.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> tube = np.zeros((40, 15, 15), bool)  # a square one
        >>> tube[2:38, 5:10, 5:10] = True
        >>> (branch,) = centre_lines(tube, Grid.from_spacing(tube.shape, (1.0, 1.0, 1.0)))
        >>> round(branch.length_mm), round(branch.mean_diameter_mm), round(branch.tortuosity, 2)
        (36, 6, 1.0)

    Source: skeletons by Lee, Kashyap and Chu (1994) in 3D and Zhang and Suen (1984) in 2D, as scikit-image makes them.
    """
    if not mask.any():
        return ()
    depth, lattice = _cubic(mask, grid)
    solid = depth > 0
    # Thinning eats tubes of an even number of voxels from their ends; at half-steps rows are odd.
    fine = 2 if np.prod([2 * n for n in solid.shape]) <= _FINE else 1
    places = np.argwhere(skeleton(_halved(depth) > 1e-6 if fine == 2 else solid))
    spacing = min(lattice.spacing_mm) / fine
    radius = cKDTree(lattice.to_points(border_points(solid))).query(lattice.to_points(places / fine))[0]
    for _ in range(_ROUNDS):
        links, fork = _graph(places)
        lines = _lines(links, fork)
        spurs = _spurs(lines, links, fork, radius, spacing_mm=spacing, bump_mm=max(grid.spacing_mm))
        if not len(spurs):
            break
        kept = np.setdiff1d(np.arange(len(places)), spurs)
        places, radius = places[kept], radius[kept]
    lines = [line for line in lines if not _is_eye(line, fork, radius, spacing)]
    return _branches(lines, links, fork, places / fine, radius, solid, lattice)


def _branches(
    lines: list[list[int]],
    links: list[list[int]],
    fork: NDArray[np.intp],
    places: NDArray[np.float64],
    radius: NDArray[np.float64],
    solid: NDArray[np.bool_],
    lattice: Grid,
) -> tuple[Branch, ...]:
    """Lines of voxels as branches in space."""
    ends = [tuple(_name(line[k], fork) for k in (0, -1)) for line in lines]
    numbers = {name: number for number, name in enumerate(sorted({name for pair in ends for name in pair}))}
    tips = [tuple(fork[line[k]] < 0 and len(links[line[k]]) == 1 for k in (0, -1)) for line in lines]
    drawn = []
    for line, free in zip(lines, tips, strict=True):
        path = places[line]
        for k in (0, -1):
            if fork[line[k]] >= 0:
                path[k] = places[fork == fork[line[k]]].mean(axis=0)
        points = lattice.to_points(_smoothed(path, ring=line[0] == line[-1]))
        for k in (0, -1):
            if free[k]:
                points = _drawn_out(points, k, float(np.median(radius[line])), solid, lattice)
        drawn.append(points)
    widths = _widths(drawn, lattice.to_points(border_points(solid)))
    found = []
    for k, (points, width) in enumerate(zip(drawn, widths, strict=True)):
        rings = ends[k][0] == ends[k][1] and not len(links[lines[k][0]]) > 2
        steady = width if rings else _steady(points, width)
        free = (bool(tips[k][0]), bool(tips[k][1]))
        found.append(Branch(numbers[ends[k][0]], numbers[ends[k][1]], points, steady, free))
    return tuple(sorted(found, key=lambda branch: -branch.length_mm))


def _cubic(mask: NDArray[np.bool_], grid: Grid) -> tuple[NDArray[np.float32], Grid]:
    """How deep each voxel lies inside, mm, on cubic voxels as fine as the finest spacing, with a border outside.

    Between voxels of opposite sides it is 0 half-way.
    """
    padded, wide = np.pad(mask, 1), grid.crop([-1] * mask.ndim, [n + 2 for n in mask.shape])
    finest = min(grid.spacing_mm)
    cubic = max(grid.spacing_mm) <= _CUBIC * finest
    if not (cubic or grid.is_orthogonal):
        raise GeometryError("the grid's axes are not at right angles (gantry tilt): resample the labels first")
    depth = np.asarray(ndimage.distance_transform_edt(padded, sampling=grid.spacing_mm), np.float32)
    depth -= ndimage.distance_transform_edt(~padded, sampling=grid.spacing_mm)
    if cubic:
        return depth, wide
    fine = respace(Volume(depth[None], wide), [finest] * mask.ndim, interpolation="linear", through_plane="linear")
    return np.asarray(fine.array[0], np.float32), fine.grid


def _halved(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values at half-steps, ``2 n - 1`` on each axis, interpolated."""
    for axis in range(depth.ndim):
        low = depth[(*(slice(None),) * axis, slice(None, -1))]
        high = depth[(*(slice(None),) * axis, slice(1, None))]
        made = np.empty([2 * n - 1 if k == axis else n for k, n in enumerate(depth.shape)], np.float32)
        made[(*(slice(None),) * axis, slice(None, None, 2))] = depth
        made[(*(slice(None),) * axis, slice(1, None, 2))] = (low + high) / 2
        depth = made
    return depth


def _graph(places: NDArray[np.intp]) -> tuple[list[list[int]], NDArray[np.intp]]:
    """Neighbours of each voxel of a skeleton, and the number of the fork that it belongs to, or -1.

    Where two voxels meet by an edge or a corner and a third joins them by shorter steps, the longer step is left out.
    """
    pairs = cKDTree(places).query_pairs(np.sqrt(places.shape[1]) + 0.01, output_type="ndarray")
    links: list[set[int]] = [set() for _ in places]
    steps = ((places[pairs[:, 0]] - places[pairs[:, 1]]) ** 2).sum(axis=1)
    for k in np.argsort(steps, kind="stable"):
        a, b = (int(voxel) for voxel in pairs[k])
        between = links[a] & links[b]
        if not any(max(_apart(places, a, c), _apart(places, c, b)) < steps[k] for c in between):
            links[a].add(b)
            links[b].add(a)
    fork = np.full(len(places), -1)
    number = 0
    for voxel in range(len(places)):
        if len(links[voxel]) > 2 and fork[voxel] < 0:
            waiting = [voxel]
            while waiting:
                at = waiting.pop()
                if fork[at] < 0:
                    fork[at] = number
                    waiting += [one for one in links[at] if len(links[one]) > 2 and fork[one] < 0]
            number += 1
    return [sorted(one) for one in links], fork


def _apart(places: NDArray[np.intp], a: int, b: int) -> int:
    return int(((places[a] - places[b]) ** 2).sum())


def _lines(links: list[list[int]], fork: NDArray[np.intp]) -> list[list[int]]:
    """The voxels of each branch in order, both ends included; a ring begins and ends at the same voxel."""
    node = [len(one) != 2 for one in links]
    seen: set[tuple[int, int]] = set()
    lines: list[list[int]] = []

    def follow(start: int, step: int) -> list[int]:
        line = [start, step]
        seen.update(((start, step), (step, start)))
        while not node[line[-1]] and line[-1] != start:
            ahead = next(one for one in links[line[-1]] if one != line[-2])
            seen.update(((line[-1], ahead), (ahead, line[-1])))
            line.append(ahead)
        return line

    ends = (voxel for voxel in range(len(links)) if node[voxel])
    steps = ((start, step) for start in ends for step in links[start] if fork[start] < 0 or fork[start] != fork[step])
    lines += [follow(start, step) for start, step in steps if (start, step) not in seen]
    rings = ((start, links[start][0]) for start in range(len(links)) if not node[start])  # those without a fork
    lines += [follow(start, step) for start, step in rings if (start, step) not in seen]
    return lines


def _spurs(
    lines: list[list[int]],
    links: list[list[int]],
    fork: NDArray[np.intp],
    radius: NDArray[np.float64],
    *,
    spacing_mm: float,
    bump_mm: float,
) -> NDArray[np.intp]:
    """The voxels of the shortest spur of each fork that has one."""
    shortest: dict[int, list[int]] = {}
    for line in lines:
        for way in (line, line[::-1]):
            if fork[way[0]] >= 0 and fork[way[-1]] < 0 and len(links[way[-1]]) == 1:
                near = len(way) * spacing_mm <= _SPUR * radius[fork == fork[way[0]]].max() + bump_mm
                if near and len(way) < len(shortest.get(int(fork[way[0]]), range(1 << 30))):
                    shortest[int(fork[way[0]])] = way
    return np.array([voxel for way in shortest.values() for voxel in way[1:]], dtype=np.intp)


def _is_eye(line: list[int], fork: NDArray[np.intp], radius: NDArray[np.float64], spacing_mm: float) -> bool:
    """Whether a line returns to its own fork within the tube: a hole that thinning found in a rough wall."""
    same = fork[line[0]] >= 0 and fork[line[0]] == fork[line[-1]]
    return bool(same and len(line) * spacing_mm <= 2 * radius[line].max())


def _name(voxel: int, fork: NDArray[np.intp]) -> int:
    """A number for an end: forks below those of voxels."""
    return int(fork[voxel]) - len(fork) if fork[voxel] >= 0 else voxel


def _smoothed(path: NDArray[np.float64], *, ring: bool) -> NDArray[np.float64]:
    """A line of voxels without its steps; its ends stay where they are."""
    if ring:
        smooth = ndimage.gaussian_filter1d(path[:-1], _SMOOTH, axis=0, mode="wrap")
        return np.concatenate([smooth, smooth[:1]])
    smooth = ndimage.gaussian_filter1d(path, _SMOOTH, axis=0, mode="nearest")
    smooth[[0, -1]] = path[[0, -1]]
    return np.asarray(smooth)


def _drawn_out(
    points: NDArray[np.float64], end: int, radius_mm: float, solid: NDArray[np.bool_], lattice: Grid
) -> NDArray[np.float64]:
    """A line that goes on from a free end, first (0) or last (-1), as straight as it came, to the wall.

    The last radius of it is left out before: there a skeleton may turn into a corner.
    """
    line = points if end else points[::-1]
    step = min(lattice.spacing_mm) / 4
    left = np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1)[::-1])[::-1]
    if left[0] > 3 * radius_mm:
        line = line[: int((left > radius_mm).sum()) + 1]
    apart = np.linalg.norm(line - line[-1], axis=1)
    behind = np.flatnonzero(apart >= max(2 * radius_mm, 4 * step))
    way = line[-1] - line[behind[-1] if len(behind) else 0]
    way /= max(float(np.linalg.norm(way)), 1e-12)
    ahead = line[-1] + way * step * np.arange(1, int(5 * radius_mm / step) + 2)[:, None]
    at = np.round(lattice.to_index(ahead)).astype(int)
    there: NDArray[np.bool_] = np.asarray(((at >= 0) & (at < solid.shape)).all(axis=1))
    there[there] = solid[tuple(at[there].T)]
    outside = np.flatnonzero(~there)
    inside = int(outside[0]) if len(outside) else len(ahead)
    if inside:
        # A voxel apart, so that the wall beside the end finds its own place on the line.
        line = np.concatenate([line, ahead[:inside][::-1][::4][::-1]])
    return line if end else line[::-1]


def _widths(lines: list[NDArray[np.float64]], wall: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Twice the mean distance of the points of the wall from the places on lines that are nearest to them, mm."""
    if not lines:
        return []
    apart, nearest = cKDTree(np.concatenate(lines)).query(wall)
    total = sum(len(line) for line in lines)
    sums, counts = np.bincount(nearest, apart, total), np.bincount(nearest, minlength=total)
    cuts = np.cumsum([len(line) for line in lines])[:-1]
    found = []
    for some, many in zip(np.split(sums, cuts), np.split(counts, cuts), strict=True):
        far = [
            np.convolve(one, np.ones(5), mode="same") if len(one) > 5 else np.full(len(one), one.sum())
            for one in (some, many)
        ]
        known = np.flatnonzero(far[1])
        mean = far[0][known] / far[1][known]
        found.append(2 * np.interp(np.arange(len(some)), known, mean) if len(known) else np.zeros(len(some)))
    return found


def _steady(points: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.float64]:
    """Diameters without those near the ends, where the wall of the end or of other branches is nearest."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    reach = min(float(np.median(width)), along[-1] / 2.5)
    kept = np.flatnonzero((along >= reach) & (along <= along[-1] - reach))
    return np.interp(along, along[kept], width[kept]) if len(kept) else width
