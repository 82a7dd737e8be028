"""Seeds: what a person marks before a method goes on from there. A `LabelMap`, 0 where nothing is said."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, FormatError, GeometryError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.io import read_labels

BACKGROUND = "background"
"""Seeds of this name say what the objects are not: methods give their region the value 0."""

_SAME_MM = 0.1  # as `Case` holds an image and its reference to be on one grid
_FORM = '"liver=10,20,30; background=0,0,0" (indices), or "liver=10.5,-20,30 mm" (LPS)'


@dataclass(frozen=True)
class _Mark:
    """Some points that mean one name, mm; joined by lines, or each by itself."""

    name: str
    points: tuple[tuple[float, ...], ...]
    joined: bool = False
    radius_mm: float = 0.0


def seeds_at(grid: Grid, points: Mapping[str, Sequence[Sequence[float]]], *, radius_mm: float = 0.0) -> LabelMap:
    """Mark the voxels at and around named points.

    Args:
        grid: The image's.
        points: ``{name: points}``, mm, LPS; `Grid.to_points` makes them of indices. The names get the values 1, 2, …
            in their order; ``"background"`` is a name like the others here, and 0 in what methods make of it.
        radius_mm: Voxels whose centres are at most so far away are marked, too, mm, ≥ 0; the voxel that holds the
            point always is. Where two names meet, the later one is marked.

    Returns:
        The seeds; 0 where nothing is said.

    Raises:
        DataError: A point lies outside the grid, has another number of coordinates, or there is no point; or nothing
            is left of a name because others lie over it.

    Example:
        >>> grid = Grid.from_spacing((4, 4), (1.0, 1.0))
        >>> seeds_at(grid, {"nucleus": [(1, 1)], "background": [(3, 3)]}).counts()
        {0: 14, 1: 1, 2: 1}
    """
    return _drawn(grid, [_Mark(name, tuple(tuple(p) for p in at), False, radius_mm) for name, at in points.items()])


def read_seeds(source: str | os.PathLike[str], grid: Grid) -> LabelMap:
    """Read seeds from a label file, from a JSON file of points and lines, or from a text.

    Args:
        source: A label file of any format that `vesalius.io.read_labels` reads, on the image's grid. Or a ``.json``
            file: ``{"space": "mm", "seeds": [{"name": "liver", "points": [[x, y, z], …]}, {"name": "background",
            "line": [[x, y, z], …], "radius_mm": 2}]}``, where ``space`` is ``"mm"`` (LPS) or ``"index"``, and the
            points of a line are joined in order. Or a text, ``"liver=10,20,30; background=0,0,0"`` in indices, with
            ``mm`` behind the numbers in mm, LPS; a name may come several times.
        grid: The image's.

    Returns:
        The seeds on the image's grid; 0 where nothing is said. Names get the values 1, 2, … in order of appearance;
        those of a label file keep theirs.

    Raises:
        DataError: A seed lies outside the image, a text or entry is not written so, or nothing is marked.
        FormatError: The file cannot be read.
        GeometryError: The label file lies on another grid.

    Example:
        >>> seeds = read_seeds("nucleus=1,1; nucleus=1,2; background=3,0", Grid.from_spacing((4, 4), (1.0, 1.0)))
        >>> seeds.labels.names, seeds.counts()
        (('nucleus', 'background'), {0: 13, 1: 2, 2: 1})
    """
    path = Path(source)
    if isinstance(source, str) and "=" in source and not path.exists():
        return _drawn(grid, _from_text(source, grid))
    if path.suffix.lower() == ".json":
        return _drawn(grid, _from_json(path, grid))
    if isinstance(source, str) and not path.exists() and not path.suffix:
        raise DataError(f"no such file of seeds, and not a text of them: {source!r}; write {_FORM}")
    seeds = read_labels(path)
    if not seeds.grid.is_close(grid, tolerance_mm=_SAME_MM):
        raise GeometryError(
            f"{path.name}: the seeds lie on another grid {seeds.grid.shape} than the image {grid.shape} (corners up to "
            f"{seeds.grid.corner_distance_mm(grid):.3g} mm apart): draw them on the image, or resample them to it"
        )
    if not seeds.array.any():
        raise DataError(f"{path.name}: no seeds: all values are 0")
    return LabelMap(seeds.array, grid, seeds.labels)


def without_background(array: NDArray[Any], seeds: LabelMap) -> LabelMap:
    """Make a label map of the regions that seeds have grown to.

    Args:
        array: ``(*grid.shape)``, the values of the seeds, or 0.
        seeds: What they grew from: their names and values stay, but for ``"background"``, which becomes 0.

    Returns:
        The segmentation on the seeds' grid, in the smallest unsigned type.

    Example:
        >>> seeds = seeds_at(Grid.from_spacing((1, 3), (1.0, 1.0)), {"background": [(0, 0)], "cell": [(0, 2)]})
        >>> without_background(np.array([[1, 1, 2]]), seeds).counts()
        {0: 2, 2: 1}
    """
    kept = tuple(label for label in seeds.labels.labels if label.name != BACKGROUND)
    gone = [label.value for label in seeds.labels.labels if label.name == BACKGROUND]
    made = array.astype(np.uint8 if max(seeds.labels.values, default=0) < 256 else np.uint16)
    for value in gone:
        made[made == value] = 0
    return LabelMap(made, seeds.grid, Labels(kept))


def seed_values(image_grid: Grid, seeds: LabelMap, *, least: int = 1) -> tuple[int, ...]:
    """The values that are marked, once the seeds are found to fit the image.

    Args:
        image_grid: Where the image lies.
        seeds: Must lie there, too.
        least: How many names the method needs.

    Returns:
        The values that occur, rising; a value to ignore is not among them.

    Raises:
        GeometryError: The seeds lie on another grid.
        DataError: Fewer names than ``least`` are marked.
    """
    if not seeds.grid.is_close(image_grid, tolerance_mm=_SAME_MM):
        raise GeometryError(
            f"the seeds lie on a grid {seeds.grid.shape}, the image on {image_grid.shape}: draw them on it"
        )
    found = tuple(value for value in seeds.counts() if value in seeds.labels.values)
    if len(found) < least:
        names = [label.name for label in seeds.labels.labels if label.value in found]
        raise DataError(
            f"this method needs seeds of at least {least} name{'s' if least > 1 else ''}, and there "
            f"{'is' if len(found) == 1 else 'are'} {len(found)}{f' ({names[0]})' if names else ''}"
            + ("; mark 'background', too" if least == 2 and names and names[0] != BACKGROUND else "")
        )
    return found


def _from_text(text: str, grid: Grid) -> list[_Mark]:
    marks = []
    for part in filter(None, (p.strip() for p in text.split(";"))):
        name, _, numbers = (p.strip() for p in part.rpartition("="))
        in_mm = bool(re.search(r"\s*mm$", numbers))
        try:
            at = tuple(float(n) for n in re.sub(r"\s*mm$", "", numbers).split(","))
        except ValueError:
            at = ()
        if not (name and at):
            raise DataError(f"seeds are written like {_FORM}, not {part!r}")
        marks.append(_Mark(name, _in_mm([at], grid, name, in_mm=in_mm)))
    return marks


def _from_json(path: Path, grid: Grid) -> list[_Mark]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(f"{path.name}: the file cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise FormatError(f"{path.name}: not JSON: {error}") from error
    if (
        not isinstance(told, dict)
        or told.get("space") not in ("mm", "index")
        or not isinstance(told.get("seeds"), list)
    ):
        raise DataError(f'{path.name}: seeds are written like {{"space": "mm" or "index", "seeds": [{{"name": …}}]}}')
    marks = []
    for number, entry in enumerate(told["seeds"], 1):
        known = isinstance(entry, dict) and set(entry) <= {"name", "points", "line", "radius_mm"}
        if not known or not isinstance(entry.get("name"), str) or ("points" in entry) == ("line" in entry):
            raise DataError(
                f'{path.name}: seed {number} must have "name", and "points" or "line"; "radius_mm" if wanted'
            )
        try:
            at = [tuple(float(x) for x in point) for point in entry.get("points", entry.get("line"))]
            radius = float(entry.get("radius_mm", 0.0))
        except (TypeError, ValueError):
            raise DataError(f"{path.name}: seed {number} ({entry['name']!r}) holds what is not a number") from None
        points = _in_mm(at, grid, entry["name"], in_mm=told["space"] == "mm")
        marks.append(_Mark(entry["name"], points, "line" in entry, radius))
    return marks


def _in_mm(points: Sequence[Sequence[float]], grid: Grid, name: str, *, in_mm: bool) -> tuple[tuple[float, ...], ...]:
    for point in points:
        if len(point) != grid.ndim:
            raise DataError(
                f"the seed {_shown(point)} of {name!r} has {len(point)} coordinates; the image has {grid.ndim}"
            )
    if in_mm:
        return tuple(tuple(p) for p in points)
    return tuple(tuple(float(x) for x in grid.to_points(p)) for p in points)


def _drawn(grid: Grid, marks: Iterable[_Mark]) -> LabelMap:
    values: dict[str, int] = {}
    array = np.zeros(grid.shape, np.uint16)
    for mark in marks:
        value = values.setdefault(mark.name, len(values) + 1)
        if not (math.isfinite(mark.radius_mm) and mark.radius_mm >= 0):
            raise DataError(f"the radius of the seeds of {mark.name!r} must be at least 0 mm, not {mark.radius_mm}")
        centres = _indices(mark, grid)
        for centre in _line(centres) if mark.joined else centres:
            _ball(array, grid, centre, mark.radius_mm, value)
    marked = set(np.unique(array).tolist())
    lost = [name for name, value in values.items() if value not in marked]
    if not values or lost:
        raise DataError(f"nothing is left of the seeds of {lost[0]!r}: others lie over them" if lost else "no seeds")
    return LabelMap(array.astype(np.uint8) if len(values) < 256 else array, grid, Labels.of(values))


def _indices(mark: _Mark, grid: Grid) -> NDArray[np.float64]:
    """The fractional indices of points, all of them inside."""
    found = []
    for point in mark.points:
        if len(point) != grid.ndim or not np.isfinite(point).all():
            raise DataError(f"a seed of {mark.name!r} must be {grid.ndim} finite numbers, not {_shown(point)}")
        at = grid.to_index(point)
        if (np.rint(at) < 0).any() or (np.rint(at) > np.asarray(grid.shape) - 1).any():
            raise DataError(
                f"the seed of {mark.name!r} at {_shown(point)} mm, index {_shown(np.round(at, 1))}, lies outside the "
                f"image, whose indices are 0 to {_shown([n - 1 for n in grid.shape])}"
            )
        found.append(at)
    return np.asarray(found).reshape(-1, grid.ndim)


def _line(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points along a polyline, no two further apart than half a voxel on any axis."""
    if len(corners) < 2:
        return corners
    parts = [corners[:1]]
    for start, end in pairwise(corners):
        steps = max(1, math.ceil(2 * float(np.abs(end - start).max())))
        parts.append(start + (end - start) * (np.arange(1, steps + 1) / steps)[:, None])
    return np.concatenate(parts)


def _ball(array: NDArray[np.uint16], grid: Grid, centre: NDArray[np.float64], radius_mm: float, value: int) -> None:
    nearest = np.rint(centre).astype(int)
    array[tuple(nearest)] = value
    if radius_mm == 0:
        return
    # How far a ball reaches along each index axis, also where the axes are not at right angles.
    reach = radius_mm * np.linalg.norm(np.linalg.inv(grid.affine[:-1, :-1]), axis=1)
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach) + 1, grid.shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    at = np.stack(np.meshgrid(*[np.arange(a, b) for a, b in zip(low, high, strict=True)], indexing="ij"), -1)
    apart = np.linalg.norm((at - centre) @ grid.affine[:-1, :-1].T, axis=-1)
    array[box][apart <= radius_mm * (1 + 1e-9)] = value


def _shown(numbers: Iterable[float]) -> str:
    return "(" + ", ".join(f"{float(n):g}" for n in numbers) + ")"
