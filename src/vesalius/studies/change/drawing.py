"""Pictures of a change: surfaces in the colours of their distances, both scans over each other, the growth map."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import MissingDependencyError
from vesalius.image import LabelMap, Volume
from vesalius.mesh import Painted
from vesalius.mesh.colours import ColourScale
from vesalius.report.before_after import checkerboard, fusion, nearest_inside, over, tinted
from vesalius.studies.change.comparing import Change
from vesalius.studies.change.measuring import Changed
from vesalius.studies.change.placing import Scan
from vesalius.transform import crop

if TYPE_CHECKING:
    from vesalius.mesh.rendering.camera import View

Kind = Literal["surface", "scans", "growth"]
"""Of a picture."""

_SHOWN = 6  # structures with pictures of their own, those that changed most
_VIEWS: tuple[View, ...] = ("anterior", "left", "posterior", "right")
_VIEW_PX = (520, 420)
_MARGIN_MM = 30.0  # around a structure at least


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture for the page.

    Args:
        file: Its name.
        kind: Of what.
        caption: Below it.
        drawn: RGB ``(rows, columns, 3)``.
    """

    file: str
    kind: Kind
    caption: str
    drawn: NDArray[np.uint8]


def draw_change(before: Scan, change: Change) -> tuple[list[Picture], str]:
    """Draw the surfaces with their distances, the scans over each other, and the growth map.

    Args:
        before: The first scan.
        change: Since then.

    Returns:
        The pictures, and why the surface was not drawn, if it was not.
    """
    found: list[Picture] = []
    missing = ""
    if change.distances:
        try:
            said = "From the front, from the left, from behind and from the right"
            found.append(Picture("distance.png", "surface", said, _drawn(change.distances)))
        except MissingDependencyError as error:
            missing = f"The surface was not drawn: {error}"
    names = file_names(change.maps)
    most = sorted(change.structures, key=lambda one: -abs(one.difference_ml))[:_SHOWN]
    for one in most:
        at = nearest_inside(before.labels.grid, _centre(before, change, one))
        pair = [change.surfaces[one.name]] if one.name in change.surfaces else []
        box = _around(change.maps[one.name])
        drawn = {}
        if before.image is not None and change.placed.image is not None:
            images = crop(before.image, *box), crop(change.placed.image, *box)
            said = "before in blue, after in orange, what is alike in grey; outlines of both"
            drawn["fusion"] = said, fusion(*images, pair, at, title=one.name)
            said = "before and after in squares by turns"
            drawn["squares"] = said, checkerboard(*images, pair, at, title=one.name)
        said = "after, and what became of each voxel"
        image = None if change.placed.image is None else crop(change.placed.image, *box)
        drawn["change"] = said, over(image, crop(change.maps[one.name], *box), pair, at, title=one.name)
        found += [
            Picture(f"{word}-{names[one.name]}.png", "scans", f"{one.name}: {said}", picture)
            for word, (said, picture) in drawn.items()
        ]
    if change.growth is not None and before.image is not None:
        at = nearest_inside(before.labels.grid, _centre(before, change, most[0]))
        found.append(Picture("growth.png", "growth", "On the first scan", _grown(before.image, change, at)))
    return found, missing


def _grown(image: Volume, change: Change, at: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The growth map over the first scan, on a scale around 1."""
    assert change.growth is not None
    factor = np.where(change.growth.shown, change.growth.factor.array[0].astype(np.float64), np.nan)
    most = float(np.nanquantile(np.abs(factor - 1), 0.99))
    wide = max(0.05, float(np.ceil(most * 20) / 20))
    return tinted(image, factor, ColourScale(1 - wide, 1 + wide, "diverging"), at, name="growth factor (1 = none)")


def _drawn(distances: Sequence[Painted]) -> NDArray[np.uint8]:
    """The surfaces from four sides."""
    from vesalius.mesh.rendering import Camera, arrange, picture

    scene = arrange(distances)
    views = [picture(scene, Camera.of(view), size=_VIEW_PX) for view in _VIEWS]
    return np.concatenate([np.concatenate(views[:2], axis=1), np.concatenate(views[2:], axis=1)])


def _around(changes: LabelMap) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The box around a structure, with a part of its surroundings: first voxel and shape, as `crop` takes them."""
    there = np.argwhere(changes.array)
    if not len(there):
        return (0, 0, 0), changes.grid.shape
    low, high = there.min(axis=0), there.max(axis=0) + 1
    spacing = np.asarray(changes.grid.spacing_mm)
    margin = np.ceil(max(_MARGIN_MM, 0.5 * float(((high - low) * spacing).max())) / spacing).astype(int)
    start = np.maximum(low - margin, 0)
    end = np.minimum(high + margin, changes.grid.shape)
    return tuple(start.tolist()), tuple((end - start).tolist())


def _centre(before: Scan, change: Change, one: Changed) -> NDArray[np.float64]:
    """Where a structure is looked at: where its surface has moved farthest, else in the middle of what came or went."""
    if one.moved is not None:
        place = max(one.moved.outwards, one.moved.inwards, key=lambda place: abs(place.distance_mm))
        return np.asarray(place.at_mm)
    changes = change.maps[one.name].array
    there = np.argwhere(changes) if changes.any() else np.asarray([np.asarray(changes.shape) / 2])
    return before.labels.grid.to_points(there[len(there) // 2])


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Names of files, in letters that all systems allow, each once whatever the case."""
    found: dict[str, str] = {}
    for number, name in enumerate(names, start=1):
        plain = re.sub(r"[^\w.-]+", "_", name).strip("._") or f"structure_{number}"
        taken = {one.lower() for one in found.values()}
        found[name] = plain if plain.lower() not in taken else f"{plain}_{number}"
    return found
